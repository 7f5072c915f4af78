"""Originality: how much of a melody occurs in the training tunes, and where.

From the second note on, each note becomes a symbol: the interval that leads to it and its exact
duration. A run of L symbols is L + 1 notes, and the first of them may have any duration.
Transposing a melody changes nothing; halving all durations makes it a different melody. Rests are
ignored.

`found_share` is the share of a melody's n-grams of symbols that occur in the training tunes, and
`originality` is 1 minus it. `longest_run_notes` is the longest run that occurs in one training
strain. Folk tunes share many figures, so these numbers mean little alone. Report them with those of
held-out human tunes, which `compare_originality` computes.

The index is a suffix array, so results are exact; there are no hashes that could collide.

Letters: N melodies, S symbols of all training strains with a separator after each, Q symbols asked
for. Literature: Yin, Reuben, Stepney and Collins, Measuring When a Music Generation Algorithm
Copies Too Much, SN Computer Science 3 (2022); Manber and Myers, Suffix arrays, SIAM J. Computing 22
(1993).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from music.melody import Melody
from music.note_table import interval_duration_symbols, note_table


@dataclass(frozen=True, slots=True)
class Originality:
    """What occurs in the training tunes, for each melody; each array is (N,)."""

    n: int
    """symbols in an n-gram; it spans n + 1 notes"""
    found_share: np.ndarray
    """share of n-grams found in training, float64; NaN for melodies of fewer than n + 1 notes"""
    longest_run_notes: np.ndarray
    """notes of the longest run that occurs in one training strain; 0 if shorter than two"""
    run_start_note: np.ndarray
    """number of the note in the melody with which the run begins"""
    training_strain: np.ndarray
    """number of the first strain of the index that has the run; -1 without a run"""
    training_start_note: np.ndarray
    """number of the note in that strain with which the run begins; -1 without a run"""

    @property
    def originality(self) -> np.ndarray:
        """1 - found share; float64 (N,)."""
        return 1 - self.found_share


@dataclass(frozen=True)
class TrainingIndex:
    """Every run of symbols in the training strains, sorted; build one with `from_melodies`."""

    n: int
    kinds: np.ndarray
    """the different symbols, ascending"""
    ranks: tuple[np.ndarray, ...]
    """ranks[k][i]: order of the 2**k symbols from place i among all such; int64 (S,) each"""
    pairs: tuple[np.ndarray, ...]
    """pairs[k]: the different pairs of ranks[k] that make ranks[k + 1], packed and ascending"""
    suffixes: np.ndarray
    """places in the order of all that follows them; (S,)"""
    strain_starts: np.ndarray
    """place of each strain's first symbol, and S at the end; (strains + 1,)"""

    @classmethod
    def from_melodies(cls, melodies: Sequence[Melody], n: int = 8) -> TrainingIndex:
        """Index the training strains; their numbers are their places in `melodies`.

        Raises:
            ValueError: for no melodies, or n below 1.
        """
        if n < 1:
            raise ValueError(f"n={n} is not a length of n-grams; choose 1 or more")
        symbols, of, lengths = _symbols(melodies)
        kinds, codes = np.unique(symbols, return_inverse=True)
        # A separator after each strain, which no query contains, so that no run spans two strains.
        text = np.full(len(codes) + len(lengths), len(kinds))
        places = np.arange(len(codes)) + of
        text[places] = codes
        _, rank = np.unique(text, return_inverse=True)
        ranks, pairs, reach = [rank], [], 1
        while reach < max(int(lengths.max()), n):
            after = np.append(rank[reach:], np.zeros(min(reach, len(rank)), np.int64))
            pair, rank = np.unique(_pack(rank, after), return_inverse=True)
            pairs.append(pair)
            ranks.append(rank)
            reach *= 2
        starts = np.concatenate([[0], np.cumsum(lengths + 1)])
        return cls(n, kinds, tuple(ranks), tuple(pairs), np.argsort(rank, kind="stable"), starts)

    def __len__(self) -> int:
        """Number of strains."""
        return len(self.strain_starts) - 1

    def longest_matches(self, symbols: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, ...]:
        """The longest match in training of what follows each symbol, no further than its melody.

        Args:
            symbols: int64 (Q,), melodies end to end.
            ends: place where each symbol's melody ends; (Q,).

        Returns:
            Length in symbols, and the first and last-but-one places in `suffixes` of the runs that
            match; three int64 (Q,).
        """
        place = np.arange(len(symbols))
        asked = self._ranks_of(symbols, ends)
        length = np.zeros(len(symbols), np.int64)
        low, high = np.zeros_like(length), np.full_like(length, len(self.suffixes))
        # Binary lifting: the greatest length is a sum of falling powers of two.
        for k in range(len(asked) - 1, -1, -1):
            at = place + length
            wanted = np.where(at < ends, asked[k][np.minimum(at, len(symbols) - 1)], -1)
            left = self._bound(k, length, low, high, wanted)
            right = self._bound(k, length, left, high, wanted + 1)
            longer = (wanted >= 0) & (right > left)
            low, high = np.where(longer, left, low), np.where(longer, right, high)
            length = np.where(longer, length + (1 << k), length)
        return length, low, high

    def _ranks_of(self, symbols: np.ndarray, ends: np.ndarray) -> list[np.ndarray]:
        """The rank in training of the 2**k symbols from each place, -1 where they are not in it."""
        place = np.arange(len(symbols))
        rank = _find(self.kinds, symbols)
        asked = [rank]
        for k, pair in enumerate(self.pairs):
            reach = 1 << k
            inside = place + 2 * reach <= ends
            second = np.where(inside, rank[np.minimum(place + reach, len(rank) - 1)], -1)
            known = (rank >= 0) & (second >= 0)
            rank = np.where(known, _find(pair, _pack(rank, second)), -1)
            asked.append(rank)
        return asked

    def _bound(
        self, k: int, length: np.ndarray, low: np.ndarray, high: np.ndarray, wanted: np.ndarray
    ) -> np.ndarray:
        """First place in each slice low:high of the suffixes that goes on with `wanted` or above.

        All suffixes of a slice agree in `length` symbols, so ranks[k] after those ascends within
        it.
        """
        low, high = low.copy(), high.copy()
        while (open_ := low < high).any():
            middle = (low + high) // 2
            after = self.suffixes[np.minimum(middle, len(self.suffixes) - 1)] + length
            below = self.ranks[k][np.minimum(after, len(self.suffixes) - 1)] < wanted
            low = np.where(open_ & below, middle + 1, low)
            high = np.where(open_ & ~below, middle, high)
        return low

    def locate(self, place: int) -> tuple[int, int]:
        """Strain, and note in it, with which a run of symbols at this place begins."""
        strain = int(np.searchsorted(self.strain_starts, place, side="right")) - 1
        return strain, place - int(self.strain_starts[strain])


def originality(melodies: Sequence[Melody], index: TrainingIndex) -> Originality:
    """How much of each melody occurs in the training strains of the index.

    Raises:
        ValueError: for no melodies.
    """
    symbols, of, lengths = _symbols(melodies)
    stops = np.cumsum(lengths)
    ends = stops[of]
    match, low, high = index.longest_matches(symbols, ends)
    whole = np.arange(len(symbols)) + index.n <= ends
    grams = np.bincount(of[whole], minlength=len(lengths))
    found = np.bincount(of[whole], match[whole] >= index.n, len(lengths))
    share = np.divide(found, grams, out=np.full(len(lengths), np.nan), where=grams > 0)
    runs = np.zeros((4, len(lengths)), np.int64)
    for number, (start, stop) in enumerate(zip(stops - lengths, stops, strict=True)):
        best = start + int(match[start:stop].argmax()) if stop > start else -1
        if best < 0 or match[best] == 0:
            runs[:, number] = 0, 0, -1, -1
            continue
        place = int(index.suffixes[low[best] : high[best]].min())
        runs[:, number] = match[best] + 1, best - start, *index.locate(place)
    return Originality(index.n, share, *runs)


def compare_originality(
    samples: Sequence[Melody], held_out: Sequence[Melody], index: TrainingIndex
) -> dict[str, dict[str, float]]:
    """Originality of samples and of held-out human tunes, by the same index.

    Returns:
        For "samples" and "held_out": `melodies`, the mean `originality` and its standard error
        `originality_standard_error`, `found_share`, the mean, 95th percentile and maximum of
        `longest_run_notes`, and `half_copied_share`, the share of melodies of which one run takes
        half the notes or more.

    Raises:
        ValueError: when either has no melodies.
    """
    return {
        name: _summary(melodies, originality(melodies, index))
        for name, melodies in (("samples", samples), ("held_out", held_out))
    }


def _summary(melodies: Sequence[Melody], result: Originality) -> dict[str, float]:
    known = result.originality[~np.isnan(result.originality)]
    run = result.longest_run_notes
    notes = np.array([len(melody.notes) for melody in melodies])
    mean = float(known.mean()) if len(known) else np.nan
    return {
        "melodies": float(len(melodies)),
        "originality": mean,
        "originality_standard_error": (
            float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else np.nan
        ),
        "found_share": 1 - mean,
        "longest_run_notes_mean": float(run.mean()),
        "longest_run_notes_p95": float(np.percentile(run, 95)),
        "longest_run_notes_max": float(run.max()),
        "half_copied_share": float(np.mean(2 * run >= notes)),
    }


def _symbols(melodies: Sequence[Melody]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Symbols of melodies end to end (Q,), the melody of each (Q,), and lengths (N,)."""
    table = note_table(melodies)
    later = np.ones(len(table.of), bool)
    later[table.first] = False
    return interval_duration_symbols(table)[later], table.of[later], table.count - 1


def _pack(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Two ranks as one integer in the order of the pair; ranks are below 2**31."""
    return first << 31 | second


def _find(ascending: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Place of each value in an ascending array, -1 where it is not in it."""
    if len(ascending) == 0:
        return np.full(len(values), -1)
    place = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.where(ascending[place] == values, place, -1)
