"""The studio's server: Streamlit's own, begun when the libraries that pages need are in memory.

`python feedback_ui/server/serve.py run STUDIO …` is `streamlit run STUDIO …`. Streamlit alone would
load them while the first visitor looks at an empty page, for two seconds and more. Here it is
started a little later and has its first page at once.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])


def load_libraries() -> None:
    """Load what a page needs to show melodies: database, arrays, score and sound.

    Nothing here may define a component: Streamlit keeps those only once its server is there.
    """
    import feedback_ui.services.library  # noqa: F401  tastes and features, which the desk needs too
    from feedback_ui.services.practice import WALKING
    from music.formats.notation import to_svg
    from music.rendering.sound import render_wav

    # Both load their engines when they are first used.
    to_svg(WALKING)
    with suppress(ValueError):  # without a soundfont the page says what is missing
        render_wav(WALKING)


def main() -> None:
    """Be the `streamlit` command, well prepared."""
    from streamlit.web.cli import main as streamlit

    load_libraries()
    streamlit(prog_name="streamlit")


if __name__ == "__main__":
    # Python puts this file's folder on the path, not the one above, where the rooms are.
    sys.path.insert(0, ROOT)
    main()
