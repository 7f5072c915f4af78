"""A melody as it is printed: bars of note values, with tuplets, beams, ties and accidentals.

A melody has only ticks and semitones. Notation formats also need dots, ties and accidentals, and
this module computes them. Rules:

- A length without a note value of its own becomes several, tied if it is a note, as
  `music.formats.note_values` says.
- Lengths that are not divisible by 3 are in triplets. Notes that fill 12, 24 or 48 ticks together
  share a bracket; the others get a bracket of their own, so that every rhythm is exact.
- Beams join plain eighths within a group of the metre (`music.metre.GROUPS_TICKS`; in 4/4 and 2/4
  within half a bar), and other notes shorter than a quarter within a quarter, or within the group
  in metres of eighths.
- An accidental is valid to the end of its bar for its letter, in all octaves. A tie keeps it across
  the barline without printing it again. This is what `music.formats.abc` reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby

from music.formats.note_values import note_values
from music.formats.spelling import Key, Spelling, key_of, signature
from music.melody import TONIC_MIDI_MIN, Header, Melody, Segment
from music.metre import GROUPS_TICKS

EIGHTH_TICKS, QUARTER_TICKS = 12, 24
TRIPLET_SPANS_TICKS = (12, 24, 48)
TRIPLET_MEMBERS_TICKS = (4, 8, 16, 6, 12, 24)
"""lengths in ticks that have a value inside a triplet, half as long again as they sound"""


@dataclass(frozen=True, slots=True)
class Sign:
    """A printed note or rest."""

    value_ticks: int
    """as printed; inside a triplet two thirds of it sounds"""
    pitch: Spelling | None = None
    """None for a rest"""
    accidental: int | None = None
    """semitones of the printed accidental (0 a natural), None where none is printed"""
    tie_in: bool = False
    tie_out: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One sign, or the signs under one triplet bracket."""

    onset_ticks: int
    signs: tuple[Sign, ...]
    triplet: bool = False


@dataclass(frozen=True, slots=True)
class ScoreBar:
    """A measure; its cells are in groups that a beam would join."""

    groups: tuple[tuple[Cell, ...], ...]
    duration_ticks: int
    whole: bool
    """False for a pickup and for the last bar that completes it"""

    @property
    def signs(self) -> Iterator[Sign]:
        """All signs in order."""
        return (sign for group in self.groups for cell in group for sign in cell.signs)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A segment, or the part of it that one note value prints."""

    onset_ticks: int
    """from the barline before it; a pickup is the end of a bar"""
    duration_ticks: int
    pitch: int | None
    tie_in: bool
    tie_out: bool


def in_bass_clef(melody: Melody) -> bool:
    """Whether a melody of a low tonic lies mostly below middle C, and is written in the bass clef.

    Melodies with a tonic from middle C up are written in the treble clef.
    """
    pitches = [note.pitch for note in melody.notes]
    middle = melody.tonic_midi + (min(pitches) + max(pitches)) / 2
    return melody.tonic_midi < TONIC_MIDI_MIN and middle < TONIC_MIDI_MIN


def score_bars(melody: Melody) -> list[ScoreBar]:
    """The measures of a melody, the pickup first if there is one."""
    header = melody.header
    key = key_of(melody.tonic_midi, header.mode)
    segments = list(melody.segments())
    ties_out = [after.held for after in segments[1:]] + [False]
    bars = []
    placed = zip(segments, ties_out, strict=True)
    for number, inside in groupby(placed, key=lambda item: item[0].bar):
        written = list(inside)
        ticks = sum(segment.duration_ticks for segment, _ in written)
        pieces = list(_pieces(written, header.bar_ticks - ticks if number < 0 else 0, header.meter))
        cells = _with_accidentals(list(_cells(pieces, melody.tonic_midi, key)), key)
        bars.append(ScoreBar(_beamed(cells, pieces, header), ticks, ticks == header.bar_ticks))
    return bars


def _pieces(written: Sequence[tuple[Segment, bool]], at: int, meter: str) -> Iterator[_Piece]:
    """The segments of one bar as note values; each comes with whether it is tied to the next."""
    for segment, tie_out in written:
        values = note_values(segment.duration_ticks, at, meter)
        for index, ticks in enumerate(values):
            # Inside, the values of a note are tied to one another; a rest's just follow.
            tied_in = segment.held if index == 0 else segment.pitch is not None
            tied_out = tie_out if index == len(values) - 1 else segment.pitch is not None
            yield _Piece(at, ticks, segment.pitch, tied_in, tied_out)
            at += ticks


def _cells(pieces: Sequence[_Piece], tonic_midi: int, key: Key) -> Iterator[Cell]:
    """Cells of one bar, without accidentals."""

    def sign(piece: _Piece, value_ticks: int) -> Sign:
        pitch = None if piece.pitch is None else key.spell(tonic_midi + piece.pitch)
        return Sign(value_ticks, pitch, tie_in=piece.tie_in, tie_out=piece.tie_out)

    place = 0
    while place < len(pieces):
        piece = pieces[place]
        if piece.duration_ticks % 3 == 0:
            yield Cell(piece.onset_ticks, (sign(piece, piece.duration_ticks),))
            place += 1
            continue
        size = _triplet_size([p.duration_ticks for p in pieces[place:]])
        members = pieces[place : place + size]
        signs = tuple(sign(member, member.duration_ticks * 3 // 2) for member in members)
        yield Cell(piece.onset_ticks, signs, triplet=True)
        place += size


def _triplet_size(durations: Sequence[int]) -> int:
    """How many of the next lengths one bracket takes; the first is not divisible by 3."""
    total = 0
    for size, ticks in enumerate(durations, start=1):
        total += ticks
        if ticks not in TRIPLET_MEMBERS_TICKS or total > max(TRIPLET_SPANS_TICKS):
            break
        if total in TRIPLET_SPANS_TICKS:
            return size
    # No completed beat: the shortest bracket that returns to the grid, or an incomplete one.
    total = 0
    for size, ticks in enumerate(durations, start=1):
        if ticks % 3 == 0:
            return size - 1
        total += ticks
        if total % 3 == 0:
            return size
    return len(durations)


def _with_accidentals(cells: Sequence[Cell], key: Key) -> list[Cell]:
    """The same cells with the accidentals that have to be printed in this bar."""
    in_force = signature(key.signature_fifths)
    done = []
    for cell in cells:
        signs = []
        for sign in cell.signs:
            pitch = sign.pitch
            if pitch is None or sign.tie_in or in_force.get(pitch.letter, 0) == pitch.alter:
                signs.append(sign)
            else:
                in_force[pitch.letter] = pitch.alter
                signs.append(replace(sign, accidental=pitch.alter))
        done.append(replace(cell, signs=tuple(signs)))
    return done


def _beamed(
    cells: Sequence[Cell], pieces: Sequence[_Piece], header: Header
) -> tuple[tuple[Cell, ...], ...]:
    """The cells of one bar, grouped as beams join them."""
    half = 2 * QUARTER_TICKS
    halves = (half,) * (header.bar_ticks // half)
    groups = halves if header.meter in ("4/4", "2/4") else GROUPS_TICKS[header.meter]
    ends = list(accumulate(groups))

    def group_at(ticks: int) -> int:
        return next(place for place, end in enumerate(ends) if ticks < end)

    other: set[int] = set()  # groups with something else than eighths
    for piece in pieces:
        if piece.duration_ticks != EIGHTH_TICKS or piece.onset_ticks % EIGHTH_TICKS:
            last = piece.onset_ticks + piece.duration_ticks - 1
            other.update(range(group_at(piece.onset_ticks), group_at(last) + 1))
    in_eighths = header.meter.endswith("/8")

    def group(cell: Cell) -> tuple[int, int]:
        """A group of the metre, and of one that has more than eighths the quarter."""
        number = group_at(cell.onset_ticks)
        whole = in_eighths or number not in other
        return number, -1 if whole else cell.onset_ticks // QUARTER_TICKS

    return tuple(tuple(cells) for _, cells in groupby(cells, key=group))
