"""Reading ABC notation (standard 2.1, one voice) into exact bars of notes.

Kept: accidentals (to the end of the bar, in all octaves), key signatures, broken rhythm, tuplets,
ties, rests of whole bars, inline fields; of a chord its top note. Dropped: grace notes,
decorations, chord symbols, words. A dash between different pitches is an old slur, not a tie.
A bar in which the metre or key changes is read as two, with no barline in between.
Several voices are refused. A tune ends at the first empty line after its first note.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from music.formats.abc import AbcBar, AbcError, AbcNote, AbcTune
from music.formats.abc_key import (
    ACCIDENTAL,
    NO_KEY,
    AbcKey,
    check_directive,
    in_mode,
    read_key,
    read_shifts,
)
from music.formats.abc_melody import STYLE_FIELD
from music.formats.abc_tokens import (
    FIELD,
    TOKEN,
    check_length,
    read_length,
    read_meter,
    read_ratio,
)
from music.formats.spelling import LETTER_MIDI
from music.limits import TUNE_CHARACTERS
from music.melody import TICKS_PER_QUARTER

STYLE_DIRECTIVE = "tastemaker-style"
"""%%tastemaker-style LABEL: the style, where `R:` alone would be read as another"""
MODE_DIRECTIVE = "tastemaker-mode"
"""%%tastemaker-mode loc: the mode, where the next `K:` names another of the same signature"""
TUPLET_TIME = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
MOST_BARS_OF_REST = 32
LONGEST_BAR_SIGN = 32
"""characters; barlines with no note in between are kept up to here"""


def read_tune(text: str) -> AbcTune:
    """Read the first tune of a text; what comes after it is not read.

    Raises:
        AbcError: with the place and the sign that could not be read, or for a tune of more than
            `TUNE_CHARACTERS`.
    """
    return _Reader().read(text)


@dataclass(frozen=True, slots=True)
class _Pitch:
    """A pitch as a note token names it."""

    midi: int
    letter: tuple[str, int]
    """and its octave"""
    has_accidental: bool


class _Reader:
    """State of one pass: unit length, key, the bar's accidentals, tuplet, tie, broken rhythm."""

    def __init__(self) -> None:
        self.fields: dict[str, list[str]] = {}
        self.meter = "4/4"
        self.unit_ticks: Fraction | None = None
        self.key: AbcKey | None = None
        self.named_mode: str | None = None
        self.key_shifts: dict[str, int] = {}
        self.voice_shifts: dict[str, dict[str, int]] = {}
        self.changes = False
        self.bars = [AbcBar()]
        self.accidentals: dict[str, int] = {}
        self.tuplet_left = 0
        self.tuplet_ratio = Fraction(1)
        self.broken: Fraction | None = None
        self.tie_letter: tuple[str, int] | None = None
        self.voice: str | None = None
        self.chords = 0

    def read(self, text: str) -> AbcTune:
        lines = iter(re.split(r"\r\n|\r|\n", text.lstrip("\ufeff")))
        tunes_after = characters = 0
        for raw in lines:
            ended = self.sounded() and (not raw.strip() or raw.startswith("X:"))
            if ended:
                tunes_after = sum(line.startswith("X:") for line in (raw, *lines))
                break
            characters += len(raw) + 1
            if characters > TUNE_CHARACTERS:
                raise AbcError(
                    f"the first tune has more than {TUNE_CHARACTERS:,} characters; give a shorter "
                    "one (an empty line ends a tune)"
                )
            if raw.startswith("%%"):
                self.directive(raw[2:], lines)
                continue
            line = re.sub(r"(?<!\\)%.*", "", raw)
            match = FIELD.match(line)
            if match:
                self.field(match[1], match[2].strip())
            elif self.key is not None:
                self.music(line)
        if self.key is None:
            raise AbcError("the tune has no K: field; add one, for example K:D")
        if self.bars and not self.bars[-1].notes:
            self.bars.pop()
        return AbcTune(
            self.fields,
            self.meter,
            self.tonic_class(self.key),
            self.key.mode,
            self.bars,
            self.changes,
            self.chords,
            tunes_after,
        )

    def sounded(self) -> bool:
        """Whether there were notes or rests."""
        return any(bar.notes for bar in self.bars)

    def directive(self, text: str, lines: Iterator[str]) -> None:
        """A line that begins with %%; a block of text or pictures is passed over to its end."""
        check_directive(text)
        name, _, value = text.strip().partition(" ")
        if name == STYLE_DIRECTIVE:
            self.fields.setdefault(STYLE_FIELD, []).append(value.strip())
        elif name == MODE_DIRECTIVE:
            self.named_mode = value.strip()
        block = re.match(r"\s*begin([a-z]+)", text)
        if block is not None:
            end = re.compile(rf"%%\s*end{block[1]}\b")
            while (line := next(lines, None)) is not None and not end.match(line):
                pass

    def shifts(self) -> dict[str, int]:
        """Semitones that clef, octave= and transpose= move the notes by: the voice's, else K:'s."""
        voice = self.voice or next(iter(self.voice_shifts), "")
        return self.key_shifts | self.voice_shifts.get(voice, {})

    def tonic_class(self, key: AbcKey) -> int:
        """The tonic as it sounds."""
        return (key.tonic_class + self.shifts().get("transpose", 0)) % 12

    def field(self, name: str, value: str) -> None:
        self.fields.setdefault(name, []).append(value)
        in_body = self.key is not None
        if name == "M":
            meter = read_meter(value)
            if in_body and meter != self.meter:
                self.change()
            self.meter = meter
        elif name == "L":
            self.unit_ticks = read_ratio(value, "L") * 4 * TICKS_PER_QUARTER
        elif name == "K":
            self.set_key(value)
        elif name == "V":
            self.set_voice(value)
        elif name == "I":
            check_directive(value)

    def set_key(self, value: str) -> None:
        before = self.key
        shifts = read_shifts("K", value)
        names_key = value[:1].isupper() or value.lower().startswith(NO_KEY)
        only_clef = before is not None and shifts and not names_key
        key = before if before is not None and only_clef else read_key(value)
        if self.named_mode is not None:
            key, self.named_mode = in_mode(key, self.named_mode), None
        sounding = None if before is None else self.tonic_class(before)
        self.key_shifts |= shifts
        self.key = key
        if before is not None and (
            (key.mode, key.altered) != (before.mode, before.altered)
            or self.tonic_class(key) != sounding
        ):
            self.change()

    def set_voice(self, value: str) -> None:
        """The voice that follows; in the header, what is said of one that will come."""
        name = (value.split() or [""])[0]
        sounding = None if self.key is None else self.tonic_class(self.key)
        self.voice_shifts[name] = self.voice_shifts.get(name, {}) | read_shifts("V", value)
        if self.key is None:
            return
        if name != self.voice and (self.voice is not None or self.sounded()):
            raise AbcError("the tune has several voices; take one out into a tune of its own")
        self.voice = name
        if self.sounded() and self.tonic_class(self.key) != sounding:
            self.change()

    def change(self) -> None:
        """The metre or key is another from here on; a bar that has begun is divided."""
        self.changes = True
        if self.bars[-1].notes:
            self.bars.append(AbcBar(endings=self.bars[-1].endings))

    def default_unit_ticks(self) -> Fraction:
        """The standard's rule: a sixteenth below 3/4, else an eighth."""
        short = self.meter != "none" and read_ratio(self.meter, "M") < Fraction(3, 4)
        return Fraction(TICKS_PER_QUARTER, 4 if short else 2)

    def music(self, line: str) -> None:
        at = 0
        while at < len(line):
            match = TOKEN.match(line, at)
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
                self.chord(match)
            elif kind == "bar_rest":
                self.bar_rest(match["bars"])
            elif kind == "bar":
                # A line that ends with a barline and one that begins with it have one in between.
                begins = not line[: match.start()].strip() and not self.bars[-1].notes
                if not (begins and self.bars[-1].left == match["bar"] == "|"):
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
        self.sound(self.pitch(match), read_length(match["length"]))

    def chord(self, match: re.Match[str]) -> None:
        """The highest note of a chord, as long as the first."""
        notes = []
        tied = False
        for inside in TOKEN.finditer(match["inside"]):
            if inside.lastgroup == "note":
                notes.append((self.pitch(inside), read_length(inside["length"])))
            tied |= inside.lastgroup == "tie"
        if not notes:
            raise AbcError(f"the chord {match['chord'][:20]!r} has no notes; write some or none")
        self.chords += len(notes) > 1
        sounding = [pitch for pitch, _ in notes if pitch is not None]
        top = max(sounding, key=lambda pitch: pitch.midi, default=None)
        self.sound(top, notes[0][1] * read_length(match["chord_length"]))
        self.bars[-1].notes[-1].tied = tied and top is not None

    def pitch(self, match: re.Match[str]) -> _Pitch | None:
        """What a note token names; its accidental holds from here on."""
        letter = match["letter"]
        if letter in "zx":
            return None
        name = letter.upper()
        octave = 12 * (letter.islower() + match["octave"].count("'") - match["octave"].count(","))
        if match["accidental"]:
            self.accidentals[name] = ACCIDENTAL[match["accidental"]]
        assert self.key is not None
        alter = self.accidentals.get(name, self.key.altered.get(name, 0))
        midi = LETTER_MIDI[name] + octave + alter + sum(self.shifts().values())
        return _Pitch(midi, (name, octave), bool(match["accidental"]))

    def sound(self, pitch: _Pitch | None, length: Fraction) -> None:
        """Add a note or rest of so many unit lengths."""
        if self.unit_ticks is None:  # and it stays so where the metre changes
            self.unit_ticks = self.default_unit_ticks()
        duration = self.unit_ticks * length
        if self.tuplet_left:
            duration *= self.tuplet_ratio
            self.tuplet_left -= 1
        if self.broken is not None:
            duration *= self.broken
            self.broken = None
        check_length(duration)
        if pitch is None:
            self.tie_letter = None
            self.add(AbcNote(None, duration))
            return
        midi = pitch.midi
        before = self.last_note()
        if before is not None and before.tied and before.midi is not None:
            if self.tie_letter == pitch.letter and not pitch.has_accidental:
                midi = before.midi  # a tie carries its accidental over the barline
            before.tied = before.midi == midi  # else the dash is an old slur
        self.tie_letter = pitch.letter
        self.add(AbcNote(midi, duration))

    def add(self, note: AbcNote) -> None:
        """Write a note or rest into the bar; the first one says what holds in it."""
        bar = self.bars[-1]
        if not bar.notes and self.key is not None:
            bar.meter, bar.mode = self.meter, self.key.mode
            bar.tonic_class = self.tonic_class(self.key)
        bar.notes.append(note)

    def bar_rest(self, bars: str) -> None:
        """A rest of one bar or several."""
        count = int(bars[:4] or 1)
        if not 1 <= count <= MOST_BARS_OF_REST or self.meter == "none":
            raise AbcError(
                f"a rest of {bars[:9] or 1} bars in M:{self.meter[:20]} is none of 1 to "
                f"{MOST_BARS_OF_REST} bars of a metre; write it with z"
            )
        if self.bars[-1].notes:
            raise AbcError("Z and X are rests of whole bars, not of a part of one; write z or x")
        ticks = read_ratio(self.meter, "M") * 4 * TICKS_PER_QUARTER
        check_length(ticks)
        for number in range(count):
            if number:
                self.barline("|")
            self.add(AbcNote(None, ticks))
        self.tie_letter = None

    def last_note(self) -> AbcNote | None:
        for bar in reversed(self.bars[-2:]):
            if bar.notes:
                return bar.notes[-1]
        return None

    def barline(self, sign: str) -> None:
        self.accidentals = {}
        self.tuplet_left = 0
        if len(self.bars) > 1 and not self.bars[-1].notes and not self.bars[-2].right:
            self.bars.pop()  # the metre or key changed just before the barline
        last = self.bars[-1]
        if not last.notes:
            last.left = (last.left + sign)[:LONGEST_BAR_SIGN]
            return
        last.right = sign = sign[:LONGEST_BAR_SIGN]
        ends = any(mark in sign for mark in (":", "||", "]", "[|"))
        # An ending lasts until its own closing barline; the second one opens with a new number.
        self.bars.append(AbcBar(left=sign, endings=() if ends else last.endings))

    def ending(self, sign: str) -> None:
        if self.bars[-1].notes and not sign.startswith("["):
            raise AbcError(
                f"the number {sign!r} stands inside a bar; a length follows its note at once, and "
                "an ending inside a bar is written [1"
            )
        numbers: list[int] = []
        for first, last in re.findall(r"([1-9])(?:-([1-9]))?", sign):
            numbers += range(int(first), int(last or first) + 1)
        self.bars[-1].endings = tuple(dict.fromkeys(numbers))

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
            raise AbcError(f"a {sign!r} has no note before it; take it out")
        if self.broken is not None:
            raise AbcError(f"a {sign!r} stands after another; write at most three, such as A>>>B")
        short = Fraction(1, 2 ** len(sign))
        long = 2 - short
        before.duration_ticks *= long if sign[0] == ">" else short
        check_length(before.duration_ticks)
        self.broken = short if sign[0] == ">" else long
