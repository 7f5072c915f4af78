"""Near-duplicates: strains that share half of their intervals' 7-grams or more.

Rhythm and key do not matter. A strain of fewer than eight notes has no 7-gram; it is like another
one that has the same intervals. Of near-duplicates the first stays. Tunes that share one belong to
one group, which goes to one side of the split, so that no variant of a held-out tune is trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from music.durations import DURATIONS_TICKS
from music.melody import PITCH_MAX, PITCH_MIN
from music.progress import Progress, no_progress
from music.tokens import FIRST_NOTE

GRAM_INTERVALS = 7
ALIKE = 0.5
"""Jaccard similarity from which on two strains are near-duplicates"""
PROGRESS_EVERY = 200
"""strains"""
_BITS = 7
_LARGEST_INTERVAL = PITCH_MAX - PITCH_MIN


def pitches_of(row: np.ndarray) -> np.ndarray:
    """The pitches of the notes among a melody's tokens, in semitones above `PITCH_MIN`; int64."""
    return (row[row >= FIRST_NOTE].astype(np.int64) - FIRST_NOTE) // len(DURATIONS_TICKS)


def interval_grams(pitches: np.ndarray) -> np.ndarray:
    """The different 7-grams of intervals of a melody's pitches, as numbers, ascending; uint64."""
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


@dataclass(frozen=True, slots=True)
class Overlap:
    """What a strain shares with those before it; for a copy, only with the first of its kind."""

    grams: int
    """different 7-grams of the strain"""
    others: np.ndarray
    """numbers of the strains that share a 7-gram, ascending"""
    shared: np.ndarray
    """how many each of them shares"""
    sizes: np.ndarray
    """how many different 7-grams each of them has"""

    def near(self) -> list[int]:
        """Those that it is a near-duplicate of."""
        union = self.grams + self.sizes - self.shared
        return self.others[self.shared >= ALIKE * union].tolist()

    def held_in(self) -> list[int]:
        """Those that share half of their 7-grams with it, or half of its own, as a part does."""
        smaller = np.minimum(self.grams, self.sizes)
        return self.others[self.shared >= ALIKE * smaller].tolist()


def overlaps(rows: Sequence[np.ndarray], *, progress: Progress = no_progress) -> Iterator[Overlap]:
    """What each strain, given by its tokens, shares with those before it, in order."""
    if not rows:
        return
    grams = [interval_grams(pitches_of(row)) for row in rows]
    first_with: dict[bytes, int] = {}
    firsts = [first_with.setdefault(mine.tobytes(), index) for index, mine in enumerate(grams)]
    # Whatever is near a copy is near the first of its kind: a book of copies takes no n² steps.
    originals = [index for index, first in enumerate(firsts) if first == index]
    sizes = np.array([len(mine) for mine in grams], np.int64)
    every = np.concatenate([grams[index] for index in originals])
    holder = np.repeat(np.array(originals), sizes[originals])
    order = np.argsort(every, kind="stable")  # of one gram, its holders ascend
    every, holder = every[order], holder[order]
    for index, mine in enumerate(grams):
        if index % PROGRESS_EVERY == 0:
            progress(index, len(grams))
        if firsts[index] != index:
            others, shared = np.array([firsts[index]]), np.array([len(mine)])
        else:
            low, high = (np.searchsorted(every, mine, side) for side in ("left", "right"))
            having = np.concatenate([holder[a:b] for a, b in zip(low, high, strict=True)])
            others, shared = np.unique(having[having < index], return_counts=True)
        yield Overlap(len(mine), others, shared, sizes[others])


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
