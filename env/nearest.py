"""The nearest legal token: what is written in place of an action that may not come.

A token is a point: what it is (note, rest, hold or another), its pitch and how long it lasts. What
has no pitch stands on the tonic, what has no duration lasts a quarter.

Letters: V vocabulary.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from music.melody import PITCH_MIN, TICKS_PER_QUARTER
from music.tokens import (
    DURATION_OF_ID,
    DURATIONS_TICKS,
    FIRST_HOLD,
    FIRST_NOTE,
    FIRST_REST,
    VOCABULARY,
)

_IDS = np.arange(len(VOCABULARY))
_KIND = np.searchsorted([FIRST_REST, FIRST_HOLD, FIRST_NOTE], _IDS, side="right")
_PITCH = np.where(_IDS >= FIRST_NOTE, PITCH_MIN + (_IDS - FIRST_NOTE) // len(DURATIONS_TICKS), 0)
_TICKS = np.where(DURATION_OF_ID > 0, DURATION_OF_ID, TICKS_PER_QUARTER)
# Each of the three outweighs the next: pitches are at most 36 apart, durations at most 105 ticks.
_KIND_WEIGHT, _PITCH_WEIGHT = 1_000_000, 1_000


def nearest_legal(legal_V: np.ndarray) -> np.ndarray:
    """For each token the legal one that stands in for it; int64 (V,).

    Args:
        legal_V: bool, a row of a policy's mask table.

    The same kind before a note before another kind; then the nearest pitch; then the nearest
    duration, of two as near the shorter. A legal token stands for itself.
    """
    return _nearest(legal_V.tobytes())


@cache
def _nearest(legal_V: bytes) -> np.ndarray:
    legal = np.flatnonzero(np.frombuffer(legal_V, bool))
    other_kind = (_KIND[:, None] != _KIND[legal]) * np.where(legal >= FIRST_NOTE, 1, 2)
    distance = (
        other_kind * _KIND_WEIGHT
        + abs(_PITCH[:, None] - _PITCH[legal]) * _PITCH_WEIGHT
        + abs(_TICKS[:, None] - _TICKS[legal])
    )
    nearest = legal[distance.argmin(1)]
    nearest[legal] = legal  # header tokens are all at one point
    return nearest
