"""A long command whose record is on the disk: it outlives the studio, is stopped and goes on.

    command = RecordedCommand(folder, "build-mine", "the build of mine")
    command.start(["corpus", "build", …], database=url)
    command.state, command.lines, command.progress

`folder` gets NAME.json (the arguments and the process), NAME.log (what it says) and NAME.ended (its
exit code). A studio that was started again reads them, so nothing here depends on its memory. A
process is known by its number and by when it was made, since numbers are used again.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from feedback_ui.services.subcommand import CommandError, environment, refusal
from music.disk import os_error_line
from music.files import make_folder
from music.json_text import JsonError, read_json, write_json

State = Literal["none", "running", "stopping", "done", "refused", "stopped", "interrupted"]
"""`refused`: it ended with a message; `interrupted`: it was killed, and could note nothing"""
MOST_SAID_BYTES = 65_536
"""of what a command says, the end that is read"""
SAME_CREATION_S = 2.0
"""creation times nearer than this are equal: the kernel rounds its boot time to seconds"""
INTERRUPTED = 130
"""exit code of a command that Ctrl-C ended"""
_PROGRESS = re.compile(r"(.{1,80}): ([0-9]{1,9}) of ([0-9]{1,9})")
_starting = threading.Lock()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a command is."""

    stage: str
    done: int
    total: int


class RecordedCommand:
    """One command with a record on the disk; safe to share between threads.

    Args:
        folder: of the records.
        name: of this record, a file name without its ending.
        what: it does, such as "the build of mine"; for messages.
    """

    def __init__(self, folder: Path, name: str, what: str) -> None:
        self._record = folder / f"{name}.json"
        self._log = folder / f"{name}.log"
        self._ended = folder / f"{name}.ended"
        self._what = what

    def start(self, arguments: Sequence[str], *, database: str) -> None:
        """Start `tastemaker` with these arguments, in the working folder of the studio.

        Raises:
            CommandError: while it is at work, or when there can be no process.
        """
        with _starting:
            if self.is_live:
                raise CommandError(f"{self._what} is under way already; wait or stop it")
            try:
                self._launch(arguments, database)
            except (OSError, ValueError) as error:
                said = os_error_line(error) if isinstance(error, OSError) else str(error)
                raise CommandError(f"{self._what} cannot be started ({said}); try again") from error

    def _launch(self, arguments: Sequence[str], database: str) -> None:
        make_folder(self._record.parent)
        # First, so that a disk that is full is found before there is a process.
        record = {"pid": 0, "created_s": 0.0, "asked_to_stop": False, "arguments": list(arguments)}
        write_json(self._record, record)
        self._ended.unlink(missing_ok=True)
        command = [
            *(sys.executable, "-m", "feedback_ui.services.corpora.recorded_process"),
            *(str(self._ended.resolve()), *arguments),
        ]
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                command,
                env=environment(database),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # Somebody has to look when it ends, or it stays a zombie while nobody asks.
        threading.Thread(target=process.wait, daemon=True).start()
        created_s = time.time()
        with suppress(psutil.NoSuchProcess):  # it has ended already
            created_s = psutil.Process(process.pid).create_time()
        write_json(self._record, {**record, "pid": process.pid, "created_s": created_s})

    @property
    def state(self) -> State:
        """How it stands."""
        record = self._fields
        if record is None:
            return "none"
        if _is_live(record):
            return "stopping" if record.get("asked_to_stop") else "running"
        code = self._exit_code
        if code is None:  # it was killed, or has ended this moment
            return "stopped" if record.get("asked_to_stop") else "interrupted"
        if code == 0:
            return "done"
        return "stopped" if code == INTERRUPTED else "refused"

    @property
    def is_live(self) -> bool:
        """Whether its process is there."""
        record = self._fields
        return record is not None and _is_live(record)

    @property
    def arguments(self) -> list[str]:
        """With which it was started last; none if it never was."""
        given = (self._fields or {}).get("arguments", [])
        return [str(one) for one in given] if isinstance(given, list) else []

    @property
    def seconds(self) -> float:
        """How long it has been at work, or was."""
        record = self._fields
        if record is None:
            return 0.0
        until = time.time()
        if not _is_live(record):
            with suppress(OSError):
                until = self._log.stat().st_mtime
        return max(0.0, until - float(record["created_s"]))

    @property
    def lines(self) -> list[str]:
        """What it has said, without empty lines; of much, the end."""
        try:
            with self._log.open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - MOST_SAID_BYTES))
                text = log.read().decode("utf-8", "replace")
        except OSError:
            return []
        return [line.strip() for line in text.splitlines() if line.strip()]

    @property
    def progress(self) -> Progress | None:
        """How far the stage at hand is; None when it does not count."""
        said = self.lines
        found = _PROGRESS.fullmatch(said[-1]) if said else None
        if found is None or int(found[3]) == 0:
            return None
        return Progress(found[1], min(int(found[2]), int(found[3])), int(found[3]))

    @property
    def failure(self) -> str:
        """Why it was refused, in its own line."""
        return refusal("\n".join(self.lines)) or "it ended without saying why; try again"

    def stop(self) -> None:
        """Interrupt it as Ctrl-C does, with all processes that it has started.

        Raises:
            CommandError: when it is not at work.
        """
        record = self._fields
        if record is None or not _is_live(record):
            raise CommandError(f"{self._what} is not under way; nothing was stopped")
        write_json(self._record, {**record, "asked_to_stop": True})
        with suppress(ProcessLookupError):
            os.killpg(int(record["pid"]), signal.SIGINT)

    def go_on(self, *, database: str) -> None:
        """Start it again with the arguments that it had.

        Raises:
            CommandError: when it was never started, is at work, or there can be no process.
        """
        arguments = self.arguments
        if not arguments:
            raise CommandError(f"{self._what} was never started; start it anew")
        self.start(arguments, database=database)

    def forget(self) -> None:
        """Remove its record, if it is not at work."""
        if not self.is_live:
            for file in (self._record, self._ended, self._log):
                file.unlink(missing_ok=True)

    @property
    def _fields(self) -> dict[str, Any] | None:
        try:
            fields = read_json(self._record)
        except (OSError, JsonError):
            return None
        if not isinstance(fields, dict):
            return None
        numbers = [fields.get(name) for name in ("pid", "created_s")]
        if any(isinstance(one, bool) or not isinstance(one, int | float) for one in numbers):
            return None
        return fields

    @property
    def _exit_code(self) -> int | None:
        try:
            return int(self._ended.read_text("ascii"))
        except (OSError, ValueError):
            return None


def _is_live(record: dict[str, Any]) -> bool:
    if record["pid"] <= 1:  # written before there was a process; signals to 0 would reach us
        return False
    try:
        process = psutil.Process(int(record["pid"]))
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and abs(process.create_time() - record["created_s"]) <= SAME_CREATION_S
        )
    except (psutil.Error, ValueError, OverflowError):
        return False
