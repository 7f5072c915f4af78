"""The studio's server: Streamlit's server, with the libraries of the pages loaded before it starts.

`python feedback_ui/server/serve.py run STUDIO …` does what `streamlit run STUDIO …` does. Streamlit
itself would load the libraries while the first visitor sees an empty page for two seconds or more.
This server starts a little later and shows its first page at once.

SIGTERM, SIGINT and SIGHUP end the server within `SHUTDOWN_S`, and free the port at once. Jobs and
long commands are processes of their own sessions, and go on.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType

ROOT = str(Path(__file__).resolve().parents[2])
SHUTDOWN_S = 5
"""for which a stopping server waits for requests under way"""
STOPPED_BY_KEYBOARD = 130


def load_libraries() -> None:
    """Load what a page needs to show melodies: database, arrays, score and sound.

    Nothing imported here may define a component: Streamlit accepts components only when its server
    runs.
    """
    import feedback_ui.services.library  # noqa: F401  also loads tastes and features
    from feedback_ui.services.practice import WALKING
    from music.formats.notation import to_svg
    from music.rendering.sound import render_wav, use_synthesiser_process

    use_synthesiser_process()
    # Both load their engines at the first call.
    to_svg(WALKING)
    with suppress(ValueError):  # without a soundfont the page says what is missing
        render_wav(WALKING)


def end_on_hang_up() -> None:
    """Treat a closed terminal as a request to stop, unless it is ignored, as `nohup` does."""

    def stop(_: int, __: FrameType | None) -> None:
        signal.raise_signal(signal.SIGTERM)

    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, stop)


def bound_the_shutdown() -> None:
    """Let uvicorn wait `SHUTDOWN_S` for requests under way; Streamlit lets it wait for ever."""
    import uvicorn

    uvicorn.Config = partial(uvicorn.Config, timeout_graceful_shutdown=SHUTDOWN_S)


def main() -> None:
    """Load the libraries, then run the `streamlit` command."""
    import click
    from streamlit.web.cli import main as streamlit

    from feedback_ui.server.own_address import ask_nobody

    ask_nobody()  # here too: addresses are printed before the studio is imported
    load_libraries()
    end_on_hang_up()
    bound_the_shutdown()
    try:
        streamlit(prog_name="streamlit", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        print("stopped", file=sys.stderr)  # noqa: T201  as the command line says it
        sys.exit(STOPPED_BY_KEYBOARD)


if __name__ == "__main__":
    # Python puts this file's folder on the path, not the repository's root with the packages.
    sys.path.insert(0, ROOT)
    main()
