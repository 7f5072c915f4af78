"""The tune player: one melody to hear and, on request, to see; playing it silences all others.

`st.audio` lets two players sound at once and shows no notes.

To the page: an audio address made of a hash, a duration, a label and pictures (SVG that this
program drew; never a person's text). Nothing comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from streamlit.components.v2 import component

from feedback_ui.clips import Clip
from feedback_ui.components.media import clip_data

_HERE = Path(__file__)
_mount = component(
    "tastemaker_tune_player",
    html=_HERE.with_suffix(".html").read_text("utf-8"),
    css=_HERE.with_suffix(".css").read_text("utf-8"),
    js=_HERE.with_suffix(".js").read_text("utf-8"),
)


def tune_player(
    clip: Clip, *, key: str, label: str, pictures: Mapping[str, str] | None = None
) -> None:
    """Mount a player.

    Args:
        clip: what is heard.
        key: its own on the page.
        label: what it is called, as text.
        pictures: name -> SVG; a button each opens and closes them.
    """
    _mount(
        key=key,
        data={
            "label": label,
            "clip": clip_data(clip, f"{key}-clip"),
            "pictures": [{"name": name, "svg": svg} for name, svg in (pictures or {}).items()],
        },
    )
