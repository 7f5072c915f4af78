"""In which key melodies are written, within which compass, and at which pitch a pair is heard.

A melody's pitches are relative to its tonic, so a key is chosen by choosing the tonic's MIDI
number. Without a compass the tonic lies in the octave from middle C (60..71). With a compass it
lies in the octave in which the usual notes of a melody (`USUAL_PITCHES`) lie most within it, and
of two such octaves in the one nearer to middle C's. Notes are named in scientific pitch notation:
A4 is MIDI number 69.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from music.melody import (
    HIGHEST_TONIC_MIDI,
    LOWEST_TONIC_MIDI,
    MODES,
    PITCH_MAX,
    PITCH_MIN,
    TONIC_MIDI_MAX,
    TONIC_MIDI_MIN,
    TONIC_NAMES,
    Melody,
)
from music.messages import shortened

ANY = "any"
LEAST_SEMITONES = 7
"""a compass spans a fifth at least: fewer notes make no tune"""
USUAL_PITCHES = (-5, 17)
"""semitones from the tonic between which 95 % of the notes of the two books' strains lie"""
LOWEST_MIDI, HIGHEST_MIDI = LOWEST_TONIC_MIDI + 11 + PITCH_MIN, HIGHEST_TONIC_MIDI - 11 + PITCH_MAX
"""the notes that melodies of every key can have: B0 to C7"""
LETTER_CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
"""letter of a note -> its pitch class"""
_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}
_KEY = re.compile(r"([A-Ga-g])([#b♯♭]?)")
_KEY_WITH_MODE = re.compile(r"([A-Ga-g])([#b♯♭]?)\s*-?\s*([A-Za-z]+)")
_NOTE = r"([A-Ga-g])([#b♯♭]?)(-?[0-9]{1,2})"
_RANGE = re.compile(rf"{_NOTE}\s*(?:-|–|\.\.|to)\s*{_NOTE}")
_MODE_WORDS = {"m": "minor", "min": "minor", "maj": "major", "aeolian": "minor", "ionian": "major"}


class KeyChoiceError(ValueError):
    """A key or a compass that cannot be had; one line with the value, the rule and the remedy."""


@dataclass(frozen=True, slots=True)
class Compass:
    """The notes from `low_midi` to `high_midi`, both included.

    Raises:
        KeyChoiceError: when it is empty, narrower than `LEAST_SEMITONES`, or out of reach.
    """

    low_midi: int
    high_midi: int

    def __post_init__(self) -> None:
        """Check that a melody can be written within it."""
        if self.low_midi > self.high_midi:
            raise KeyChoiceError(
                f"range={self} is empty, because its first note is the higher one; write "
                f"{note_name(self.high_midi)}-{note_name(self.low_midi)}"
            )
        if self.semitones < LEAST_SEMITONES:
            raise KeyChoiceError(
                f"range={self} spans {self.semitones} semitones; a melody needs a fifth, "
                f"{LEAST_SEMITONES} semitones, or more: widen it, such as to "
                f"{note_name(self.low_midi)}-{note_name(self.low_midi + 12)}"
            )
        within = min(self.high_midi, HIGHEST_MIDI) - max(self.low_midi, LOWEST_MIDI)
        if within < LEAST_SEMITONES:
            raise KeyChoiceError(
                f"range={self} is out of reach: melodies have notes from {note_name(LOWEST_MIDI)} "
                f"to {note_name(HIGHEST_MIDI)}; move it by octaves"
            )

    def __str__(self) -> str:
        """Such as A3-E5."""
        return f"{note_name(self.low_midi)}-{note_name(self.high_midi)}"

    @property
    def semitones(self) -> int:
        """From the lowest to the highest note."""
        return self.high_midi - self.low_midi

    def pitches(self, tonic_midi: int) -> tuple[int, int]:
        """The lowest and the highest pitch, in semitones above this tonic, that lie within it."""
        return max(PITCH_MIN, self.low_midi - tonic_midi), min(
            PITCH_MAX, self.high_midi - tonic_midi
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChoice:
    """What is asked of the key: a tonic or any, and the compass if there is one."""

    tonic_class: int | None = 2
    """pitch class of the tonic, C = 0; None for any, a key for each melody"""
    compass: Compass | None = None
    near_midi: int = TONIC_MIDI_MIN
    """the tonic's octave where the compass leaves a choice is that of this note"""

    def tonics(self, count: int, seed: int, motif_pitches: Sequence[int] = ()) -> np.ndarray:
        """The tonic of each melody as a MIDI number, int64 (count,).

        Of any key, each of the keys that can be had comes once in every round of them, in an order
        that the seed draws: with 12 keys, 1200 melodies have 100 in each.

        Args:
            count: number of melodies.
            seed: of the order of the keys.
            motif_pitches: in semitones above the tonic; they have to lie within the compass.

        Raises:
            KeyChoiceError: when the motif does not lie within the compass in such a key.
        """
        asked = range(12) if self.tonic_class is None else (self.tonic_class,)
        found = [self._tonic(tonic_class, motif_pitches) for tonic_class in asked]
        usable = [tonic for tonic in found if tonic is not None]
        if not usable:
            width = max(motif_pitches) - min(motif_pitches)
            if self.tonic_class is None or self.compass is None or width > self.compass.semitones:
                remedy = f"give a range of {width} semitones or more, or a shorter motif"
            else:
                remedy = "widen the range, or let --key any choose a key in which it does"
            raise KeyChoiceError(
                f"range={self.compass} does not hold the motif, which spans {width} semitones, in "
                f"{'any key' if self.tonic_class is None else TONIC_NAMES[self.tonic_class]}; "
                f"{remedy}"
            )
        rng = np.random.default_rng([seed, len(usable)])
        rounds = [rng.permutation(usable) for _ in range(-(-count // len(usable)))]
        return np.concatenate([*rounds, np.zeros(0, np.int64)]).astype(np.int64)[:count]

    def pitch_bounds(self, tonics_midi_N: np.ndarray) -> np.ndarray | None:
        """Lowest and highest pitch of each melody, int64 (N, 2); None without a compass."""
        if self.compass is None:
            return None
        bounds = [self.compass.pitches(int(tonic)) for tonic in tonics_midi_N]
        return np.array(bounds, np.int64).reshape(-1, 2)

    def _tonic(self, tonic_class: int, motif_pitches: Sequence[int]) -> int | None:
        """The tonic of this class in the best octave; None when the motif fits in none."""
        home = self.near_midi // 12 * 12 + tonic_class
        if self.compass is None:
            return home
        low, high = self.compass.low_midi, self.compass.high_midi
        best: tuple[int, int, int] | None = None
        for tonic in range(LOWEST_TONIC_MIDI + tonic_class, HIGHEST_TONIC_MIDI + 1, 12):
            lowest, highest = self.compass.pitches(tonic)
            if highest - lowest < LEAST_SEMITONES:
                continue
            if motif_pitches and not lowest <= min(motif_pitches) <= max(motif_pitches) <= highest:
                continue
            usual = min(high, tonic + USUAL_PITCHES[1]) - max(low, tonic + USUAL_PITCHES[0])
            # A motif stays in its octave where it can.
            rank = (0 if motif_pitches else -usual, abs(tonic - home), tonic)
            best = rank if best is None else min(best, rank)
        return None if best is None else best[2]


def note_name(midi: int) -> str:
    """Scientific pitch notation, such as A4 for 69."""
    return f"{TONIC_NAMES[midi % 12]}{midi // 12 - 1}"


def parse_key(text: str) -> int | None:
    """The tonic's pitch class, C = 0, of a key such as G, Bb or F#; None of 'any'.

    Raises:
        KeyChoiceError: when it is no key, or names a mode as well.
    """
    plain = text.strip()
    if plain.lower() == ANY:
        return None
    if match := _KEY.fullmatch(plain):
        return (LETTER_CLASSES[match[1].upper()] + _ACCIDENTALS[match[2]]) % 12
    if match := _KEY_WITH_MODE.fullmatch(plain):
        word = match[3].lower()
        mode = _MODE_WORDS.get(word) or next(
            (mode for mode in MODES if len(word) > 2 and mode.startswith(word)), None
        )
        if mode is not None:
            raise KeyChoiceError(
                f"key={shortened(plain)} names a mode, which is an option of its own; write "
                f"--key {match[1].upper()}{match[2]} --mode {mode}"
            )
    raise KeyChoiceError(
        f"key={shortened(plain)} is not a key; write a letter from A to G, with # or b where "
        "needed, such as --key Bb, or --key any for a key of its own for each melody"
    )


def parse_range(text: str) -> Compass:
    """The compass that a text such as A3-E5 names.

    Raises:
        KeyChoiceError: when it is not two notes, or not a compass for a melody.
    """
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise KeyChoiceError(
            f"range={shortened(text.strip())} is not two notes; write the lowest and the highest "
            "with their octaves (A4 is 440 Hz), such as --range A3-E5"
        )
    low, high = (
        LETTER_CLASSES[letter.upper()] + _ACCIDENTALS[sign] + 12 * (int(octave) + 1)
        for letter, sign, octave in (match.groups()[:3], match.groups()[3:])
    )
    return Compass(low, high)


def octaves_from_middle(pitches: Sequence[int]) -> int:
    """Octaves from a tonic in middle C's octave to one that notes as written can be relative to.

    Args:
        pitches: in semitones above the tonic in middle C's octave.

    Returns:
        0 where all of them are within `PITCH_MIN`..`PITCH_MAX`, or in no octave; else the octaves
        with the fewest notes outside `USUAL_PITCHES`, and of two such the least move. So what is
        written for a bass is read in its own octave.
    """
    lowest, highest = LOWEST_TONIC_MIDI - TONIC_MIDI_MIN, HIGHEST_TONIC_MIDI - TONIC_MIDI_MAX

    def fits(octaves: int) -> bool:
        return all(PITCH_MIN <= pitch - 12 * octaves <= PITCH_MAX for pitch in pitches)

    def unusual(octaves: int) -> int:
        low, high = USUAL_PITCHES
        return sum(not low <= pitch - 12 * octaves <= high for pitch in pitches)

    reach = [octaves for octaves in range(lowest // 12, highest // 12 + 1) if fits(octaves)]
    if not reach or 0 in reach:
        return 0
    return min(reach, key=lambda octaves: (unusual(octaves), abs(octaves)))


def in_one_key(one: Melody, other: Melody) -> tuple[Melody, Melody]:
    """Both melodies at one tonic, at which they are heard and seen when they are compared.

    It is that of the two tonics at which the melodies stay nearest to the notes among which they
    were written: fewest semitones below the lowest or above the highest note of both as stored. Of
    two equal ones it is the lower, so that it does not matter which melody comes first.
    """
    if one.tonic_midi == other.tonic_midi:
        return one, other
    spans = [(min(n.pitch for n in m.notes), max(n.pitch for n in m.notes)) for m in (one, other)]
    tonics = one.tonic_midi, other.tonic_midi
    low = min(tonic + span[0] for tonic, span in zip(tonics, spans, strict=True))
    high = max(tonic + span[1] for tonic, span in zip(tonics, spans, strict=True))

    def outside(tonic: int) -> int:
        return sum(max(0, low - tonic - span[0]) + max(0, tonic + span[1] - high) for span in spans)

    tonic = min(tonics, key=lambda tonic: (outside(tonic), tonic))
    return replace(one, tonic_midi=tonic), replace(other, tonic_midi=tonic)
