"""A tune that was read from a file, what was refused of it, and what was decided for it.

A bar is as written (`music.formats.abc.AbcBar`): exact durations in ticks, 24 a quarter note, as
fractions, so that a tuplet which is off the grid is seen as such. What a `Melody` may be is not
known here; `music.readers.melodies` asks `music.melody`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from music.formats.abc import AbcBar
from music.messages import one_line
from music.metre import BAR_TICKS

REASONS = (
    "unknown format",
    "too large",
    "damaged",
    "several voices",
    "no such part",
    "only drums",
    "no notes",
    "no beat",
    "no metre",
    "bar length",
    "off the grid",
    "metre or mode",
    "number of bars",
    "range",
    "rule of melodies",
)
"""of refusals"""
DECISIONS = (
    "part taken",
    "voice taken",
    "top notes taken",
    "grace notes dropped",
    "drums left out",
    "bars repaired",
    "overlaps cut",
    "lengths rounded",
    "note values changed",
    "key found",
    "metre assumed",
    "strains joined",
    "cut",
)
"""of notices"""
WHOLE_TICKS = 96
"""of a whole note"""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about a place in a file. `tune` and `bar` are as the file names them, or empty."""

    file: str
    tune: str
    bar: str
    reason: str
    """one of `REASONS` or `DECISIONS`, to be counted"""
    detail: str

    def __str__(self) -> str:
        """One line for a person."""
        tune = f", tune {self.tune}" if self.tune else ""
        bar = f", bar {self.bar}" if self.bar else ""
        return one_line(f"{self.file}{tune}{bar}: {self.detail}")


class Refusal(Remark):
    """A file, a tune or a passage that was not read; `reason` is one of `REASONS`."""

    __slots__ = ()


class Notice(Remark):
    """What was decided so that a tune could be read; `reason` is one of `DECISIONS`."""

    __slots__ = ()


class ReadError(ValueError):
    """What makes a whole file or tune unreadable.

    Args:
        reason: one of `REASONS`.
        detail: the value, the rule and the remedy.
    """

    def __init__(self, reason: str, detail: str, *, bar: str = "") -> None:
        super().__init__(detail)
        self.reason, self.bar = reason, bar


@dataclass(slots=True)
class Bar(AbcBar):
    """A bar with the number that its file gives it."""

    number: str = ""
    implicit: bool = False
    """whether the file says that it is a part of a bar"""


@dataclass(frozen=True, slots=True)
class Section:
    """Bars in one voice, one metre and one key, as printed: repeats are not unfolded."""

    bars: tuple[Bar, ...]
    meter: str
    """such as '4/4'; any metre that the file names"""
    mode: str
    """such as 'dorian'; any mode that the file names"""
    tonic_class: int
    """pitch class of the tonic as it sounds, C = 0"""

    @property
    def bar_ticks(self) -> Fraction:
        """Length of a full bar."""
        return bar_ticks_of(self.meter)


@dataclass(frozen=True, slots=True)
class Tune:
    """A tune of a file."""

    file: str
    number: str
    """as the file has it, or its place in the file"""
    title: str
    sections: tuple[Section, ...]
    notices: tuple[Notice, ...] = ()
    fields: dict[str, list[str]] = field(default_factory=dict)
    """the fields of an ABC tune, such as R: and Z:"""


def bar_ticks_of(meter: str) -> Fraction:
    """Length of a full bar of a metre such as '7/8'.

    Raises:
        ReadError: for what is no metre.
    """
    if meter in BAR_TICKS:
        return Fraction(BAR_TICKS[meter])
    count, _, unit = meter.partition("/")
    plain = all(
        part.isascii() and part.isdigit() and len(part) < 4 and int(part) for part in (count, unit)
    )
    if not plain:
        raise ReadError("no metre", f"the metre {meter[:20]!r} has no bars; write one such as 4/4")
    return Fraction(WHOLE_TICKS * int(count), int(unit))
