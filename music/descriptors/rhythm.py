"""Rhythm: when a melody's notes begin and how long they last.

Conventions: a beat is the metre's (`music.metre.BEAT_TICKS`), such as a quarter in 4/4, a dotted
quarter in 6/8 and an eighth in 7/8. A pickup lies before the first downbeat and keeps its place in
the beat. Durations are of notes, without the rest that may follow. Yardsticks give float64 (N,).

Literature: Longuet-Higgins and Lee, The rhythmic interpretation of monophonic music, Music
Perception 1 (1984), for syncopation as a note that sounds through a stronger beat than its own;
Grabe and Low (2002) and Patel and Daniele, Cognition 87 (2003), for the nPVI.
"""

from __future__ import annotations

import numpy as np

from music.melody import TICKS_PER_QUARTER
from music.note_table import Melodies, NoteTable, divide, entropy_bits, note_table

DOTTED_TICKS = (9, 18, 36, 72)
"""dotted sixteenth, eighth, quarter and half"""


def notes_per_beat(melodies: Melodies) -> np.ndarray:
    """Notes per beat, rests included in the time."""
    t = note_table(melodies)
    return t.count * t.beat_ticks / t.total_ticks


def beats_per_quarter(melodies: Melodies) -> np.ndarray:
    """Beats in the time of a quarter note, by the metre.

    Both melodies of a pair are played at equal quarters (`music.tempo.pair_tempos_bpm`). So of two
    that are compared the ratio of this is that of their beats per minute as heard, and times
    `notes_per_beat` that of their notes per second.
    """
    t = note_table(melodies)
    return TICKS_PER_QUARTER / t.beat_ticks


def rest_share(melodies: Melodies) -> np.ndarray:
    """Share of the time in which nothing sounds."""
    t = note_table(melodies)
    return 1 - t.sums(t.duration) / t.total_ticks


def offbeat_share(melodies: Melodies) -> np.ndarray:
    """Share of notes that do not begin on a beat."""
    t = note_table(melodies)
    return t.shares(_into_beat(t) > 0)


def syncopation_share(melodies: Melodies) -> np.ndarray:
    """Share of notes that begin off the beat and sound on through the next one."""
    t = note_table(melodies)
    into = _into_beat(t)
    return t.shares((into > 0) & (into + t.duration > t.beat_ticks[t.of]))


def offbeat_accent_share(melodies: Melodies) -> np.ndarray:
    """Share of notes that begin off the beat and last longer than the note before (a Scotch snap).

    A long note sounds accented, so this is a mild and common form of syncopation.
    """
    t = note_table(melodies)
    longer = np.diff(t.duration, prepend=t.duration[0]) > 0
    longer[t.first] = False
    return t.shares(longer & (_into_beat(t) > 0))


def long_note_share(melodies: Melodies) -> np.ndarray:
    """Share of notes that last a beat or more."""
    t = note_table(melodies)
    return t.shares(t.duration >= t.beat_ticks[t.of])


def triplet_share(melodies: Melodies) -> np.ndarray:
    """Share of notes of a triplet's length: no whole number of thirty-seconds (3 ticks)."""
    t = note_table(melodies)
    return t.shares(t.duration % 3 > 0)


def short_note_share(melodies: Melodies) -> np.ndarray:
    """Share of notes that last a quarter of a beat or less."""
    t = note_table(melodies)
    return t.shares(4 * t.duration <= t.beat_ticks[t.of])


def dotted_share(melodies: Melodies) -> np.ndarray:
    """Share of notes that last as long as a dotted sixteenth, eighth, quarter or half."""
    t = note_table(melodies)
    return t.shares(np.isin(t.duration, DOTTED_TICKS))


def rhythm_entropy(melodies: Melodies) -> np.ndarray:
    """Entropy of the durations in bits."""
    t = note_table(melodies)
    return entropy_bits(t.of, t.duration, len(t))


def npvi(melodies: Melodies) -> np.ndarray:
    """Normalised pairwise variability of durations, 0 (even) to 200; NaN for a single note."""
    t = note_table(melodies)
    before, after = t.duration[:-1], t.duration[1:]
    contrast = 200 * abs(after - before) / (after + before)
    return t.interval_means(contrast[t.of[1:] == t.of[:-1]])


def density_spread(melodies: Melodies) -> np.ndarray:
    """Variation of the number of notes per bar: standard deviation divided by mean.

    NaN where every note begins in the pickup.
    """
    t = note_table(melodies)
    width = int(t.bars.max())
    inside = t.onset >= 0
    places = t.of[inside] * width + t.onset[inside] // t.bar_ticks[t.of[inside]]
    counts = np.bincount(places, minlength=len(t) * width).reshape(len(t), width)
    mean = counts.sum(axis=1) / t.bars
    variance = (counts**2).sum(axis=1) / t.bars - mean**2
    return divide(np.sqrt(np.maximum(variance, 0.0)), mean)


def _into_beat(t: NoteTable) -> np.ndarray:
    """Ticks from the beat to each onset; (M,)."""
    return t.onset % t.beat_ticks[t.of]
