"""The strains of a tune as melodies: the step where `music.melody` says what is allowed.

A tune is cut at repeats and double bars. Of several endings the last stays. A strain with more bars
than a melody may have is cut into pieces of `PIECE_BARS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from music.formats.abc import AbcTune
from music.formats.abc_melody import cut_into_strains, melody_of_bars, type_of_tune
from music.melody import BAR_COUNTS, Header, Melody, MelodyError
from music.metre import METERS
from music.readers.tune import Bar, Refusal, Section, Tune

PIECE_BARS = 8
_REASON_OF_START = (
    ("meter", "metre or mode"),
    ("mode", "metre or mode"),
    ("bars", "number of bars"),
    ("pitch", "range"),
    ("length ticks", "off the grid"),
    ("ticks", "bar length"),
    ("last bar", "bar length"),
    ("a note of", "off the grid"),
    ("a rest of", "off the grid"),
)


def melodies_of(tune: Tune) -> tuple[list[Melody], list[Refusal]]:
    """The strains that a melody holds, and the others with the rule that each breaks."""
    melodies: list[Melody] = []
    refusals: list[Refusal] = []
    for section in tune.sections:
        for bars in strains(section):
            if not any(note.midi is not None for bar in bars for note in bar.notes):
                continue  # bars of rest before a part begins
            try:
                melodies.append(_melody(tune, section, bars))
            except MelodyError as error:
                reason = reason_of(error)
                refusals.append(Refusal(tune.file, tune.number, bars[0].number, reason, str(error)))
    return melodies, refusals


def reason_of(error: MelodyError) -> str:
    """One of `REASONS`."""
    text = str(error)
    return next((r for start, r in _REASON_OF_START if text.startswith(start)), "rule of melodies")


def strains(section: Section) -> Iterator[list[Bar]]:
    """The bars of a section, cut at repeats and double bars, and where a strain is too long."""
    for strain in cut_into_strains(section.bars):
        yield from _pieces(strain, section)


def _pieces(strain: list[Bar], section: Section) -> Iterator[list[Bar]]:
    pickup = len(strain) > 1 and strain[0].duration_ticks < section.bar_ticks
    if len(strain) - pickup <= BAR_COUNTS[-1]:
        yield strain
        return
    first = strain[pickup:]  # a pickup would leave the last bar of its piece too long
    for start in range(0, len(first), PIECE_BARS):
        yield first[start : start + PIECE_BARS]


def _melody(tune: Tune, section: Section, bars: Sequence[Bar]) -> Melody:
    meter = section.meter
    if meter == "2/2" and meter not in METERS:
        meter = "4/4"  # the same bar
    style = type_of_tune(AbcTune(tune.fields, meter, section.tonic_class, section.mode, []), meter)
    header = Header(meter, section.mode, style)
    return melody_of_bars(bars, header, 60 + section.tonic_class, mend_last_bar=True)
