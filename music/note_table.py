"""The notes of many melodies, concatenated into arrays; yardsticks are computed on them.

A few numpy calls for thousands of melodies are much faster than a few calls for each melody. Every
yardstick takes `Melodies` (one melody, several, or a `NoteTable`) and returns float64 (N,), with
NaN where it is undefined (such as the steps of a melody of one note).

Letters: N melodies, M notes of all of them, I intervals (M - N), C cells (notes cut at barlines).
Units: ticks (24 a quarter), semitones above the tonic. All arrays are int64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from music.melody import MODES, PITCH_MAX, PITCH_MIN, Melody

QUARTERS = 4
_CELL_HELD_BITS, _CELL_DURATION_BITS = 1, 8


@dataclass(frozen=True, slots=True)
class Cells:
    """Notes cut at the barlines, in order; each field is (C,)."""

    of: np.ndarray
    """number of the melody"""
    bar: np.ndarray
    """-1 for the pickup, then 0, 1, …"""
    pitch: np.ndarray
    rhythm: np.ndarray
    """offset in the bar, duration, and whether it is tied to the previous bar, as one integer"""


@dataclass(frozen=True)
class NoteTable:
    """N melodies as arrays; build one with `note_table`."""

    of: np.ndarray
    """number of the melody of each note; (M,), ascending"""
    onset: np.ndarray
    """ticks from the first downbeat; (M,)"""
    duration: np.ndarray
    """ticks; (M,)"""
    pitch: np.ndarray
    """semitones above the tonic; (M,)"""
    count: np.ndarray
    """notes of each melody, at least 1; (N,)"""
    bars: np.ndarray
    """(N,)"""
    bar_ticks: np.ndarray
    """(N,)"""
    beat_ticks: np.ndarray
    """(N,)"""
    pickup_ticks: np.ndarray
    """(N,)"""
    mode: np.ndarray
    """index into `MODES`; (N,)"""

    def __len__(self) -> int:
        """Number of melodies."""
        return len(self.count)

    @cached_property
    def first(self) -> np.ndarray:
        """Place of each melody's first note; (N,)."""
        return np.cumsum(self.count) - self.count

    @cached_property
    def last(self) -> np.ndarray:
        """Place of each melody's last note; (N,)."""
        return np.cumsum(self.count) - 1

    @cached_property
    def end(self) -> np.ndarray:
        """Tick at which each note stops; (M,)."""
        return self.onset + self.duration

    @cached_property
    def total_ticks(self) -> np.ndarray:
        """Length of each melody, pickup and rests included; (N,)."""
        return self.bars * self.bar_ticks

    @cached_property
    def until_next(self) -> np.ndarray:
        """Ticks from each note's onset to the next one's, of the last note to the end; (M,)."""
        following = np.append(self.onset[1:], 0)
        following[self.last] = self.total_ticks - self.pickup_ticks
        return following - self.onset

    @cached_property
    def quarter(self) -> np.ndarray:
        """Quarter of the melody, 0 to 3 by bars, where each note begins; -1 in a pickup; (M,)."""
        bar = self.onset // self.bar_ticks[self.of]
        return np.maximum(QUARTERS * bar // self.bars[self.of], -1)

    @cached_property
    def _inner(self) -> np.ndarray:
        return self.of[1:] == self.of[:-1]

    @cached_property
    def interval(self) -> np.ndarray:
        """Semitones from each note to the next of its melody; (I,)."""
        return np.diff(self.pitch)[self._inner]

    @cached_property
    def interval_of(self) -> np.ndarray:
        """Number of the melody of each interval; (I,)."""
        return self.of[1:][self._inner]

    @cached_property
    def cells(self) -> Cells:
        """The notes cut at the barlines."""
        bar_ticks = self.bar_ticks[self.of]
        first_bar = self.onset // bar_ticks
        parts = (self.end - 1) // bar_ticks - first_bar + 1
        note = np.repeat(np.arange(len(self.of)), parts)
        part = np.arange(len(note)) - np.repeat(np.cumsum(parts) - parts, parts)
        bar = first_bar[note] + part
        begin = np.maximum(self.onset[note], bar * bar_ticks[note])
        stop = np.minimum(self.end[note], (bar + 1) * bar_ticks[note])
        offset = begin - bar * bar_ticks[note]
        rhythm = (offset << _CELL_DURATION_BITS | (stop - begin)) << _CELL_HELD_BITS | (part > 0)
        return Cells(self.of[note], bar, self.pitch[note], rhythm)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum over the notes of each melody; (M,) -> float64 (N,)."""
        return np.bincount(self.of, values, len(self))

    def shares(self, is_so: np.ndarray) -> np.ndarray:
        """Share of each melody's notes for which it is so; bool (M,) -> float64 (N,)."""
        return self.sums(is_so) / self.count

    def interval_means(self, values: np.ndarray) -> np.ndarray:
        """Mean over each melody's intervals, NaN where it has none; (I,) -> float64 (N,)."""
        total = np.bincount(self.interval_of, values, len(self))
        return divide(total, self.count - 1)


Melodies = Melody | Sequence[Melody] | NoteTable
"""what a yardstick takes"""


def note_table(melodies: Melodies) -> NoteTable:
    """The table of one melody or several; a table is returned unchanged.

    Raises:
        ValueError: for no melodies.
    """
    if isinstance(melodies, NoteTable):
        return melodies
    if isinstance(melodies, Melody):
        melodies = [melodies]
    if len(melodies) == 0:
        raise ValueError("there are no melodies to measure; give one or more")
    values = chain.from_iterable(
        (note.onset_ticks, note.duration_ticks, note.pitch)
        for melody in melodies
        for note in melody.notes
    )
    onset, duration, pitch = np.fromiter(values, np.int64).reshape(-1, 3).T
    headers = [melody.header for melody in melodies]
    count = np.array([len(melody.notes) for melody in melodies])
    return NoteTable(
        of=np.repeat(np.arange(len(melodies)), count),
        onset=np.ascontiguousarray(onset),
        duration=np.ascontiguousarray(duration),
        pitch=np.ascontiguousarray(pitch),
        count=count,
        bars=np.array([header.bars for header in headers]),
        bar_ticks=np.array([header.bar_ticks for header in headers]),
        beat_ticks=np.array([header.beat_ticks for header in headers]),
        pickup_ticks=np.array([header.pickup_ticks for header in headers]),
        mode=np.array([MODES.index(header.mode) for header in headers]),
    )


def divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """`top / bottom`, NaN where the bottom is 0; float64."""
    out = np.full(np.broadcast(top, bottom).shape, np.nan)
    return np.divide(top, bottom, out=out, where=np.asarray(bottom) != 0)


def entropy_bits(of: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Entropy of each melody's values in bits, NaN without any; two (X,) -> float64 (size,)."""
    if len(values) == 0:
        return np.full(size, np.nan)
    low = int(values.min())
    width = int(values.max()) - low + 1
    kinds, counts = np.unique(of * width + (values - low), return_counts=True)
    owner = kinds // width
    total = np.bincount(owner, counts, size)
    share = counts / total[owner]
    # The + 0.0 turns the -0.0 of a single kind into 0.0.
    bits = np.bincount(owner, -share * np.log2(share), size) + 0.0
    return np.where(total > 0, bits, np.nan)


def interval_duration_symbols(table: NoteTable) -> np.ndarray:
    """Each note as one integer: the interval that leads to it and its exact duration; (M,).

    A melody's first note has no interval and takes its height above the tonic instead. Below 2**21,
    so that three of them fit one int64 without collisions: a note lasts less than 2**13 ticks.
    """
    lead = np.diff(table.pitch, prepend=0)
    lead[table.first] = table.pitch[table.first]
    return (lead + PITCH_MAX - PITCH_MIN) << 13 | table.duration
