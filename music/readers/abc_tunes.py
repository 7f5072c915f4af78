"""The text of each tune of an ABC file, as its own: with what the file's header says.

Fields and directives before the first tune are the file's header, and hold for each tune that does
not have them itself.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator

from music.formats.abc_text import decode_text, split_tunes
from music.formats.abc_tokens import FIELD, TOKEN
from music.limits import MIB, TUNE_CHARACTERS
from music.readers.tune import ReadError

HEADER_FIELDS = "MLRZI"
"""of those that a file's header may have, the ones that are used here"""
HEADER_CHARACTERS = 4000
"""of a file's header, because it is read once more for each tune"""
_X_LINE = re.compile(rb"(?:^|(?<=\r))(?:\xef\xbb\xbf)?X:", re.MULTILINE)


def numbered_tunes(data: bytes) -> Iterator[tuple[str, str]]:
    """The tunes of a book, each with its number; a number that was there before gets its place.

    Raises:
        ReadError: for a file whose header is too long.
    """
    seen: Counter[str] = Counter()
    before, *parts = _texts(data)
    header: list[tuple[str, str]] = []
    if not parts or re.search(r"^K:", before, re.MULTILINE):  # a tune that has no number
        parts = [before, *parts]
    else:
        header = _file_header(before)
    for place, part in enumerate(parts, start=1):
        number = part[2:].split("\n")[0].strip()[:40] if part.startswith("X:") else ""
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


def music_after_end(tune: str) -> str:
    """The first line of music after the empty line that ends a tune; "" where there is none.

    A line of music has a barline, and no sign that is none of music's. So has no prose.
    """
    in_body = sounded = ended = False
    for line in tune.split("\n"):
        field = FIELD.match(line)
        if field is not None:
            in_body |= field[1] == "K"
        elif not line.strip():
            ended |= sounded
        elif line.startswith("%") or not in_body:
            continue
        elif not ended:
            sounded |= re.search("[A-Ga-gzxZX]", line) is not None
        elif "|" in line and _is_music(line):
            return line.strip()
    return ""


def _is_music(line: str) -> bool:
    line = line.partition("%")[0]
    at, notes = 0, 0
    while at < len(line):
        match = TOKEN.match(line, at)
        if match is None:
            return False
        at = match.end()
        notes += match.lastgroup in ("note", "chord", "bar_rest")
    return notes > 0
