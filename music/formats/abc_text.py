"""The text of ABC files and books: from bytes to tunes, in whatever encoding they were written."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator


def decode_text(data: bytes) -> str:
    """The text of an ABC file: UTF-8 or UTF-16 with or without a byte order mark, else Latin-1."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def split_tunes(text: str) -> Iterator[str]:
    """The tunes of an ABC book, each from its `X:` line on."""
    lines = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    for part in re.split(r"^(?=X:)", lines, flags=re.MULTILINE):
        if part.startswith("X:"):
            yield part
