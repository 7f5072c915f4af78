"""Tokens of version 0.1.0, and which tokens of today mean the same.

Version 0.1.0 had 709 tokens: five metres, four modes, eight tune types, melodies of 4, 8 and 16
bars, and seven pickups. Each of them has a token today, so whatever was written then can be read.
Corpus files, databases, exports and policies of that version hold its ids.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from music.durations import DURATIONS_TICKS
from music.styles import SHIPPED_STYLES
from music.tokens import ID, PITCHES

EARLIER_VOCABULARY: tuple[str, ...] = (
    "PAD",
    "BOS",
    "EOS",
    *(f"METER_{meter}" for meter in ("4/4", "2/4", "3/4", "6/8", "9/8")),
    *(f"MODE_{mode}" for mode in ("major", "minor", "dorian", "mixolydian")),
    *(
        f"TYPE_{tune_type}"
        for tune_type in (
            "reel", "jig", "slipjig", "hornpipe", "strathspey", "march", "waltz", "other",
        )
    ),
    *(f"BARS_{bars}" for bars in (4, 8, 16)),
    *(f"PICKUP_{ticks}" for ticks in (0, 6, 12, 18, 24, 36, 48)),
    *(f"BAR_{left}" for left in range(1, 17)),
    *(f"REST_{ticks}" for ticks in DURATIONS_TICKS),
    *(f"HOLD_{ticks}" for ticks in DURATIONS_TICKS),
    *(f"NOTE_{pitch}_{ticks}" for pitch, ticks in product(PITCHES, DURATIONS_TICKS)),
)  # fmt: skip


def name_today(earlier_name: str) -> str:
    """Name today of a token that version 0.1.0 called so; a tune type is a style now."""
    kind, _, value = earlier_name.partition("_")
    return f"STYLE_{SHIPPED_STYLES.slot(value)}" if kind == "TYPE" else earlier_name


TODAY_OF_EARLIER = np.array([ID[name_today(name)] for name in EARLIER_VOCABULARY], np.uint16)
"""id in version 0.1.0 -> id today; uint16 (709,)"""
