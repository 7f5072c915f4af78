"""Mode: how much of a melody sounds minor, by the notes that sound and not by the header alone.

The third above the tonic tells major from minor. A melody that has neither third, or only a short
one, is heard by its other notes, for which the header's mode stands; so the share is shrunk towards
the header's third by one beat. Yardsticks return float64 (N,).

Literature: Temperley and Tan, Emotional connotations of diatonic modes, Music Perception 30 (2013):
the more sharps a mode has on the line of fifths, the happier it sounds, and major most of all.
"""

from __future__ import annotations

import numpy as np

from music.descriptors.key import pitch_class_ticks
from music.melody import MODE_SCALES, MODES
from music.note_table import Melodies, divide, note_table

MINOR_THIRD, MAJOR_THIRD = 3, 4
LINE_OF_FIFTHS = (0, -5, 2, -3, 4, -1, 6, 1, -4, 3, -2, 5)
"""fifths up from the tonic to each pitch class above it, spelt as lydian (the raised fourth) and
phrygian (the lowered second) have them"""
FIVE_NOTES = ((0, 2, 4, 7, 9), (0, 3, 5, 7, 10))
"""major and minor pentatonic scale"""
_IN_FIVE_NOTES = np.array([[pc in scale for pc in range(12)] for scale in FIVE_NOTES])
_IS_NO_THIRD = np.array([pc not in (MINOR_THIRD, MAJOR_THIRD) for pc in range(12)])
_HAS_MINOR_THIRD = np.array([MINOR_THIRD in MODE_SCALES[mode] for mode in MODES], np.float64)


def minor_third_share(melodies: Melodies) -> np.ndarray:
    """Of the time on both thirds above the tonic, the share of the minor one; 0 major, 1 minor.

    One beat of the third of the header's mode is added.
    """
    t = note_table(melodies)
    ticks = pitch_class_ticks(t)
    minor = ticks[:, MINOR_THIRD] + t.beat_ticks * _HAS_MINOR_THIRD[t.mode]
    return minor / (ticks[:, MINOR_THIRD] + ticks[:, MAJOR_THIRD] + t.beat_ticks)


def five_note_share(melodies: Melodies) -> np.ndarray:
    """Share of the sounding time that is of the five-note scale with the header's third.

    Of major that leaves out the fourth and the seventh, of minor the second and the sixth.
    """
    t = note_table(melodies)
    ticks = pitch_class_ticks(t)
    return (ticks * _IN_FIVE_NOTES[_HAS_MINOR_THIRD[t.mode].astype(int)]).sum(1) / ticks.sum(1)


def brightness(melodies: Melodies) -> np.ndarray:
    """Mean place on the line of fifths of what sounds, thirds left out, in fifths above the tonic.

    A raised fourth, sixth or seventh is brighter than a lowered one. 0 where nothing else sounds.
    """
    ticks = pitch_class_ticks(melodies) * _IS_NO_THIRD
    total = ticks.sum(axis=1)
    return np.nan_to_num(divide(ticks @ np.array(LINE_OF_FIFTHS, np.float64), total))
