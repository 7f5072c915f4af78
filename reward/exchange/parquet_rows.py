"""Rows of a Parquet table, read in pieces that fit into memory.

A small file can hold millions of equal rows, or one long text thousands of times. So its metadata
is checked before anything is unpacked, texts stay in their dictionary until the row that has them
is made, and a row whose cells are too large is refused without being made. A cell that Python
cannot hold (a year 30000, text that is no UTF-8) is refused by itself.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from music.limits import LINE_CHARACTERS, LimitError, TableLimits
from reward.exchange.parquet_trial import BATCH_ROWS, REFUSED, damaged, open_parquet
from reward.exchange.table_row import Row
from reward.store.database import RatingsError
from reward.store.process_environment import process_environment

if TYPE_CHECKING:
    import pyarrow as pa

TRIAL, TRIAL_TIMEOUT_S = "reward.exchange.parquet_trial", 300.0
PIECE_BYTES = 2**23
"""of what is made into Python objects at once"""
VALUE_BYTES = 16
"""of a value that is no text, about"""


def parquet_columns(path: Path, limits: TableLimits) -> list[str]:
    """Names of the columns, after the size was checked.

    Raises:
        RatingsError: for a file that is damaged, or has more in it than the limits.
    """
    import pyarrow as pa

    try:
        with open_parquet(path, limits) as file:
            return file.schema_arrow.names
    except LimitError as error:
        raise RatingsError(str(error)) from error
    except (OSError, ValueError, pa.ArrowException) as error:
        raise RatingsError(damaged(path, error)) from error


def parquet_rows(path: Path, limits: TableLimits) -> Iterator[Row]:
    """All rows, numbered from 1.

    Raises:
        RatingsError: as `parquet_columns`.
    """
    import pyarrow as pa

    number = 0
    try:
        with open_parquet(path, limits) as file:
            for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
                sizes = sum(map(_sizes, batch.columns), np.zeros(len(batch), np.int64))
                for start, end in _pieces(sizes):
                    if sizes[start] > LINE_CHARACTERS:
                        reason = f"it has {sizes[start]} bytes; a row has at most {LINE_CHARACTERS}"
                        yield Row(number + start + 1, {}, [reason])
                        continue
                    piece = batch.slice(start, end - start)
                    for place, row in enumerate(_rows(piece), start=number + start + 1):
                        row.number = place
                        yield row
                number += len(batch)
    except LimitError as error:
        raise RatingsError(str(error)) from error
    except (OSError, ValueError, pa.ArrowException) as error:
        raise RatingsError(damaged(path, error)) from error


def check_parquet(path: Path, limits: TableLimits) -> None:
    """Have a file read by a process of its own first, which a damaged file may end.

    Raises:
        RatingsError: for a file that is damaged, or has more in it than the limits.
    """
    command = [sys.executable, "-m", TRIAL, str(path), str(limits.size_mib), str(limits.rows)]
    try:
        done = subprocess.run(
            command,
            env=process_environment() | {"PYTHONIOENCODING": "utf-8:backslashreplace"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TRIAL_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise RatingsError(damaged(path, error)) from error
    if done.returncode == REFUSED:
        raise RatingsError(done.stdout.strip())
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it ended its reader"])[-1]
        raise RatingsError(damaged(path, ValueError(said)))


def _sizes(column: pa.Array) -> np.ndarray:
    """Bytes of each cell when it is made into Python objects, about; int64 (rows,)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        of_text = np.append(_sizes(column.dictionary), 0)  # the last one for what is missing
        places = column.indices.fill_null(len(column.dictionary)).to_numpy(zero_copy_only=False)
        return of_text[places.astype(np.int64)]
    if any(of_kind(kind) for of_kind in _texts()):
        lengths = (
            pc.call_function("binary_length", [column]).fill_null(0).to_numpy(zero_copy_only=False)
        )
        return lengths.astype(np.int64) + VALUE_BYTES
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        inside = np.concatenate([[0], np.cumsum(_sizes(_values(column)))])
        offsets = column.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
        offsets = offsets - offsets[0]
        return inside[offsets[1:]] - inside[offsets[:-1]] + VALUE_BYTES
    if pa.types.is_fixed_size_list(kind):
        each = _sizes(column.flatten())
        many = np.full(len(column), kind.list_size * VALUE_BYTES, np.int64)
        return many + (each.max() if len(each) else 0) * kind.list_size
    if pa.types.is_struct(kind):
        fields = (_sizes(column.field(place)) for place in range(kind.num_fields))
        return sum(fields, np.full(len(column), VALUE_BYTES, np.int64))
    return np.full(len(column), VALUE_BYTES, np.int64)


def _texts() -> tuple[Callable[[pa.DataType], bool], ...]:
    """Tells of each kind of text and bytes whether a type is of it."""
    from pyarrow import types

    return (
        *(types.is_string, types.is_large_string, types.is_string_view),
        *(types.is_binary, types.is_large_binary, types.is_binary_view),
    )


def _values(column: pa.Array) -> pa.Array:
    """What stands in the lists of a column, from its first offset to its last."""
    import pyarrow as pa

    first, last = column.offsets[0].as_py(), column.offsets[-1].as_py()
    if not pa.types.is_map(column.type):
        return column.values.slice(first, last - first)
    keys = column.keys.slice(first, last - first)
    return pa.StructArray.from_arrays([keys, column.items.slice(first, last - first)], ["k", "v"])


def _pieces(sizes: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of rows that are made at once; a row that is too large is a range of its own."""
    start = held = 0
    for place, size in enumerate(sizes.tolist()):
        if place > start and held + size > PIECE_BYTES:
            yield start, place
            start, held = place, 0
        held += size
    if len(sizes):
        yield start, len(sizes)


def _rows(piece: pa.RecordBatch) -> list[Row]:
    """The rows of a piece, still without their numbers."""
    rows = [Row(0, {}) for _ in range(len(piece))]
    for name, column in zip(piece.schema.names, piece.columns, strict=True):
        for row, value in zip(rows, _cells(name, column, rows), strict=True):
            row.cells[name] = value  # type: ignore[index]
    return rows


def _cells(name: str, column: pa.Array, rows: list[Row]) -> list[Any]:
    """A column as Python objects; a cell that Python cannot hold is refused."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    trouble = (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError, pa.ArrowException)
    try:
        return column.to_pylist()
    except trouble:
        pass
    cells: list[Any] = []
    for row, value in zip(rows, column, strict=True):
        try:
            cells.append(value.as_py())
        except trouble as error:
            cells.append(None)
            row.refuse(f"{name[:40]} cannot be read ({' '.join(str(error).split())[:80]})")
    return cells
