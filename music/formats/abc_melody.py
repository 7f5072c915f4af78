"""From the bars of an ABC tune to a melody: the step that a corpus and a person's file share.

Of several endings the last stays. A pickup is a first bar that is short; the last bar is then its
complement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, zip_longest
from typing import TypeVar

from music.formats.abc import AbcBar, AbcTune
from music.melody import Header, Melody, MelodyError, Note
from music.styles import OTHER, SHIPPED_STYLES, StyleError, check_label

SomeBar = TypeVar("SomeBar", bound=AbcBar)
MODE_OF_ABC = {
    "": "major", "maj": "major", "ion": "major", "m": "minor", "min": "minor", "aeo": "minor",
    "dor": "dorian", "phr": "phrygian", "lyd": "lydian", "mix": "mixolydian", "loc": "locrian",
}  # fmt: skip
ABC_OF_MODE = {
    "major": "", "minor": "m", "dorian": "dor", "phrygian": "phr", "lydian": "lyd",
    "mixolydian": "mix", "locrian": "loc",
}  # fmt: skip
TYPE_WORDS = (
    ("slip jig", "slipjig"), ("slipjig", "slipjig"), ("hop jig", "slipjig"), ("jig", "jig"),
    ("reel", "reel"), ("hornpipe", "hornpipe"), ("clog", "hornpipe"), ("strathspey", "strathspey"),
    ("fling", "strathspey"), ("march", "march"), ("waltz", "waltz"),
)  # fmt: skip
FIRST_STRAIN_BARS = 4
"""a repeat or double bar before so many bars does not end the first strain"""
STYLE_FIELD = "style"
"""name among a tune's fields of the label that a file names for readers of ours"""


def style_of_tune(tune: AbcTune, meter: str) -> str:
    """The style's label: as the file names it for us, else by words, else as `R:` has it.

    Words of the `R:` and `T:` fields that name a dance come before an `R:` that no dance of ours
    has, so that a "double jig" is a jig; see `type_of_tune`.
    """
    named = next(filter(_is_label, tune.fields.get(STYLE_FIELD, [])), None)
    if named is not None:
        return named
    rhythm = " ".join(tune.fields.get("R", [""])[0].lower().split())
    if rhythm.replace(" ", "") in SHIPPED_STYLES.labels:
        return rhythm.replace(" ", "")
    by_words = type_of_tune(tune, meter)
    return rhythm if by_words == OTHER and _is_label(rhythm) else by_words


def _is_label(text: str) -> bool:
    try:
        check_label(text)
    except StyleError:
        return False
    return True


def rhythm_of_style(style: str, meter: str) -> tuple[str, bool]:
    """What `R:` says of a style, and whether it alone gives the style when it is read."""
    rhythm = "slip jig" if style == "slipjig" else style
    read = style_of_tune(AbcTune({"R": [rhythm]}, meter, 0, "", []), meter)
    return rhythm, read == style


def style_without_name(meter: str) -> str:
    """The style of a tune that names none."""
    return style_of_tune(AbcTune({}, meter, 0, "", []), meter)


def type_of_tune(tune: AbcTune, meter: str) -> str:
    """The style among the shipped ones by the words of the `R:` and `T:` fields."""
    words = " ".join(tune.fields.get("R", []) + tune.fields.get("T", [])).lower()
    for word, name in TYPE_WORDS:
        if word in words:
            return "slipjig" if name == "jig" and meter == "9/8" else name
    return "slipjig" if meter == "9/8" else "other"


def last_time_through(bars: Sequence[AbcBar]) -> list[AbcBar]:
    """The bars as they are played the last time round: of several endings the last."""
    kept: list[AbcBar] = []
    place = 0
    while place < len(bars):
        end = place + 1
        if bars[place].endings:
            while end < len(bars) and bars[end].endings >= bars[end - 1].endings:
                end += 1
        # A first ending without a second is followed by the second, unmarked.
        last = max(2, *(max(bar.endings, default=2) for bar in bars[place:end]))
        kept += [bar for bar in bars[place:end] if not bar.endings or last in bar.endings]
        place = end
    return kept


def joined_at_repeats(bars: Sequence[AbcBar], bar_ticks: int) -> list[AbcBar]:
    """The bars, where a short one before a repeat or double bar is one with the pickup after it."""
    joined: list[AbcBar] = []
    for bar in bars:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.duration_ticks < bar_ticks
            and last.duration_ticks + bar.duration_ticks == bar_ticks
            and strain_ends(last, bar)
        ):
            joined[-1] = AbcBar([*last.notes, *bar.notes], last.left, bar.right, last.endings)
        else:
            joined.append(bar)
    return joined


def first_strain(bars: Sequence[AbcBar], bar_ticks: int) -> list[AbcBar]:
    """The bars up to the first repeat or double bar that has at least four bars before it."""
    ticks = Fraction(0)
    for end, (bar, after) in enumerate(pairwise(bars), start=1):
        ticks += bar.duration_ticks
        if ticks >= FIRST_STRAIN_BARS * bar_ticks and strain_ends(bar, after):
            return list(bars[:end])
    return list(bars)


def melody_of_bars(
    bars: Sequence[AbcBar], header: Header, tonic_midi: int, *, mend_last_bar: bool = False
) -> Melody:
    """Bars as written -> Melody.

    Args:
        bars: one strain in order, a short first one being the pickup.
        header: metre, mode and style; bars and pickup are counted from `bars`.
        tonic_midi: MIDI number of pitch 0.
        mend_last_bar: where the last bar is not the pickup's complement, cut it or lengthen its
            last note so that it is (if it has at least half a bar).

    Raises:
        MelodyError: with the rule that the strain breaks.
    """
    if not bars:
        raise MelodyError(
            "bars=0: there is no note to read; write at least two bars", rule="number of bars"
        )
    bar_ticks = header.bar_ticks
    lengths = [bar.duration_ticks for bar in bars]
    pickup = int(lengths[0]) if lengths[0] < bar_ticks and len(bars) > 1 else 0
    full = lengths[1:] if pickup else lengths
    for number, ticks in enumerate(full[:-1], start=1):
        if ticks != bar_ticks:
            raise MelodyError(
                f"ticks={ticks} in bar {number} (not counting a pickup); a bar of {header.meter} "
                f"has {bar_ticks}, 24 a quarter: check its lengths, and give one part of a tune",
                rule="bar length",
            )
    last = bar_ticks - pickup
    mendable = mend_last_bar and bar_ticks / 2 <= full[-1] + pickup <= bar_ticks + pickup
    if full[-1] != last and not mendable:
        raise MelodyError(
            f"last bar ticks={full[-1]}; with a pickup of {pickup} ticks it has {last}, "
            f"so that both make one bar of {header.meter}: change its last note",
            rule="bar length",
        )
    header = replace(header, bars=len(full), pickup_ticks=pickup)
    notes = notes_of_bars(bars, header.start_ticks, header.end_ticks, tonic_midi)
    end = header.start_ticks + int(sum(lengths))
    if end < header.end_ticks and notes and bars[-1].notes[-1].midi is not None:
        notes[-1] = replace(notes[-1], duration_ticks=header.end_ticks - notes[-1].onset_ticks)
    return Melody(header, tuple(notes), tonic_midi)


def notes_of_bars(
    bars: Sequence[AbcBar], start_ticks: int, end_ticks: int, tonic_midi: int
) -> list[Note]:
    """The sounding notes of the bars, ties joined, from `start_ticks` on and cut at `end_ticks`.

    Raises:
        MelodyError: for a length off the grid of 24 ticks a quarter.
    """
    notes: list[Note] = []
    at, tied = start_ticks, False
    for written in (note for bar in bars for note in bar.notes):
        ticks = int(written.duration_ticks)
        if ticks != written.duration_ticks:
            raise MelodyError(
                f"length ticks={written.duration_ticks} of a note at tick {at} is off the grid of "
                "24 a quarter; use lengths down to a 32nd or a triplet sixteenth",
                rule="off the grid",
            )
        if written.midi is not None and at < end_ticks:
            pitch = written.midi - tonic_midi
            length = min(ticks, end_ticks - at)
            if tied and notes[-1].pitch == pitch:
                notes[-1] = replace(notes[-1], duration_ticks=notes[-1].duration_ticks + length)
            else:
                notes.append(Note(at, length, pitch))
        at += ticks
        tied = written.tied
    return notes


def cut_into_strains(bars: Sequence[SomeBar]) -> Iterator[list[SomeBar]]:
    """The bars of each strain: cut at repeats and double bars, and of several endings the last."""
    kept = {id(bar) for bar in last_time_through(bars)}
    strain: list[SomeBar] = []
    for bar, after in zip_longest(bars, bars[1:]):
        if id(bar) not in kept:
            continue
        strain.append(bar)
        if after is not None and strain_ends(bar, after):
            yield strain
            strain = []
    if strain:
        yield strain


def strain_ends(bar: AbcBar, after: AbcBar) -> bool:
    """Whether there is a repeat or a double bar between two bars."""
    return any(mark in bar.right for mark in (":", "||", "]", "[|")) or any(
        mark in after.left for mark in (":", "||", "[")
    )
