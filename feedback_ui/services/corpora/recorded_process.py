"""The process of a recorded command: `tastemaker` with arguments, which notes how it ended.

    python -m feedback_ui.services.corpora.recorded_process ENDED ARGUMENT…

The file ENDED gets the exit code. SIGINT and SIGTERM interrupt the command as Ctrl-C does, also
where the studio was started with these signals ignored, as `nohup` and shells do in the background.
"""

from __future__ import annotations

import runpy
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from music.files import write_whole


def main(arguments: Sequence[str]) -> None:
    """Run the command in this process, and leave it with its exit code."""
    ended, *sys.argv[1:] = arguments
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    code = 1
    try:
        runpy.run_module("tastemaker", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as asked:
        code = asked.code if isinstance(asked.code, int) else 0 if asked.code is None else 1
        raise
    except KeyboardInterrupt:  # before the command was there to catch it
        code = 130
        raise SystemExit(code) from None
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        write_whole(Path(ended), f"{code}\n")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main(sys.argv[1:])
