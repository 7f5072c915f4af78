"""The tune player: plays one melody and shows its notes on request; playing it stops all others.

`st.audio` lets two players sound at once and cannot show notes.

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
"""least width of a picture that can be read; on a narrower screen it scrolls in its own box"""
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
        clip: the sound.
        key: unique on the page.
        label: its name, as text.
        pictures: name -> SVG; each gets a button that opens and closes it.
        opened: names of the pictures that are open at the start.
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
