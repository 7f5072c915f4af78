"""Metres: how long their bars, beats and groups of beats are, in ticks (24 a quarter note).

Each metre has a token, so a metre that is added moves the ids of later tokens: CONTRIBUTING.md says
what has to follow.
"""

from __future__ import annotations

BAR_TICKS = {
    "2/2": 96,
    "3/2": 144,
    "2/4": 48,
    "3/4": 72,
    "4/4": 96,
    "5/4": 120,
    "6/4": 144,
    "3/8": 36,
    "6/8": 72,
    "7/8": 84,
    "9/8": 108,
    "12/8": 144,
}
"""metre -> length of a bar"""
BEAT_TICKS = {
    "2/2": 48,
    "3/2": 48,
    "2/4": 24,
    "3/4": 24,
    "4/4": 24,
    "5/4": 24,
    "6/4": 72,
    "3/8": 36,
    "6/8": 36,
    "7/8": 12,
    "9/8": 36,
    "12/8": 36,
}
"""metre -> length of a beat. Every bar has a whole number of equal beats: 7/8, whose groups are not
equal, is counted in eighths"""
GROUPS_TICKS = {
    meter: (beat,) * (BAR_TICKS[meter] // beat) for meter, beat in BEAT_TICKS.items()
} | {"5/4": (72, 48), "7/8": (36, 24, 24)}
"""metre -> lengths of the groups that beams and ties show, which together fill the bar. 5/4 is
grouped as 3 + 2 and 7/8 as 3 + 2 + 2, because the header does not say how"""
METERS = tuple(BAR_TICKS)
MAX_BAR_TICKS = max(BAR_TICKS.values())
