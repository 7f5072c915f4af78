"""An ABC tune as data: its fields, its key, and exact bars of notes as they are written.

A bar knows the barline before and after it and the endings it belongs to. Durations are in ticks,
24 a quarter (`music.melody`); pitch is a MIDI number, None for a rest. `music.formats.abc_reader`
reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction


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
    endings: tuple[int, ...] = ()
    """(1,) for a first ending, (2, 3) for one that is played twice, () outside of endings"""
    meter: str = ""
    """that holds where the bar begins, as its tune names it"""
    tonic_class: int = 0
    mode: str = ""

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
    """pitch class of the tonic as it sounds, C = 0"""
    mode: str
    bars: list[AbcBar]
    changes_meter_or_key: bool = False
    """whether its bars differ in metre or key; `meter`, `tonic_class` and `mode` are the last"""
    chords: int = 0
    """how many chords were read as their top note"""
    tunes_after: int = 0
    """how many more tunes the text has; they were not read"""
