"""The synthesiser in a process of its own, for servers.

midirenderer holds Python's lock while it works: 0.1 s for a melody, several times that on a busy
machine. In a server all pages would stand still meanwhile, and did for a minute when ten people
came in at once. The process renders one melody at a time and ends with its parent.

A message is its length in four bytes, and then its bytes: MIDI to the process, and back a WAV file
after the letter `w`, or what is wrong after the letter `e`.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

_LENGTH = struct.Struct(">I")


class Synthesiser:
    """Renders with one SoundFont at a time; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._font: tuple[Path, int, int] | None = None

    def render(self, font: Path, midi: bytes) -> bytes:
        """MIDI -> WAV file, as `midirenderer.render_wave_from`.

        Raises:
            RuntimeError: when the font or the MIDI cannot be rendered.
            OSError: when there can be no process.
        """
        stat = font.stat()
        state = (font, stat.st_mtime_ns, stat.st_size)
        with self._lock:
            if state != self._font:
                self._stop()
            self._font = state
            try:
                answer = self._exchange(font, midi)
            except (BrokenPipeError, EOFError):  # the process was killed: another is started
                try:
                    answer = self._exchange(font, midi)
                except (BrokenPipeError, EOFError) as error:
                    raise RuntimeError("the synthesiser's process ends at once") from error
        if answer[:1] == b"e":
            raise RuntimeError(answer[1:].decode())
        return answer[1:]

    def close(self) -> None:
        """End the process; the next melody starts another."""
        with self._lock:
            self._stop()

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one."""
        return None if self._process is None else self._process.pid

    def _exchange(self, font: Path, midi: bytes) -> bytes:
        """The answer to a message, of a process that is started if there is none."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(font.resolve())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # ctrl-c is for the server, which then closes the pipe
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            _write(self._process.stdin, midi)
            answer = _read(self._process.stdout)
            if answer is None:
                raise EOFError
        except BaseException:  # also of a thread that is stopped: a late answer would be another's
            self._stop()
            raise
        return answer

    def _stop(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):  # what was not sent yet
                        pipe.close()
            process.wait()


def _write(pipe: IO[bytes], message: bytes) -> None:
    pipe.write(_LENGTH.pack(len(message)) + message)
    pipe.flush()


def _read(pipe: IO[bytes]) -> bytes | None:
    """The next message; None when the other side has ended."""
    start = pipe.read(_LENGTH.size)
    if len(start) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(start)
    message = pipe.read(length)
    return message if len(message) == length else None


def main() -> None:
    """Answer one message after another, until there are no more."""
    import midirenderer

    font = Path(sys.argv[1]).read_bytes()
    while (midi := _read(sys.stdin.buffer)) is not None:
        try:
            answer = b"w" + midirenderer.render_wave_from(font, midi)
        except (RuntimeError, ValueError) as error:
            answer = b"e" + str(error).encode()
        _write(sys.stdout.buffer, answer)


if __name__ == "__main__":
    main()
