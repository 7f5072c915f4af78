"""A melody as it is printed: bars of note values, with tuplets, beams, ties and accidentals.

A melody has only ticks and semitones. Notation formats also need dots, ties and accidentals, and
this module computes them. Rules:

- A length without a note value of its own (5 or 9 eighths, 5 sixteenths) becomes two tied notes,
  the longer one on the beat.
- Lengths that are not divisible by 3 are in triplets. Notes that fill 12, 24 or 48 ticks together
  share a bracket; the others get a bracket of their own, so that every rhythm is exact.
- Beams join notes shorter than a quarter within a beat, and plain eighths within half a bar.
- An accidental is valid to the end of its bar for its letter, in all octaves. A tie keeps it across
  the barline without printing it again. This is what `music.formats.abc` reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from music.formats.spelling import Key, Spelling, key_of, signature
from music.melody import TONIC_MIDI_MIN, Header, Melody, Segment

EIGHTH_TICKS, QUARTER_TICKS = 12, 24
SPLIT_TICKS = {30: (24, 6), 60: (48, 12), 108: (72, 36)}
"""lengths without a value of their own -> the two that are tied, the longer first"""
COMPOUND_SPLIT_TICKS = {**SPLIT_TICKS, 60: (36, 24)}
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
    """A segment and what its neighbours determine."""

    segment: Segment
    onset_ticks: int
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
    bars = []
    for _, pieces in groupby(_pieces(melody), key=lambda piece: piece.segment.bar):
        inside = list(pieces)
        ticks = sum(piece.segment.duration_ticks for piece in inside)
        cells = _with_accidentals(list(_cells(inside, header, melody.tonic_midi, key)), key)
        bars.append(ScoreBar(_beamed(cells, inside, header), ticks, ticks == header.bar_ticks))
    return bars


def _pieces(melody: Melody) -> Iterator[_Piece]:
    segments = list(melody.segments())
    at = melody.header.start_ticks
    for segment, after in zip(segments, [*segments[1:], None], strict=True):
        yield _Piece(segment, at, after is not None and after.held)
        at += segment.duration_ticks


def _cells(pieces: Sequence[_Piece], header: Header, tonic_midi: int, key: Key) -> Iterator[Cell]:
    """Cells of one bar, without accidentals."""

    def spelt(piece: _Piece) -> Spelling | None:
        pitch = piece.segment.pitch
        return None if pitch is None else key.spell(tonic_midi + pitch)

    place = 0
    while place < len(pieces):
        piece = pieces[place]
        ticks = piece.segment.duration_ticks
        if ticks % 3:
            size = _triplet_size([p.segment.duration_ticks for p in pieces[place:]])
            signs = tuple(
                Sign(
                    member.segment.duration_ticks * 3 // 2,
                    spelt(member),
                    tie_in=member.segment.held,
                    tie_out=member.tie_out,
                )
                for member in pieces[place : place + size]
            )
            yield Cell(piece.onset_ticks, signs, triplet=True)
            place += size
            continue
        pitch = spelt(piece)
        values = _values(ticks, piece.onset_ticks, header)
        at = piece.onset_ticks
        for index, value in enumerate(values):
            # Inside, the values of a note are tied to one another; a rest's just follow.
            tie_in = piece.segment.held if index == 0 else pitch is not None
            tie_out = piece.tie_out if index == len(values) - 1 else pitch is not None
            yield Cell(at, (Sign(value, pitch, tie_in=tie_in, tie_out=tie_out),))
            at += value
        place += 1


def _values(ticks: int, onset_ticks: int, header: Header) -> tuple[int, ...]:
    """The note values, tied, that last so long."""
    splits = SPLIT_TICKS if header.beat_ticks == QUARTER_TICKS else COMPOUND_SPLIT_TICKS
    if ticks not in splits:
        return (ticks,)
    values = splits[ticks]
    return values if onset_ticks % header.beat_ticks == 0 else values[::-1]


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
    """The cells of one bar, grouped by beat; plain eighths in 4/4 and 2/4 by two beats."""
    long = 2 * QUARTER_TICKS
    other: set[int] = set()  # half bars with something else than eighths
    for piece in pieces:
        if piece.segment.duration_ticks != EIGHTH_TICKS or piece.onset_ticks % EIGHTH_TICKS:
            first, end = piece.onset_ticks, piece.onset_ticks + piece.segment.duration_ticks
            other.update(range(first // long, (end - 1) // long + 1))

    def group(cell: Cell) -> tuple[int, int]:
        """A half bar or a beat, and its number."""
        half = cell.onset_ticks // long
        if header.meter in ("4/4", "2/4") and half not in other:
            return 1, half
        return (
            half if header.beat_ticks == QUARTER_TICKS else 0,
            cell.onset_ticks // header.beat_ticks,
        )

    return tuple(tuple(cells) for _, cells in groupby(cells, key=group))
