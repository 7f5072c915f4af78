"""The strains of a tune as melodies: the step where `music.melody` says what is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from music.formats.abc import AbcNote, AbcTune
from music.formats.abc_melody import melody_of_bars, style_of_tune
from music.key_choice import octaves_from_middle
from music.melody import TONIC_MIDI_MIN, Header, Melody, MelodyError
from music.readers.metres import known_meter
from music.readers.strains import cut_notices, strains
from music.readers.tune import Bar, Notice, Refusal, Section, Tune


def melodies_of(tune: Tune, *, style: str | None = None) -> tuple[list[Melody], list[Refusal]]:
    """The strains that a melody holds, and the others with the rule that each breaks.

    Args:
        tune: as `music.readers.read_tunes` returns it.
        style: label of all its melodies; as `music.formats.abc_melody.style_of_tune` reads it, if
            None.

    Raises:
        MelodyError: for a style that is no label.
    """
    if style is not None:
        Header(style=style)
    melodies: list[Melody] = []
    refusals: list[Refusal] = []
    for section in tune.sections:
        section, bars_of = in_known_meter(section)
        for bars in bars_of:
            if not any(note.midi is not None for bar in bars for note in bar.notes):
                continue  # bars of rest before a part begins
            try:
                melodies.append(_melody(tune, section, bars, style))
            except MelodyError as error:
                place = bars[0].number
                refusals.append(Refusal(tune.file, tune.number, place, error.rule, str(error)))
    return melodies, refusals


def notices_of(tune: Tune) -> list[Notice]:
    """What `melodies_of` decides: strains joined and cut, and note values that are changed."""
    notices: list[Notice] = []
    changed: set[str] = set()
    for section in tune.sections:
        notices += cut_notices(section, tune.file, tune.number)
        known = known_meter(section.meter)
        if known is not None and known[1] != 1 and section.meter not in changed:
            changed.add(section.meter)
            detail = (
                f"{section.meter} is read as {known[0]}, its note values multiplied by {known[1]}"
            )
            place = section.bars[0].number
            notices.append(Notice(tune.file, tune.number, place, "note values changed", detail))
    return notices


def in_known_meter(section: Section) -> tuple[Section, Iterator[list[Bar]]]:
    """A section and its strains, in the metre of a melody that has the same count if there is one.

    See `music.readers.metres`.
    """
    known = known_meter(section.meter)
    if known is None or known[1] == 1:
        return section, strains(section)
    meter, factor = known
    return replace(section, meter=meter), (_scaled(bars, factor) for bars in strains(section))


def _scaled(bars: Sequence[Bar], factor: Fraction) -> list[Bar]:
    return [
        replace(
            bar,
            notes=[AbcNote(n.midi, n.duration_ticks * factor, n.tied) for n in bar.notes],
        )
        for bar in bars
    ]


def _melody(tune: Tune, section: Section, bars: Sequence[Bar], style: str | None) -> Melody:
    tonic = TONIC_MIDI_MIN + section.tonic_class
    if style is None:
        like = AbcTune(tune.fields, section.meter, section.tonic_class, section.mode, [])
        style = style_of_tune(like, section.meter)
    header = Header(section.meter, section.mode, style)
    written = [note.midi - tonic for bar in bars for note in bar.notes if note.midi is not None]
    tonic += 12 * octaves_from_middle(written)
    return melody_of_bars(bars, header, tonic, mend_last_bar=True)
