"""Reading the tunes of an ABC file with our own reader (`music.formats.abc_reader`).

Fields and directives before the first tune are the file's header, and hold for each tune that does
not have them itself.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from music.formats.abc import AbcError, AbcTune
from music.formats.abc_melody import MODE_OF_ABC
from music.formats.abc_reader import read_tune
from music.formats.abc_text import decode_text, split_tunes
from music.formats.abc_tokens import FIELD
from music.limits import (
    ABC_BOOK_BYTES,
    ABC_BOOK_SYMBOLS,
    ABC_BOOK_TUNES,
    MIB,
    TUNE_CHARACTERS,
    read_bytes,
)
from music.readers.abc_voices import chosen_voice
from music.readers.bars import bar_refusal, repair
from music.readers.tune import Bar, Notice, ReadError, Refusal, Section, Tune, bar_ticks_of

SYMBOLS_PER_PASSAGE = 6
"""that a passage or refusal counts for, because each takes time and memory"""
HEADER_FIELDS = "MLRZI"
"""of those that a file's header may have, the ones that are used here"""
HEADER_CHARACTERS = 4000
"""of a file's header, because it is read once more for each tune"""
_X_LINE = re.compile(rb"(?:^|(?<=\r))(?:\xef\xbb\xbf)?X:", re.MULTILINE)


def read_abc_file(path: Path, part: str | None = None) -> tuple[list[Tune], list[Refusal]]:
    """The tunes of a file; a text without an `X:` line is one tune.

    Args:
        path: the file.
        part: name or number of the voice to take from tunes that have several.

    Raises:
        LimitError: for a file of more than `ABC_BOOK_BYTES`.
        ReadError: for a file whose header is too long.
    """
    file = str(path)
    data = read_bytes(path, ABC_BOOK_BYTES, remedy="divide the book into parts")
    tunes: list[Tune] = []
    refusals: list[Refusal] = []
    symbols = 0
    for place, (number, text) in enumerate(_numbered(data)):
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
        if chosen is not None:
            notice = Notice(file, number, "", "voice taken", chosen.detail)
            tune = replace(tune, notices=(notice, *tune.notices))
        if tune.sections:
            tunes.append(tune)
        symbols += sum(1 + len(bar.notes) for bar in read.bars) - len(text) // 4
        symbols += 0 if chosen is None else chosen.symbols_of_others
        symbols += SYMBOLS_PER_PASSAGE * (len(tune.sections) + len(refused))
    return tunes, refusals


def _numbered(data: bytes) -> Iterator[tuple[str, str]]:
    """The tunes of a book, each with its number; a number that was there before gets its place."""
    seen: Counter[str] = Counter()
    before, *parts = _texts(data)
    header: list[tuple[str, str]] = []
    if not parts or re.search(r"^K:", before, re.MULTILINE):  # a tune that has no number
        parts = [before, *parts]
    else:
        header = _file_header(before)
    for place, part in enumerate(parts, start=1):
        number = part[2:].splitlines()[0].strip()[:40] if part.startswith("X:") else ""
        number = number or str(place)
        seen[number] += 1
        shown = number if seen[number] == 1 else f"{number} (tune {place} of the file)"
        yield shown, _with_header(part, header)


def _file_header(text: str) -> list[tuple[str, str]]:
    """The names of the fields and directives before the first tune, and their lines.

    An empty line, or one that is neither, ends the header.

    Raises:
        ReadError: for more than `HEADER_CHARACTERS` of them.
    """
    found: list[tuple[str, str]] = []
    lines = iter(text.lstrip("\ufeff").strip().split("\n"))
    for line in lines:
        field = FIELD.match(line)
        if line.startswith("%%"):
            words = line[2:].split()
            name = words[0] if words else ""
            if name.startswith("begin"):  # a block of text or pictures
                end = f"end{name.removeprefix('begin')}"
                next((one for one in lines if end in one), None)
            else:
                found.append((f"%%{name}", line))
        elif field is not None and len(field[1]) == 1:
            if field[1] in HEADER_FIELDS:
                found.append((field[1], line))
        elif not line.startswith("%"):
            break
    if sum(len(line) for _, line in found) > HEADER_CHARACTERS:
        detail = (
            f"the fields and directives before the first tune have more than {HEADER_CHARACTERS:,} "
            "characters; move them into the tunes that need them"
        )
        raise ReadError("too large", detail)
    return found


def _with_header(tune: str, header: list[tuple[str, str]]) -> str:
    """A tune with what the file's header says and its own does not."""
    if not header:
        return tune
    first, *rest = tune.split("\n")
    own: set[str] = set()
    for line in rest:
        name = line.split(maxsplit=1)[0] if line.startswith("%%") else line[:1]
        own.add(name)
        if line.startswith("K:"):
            break
    added = [line for name, line in header if name == "I" or name not in own]
    return "\n".join([first, *added, *rest])


def _texts(data: bytes) -> Iterator[str]:
    """What stands before the first tune, and each tune, from its `X:` line on.

    Each is decoded by itself, to save memory. Of a longer one than a tune may be, the beginning.
    """
    most_bytes = 4 * (TUNE_CHARACTERS + 1)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = decode_text(data).replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
        yield re.split(r"^X:", text, maxsplit=1, flags=re.MULTILINE)[0][:most_bytes]
        for part in split_tunes(text):
            yield part[:most_bytes]
        return
    encoding = "utf-8-sig" if _is_utf8(data) else "latin-1"
    starts = [0, *(match.start() for match in _X_LINE.finditer(data))]
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        part = data[start : min(end, start + most_bytes)].decode(encoding, "replace")
        yield part.replace("\r\n", "\n").replace("\r", "\n")


def _is_utf8(data: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), MIB):
            decoder.decode(data[start : start + MIB])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


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
