"""PPO jobs as the studio sees them; only this module of the studio imports `rl` (decision 6).

A job is started by the command `tastemaker ppo --detach`, which checks everything and hands the run
to a process that outlives the studio. That takes some seconds, for torch is loaded, so it is done
beside the page. Watching reads the jobs' rows and the files of their runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feedback_ui.services.background_command import CommandProcess
from policy.runs import RUN_NAME, RUNS, Run, open_run, readable_runs
from policy.shipped import shipped_policy
from reward.store.store import RatingsStore
from rl.jobs.queue import (
    ask_to_stop,
    begin_job,
    check_resumable,
    find_job,
    list_jobs,
    log_tail,
    reap_dead_jobs,
)
from rl.jobs.record import Job
from rl.runs.run_comparison import RunComparison, compare_runs

SECONDS_A_MELODY = 2.9 / 256
"""of sampling, scoring and learning, on two cores (benchmarks/ppo/README.md)"""
BEGINNING_S = 15.0
"""before the first update: torch, and the base's scale"""
SAMPLE_NAME = re.compile(r"melody-[0-9]{1,6}")
"""of the files of a sample, without their endings"""
SAID_RUN = re.compile(rf"^run ({RUN_NAME.pattern}),", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Preset:
    """A way to fine-tune, in words and in settings of `tastemaker ppo`."""

    name: str
    says: str
    settings: Mapping[str, float]

    @property
    def minutes(self) -> float:
        """How long it takes on two cores."""
        return expected_minutes(self.settings["updates"], self.settings["melodies"])


PRESETS = (
    Preset(
        "A first listen",
        "A short run that stays close to the base: enough to hear whether the taste goes where you "
        "meant.",
        {"updates": 8, "melodies": 256, "kl-target": 3.0, "kl-limit": 4.0, "std-penalty": 0.5},
    ),
    Preset(
        "Balanced",
        "What tastemaker ppo does by itself: as far as the reward model can be trusted.",
        {"updates": 32, "melodies": 256, "kl-target": 7.0, "kl-limit": 8.0, "std-penalty": 0.5},
    ),
    Preset(
        "Careful",
        "Nearer to the base, and wary of what the reward model is unsure of: for few votes.",
        {"updates": 32, "melodies": 256, "kl-target": 4.0, "kl-limit": 5.0, "std-penalty": 1.0},
    ),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A melody that a run wrote on its way."""

    title: str
    wav: Path
    abc: str


@dataclass(frozen=True, slots=True)
class RewardCard:
    """What a reward run says of itself."""

    words: str
    """its model card, as Markdown"""
    plots: Mapping[str, str]
    """name -> SVG, in dark ink on nothing"""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    rows: list[dict[str, Any]]
    """its log, one row an update from 0"""
    updates: int
    settings: Mapping[str, Any]

    @property
    def done(self) -> int:
        """The newest update."""
        update = self.rows[-1].get("update") if self.rows else 0
        return update if isinstance(update, int) else 0

    @property
    def seconds_left(self) -> float | None:
        """At the pace of the last updates; None before the first."""
        last = [row["seconds"] for row in self.rows[-5:] if "seconds" in row]
        return (self.updates - self.done) * sum(last) / len(last) if last else None


def expected_minutes(updates: float, melodies: float) -> float:
    """How long a run takes on two cores."""
    return (BEGINNING_S + updates * melodies * SECONDS_A_MELODY) / 60


class FineTuningJobs:
    """Jobs of one database, whose runs are in the working folder; one for a server."""

    def __init__(self, store: RatingsStore, database: str, *, runs: Path = RUNS) -> None:
        self._store, self._database, self._runs = store, database, runs
        self._starter = CommandProcess("the start of a run")

    def latest(self) -> list[Job]:
        """The newest job of each run, newest first; dead ones are marked as such before."""
        return list_jobs(self._store)[::-1]

    def job(self, run: str) -> Job:
        """The newest job of a run.

        Raises:
            JobError: when there is none.
        """
        return find_job(self._store, run)

    def look_again(self, job: Job) -> Job:
        """The job as it is now.

        Raises:
            JobError: when it is gone.
        """
        reap_dead_jobs(self._store)
        return find_job(self._store, str(job.id))

    def rewards(self) -> list[str]:
        """Names of the reward runs that there are, newest first."""
        return self._names(("reward",), "taste.json")

    def reward_card(self, name: str) -> RewardCard:
        """What is written of a reward run; without what is not there.

        Raises:
            RunError: when there is no such run.
        """
        folder = open_run(name, kind="reward", root=self._runs).path
        card = folder / "README.md"
        plots = sorted(folder.glob("*.svg"))
        return RewardCard(
            words=card.read_text("utf-8") if card.is_file() else "",
            plots={plot.stem: plot.read_text("utf-8") for plot in plots},
        )

    def policies(self) -> list[str]:
        """Policies to start from: 'base', and what runs have made, newest first."""
        return ["base", *self._names(("ppo", "pretrain"), "policy")]

    def policy_folder(self, name: str) -> Path:
        """Folder of one of `policies`."""
        return shipped_policy() if name == "base" else self._runs / name / "policy"

    def start(self, settings: Mapping[str, object], *, others: Sequence[str] = ()) -> None:
        """Have a job started, beside the page; `is_starting`, `started` and `refusal` tell of it.

        Args:
            settings: options of `tastemaker ppo` without dashes; None leaves one out.
            others: more settings, each NAME=VALUE.

        Raises:
            CommandError: while another is being started, or when there can be no process.
        """
        given = [f"--{name}={value}" for name, value in settings.items() if value is not None]
        changed = [f"--set={other}" for other in others]
        self._starter.start(["ppo", "--detach", *given, *changed], database=self._database)

    @property
    def is_starting(self) -> bool:
        """Whether a job is being started."""
        return self._starter.is_busy

    @property
    def starting_s(self) -> float:
        """For how long it has been, or was."""
        return self._starter.seconds

    @property
    def started(self) -> str | None:
        """Name of the run that was started last; None until it is, and when that was refused."""
        if self._starter.is_busy or self._starter.failure is not None:
            return None
        found = SAID_RUN.search("\n".join(self._starter.lines))
        return None if found is None else found[1]

    @property
    def refusal(self) -> str | None:
        """Why the last start came to nothing, in the command's own line; None if it did not."""
        if self._starter.is_busy or not self._starter.has_run or self.started is not None:
            return None
        return self._starter.failure or (
            "it is not said how the run is called; look in the list below, or try again"
        )

    def forget_start(self) -> None:
        """Let go of what the last start said; one that goes on is told of still."""
        self._starter.forget()

    def stop(self, job: Job) -> None:
        """Ask a job to end after the update in hand, with its checkpoint saved.

        Raises:
            JobError: when it has ended.
        """
        ask_to_stop(self._store, job)

    def resume(self, job: Job) -> Job:
        """Go on with a run where it stands; its new job, whose process is on the way.

        Raises:
            JobError: when it is done, or running.
            RunError: when its record cannot be read.
        """
        check_resumable(job)
        return begin_job(self._store, self._database, folder=job.folder, settings=job.settings)

    def progress(self, job: Job) -> Progress:
        """How far a job's run is.

        Raises:
            RunError: when its folder is not on this machine.
        """
        run = Run(job.folder)
        settings = run.record["config"]
        return Progress(run.rows(), run.count("updates"), settings)

    def samples(self, job: Job) -> dict[int, list[Sample]]:
        """Melodies that the run wrote, by update, newest first; without any that is damaged."""
        found: dict[int, list[Sample]] = {}
        for folder in sorted((job.folder / "samples").glob("[0-9]*"), reverse=True):
            if folder.name.isdecimal():
                found[int(folder.name)] = list(_samples_in(folder))
        return found

    def compare(self, names: Sequence[str]) -> RunComparison:
        """Runs beside each other.

        Raises:
            JobError, RunError: when one is not there.
        """
        return compare_runs([Run(self.job(name).folder) for name in names])

    def log(self, job: Job, lines: int = 40) -> str:
        """The end of what the job's process has said.

        Raises:
            JobError: when there is no log on this machine.
        """
        return "\n".join(log_tail(job, lines))

    def _names(self, kinds: Sequence[str], needed: str) -> list[str]:
        found = [
            (record["created_at"], run.name)
            for run, record in readable_runs(self._runs)
            if record["kind"] in kinds and (run.path / needed).exists()
        ]
        return [name for _, name in sorted(found, reverse=True)]


def _samples_in(folder: Path) -> Iterator[Sample]:
    """The samples that `melodies.txt` lists and whose notes are there.

    The file names files, so only names of ours are followed: another could lead out of the folder.
    """
    try:
        lines = (folder / "melodies.txt").read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        name, _, about = line.partition(" ")
        if SAMPLE_NAME.fullmatch(name):
            with suppress(OSError):
                abc = (folder / f"{name}.abc").read_text("utf-8", "replace")
                yield Sample(" ".join(about.split()), folder / f"{name}.wav", abc)
