"""Reading ABC notation (standard 2.1, one voice) into exact bars of notes.

A tune is a list of bars; a bar knows the barline before and after it and the ending it belongs to.
Kept: accidentals (to the end of the bar, in all octaves), key signatures, broken rhythm, tuplets,
ties, inline fields. Dropped: grace notes, decorations, chord symbols, words. A dash between
different pitches is an old slur, not a tie. Chords and several voices are refused. Durations are in
ticks, 24 a quarter (`music.melody`); pitch is a MIDI number, None for a rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

from music.formats.spelling import LETTER_FIFTHS, LETTER_MIDI, MAX_SIGNATURE, signature
from music.melody import TICKS_PER_QUARTER

FIFTHS_OF_MODE = {
    "": 0, "maj": 0, "ion": 0, "mix": -1, "dor": -2, "m": -3, "min": -3, "aeo": -3,
    "phr": -4, "loc": -5, "lyd": 1,
}  # fmt: skip
ACCIDENTAL = {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}
TUPLET_TIME = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
METER_ALIASES = {"C": "4/4", "C|": "4/4", "2/2": "4/4"}
MAX_LENGTH_DIGITS = 4

_KEY = re.compile(r"\s*([A-G])\s*([#b]?)\s*([A-Za-z]{0,10})")
_CLEF = re.compile(r"\b(?:clef|middle|octave|transpose|stafflines|staffscale)\s*=\s*\S+")
_RATIO = re.compile(r"([0-9]{1,4})(?:/([0-9]{1,4}))?$")
_FIELD = re.compile(r"^([A-Za-z+]):(.*)$")
_TOKEN = re.compile(
    r"""(?P<words>"[^"\n]*")
      | (?P<inline>\[[A-Za-z]:[^\]\n]*\])
      | (?P<bar>\[\||:*\|+[\]:|]*|::)
      | (?P<ending>\[?[1-9](?:[,.\-][1-9])*)
      | (?P<decoration>![^!\n|]*!|\+[A-Za-z0-9.()<>]+\+|\{[^}\n]*\})
      | (?P<chord>\[[^\]|:\n]*\])
      | (?P<tuplet>\([2-9](?::[1-9]?){0,2})
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
    """Tonic pitch class, mode (three lower-case letters) and accidentals of a `K:` field.

    Raises:
        AbcError: when the field names no key.
    """
    match = _KEY.match(_CLEF.sub("", text.split("%")[0]))
    if match is None:
        raise AbcError(f"K:{text.strip()} names no key; write for example K:D or K:Ador")
    letter, accidental, word = match.groups()
    mode = word.lower()
    mode = "m" if mode == "m" else mode[:3]
    if mode not in FIFTHS_OF_MODE:
        known = [name for name in FIFTHS_OF_MODE if name]
        raise AbcError(f"K:{text.strip()} has an unknown mode {word!r}; known: {known}")
    shift = {"#": 1, "b": -1, "": 0}[accidental]
    fifths = LETTER_FIFTHS[letter] + 7 * shift + FIFTHS_OF_MODE[mode]
    if abs(fifths) > MAX_SIGNATURE:
        raise AbcError(
            f"K:{text.strip()} has {abs(fifths)} accidentals; at most {MAX_SIGNATURE} can be "
            "written, so name the key by its other spelling"
        )
    return (LETTER_MIDI[letter] + shift) % 12, mode, signature(fifths)


@lru_cache(maxsize=256)
def read_length(text: str) -> Fraction:
    """A note-length multiplier: '' is 1, '3/2' is 3/2, '/' is 1/2, '//' is 1/4.

    Raises:
        AbcError: for a length of zero, or with more digits than a note needs.
    """
    if any(len(digits) > MAX_LENGTH_DIGITS for digits in re.findall("[0-9]+|/+", text)):
        raise AbcError(f"note length {text[:20]!r} is too long; write for example 3/2")
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
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    for part in re.split(r"^(?=X:)", lines, flags=re.MULTILINE):
        if part.startswith("X:"):
            yield part


def read_tune(text: str) -> AbcTune:
    """Read one tune.

    Raises:
        AbcError: with the place and the sign that could not be read.
    """
    return _Reader().read(text)


def _ratio(text: str, field_name: str) -> Fraction:
    """A positive ratio such as '1/8' in a field.

    Raises:
        AbcError: for anything else.
    """
    match = _RATIO.match("".join(text.split()))
    if match is None or not int(match[1]) or not int(match[2] or 1):
        raise AbcError(
            f"{field_name}:{text[:20]} is not a ratio; write for example {field_name}:1/8"
        )
    return Fraction(int(match[1]), int(match[2] or 1))


class _Reader:
    """State of one pass: unit length, key, the bar's accidentals, tuplet, tie, broken rhythm."""

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
        self.tie_letter: tuple[str, int] | None = None
        self.voice: str | None = None

    def read(self, text: str) -> AbcTune:
        for raw in text.splitlines():
            line = re.sub(r"(?<!\\)%.*", "", raw)
            match = _FIELD.match(line)
            # No field of the body is called A to G, so 'G:|' goes on with the music.
            if match and not (self.key is not None and match[1] in LETTER_MIDI):
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
            meter = "".join(value.split())
            meter = METER_ALIASES.get(meter, meter)
            self.changes |= in_body and meter != self.meter
            self.meter = meter
        elif name == "L":
            self.unit_ticks = _ratio(value, "L") * 4 * TICKS_PER_QUARTER
        elif name == "K":
            key = read_key(value)
            self.changes |= in_body and key != self.key
            self.key = key
        elif name == "V" and in_body:
            voice = (value.split() or [""])[0]
            sounded = any(bar.notes for bar in self.bars)
            if voice != self.voice and (self.voice is not None or sounded):
                raise AbcError("the tune has several voices; take one out into a tune of its own")
            self.voice = voice

    def default_unit_ticks(self) -> Fraction:
        """The standard's rule: a sixteenth below 3/4, else an eighth."""
        short = self.meter != "none" and _ratio(self.meter, "M") < Fraction(3, 4)
        return Fraction(TICKS_PER_QUARTER, 4 if short else 2)

    def music(self, line: str) -> None:
        at = 0
        while at < len(line):
            match = _TOKEN.match(line, at)
            if match is None:
                place = f"column {at + 1} of {line.strip()[:40]!r}"
                raise AbcError(
                    f"cannot read {line[at : at + 8]!r} ({place}); take it out, or write it as "
                    "the ABC standard 2.1 has it"
                )
            at = match.end()
            kind = match.lastgroup
            if kind == "note":
                self.note(match)
            elif kind == "chord":
                chord = match["chord"][:20]
                raise AbcError(f"the chord {chord!r} is more than one voice; keep one note of it")
            elif kind == "bar":
                self.barline(match["bar"])
            elif kind == "ending":
                self.ending(match["ending"])
            elif kind == "tuplet":
                self.tuplet(match["tuplet"])
            elif kind == "broken":
                self.break_rhythm(match["broken"])
            elif kind == "tie" and self.bars[-1].notes:
                # Only a note can be held; a dash after a rest is a slip of the pen.
                self.bars[-1].notes[-1].tied = self.bars[-1].notes[-1].midi is not None
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
        if before is not None and before.tied and before.midi is not None:
            if self.tie_letter == (name, octave) and not match["accidental"]:
                alter = before.midi - natural  # a tie carries its accidental over the barline
            before.tied = before.midi == natural + alter  # else the dash is an old slur
        self.tie_letter = (name, octave)
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

    def ending(self, sign: str) -> None:
        if self.bars[-1].notes and not sign.startswith("["):
            raise AbcError(
                f"the number {sign!r} stands inside a bar; a length follows its note at once, and "
                "an ending inside a bar is written [1"
            )
        self.bars[-1].ending = sign.lstrip("[")[0]

    def tuplet(self, sign: str) -> None:
        parts = sign[1:].split(":")
        notes = int(parts[0])
        compound = self.meter in ("6/8", "9/8", "12/8", "3/8")
        usual = TUPLET_TIME.get(notes, 3 if compound else 2)
        time = int(parts[1]) if len(parts) > 1 and parts[1] else usual
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
