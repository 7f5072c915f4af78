"""Limits on what is read from outside: the bytes of a file, its rows, and what is packed in it.

A reader of files that other people make takes its limits from here. It checks the size before it
reads, and reads in pieces, so that its memory is bounded. docs/limits.md explains the limits;
`tastemaker ratings import` has options that raise those of tables.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
KIB = 2**10

TABLE_MIB = 128
TABLE_ROWS = 250_000
CELL_CHARACTERS = 2**20
"""of one cell of a table"""
LINE_CHARACTERS = 2**23
"""of one line of a table, and of a cell while it is parsed"""
COLUMNS = 500
"""of a table"""
JSON_DEPTH = 16
"""lists and objects inside one another"""
VALUES_PER_ROW = 128
"""of a Parquet table, on average; a melody has some 80 tokens"""
SMALL_TABLE_ROWS = 10_000
"""a Parquet table may have the values of that many rows, however few rows it has"""
ROW_GROUPS = 10_000
"""of a Parquet table"""

ABC_FILE_BYTES = 4 * MIB
"""of a file of which the first tune is read"""
ABC_BOOK_BYTES = 64 * MIB
"""of a book of tunes"""
ABC_BOOK_TUNES = 100_000
"""of a book, with those that are refused"""
ABC_BOOK_SYMBOLS = 1_500_000
"""notes, rests and bars of a book; the two that are shipped have 600,000"""
TUNE_CHARACTERS = 50_000
"""of one tune in ABC, with its header; the longest of O'Neill's has 3,000"""
MIDI_BYTES = 512 * KIB
"""of a MIDI file; an hour of piano has some 300 KiB"""
MUSICXML_BYTES = 24 * MIB
"""of a MusicXML document, also when it is unpacked"""
XML_ELEMENTS = 1_000_000
"""of a document"""
XML_DEPTH = 64
"""elements inside one another"""
ZIP_MEMBERS = 1000
"""of a packed score"""
SCORE_BARS = 10_000
"""of one part"""
CHANGES_IN_A_BAR = 16
"""of metre or key, inside one measure of a score"""
UNPACKED_CORPUS_BYTES = 256 * MIB
"""of a corpus of tokens (.npz); the shipped one has 1.2 MiB"""


class LimitError(ValueError):
    """A file with more in it than its reader takes; one line with the limit and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLimits:
    """Most that one table of an import may hold.

    Raises:
        LimitError: for a limit below 1.
    """

    size_mib: int = TABLE_MIB
    """of the file, and of what is packed in it"""
    rows: int = TABLE_ROWS

    def __post_init__(self) -> None:
        """Check both."""
        if self.size_mib < 1 or self.rows < 1:
            raise LimitError(
                f"size_mib={self.size_mib} and rows={self.rows} must be at least 1; raise them"
            )

    @property
    def size_bytes(self) -> int:
        """`size_mib` in bytes."""
        return self.size_mib * MIB


def read_bytes(path: Path, limit_bytes: int, *, remedy: str) -> bytes:
    """The content of a file that has no more than `limit_bytes`; a larger one is not read whole.

    Raises:
        LimitError: for a larger file; `remedy` says what to do.
        OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(limit_bytes + 1)  # and not its size: a pipe tells none
    if len(content) > limit_bytes:
        raise LimitError(f"{path} is larger than {size_in_words(limit_bytes)}; {remedy}")
    return content


def check_unpacked(path: Path, limit_bytes: int, *, remedy: str) -> None:
    """Refuse a zip file, such as .npz, with more in it than `limit_bytes` when it is unpacked.

    Raises:
        LimitError: for more; `remedy` says what to do.
        zipfile.BadZipFile, OSError: when it is no zip file, or cannot be read.
    """
    with zipfile.ZipFile(path) as packed:
        size_bytes = sum(member.file_size for member in packed.infolist())
    if size_bytes > limit_bytes:
        raise LimitError(
            f"{path} unpacks to {size_in_words(size_bytes)}, and {size_in_words(limit_bytes)} is "
            f"the most; {remedy}"
        )


def size_in_words(size_bytes: int) -> str:
    """Such as '128 MiB', '3.5 MiB' or '40 KiB'."""
    if size_bytes < MIB:
        return f"{size_bytes / KIB:.0f} KiB"
    mib = f"{size_bytes / MIB:,.1f}".removesuffix(".0")
    return f"{mib} MiB"
