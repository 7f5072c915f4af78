"""Reading ABC notation (standard 2.1, one voice) into exact bars of notes.

A tune is a list of bars; a bar knows the barline before and after it and the ending it belongs to.
Kept: accidentals (to the end of the bar, all octaves, as the standard's default), key signatures,
broken rhythm, tuplets, ties, inline fields. Dropped: grace notes, decorations, chord symbols, words.
A dash between different pitches is an old slur, not a tie. Chords and several voices are refused.
Durations are in ticks, 24 a quarter (`music.melody`); pitch is a MIDI number, None for a rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from music.melody import TICKS_PER_QUARTER

LETTER_MIDI = {"C": 60, "D": 62, "E": 64, "F": 65, "G": 67, "A": 69, "B": 71}
FIFTHS_OF_TONIC = {"C": 0, "D": 2, "E": 4, "F": -1, "G": 1, "A": 3, "B": 5}
FIFTHS_OF_MODE = {
    "": 0, "maj": 0, "ion": 0, "mix": -1, "dor": -2, "m": -3, "min": -3, "aeo": -3,
    "phr": -4, "loc": -5, "lyd": 1,
}  # fmt: skip
SHARPS, FLATS = "FCGDAEB", "BEADGCF"
ACCIDENTAL = {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}
TUPLET_TIME = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}

_KEY = re.compile(r"\s*([A-G])\s*([#b]?)\s*([A-Za-z]{0,10})")
_FIELD = re.compile(r"^([A-Za-z+]):(.*)$")
_TOKEN = re.compile(
    r"""(?P<words>"[^"\n]*")
      | (?P<inline>\[[A-Za-z]:[^\]\n]*\])
      | (?P<bar>\[\||:*\|+[\]:|]*|::)
      | (?P<ending>\[?[1-9](?:[,.\-][1-9])*)
      | (?P<decoration>![^!\n|]*!|\+[A-Za-z0-9.()<>]+\+|\{[^}\n]*\})
      | (?P<chord>\[[^\]|:\n]*[A-Ga-g][^\]|:\n]*\])
      | (?P<tuplet>\([2-9](?::[2-9]?){0,2})
      | (?P<note>(?P<accidental>\^\^?|__?|=)?(?P<letter>[A-Ga-gzx])(?P<octave>[,']*)
            (?P<length>[0-9]*(?:/+[0-9]*)?))
      | (?P<tie>-)
      | (?P<broken>>{1,3}|<{1,3})
      | (?P<skip>[\s\\`~.H-Yh-wy()$*!:\]])""",
    re.VERBOSE,
)


class AbcError(ValueError):
    """ABC text that cannot be read as one voice of exact notes."""


@dataclass(slots=True)
class AbcNote:
    """A note or rest as written, before ties are joined."""

    midi: int | None
    duration_ticks: Fraction
    tied: bool = False


@dataclass(slots=True)
class AbcBar:
    """What stands between two barlines."""

    notes: list[AbcNote] = field(default_factory=list)
    left: str = ""
    right: str = ""
    ending: str = ""
    """'1' for a first ending, '2' for a second, '' outside of endings"""

    @property
    def duration_ticks(self) -> Fraction:
        """Sum of what is written in the bar."""
        return sum((note.duration_ticks for note in self.notes), Fraction(0))


@dataclass(slots=True)
class AbcTune:
    """One tune: its fields, its key and its bars in the order they are printed."""

    fields: dict[str, list[str]]
    meter: str
    tonic_class: int
    """pitch class of the tonic, C = 0"""
    mode: str
    bars: list[AbcBar]
    changes_meter_or_key: bool = False


def read_key(text: str) -> tuple[int, str, dict[str, int]]:
    """Tonic pitch class, mode as written (three lower-case letters) and accidentals of a `K:` field.

    Raises:
        AbcError: when the field names no key.
    """
    match = _KEY.match(text.split("%")[0])
    if match is None:
        raise AbcError(f"K:{text.strip()} names no key; write for example K:D or K:Ador")
    letter, accidental, word = match.groups()
    mode = word.lower()
    mode = "m" if mode == "m" else mode[:3]
    if mode not in FIFTHS_OF_MODE:
        raise AbcError(f"K:{text.strip()} has an unknown mode {word!r}; known: {sorted(FIFTHS_OF_MODE)}")
    shift = {"#": 1, "b": -1, "": 0}[accidental]
    fifths = FIFTHS_OF_TONIC[letter] + 7 * shift + FIFTHS_OF_MODE[mode]
    if abs(fifths) > 7:
        raise AbcError(f"K:{text.strip()} has {abs(fifths)} accidentals; at most 7 can be written")
    signature = {name: 1 for name in SHARPS[: max(fifths, 0)]}
    signature |= {name: -1 for name in FLATS[: max(-fifths, 0)]}
    return (LETTER_MIDI[letter] + shift) % 12, mode, signature


def read_length(text: str) -> Fraction:
    """A note-length multiplier: '' is 1, '3/2' is 3/2, '/' is 1/2, '//' is 1/4.

    Raises:
        AbcError: for a length of zero.
    """
    whole, slash, rest = text.partition("/")
    value = Fraction(int(whole) if whole else 1)
    if slash:
        below = rest.lstrip("/")
        if below == "0" * len(below) and below:
            raise AbcError(f"note length {text!r} divides by zero")
        value /= int(below) if below else 2 ** (1 + len(rest))
    if value == 0:
        raise AbcError(f"note length {text!r} is zero")
    return value


def split_tunes(text: str) -> Iterator[str]:
    """The tunes of an ABC book, each from its `X:` line on."""
    for part in re.split(r"^(?=X:)", text.replace("\r\n", "\n").replace("\r", "\n"), flags=re.MULTILINE):
        if part.startswith("X:"):
            yield part


def read_tune(text: str) -> AbcTune:
    """Read one tune.

    Raises:
        AbcError: with the place and the sign that could not be read.
    """
    return _Reader().read(text)


class _Reader:
    """State of one pass over a tune: unit length, key, accidentals of the bar, tuplet, tie, broken rhythm."""

    def __init__(self) -> None:
        self.fields: dict[str, list[str]] = {}
        self.meter = "4/4"
        self.unit_ticks: Fraction | None = None
        self.key: tuple[int, str, dict[str, int]] | None = None
        self.changes = False
        self.bars = [AbcBar()]
        self.accidentals: dict[str, int] = {}
        self.tuplet_left = 0
        self.tuplet_ratio = Fraction(1)
        self.broken: Fraction | None = None
        self.tie_letter: tuple[str, str] | None = None

    def read(self, text: str) -> AbcTune:
        for raw in text.splitlines():
            line = re.sub(r"(?<!\\)%.*", "", raw)
            match = _FIELD.match(line)
            if match:
                self.field(match[1], match[2].strip())
            elif self.key is not None:
                self.music(line)
        if self.key is None:
            raise AbcError("the tune has no K: field; add one, for example K:D")
        if self.bars and not self.bars[-1].notes:
            self.bars.pop()
        tonic_class, mode, _ = self.key
        return AbcTune(self.fields, self.meter, tonic_class, mode, self.bars, self.changes)

    def field(self, name: str, value: str) -> None:
        self.fields.setdefault(name, []).append(value)
        in_body = self.key is not None
        if name == "M":
            meter = {"C": "4/4", "C|": "4/4", "2/2": "4/4"}.get(value.replace(" ", ""), value.replace(" ", ""))
            self.changes |= in_body and meter != self.meter
            self.meter = meter
        elif name == "L":
            self.unit_ticks = Fraction(value.replace(" ", "")) * 4 * TICKS_PER_QUARTER
        elif name == "K":
            key = read_key(value)
            self.changes |= in_body and key != self.key
            self.key = key
        elif name == "V" and in_body:
            raise AbcError("the tune has several voices; take one out into a tune of its own")

    def default_unit_ticks(self) -> Fraction:
        """The standard's rule: a sixteenth below 3/4, else an eighth."""
        try:
            short = Fraction(self.meter) < Fraction(3, 4)
        except (ValueError, ZeroDivisionError):
            short = False
        return Fraction(TICKS_PER_QUARTER, 4 if short else 2)

    def music(self, line: str) -> None:
        at = 0
        while at < len(line):
            match = _TOKEN.match(line, at)
            if match is None:
                raise AbcError(f"cannot read {line[at : at + 8]!r} (column {at + 1} of {line.strip()[:40]!r})")
            at = match.end()
            kind = match.lastgroup if match.lastgroup not in ("length", "letter", "octave") else "note"
            if match["note"]:
                self.note(match)
            elif kind == "chord":
                raise AbcError(f"the chord {match['chord']!r} is more than one voice; keep one note of it")
            elif kind == "bar":
                self.barline(match["bar"])
            elif kind == "ending":
                self.bars[-1].ending = match["ending"].lstrip("[")[0]
            elif kind == "tuplet":
                self.tuplet(match["tuplet"])
            elif kind == "broken":
                self.break_rhythm(match["broken"])
            elif kind == "tie" and self.bars[-1].notes:
                self.bars[-1].notes[-1].tied = True
            elif kind == "inline":
                self.field(match["inline"][1], match["inline"][3:-1].strip())

    def note(self, match: re.Match[str]) -> None:
        unit = self.unit_ticks or self.default_unit_ticks()
        duration = unit * read_length(match["length"])
        if self.tuplet_left:
            duration *= self.tuplet_ratio
            self.tuplet_left -= 1
        if self.broken is not None:
            duration *= self.broken
            self.broken = None
        letter = match["letter"]
        if letter in "zx":
            self.bars[-1].notes.append(AbcNote(None, duration))
            self.tie_letter = None
            return
        name = letter.upper()
        octave = 12 * (letter.islower() + match["octave"].count("'") - match["octave"].count(","))
        natural = LETTER_MIDI[name] + octave
        if match["accidental"]:
            self.accidentals[name] = ACCIDENTAL[match["accidental"]]
        assert self.key is not None
        alter = self.accidentals.get(name, self.key[2].get(name, 0))
        before = self.last_note()
        if before is not None and before.tied and before.midi is not None and not match["accidental"]:
            # A tie carries its accidental over the barline.
            if self.tie_letter == (name, str(octave)):
                alter = before.midi - natural
        self.tie_letter = (name, str(octave))
        if before is not None and before.tied and before.midi != natural + alter:
            before.tied = False
        self.bars[-1].notes.append(AbcNote(natural + alter, duration))

    def last_note(self) -> AbcNote | None:
        for bar in reversed(self.bars[-2:]):
            if bar.notes:
                return bar.notes[-1]
        return None

    def barline(self, sign: str) -> None:
        self.accidentals = {}
        self.tuplet_left = 0
        last = self.bars[-1]
        if not last.notes:
            last.left += sign
            return
        last.right = sign
        ends = any(mark in sign for mark in (":", "||", "]", "[|"))
        # An ending lasts until its own closing barline; the second one opens with a new number.
        self.bars.append(AbcBar(left=sign, ending="" if ends else last.ending))

    def tuplet(self, sign: str) -> None:
        parts = sign[1:].split(":")
        notes = int(parts[0])
        compound = self.meter in ("6/8", "9/8", "12/8", "3/8")
        time = int(parts[1]) if len(parts) > 1 and parts[1] else TUPLET_TIME.get(notes, 3 if compound else 2)
        self.tuplet_left = int(parts[2]) if len(parts) > 2 and parts[2] else notes
        self.tuplet_ratio = Fraction(time, notes)

    def break_rhythm(self, sign: str) -> None:
        before = self.last_note()
        if before is None or not self.bars[-1].notes:
            raise AbcError(f"a {sign!r} has no note before it")
        short = Fraction(1, 2 ** len(sign))
        long = 2 - short
        before.duration_ticks *= long if sign[0] == ">" else short
        self.broken = short if sign[0] == ">" else long
