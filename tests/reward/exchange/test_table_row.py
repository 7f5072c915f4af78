"""A row is asked for its cells: whatever they hold, it answers, and refuses what is wrong."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.limits import CELL_CHARACTERS, JSON_DEPTH
from reward.exchange.table_row import EARLIEST, LATEST, Row, is_deep, shown


def deep(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.decimals()
    | st.datetimes()
    | st.datetimes(timezones=st.just(UTC))
    | st.uuids()
    | st.sampled_from([10**400, -(10**4000), "9" * 5000, "1e400", "\ud800", "a\0b", "٣", "1_0"])
)
ANYTHING = st.recursive(
    SCALARS, lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside), max_leaves=8
)


def ask_everything(value):
    """Ask a row for a cell in every way; nothing is raised, and every answer keeps its rule."""
    asked = {
        "text": lambda row: row.text("a", 0, 40),
        "whole": lambda row: row.whole("a", low=1, high=9),
        "fraction": lambda row: row.fraction("a"),
        "truth": lambda row: row.truth("a"),
        "uuid": lambda row: row.uuid("a"),
        "moment": lambda row: row.moment("a"),
        "list": lambda row: row.nested("a", list),
        "dict": lambda row: row.nested("a", dict),
    }
    got = {}
    for name, ask in asked.items():
        row = Row(1, {"a": value})
        row.check_cells()
        got[name] = ask(row)
        for reason in row.reasons:
            assert len(reason) <= 310
            reason.encode("utf-8", "backslashreplace")
        if not row.reasons and name == "text":
            assert "\0" not in got[name]
            got[name].encode()
            assert len(got[name]) <= 40
    assert got["whole"] in range(1, 10)
    assert type(got["whole"]) is int
    assert got["fraction"] is None or math.isfinite(got["fraction"])
    assert isinstance(got["truth"], bool)
    assert got["uuid"] is None or isinstance(got["uuid"], UUID)
    assert EARLIEST <= got["moment"] < LATEST
    assert isinstance(got["list"], list)
    assert isinstance(got["dict"], dict)
    assert not is_deep(got["list"])


@settings(deadline=None)
@given(ANYTHING)
def test_every_question_is_answered_whatever_is_in_the_cell(value):
    ask_everything(value)


@pytest.mark.parametrize(
    "value",
    [deep(2000), {"a": deep(900)}, str(deep(200)), "[" * 100_000, 10**5000, [10**5000] * 3],
    ids=["deep", "deep dict", "deep text", "open", "huge", "huge list"],
)
def test_questions_about_explosive_cells(value):
    ask_everything(value)


@pytest.mark.parametrize(
    ("ask", "value", "reason"),
    [
        ("whole", 10**400, "a=100"),
        ("whole", "9" * 5000, "is not a whole number"),
        ("whole", True, "a=True is not a whole number"),
        ("whole", 2.5, "a=2.5"),
        ("whole", Decimal("2.5"), "a=Decimal('2.5')"),
        ("whole", [1], "a=[1]"),
        ("whole", {"a": 1}, "is not a whole number"),
        ("fraction", True, "is not a finite number"),
        ("fraction", 10**400, "is not a finite number"),
        ("fraction", [0.5], "a=[0.5] is not a finite number"),
        ("text", ["Anna"], "a=['Anna'] is not text"),
        ("text", {"name": "Anna"}, "is not text"),
        ("text", True, "a=True is not text"),
        ("text", "\ud800", "half a character"),
        ("text", "a\0", "NUL"),
        ("text", "x" * 2001, "length 2001"),
        ("truth", [True], "neither True nor False"),
        ("uuid", 7, "is not the id of a comparison"),
        ("moment", "1969-12-31T23:59:59+00:00", "in the years 1970 to 2199"),
        ("moment", "9999-12-31T23:59:59-14:00", "in the years 1970 to 2199"),
        ("moment", datetime(2026, 1, 1), "is not a moment"),
        ("moment", 5, "is not a moment"),
        ("list", str(deep(JSON_DEPTH + 2)), "is not a list in JSON"),
        ("dict", "[" * 100_000, "is not a dict in JSON"),
    ],
    ids=count(),
)
def test_what_is_wrong_is_told(ask, value, reason):
    row = Row(1, {"a": value})
    if ask in ("list", "dict"):
        row.nested("a", {"list": list, "dict": dict}[ask])
    else:
        getattr(row, ask)("a")
    (told,) = row.reasons
    assert reason in told


def test_what_is_right_is_kept():
    row = Row(1, {"seed": 2**63 - 1, "at": datetime(2026, 1, 1, tzinfo=UTC), "name": 7, "n": "3.0"})
    assert row.whole("seed", high=2**63 - 1) == 2**63 - 1
    assert row.moment("at") == datetime(2026, 1, 1, tzinfo=UTC)
    assert row.text("name") == "7"
    assert row.whole("n") == 3
    assert row.whole("none", default=4) == 4
    assert row.nested("tokens", list) == []
    assert row.reasons == []


def test_cells_that_are_too_long_or_too_deep_keep_their_beginning():
    row = Row(1, {"a": "x" * (CELL_CHARACTERS + 1), "b": deep(JSON_DEPTH + 2), "c": deep(3)})
    row.check_cells()
    assert len(row.reasons) == 2
    assert row.cells == {"a": "x" * 200, "b": None, "c": deep(3)}


def test_depth_is_counted_without_recursion():
    assert not is_deep(deep(JSON_DEPTH))
    assert is_deep(deep(100_000))
    assert is_deep({"a": deep(JSON_DEPTH + 1)})
    assert not is_deep("[" * 1000)


@pytest.mark.parametrize(
    "value",
    [deep(2000), 10**5000, "x" * 10**6, list(range(10**6)), {1: 2}],
    ids=["deep", "huge", "text", "list", "dict"],
)
def test_values_in_messages_are_short(value):
    assert len(shown(value)) <= 60
