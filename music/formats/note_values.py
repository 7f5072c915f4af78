"""Note values: which printed notes last as long as a note or rest of a melody, tied to one another.

Most durations have a note value of their own, plain, with one dot or two, or in a triplet. All
others are written as several. Of the ways to do so the cheapest is taken, where

- each value costs `VALUE_COST`;
- each place where two meet costs the less the stronger it is in the bar: nothing where a group of
  the metre begins, most off the grid of thirty-seconds;
- a value that hides a place stronger than its own costs 1;
- a value off its own grid costs `OFF_GRID_COST`: a plain one that begins inside a triplet, and one
  of a triplet that begins beside it or reaches over its end. So a triplet is completed by what
  follows wherever it can be: 32 ticks are a quarter and a triplet eighth on the beat, but after two
  triplet eighths they are a triplet eighth and a quarter;
- of equally cheap ways the one with the longest first value is taken, and so on.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate

from music.metre import GROUPS_TICKS

PLAIN_TICKS = (3, 6, 9, 12, 18, 24, 36, 48, 72, 96, 144)
TRIPLET_TICKS = (4, 8, 16)
"""a sixteenth, an eighth and a quarter of a triplet"""
DOUBLE_DOTTED_TICKS = (42,)
"""printed where a note lasts so long, but no part of a longer one"""
VALUE_COST = 3
OFF_GRID_COST = 4
_PARTS_TICKS = (*PLAIN_TICKS, *TRIPLET_TICKS)


@lru_cache(maxsize=8192)
def note_values(duration_ticks: int, onset_ticks: int, meter: str) -> tuple[int, ...]:
    """The durations of the printed notes, in order; each is in one of the three tuples above.

    Args:
        duration_ticks: of the note or rest inside the bar, a sum of grid values.
        onset_ticks: from the barline before it.
        meter: one of `music.metre.METERS`.
    """
    if duration_ticks in (*_PARTS_TICKS, *DOUBLE_DOTTED_TICKS):
        return (duration_ticks,)
    # best[k]: cost of the first k ticks, and their values, negative so that long ones come first.
    best: dict[int, tuple[int, tuple[int, ...]]] = {0: (0, ())}
    for end in range(1, duration_ticks + 1):
        ways = [
            (cost + _cost(onset_ticks + end - ticks, ticks, meter), (*values, -ticks))
            for ticks in _PARTS_TICKS
            if end - ticks in best
            for cost, values in [best[end - ticks]]
        ]
        if ways:
            best[end] = min(ways)
    return tuple(-ticks for ticks in best[duration_ticks][1])


@lru_cache(maxsize=65536)
def _cost(onset_ticks: int, ticks: int, meter: str) -> int:
    """Of one value, with the place where it meets the one before it."""
    into = onset_ticks - _group_start(onset_ticks, meter)
    if ticks in TRIPLET_TICKS:
        # Or an eighth beside a sixteenth, a quarter beside an eighth, under a shorter bracket.
        half = ticks // 2
        fits = into % ticks == 0 or (ticks > 4 and into % half == 0 and into % (3 * half) <= half)
    else:
        fits = into % 3 == 0
    weakness = _weakness(onset_ticks, meter)
    inside = range(onset_ticks + 1, onset_ticks + ticks)
    hides = any(_weakness(place, meter) < weakness for place in inside)
    return VALUE_COST + weakness + hides + OFF_GRID_COST * (not fits)


@lru_cache(maxsize=2048)
def _group_start(onset_ticks: int, meter: str) -> int:
    """Where the group of the metre begins in which a place of the bar lies."""
    starts = (0, *accumulate(GROUPS_TICKS[meter]))
    return max(start for start in starts if start <= onset_ticks)


@lru_cache(maxsize=2048)
def _weakness(onset_ticks: int, meter: str) -> int:
    """Of a place in the bar: 0 where a group begins, up to 5 off the grid of thirty-seconds."""
    if onset_ticks == _group_start(onset_ticks, meter):
        return 0
    steps = (24, 12, 6, 3)
    return next((place for place, step in enumerate(steps, 1) if onset_ticks % step == 0), 5)
