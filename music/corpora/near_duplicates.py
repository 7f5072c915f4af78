"""Near-duplicates: strains that share half of their intervals' 7-grams or more.

Rhythm and key do not matter. Of near-duplicates the first stays. Tunes that share one belong to one
group, which goes to one side of the split, so that no variant of a held-out tune is trained on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

from music.melody import Melody


def interval_grams(melody: Melody, size: int = 7) -> frozenset[tuple[int, ...]]:
    """The melody's interval n-grams, by which near-duplicates are known."""
    pitches = [note.pitch for note in melody.notes]
    steps = [b - a for a, b in pairwise(pitches)]
    return frozenset(tuple(steps[i : i + size]) for i in range(len(steps) - size + 1))


def group_and_dedupe(
    melodies: Sequence[Melody], tunes: Sequence[int]
) -> tuple[dict[int, int], list[int]]:
    """Groups of tunes joined by near-duplicates, and the strains kept (first of each kind)."""
    parent = {tune: tune for tune in tunes}

    def root(tune: int) -> int:
        while parent[tune] != tune:
            parent[tune] = parent[parent[tune]]
            tune = parent[tune]
        return tune

    holders: dict[tuple[int, ...], list[int]] = defaultdict(list)
    grams = [interval_grams(melody) for melody in melodies]
    kept: list[int] = []
    first_with: dict[frozenset[tuple[int, ...]], int] = {}
    for index, mine in enumerate(grams):
        # Whatever is near a copy is near the first of its kind: a book of copies takes no n² steps.
        first = first_with.setdefault(mine, index)
        if mine and first != index:
            parent[root(tunes[index])] = root(tunes[first])
            continue
        shared = Counter(other for gram in mine for other in holders[gram])
        near = [o for o, n in shared.items() if n / (len(mine) + len(grams[o]) - n) >= 0.5]
        for other in near:
            parent[root(tunes[index])] = root(tunes[other])
        if mine and not near:
            kept.append(index)
        for gram in mine:
            holders[gram].append(index)
    smallest: dict[int, int] = {}
    for tune in sorted(parent):
        smallest.setdefault(root(tune), tune)
    return {tune: smallest[root(tune)] for tune in parent}, kept
