"""Finding melodies by a few of their notes, as a person types them.

Three ways of asking:

- letters, `D F# A`: melodies that *begin* with these notes. A letter without a sign is the note as
  the key has it, so that `F` finds F sharp in D major, as it is printed; octaves do not matter.
- ABC, `|dfaf gedB|` or `K:D dfaf`: the notes stand *anywhere*. With a key, in every key (the steps
  in semitones must be the same); without one, by their printed letters.
- steps in semitones, `+2 +2 -4`: *anywhere*, in every key.

Rhythm is not looked at. Letters: N melodies, I intervals of all of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from music.formats.abc import AbcError
from music.formats.abc_key import read_key
from music.formats.spelling import LETTER_MIDI, key_of
from music.melody import Melody
from music.note_table import NoteTable

MOST_CHARACTERS = 200
_STEPS = re.compile(r"[+\-−–]?\d{1,2}(?:[\s,;]+[+\-−–]?\d{1,2})*")
# Possessive: "bbbb" can be split into letters and flats in many ways, and the first one serves.
_LETTERS = re.compile(r"(?:[A-Ga-g](?:##?|bb?|♯|♭|♮)?+[\s,;-]*+)++")
_LETTER = re.compile(r"([A-Ga-g])(##?|bb?|♯|♭|♮)?")
_MODES = (
    "major|maj|minor|min|m|dorian|dor|phrygian|phr|lydian|lyd|mixolydian|mix|locrian|loc|"
    "aeolian|aeo|ionian|ion"
)
_KEY = re.compile(rf"\[?K:\s*([A-G][#b]?(?:\s*(?:{_MODES}))?)(?![A-Za-z])\]?")
_NOT_MUSIC = re.compile(r"^[A-JL-Z]:.*$|%.*$", re.MULTILINE)
_ABC_SILENT = re.compile(r'"[^"]*"|![^!]*!|\{[^}]*\}|\[[A-Za-z]:[^\]]*\]')
_ABC_NOTE = re.compile(r"(\^\^|\^|__|_|=)?([A-Ga-g])([,']*)")
_ABC_OTHER = re.compile(r"[\s|:\[\]()<>/\d~.\-zxTuvHLMOPSR]*")
ALTERS = {
    "#": 1, "♯": 1, "##": 2, "b": -1, "♭": -1, "bb": -2, "♮": 0,
    "^": 1, "^^": 2, "_": -1, "__": -2, "=": 0,
}  # fmt: skip


class TuneSearchError(ValueError):
    """What was typed asks for no notes; one line with the value, the rule and the remedy."""


@dataclass(frozen=True, slots=True)
class TunePattern:
    """Notes to look for: by letters, or by steps in semitones; one of the two is empty."""

    letters: tuple[tuple[str, int | None], ...] = ()
    """each note's letter and the semitones of its sign, None for "as the key has it" """
    steps: tuple[int, ...] = ()
    """semitones from each note to the next"""
    at_start: bool = False
    """whether it must be the beginning"""

    def in_words(self) -> str:
        """What is looked for, such as "begins D F# A"."""
        if self.steps:
            return "has the steps " + " ".join(f"{step:+d}" for step in self.steps)
        signs = {None: "", 0: "♮", 1: "#", 2: "##", -1: "b", -2: "bb"}
        notes = " ".join(letter + signs[alter] for letter, alter in self.letters)
        return f"{'begins' if self.at_start else 'has the notes'} {notes}"


def read_pattern(text: str) -> TunePattern:
    """What a person typed -> the notes to look for; see the module's docstring.

    Raises:
        TuneSearchError: when it is no letters, no ABC and no steps, too short or too long.
    """
    asked = text.strip()
    if len(asked) > MOST_CHARACTERS:
        raise TuneSearchError(
            f"the search has {len(asked)} characters, {MOST_CHARACTERS} is the most; "
            "a few notes are enough"
        )
    if _STEPS.fullmatch(asked):
        numbers = re.findall(r"[+\-−–]?\d+", asked)
        return TunePattern(steps=tuple(int(n.replace("−", "-").replace("–", "-")) for n in numbers))
    # Small letters alone may be ABC as well; "b" is then a note, which in "Bb" is a flat.
    if _LETTERS.fullmatch(asked) and not (asked.islower() and len(asked.split()) == 1):
        found = _LETTER.findall(asked)
        return TunePattern(
            tuple((letter.upper(), ALTERS[sign] if sign else None) for letter, sign in found),
            at_start=True,
        )
    return _read_abc(asked)


def _read_abc(text: str) -> TunePattern:
    text = _NOT_MUSIC.sub(" ", text)  # a whole tune may be pasted
    key = _KEY.search(text)
    music = _ABC_SILENT.sub(" ", text.replace(key[0], " ", 1) if key else text)
    notes = list(_ABC_NOTE.finditer(music))
    left_over = _ABC_OTHER.fullmatch(_ABC_NOTE.sub("", music))
    if left_over is None or len(notes) < 2:
        raise TuneSearchError(
            f"{text!r} has no notes to look for; type letters (D F# A), steps in semitones "
            "(+2 +2 -4), or ABC of two notes or more (|dfaf|)"
        )
    if key is None:
        return TunePattern(
            tuple((note[2].upper(), ALTERS[note[1]] if note[1] else None) for note in notes)
        )
    try:
        in_force = read_key(key[1]).altered
    except AbcError as error:
        raise TuneSearchError(str(error)) from error
    pitches = []
    in_force = dict(in_force)
    for piece in re.finditer(rf"\||{_ABC_NOTE.pattern}", music):
        if piece[0] == "|":
            in_force = dict(read_key(key[1]).altered)  # an accidental lasts to the end of its bar
            continue
        letter = piece[2].upper()
        if piece[1]:
            in_force[letter] = ALTERS[piece[1]]
        octave = piece[2].islower() + piece[3].count("'") - piece[3].count(",")
        pitches.append(LETTER_MIDI[letter] + in_force.get(letter, 0) + 12 * octave)
    return TunePattern(steps=tuple(b - a for a, b in pairwise(pitches)))


def find_tunes(
    pattern: TunePattern, melodies: Sequence[Melody], table: NoteTable | None = None
) -> np.ndarray:
    """Which melodies have the pattern; bool (N,).

    Args:
        pattern: what to look for.
        melodies: where to look.
        table: `note_table(melodies)` if it is at hand; it makes steps fast.
    """
    if pattern.steps and table is not None:
        return _with_steps(pattern.steps, table)
    if pattern.steps:
        return np.array([_has_steps(pattern.steps, melody) for melody in melodies], bool)
    return np.array([_has_letters(pattern, melody) for melody in melodies], bool)


def _with_steps(steps: tuple[int, ...], table: NoteTable) -> np.ndarray:
    """Melodies that have the steps in a row; bool (N,)."""
    found = np.zeros(len(table), bool)
    starts = len(table.interval) - len(steps) + 1
    if starts < 1:
        return found
    windows = np.lib.stride_tricks.sliding_window_view(table.interval, len(steps))  # (starts, S)
    same = table.interval_of[:starts] == table.interval_of[len(steps) - 1 :]
    at = np.flatnonzero(same & (windows == np.array(steps)).all(axis=1))
    found[table.interval_of[at]] = True
    return found


def _has_steps(steps: tuple[int, ...], melody: Melody) -> bool:
    own = [b.pitch - a.pitch for a, b in pairwise(melody.notes)]
    return any(
        tuple(own[start : start + len(steps)]) == steps
        for start in range(len(own) - len(steps) + 1)
    )


def _has_letters(pattern: TunePattern, melody: Melody) -> bool:
    key = key_of(melody.tonic_midi, melody.header.mode)
    wanted = pattern.letters
    notes = melody.notes[: len(wanted)] if pattern.at_start else melody.notes
    spelt = [key.spell(melody.tonic_midi + note.pitch) for note in notes]
    return any(
        all(
            letter == written.letter and alter in (None, written.alter)
            for (letter, alter), written in zip(wanted, spelt[start:], strict=False)
        )
        for start in range(len(spelt) - len(wanted) + 1)
    )
