"""Policies that are adapted to a corpus, beside the page, and what they write.

    adaptations.start("mine", run="mine-base")
    adaptations.all("mine")[0].command.stop()

`tastemaker pretrain` and `compose` run in processes of their own, whose records are in
`checkpoints/corpora/jobs/`. One policy learns at a time.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from feedback_ui.services.corpora.recorded_command import RecordedCommand
from feedback_ui.services.subcommand import CommandError
from music.corpora.catalogue import CORPORA, checked_name
from music.formats.notation import read_melody
from music.json_text import JsonError, read_json
from music.melody import Melody
from policy.runs import METRICS, RUNS, Run, RunError, free_name
from policy.runs import checked_name as checked_run

HEARD = 4
"""melodies that a policy writes to be heard"""
RESULT = "result.json"
"""in the folder of a pretraining run that has finished"""


@dataclass(frozen=True, slots=True)
class Adaptation:
    """A policy that is adapted to a corpus, as far as it is."""

    run: str
    corpus: str
    command: RecordedCommand
    bits: tuple[tuple[int, float], ...]
    """step and bits a note on held-out tunes, from step 0"""
    result: dict[str, object] | None
    """what the run says of itself when it has finished"""


class Adaptations:
    """The adaptations of one working folder; safe to share between threads.

    Args:
        database: which the commands are told; they store nothing in it.
        root: folder of the corpora.
        runs: folder of the runs.
    """

    def __init__(self, database: str, *, root: Path = CORPORA, runs: Path = RUNS) -> None:
        self._database, self._runs = database, runs
        self._jobs = root / "jobs"
        self._changing = threading.Lock()

    def free_run(self, name: str) -> str:
        """A free name for a policy adapted to a corpus, such as NAME-base or NAME-base-2."""
        number = 1
        while True:
            run = f"{name}-base" if number == 1 else f"{name}-base-{number}"
            with suppress(RunError):
                if not (self._jobs / f"adapt-{run}.json").exists():
                    return free_name(run, root=self._runs)
            number += 1

    def start(self, name: str, *, run: str, start_from: str = "base") -> None:
        """Begin to adapt a policy to a corpus.

        Args:
            name: of the corpus.
            run: name of the new policy.
            start_from: policy that it begins as.

        Raises:
            CorpusError: for what is no name, and for the shipped corpus, which the base knows.
            RunError: for what is no free name of a run.
            CommandError: while another policy is being adapted, or when there can be no process.
        """
        checked_name(name)
        with self._changing:
            free_name(run, root=self._runs)
            live = next((one.run for one in self.all() if one.command.is_live), None)
            if live is not None:
                raise CommandError(
                    f"{live} is being adapted; wait until it has ended, or stop it, as both would "
                    "take twice as long"
                )
            self._command(run).start(
                [
                    *("pretrain", f"--corpus={name}", f"--start-from={start_from}"),
                    f"--run={run}",
                ],
                database=self._database,
            )

    def all(self, name: str | None = None) -> list[Adaptation]:
        """The policies that were adapted from this page, or those to one corpus; newest first."""
        found = []
        for record in self._jobs.glob("adapt-*.json"):
            run = record.stem.removeprefix("adapt-")
            command = self._command(run)
            corpus = next(
                (
                    one.removeprefix("--corpus=")
                    for one in command.arguments
                    if one.startswith("--corpus=")
                ),
                "",
            )
            if name in (None, corpus):
                folder = self._runs / run
                made_s = record.stat().st_mtime
                adaptation = Adaptation(run, corpus, command, bits_of(folder), result_of(folder))
                found.append((made_s, adaptation))
        return [one for _, one in sorted(found, key=lambda pair: -pair[0])]

    def bits(self, run: str) -> tuple[tuple[int, float], ...]:
        """Step and bits a note on held-out tunes, as far as a run is.

        Raises:
            RunError: for what is no name of a run.
        """
        return bits_of(self._runs / checked_run(run))

    def go_on(self, adaptation: Adaptation) -> None:
        """Go on with an adaptation that was stopped or interrupted, from its newest step.

        Raises:
            CommandError: while another policy is being adapted, or when there can be no process.
        """
        with self._changing:
            live = next((one.run for one in self.all() if one.command.is_live), None)
            if live is not None:
                raise CommandError(f"{live} is being adapted; wait until it has ended, or stop it")
            adaptation.command.go_on(database=self._database)

    # What a policy writes

    def hear(self, run: str) -> None:
        """Have a policy write some melodies; other ones each time.

        Raises:
            RunError: for what is no name of a run.
            CommandError: while it writes, or when there can be no process.
        """
        writing = self.writing(run)
        before = [one for one in writing.arguments if one.startswith("--seed=")]
        seed = 1 + int(before[0].removeprefix("--seed=")) if before else 0
        writing.start(
            [
                *("compose", f"--policy={run}", f"--count={HEARD}", f"--seed={seed}"),
                *(f"--out={self._heard(run)}", "--no-sound"),
            ],
            database=self._database,
        )

    def writing(self, run: str) -> RecordedCommand:
        """The command that writes the melodies of `heard`.

        Raises:
            RunError: for what is no name of a run.
        """
        return RecordedCommand(self._jobs, f"hear-{checked_run(run)}", f"the writing of {run}")

    def heard(self, run: str) -> list[Melody]:
        """The melodies that a policy has written last, without any that is damaged."""
        found = []
        for file in sorted(self._heard(run).glob("*.abc"))[:HEARD]:
            with suppress(OSError, ValueError):
                found.append(read_melody(file.read_text("utf-8", "replace")))
        return found

    def _heard(self, run: str) -> Path:
        return self._jobs / f"heard-{checked_run(run)}"

    def _command(self, run: str) -> RecordedCommand:
        return RecordedCommand(self._jobs, f"adapt-{run}", f"the adaptation {run}")


def bits_of(run: Path) -> tuple[tuple[int, float], ...]:
    """Step and bits a note on held-out tunes, as a pretraining run has logged them."""
    if not (run / METRICS).is_file():
        return ()
    rows = Run(run).rows()
    found = [(row.get("step"), row.get("validation_bits_per_note")) for row in rows]
    return tuple(
        (step, float(bits))
        for step, bits in found
        if isinstance(step, int) and isinstance(bits, int | float)
    )


def result_of(run: Path) -> dict[str, object] | None:
    """What a pretraining run says of itself when it has finished; None before."""
    try:
        result = read_json(run / RESULT)
    except (OSError, JsonError):
        return None
    return result if isinstance(result, dict) else None
