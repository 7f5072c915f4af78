"""A long command of `tastemaker`, beside the page: started, watched by what it says, never cut.

The process is in a session of its own and writes to a file, so it ends what it has begun even if
the studio ends meanwhile.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import IO

from feedback_ui.services.subcommand import CommandError, environment, own_command, refusal

MOST_SAID_BYTES = 65_536
"""of what the command says, the end that is read"""


class CommandProcess:
    """Runs one command at a time and tells how it gets on; safe to share between threads.

    Args:
        what: it makes, such as "a training"; for messages.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._begun_s = self._took_s = 0.0

    def start(self, arguments: Sequence[str], *, database: str) -> None:
        """Start `tastemaker` with these arguments, in the working folder of the studio.

        Raises:
            CommandError: while another is at work, or when it cannot be started.
        """
        with self._lock:
            if self.is_busy:
                raise CommandError(f"{self._what} is under way already; wait until it has ended")
            self._forget()
            said = tempfile.TemporaryFile()  # noqa: SIM115  open for as long as it is asked for
            try:
                process = subprocess.Popen(
                    own_command(*arguments),
                    env=environment(database),
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                said.close()
                raise CommandError(
                    f"{self._what} cannot be started ({error}); try again"
                ) from error
            self._process, self._said, self._begun_s = process, said, time.monotonic()
            # Somebody has to look when it ends, or it stays a zombie while nobody asks.
            threading.Thread(target=self._wait, args=(process,), daemon=True).start()

    @property
    def is_busy(self) -> bool:
        """Whether a command is at work."""
        return self._process is not None and self._process.poll() is None

    @property
    def has_run(self) -> bool:
        """Whether one was started since the studio was, or since it was forgotten."""
        return self._process is not None

    @property
    def seconds(self) -> float:
        """How long the command has been at work, or was."""
        return time.monotonic() - self._begun_s if self.is_busy else self._took_s

    @property
    def lines(self) -> list[str]:
        """What the command has said, without empty lines; of much, the end."""
        with self._lock:
            if self._said is None:
                return []
            # pread: the process writes where the file's position is, which is not to be moved.
            size = os.fstat(self._said.fileno()).st_size
            at = max(0, size - MOST_SAID_BYTES)
            text = os.pread(self._said.fileno(), MOST_SAID_BYTES, at).decode("utf-8", "replace")
        return [line.strip() for line in text.splitlines() if line.strip()]

    @property
    def failure(self) -> str | None:
        """Why the last command failed, in a line; None when it did not, or is at work."""
        code = None if self._process is None else self._process.poll()
        if not code:
            return None
        return refusal("\n".join(self.lines)) or f"it ended with exit code {code}"

    def forget(self) -> None:
        """Let go of what the last command said; one that is at work goes on being watched."""
        with self._lock:
            if not self.is_busy:
                self._forget()

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        with self._lock:
            if self._process is process:
                self._took_s = time.monotonic() - self._begun_s

    def _forget(self) -> None:
        if self._said is not None:
            self._said.close()
        self._process = self._said = None
