"""Keys: names of modes, and the key of notes whose file names none.

It is found by Krumhansl and Schmuckler's method, which knows major and minor keys only. See
`music.descriptors.key`, which has the profiles.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from music.descriptors.key import MAJOR_PROFILE, MINOR_PROFILE, PROFILE_MODES
from music.formats.abc import AbcBar
from music.melody import TONIC_NAMES

_PROFILES = np.array([np.roll(p, k) for p in (MAJOR_PROFILE, MINOR_PROFILE) for k in range(12)])


_MODE_NAMES = {"ionian": "major", "aeolian": "minor"}


def mode_by_name(name: str) -> str:
    """A mode as `music.melody` calls it; harmonic and melodic minor are minor."""
    name = name.strip().lower()
    return "minor" if name.endswith("minor") else _MODE_NAMES.get(name, name)


def find_key(bars: Iterable[AbcBar]) -> tuple[int, str]:
    """Pitch class of the tonic, and the mode, that suit the sounding time of the notes best."""
    ticks = np.zeros(12)
    for bar in bars:
        for note in bar.notes:
            if note.midi is not None:
                ticks[note.midi % 12] += float(note.duration_ticks)
    if np.ptp(ticks) == 0:
        return 0, PROFILE_MODES[0]
    best = int(np.asarray(np.corrcoef(np.vstack([ticks, _PROFILES])))[0, 1:].argmax())
    return best % 12, PROFILE_MODES[best // 12]


def key_of_signature(fifths: int, bars: Iterable[AbcBar]) -> tuple[int, str]:
    """Major, or minor where the last note is the tonic of the minor key of that signature."""
    tonic = 7 * fifths % 12
    sounding = [n.midi for bar in bars for n in bar.notes if n.midi is not None]
    if sounding and sounding[-1] % 12 == (tonic + 9) % 12:
        return (tonic + 9) % 12, "minor"
    return tonic, "major"


def key_in_words(tonic_class: int, mode: str) -> str:
    """Such as 'D dorian'."""
    return f"{TONIC_NAMES[tonic_class % 12]} {mode}"
