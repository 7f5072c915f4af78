"""Reading the tunes of an ABC file with our own reader (`music.formats.abc_reader`)."""

from __future__ import annotations

from pathlib import Path

from music.formats.abc import AbcError, AbcTune
from music.formats.abc_melody import MODE_OF_ABC
from music.formats.abc_reader import read_tune
from music.formats.abc_text import decode_text, split_tunes
from music.limits import ABC_BOOK_BYTES, read_bytes
from music.readers.bars import bar_refusal, repair
from music.readers.tune import Bar, Notice, ReadError, Refusal, Section, Tune, bar_ticks_of


def read_abc_file(path: Path) -> tuple[list[Tune], list[Refusal]]:
    """The tunes of a file; a text without an `X:` line is one tune.

    Raises:
        LimitError: for a file of more than `ABC_BOOK_BYTES`.
    """
    text = decode_text(read_bytes(path, ABC_BOOK_BYTES, remedy="divide the book into parts"))
    tunes: list[Tune] = []
    refusals: list[Refusal] = []
    for place, part in enumerate(list(split_tunes(text)) or [text], start=1):
        number = part[2:].splitlines()[0].strip()[:40] if part.startswith("X:") else ""
        number = number or str(place)
        try:
            tune, refused = _tune(str(path), number, read_tune(part))
        except (AbcError, ReadError) as error:
            reason = error.reason if isinstance(error, ReadError) else _reason(error)
            refusals.append(Refusal(str(path), number, "", reason, str(error)))
            continue
        refusals += refused
        if tune.sections:
            tunes.append(tune)
    return tunes, refusals


def _reason(error: AbcError) -> str:
    return "several voices" if "voice" in str(error) else "damaged"


def _tune(file: str, number: str, read: AbcTune) -> tuple[Tune, list[Refusal]]:
    if read.changes_meter_or_key:
        raise ReadError("changes", "the metre or key changes inside the tune; give it in parts")
    title = read.fields.get("T", [""])[0]
    bars = [
        Bar(bar.notes, bar.left, bar.right, bar.endings, number=str(place))
        for place, bar in enumerate(read.bars, start=1)
    ]
    if not any(note.midi is not None for bar in bars for note in bar.notes):
        raise ReadError("no notes", "the tune has no notes; write some after its K: line")
    bar_ticks = bar_ticks_of(read.meter)
    runs, wrong, repaired = repair(bars, bar_ticks)
    notices = []
    if read.chords:
        detail = f"the top note of each of its {read.chords} chords is taken"
        notices.append(Notice(file, number, "", "top notes taken", detail))
    if repaired:
        detail = f"{repaired} bars of wrong length are repaired"
        notices.append(Notice(file, number, "", "bars repaired", detail))
    mode = MODE_OF_ABC.get(read.mode, read.mode)
    sections = tuple(Section(tuple(run), read.meter, mode, read.tonic_class) for run in runs)
    refusals = [bar_refusal(file, number, bar, read.meter) for bar in wrong]
    return Tune(file, number, title, sections, tuple(notices), read.fields), refusals
