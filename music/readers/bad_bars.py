"""Bars that no melody holds, because of a length off the grid or a note out of range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from music.durations import DURATIONS_TICKS, is_sum_of_durations
from music.melody import BAR_COUNTS, PITCH_MAX, PITCH_MIN
from music.readers.tune import Bar

BAR_RULES = ("off the grid", "range")
"""that one bar can break"""


class BadBars(NamedTuple):
    """Bars beside one another that are refused."""

    number: str
    """of the first that breaks the rule"""
    rule: str
    """one of `music.melody.RULES`"""
    detail: str


def good_parts(bars: Sequence[Bar], tonic_midi: int) -> Iterator[list[Bar] | BadBars]:
    """A strain cut at its bad bars, with those in between.

    What is too short for a melody of its own, beside such bars, goes with them.
    """
    wrong = {id(bar): found for bar in bars if (found := _wrong(bar, tonic_midi))}
    if not wrong:
        yield list(bars)
        return
    parts = [(bad, list(part)) for bad, part in groupby(bars, key=lambda bar: id(bar) in wrong)]
    kept = [not bad and len(part) >= BAR_COUNTS[0] for bad, part in parts]
    for good, together in groupby(zip(kept, parts, strict=True), key=lambda item: item[0]):
        inside = [bar for _, (_, part) in together for bar in part]
        if good:
            yield inside
            continue
        first = next(bar for bar in inside if id(bar) in wrong)
        yield BadBars(first.number, *wrong[id(first)])


def place_of_error(bars: Sequence[Bar], tonic_midi: int, rule: str) -> str:
    """Number of the bar in which a strain breaks a rule; the first one's if it is in none."""
    full = max((bar.duration_ticks for bar in bars), default=0)
    for place, bar in enumerate(bars):
        wrong = _wrong(bar, tonic_midi)
        if wrong is not None and wrong[0] == rule:
            return bar.number
        if rule == "bar length" and place and bar.duration_ticks != full:
            return bar.number
    return bars[0].number


def _wrong(bar: Bar, tonic_midi: int) -> tuple[str, str] | None:
    """The rule that a bar breaks by itself, and what to do."""
    lengths = []
    before = None
    for note in bar.notes:
        together = before is not None and (
            note.midi is None if before.midi is None else before.tied and note.midi == before.midi
        )
        if together and lengths[-1].denominator == note.duration_ticks.denominator == 1:
            lengths[-1] += note.duration_ticks
        else:
            lengths.append(note.duration_ticks)
        before = note
    for ticks in lengths:
        if ticks.denominator != 1 or not is_sum_of_durations(int(ticks)):
            return "off the grid", (
                f"a length of {ticks} ticks, 24 a quarter, is no sum of {list(DURATIONS_TICKS)}; "
                "use lengths down to a 32nd or a triplet sixteenth"
            )
    for note in bar.notes:
        if note.midi is not None and not PITCH_MIN <= note.midi - tonic_midi <= PITCH_MAX:
            return "range", (
                f"the note of MIDI number {note.midi} is {note.midi - tonic_midi} semitones from "
                f"the tonic, and {PITCH_MIN}..{PITCH_MAX} is what a melody has; move it by octaves"
            )
    return None
