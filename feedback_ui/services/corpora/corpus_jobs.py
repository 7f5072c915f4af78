"""Building a corpus of uploaded files, and adapting a policy to it, beside the page.

    jobs = CorpusJobs(database)
    jobs.create("mine", uploads, About("public domain", "mine"))
    jobs.build("mine").state
    jobs.adapt("mine", run="mine-base")
    jobs.adaptation("mine-base").stop()

Both are commands of `tastemaker` in processes of their own, whose records are in
`checkpoints/corpora/jobs/`. What such a command refuses it says in one line, which the page shows.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from feedback_ui.services.corpora.recorded_command import RecordedCommand
from feedback_ui.services.corpora.uploads import (
    About,
    KeptFile,
    Upload,
    UploadError,
    about_files,
    add_files,
    keep_files,
    kept_files,
    remove_files,
)
from feedback_ui.services.subcommand import CommandError
from music.corpora.catalogue import CORPORA, checked_name, corpus_names
from music.files import sync
from music.formats.notation import read_melody
from music.json_text import JsonError, read_json
from music.melody import Melody
from music.styles import check_label
from policy.runs import METRICS, RUNS, Run, RunError, free_name
from policy.runs import checked_name as checked_run

LONGEST_LICENCE = 500
"""characters"""
LEAST_SURE_TUNES = 100
"""of a corpus; with fewer, held-out tunes are too few to tell small gains"""
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


class CorpusJobs:
    """The corpora of one working folder, and the commands that make them and learn from them.

    Args:
        database: which the commands are told; they store nothing in it.
        root: folder of the corpora.
        runs: folder of the runs.
    """

    def __init__(self, database: str, *, root: Path = CORPORA, runs: Path = RUNS) -> None:
        self._database, self._root, self._runs = database, root, runs
        self._jobs = root / "jobs"
        self._changing = threading.Lock()

    # Files

    def names(self) -> list[str]:
        """All corpora: the shipped one, those that were built, and those that files are kept of."""
        with_files = {
            folder.name for folder in (self._root / "uploads").glob("*") if folder.is_dir()
        }
        built = corpus_names(self._root)
        return [
            *built,
            *sorted(name for name in with_files if _is_name(name) and name not in built),
        ]

    def files(self, name: str) -> list[KeptFile]:
        """The uploaded files of a corpus."""
        return kept_files(self._uploads(name))

    def about(self, name: str) -> About:
        """What was entered for the uploaded files of a corpus."""
        return about_files(self._uploads(name))

    def create(self, name: str, uploads: Sequence[Upload], about: About) -> list[tuple[str, str]]:
        """Keep files for a new corpus and begin to build it; the files left out, with reasons.

        Raises:
            CorpusError: for what is no name.
            StyleError: for what is no label.
            UploadError: when the name is taken, or the files cannot be kept.
            CommandError: when the build cannot be started.
        """
        checked_name(name)
        self._check_about(about)
        with self._changing:
            if name in self.names():
                raise UploadError(
                    f"there is a corpus {name!r} already; choose another name, or remove it first"
                )
            self.build(name).forget()
            refused = keep_files(self._uploads(name), uploads, about)
        self.start_build(name)
        return refused

    def add(self, name: str, uploads: Sequence[Upload]) -> list[tuple[str, str]]:
        """Keep more files for a corpus and build it anew; the files left out, with reasons.

        Raises:
            CorpusError: for what is no name.
            UploadError: when the corpus has no uploaded files, or these cannot be kept.
            CommandError: while the corpus is being built.
        """
        with self._changing:
            self._check_idle(name)
            if not self.files(name):
                raise UploadError(
                    f"there are no uploaded files of {name!r} that more could be added to; make a "
                    "new corpus"
                )
            refused = add_files(self._uploads(name), uploads)
        self.start_build(name)
        return refused

    def remove_files(self, name: str, stored: Sequence[str] | None = None) -> int:
        """Remove some uploaded files of a corpus, or all; the corpus stays. How many were removed.

        Raises:
            CorpusError: for what is no name.
            CommandError: while the corpus is being built.
            OSError: when a file cannot be removed.
        """
        with self._changing:
            self._check_idle(name)
            if not self._uploads(name).is_dir():
                return 0
            return remove_files(self._uploads(name), stored)

    def remove(self, name: str) -> None:
        """Remove a corpus, its data card and its uploaded files.

        Raises:
            CorpusError: for what is no name, and for the shipped corpus.
            CommandError: while the corpus is being built or learnt from.
            OSError: when something cannot be removed.
        """
        checked_name(name)
        with self._changing:
            self._check_idle(name)
            learns = [one.run for one in self.adaptations(name) if one.command.is_live]
            if learns:
                raise CommandError(f"{learns[0]} is learning from {name!r}; stop it first")
            for file in self._root.glob(f"{name}.*"):
                file.unlink()
            if self._root.is_dir():
                sync(self._root)
            if self._uploads(name).is_dir():
                shutil.rmtree(self._uploads(name))
            self.build(name).forget()

    # Builds

    def build(self, name: str) -> RecordedCommand:
        """The build of a corpus.

        Raises:
            CorpusError: for what is no name.
        """
        return RecordedCommand(self._jobs, f"build-{checked_name(name)}", f"the build of {name}")

    def start_build(self, name: str) -> None:
        """Begin to build a corpus of its uploaded files.

        Raises:
            CorpusError: for what is no name.
            UploadError: when it has no files.
            CommandError: while it is being built, or when there can be no process.
        """
        if not self.files(name):
            raise UploadError(f"there are no uploaded files of {name!r}; upload some")
        about = self.about(name)
        self.build(name).start(
            [
                *("corpus", "build", str(self._uploads(name) / "files"), f"--name={name}"),
                *(["--style-from=field"] if about.styles_of_tunes else []),
                *([f"--style={about.style}"] if about.style and not about.styles_of_tunes else []),
                *([f"--licence={about.licence}"] if about.licence else []),
                "--json",
            ],
            database=self._database,
        )

    # Adaptations

    def free_run(self, name: str) -> str:
        """A free name for a policy adapted to a corpus, such as NAME-base or NAME-base-2."""
        number = 1
        while True:
            run = f"{name}-base" if number == 1 else f"{name}-base-{number}"
            with suppress(RunError):
                if not (self._jobs / f"adapt-{run}.json").exists():
                    return free_name(run, root=self._runs)
            number += 1

    def adapt(self, name: str, *, run: str, start_from: str = "base") -> None:
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
            live = next((one.run for one in self.adaptations() if one.command.is_live), None)
            if live is not None:
                raise CommandError(
                    f"{live} is being adapted; wait until it has ended, or stop it, as both would "
                    "take twice as long"
                )
            self._adaptation(run).start(
                [
                    *("pretrain", f"--corpus={name}", f"--start-from={start_from}"),
                    f"--run={run}",
                ],
                database=self._database,
            )

    def adaptations(self, name: str | None = None) -> list[Adaptation]:
        """The policies that were adapted from this page, or those to one corpus; newest first."""
        found = []
        for record in self._jobs.glob("adapt-*.json"):
            run = record.stem.removeprefix("adapt-")
            command = self._adaptation(run)
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
            live = next((one.run for one in self.adaptations() if one.command.is_live), None)
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

    def _adaptation(self, run: str) -> RecordedCommand:
        return RecordedCommand(self._jobs, f"adapt-{run}", f"the adaptation {run}")

    def _uploads(self, name: str) -> Path:
        return self._root / "uploads" / checked_name(name)

    def _check_idle(self, name: str) -> None:
        if self.build(name).is_live:
            raise CommandError(f"{name!r} is being built; wait until it has ended, or stop it")

    @staticmethod
    def _check_about(about: About) -> None:
        if about.style:
            check_label(about.style)
        if len(about.licence) > LONGEST_LICENCE or not about.licence.isprintable():
            raise UploadError(
                f"the licence must be one line of at most {LONGEST_LICENCE} characters; shorten it"
            )


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


def _is_name(name: str) -> bool:
    with suppress(ValueError):
        checked_name(name)
        return True
    return False
