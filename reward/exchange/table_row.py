"""One row of a table, asked for its cells by name and kind.

What a cell has wrong is noted in the row, so that a reader sees all that is wrong with it at once
and the rows beside it are not lost. Nothing that a cell may hold raises an error here.

Numbers may be written as spreadsheets leave them (`3.0`, `0,25`), truth as `True`, `true` or `1`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from math import isfinite, isnan
from numbers import Number
from typing import Any
from uuid import UUID

from music.limits import CELL_CHARACTERS, JSON_DEPTH
from reward.store.database import RatingsError, check_text

MAX_WHOLE = 2**31 - 1
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""moments that both databases and pandas hold"""
TRUTH = {"true": True, "1": True, "false": False, "0": False}
NO_CELLS: Mapping[str, Any] = {}
REASON_CHARACTERS = 300
KEPT_CHARACTERS = 200
"""of a cell that is too long"""


@dataclass(slots=True)
class Row:
    """One row: its number as an editor shows it, its cells by column, and what is wrong with it."""

    number: int
    cells: Mapping[str, Any]
    reasons: list[str] = field(default_factory=list)

    def refuse(self, reason: str) -> None:
        """Note that something is wrong with it."""
        short = reason if len(reason) <= REASON_CHARACTERS else f"{reason[:REASON_CHARACTERS]}..."
        self.reasons.append(short)

    def missing(self, name: str) -> bool:
        """Whether there is nothing in that cell."""
        return is_missing(self.cells.get(name))

    def text(self, name: str, least: int = 0, most: int = 2000) -> str:
        """Text of a limited length; '' where there is none. A number is text as it is printed."""
        value = "" if self.missing(name) else _text(self.cells[name])
        if value is None:
            self.refuse(f"{name}={shown(self.cells[name])} is not text")
            return ""
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
        number: float | int | None
        try:
            # By int first: a float cannot hold the larger seeds.
            number = int(value) if isinstance(value, str | int) else _number(value)
        except ValueError:
            number = _number(value)
        if number is not None and not isinstance(value, bool):
            whole = int(number)
            if whole == number and low <= whole <= high:
                return whole
        self.refuse(f"{name}={shown(value)} is not a whole number within {low}..{high}")
        return low

    def fraction(self, name: str) -> float | None:
        """A finite number, or None where there is none."""
        if self.missing(name):
            return None
        value = self.cells[name]
        # Where cells are separated by semicolons, a spreadsheet writes a decimal comma.
        number = _number(value.replace(",", ".") if isinstance(value, str) else value)
        if number is None:
            self.refuse(f"{name}={shown(value)} is not a finite number")
        return number

    def truth(self, name: str) -> bool:
        """True or False."""
        value = self.cells.get(name)
        text = str(value) if isinstance(value, bool) else _text(value)
        said = None if text is None else TRUTH.get(text.lower())
        if said is None:
            self.refuse(f"{name}={shown(value)} is neither True nor False")
        return bool(said)

    def uuid(self, name: str) -> UUID | None:
        """The id of a comparison; None where it is wrong."""
        value = self.cells.get(name)
        with suppress(ValueError):
            if isinstance(value, str | UUID):
                return UUID(str(value))
        self.refuse(f"{name}={shown(value)} is not the id of a comparison")
        return None

    def moment(self, name: str) -> datetime:
        """A moment with its time zone, in UTC; the epoch where it is wrong."""
        value = self.cells.get(name)
        try:
            moment = datetime.fromisoformat(str(value) if isinstance(value, datetime) else value)  # type: ignore[arg-type]
            if moment.tzinfo is not None and EARLIEST <= moment < LATEST:
                return moment.astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            pass
        self.refuse(
            f"{name}={shown(value)} is not a moment such as 2026-11-22T12:00:00+00:00, in the "
            f"years {EARLIEST.year} to {LATEST.year - 1}"
        )
        return datetime.fromtimestamp(0, UTC)

    def nested(self, name: str, kind: type[list] | type[dict]) -> Any:  # noqa: ANN401  JSON
        """A list or a mapping, as it is or as JSON; an empty one where there is none."""
        value = read = self.cells.get(name)
        if isinstance(value, str) and value:
            try:
                read = json.loads(value)
            except (ValueError, RecursionError):
                read = None
        if isinstance(read, kind) and not is_deep(read):
            return read
        if not self.missing(name):
            self.refuse(f"{name}={shown(value)} is not a {kind.__name__} in JSON")
        return kind()

    def check_cells(self) -> None:
        """Refuse cells that are too long or too deep, and keep only the beginning of them."""
        shortened: dict[str, Any] = {}
        for name, value in self.cells.items():
            if isinstance(value, str | bytes) and len(value) > CELL_CHARACTERS:
                self.refuse(
                    f"{name[:40]} has {len(value)} characters; a cell has at most {CELL_CHARACTERS}"
                )
                shortened[name] = value[:KEPT_CHARACTERS]
            elif isinstance(value, list | dict | tuple) and is_deep(value):
                self.refuse(f"{name[:40]} has more than {JSON_DEPTH} lists inside one another")
                shortened[name] = None
        if shortened:
            self.cells = {**self.cells, **shortened}


def is_missing(value: object) -> bool:
    """Whether a cell holds nothing: None, empty text, or NaN, which stands for it in numbers."""
    return value is None or value == "" or (isinstance(value, float) and isnan(value))


def is_deep(value: object) -> bool:
    """Whether lists and mappings stand in one another more than `JSON_DEPTH` deep."""
    level = [value]
    for _ in range(JSON_DEPTH + 1):
        inside: list[object] = []
        for held in level:
            if isinstance(held, list | tuple):
                inside += [one for one in held if isinstance(one, list | tuple | dict)]
            elif isinstance(held, dict):
                inside += [one for one in held.values() if isinstance(one, list | tuple | dict)]
        if not inside:
            return False
        level = inside
    return True


def shown(value: object) -> str:
    """A value in a message, of 60 characters at most."""
    if isinstance(value, dict):
        value = dict(islice(value.items(), 20))
    elif isinstance(value, list | tuple):
        value = value[:20]
    elif isinstance(value, str | bytes):
        value = value[:80]
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an int of more than 4,300 digits; a deep list
        text = f"a long {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _text(value: object) -> str | None:
    """Text, or a number as it is printed; None for anything else, and a number that cannot be."""
    try:
        return str(value) if isinstance(value, str) or _is_number(value) else None
    except ValueError:  # an int of more than 4,300 digits
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, Number) and not isinstance(value, bool)


def _number(value: object) -> float | None:
    """A finite number; None for anything else, and for True and False."""
    if not isinstance(value, str) and not _is_number(value):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
