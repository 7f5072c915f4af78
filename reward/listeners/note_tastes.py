"""Likings that are written from the notes themselves: by mode, by pace, and of each melody by name.

`reward.listeners.tastes` speaks in yardsticks, as a profile's features do, so a profile can hardly
miss what such a listener minds. These likings share no measure with the features: a profile has to
come near them with what it has, or, for `own_liking`, cannot.

Letters: N melodies, M notes of all of them.
"""

from __future__ import annotations

import hashlib

import numpy as np
from scipy.special import ndtri

from music.melody import TICKS_PER_QUARTER
from music.note_table import NoteTable

QUARTER_SECONDS = 0.4
"""at which a listener hears both melodies of a pair: 150 quarters a minute"""
MINOR_NOTES = {1: 0.5, 3: 1.0, 6: 0.3, 8: 0.6, 10: 0.3}
MAJOR_NOTES = {4: 1.0, 9: 0.5, 11: 0.4, 2: 0.1}
"""how much a second of a note, by semitones above the tonic, adds to a dark or a bright sound"""
PASSAGE_QUARTERS = 2
"""length of the passage whose pace is felt"""


def darkness(table: NoteTable) -> np.ndarray:
    """How minor a melody sounds, -1 to 1: what rings at its beats and at its end counts double.

    float64 (N,).
    """
    value = np.zeros(12)
    for notes, sign in ((MINOR_NOTES, 1.0), (MAJOR_NOTES, -1.0)):
        value[list(notes)] = sign * np.array(list(notes.values()))
    weight = table.duration * np.where(table.onset % table.beat_ticks[table.of] == 0, 2.0, 1.0)
    weight[table.last] *= 2.0
    heard = table.sums(weight * value[table.pitch % 12]) / table.sums(weight)
    return np.tanh(4 * heard)


def pace(table: NoteTable) -> np.ndarray:
    """Notes a second from the first note to the last one's begin, as log2; float64 (N,).

    0 for a melody of one note.
    """
    first, last = table.onset[table.first], table.onset[table.last]
    seconds = _seconds(np.maximum(last - first, 1))
    return np.where(table.count > 1, np.log2(np.maximum(table.count - 1, 1) / seconds), 0.0)


def fastest_passage(table: NoteTable) -> np.ndarray:
    """Notes a second where they come fastest, within `PASSAGE_QUARTERS`, as log2; float64 (N,)."""
    width = PASSAGE_QUARTERS * TICKS_PER_QUARTER
    # Melodies on one line of time, far enough apart, so that one search serves all.
    start = table.onset + table.of * (int(table.total_ticks.max()) + width) * 2
    inside = np.searchsorted(start, start + width) - np.arange(len(start))
    most = np.maximum.reduceat(inside, table.first)
    return np.log2(most / _seconds(width))


def own_liking(table: NoteTable, seed: int) -> np.ndarray:
    """How a listener likes each melody for itself: standard normal, the same when it returns.

    It is drawn from a hash of the notes, so that two melodies that differ in one note have nothing
    in common and no feature tells anything about it. float64 (N,).
    """
    notes = np.stack([table.onset, table.duration, table.pitch], axis=1).astype("<i8")
    drawn = np.empty(len(table))
    salt = int(seed).to_bytes(8, "little", signed=True)
    for number, (first, count) in enumerate(zip(table.first, table.count, strict=True)):
        digest = hashlib.sha256(salt + notes[first : first + count].tobytes()).digest()
        drawn[number] = (int.from_bytes(digest[:6], "little") + 0.5) / 2**48
    return ndtri(drawn)


def best_agreement(own_share: float) -> float:
    """The best agreement on random pairs of unheard melodies with a listener who has own likings.

    Whoever knows all but the own likings orders a pair as the listener does with probability
    1 - arccos(r) / π, where r = √(1 - own_share) is the correlation of both utilities, which are
    taken as normal (Sheppard 1899, Phil. Trans. A 192).

    Args:
        own_share: share of the utility's variance that is `own_liking`, 0 to 1.
    """
    return float(1 - np.arccos(np.sqrt(1 - own_share)) / np.pi)


def _seconds(ticks: np.ndarray | int) -> np.ndarray:
    return np.asarray(ticks) / TICKS_PER_QUARTER * QUARTER_SECONDS
