"""Durations: the values that one token has, and how a longer or odd one is written as several.

A segment (a note, a rest, or the part of it inside one bar) lasts a sum of grid values. A value on
the grid is one token. Any other is split into the fewest tokens, and of those splits the one with
the largest first token, then the largest second, and so on. What begins a split is then itself the
split of its sum: otherwise the better split of that sum, put in its place, would give a better
split of the whole. So what may continue a segment depends only on how long it has lasted.
"""

from __future__ import annotations

from functools import lru_cache

from music.metre import MAX_BAR_TICKS

DURATIONS_TICKS = (3, 4, 6, 8, 9, 12, 16, 18, 24, 30, 36, 42, 48, 60, 72, 96, 108)
"""the grid: durations that one token has"""


def _splits() -> dict[int, tuple[int, ...]]:
    """The split of each duration that has one, up to the longest bar."""
    splits: dict[int, tuple[int, ...]] = {0: ()}
    for ticks in range(1, MAX_BAR_TICKS + 1):
        found = [(d, *splits[ticks - d]) for d in DURATIONS_TICKS if ticks - d in splits]
        if found:
            splits[ticks] = min(found, key=lambda split: (len(split), [-d for d in split]))
    return splits


SPLITS_TICKS = _splits()
"""duration of a segment -> durations of its tokens; 0 has none"""


def is_sum_of_durations(ticks: int) -> bool:
    """Whether a segment of a bar may last so long."""
    return ticks > 0 and ticks in SPLITS_TICKS


@lru_cache(maxsize=MAX_BAR_TICKS + 1)
def continuations(lasted_ticks: int) -> tuple[int, ...]:
    """Durations of the tokens that may continue a segment that has lasted so long."""
    begun = SPLITS_TICKS[lasted_ticks]
    return tuple(d for d in DURATIONS_TICKS if SPLITS_TICKS.get(lasted_ticks + d) == (*begun, d))
