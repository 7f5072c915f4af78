"""The strains of a tune as melodies: the step where `music.melody` says what is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from music.formats.abc import AbcNote, AbcTune
from music.formats.abc_melody import melody_of_bars, style_of_tune
from music.key_choice import octaves_from_middle
from music.melody import TONIC_MIDI_MIN, Header, Melody, MelodyError
from music.readers.bad_bars import BAR_RULES, BadBars, good_parts, place_of_error
from music.readers.metres import known_meter
from music.readers.strains import cut_notices, strains
from music.readers.tune import Bar, Notice, Refusal, Section, Tune


def melodies_of(
    tune: Tune, *, style: str | None = None, whole: bool = False
) -> tuple[list[Melody], list[Refusal]]:
    """The strains that a melody holds, and the others with the rule that each breaks.

    Where single bars of a strain break a rule, what comes before and after them is kept.

    Args:
        tune: as `music.readers.read_tunes` returns it.
        style: label of all its melodies; as `music.formats.abc_melody.style_of_tune` reads it, if
            None.
        whole: refuse a strain with such bars.

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
            if not _sounds(bars):
                continue  # bars of rest before a part begins
            found, refused = _read(tune, section, bars, style, whole=whole)
            melodies += found
            refusals += refused
    return melodies, refusals


def _read(
    tune: Tune, section: Section, bars: list[Bar], style: str | None, *, whole: bool
) -> tuple[list[Melody], list[Refusal]]:
    """A strain as a melody, or as those that its good bars make."""
    tonic = _tonic(section, bars)
    try:
        return [_melody(tune, section, bars, style)], []
    except MelodyError as error:
        parts = [bars]
        if error.rule in BAR_RULES and not whole:
            parts = list(good_parts(bars, tonic))
        if len(parts) == 1 and not isinstance(parts[0], BadBars):
            place = place_of_error(bars, tonic, error.rule)
            return [], [Refusal(tune.file, tune.number, place, error.rule, str(error))]
    melodies: list[Melody] = []
    refusals: list[Refusal] = []
    for part in parts:
        if isinstance(part, BadBars):
            refusals.append(Refusal(tune.file, tune.number, *part))
            continue
        if not _sounds(part):
            continue
        found, refused = _read(tune, section, part, style, whole=True)
        melodies += found
        refusals += refused
    return melodies, refusals


def _sounds(bars: Sequence[Bar]) -> bool:
    return any(note.midi is not None for bar in bars for note in bar.notes)


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


def _tonic(section: Section, bars: Sequence[Bar]) -> int:
    """MIDI number of the tonic, in the octave in which most of the notes fit."""
    tonic = TONIC_MIDI_MIN + section.tonic_class
    written = [note.midi - tonic for bar in bars for note in bar.notes if note.midi is not None]
    return tonic + 12 * octaves_from_middle(written)


def _melody(tune: Tune, section: Section, bars: Sequence[Bar], style: str | None) -> Melody:
    if style is None:
        like = AbcTune(tune.fields, section.meter, section.tonic_class, section.mode, [])
        style = style_of_tune(like, section.meter)
    header = Header(section.meter, section.mode, style)
    return melody_of_bars(bars, header, _tonic(section, bars), mend_last_bar=True)
