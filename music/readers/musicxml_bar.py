"""Reading one measure of a MusicXML part: what sounds, its barlines, and changes of metre and key.

Pitches are as they sound: a transposing instrument is shifted by its `transpose`, and octave clefs
do not change a pitch in MusicXML. Lengths are fractions of a tick, 24 a quarter note.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from fractions import Fraction
from xml.etree.ElementTree import Element

from music.formats.spelling import LETTER_MIDI
from music.limits import CHANGES_IN_A_BAR
from music.melody import TICKS_PER_QUARTER
from music.readers.key_finder import mode_by_name
from music.readers.tune import ReadError

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,9}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})")
MOST_DIVISIONS = 1_000_000
LONGEST_QUARTERS = 1000
"""of one note, rest or shift of time"""


_PRINTED = {"sharp": "1", "flat": "-1", "double-sharp": "2", "sharp-sharp": "2", "flat-flat": "-2"}
"""accidentals, for the scores of programs that print one and forget to say that it sounds"""


@dataclass(slots=True)
class Sound:
    """A note or rest of one voice; of a chord the top note."""

    onset_ticks: Fraction
    duration_ticks: Fraction
    midi: int | None
    tied: bool
    voice: tuple[str, str]
    """staff and voice"""


@dataclass(slots=True)
class Measure:
    """What stands between two barlines."""

    number: str
    implicit: bool
    meter: str
    key: tuple[int, str | None]
    """fifths of the key as it sounds, and the mode where one is named"""
    has_key: bool
    sounds: list[Sound] = field(default_factory=list)
    length_ticks: Fraction = Fraction(0)
    left: str = ""
    right: str = ""
    endings: tuple[int, ...] = ()
    chords: int = 0
    grace_notes: int = 0
    drums: int = 0
    overlaps: int = 0
    """notes of the voice that was taken which begin before the one before them ends"""


class MeasureReader:
    """Reads the measures of one part in order; it remembers divisions, metre, key and endings."""

    def __init__(self) -> None:
        self.divisions = Fraction(1)
        self.meter = ""
        self.written_fifths = 0
        self.mode: str | None = None
        self.has_key = False
        self.transpose = 0
        self.endings: tuple[int, ...] = ()

    def read(self, element: Element) -> list[Measure]:
        """One `measure`; the parts of it where the metre or key changes inside it.

        Raises:
            ReadError: with the number of the bar, for what cannot be read.
        """
        number = element.get("number", "")[:20]
        try:
            return self._read(element, number)
        except (ValueError, KeyError, OverflowError, ZeroDivisionError) as error:
            if isinstance(error, ReadError):
                raise ReadError(error.reason, str(error), bar=number) from error
            what = str(error) if type(error) is ValueError else "a number out of range"
            detail = f"the bar has {what[:80]}; export the score anew"
            raise ReadError("damaged", detail, bar=number) from error

    def _read(self, element: Element, number: str) -> list[Measure]:
        measure = Measure(
            number, element.get("implicit") == "yes", *self._signatures(), self.has_key
        )
        changes: list[tuple[Fraction, str, tuple[int, str | None]]] = []
        at = chord_at = Fraction(0)
        ends = False
        for child in element:
            if child.tag == "attributes":
                before = self._signatures()
                self._attributes(child)
                if at == 0:
                    measure.meter, measure.key = self._signatures()
                    measure.has_key = self.has_key
                elif self._signatures() != before:
                    changes.append((at, *self._signatures()))
                    if len(changes) > CHANGES_IN_A_BAR:
                        raise ValueError(f"more than {CHANGES_IN_A_BAR} changes of metre or key")
            elif child.tag == "backup":
                at = max(Fraction(0), at - self._duration(child))
            elif child.tag == "forward":
                at += self._duration(child)
            elif child.tag == "note":
                if child.find("chord") is None:
                    chord_at = at
                at += self._note(child, chord_at, measure)
            elif child.tag == "barline":
                ends |= self._barline(child, measure)
            measure.length_ticks = max(measure.length_ticks, at)
        measure.endings = self.endings
        if ends:
            self.endings = ()
        parts = [measure]
        for change_at, meter, key in sorted(changes, key=lambda change: change[0]):
            if change_at < measure.length_ticks:
                start = measure.length_ticks - parts[-1].length_ticks
                parts.append(_cut(parts[-1], change_at - start, meter, key))
        return parts

    def _signatures(self) -> tuple[str, tuple[int, str | None]]:
        """The metre, and the key as it sounds, that hold now."""
        return self.meter, (_nearest_fifths(self.written_fifths, self.transpose), self.mode)

    def _attributes(self, element: Element) -> None:
        if (divisions := element.findtext("divisions")) is not None:
            self.divisions = _number(divisions, "divisions")
            if not 0 < self.divisions <= MOST_DIVISIONS:
                raise ValueError(f"divisions of {divisions.strip()[:20]!r}")
        if (key := element.find("key")) is not None and key.find("fifths") is not None:
            self.written_fifths = _whole(key.findtext("fifths", "0"), "fifths")
            if abs(self.written_fifths) > 11:
                raise ValueError(f"a key of {self.written_fifths} fifths")
            self.mode = (key.findtext("mode") or "").strip().lower() or None
            self.mode = mode_by_name(self.mode) if self.mode else None
            self.has_key = True
        if (time := element.find("time")) is not None:
            beats, unit = time.findall("beats"), time.findall("beat-type")
            if len(beats) == len(unit) == 1:
                parts = (beats[0].text or "").split("+")
                count = sum(_whole(part, "beats") for part in parts)
                self.meter = f"{count}/{_whole(unit[0].text or '', 'beat-type')}"
            else:
                self.meter = "none"
        if (transpose := element.find("transpose")) is not None:
            semitones = _whole(transpose.findtext("chromatic", "0"), "chromatic")
            octaves = _whole(transpose.findtext("octave-change", "0"), "octave-change")
            self.transpose = semitones + 12 * octaves

    def _duration(self, element: Element) -> Fraction:
        quarters = _number(element.findtext("duration", "0"), "duration") / self.divisions
        if not 0 <= quarters <= LONGEST_QUARTERS:
            raise ValueError(f"a duration of {float(quarters):g} quarters")
        return quarters * TICKS_PER_QUARTER

    def _note(self, element: Element, at: Fraction, measure: Measure) -> Fraction:
        """Add a note or rest; return how far it moves the time."""
        if element.find("grace") is not None:
            measure.grace_notes += 1
            return Fraction(0)
        duration = self._duration(element)
        in_chord = element.find("chord") is not None
        moves = Fraction(0) if in_chord else duration
        if element.find("cue") is not None:
            return moves
        midi: int | None = None
        if (pitch := element.find("pitch")) is not None:
            printed = _PRINTED.get(element.findtext("accidental", "").strip(), "0")
            alter = _number(pitch.findtext("alter", printed), "alter")
            if alter.denominator != 1:
                raise ReadError("off the grid", f"a pitch altered by {float(alter):g} semitones")
            letter = pitch.findtext("step", "").strip()
            if letter not in LETTER_MIDI:
                raise ValueError(f"a step {letter[:20]!r}, which is none of A to G")
            step = LETTER_MIDI[letter] - LETTER_MIDI["C"]
            octave = _whole(pitch.findtext("octave", ""), "octave")
            midi = 12 * (octave + 1) + step + int(alter) + self.transpose
            if not 0 <= midi <= 127:
                raise ReadError("range", f"a pitch of MIDI number {midi}, which is not in 0..127")
        elif element.find("unpitched") is not None:
            measure.drums += 1
        tied = any(tie.get("type") == "start" for tie in element.findall("tie"))
        voice = (element.findtext("staff", "1").strip(), element.findtext("voice", "1").strip())
        last = measure.sounds[-1] if measure.sounds else None
        if in_chord and last is not None and last.onset_ticks == at:
            measure.chords += 1
            if midi is not None and (last.midi is None or midi > last.midi):
                last.midi, last.tied = midi, tied
        elif duration > 0:
            measure.sounds.append(Sound(at, duration, midi, tied and midi is not None, voice))
        return moves

    def _barline(self, element: Element, measure: Measure) -> bool:
        """Note its signs; return whether it ends an ending."""
        location = element.get("location", "right")
        style = element.findtext("bar-style", "").strip()
        repeat = element.find("repeat")
        sign = "||" if style in ("light-light", "light-heavy", "heavy-light", "heavy-heavy") else ""
        if repeat is not None:
            sign = ":|" if repeat.get("direction") == "backward" else "|:"
        if location == "left":
            measure.left += sign
        elif location == "right":
            measure.right += sign
        ending = element.find("ending")
        if ending is None:
            return False
        if ending.get("type") == "start":
            numbers = ending.get("number", "").replace(",", " ").split()
            self.endings = tuple(int(n) for n in numbers[:9] if n.isdecimal() and len(n) < 3)
            return False
        return True


def _whole(text: str, name: str) -> int:
    """A whole number of a document.

    Raises:
        ValueError: for anything else, or more than nine digits.
    """
    found = _number(text, name)
    if found.denominator != 1:
        raise ValueError(f"{name} {text.strip()[:20]!r}, which is no whole number")
    return int(found)


def _number(text: str, name: str) -> Fraction:
    plain = text.strip()
    if _NUMBER.fullmatch(plain) is None:
        raise ValueError(f"{name} {plain[:20]!r}, which is no number")
    return Fraction(plain)


def _cut(measure: Measure, at: Fraction, meter: str, key: tuple[int, str | None]) -> Measure:
    """Take off what comes after a place of a measure, as a measure of another metre or key."""
    later = [sound for sound in measure.sounds if sound.onset_ticks >= at]
    earlier = [sound for sound in measure.sounds if sound.onset_ticks < at]
    for sound in earlier:
        over = sound.onset_ticks + sound.duration_ticks - at
        if over > 0:
            later.append(replace(sound, onset_ticks=at, duration_ticks=over))
            sound.duration_ticks -= over
            sound.tied = sound.midi is not None
    after = replace(
        measure,
        meter=meter,
        key=key,
        has_key=True,
        sounds=[replace(sound, onset_ticks=sound.onset_ticks - at) for sound in later],
        length_ticks=measure.length_ticks - at,
        left="",
        chords=0,
        grace_notes=0,
        drums=0,
    )
    measure.sounds, measure.length_ticks, measure.right = earlier, at, ""
    return after


def _nearest_fifths(written: int, semitones: int) -> int:
    """The key signature as it sounds."""
    fifths = written + 7 * semitones
    return (fifths + 5) % 12 - 5 if semitones % 12 else written
