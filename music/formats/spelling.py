"""Spelling: how a tonic and a mode are named, and which letter each note of the key gets.

Everything is computed on the line of fifths, where C is 0, G is 1 and F is -1. The position of a
major tonic is the number of accidentals in its signature. The position of a note gives its letter
and accidental, and 7 times the position modulo 12 is its pitch class. Pitch is a MIDI number; C4,
on the first ledger line below the staff, is 60.
"""

from __future__ import annotations

from dataclasses import dataclass

from music.key_choice import LETTER_CLASSES
from music.melody import MODES, TONIC_NAMES

LETTER_MIDI = {letter: 60 + place for letter, place in LETTER_CLASSES.items()}
LETTER_FIFTHS = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}
LETTERS_BY_FIFTHS = tuple(LETTER_FIFTHS)
MODE_FIFTHS = {
    "lydian": 1, "major": 0, "mixolydian": -1, "dorian": -2, "minor": -3, "phrygian": -4,
    "locrian": -5,
}  # fmt: skip
"""accidentals of a mode's signature beside the major key on the same tonic"""
LOWEST_FIFTHS = {
    "lydian": -3, "major": -3, "mixolydian": -4, "dorian": -4, "minor": -5, "phrygian": -5,
    "locrian": -6,
}  # fmt: skip
"""flattest note used, in fifths from the tonic; the twelve from there spell every semitone once.

Major has its minor third and seventh as flats and the rest as sharps (leading notes upwards); the
flatter the mode, the flatter the notes that are near it.
"""
MAX_SIGNATURE = 7


@dataclass(frozen=True, slots=True)
class Spelling:
    """A pitch as it is written."""

    letter: str
    alter: int
    """semitones that the accidental adds: 1 a sharp, -1 a flat, 2 a double sharp"""
    octave: int
    """of the letter, scientific: C4 is MIDI 60 and Cb4 is MIDI 59"""

    @property
    def midi(self) -> int:
        """The MIDI number that sounds."""
        return LETTER_MIDI[self.letter] + 12 * (self.octave - 4) + self.alter


@dataclass(frozen=True, slots=True)
class Key:
    """A tonic on the line of fifths, and a mode."""

    tonic_fifths: int
    mode: str

    @property
    def tonic_name(self) -> str:
        """Such as 'D', 'Bb' or 'F#'."""
        letter, alter = _letter_at(self.tonic_fifths)
        return letter + ("#" * alter if alter > 0 else "b" * -alter)

    @property
    def signature_fifths(self) -> int:
        """Sharps (positive) or flats (negative) at the clef."""
        return self.tonic_fifths + MODE_FIFTHS[self.mode]

    @property
    def relative_major(self) -> Key:
        """The major key of the same signature."""
        return Key(self.signature_fifths, "major")

    def spell(self, midi: int) -> Spelling:
        """The written form of `midi` in this key; `spell(m).midi == m` for every m."""
        lowest = self.tonic_fifths + LOWEST_FIFTHS[self.mode]
        fifths = lowest + (7 * midi - lowest) % 12  # 7 is its own inverse modulo 12
        letter, alter = _letter_at(fifths)
        return Spelling(letter, alter, 4 + (midi - alter - LETTER_MIDI[letter]) // 12)


def _letter_at(fifths: int) -> tuple[str, int]:
    """Letter and alteration at a place on the line of fifths."""
    return LETTERS_BY_FIFTHS[(fifths + 1) % 7], (fifths + 1) // 7


def signature(fifths: int) -> dict[str, int]:
    """Alteration of each letter that a signature of so many sharps (or, negative, flats) alters."""
    if fifths >= 0:
        return dict.fromkeys(LETTERS_BY_FIFTHS[:fifths], 1)
    return dict.fromkeys(LETTERS_BY_FIFTHS[fifths:][::-1], -1)


def key_of(tonic_midi: int, mode: str) -> Key:
    """The spelling with the fewest accidentals; of two equal ones, that of `melody.TONIC_NAMES`.

    Raises:
        ValueError: for a mode that is not one of `melody.MODES`.
    """
    if mode not in MODES:
        raise ValueError(f"mode={mode!r} is not known; choose one of {list(MODES)}")
    flat = (7 * tonic_midi + 6) % 12 - 6  # -6..5
    keys = [Key(fifths, mode) for fifths in (flat, flat + 12)]
    usual = TONIC_NAMES[tonic_midi % 12]
    return min(keys, key=lambda key: (abs(key.signature_fifths), key.tonic_name != usual))
