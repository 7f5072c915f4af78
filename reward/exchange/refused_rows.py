"""Writing the rows of a table that were refused, each with its reasons, to be mended.

The rows are read anew from their file, so that an import does not keep them in memory.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator
from pathlib import Path

from music.limits import COLUMNS
from reward.exchange.export import FORMULA, exported_file
from reward.exchange.table_files import TableFile
from reward.exchange.table_row import Row, is_missing
from reward.store.database import RatingsError

REFUSED_ROW, REFUSED_BECAUSE = "refused_row", "refused_because"


def refused_file(path: Path) -> Path:
    """Where the refused rows of a table file are written."""
    return path.with_name(f"{path.name}.refused.csv")


def write_refused(table: TableFile, refused: Collection[Row]) -> Path | None:
    """`<path>.refused.csv` with these rows as they were read, and why; None when there are none.

    An earlier file of that name is replaced, or removed when nothing is refused any more. Mended,
    it can be imported in the place of `path`.

    Raises:
        RatingsError: when it cannot be written.
    """
    file = refused_file(table.path)
    if not refused:
        if file.exists():  # or a read-only folder would refuse
            file.unlink(missing_ok=True)
        return None
    names: dict[str, None] = {}
    for row in _read_again(table, refused):
        if len(names) < COLUMNS:
            names.update(dict.fromkeys(row.cells))
    names.pop(REFUSED_ROW, None)
    names.pop(REFUSED_BECAUSE, None)
    try:
        _write(file, table, refused, names)
    except RatingsError as error:
        raise RatingsError(
            f"{error}: {len(refused)} rows of {table.path.name} are refused, so nothing was "
            "imported; copy the export to a folder that you can write to, and import that"
        ) from error
    return file


def _write(file: Path, table: TableFile, refused: Collection[Row], names: Collection[str]) -> None:
    because = {row.number: "; ".join(row.reasons) for row in refused}
    with exported_file(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(map(_plain, [REFUSED_ROW, REFUSED_BECAUSE, *names]))
        for row in _read_again(table, refused):
            cells = (row.cells.get(name) for name in names)
            writer.writerow(map(_plain, [row.number, because[row.number], *cells]))


def _read_again(table: TableFile, refused: Collection[Row]) -> Iterator[Row]:
    numbers = {row.number for row in refused}
    return (row for row in table.rows() if row.number in numbers)


def _plain(value: object) -> object:
    """A cell as CSV has it: lists and mappings as JSON, no formula, nothing that is not UTF-8."""
    if isinstance(value, list | tuple | dict):
        value = json.dumps(value, default=str, ensure_ascii=False)
    elif isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    elif is_missing(value):
        return ""
    if isinstance(value, str):
        value = value.encode("utf-8", "backslashreplace").decode()
        return f"'{value}" if FORMULA.match(value) else value
    return value
