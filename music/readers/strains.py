"""Cutting a section into strains that a melody can hold.

A section is cut at its repeats and double bars; of several endings the last stays. A strain of
fewer bars than a melody may have is joined to the one before it, else to the one after it. One of
more bars is cut into pieces: at a place where a note begins, after 32, 24, 16 or 8 bars if there is
one, else after another number of bars. A strain with a pickup is cut as long before the barline as
the pickup lasts, so that each piece has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from music.formats.abc import AbcNote
from music.formats.abc_melody import cut_into_strains
from music.melody import BAR_COUNTS
from music.readers.bars import joined
from music.readers.tune import Bar, Notice, Section

LEAST_BARS, MOST_BARS = BAR_COUNTS[0], BAR_COUNTS[-1]
LEAST_REST_BARS = 4
"""that a piece leaves for the ones after it"""
_SIZES = (32, 24, 16, 8, 28, 20, 12, *(n for n in range(31, 8, -1) if n % 4))


def strains(section: Section) -> Iterator[list[Bar]]:
    """The bars of each strain of a section."""
    for strain, _ in _strains(section):
        yield from pieces(strain, section.bar_ticks)


def cut_notices(section: Section, file: str, tune: str) -> list[Notice]:
    """What was joined and cut in `strains` for reasons that the file does not give."""
    notices: list[Notice] = []
    for strain, parts in _strains(section):
        first = strain[0].number
        if parts > 1:
            detail = f"a strain of less than {LEAST_BARS} bars is joined to the one beside it"
            notices.append(Notice(file, tune, first, "strains joined", detail))
        found = pieces(strain, section.bar_ticks)
        if len(found) > 1:
            sizes = ", ".join(str(bars_in(piece, section.bar_ticks)) for piece in found[:20])
            detail = (
                f"the strain has {bars_in(strain, section.bar_ticks)} bars, more than {MOST_BARS}, "
                f"and is cut into pieces of {sizes}{' …' if len(found) > 20 else ''}"
            )
            notices.append(Notice(file, tune, first, "cut", detail))
    return notices


def bars_in(strain: Sequence[Bar], bar_ticks: Fraction) -> int:
    """How many bars it has, not counting a pickup."""
    return len(strain) - (pickup_of(strain, bar_ticks) > 0)


def pickup_of(strain: Sequence[Bar], bar_ticks: Fraction) -> Fraction:
    """Length of the pickup; 0 without one."""
    first = strain[0].duration_ticks
    return first if len(strain) > 1 and first < bar_ticks else Fraction(0)


def pieces(strain: Sequence[Bar], bar_ticks: Fraction) -> list[list[Bar]]:
    """A strain in pieces of at most `MOST_BARS`; a short one as it is."""
    found: list[list[Bar]] = []
    rest = list(strain)
    pickup = pickup_of(rest, bar_ticks)
    lead = 1 if pickup else 0
    while len(rest) - lead > MOST_BARS:
        most = len(rest) - lead - LEAST_REST_BARS
        usable = [size for size in _SIZES if size <= most]
        clean = (size for size in usable if _note_begins(rest, lead + size, bar_ticks - pickup))
        end = lead + next(clean, usable[0])
        piece = rest[:end]
        rest = rest[end:]
        if pickup:
            piece[-1], start = divided(piece[-1], bar_ticks - pickup)
            rest.insert(0, start)
        found.append(piece)
    return [*found, rest]


def divided(bar: Bar, at_ticks: Fraction) -> tuple[Bar, Bar]:
    """A bar as the part before a place and the part after it; a note across it is in both."""
    before: list[AbcNote] = []
    after: list[AbcNote] = []
    onset = Fraction(0)
    for note in bar.notes:
        end = onset + note.duration_ticks
        if onset < at_ticks < end:
            before.append(AbcNote(note.midi, at_ticks - onset, note.midi is not None))
            after.append(AbcNote(note.midi, end - at_ticks, note.tied))
        else:
            (before if end <= at_ticks else after).append(note)
        onset = end
    return (
        Bar(before, bar.left, "", bar.endings, number=bar.number),
        Bar(after, "", bar.right, bar.endings, number=bar.number),
    )


def _note_begins(bars: Sequence[Bar], end: int, at_ticks: Fraction) -> bool:
    """Whether no note sounds on at a place of the last of the first `end` bars."""
    onset, tied = Fraction(0), False
    for note in bars[end - 1].notes:
        if onset == at_ticks:
            return not tied
        onset += note.duration_ticks
        tied = note.tied
    return onset == at_ticks and not tied


def _strains(section: Section) -> list[tuple[list[Bar], int]]:
    """Each strain, and of how many strains of the file it is made."""
    bar_ticks = section.bar_ticks
    found: list[tuple[list[Bar], int]] = []
    for strain in cut_into_strains(section.bars):
        if found:
            before, parts = found[-1]
            short = min(bars_in(before, bar_ticks), bars_in(strain, bar_ticks)) < LEAST_BARS
            together = _together(before, strain, bar_ticks) if short else None
            if together is not None:
                found[-1] = together, parts + 1
                continue
        found.append((strain, 1))
    return found


def _together(before: Sequence[Bar], after: Sequence[Bar], bar_ticks: Fraction) -> list[Bar] | None:
    """Two strains as one; None where a bar of wrong length would lie between them."""
    seam = before[-1].duration_ticks, after[0].duration_ticks
    if sum(seam) == bar_ticks:
        return [*before[:-1], joined(before[-1], after[0]), *after[1:]]
    return [*before, *after] if seam == (bar_ticks, bar_ticks) else None
