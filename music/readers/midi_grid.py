"""Putting the notes of a MIDI file on the grid, or finding that they were played without a beat.

A file whose times are whole ticks and whose notes and gaps have lengths that a melody may have is
taken as it is. One whose onsets lie on sixteenths, 32nds or triplets up to a rounding is only
rounded. Any other was played. Each quarter of it is then read in sixteenths or in triplet eighths:
the ones that its onsets lie nearer to, but with the weight of how often the whole file has each.
Where the onsets are still further from the grid than `MOST_OFF_TICKS` (the root of the mean
square), there is no beat. An end is moved to the next onset, or to the nearest sixteenth where a
quarter or more is silent.

The limit lies between what was measured on real melodies, played by code: docs/reading.md has it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import log, sqrt

from music.durations import is_sum_of_durations
from music.melody import TICKS_PER_QUARTER
from music.readers.tune import ReadError

ROUNDING_TICKS = Fraction(1, 4)
LEAST_ROUNDED = 0.95
"""share of onsets that lie on the fine grid up to `ROUNDING_TICKS` in a file that was not played"""
MOST_OFF_TICKS = 1.0
FINE_GRID = sorted({*range(0, TICKS_PER_QUARTER + 1, 3), *range(0, TICKS_PER_QUARTER + 1, 4)})
SIXTEENTHS = tuple(range(0, TICKS_PER_QUARTER + 1, 6))
TRIPLETS = tuple(range(0, TICKS_PER_QUARTER + 1, 8))
_ROUNDS = 4
_FIRST_TRIPLETS_SHARE = 0.2
_JITTER_TICKS = 0.8
"""standard deviation that is assumed where sixteenths and triplets are weighed"""


@dataclass(frozen=True, slots=True)
class MidiNote:
    """A note as played."""

    onset_ticks: Fraction
    end_ticks: Fraction
    midi: int


def on_grid(notes: Sequence[MidiNote]) -> tuple[list[MidiNote], int]:
    """The notes at whole ticks, and how many were moved by more than a rounding of the file.

    Raises:
        ReadError: for notes that were played without a beat.
    """
    if _lengths_are_exact(notes):
        return list(notes), 0
    rounded = [_nearest(note.onset_ticks, FINE_GRID) for note in notes]
    near = sum(
        abs(note.onset_ticks - at) <= ROUNDING_TICKS
        for note, at in zip(notes, rounded, strict=True)
    )
    onsets = rounded if near >= LEAST_ROUNDED * len(notes) else _played(notes)
    placed: list[MidiNote] = []
    moved = 0
    for note, onset in zip(notes, onsets, strict=True):
        end = _nearest(note.end_ticks, FINE_GRID)
        if abs(end - note.end_ticks) > ROUNDING_TICKS or onset != note.onset_ticks:
            moved += 1
            after = bisect_right(onsets, onset)
            following = onsets[after] if after < len(onsets) else None
            if abs(end - note.end_ticks) > ROUNDING_TICKS or onsets is not rounded:
                end = _nearest(note.end_ticks, SIXTEENTHS)
                if following is not None and following - note.end_ticks < TICKS_PER_QUARTER:
                    end = following
        if end <= onset:
            end = onset + FINE_GRID[1]
        placed.append(MidiNote(onset, end, note.midi))
    return placed, moved


def _lengths_are_exact(notes: Sequence[MidiNote]) -> bool:
    """Whether all times are whole ticks, and each note and gap after it may be in a melody.

    Of notes that overlap only their own lengths count.
    """
    onsets = sorted({note.onset_ticks for note in notes})
    for note in notes:
        after = bisect_left(onsets, note.end_ticks)
        gap = onsets[after] - note.end_ticks if after < len(onsets) else Fraction(0)
        length = note.end_ticks - note.onset_ticks
        if any(ticks.denominator != 1 for ticks in (note.onset_ticks, length, gap)):
            return False
        # What is longer than a quarter is a sum of durations, whatever its length.
        if not is_sum_of_durations(min(int(length), TICKS_PER_QUARTER)):
            return False
        if gap and not is_sum_of_durations(min(int(gap), TICKS_PER_QUARTER)):
            return False
    return True


def _played(notes: Sequence[MidiNote]) -> list[Fraction]:
    """The onsets of a performance on the grid.

    Raises:
        ReadError: where they lie too far from it.
    """
    quarters: dict[int, list[Fraction]] = defaultdict(list)
    for note in notes:  # an onset just before a beat belongs to it
        quarters[int((note.onset_ticks + 3) // TICKS_PER_QUARTER)].append(note.onset_ticks)
    costs: dict[int, tuple[float, float]] = {}
    for quarter, onsets in quarters.items():
        start = quarter * TICKS_PER_QUARTER
        sixteenths, triplets = (
            sum(min(float(onset - start - at) ** 2 for at in grid) for onset in onsets)
            / (2 * _JITTER_TICKS**2)
            for grid in (SIXTEENTHS, TRIPLETS)
        )
        costs[quarter] = sixteenths, triplets
    share = _FIRST_TRIPLETS_SHARE
    in_triplets: set[int] = set()
    for _ in range(_ROUNDS):
        odds = log((1 - share) / share)
        in_triplets = {quarter for quarter, (s, t) in costs.items() if t + odds < s}
        share = (len(in_triplets) + 0.5) / (len(costs) + 1)
    placed: list[Fraction] = []
    for note in notes:
        quarter = int((note.onset_ticks + 3) // TICKS_PER_QUARTER)
        grid = TRIPLETS if quarter in in_triplets else SIXTEENTHS
        start = quarter * TICKS_PER_QUARTER
        inside = note.onset_ticks - start
        placed.append(Fraction(start + min(grid, key=lambda at: abs(at - inside))))
    square = sum(float(at - note.onset_ticks) ** 2 for at, note in zip(placed, notes, strict=True))
    off_ticks = sqrt(square / len(notes))
    if off_ticks > MOST_OFF_TICKS:
        raise ReadError(
            "no beat",
            f"the onsets are {off_ticks:.2f} ticks (24 a quarter) off the nearest sixteenths or "
            f"triplets, and {MOST_OFF_TICKS:g} is the most: it was played without a beat; "
            "quantise it first",
        )
    return sorted(placed)


def _nearest(time: Fraction, grid: Sequence[int]) -> Fraction:
    quarters, inside = divmod(time, TICKS_PER_QUARTER)
    return Fraction(quarters * TICKS_PER_QUARTER + min(grid, key=lambda g: abs(g - inside)))
