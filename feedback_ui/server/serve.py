"""The studio's server: Streamlit's server, with the libraries of the pages loaded before it starts.

`python feedback_ui/server/serve.py run STUDIO …` does what `streamlit run STUDIO …` does. Streamlit
itself would load the libraries while the first visitor sees an empty page for two seconds or more.
This server starts a little later and shows its first page at once.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])


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


def main() -> None:
    """Load the libraries, then run the `streamlit` command."""
    from streamlit.web.cli import main as streamlit

    load_libraries()
    streamlit(prog_name="streamlit")


if __name__ == "__main__":
    # Python puts this file's folder on the path, not the repository's root with the packages.
    sys.path.insert(0, ROOT)
    main()
