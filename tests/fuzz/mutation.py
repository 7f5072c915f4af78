"""Inputs made of valid examples by small changes, so that they get past a reader's first check.

Text is changed by its pieces (numbers, words, quoted text, single signs), JSON also by its values,
and anything by its bytes. All choices come from a `random.Random`, so that a number names an input,
and hypothesis, which brings a Random of its own, can make a failing input smaller.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from tests.fuzz.target import Target

MOST_CHANGES = 4
MOST_BYTES = 400_000
"""what repeats may blow an input up to"""
NUMBERS: Sequence[bytes] = (
    *(b"0", b"-0.0", b"-1", b"1", b"2", b"0.5", b"1e308", b"-1e308", b"1e-320", b"1e999"),
    *(b"NaN", b"nan", b"Infinity", b"-Infinity", b"inf", b"1" + b"0" * 400, b"9" * 5000),
    *(b"2147483648", b"-2147483649", b"9223372036854775808", b"18446744073709551616"),
    *(b"3.0", b"0,25", b"1_000", b"0x10", b"1e5", b"007", "²".encode(), "٣".encode()),
)  # fmt: skip
TEXTS: Sequence[bytes] = (
    *(b"", b" ", b"\x00", b"\x1b[31m", b"\r", b"\n", b"\r\n", b"\n\n", b"\t", b"\x85", b"\x0c"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"\xff", b"\xc3"),
    *("\u202e".encode(), "e\u0301".encode(), "\u2028".encode(), "😀".encode(), "é".encode()),
    *(b"'", b'"', b'""', b"\\", b"`", b"=1+1", b"%", b"%41", b"{}", b"[]", b"null", b"true"),
    *(b"../../etc/passwd", b"~nobody-here/x", b"<script>alert(1)</script>", b"[red]", b"a" * 3000),
)  # fmt: skip
VALUES: Sequence[Any] = (
    *(None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1e308, -1e308, 5e-324, 10**400, -(2**63), 2**64),
    *(float("nan"), float("inf"), float("-inf"), "", "0", "1e999", "nan", "\x00", "\ud800", "a"),
    *("\x1b[31m", "\u202e", "a" * 3000, [], {}, [[]], [None], {"": None}, [0] * 2000, ["x"], 3.0),
)  # fmt: skip
DEEP = "a value that is put in later, because it is nested too deep for json.dumps"
NESTED: Sequence[bytes] = (
    *(b"[" * 100_000, b"[" * 5000 + b"]" * 5000, b'{"a":' * 5000 + b"0" + b"}" * 5000),
    *(b"[" * 500 + b"]" * 500, b'{"a":' * 300 + b"{}" + b"}" * 300),
)  # fmt: skip
PIECE = re.compile(
    rb'"(?:[^"\\]|\\.)*"|[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[A-Za-z_]+|\s+|.', re.DOTALL
)
NUMBER = re.compile(rb"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def made(target: Target, random: Random) -> bytes:
    """One input for a target."""
    if target.build is not None and random.random() < 0.5:
        return target.build(random)
    return mutated(random, target.seeds(), target.words)


def mutated(random: Random, seeds: Sequence[bytes], words: Sequence[bytes] = ()) -> bytes:
    """A seed with a few changes; now and then a seed as it is, or bytes by chance."""
    kind = random.randrange(40)
    if kind == 0:
        return random.choice(seeds)
    if kind == 1:
        return bytes(random.randrange(256) for _ in range(random.randrange(40)))
    data = random.choice(seeds)
    for _ in range(random.randint(1, MOST_CHANGES)):
        change = random.choice(CHANGES)
        data = change(random, data, seeds, words)[:MOST_BYTES]
    return data


def mutated_json(random: Random, value: Any) -> Any:
    """A JSON value with one value or key changed, removed, doubled or nested."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = random.choice(list(value))
        fate = random.random()
        if fate < 0.08:
            return {name: kept for name, kept in value.items() if name != key}
        if fate < 0.12:
            return {(f"{key}x" if name == key else name): kept for name, kept in value.items()}
        return {**value, key: mutated_json(random, value[key])}
    if isinstance(value, list) and value and random.random() < 0.9:
        at = random.randrange(len(value))
        fate = random.random()
        if fate < 0.08:
            return value[:at] + value[at + 1 :]
        if fate < 0.16:
            return value[: at + 1] + value[at:]
        return [*value[:at], mutated_json(random, value[at]), *value[at + 1 :]]
    fate = random.random()
    if fate < 0.04:
        return DEEP
    if fate < 0.12:
        return [value]
    if fate < 0.16:
        return {"a": value}
    if fate < 0.22:
        return str(value)
    return random.choice(VALUES)


def json_bytes(random: Random, value: Any) -> bytes:
    """JSON text of a value, with what is nested deep put in."""
    text = json.dumps(value).encode()
    return text.replace(json.dumps(DEEP).encode(), random.choice(NESTED))


# --- Changes: each takes the data and gives other data


Change = Callable[[Random, bytes, Sequence[bytes], Sequence[bytes]], bytes]


def _spot(random: Random, data: bytes) -> int:
    return random.randrange(len(data) + 1)


def _piece(random: Random, data: bytes) -> tuple[int, int]:
    """Where a piece begins and ends."""
    found = PIECE.match(data, random.randrange(len(data))) if data else None
    return (0, 0) if found is None else found.span()


def _number(random: Random, data: bytes) -> tuple[int, int]:
    found = NUMBER.search(data, _spot(random, data)) or NUMBER.search(data)
    return _piece(random, data) if found is None else found.span()


def edge_number(
    random: Random, data: bytes, seeds: Sequence[bytes], words: Sequence[bytes]
) -> bytes:
    """A number becomes one at the edge of what a number can be."""
    start, end = _number(random, data)
    return data[:start] + random.choice(NUMBERS) + data[end:]


def odd_text(random: Random, data: bytes, seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """A piece becomes odd text, or odd text is put before it."""
    start, end = _piece(random, data)
    end = random.choice((start, end))
    return data[:start] + random.choice(TEXTS) + data[end:]


def word(random: Random, data: bytes, seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """A piece becomes one that means something to the reader, or that is put before it."""
    start, end = _piece(random, data)
    end = random.choice((start, end))
    return data[:start] + random.choice(words or TEXTS) + data[end:]


def spliced(random: Random, data: bytes, seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """A part becomes a part of another seed."""
    other = random.choice(seeds)
    start, end = sorted((_spot(random, other), _spot(random, other)))
    at, until = sorted((_spot(random, data), _spot(random, data)))
    return data[:at] + other[start:end] + data[until:]


def repeated(random: Random, data: bytes, seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """A piece, or a part, stands several times; now and then a great many."""
    start, end = _piece(random, data)
    if random.random() < 0.3:
        start, end = sorted((_spot(random, data), _spot(random, data)))
    times = random.choice((2, 2, 3, 10, 40, 200))
    if random.random() < 0.03:
        times = 100_000
    part = data[start:end]
    times = min(times, MOST_BYTES // max(1, len(part)))
    return data[:start] + part * times + data[end:]


def without(random: Random, data: bytes, seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """A piece, a line, or all from somewhere on is gone."""
    start, end = _piece(random, data)
    if random.random() < 0.2:
        end = len(data)
    elif random.random() < 0.3:
        start = data.rfind(b"\n", 0, start) + 1
        end = data.find(b"\n", end) + 1 or len(data)
    return data[:start] + data[end:]


def swapped(random: Random, data: bytes, seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """Two pieces change places."""
    (a, a_end), (b, b_end) = sorted((_piece(random, data), _piece(random, data)))
    if a_end > b:
        return data
    return data[:a] + data[b:b_end] + data[a_end:b] + data[a:a_end] + data[b_end:]


def nested(random: Random, data: bytes, seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """A piece becomes deep brackets; seldom, because it makes most readers give up at once."""
    if random.random() < 0.7:
        return odd_text(random, data, seeds, words)
    start, end = _piece(random, data)
    return data[:start] + random.choice(NESTED) + data[end:]


def other_byte(
    random: Random, data: bytes, seeds: Sequence[bytes], words: Sequence[bytes]
) -> bytes:
    """One byte is another."""
    if not data:
        return bytes([random.randrange(256)])
    at = random.randrange(len(data))
    return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]


def other_value(
    random: Random, data: bytes, seeds: Sequence[bytes], words: Sequence[bytes]
) -> bytes:
    """A value inside JSON becomes another; text that is no JSON gets a word."""
    if data[:1] not in (b"{", b"[") or len(data) > 20_000:
        return word(random, data, seeds, words)
    lines = data.splitlines(keepends=True)
    at = random.randrange(len(lines)) if _is_json(lines[0]) else None  # a file of lines, or one
    try:
        value = json.loads(data if at is None else lines[at])
        changed = json_bytes(random, mutated_json(random, value))
    except (ValueError, RecursionError):  # an earlier change has made it no JSON, or too deep
        return word(random, data, seeds, words)
    if at is None:
        return changed
    return b"".join([*lines[:at], changed, b"\n", *lines[at + 1 :]])


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


CHANGES: Sequence[Change] = (
    *(edge_number, odd_text, word, spliced, repeated, without, swapped, nested, other_byte),
    *(other_value, other_value, other_value),
)
