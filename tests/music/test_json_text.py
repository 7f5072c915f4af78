"""JSON of unknown origin: finite, of bounded depth and size, or refused in one line."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music.json_text import (
    MAX_DEPTH,
    JsonError,
    number,
    parse_json,
    read_json,
    whole_number,
    write_json,
)
from music.messages import excerpt, shortened


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("NaN", "holds NaN"),
        ('{"a": [1, -Infinity]}', "holds -Infinity"),
        ("1e999", "holds 1e999"),
        ("[1e308]", "holds 1e308"),
        ("-1e308", "holds -1e308"),
        ("1" * 31, "a number of 31 digits"),
        ("9" * 100_000, "a number of 100000 digits"),
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        (b"\xff\xfe", "decode"),
        ("1 2", "Extra data"),
    ],
    ids=range(11),
)
def test_what_is_no_plain_json_is_refused(text, says):
    with pytest.raises(JsonError, match=says) as told:
        parse_json(text)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 200


@pytest.mark.parametrize(
    "deep",
    ["[" * 10_000, "[" * 10_000 + "]" * 10_000, '{"a":' * 10_000],
    ids=["open", "closed", "objects"],
)
def test_deep_nesting_is_refused(deep):
    with pytest.raises(JsonError, match=f"nested more than {MAX_DEPTH} deep"):
        parse_json(deep)


def test_only_open_brackets_count():
    wide = json.dumps([[] for _ in range(1000)] + [{}] * 1000)
    assert len(parse_json(wide)) == 2000
    in_text = json.dumps(["[" * 1000, '"' + "{" * 1000, "\\[" * 1000, "]" * 1000])
    assert parse_json(in_text) == json.loads(in_text)
    full = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert parse_json(full) == json.loads(full)
    with pytest.raises(JsonError, match="Unterminated"):
        parse_json('["' + "[" * 1000)


def test_quotes_and_backslashes_take_no_longer_than_their_number():
    """Each is read once: a text of these would take hours if each began a search to the end."""
    for text in ('"' + '\\"' * 1_000_000 + "[" * 40, '"' * 1_000_001 + "[" * 40):
        with pytest.raises(JsonError):
            parse_json(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text()
    | st.floats(-1e300, 1e300, allow_nan=False),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(), inside, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(values)
def test_what_python_writes_is_read_as_it_was(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value).encode()) == value


@given(st.text() | st.text(alphabet='[]{}",:\\1eE+-.NaInfinty '))
def test_any_text_is_read_as_python_does_or_refused(text):
    try:
        value = parse_json(text)
    except JsonError:
        return
    assert value == json.loads(text)


def test_a_file_has_a_limit_of_bytes(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps("x" * 1000))
    with pytest.raises(JsonError, match="more than 999 bytes"):
        read_json(tmp_path / "a.json", max_bytes=999)
    assert read_json(tmp_path / "a.json") == "x" * 1000
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "b.json")


def test_what_is_not_finite_is_written_as_null(tmp_path):
    write_json(tmp_path / "a.json", {"a": [1.5, math.nan, (math.inf, "x")], "b": {"c": -math.inf}})
    assert read_json(tmp_path / "a.json") == {"a": [1.5, None, [None, "x"]], "b": {"c": None}}


def test_numbers_are_numbers():
    assert number(3, "a") == 3.0
    assert whole_number(3, "a", low=0, high=3) == 3
    for value in ("3", True, None, [3], 10**400, math.nan, 4):
        with pytest.raises(JsonError, match=r"^a="):
            number(value, "a", low=0.0, high=3.5)
        with pytest.raises(JsonError, match=r"^a="):
            whole_number(value, "a", low=0, high=3)
    with pytest.raises(JsonError, match=r"a=2\.0 is not a whole number"):
        whole_number(2.0, "a", low=0, high=3)


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, [[1] * 10**6], 10**10**5, "a\nb" * 50, {1: 2}],
    ids=["long text", "a list", "a huge number", "lines", "a dict"],
)
def test_a_value_in_a_message_is_one_short_line(value):
    assert len(shortened(value)) <= 40
    assert "\n" not in shortened(value)
    assert len(excerpt(str(value)[:10_000] if not isinstance(value, int) else "7")) <= 40
