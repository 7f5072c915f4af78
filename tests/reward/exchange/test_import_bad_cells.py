"""A bad cell refuses its row, and what refers to it, and nothing else; on both databases."""

import csv
import json
import shutil
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from music.limits import TableLimits
from reward.exchange import import_blind_tests, import_votes
from reward.exchange.export import TABLES, export_ratings
from reward.exchange.import_votes import import_ratings
from reward.store.store import RatingsError, RatingsStore
from reward.store.votes import Answer

COUNTS = {"melodies": 8, "comparisons": 5, "raters": 2, "votes": 8}


@pytest.fixture
def store(ratings_url):
    with RatingsStore(ratings_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def made(tmp_path_factory, random_melodies):
    """The export of eight melodies, four pairs, a blind test of one, two raters, eight votes."""
    folder = tmp_path_factory.mktemp("made")
    with RatingsStore(folder / "ratings.sqlite") as source:
        features = [{"leaps": 0.1 * number} for number in range(8)]
        origin = {"sampler": "t=1", "seed": 1, "features": features[:4]}
        melodies = random_melodies(8)
        ids = source.add_melodies(melodies[:4], policy_id="base", **origin)
        ids += source.add_melodies(melodies[4:], policy_id="tuned", **origin)
        source.add_comparisons([(ids[n], ids[n + 1]) for n in range(3)], round=1)
        source.add_comparisons([(ids[2], ids[7])], round=1)
        source.add_comparisons([(ids[3], ids[4])], round=1, purpose="blind_test", probability=0.5)
        nonce = (str(number) for number in count())
        for name in ("Anna", "Ben"):
            rater = source.add_rater(name)
            for _ in range(4):
                pair = source.issue(rater.id)
                answer = Answer(outcome="left", nonce=next(nonce), reasons=["ending"], comment="c")
                source.vote(pair.assignment_id, answer)
        export_ratings(source, folder / "out", formats=["jsonl"])
    return folder / "out"


@pytest.fixture
def exported(made, tmp_path):
    """A copy of the export, to damage."""
    return Path(shutil.copytree(made, tmp_path / "exported"))


def change(folder, table, cells, row=0):
    """Put cells into a row of a table in JSONL."""
    path = folder / f"{table}.jsonl"
    lines = path.read_text("utf-8").splitlines()
    lines[row] = json.dumps(json.loads(lines[row]) | cells)
    path.write_text("\n".join(lines) + "\n", "utf-8")


def as_parquet(folder, table, **columns):
    """Write a table as Parquet, with these columns in the place of its own."""
    path = folder / f"{table}.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    of_rows = {name: [row[name] for row in rows] for name in rows[0]}
    if "features" in of_rows:
        of_rows["features"] = [json.dumps(some) if some else None for some in of_rows["features"]]
    path.unlink()
    pq.write_table(pa.table(of_rows | columns), path.with_suffix(".parquet"))


def refused(done):
    return {table: [row.number for row in rows] for table, rows in done.refused.items() if rows}


def test_the_export_is_whole(store, exported):
    assert import_ratings(store, exported).added == COUNTS


HUGE = 10**400
DEEP = json.loads("[" * 60 + "]" * 60)
BAD_CELLS = [
    *[("votes", name, value) for name in ("strength", "heard_ms_left", "rater_id", "vote_id")
      for value in (HUGE, -HUGE, [1], {"a": 1}, DEEP, 1e999, True, "9" * 5000)],
    *[("votes", name, value) for name in ("comment", "nonce", "renderer", "outcome", "rater_kind")
      for value in (["x"], {"a": 1}, "a\0b", "\ud800", "x" * 2001, DEEP)],
    *[("votes", "reasons", value) for value in (HUGE, "x", [HUGE], [["x"]], ["\ud800"], ["a\0"],
                                               ["x" * 81], ["x"] * 17, DEEP, "[" * 5000)],
    *[("votes", name, value) for name in ("created_at", "issued_at")
      for value in (HUGE, ["x"], "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "x")],
    *[("votes", "left_is_a", value) for value in (HUGE, [True], None, "x")],
    *[("votes", "comparison_id", value) for value in (HUGE, ["x"], "\ud800", None)],
    *[("raters", name, value) for name in ("nickname", "consent_version", "rater_kind")
      for value in (["x"], "\ud800", "a\0b", "x" * 2001, DEEP, True)],
    *[("comparisons", name, value) for name in ("round", "position", "melody_a")
      for value in (HUGE, 2**31, [1], True, DEEP)],
    *[("comparisons", "probability", value) for value in (HUGE, [0.5], 1e999, True, -0.5)],
    *[("comparisons", name, value) for name in ("strategy", "purpose", "campaign")
      for value in (["x"], "\ud800", "a\0b", "x" * 201, DEEP)],
    *[("melodies", "tokens", value) for value in (HUGE, [HUGE], [[1]], [1.5], "[" * 5000, DEEP,
                                                 [1] * 20_000, [float("nan")])],
    *[("melodies", "features", value) for value in (
        {"leaps": HUGE}, {"leaps": [1]}, {"leaps": 1e999}, {"\ud800": 1}, {"a\0": 1}, {"": 1},
        {"x" * 81: 1}, {str(n): 1 for n in range(1001)}, [1], {"leaps": DEEP})],
    *[("melodies", "seed", value) for value in (HUGE, 2**63, -1, [1])],
    *[("melodies", name, value) for name in ("policy_id", "sampler") for value in ("\ud800", [1])],
]  # fmt: skip


@pytest.mark.slow
def test_every_bad_cell_refuses_its_row_alone(store, made, tmp_path):
    """Each one after another into a fresh copy, and all into one store: nothing else is touched."""
    added = dict.fromkeys(TABLES, 0)
    for number, (table, name, value) in enumerate(BAD_CELLS):
        folder = Path(shutil.copytree(made, tmp_path / str(number)))
        change(folder, table, {name: value}, row=1)
        done = import_ratings(store, folder)
        told = f"{table}.{name}={str(value)[:40]}"
        assert [row.number for row in done.refused[table]] == [2], told
        (row,) = done.refused[table]
        assert 0 < len("; ".join(row.reasons)) < 1000, told
        assert done.added[table] + done.duplicates[table] == COUNTS[table] - 1, told
        with (folder / f"{table}.jsonl.refused.csv").open(encoding="utf-8", newline="") as file:
            (kept,) = csv.DictReader(file)
        assert kept["refused_row"] == "2"
        added = {of: added[of] + done.added[of] for of in TABLES}
        shutil.rmtree(folder)
    assert all(added[table] <= COUNTS[table] for table in TABLES), "nothing was stored twice"
    export_ratings(store, tmp_path / "again", formats=["jsonl"])  # and what came in can come out
    assert import_ratings(store, made).added["votes"] == COUNTS["votes"] - added["votes"]


def test_nested_columns_of_a_parquet_table(store, exported):
    names = pa.array([["Anna"], ["Ben"]])
    as_parquet(exported, "raters", nickname=names)
    done = import_ratings(store, exported)
    assert refused(done) == {"raters": [1, 2], "votes": list(range(1, 9))}
    assert done.refused["raters"][0].reasons == ["nickname=['Anna'] is not text"]
    assert done.added["comparisons"] == COUNTS["comparisons"]


def test_structs_and_other_kinds_in_a_parquet_table(store, exported):
    structs = pa.array([{"a": 1}, None, {"a": 2}, None, None, None, None, None])
    maps = pa.array([[("k", 1)]] * 8, pa.map_(pa.string(), pa.int64()))
    as_parquet(exported, "votes", strength=structs, comment=maps)
    done = import_ratings(store, exported)
    assert refused(done) == {"votes": list(range(1, 9))}
    assert "comment=[('k', 1)] is not text" in done.refused["votes"][1].reasons
    assert "strength={'a': 1}" in done.refused["votes"][0].reasons[0]


def test_moments_of_a_parquet_table(store, exported):
    moments = pa.array(
        [datetime(2026, 1, 1, tzinfo=UTC)] * 6 + [None, None], pa.timestamp("ns", "UTC")
    )
    far = pa.array([2**62] + [0] * 7, pa.timestamp("us", "UTC"))
    as_parquet(exported, "votes", created_at=moments, issued_at=far)
    done = import_ratings(store, exported)
    assert refused(done) == {"votes": [1, 7, 8]}
    assert done.added["votes"] == 5


def test_a_column_without_any_value_is_read(store, exported):
    as_parquet(exported, "comparisons", campaign=pa.nulls(5), probability=pa.nulls(5))
    assert import_ratings(store, exported).added == COUNTS


# --- Nothing fails after the transaction


def test_refused_rows_that_cannot_be_written_leave_the_store_as_it_was(store, exported):
    change(exported, "votes", {"strength": 9})
    (exported / "votes.jsonl.refused.csv").mkdir()
    with pytest.raises(RatingsError, match=r"refused\.csv cannot be written.* copy the export"):
        import_ratings(store, exported)
    assert set(store.counts().values()) == {0}


def test_whatever_is_in_a_refused_row_can_be_written(store, exported):
    """A moment in a list, bytes and columns that begin like formulas are written as text."""
    of_votes = {
        "strength": pa.array([9] * 8),
        "list": pa.array([[datetime(2026, 1, 1)]] * 8),
        "bytes": pa.array([b"\xff\0"] * 8),
        "=cmd()": pa.array(["=1"] * 8),
        "": pa.array([1] * 8),
    }
    as_parquet(exported, "votes", **of_votes)
    change(exported, "raters", {"\ud800": 1, "consent_version": "", "n": [HUGE, "\ud800"]})
    done = import_ratings(store, exported)
    assert len(done.refused["votes"]) == 8
    with (exported / "votes.parquet.refused.csv").open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    assert row["list"] == '["2026-01-01 00:00:00"]'
    assert row["'=cmd()"] == "'=1"
    with (exported / "raters.jsonl.refused.csv").open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    assert row["\\ud800"] == "1"


def test_a_campaign_with_too_long_a_name_is_refused_before_anything_is_stored(store, exported):
    change(exported, "comparisons", {"campaign": "x" * 201}, row=4)
    done = import_ratings(store, exported)
    assert refused(done) == {"comparisons": [5], "votes": [4, 8]}
    assert done.added["comparisons"] == len(store.comparisons_frame()) == 4


def test_positions_at_the_end_of_the_range_do_not_overflow(store, exported, random_melodies):
    """The place of an imported comparison is counted on from the last one here."""
    for row in range(5):
        change(exported, "comparisons", {"position": 2**30}, row=row)
    ids = store.add_melodies(random_melodies(4, seed=3), policy_id="mine", sampler="t", seed=0)
    store.add_comparisons([(ids[0], ids[1])], round=1)
    assert import_ratings(store, exported).added["comparisons"] == 5
    other = {f"0{n}000000-0000-4000-8000-000000000000": n for n in range(5)}
    for row, key in enumerate(other):
        change(exported, "comparisons", {"comparison_id": key}, row=row)
    assert import_ratings(store, exported).added["comparisons"] == 5
    store.add_comparisons([(ids[2], ids[3])], round=1)
    assert store.comparisons_frame()["position"].max() < 2**31


def test_more_blind_tests_than_can_be_imported_at_once(store, exported, monkeypatch):
    monkeypatch.setattr(import_blind_tests, "MOST_BLIND_TESTS", 0)
    with pytest.raises(RatingsError, match="1 blind tests, and 0 is the most"):
        import_ratings(store, exported)
    assert set(store.counts().values()) == {0}


def test_a_table_that_is_too_large_leaves_the_store_as_it_was(store, exported):
    with pytest.raises(RatingsError, match=r"has more than 7 rows; .*--max-rows"):
        import_ratings(store, exported, limits=TableLimits(rows=7))
    assert set(store.counts().values()) == {0}


def test_rows_are_not_kept_while_tables_are_read(store, exported, monkeypatch):
    """When a row is asked for, the cells of the one before are let go."""
    seen = []

    def watched(rows):
        before = None
        for row in rows:
            if before is not None:
                seen.append(len(before.cells))
            before = row
            yield row

    read = import_votes.read_votes
    monkeypatch.setattr(import_votes, "read_votes", lambda rows: read(watched(rows)))
    assert import_ratings(store, exported).added == COUNTS
    assert seen == [0] * 7


# --- Anything at all


CELLS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=90)
    | st.sampled_from([HUGE, 2**31, 2**63, "1e400", "a\0", "9" * 5000, "2026-01-01", "[1]", "{}"]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=4), inside),
    max_leaves=5,
)  # fmt: skip


@pytest.mark.slow
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_cells_are_stored_or_refused_and_every_row_is_counted(store, made, tmp_path, data):
    folder = tmp_path / "any"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(made, folder)
    for _ in range(data.draw(st.integers(1, 4))):
        table = data.draw(st.sampled_from(TABLES))
        row = data.draw(st.integers(0, COUNTS[table] - 1))
        line = json.loads((folder / f"{table}.jsonl").read_text("utf-8").splitlines()[row])
        change(folder, table, {data.draw(st.sampled_from(sorted(line))): data.draw(CELLS)}, row=row)
    done = import_ratings(store, folder)
    for table in TABLES:
        parts = (done.added[table], done.duplicates[table], len(done.refused[table]))
        assert min(parts) >= 0
        assert sum(parts) == COUNTS[table]
    export_ratings(store, tmp_path / "out", formats=["jsonl", "csv"])
