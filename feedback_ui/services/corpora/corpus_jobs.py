"""Corpora of uploaded files: kept, built beside the page, and removed.

    jobs = CorpusJobs(database)
    jobs.create("mine", uploads, About("public domain", "mine"))
    jobs.build("mine").state
    jobs.adaptations.start("mine", run="mine-base")

A build is a command of `tastemaker` in a process of its own, whose record is in
`checkpoints/corpora/jobs/`. What it refuses it says in one line, which the page shows.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from feedback_ui.services.corpora.adaptations import Adaptations
from feedback_ui.services.corpora.recorded_command import RecordedCommand
from feedback_ui.services.corpora.uploads import (
    About,
    KeptFile,
    Upload,
    UploadError,
    about_files,
    add_files,
    disk_errors_told,
    keep_files,
    kept_files,
    remove_files,
)
from feedback_ui.services.subcommand import CommandError
from music.corpora.catalogue import CORPORA, checked_name, corpus_names
from music.files import sync
from music.styles import check_label
from policy.runs import RUNS

LONGEST_LICENCE = 500
"""characters"""


class CorpusJobs:
    """The corpora of one working folder, and the commands that make them and learn from them.

    Args:
        database: which the commands are told; they store nothing in it.
        root: folder of the corpora.
        runs: folder of the runs.
    """

    def __init__(self, database: str, *, root: Path = CORPORA, runs: Path = RUNS) -> None:
        self._database, self._root = database, root
        self._jobs = root / "jobs"
        self.adaptations = Adaptations(database, root=root, runs=runs)
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
            UploadError: when a file cannot be removed.
            CommandError: while the corpus is being built.
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
            UploadError: when something cannot be removed.
            CommandError: while the corpus is being built or learnt from.
        """
        checked_name(name)
        with self._changing:
            self._check_idle(name)
            learns = [one.run for one in self.adaptations.all(name) if one.command.is_live]
            if learns:
                raise CommandError(f"{learns[0]} is learning from {name!r}; stop it first")
            with disk_errors_told():
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


def _is_name(name: str) -> bool:
    with suppress(ValueError):
        checked_name(name)
        return True
    return False
