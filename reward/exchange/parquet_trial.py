"""Opening a Parquet table within limits, and reading it on trial in a process of its own.

    python -m reward.exchange.parquet_trial PATH MIB ROWS

A damaged file can end the process that reads it, because not every error of Arrow's C++ reaches
Python. So a file is read here first, without making rows. The exit code is 0 for a file that can
be read, and `REFUSED` for one that cannot, with the reason on stdout. This module imports little,
so that the process starts fast.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from music.limits import (
    COLUMNS,
    ROW_GROUPS,
    SMALL_TABLE_ROWS,
    VALUES_PER_ROW,
    LimitError,
    TableLimits,
    size_in_words,
)

if TYPE_CHECKING:
    import pyarrow.parquet as pq

BATCH_ROWS = 1000
REFUSED = 3


def open_parquet(path: Path, limits: TableLimits) -> pq.ParquetFile:
    """A table that is within the limits, with all its texts left in dictionaries.

    Raises:
        LimitError: for a table with more in it than the limits.
        OSError, ValueError, pyarrow.ArrowException: for a file that is damaged.
    """
    from pyarrow import parquet as pq

    options = {"pre_buffer": False, "buffer_size": 2**16, "arrow_extensions_enabled": False}
    with pq.ParquetFile(path, **options) as file:
        metadata = file.metadata
        _check_metadata(path, metadata, limits)
        texts = [
            column
            for column in range(metadata.num_columns)
            if file.schema.column(column).physical_type == "BYTE_ARRAY"
        ]
    return pq.ParquetFile(path, metadata=metadata, read_dictionary=texts, **options)


def damaged(path: Path, error: BaseException) -> str:
    """What to say of a file that cannot be read."""
    reason = " ".join(str(error).split())[:200]
    return f"{path} is no Parquet file ({reason}); export it anew"


def _check_metadata(path: Path, metadata: pq.FileMetaData, limits: TableLimits) -> None:
    """Refuse a table by what its metadata says, before anything is unpacked."""
    if metadata.num_rows > limits.rows:
        raise LimitError(
            f"{path} has {metadata.num_rows} rows, and {limits.rows} is the most; import it in "
            f"parts, or raise the limit (--max-rows {metadata.num_rows})"
        )
    if metadata.num_columns > COLUMNS or metadata.num_row_groups > ROW_GROUPS:
        raise LimitError(
            f"{path} has {metadata.num_columns} columns in {metadata.num_row_groups} row groups, "
            f"and {COLUMNS} in {ROW_GROUPS} are the most; export it anew"
        )
    size_bytes = values = 0
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            column = metadata.row_group(group).column(place)
            size_bytes += column.total_uncompressed_size
            values += column.num_values
    if size_bytes > limits.size_bytes:
        raise LimitError(
            f"{path} unpacks to {size_in_words(size_bytes)}, and {limits.size_mib} MiB is the "
            f"most; import it in parts, or raise the limit (--max-mib {-(-size_bytes // 2**20)})"
        )
    if values > (metadata.num_rows + SMALL_TABLE_ROWS) * VALUES_PER_ROW:
        raise LimitError(
            f"{path} has {values} values in {metadata.num_rows} rows, and no table of an export "
            f"has more than {VALUES_PER_ROW} in a row; export it anew"
        )


def main(path: Path, limits: TableLimits) -> int:
    """Read a table, and print why it is refused; the exit code."""
    import pyarrow as pa

    try:
        with open_parquet(path, limits) as file:
            for _ in file.iter_batches(BATCH_ROWS, use_threads=False):
                pass
    except LimitError as error:
        print(error)  # noqa: T201  to the process that asked
        return REFUSED
    except (OSError, ValueError, pa.ArrowException) as error:
        print(damaged(path, error))  # noqa: T201
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), TableLimits(size_mib=int(sys.argv[2]), rows=int(sys.argv[3]))))
