"""Reading the rows of an exported CSV, JSONL or Parquet file, each with what is wrong in it.

A row is asked for its cells by name and kind. What a cell has wrong is noted in the row, so that a
reader sees all that is wrong with it at once and the rows beside it are not lost. A file of which
no row can be read (no such file, other columns, another encoding) is refused whole.

Numbers may be written as spreadsheets leave them (`3.0`, `0,25`), truth as `True`, `true` or `1`,
and the cells of a CSV may be separated by commas, semicolons or tabs.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd

from reward.exchange.export import exported_file, text_of_csv, write_csv
from reward.store.database import RatingsError, check_text

MAX_WHOLE = 2**31 - 1
CELL_BYTES = 2**24
"""longest cell; the csv module's own limit of 2**17 would cut a melody's features"""
DELIMITERS = ",;\t"
REFUSED_ROW, REFUSED_BECAUSE = "refused_row", "refused_because"
TRUTH = {"true": True, "1": True, "false": False, "0": False}


@dataclass(slots=True)
class Row:
    """One row: its cells by column, its number as an editor shows it, and what is wrong with it."""

    number: int
    cells: Mapping[str, Any]
    reasons: list[str] = field(default_factory=list)

    def refuse(self, reason: str) -> None:
        """Note that something is wrong with it."""
        self.reasons.append(reason)

    def missing(self, name: str) -> bool:
        """Whether there is nothing in that cell."""
        value = self.cells.get(name)
        return value is None or value == "" or (pd.api.types.is_scalar(value) and pd.isna(value))

    def text(self, name: str, least: int = 0, most: int = 2000) -> str:
        """Text of a limited length; '' where there is none."""
        value = "" if self.missing(name) else str(self.cells[name])
        try:
            check_text(name, value, least, most)
        except RatingsError as error:
            self.refuse(str(error))
        return value

    def whole(
        self, name: str, *, low: int = 0, high: int = MAX_WHOLE, default: int | None = None
    ) -> int:
        """A whole number within limits; `low` where it is wrong."""
        if self.missing(name) and default is not None:
            return default
        value = self.cells.get(name)
        try:
            # By int first: a float cannot hold the larger seeds.
            number = self._float(value) if isinstance(value, float) else int(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            number = self._float(value)
        if number is None or number != int(number) or not low <= number <= high:
            self.refuse(f"{name}={_shown(value)} is not a whole number within {low}..{high}")
            return low
        return int(number)

    def fraction(self, name: str) -> float | None:
        """A finite number, or None where there is none."""
        if self.missing(name):
            return None
        value = self.cells[name]
        # Where cells are separated by semicolons, a spreadsheet writes a decimal comma.
        number = self._float(value.replace(",", ".") if isinstance(value, str) else value)
        if number is None:
            self.refuse(f"{name}={_shown(self.cells[name])} is not a finite number")
        return number

    def truth(self, name: str) -> bool:
        """True or False."""
        said = TRUTH.get(str(self.cells.get(name)).lower())
        if said is None:
            self.refuse(f"{name}={_shown(self.cells.get(name))} is neither True nor False")
        return bool(said)

    def uuid(self, name: str) -> UUID | None:
        """The id of a comparison; None where it is wrong."""
        try:
            return UUID(str(self.cells.get(name)))
        except ValueError:
            self.refuse(f"{name}={_shown(self.cells.get(name))} is not the id of a comparison")
            return None

    def moment(self, name: str) -> datetime:
        """A moment with its time zone, in UTC; the epoch where it is wrong."""
        try:
            moment = datetime.fromisoformat(str(self.cells.get(name)))
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        self.refuse(
            f"{name}={_shown(self.cells.get(name))} is not a moment such as "
            "2026-11-22T12:00:00+00:00"
        )
        return datetime.fromtimestamp(0, UTC)

    def nested(self, name: str, kind: type[list] | type[dict]) -> Any:  # noqa: ANN401  JSON
        """A list or a mapping, as it is or as JSON; an empty one where there is none."""
        value = self.cells.get(name)
        if hasattr(value, "tolist"):  # an array, from Parquet
            value = value.tolist()  # type: ignore[union-attr]
        if isinstance(value, str) and value:
            with suppress(ValueError, RecursionError):
                value = json.loads(value)
        if isinstance(value, kind):
            return value
        if not self.missing(name):
            self.refuse(f"{name}={_shown(value)} is not a {kind.__name__} in JSON")
        return kind()

    @staticmethod
    def _float(value: object) -> float | None:
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            return None
        return number if isfinite(number) else None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def read_rows(path: Path, columns: Collection[str]) -> list[Row]:
    """All rows of a file, by its ending; rows that cannot be read come with their reason.

    Raises:
        RatingsError: for a file that is not there, of another kind, damaged, or that lacks one of
            these columns.
    """
    suffix = path.suffix.lower()
    read = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".parquet": _parquet_rows}.get(suffix)
    if read is None:
        raise RatingsError(f"{path} does not end in .csv, .jsonl or .parquet; rename or convert it")
    if not path.is_file():
        raise RatingsError(f"{path} is not there; the tables of an export are imported together")
    try:
        rows = list(read(path))
    except UnicodeDecodeError as error:
        raise RatingsError(
            f"{path} is not UTF-8 at byte {error.start}; save it as 'CSV UTF-8'"
        ) from error
    known = {name for row in rows for name in row.cells} | set(
        _csv_header(path) if suffix == ".csv" else ()
    )
    lacking = [name for name in columns if name not in known]
    if lacking and (rows or suffix == ".csv"):
        raise RatingsError(
            f"{path} has no column {lacking[0]!r} ({len(lacking)} such); "
            "its columns are to be those of an export"
        )
    return rows


def _csv_header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file, delimiter=_delimiter(path)), [])


def _delimiter(path: Path) -> str:
    """What stands between the names of the columns: a spreadsheet may have saved `;` or tabs."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline()
    return max(DELIMITERS, key=header.count)


def _csv_rows(path: Path) -> Iterator[Row]:
    csv.field_size_limit(CELL_BYTES)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=_delimiter(path), strict=True)
        try:
            header = next(reader, [])
            for number, cells in enumerate(reader, start=2):
                if not cells:
                    continue
                row = Row(number, dict(zip(header, map(text_of_csv, cells), strict=False)))
                if len(cells) != len(header):
                    row.refuse(f"it has {len(cells)} cells under {len(header)} columns")
                yield row
        except csv.Error as error:
            raise RatingsError(
                f"{path} is no CSV from line {reader.line_num} on ({error}); close its quotes"
            ) from error


def _jsonl_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                cells = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield Row(number, {"line": line.rstrip("\n")}, [f"it is not JSON ({error})"])
                continue
            if isinstance(cells, dict):
                yield Row(number, cells)
            else:
                yield Row(number, {"line": line.rstrip("\n")}, ["it is not a JSON object"])


def _parquet_rows(path: Path) -> Iterator[Row]:
    if find_spec("pyarrow") is None:
        raise RatingsError(f"{path} needs pyarrow; install it, or import CSV or JSONL")
    try:
        table = pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError) as error:  # pyarrow's own errors are both
        raise RatingsError(f"{path} is no Parquet file ({error}); export it anew") from error
    for number, cells in enumerate(table.to_dict("records"), start=1):
        yield Row(number, {str(name): value for name, value in cells.items()})


def write_refused(path: Path, rows: Collection[Row]) -> Path | None:
    """`<path>.refused.csv` with these rows as they were read, and why; None when there are none.

    An earlier file of that name is replaced, or removed when nothing is refused any more. Mended,
    it can be imported in the place of `path`.

    Raises:
        RatingsError: when it cannot be written.
    """
    refused = path.with_name(f"{path.name}.refused.csv")
    if not rows:
        refused.unlink(missing_ok=True)
        return None
    table = pd.DataFrame(
        [
            {REFUSED_ROW: row.number, REFUSED_BECAUSE: "; ".join(row.reasons)} | _flat(row.cells)
            for row in rows
        ]
    )
    with exported_file(refused) as temporary:
        write_csv(temporary, table)
    return refused


def _flat(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Cells as CSV has them: lists and mappings as JSON, and nothing that is not text in UTF-8."""
    flat: dict[str, Any] = {}
    for name, value in cells.items():
        plain = value.tolist() if hasattr(value, "tolist") else value
        if isinstance(plain, list | dict):
            plain = json.dumps(plain)
        elif isinstance(plain, str):
            plain = plain.encode("utf-8", "backslashreplace").decode()
        if name not in (REFUSED_ROW, REFUSED_BECAUSE):
            flat[name] = plain
    return flat
