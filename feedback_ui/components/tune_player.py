"""The tune player: one melody to hear and, on request, to see; playing it silences all others.

`st.audio` lets two players sound at once and shows no notes.

To the page: an audio address made of a hash, a duration, a label and pictures (SVG that this
program drew; never a person's text). Nothing comes back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from feedback_ui.components.media import clip_data
from feedback_ui.components.parts import component_of
from feedback_ui.services.clips import Clip
from feedback_ui.services.notation import NOTES

LEAST_PX = {NOTES: 520}
"""width below which a picture cannot be read; on a narrow screen it then scrolls in its own box"""
_mount = component_of("tune_player", styles=["player"], scripts=["player"])


def tune_player(
    clip: Clip,
    *,
    key: str,
    label: str,
    pictures: Mapping[str, str] | None = None,
    opened: Collection[str] = (),
) -> None:
    """Mount a player.

    Args:
        clip: what is heard.
        key: its own on the page.
        label: what it is called, as text.
        pictures: name -> SVG; a button each opens and closes them.
        opened: names of the pictures that are open at first.
    """
    _mount(
        key=key,
        data={
            "label": label,
            "clip": clip_data(clip, f"{key}-clip"),
            "pictures": [
                {
                    "name": name,
                    "svg": svg,
                    "open": name in opened,
                    "least_px": LEAST_PX.get(name, 0),
                }
                for name, svg in (pictures or {}).items()
            ],
        },
    )
