"""The tables beside a corpus: what was refused of its files, and what was decided to read them.

`NAME.refused.csv` and `NAME.decisions.csv` have a row for each passage, with `REMARK_FIELDS`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from music.corpora.corpus_file import CorpusError
from music.readers.tune import Remark

REFUSED, DECISIONS = ".refused.csv", ".decisions.csv"
"""endings of the names of the tables"""
REMARK_FIELDS = ("file", "tune", "bar", "reason", "detail")
"""columns of a table"""
_FORMULA = re.compile(r"[=+\-@\t\r]")
"""what a spreadsheet takes for the beginning of a formula"""


class RemarkTable:
    """A table that is being written; closed at the end of its `with`.

    Args:
        path: the new file.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\r\n")
        self._rows.writerow(REMARK_FIELDS)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()

    def write(self, remarks: Iterable[Remark]) -> None:
        """Add a row for each of them."""
        self._rows.writerows(map(_cells, remarks))


def _cells(remark: Remark) -> list[str]:
    """A row: no text that a spreadsheet would run, and nothing that is not UTF-8."""
    values = (remark.file, remark.tune, remark.bar, remark.reason, remark.detail)
    texts = [value.encode("utf-8", "backslashreplace").decode() for value in values]
    return [f"'{text}" if _FORMULA.match(text) else text for text in texts]


def read_table(file: Path) -> Iterator[dict[str, str]]:
    """The rows of a table, each with `REMARK_FIELDS`; nothing where there is no file.

    Raises:
        CorpusError: when it is damaged.
    """
    if not file.is_file():
        return
    with file.open(encoding="utf-8", errors="replace", newline="") as table:
        rows = csv.reader(table)
        try:
            if tuple(next(rows, ())) != REMARK_FIELDS:
                raise csv.Error("its columns are others")
            for row in rows:
                yield dict(zip(REMARK_FIELDS, row, strict=True))
        except (csv.Error, ValueError) as error:
            raise CorpusError(
                f"the table {str(file)!r} is damaged ({error}); build the corpus anew"
            ) from error
