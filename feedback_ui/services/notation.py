"""A melody to see: its score and its piano roll, by the names that people read on the buttons."""

from __future__ import annotations

from collections.abc import Sequence

from music.formats.notation import to_svg
from music.melody import Melody
from music.rendering.piano_roll import piano_roll_svg

NOTES, PIANO_ROLL = "Notes", "Piano roll"
_DRAW = {NOTES: to_svg, PIANO_ROLL: piano_roll_svg}


def pictures_of(melody: Melody, names: Sequence[str] = (NOTES, PIANO_ROLL)) -> dict[str, str]:
    """Name -> SVG that this program drew, in the order of `names`."""
    return {name: _DRAW[name](melody) for name in names}
