"""A process of its own that renders clips, for a server that must answer meanwhile.

The synthesizer keeps Python's lock for a tenth of a second or more a clip. In the server's own
process every page would wait for as long. `python -m music.rendering.sound_process` reads melodies
from standard input and answers each with a line; it ends when its input does, so it cannot outlive
whoever started it.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock

from music.melody import Melody
from music.rendering.sound import SoundfontError, cached_wav
from music.tokens import decode, encode

ROOMS = Path(__file__).resolve().parents[2]
NICENESS = 10
"""what is rendered ahead waits for whoever needs the processor now"""


class SoundProcess:
    """Renders melodies into folders, one at a time; begun at the first. Threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None

    def render(self, melody: Melody, folder: Path, soundfont: Path | None = None) -> None:
        """Do what `music.rendering.sound.cached_wav` does, and wait for it.

        Raises:
            SoundfontError: when it cannot be rendered, or the process has ended.
        """
        asked = {
            "tokens": encode(melody).tolist(),
            "tonic_midi": melody.tonic_midi,
            "folder": str(folder),
            "soundfont": None if soundfont is None else str(soundfont),
        }
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            said = ""
            with suppress(OSError):  # it has ended; then it says nothing either
                process.stdin.write(json.dumps(asked) + "\n")
                process.stdin.flush()
                said = process.stdout.readline()
            if not said.endswith("\n"):
                self._end()
                raise SoundfontError("the process that renders clips has ended; ask again")
        refused = json.loads(said)
        if refused is not None:
            raise SoundfontError(refused)

    def close(self) -> None:
        """End the process; the next melody begins another."""
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            path = os.pathsep.join(filter(None, (str(ROOMS), os.environ.get("PYTHONPATH"))))
            self._process = subprocess.Popen(
                [sys.executable, "-m", "music.rendering.sound_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                # A folder `music` of the working folder must not be taken for ours.
                env={
                    **os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1",
                    "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1",
                },
            )  # fmt: skip
            atexit.register(self.close)
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
            atexit.unregister(self.close)


def answer(line: str) -> str | None:
    """Render what a line asks for; None, or why not."""
    asked = json.loads(line)
    soundfont = None if asked["soundfont"] is None else Path(asked["soundfont"])
    try:
        melody = decode(asked["tokens"], asked["tonic_midi"])
        cached_wav(melody, Path(asked["folder"]), soundfont=soundfont)
    except (ValueError, OSError) as error:
        return str(error)
    return None


def main() -> None:
    """Answer each line of standard input with a line of JSON."""
    with suppress(OSError, AttributeError):  # where there is no such thing as niceness
        os.nice(NICENESS)
    with suppress(KeyboardInterrupt):  # Ctrl-C goes to all processes of a terminal
        for line in sys.stdin:
            sys.stdout.write(json.dumps(answer(line)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
