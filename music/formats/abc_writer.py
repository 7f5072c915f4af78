"""The bars of a melody as ABC text that music21, abc2midi, verovio and abcjs read alike.

The readers differ, so that some text is longer than the standard asks for:

- How far an accidental reaches: to the end of the bar, in all octaves or in one, or to its own note
  (verovio). So each note that needs an accidental has one, also where it is held by a tie.
- Triplets: verovio reads one only if it stands between spaces and all its notes have flags, and
  loses one of a single note; abcjs takes three notes for equal ones. So a note in a triplet is
  written as two or more that are tied, where that is needed.

verovio cannot read a rest inside a triplet, however it is written. It also keeps the key of the
tune that it read before where the new one has no sharps or flats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from music.formats.score import EIGHTH_TICKS, QUARTER_TICKS, Cell, Sign, score_bars
from music.formats.spelling import Spelling, key_of, signature
from music.melody import Melody

UNIT_TICKS = 12
"""`L:1/8`"""
ACCIDENTAL = {0: "=", 1: "^", 2: "^^", -1: "_", -2: "__"}
LENGTH = {ticks: str(Fraction(ticks, UNIT_TICKS)) for ticks in (9, 18, 24, 36, 42, 48, 72, 96, 144)}
LENGTH |= {12: "", 6: "/", 3: "/4"}
"""printed ticks -> multiple of the unit"""


def abc_bars(melody: Melody) -> list[str]:
    """The notes of each bar, the pickup first if there is one; without barlines."""
    key = key_of(melody.tonic_midi, melody.header.mode)
    accidentals = _Accidentals(signature(key.signature_fifths))
    texts = []
    for bar in score_bars(melody):
        accidentals.begin_bar()
        groups = ["".join(_cell(cell, accidentals) for cell in group) for group in bar.groups]
        texts.append(" ".join(" ".join(groups).split()))
    return texts


class _Accidentals:
    """Which notes need an accidental, whatever a reader thinks of those before."""

    def __init__(self, in_key: dict[str, int]) -> None:
        self.in_key = in_key
        self.altered: set[str] = set()
        """letters that had one in this bar, in any octave"""
        self.tied: Spelling | None = None
        """a note that had one, and that the next note holds"""

    def begin_bar(self) -> None:
        self.altered = set()

    def of(self, sign: Sign) -> str:
        """The accidental to write at the next note, or ''."""
        pitch = sign.pitch
        needed = pitch is not None and (
            pitch.alter != self.in_key.get(pitch.letter, 0)
            or pitch.letter in self.altered
            or pitch == self.tied  # music21 ties only what is written alike
        )
        if pitch is None or not needed:
            self.tied = None
            return ""
        self.altered.add(pitch.letter)
        self.tied = pitch if sign.tie_out else None
        return ACCIDENTAL[pitch.alter]


def _cell(cell: Cell, accidentals: _Accidentals) -> str:
    if not cell.triplet:
        return "".join(_sign(sign, accidentals.of(sign)) for sign in cell.signs)
    pieces = _triplet_pieces(cell.signs)
    notes = "".join(_sign(piece, accidentals.of(piece)) for piece in pieces)
    return f" {'(3' if len(pieces) == 3 else f'(3:2:{len(pieces)}'}{notes} "


def _triplet_pieces(signs: Sequence[Sign]) -> list[Sign]:
    """The signs of a triplet: all with flags, two at least, and three only of equal length."""
    pieces: list[Sign] = []
    for sign in signs:
        has_flag = sign.value_ticks < QUARTER_TICKS
        pieces += _cut(sign, 1 if has_flag else sign.value_ticks // EIGHTH_TICKS)
    if len(pieces) == 1 or (len(pieces) == 3 and len({p.value_ticks for p in pieces}) > 1):
        longest = max(range(len(pieces)), key=lambda place: pieces[place].value_ticks)
        pieces[longest : longest + 1] = _cut(pieces[longest], 2)
    return pieces


def _cut(sign: Sign, parts: int) -> Iterator[Sign]:
    """The sign as so many equal ones, tied if it is a note."""
    value = sign.value_ticks // parts
    for _ in range(parts - 1):
        yield replace(sign, value_ticks=value, tie_out=sign.pitch is not None)
    yield replace(sign, value_ticks=value)


def _sign(sign: Sign, accidental: str) -> str:
    length = LENGTH[sign.value_ticks]
    if sign.pitch is None:
        return f"z{length}"
    octave = sign.pitch.octave - 4
    letter = sign.pitch.letter if octave < 1 else sign.pitch.letter.lower()
    mark = "," * -octave if octave < 1 else "'" * (octave - 1)
    tie = "-" if sign.tie_out else ""
    return f"{accidental}{letter}{mark}{length}{tie}"
