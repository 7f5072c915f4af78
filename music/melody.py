"""A melody: one voice, exact bars, and a header that says what kind of tune it is.

Time is in ticks, 24 a quarter note. Onset 0 is the first downbeat, so a pickup has negative onsets.
With a pickup of k ticks the last bar is k ticks short, as in printed tunes, so a melody always
lasts `bars * bar_ticks`. Pitch is in semitones above the tonic; the key is chosen when rendering.
Rests are the gaps between notes.

Limits: one voice; the metres of `music.metre` and the seven church modes; 2 to 32 bars; every note
and gap, cut at the barlines, lasts a sum of values in `DURATIONS_TICKS`, so not 1, 2 or 5 ticks.
Numbers are whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral

from music.durations import DURATIONS_TICKS, is_sum_of_durations
from music.metre import BAR_TICKS, BEAT_TICKS, METERS
from music.styles import OTHER, StyleError, check_label

TICKS_PER_QUARTER = 24
MODES = ("major", "minor", "dorian", "phrygian", "lydian", "mixolydian", "locrian")
MODE_SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
}
BAR_COUNTS = tuple(range(2, 33))
PICKUPS_TICKS = {
    meter: (
        0,
        *(
            ticks
            for ticks in range(1, bar_ticks)
            if is_sum_of_durations(ticks) and is_sum_of_durations(bar_ticks - ticks)
        ),
    )
    for meter, bar_ticks in BAR_TICKS.items()
}
"""metre -> lengths of a pickup that it can have: notes can fill it, and the last bar as well, which
is shorter by the pickup"""
PITCH_MIN, PITCH_MAX = -12, 24
TONIC_MIDI_MIN, TONIC_MIDI_MAX = 60, 71
"""tonics of melodies that are read, and of those written for no instrument in particular"""
LOWEST_TONIC_MIDI, HIGHEST_TONIC_MIDI = 24, 83
"""tonics that a melody may have, from a double bass' to a piccolo's"""
TONIC_NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


RULES = (
    "metre or mode",
    "number of bars",
    "bar length",
    "range",
    "off the grid",
    "rule of melodies",
)
"""the kinds of rule that a melody can break, to be counted"""


class MelodyError(ValueError):
    """A melody that breaks a rule; the message gives the value, the rule and the remedy.

    Args:
        message: one line.
        rule: one of `RULES`.
    """

    def __init__(self, message: str = "", *, rule: str = "rule of melodies") -> None:
        super().__init__(message)
        self.rule = rule


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """A sounding note: onset and duration in ticks, pitch in semitones above the tonic."""

    onset_ticks: int
    duration_ticks: int
    pitch: int

    @property
    def end_ticks(self) -> int:
        """The tick at which the note stops."""
        return self.onset_ticks + self.duration_ticks


@dataclass(frozen=True, slots=True)
class Header:
    """The header: metre, mode, style, number of bars and pickup."""

    meter: str = "4/4"
    mode: str = "major"
    style: str = OTHER
    """a short label; which labels a policy knows stands in its `config.json`"""
    bars: int = 8
    pickup_ticks: int = 0

    def __post_init__(self) -> None:
        """Check that each field has an allowed value.

        Raises:
            MelodyError: for a value that no melody has, with the rule and the remedy.
        """
        for name, value, known in (("meter", self.meter, METERS), ("mode", self.mode, MODES)):
            if value not in known:
                raise MelodyError(
                    f"{name}={value!r} is not known; choose one of {list(known)}",
                    rule="metre or mode",
                )
        try:
            check_label(self.style)
        except StyleError as error:
            raise MelodyError(str(error)) from error
        _check_whole("bars", self.bars)
        if self.bars not in BAR_COUNTS:
            raise MelodyError(
                f"bars={self.bars} is not in {BAR_COUNTS[0]}..{BAR_COUNTS[-1]}; cut the melody "
                "into parts, or join parts",
                rule="number of bars",
            )
        _check_whole("pickup_ticks", self.pickup_ticks)
        if not 0 <= self.pickup_ticks < self.bar_ticks:
            raise MelodyError(
                f"pickup_ticks={self.pickup_ticks} is not in 0..{self.bar_ticks - 1}; a pickup is "
                f"shorter than a bar of {self.meter}",
                rule="bar length",
            )
        if self.pickup_ticks not in PICKUPS_TICKS[self.meter]:
            raise MelodyError(
                f"pickup_ticks={self.pickup_ticks} leaves a part of a bar of {self.meter} "
                f"({self.bar_ticks} ticks) that is no sum of {list(DURATIONS_TICKS)}; quantise it "
                "first",
                rule="off the grid",
            )

    @property
    def bar_ticks(self) -> int:
        """Length of a full bar in ticks."""
        return BAR_TICKS[self.meter]

    @property
    def beat_ticks(self) -> int:
        """Length of a beat in ticks: see `music.metre.BEAT_TICKS`."""
        return BEAT_TICKS[self.meter]

    @property
    def start_ticks(self) -> int:
        """The tick where the pickup begins (0 or negative)."""
        return -self.pickup_ticks

    @property
    def end_ticks(self) -> int:
        """The tick where the last bar ends."""
        return self.bars * self.bar_ticks - self.pickup_ticks

    @property
    def barlines_ticks(self) -> tuple[int, ...]:
        """Start of the pickup (if any), of every bar, and the end of the last."""
        starts = tuple(bar * self.bar_ticks for bar in range(self.bars))
        return ((self.start_ticks,) if self.pickup_ticks else ()) + (*starts, self.end_ticks)


@dataclass(frozen=True, slots=True)
class Segment:
    """A note or gap, or the part of it inside one bar."""

    bar: int
    """-1 for the pickup, then 0, 1, …"""
    duration_ticks: int
    pitch: int | None
    """None for a rest"""
    held: bool
    """whether it continues a note from the previous bar"""


@dataclass(frozen=True, slots=True)
class Melody:
    """A complete melody. Every rule is checked when it is created.

    Raises:
        MelodyError: for notes out of order, outside the bars, off the grid or out of range.
    """

    header: Header
    notes: tuple[Note, ...]
    tonic_midi: int = 62

    def __post_init__(self) -> None:
        """Check every rule of the module's docstring."""
        _check_whole("tonic_midi", self.tonic_midi)
        if not LOWEST_TONIC_MIDI <= self.tonic_midi <= HIGHEST_TONIC_MIDI:
            raise MelodyError(
                f"tonic_midi={self.tonic_midi} is not in {LOWEST_TONIC_MIDI}.."
                f"{HIGHEST_TONIC_MIDI}; shift it by octaves into that range",
                rule="range",
            )
        if not isinstance(self.notes, tuple):
            raise MelodyError(
                f"notes={type(self.notes).__name__} can change after the check; give a tuple"
            )
        if not self.notes:
            raise MelodyError("notes=(): a melody has at least one note; add one")
        check_notes(self.header, self.notes, self.header.end_ticks)

    def segments(self) -> Iterator[Segment]:
        """Notes and gaps in order, cut at the barlines."""
        return cut_at_barlines(self.header, self.notes, self.header.end_ticks)

    @property
    def key(self) -> str:
        """Tonic and mode, such as 'D dorian'."""
        return f"{TONIC_NAMES[self.tonic_midi % 12]} {self.header.mode}"


def _check_whole(name: str, value: object) -> None:
    # The exact type first: this runs for every number of every note, and almost all are ints.
    if type(value) is not int and (isinstance(value, bool) or not isinstance(value, Integral)):
        raise MelodyError(f"{name}={value!r} is not a whole number; round it")


def check_notes(header: Header, notes: Sequence[Note], end_ticks: int) -> None:
    """Check that notes, and the gaps between them up to `end_ticks`, keep every rule of a melody.

    Raises:
        MelodyError: with the value, the rule and the remedy.
    """
    at = header.start_ticks
    for note in notes:
        _check_whole("onset_ticks", note.onset_ticks)
        _check_whole("duration_ticks", note.duration_ticks)
        _check_whole("pitch", note.pitch)
        if note.onset_ticks < at:
            raise MelodyError(
                f"onset_ticks={note.onset_ticks} is before tick {at}, where the note before it "
                "ends or the melody begins; a melody is one voice in order: move or shorten one"
            )
        if note.duration_ticks <= 0:
            raise MelodyError(
                f"duration_ticks={note.duration_ticks} of the note at tick {note.onset_ticks} is "
                "not positive; drop the note or lengthen it"
            )
        if not PITCH_MIN <= note.pitch <= PITCH_MAX:
            raise MelodyError(
                f"pitch={note.pitch} is not within {PITCH_MIN}..{PITCH_MAX} semitones of the "
                "tonic; shift the melody by an octave",
                rule="range",
            )
        at = note.end_ticks
    if at > header.end_ticks:
        raise MelodyError(
            f"the last note ends at tick {at}, after the last bar ({header.end_ticks}); "
            "shorten it or ask for more bars",
            rule="number of bars",
        )
    for segment in cut_at_barlines(header, notes, end_ticks):
        if not is_sum_of_durations(segment.duration_ticks):
            place = f"bar {segment.bar + 1}" if segment.bar >= 0 else "the pickup"
            what = "rest" if segment.pitch is None else "note"
            raise MelodyError(
                f"a {what} of {segment.duration_ticks} ticks in {place} is no sum of "
                f"{list(DURATIONS_TICKS)}; quantise it first",
                rule="off the grid",
            )


def cut_at_barlines(header: Header, notes: Sequence[Note], end_ticks: int) -> Iterator[Segment]:
    """The notes and the gaps between them up to `end_ticks`, in order, cut at the barlines."""
    spans: list[tuple[int, int | None]] = []  # end and pitch of each note and gap
    at = header.start_ticks
    for note in notes:
        if note.onset_ticks > at:
            spans.append((note.onset_ticks, None))
        spans.append((note.end_ticks, note.pitch))
        at = note.end_ticks
    if at < end_ticks:
        spans.append((end_ticks, None))
    barlines = header.barlines_ticks
    bar = -1 if header.pickup_ticks else 0
    line = 1  # barlines[line] is the next one
    at = header.start_ticks
    for end, pitch in spans:
        held = False
        while at < end:
            cut = min(end, barlines[line])
            yield Segment(bar, cut - at, pitch, held)
            at = cut
            held = pitch is not None
            if at == barlines[line]:
                bar += 1
                line += 1
