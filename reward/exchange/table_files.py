"""The tables of an export as files: CSV, JSONL or Parquet, read row by row.

A file of which no row can be read (no such file, other columns, another encoding), or that is
larger than the limits, is refused whole. Otherwise each row comes with what is wrong in it
(`reward.exchange.table_row`). No more of a file than one piece is in memory.

The cells of a CSV may be separated by commas, semicolons or tabs; those of a TSV are by tabs.
"""

from __future__ import annotations

import csv
import json
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from music.limits import COLUMNS, LINE_CHARACTERS, MIB, TableLimits, size_in_words
from reward.exchange.export import text_of_csv
from reward.exchange.parquet_rows import check_parquet, parquet_columns, parquet_rows
from reward.exchange.table_row import KEPT_CHARACTERS, Row
from reward.store.database import RatingsError

DELIMITERS = ",;\t"
ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")
TEXT_TABLES = (".csv", ".tsv")
NAME_CHARACTERS = 200
"""of the name of a column"""


@dataclass(frozen=True, slots=True)
class TableFile:
    """A table file that can be read, as often as one likes.

    Raises:
        RatingsError: for a file that is not there, of another kind, too large, or damaged.
    """

    path: Path
    needed: Sequence[str]
    """columns that it must have"""
    limits: TableLimits

    def __post_init__(self) -> None:
        """Check all that is known before reading."""
        path = self.path
        if path.suffix.lower() not in ENDINGS:
            raise RatingsError(
                f"{path} does not end in .csv, .tsv, .jsonl or .parquet; rename or convert it"
            )
        if not path.is_file():
            raise RatingsError(
                f"{path} is not there; the tables of an export are imported together"
            )
        size_bytes = path.stat().st_size
        if size_bytes > self.limits.size_bytes:
            raise RatingsError(
                f"{path} has {size_in_words(size_bytes)}, and {self.limits.size_mib} MiB is the "
                f"most; divide it, or raise the limit (--max-mib {-(-size_bytes // MIB)})"
            )
        if self._kind == ".parquet" and find_spec("pyarrow") is None:
            raise RatingsError(f"{path} needs pyarrow; install it, or convert it to CSV or JSONL")
        if self._kind == ".parquet":
            check_parquet(path, self.limits)

    @property
    def _kind(self) -> str:
        return self.path.suffix.lower()

    def rows(self) -> Iterator[Row]:
        """All rows in order, with what is wrong with them by themselves.

        Raises:
            RatingsError: for a file that is damaged, in another encoding, has too many rows or
                columns, or lacks a column; that is known at the end of a JSONL at the latest.
        """
        try:
            yield from self._limited()
        except UnicodeDecodeError as error:
            raise RatingsError(
                f"{self.path} is not UTF-8 at byte {_first_byte_not_utf8(self.path)}; "
                "save it as 'CSV UTF-8'"
            ) from error
        except OSError as error:
            raise RatingsError(
                f"{self.path} cannot be read ({error.strerror or error}); check it and its disk"
            ) from error

    def _limited(self) -> Iterator[Row]:
        limits, lacking = self.limits, set(self.needed)
        if self._kind != ".jsonl":
            csv_table = self._kind in TEXT_TABLES
            names = _csv_header(self.path) if csv_table else parquet_columns(self.path, limits)
            lacking.difference_update(names)
            self._refuse_lacking(lacking)
        number = 0
        for number, row in enumerate(self._read(), start=1):
            if number > limits.rows:
                raise RatingsError(
                    f"{self.path} has more than {limits.rows} rows; divide it, or raise "
                    f"the limit (--max-rows {limits.rows * 4})"
                )
            if lacking:
                lacking.difference_update(row.cells)
            row.check_cells()
            yield row
        if number:
            self._refuse_lacking(lacking)

    def _read(self) -> Iterator[Row]:
        if self._kind == ".parquet":
            return parquet_rows(self.path, self.limits)
        return (_csv_rows if self._kind in TEXT_TABLES else _jsonl_rows)(self.path)

    def _refuse_lacking(self, lacking: set[str]) -> None:
        missing = [name for name in self.needed if name in lacking]
        if missing:
            raise RatingsError(
                f"{self.path} has no column {missing[0]!r} ({len(missing)} such); "
                "its columns are to be those of an export"
            )


class _Lines:
    """The lines of a text file; one that is too long is passed over.

    Of such a line remains an end of line, after a quotation mark if it had an odd number of them,
    so that the lines behind it are read as they would have been.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begin_row()

    def begin_row(self) -> None:
        """Forget the lines of the last row."""
        self.too_long = False
        self.beginning = ""

    def __iter__(self) -> Iterator[str]:
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            while line := file.readline(LINE_CHARACTERS):
                if len(self.beginning) < KEPT_CHARACTERS:
                    self.beginning = (self.beginning + line[:KEPT_CHARACTERS])[:KEPT_CHARACTERS]
                if len(line) < LINE_CHARACTERS or line[-1] in "\r\n":
                    yield line
                    continue
                self.too_long, quotes = True, 0
                while line:
                    quotes += line.count('"')
                    line = "" if line[-1] in "\r\n" else file.readline(LINE_CHARACTERS)
                yield '"\n' if quotes % 2 else "\n"

    def refused(self, number: int, reason: str) -> Row:
        """The row that begins where `begin_row` was called last, which cannot be read."""
        return Row(number, {"line": self.beginning.rstrip("\r\n")}, [reason])


TOO_LONG = f"it has a line of more than {LINE_CHARACTERS} characters"


def _delimiter(path: Path) -> str:
    """What stands between the names of the columns: a spreadsheet may have saved `;` or tabs."""
    if path.suffix.lower() == ".tsv":  # the name of a column may have commas in it
        return "\t"
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline(LINE_CHARACTERS)
    return max(DELIMITERS, key=header.count)


def _csv_header(path: Path) -> list[str]:
    """The names of the columns of a CSV.

    Raises:
        RatingsError: for too many, or too long ones.
    """
    csv.field_size_limit(LINE_CHARACTERS)
    try:
        reader = csv.reader(iter(_Lines(path)), delimiter=_delimiter(path), strict=True)
        header = next(reader, [])
    except csv.Error as error:
        raise RatingsError(f"{path} is no CSV from line 1 on ({error}); export it anew") from error
    if len(header) > COLUMNS or any(len(name) > NAME_CHARACTERS for name in header):
        raise RatingsError(
            f"{path} has {len(header)} columns, the longest name with "
            f"{max(map(len, header))} characters; {COLUMNS} columns and {NAME_CHARACTERS} "
            "characters are the most, so export it anew"
        )
    return header


def _csv_rows(path: Path) -> Iterator[Row]:
    header = _csv_header(path)
    lines = _Lines(path)
    reader = csv.reader(iter(lines), delimiter=_delimiter(path), strict=True)
    next(reader, None)
    number = 1
    while True:
        number, before = number + 1, reader.line_num
        lines.begin_row()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "expected after" not in str(error):  # an open quote has swallowed the rest
                raise RatingsError(
                    f"{path} is no CSV from line {reader.line_num} on ({error}); close its quotes"
                ) from error
            yield lines.refused(
                number, f"lines {before + 1} to {reader.line_num} are no row of a CSV ({error})"
            )
            continue
        if lines.too_long:
            yield lines.refused(number, TOO_LONG)
        elif cells:
            row = Row(number, dict(zip(header, map(text_of_csv, cells), strict=False)))
            if len(cells) != len(header):
                row.refuse(f"it has {len(cells)} cells under {len(header)} columns")
            yield row


def _jsonl_rows(path: Path) -> Iterator[Row]:
    lines = _Lines(path)
    for number, line in enumerate(lines, start=1):
        if lines.too_long:
            yield lines.refused(number, TOO_LONG)
        elif line.strip():
            try:
                cells = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield lines.refused(number, f"it is not JSON ({str(error).split(';')[0]})")
            else:
                if not isinstance(cells, dict):
                    yield lines.refused(number, "it is not a JSON object")
                elif len(cells) > COLUMNS or any(len(name) > NAME_CHARACTERS for name in cells):
                    yield lines.refused(number, f"it has {len(cells)} columns, or a long name")
                else:
                    yield Row(number, cells)
        lines.begin_row()


def _first_byte_not_utf8(path: Path) -> int:
    """Where a file that is not UTF-8 stops being so."""
    decoder, at = getincrementaldecoder("utf-8")(), 0
    with path.open("rb") as file:
        while piece := file.read(MIB):
            before = len(decoder.getstate()[0])
            try:
                decoder.decode(piece)
            except UnicodeDecodeError as error:
                return at - before + error.start
            at += len(piece)
    return at
