"""JSON that may come from anybody: bounded size, depth and numbers.

Python's own reader takes NaN and Infinity, turns 1e999 into infinity, and reads whole numbers of
thousands of digits, none of which is JSON that others read. Whoever computes with them finds out
late. Here such a text is refused as it is read.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from music.files import write_whole
from music.messages import excerpt, shortened

MAX_BYTES = 16 << 20
MAX_DEPTH = 32
"""brackets that are open at a time; our deepest file has 6"""
MAX_DIGITS = 30
"""of a whole number: more than any seed or count has"""
LARGEST = 1e300
"""largest size of a fraction; squares of numbers below the callers' own limits stay finite"""
_BRACKETS = re.compile(r'"(?:[^"\\]+|\\.?)*+(?:"|\Z)|[\[{]|[\]}]', re.DOTALL)
"""strings, whose brackets do not count, and brackets; a string without an end goes to the end"""


class JsonError(ValueError):
    """A text that is not JSON within the limits; the message says the value and the rule."""


def parse_json(
    text: str | bytes,
    *,
    object_hook: Callable[[dict[str, Any]], Any] | None = None,
    max_depth: int = MAX_DEPTH,
    finite: bool = True,
) -> Any:  # noqa: ANN401 (what JSON can hold)
    """The value of a JSON text.

    Args:
        text: UTF-8, if it is bytes.
        object_hook: as of `json.loads`.
        max_depth: brackets that may be open at a time.
        finite: whether NaN and infinity are refused. Logs of version 0.1.0 may hold them.

    Raises:
        JsonError: for what is not JSON, NaN, infinity, numbers that are too long, and deep nesting.
    """
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        _check_depth(text, max_depth)
        return json.loads(
            text,
            object_hook=object_hook,
            parse_constant=_no_constant if finite else None,
            parse_float=_finite if finite else None,
            parse_int=_whole,
        )
    except JsonError:
        raise
    except RecursionError:  # brackets within the limit cannot do it; this is the last guard
        raise JsonError(f"it is nested more than {max_depth} deep") from None
    except ValueError as error:  # not UTF-8, or not JSON
        raise JsonError(excerpt(str(error), 120)) from error


def read_json(
    path: Path,
    *,
    object_hook: Callable[[dict[str, Any]], Any] | None = None,
    max_bytes: int = MAX_BYTES,
) -> Any:  # noqa: ANN401
    """The value of a JSON file.

    Raises:
        JsonError: as `parse_json`, and for a file of more than `max_bytes`.
        OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        text = file.read(max_bytes + 1)
    if len(text) > max_bytes:
        raise JsonError(f"it has more than {max_bytes} bytes")
    return parse_json(text, object_hook=object_hook)


def write_json(path: Path, value: object) -> None:
    """Write a value as a whole JSON file; numbers that are not finite become null."""
    write_whole(path, json.dumps(_without_nan(value), indent=1, allow_nan=False))


def number(value: object, name: str, *, low: float = -math.inf, high: float = math.inf) -> float:
    """A value of a JSON text that has to be a number from `low` to `high`, as a float.

    Raises:
        JsonError: for text, true, null, or a number outside.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise JsonError(f"{name}={shortened(value)} is not a number")
    if not (low <= value <= high and abs(value) <= sys.float_info.max):  # NaN is not
        raise JsonError(f"{name}={shortened(value)} is not within {low:g} to {high:g}")
    return float(value)


def whole_number(value: object, name: str, *, low: int, high: int) -> int:
    """A value of a JSON text that has to be a whole number from `low` to `high`.

    Raises:
        JsonError: for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise JsonError(f"{name}={shortened(value)} is not a whole number")
    if not low <= value <= high:
        raise JsonError(f"{name}={shortened(value)} is not within {low} to {high}")
    return value


def _without_nan(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _without_nan(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return value


def _check_depth(text: str, max_depth: int) -> None:
    if text.count("[") + text.count("{") <= max_depth:
        return
    depth = 0
    for found in _BRACKETS.finditer(text):
        bracket = found[0]
        if bracket in "[{":
            depth += 1
            if depth > max_depth:
                raise JsonError(f"it is nested more than {max_depth} deep")
        elif bracket in "]}":
            depth -= 1


def _no_constant(name: str) -> float:
    raise JsonError(f"it holds {name}; numbers are finite")


def _finite(text: str) -> float:
    value = float(text)
    if not abs(value) <= LARGEST:
        raise JsonError(f"it holds {excerpt(text)}; numbers are at most {LARGEST:g}")
    return value


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise JsonError(f"it holds a number of {len(text)} digits; {MAX_DIGITS} are the most")
    return int(text)
