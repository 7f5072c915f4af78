"""Bars of wrong length: repaired where only one reading is possible, else refused.

A bar may be short at the beginning and the end of a section, and before and after a repeat or a
double bar: there it is a pickup, or its complement. Elsewhere

- a bar that holds one rest and nothing else lasts as long as a bar (a short one at the beginning or
  the end may be a pickup of silence, and stays);
- two short neighbours that make one bar together are one bar;
- a bar that lasts several bars, with a note or rest that begins at each of them, lacks barlines;
- a bar that is too long by the rests at its end loses them.

A short bar that makes a whole one with the pickup of its passage ends a strain, and so does that
passage. Any other bar of wrong length ends a passage; the next one begins after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from music.formats.abc import AbcNote
from music.formats.abc_melody import strain_ends
from music.readers.tune import Bar, Refusal, bar_ticks_of

MOST_MISSING_BARLINES = 7
"""in a row"""


def joined(bar: Bar, after: Bar) -> Bar:
    """Two parts of one bar as one."""
    notes = [*bar.notes, *after.notes]
    return Bar(notes, bar.left, after.right, bar.endings, number=bar.number)


def repair(bars: Sequence[Bar], bar_ticks: Fraction) -> tuple[list[list[Bar]], list[Bar], int]:
    """Bars of one metre -> the passages that can be read, the bars that cannot, and the repairs.

    Returns:
        Runs of bars in order; the bars of wrong length between them; how many were repaired.
    """
    repaired = 0
    whole: list[Bar] = []
    separate: list[Bar] = []
    for bar in bars:
        parts = _with_barlines(bar, bar_ticks)
        repaired += len(parts) > 1
        separate += parts
    for place, bar in enumerate(separate):
        ticks = bar.duration_ticks
        if ticks == bar_ticks:
            whole.append(bar)
            continue
        inside = (  # at the ends of a strain a short bar of silence is a pickup, or its complement
            0 < place < len(separate) - 1
            and not strain_ends(separate[place - 1], bar)
            and not strain_ends(bar, separate[place + 1])
        )
        last = whole[-1] if whole else None
        if _mended(bar, bar_ticks, inside=inside):
            repaired += 1
            whole.append(bar)
        elif (
            last is not None
            and ticks < bar_ticks
            and last.duration_ticks + ticks == bar_ticks
            and not strain_ends(last, bar)
            and last.endings == bar.endings
        ):
            whole[-1] = joined(last, bar)
            repaired += 1
        else:
            whole.append(bar)
    runs: list[list[Bar]] = [[]]
    refused: list[Bar] = []
    for place, bar in enumerate(whole):
        ticks = bar.duration_ticks
        if ticks == bar_ticks:
            runs[-1].append(bar)
            continue
        opens = place == 0 or strain_ends(whole[place - 1], bar)
        closes = place + 1 == len(whole) or strain_ends(bar, whole[place + 1])
        if ticks < bar_ticks and (opens or closes):
            runs[-1].append(bar)
        elif runs[-1] and runs[-1][0].duration_ticks + ticks == bar_ticks:
            runs[-1].append(bar)
            runs.append([])
            repaired += 1
        else:
            refused.append(bar)
            runs.append([])
    return [run for run in runs if run], refused, repaired


def bar_refusal(file: str, tune: str, bar: Bar, meter: str) -> Refusal:
    """Of a bar of wrong length."""
    detail = (
        f"the bar lasts {bar.duration_ticks} ticks, and a bar of {meter} {bar_ticks_of(meter)}, "
        "24 a quarter; check its lengths"
    )
    return Refusal(file, tune, bar.number, "bar length", detail)


def _with_barlines(bar: Bar, bar_ticks: Fraction) -> list[Bar]:
    """A bar that lasts several bars as so many; any other, or one with a note across, as it is."""
    count = bar.duration_ticks / bar_ticks
    if count.denominator != 1 or not 1 < count <= MOST_MISSING_BARLINES + 1:
        return [bar]
    parts: list[Bar] = []
    notes: list[AbcNote] = []
    at = Fraction(0)
    for note in bar.notes:
        notes.append(note)
        at += note.duration_ticks
        if at > bar_ticks:
            return [bar]
        if at == bar_ticks:
            parts.append(replace(bar, notes=notes, left="", right=""))
            notes, at = [], Fraction(0)
    parts[0].left, parts[-1].right = bar.left, bar.right
    return parts


def _mended(bar: Bar, bar_ticks: Fraction, *, inside: bool) -> bool:
    """Whether rests could be changed so that the bar is full; it is changed then."""
    lone = len(bar.notes) == 1 and bar.notes[0].midi is None and not bar.implicit
    if lone and (inside or bar.duration_ticks > bar_ticks):
        bar.notes[0].duration_ticks = bar_ticks
        return True
    over = bar.duration_ticks - bar_ticks
    if over <= 0:
        return False
    sounding = [place for place, note in enumerate(bar.notes) if note.midi is not None]
    rests = bar.notes[sounding[-1] + 1 :] if sounding else bar.notes
    silence = sum((note.duration_ticks for note in rests), Fraction(0))
    if silence < over:
        return False
    del bar.notes[len(bar.notes) - len(rests) :]
    if silence > over:
        bar.notes.append(AbcNote(None, silence - over))
    return True
