"""Reading the tunes of an ABC file with our own reader (`music.formats.abc_reader`)."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from pathlib import Path

from music.formats.abc import AbcError, AbcTune
from music.formats.abc_key import NO_KEY
from music.formats.abc_melody import MODE_OF_ABC
from music.formats.abc_reader import read_tune
from music.limits import (
    ABC_BOOK_BYTES,
    ABC_BOOK_SYMBOLS,
    ABC_BOOK_TUNES,
    read_bytes,
)
from music.readers.abc_tunes import music_after_end, numbered_tunes
from music.readers.abc_voices import chosen_voice
from music.readers.bars import bar_refusal, repair
from music.readers.file_kinds import kind_remedy
from music.readers.key_finder import find_key, key_in_words
from music.readers.tune import Bar, Notice, ReadError, Refusal, Section, Tune, bar_ticks_of

SYMBOLS_PER_PASSAGE = 6
"""that a passage or refusal counts for, because each takes time and memory"""


def read_abc_file(path: Path, part: str | None = None) -> tuple[list[Tune], list[Refusal]]:
    """The tunes of a file; a text without an `X:` line is one tune.

    Args:
        path: the file.
        part: name or number of the voice to take from tunes that have several.

    Raises:
        LimitError: for a file of more than `ABC_BOOK_BYTES`.
        ReadError: for a file of another kind, or whose header is too long.
    """
    file = str(path)
    data = read_bytes(path, ABC_BOOK_BYTES, remedy="divide the book into parts")
    if data.startswith((b"MThd", b"PK\x03\x04", b"<")):
        raise ReadError("damaged", f"it is no ABC; {kind_remedy(data, '.abc')}")
    tunes: list[Tune] = []
    refusals: list[Refusal] = []
    symbols = 0
    for place, (number, text) in enumerate(numbered_tunes(data)):
        if place == ABC_BOOK_TUNES or symbols > ABC_BOOK_SYMBOLS:
            detail = (
                f"the book has more than {ABC_BOOK_TUNES:,} tunes, or {ABC_BOOK_SYMBOLS:,} notes "
                "and bars; what is from here on is not read: divide the book into parts"
            )
            refusals.append(Refusal(file, number, "", "too large", detail))
            break
        symbols += len(text) // 4  # in case it is not read, which takes time as well
        try:
            chosen = chosen_voice(text, part)
            read = chosen.read if chosen is not None else read_tune(text)
            tune, refused = _tune(file, number, read)
        except AbcError as error:
            refusals.append(Refusal(file, number, "", "damaged", str(error)))
            continue
        except ReadError as error:
            refusals.append(Refusal(file, number, error.bar, error.reason, str(error)))
            continue
        refusals += refused
        if lost := music_after_end(text):
            detail = (
                f"what comes after the empty line that ends the tune, such as {lost[:40]!r}, is "
                "not read; take the line out, or begin the next tune with X:"
            )
            refusals.append(Refusal(file, number, "", "damaged", detail))
        if chosen is not None:
            notice = Notice(file, number, "", "voice taken", chosen.detail)
            tune = replace(tune, notices=(notice, *tune.notices))
        if tune.sections:
            tunes.append(tune)
        symbols += sum(1 + len(bar.notes) for bar in read.bars) - len(text) // 4
        symbols += 0 if chosen is None else chosen.symbols_of_others
        symbols += SYMBOLS_PER_PASSAGE * (len(tune.sections) + len(refused))
    return tunes, refusals


def _tune(file: str, number: str, read: AbcTune) -> tuple[Tune, list[Refusal]]:
    title = read.fields.get("T", [""])[0]
    bars = [
        Bar(
            bar.notes,
            bar.left,
            bar.right,
            bar.endings,
            bar.meter,
            bar.tonic_class,
            MODE_OF_ABC.get(bar.mode, bar.mode),
            number=str(place),
        )
        for place, bar in enumerate(read.bars, start=1)
    ]
    if not any(note.midi is not None for bar in bars for note in bar.notes):
        raise ReadError("no notes", "the tune has no notes; write some after its K: line")
    notices: list[Notice] = []
    sections: list[Section] = []
    refusals: list[Refusal] = []
    repaired = passages = 0
    for (meter, tonic_class, mode), group in groupby(
        bars, key=lambda bar: (bar.meter, bar.tonic_class, bar.mode)
    ):
        passage = list(group)
        passages += 1
        if mode == NO_KEY:
            tonic_class, mode = find_key(passage)
            detail = f"K: names no key; the notes are those of {key_in_words(tonic_class, mode)}"
            notices.append(Notice(file, number, passage[0].number, "key found", detail))
        try:
            runs, wrong, mended = repair(passage, bar_ticks_of(meter))
        except ReadError as error:
            refusals.append(Refusal(file, number, passage[0].number, error.reason, str(error)))
            continue
        sections += [Section(tuple(run), meter, mode, tonic_class) for run in runs]
        refusals += [bar_refusal(file, number, bar, meter) for bar in wrong]
        repaired += mended
    for count, reason, detail in (
        (read.chords, "top notes taken", f"the top note of each of its {read.chords} chords"),
        (repaired, "bars repaired", f"{repaired} bars of wrong length are repaired"),
        (passages - 1, "cut", "the tune is cut where metre or key changes"),
    ):
        if count:
            notices.append(Notice(file, number, "", reason, detail))
    return Tune(file, number, title, tuple(sections), tuple(notices), read.fields), refusals
