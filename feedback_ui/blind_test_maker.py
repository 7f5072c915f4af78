"""Making a blind test: melodies are written by `tastemaker blind-test`, in a process of its own.

It loads torch, which the studio does not. The process is in a session of its own and writes to a
file, so that it ends what it has begun even if the studio ends meanwhile; the test then stands in
the list when the studio is back.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from feedback_ui.launch import DATABASE_VARIABLE

ROOMS = Path(__file__).resolve().parents[1]
MOST_SAID_BYTES = 65_536
"""of what the command says, the end that is read"""
BASE = "base"


class MakerError(ValueError):
    """No blind test can be made now; one line with the value, the rule and the remedy."""


def policies(runs: Path) -> list[str]:
    """The policies that can be compared: 'base', and finished PPO runs, the newest first."""
    found: list[tuple[str, str]] = []
    for file in runs.glob("*/run.json"):
        try:
            record = json.loads(file.read_text())
        except (OSError, ValueError):
            continue  # a damaged run cannot be compared
        finished = (file.parent / "policy" / "model.safetensors").is_file()
        if isinstance(record, dict) and record.get("kind") == "ppo" and finished:
            found.append((str(record.get("created_at", "")), file.parent.name))
    return [BASE, *(name for _, name in sorted(found, reverse=True))]


def blind_test_command(
    a: str, b: str, *, name: str, votes: int, meter: str, bars: str, seed: int, runs: Path
) -> list[str]:
    """The command, for `subprocess`.

    Args:
        a: name of a policy.
        b: name of the other.
        name: of the test; a default one if empty.
        votes: after which the test ends.
        meter: of all melodies, or 'any'.
        bars: of all melodies, or 'any'.
        seed: of writing.
        runs: folder of the runs.
    """
    return [
        *(sys.executable, "-m", "tastemaker", "blind-test"),
        *([f"--name={name}"] if name.strip() else []),
        *(f"--votes={votes}", f"--meter={meter}", f"--bars={bars}"),
        *(f"--seed={seed}", f"--runs={runs}"),
        *("--", a, b),  # a name that begins with a dash is no option
    ]


class BlindTestMaker:
    """Starts the command and tells how it gets on; one for a server, which makes one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None

    def start(self, command: Sequence[str], database: str) -> None:
        """Start a command in the working folder of the studio.

        Raises:
            MakerError: while another is being made, or when it cannot be started.
        """
        with self._lock:
            if self.is_busy:
                raise MakerError("another blind test is being made; wait until it is ready")
            self.close()
            said = tempfile.TemporaryFile()  # noqa: SIM115  open for as long as it is asked for
            python_path = os.pathsep.join(filter(None, (str(ROOMS), os.environ.get("PYTHONPATH"))))
            try:
                self._process = subprocess.Popen(
                    list(command),
                    env={
                        **os.environ,
                        # Not in the process list, which anyone may read: it may hold a password.
                        DATABASE_VARIABLE: database,
                        "PYTHONPATH": python_path,
                        "PYTHONSAFEPATH": "1",
                        "PYTHONUNBUFFERED": "1",
                    },
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                said.close()
                raise MakerError(f"the blind test cannot be made ({error}); try again") from error
            self._said = said
            # Somebody has to look when it ends, or it stays a zombie while nobody asks.
            threading.Thread(target=self._process.wait, daemon=True).start()

    @property
    def is_busy(self) -> bool:
        """Whether a test is being made."""
        return self._process is not None and self._process.poll() is None

    @property
    def line(self) -> str:
        """The last line that the command said; '' before the first."""
        if self._said is None:
            return ""
        # pread: the process writes where the file's position is, which is not to be moved.
        size = os.fstat(self._said.fileno()).st_size
        at = max(0, size - MOST_SAID_BYTES)
        text = os.pread(self._said.fileno(), MOST_SAID_BYTES, at).decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else ""

    @property
    def failure(self) -> str | None:
        """Why the last test was not made, in a line; None when it was, or is being made."""
        code = None if self._process is None else self._process.poll()
        if not code:
            return None
        return self.line.removeprefix("tastemaker: ") or f"it ended with exit code {code}"

    def close(self) -> None:
        """Forget the last test; its process, if it goes on, is left to itself."""
        if self._said is not None:
            self._said.close()
        self._process = self._said = None
