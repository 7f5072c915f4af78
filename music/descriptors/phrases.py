"""Phrases: how the bars and quarters of a melody correspond.

Conventions are those of `music.descriptors.form`: a pickup belongs to no bar, and quarters are
counted in bars from the first downbeat. The similarity of two bars is the Dice coefficient (Ecology
26, 1945: 2|A∩B| / (|A|+|B|)) of their sets of (offset, pitch), over the notes that begin in them.
For several pairs of bars, numerators and denominators are summed. Yardsticks return float64 (N,).
"""

from __future__ import annotations

import numpy as np

from music.descriptors.form import MELODY_SHIFT, ends_on_tonic, open_middle, similarity
from music.note_table import Melodies, NoteTable, divide, note_table


def bars_alike(melodies: Melodies, *, bars_apart: int, with_pitch: bool = True) -> np.ndarray:
    """Similarity of each bar to the one so many bars later; NaN in a melody that is too short."""
    t = note_table(melodies)
    bar = t.onset // t.bar_ticks[t.of]
    earlier = (bar >= 0) & (bar + bars_apart < t.bars[t.of])
    return _notes_alike(t, bar, earlier, bar >= bars_apart, bars_apart, with_pitch)


def first_bar_returns(melodies: Melodies, *, with_pitch: bool = True) -> np.ndarray:
    """Similarity of the first bar to the first of the second half (of eight bars the fifth)."""
    t = note_table(melodies)
    bar, half = t.onset // t.bar_ticks[t.of], (t.bars // 2)[t.of]
    return _notes_alike(t, bar, bar == 0, (bar == half) & (half > 0), half, with_pitch)


def quarter_height(melodies: Melodies, quarter: int) -> np.ndarray:
    """Mean pitch of the notes that begin in quarter 0 to 3, in semitones above the melody's mean.

    NaN where none begins there.
    """
    t = note_table(melodies)
    inside = t.quarter == quarter
    return divide(t.sums(t.pitch * inside), t.sums(inside)) - t.sums(t.pitch) / t.count


def quarter_slope(melodies: Melodies, quarter: int) -> np.ndarray:
    """Correlation of pitch with onset in quarter 0 to 3; 0 where either does not vary."""
    t = note_table(melodies)
    inside = (t.quarter == quarter).astype(np.float64)
    count = np.maximum(t.sums(inside), 1)
    onset, pitch = (x - (t.sums(x * inside) / count)[t.of] for x in (t.onset, t.pitch))
    power = t.sums(inside * onset**2) * t.sums(inside * pitch**2)
    return np.nan_to_num(divide(t.sums(inside * onset * pitch), np.sqrt(power)))


def busier_first_half(melodies: Melodies) -> np.ndarray:
    """Share of the notes that begin in the first half minus that of the others, -1 to 1."""
    t = note_table(melodies)
    return 2 * t.shares(t.onset < (t.total_ticks // 2)[t.of]) - 1


def question_answered(melodies: Melodies) -> np.ndarray:
    """1 where the first half ends on the dominant chord and the second on the tonic, else 0."""
    t = note_table(melodies)
    return np.nan_to_num(open_middle(t)) * ends_on_tonic(t)


def _notes_alike(
    t: NoteTable,
    bar: np.ndarray,
    earlier: np.ndarray,
    later: np.ndarray,
    bars_apart: np.ndarray | int,
    with_pitch: bool,
) -> np.ndarray:
    """Dice of the `earlier` notes, moved on by so many bars, and the `later` ones; NaN for none."""
    offset = t.onset % t.bar_ticks[t.of]
    pitch = t.pitch + 12 if with_pitch else np.zeros_like(t.pitch)
    key = (t.of << MELODY_SHIFT) + (offset << 8) + pitch
    one, other = (key + ((bar + bars_apart) << 16))[earlier], (key + (bar << 16))[later]
    return similarity(one, other, len(t))
