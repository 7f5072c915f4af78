"""Keys: how clearly a melody establishes its tonic.

Krumhansl and Schmuckler's key finding: the time that each of the twelve pitch classes sounds is
correlated with the 24 key profiles of Krumhansl and Kessler (1982), and the best is the key.
The profiles know major and minor; every other mode counts as one of them, by its third. The tonic
triad is the mode's own, so that of locrian is diminished.

Conventions: pitch class 0 is the tonic of the melody's header, so nothing here depends on the key
in which it is played. Rests do not count. Correlations are Pearson's, and 0 where the twelve times
are all equal. Yardsticks return float64 (N,).

Literature: Krumhansl, Cognitive Foundations of Musical Pitch, Oxford 1990, chapters 2 and 4;
Krumhansl and Kessler, Psychological Review 89 (1982).
"""

from __future__ import annotations

import numpy as np

from music.melody import MODE_SCALES, MODES
from music.note_table import Melodies, NoteTable, note_table

MAJOR_PROFILE = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR_PROFILE = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
PROFILE_MODES = ("major", "minor")


def _profile_directions() -> np.ndarray:
    """The 24 profiles, centred and of length 1, so that a product is a correlation; (12, 24)."""
    rows = [np.roll(p, tonic) for p in (MAJOR_PROFILE, MINOR_PROFILE) for tonic in range(12)]
    centred = np.array(rows) - np.mean(rows, axis=1, keepdims=True)
    return (centred / np.linalg.norm(centred, axis=1, keepdims=True)).T


_DIRECTIONS = _profile_directions()
_IN_SCALE = np.array([[pc in MODE_SCALES[mode] for pc in range(12)] for mode in MODES])
_IS_MINOR = np.array([3 in MODE_SCALES[mode] for mode in MODES])
_TRIAD = np.array([[pc in MODE_SCALES[mode][:5:2] for pc in range(12)] for mode in MODES])
_FOUND_SCALE = np.array(
    [
        [(pc - tonic) % 12 in MODE_SCALES[mode] for pc in range(12)]
        for mode in PROFILE_MODES
        for tonic in range(12)
    ]
)


def pitch_class_ticks(melodies: Melodies) -> np.ndarray:
    """Ticks for which each pitch class above the tonic sounds; float64 (N, 12)."""
    t = note_table(melodies)
    places = t.of * 12 + t.pitch % 12
    return np.bincount(places, t.duration, len(t) * 12).reshape(-1, 12)


def key_correlations(melodies: Melodies) -> np.ndarray:
    """Correlation with the 12 major and then the 12 minor profiles; float64 (N, 24)."""
    ticks = pitch_class_ticks(melodies)
    centred = ticks - ticks.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred @ _DIRECTIONS / np.where(length > 0, length, 1.0)


def key_clarity(melodies: Melodies) -> np.ndarray:
    """Correlation with the profile of the key that was found: clarity of any key."""
    return key_correlations(melodies).max(axis=1)


def home_correlation(melodies: Melodies) -> np.ndarray:
    """Correlation with the profile of the header's tonic and mode: clarity of that key."""
    t = note_table(melodies)
    return key_correlations(t)[np.arange(len(t)), 12 * _IS_MINOR[t.mode]]


def found_key_is_home(melodies: Melodies) -> np.ndarray:
    """1 where the found key has the header's tonic, else 0."""
    return (key_correlations(melodies).argmax(axis=1) % 12 == 0).astype(np.float64)


def in_key_share(melodies: Melodies) -> np.ndarray:
    """Share of notes in the scale of the header's mode (RL Tuner's "not in key" is the rest)."""
    t = note_table(melodies)
    return t.shares(_IN_SCALE[t.mode[t.of], t.pitch % 12])


def in_found_key_share(melodies: Melodies) -> np.ndarray:
    """Share of notes in the scale of the found key, major or natural minor."""
    t = note_table(melodies)
    best = key_correlations(t).argmax(axis=1)
    return t.shares(_FOUND_SCALE[best[t.of], t.pitch % 12])


def tonic_share(melodies: Melodies) -> np.ndarray:
    """Share of the sounding time that is the tonic, in any octave."""
    ticks = pitch_class_ticks(melodies)
    return ticks[:, 0] / ticks.sum(axis=1)


def triad_share(melodies: Melodies) -> np.ndarray:
    """Share of the sounding time that belongs to the tonic triad of the header's mode."""
    t = note_table(melodies)
    ticks = pitch_class_ticks(t)
    return (ticks * _TRIAD[t.mode]).sum(axis=1) / ticks.sum(axis=1)


def is_in_triad(table: NoteTable) -> np.ndarray:
    """Whether each note belongs to the tonic triad of its header's mode; bool (M,)."""
    return _TRIAD[table.mode[table.of], table.pitch % 12]
