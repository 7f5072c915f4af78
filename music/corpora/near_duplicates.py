"""Near-duplicates: strains that share half of their intervals' 7-grams or more.

Rhythm and key do not matter. A strain of fewer than eight notes has no 7-gram; it is like another
one that has the same intervals. Of near-duplicates the first stays. Tunes that share one belong to
one group, which goes to one side of the split, so that no variant of a held-out tune is trained on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from music.melody import PITCH_MAX, PITCH_MIN, Melody
from music.progress import Progress, no_progress

GRAM_INTERVALS = 7
ALIKE = 0.5
"""Jaccard similarity from which on two strains are near-duplicates"""
_BITS = 7
_LARGEST_INTERVAL = PITCH_MAX - PITCH_MIN


def interval_grams(melody: Melody) -> np.ndarray:
    """The melody's different 7-grams of intervals as numbers, ascending; uint64."""
    pitches = np.array([note.pitch for note in melody.notes], np.int64)
    steps = (np.diff(pitches) + _LARGEST_INTERVAL).astype(np.uint64)  # 0 to 72: seven bits
    short = len(steps) < GRAM_INTERVALS
    size = max(len(steps), 1) if short else GRAM_INTERVALS
    padded = steps if len(steps) else np.zeros(1, np.uint64)
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)  # (grams, size)
    places = np.uint64(_BITS) * np.arange(size, dtype=np.uint64)
    grams = np.bitwise_or.reduce(windows << places, axis=1)
    if short:  # another length, another number
        grams |= np.uint64((len(steps) + 1) << (_BITS * GRAM_INTERVALS))
    return np.unique(grams)


def near_duplicates(
    melodies: Sequence[Melody], *, progress: Progress = no_progress
) -> list[list[int]]:
    """For each strain the numbers of those before it that it is a near-duplicate of.

    For a copy, only the first strain that has all its 7-grams is named.
    """
    grams = [interval_grams(melody) for melody in melodies]
    first_with: dict[bytes, int] = {}
    firsts = [first_with.setdefault(mine.tobytes(), index) for index, mine in enumerate(grams)]
    # Whatever is near a copy is near the first of its kind: a book of copies takes no n² steps.
    originals = [index for index, first in enumerate(firsts) if first == index]
    sizes = np.array([len(mine) for mine in grams], np.int64)
    if not originals:
        return []
    every = np.concatenate([grams[index] for index in originals])
    holder = np.repeat(np.array(originals), sizes[originals])
    order = np.argsort(every, kind="stable")  # of one gram, its holders ascend
    every, holder = every[order], holder[order]
    near: list[list[int]] = []
    for index, mine in enumerate(grams):
        if index % 500 == 0:
            progress(index, len(grams))
        if firsts[index] != index:
            near.append([firsts[index]])
            continue
        low, high = np.searchsorted(every, mine, "left"), np.searchsorted(every, mine, "right")
        having = np.concatenate([holder[a:b] for a, b in zip(low, high, strict=True)])
        others, both = np.unique(having[having < index], return_counts=True)
        alike = both >= ALIKE * (len(mine) + sizes[others] - both)
        near.append(others[alike].tolist())
    return near


class Groups:
    """Tunes in groups that grow together (union-find)."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def root(self, tune: int) -> int:
        """The smallest number of the tunes in the group of this one."""
        parent = self._parent
        parent.setdefault(tune, tune)
        while parent[tune] != tune:
            parent[tune] = parent[parent[tune]]
            tune = parent[tune]
        return tune

    def join(self, tune: int, other: int) -> None:
        """Make the groups of two tunes one."""
        one, two = self.root(tune), self.root(other)
        self._parent[max(one, two)] = min(one, two)
