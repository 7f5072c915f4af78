"""Tables as files: read in pieces and within limits; a bad row does not take others along."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music import limits as limits_module
from music.limits import TableLimits
from reward.exchange import parquet_rows, table_files
from reward.exchange.table_files import TableFile
from reward.store.database import RatingsError
from tests.support.project import PROJECT


def read(path, needed=("a",), **limits):
    return list(TableFile(path, needed, TableLimits(**limits)).rows())


def written(folder, columns, **options):
    path = folder / "table.parquet"
    pq.write_table(pa.table(columns), path, **options)
    return path


# --- Limits


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_larger_file_is_refused_before_it_is_read(tmp_path, ending):
    path = tmp_path / f"votes.{ending}"
    with path.open("wb") as file:
        file.truncate(237 * 2**20)  # and takes no room on the disk
    with pytest.raises(RatingsError, match=r"has 237 MiB, and 128 MiB .* \(--max-mib 237\)"):
        TableFile(path, ("a",), TableLimits())


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_too_many_rows_are_refused(tmp_path, ending):
    path = tmp_path / f"table.{ending}"
    if ending == "parquet":
        pq.write_table(pa.table({"a": [1] * 11}), path)
    else:
        path.write_text("a\n" + "1\n" * 11 if ending == "csv" else '{"a": 1}\n' * 11)
    assert len(read(path, rows=11)) == 11
    with pytest.raises(RatingsError, match=r"rows.* raise the limit \(--max-rows \d+\)"):
        read(path, rows=10)


def test_a_small_parquet_file_of_many_rows_is_refused_by_its_metadata(tmp_path, monkeypatch):
    path = written(tmp_path, {"a": pa.repeat(7, 3_000_000)}, compression="zstd")
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", None)
    with pytest.raises(RatingsError, match="has 3000000 rows, and 250000 is the most"):
        read(path)


def test_what_a_parquet_file_unpacks_to_is_limited(tmp_path, monkeypatch):
    path = written(tmp_path, {"a": ["x" * 2**20 + str(n) for n in range(4)]}, compression="zstd")
    assert path.stat().st_size < 100_000
    assert len(read(path, size_mib=8)) == 4
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", None)
    with pytest.raises(RatingsError, match=r"unpacks to [\d.]+ MiB, and 3 MiB .*--max-mib \d+"):
        read(path, size_mib=3)


def test_a_list_of_millions_of_values_is_refused(tmp_path):
    path = written(tmp_path, {"a": [[1] * 2_000_000]})
    with pytest.raises(RatingsError, match="has 2000000 values in 1 rows"):
        read(path)


def test_too_many_columns_are_refused(tmp_path, monkeypatch):
    many = {f"c{n}": [1] for n in range(501)}
    with pytest.raises(RatingsError, match="501 columns"):
        read(written(tmp_path, many))
    (tmp_path / "t.csv").write_text(",".join(many) + "\n")
    with pytest.raises(RatingsError, match="501 columns"):
        read(tmp_path / "t.csv")
    (tmp_path / "t.jsonl").write_text(f'{json.dumps(many)}\n{{"a": 1}}\n')
    assert [row.reasons for row in read(tmp_path / "t.jsonl")] == [
        ["it has 501 columns, or a long name"], [],
    ]  # fmt: skip


# --- One bad row


LONG = "x" * (2**20 + 1)


def test_a_cell_that_is_too_long_refuses_its_row(tmp_path):
    (tmp_path / "t.csv").write_text(f"a,b\n1,2\n{LONG},2\n3,4\n")
    (tmp_path / "t.jsonl").write_text(f'{{"a": 1}}\n{{"a": "{LONG}"}}\n{{"a": 3}}\n')
    parquet = written(tmp_path, {"a": ["1", LONG, "3"]})
    for path, first in ((tmp_path / "t.csv", 2), (tmp_path / "t.jsonl", 1), (parquet, 1)):
        rows = read(path)
        assert [row.number for row in rows] == [first, first + 1, first + 2]
        assert [len(row.reasons) for row in rows] == [0, 1, 0]
        assert "a has 1048577 characters" in rows[1].reasons[0]
        assert len(rows[1].cells["a"]) == 200


@pytest.mark.parametrize("quoted", [False, True])
def test_a_line_that_is_too_long_refuses_its_row(tmp_path, monkeypatch, quoted):
    monkeypatch.setattr(table_files, "LINE_CHARACTERS", 50)
    monkeypatch.setattr(csv, "field_size_limit", lambda _: None)  # it is of the whole process
    cell = '"' + "y, " * 40 + '"' if quoted else "y" * 120
    (tmp_path / "t.csv").write_text(f"a,b\n1,2\n{cell},2\n3,4\n")
    rows = read(tmp_path / "t.csv")
    assert [(row.number, len(row.reasons)) for row in rows] == [(2, 0), (3, 1), (4, 0)]
    assert rows[1].cells["line"].startswith(cell[:40])
    assert rows[2].cells == {"a": "3", "b": "4"}
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n{"a": "' + "y" * 99 + '"}\n\n{"a": 3}')
    rows = read(tmp_path / "t.jsonl")
    assert [(row.number, len(row.reasons)) for row in rows] == [(1, 0), (2, 1), (4, 0)]


def test_a_row_that_is_no_csv_is_one_refused_row(tmp_path):
    (tmp_path / "t.csv").write_text('a,b\n1,2\n"3"x,4\n5,6\n"7\n7"x,8\n9,10\n')
    rows = read(tmp_path / "t.csv")
    assert [(row.number, len(row.reasons)) for row in rows] == [
        (2, 0), (3, 1), (4, 0), (5, 1), (6, 0),
    ]  # fmt: skip
    assert rows[1].cells == {"line": '"3"x,4'}
    assert "lines 3 to 3 are no row of a CSV" in rows[1].reasons[0]
    assert "lines 5 to 6" in rows[3].reasons[0]


def test_a_byte_that_is_not_utf8_is_told_by_its_place_in_the_file(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"a\n" + ("é" * 299 + "\nx\n").encode() * 2000 + b"\xff\n")
    with pytest.raises(RatingsError, match="not UTF-8 at byte 1202002;"):
        read(path)


def test_a_json_line_of_any_depth_or_size_is_one_row(tmp_path):
    lines = ["[" * 500_000, '{"a":' * 100_000, '{"a": ' + "[" * 40 + "]" * 40 + "}", '{"a": 1}']
    lines += ['{"a": ' + "9" * 5000 + "}", '{"a": 1e999}', '{"a": NaN}', "null", '"a"', "{}"]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    rows = read(tmp_path / "t.jsonl")
    assert [row.number for row in rows] == list(range(1, 11))
    assert [len(row.reasons) for row in rows] == [1, 1, 1, 0, 1, 0, 0, 1, 1, 0]
    assert all(len(reason) < 310 for row in rows for reason in row.reasons)


def test_cells_that_python_cannot_hold_refuse_their_rows(tmp_path):
    ends, letters = np.array([0, 1, 2, 3], "<i4").tobytes(), b"a\xffb"
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(letters)]
    bad_text = pa.Array.from_buffers(pa.string(), 3, buffers)
    moments = pa.array([0, 2**62, 1], pa.timestamp("us", "UTC"))
    days = pa.array([0, 1, 2**31 - 1], pa.date32())
    rows = read(written(tmp_path, {"a": bad_text, "at": moments, "day": days}))
    assert [len(row.reasons) for row in rows] == [0, 2, 1]
    assert [row.cells["a"] for row in rows] == ["a", None, "b"]
    assert rows[1].reasons[0].startswith("a cannot be read")
    assert rows[2].reasons[0].startswith("day cannot be read")


def test_parquet_cells_of_every_kind_come_as_python_has_them(tmp_path):
    columns = {
        "a": pa.array([["x", None], None, []], pa.list_(pa.string())),
        "struct": pa.array([{"n": 1, "s": "y"}, None, {"n": None, "s": "z"}]),
        "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
        "pair": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2)),
        "large": pa.array(["l", None, "m"], pa.large_string()),
        "bytes": pa.array([b"q", None, b"\xff"]),
        "text": pa.array(["é" * 9, None, ""]),
        "code": pa.array(["u", "u", None]).dictionary_encode(),
        "whole": pa.array([2**63 - 1, None, -1]),
        "truth": pa.array([True, None, False]),
    }
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "t.parquet")
    assert [dict(row.cells) for row in read(tmp_path / "t.parquet")] == table.to_pylist()


def test_the_pieces_of_a_parquet_table_join_without_a_seam(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_rows, "PIECE_BYTES", 3000)
    monkeypatch.setattr(parquet_rows, "LINE_CHARACTERS", 5000)
    texts = [f"{n} " + "x" * (n * 37 % 1400) for n in range(2500)]
    texts[700] = texts[2499] = "y" * 6000
    rows = read(written(tmp_path, {"a": texts, "n": range(2500)}, row_group_size=900))
    assert [row.number for row in rows] == list(range(1, 2501))
    assert [n for n, row in enumerate(rows) if row.reasons] == [700, 2499]
    assert all(
        row.cells == {"a": texts[n], "n": n} for n, row in enumerate(rows) if not row.reasons
    )


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["csv", "jsonl"]))
def test_any_bytes_are_read_or_refused_in_a_line(tmp_path_factory, content, ending):
    path = tmp_path_factory.mktemp("any") / f"t.{ending}"
    path.write_bytes(content)
    told = ""
    try:
        rows = read(path, ())
    except RatingsError as error:
        told, rows = str(error), []
    assert "\n" not in told.removeprefix(str(path))
    assert len(told) < 500
    assert all(isinstance(row.number, int) for row in rows)


@pytest.mark.slow
@settings(deadline=None, max_examples=15)
@given(st.data())
def test_a_damaged_parquet_file_is_read_or_refused_in_a_line(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    pq.write_table(pa.table({"a": ["x", "y"] * 40, "b": [[1, 2], None] * 40}), path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        rows = read(path, ())
    except RatingsError as error:
        assert "\n" not in str(error).removeprefix(str(path))  # noqa: PT017
    else:
        assert len(rows) <= 250_000


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 9, bytes(300)])
def test_bytes_that_are_no_parquet_are_told_in_a_line(tmp_path, content):
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    with pytest.raises(RatingsError, match=r"t\.parquet is no Parquet file \(.*\); export it"):
        read(path)


def test_a_file_that_ends_its_reader_is_told_in_a_line(tmp_path, monkeypatch):
    """Two of 1,248 files with a changed byte made Arrow abort; a file is first read on trial."""
    (tmp_path / "dies.py").write_text("import os\nos.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(parquet_rows, "TRIAL", "dies")
    with pytest.raises(RatingsError, match=r"is no Parquet file \(it ended its reader\)"):
        read(written(tmp_path, {"a": [1]}))
    (tmp_path / "dies.py").write_text("while True:\n    pass\n")
    monkeypatch.setattr(parquet_rows, "TRIAL_TIMEOUT_S", 0.5)
    with pytest.raises(RatingsError, match=r"is no Parquet file .*timed out"):
        read(written(tmp_path, {"a": [1]}))


def test_cells_of_a_tsv_are_between_tabs_whatever_the_names_hold(tmp_path):
    (tmp_path / "t.tsv").write_text("a\tscore (1, 2, 3)\nx\t2\n")
    assert [dict(row.cells) for row in read(tmp_path / "t.tsv")] == [
        {"a": "x", "score (1, 2, 3)": "2"}
    ]


def test_without_pyarrow_a_parquet_file_is_refused_with_what_to_do(tmp_path, monkeypatch):
    path = written(tmp_path, {"a": [1]})
    monkeypatch.setattr(table_files, "find_spec", lambda _: None)
    with pytest.raises(RatingsError, match="install it, or convert it to CSV or JSONL"):
        read(path)


# --- Memory


MEASURED = """
import resource, sys
from pathlib import Path
from music.limits import TableLimits
from reward.exchange.table_files import TableFile

import pandas, pyarrow.parquet  # not counted
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = refused = 0
for row in TableFile(Path(sys.argv[1]), ("a",), TableLimits()).rows():
    rows += 1
    refused += bool(row.reasons)
print(rows, refused, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def measured(path):
    """Rows, refused rows, and the MiB by which the peak of memory grew, in a process of its own."""
    # By a shell that stays: a process that this one starts begins with the peak of this one.
    done = subprocess.run(
        ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", MEASURED, str(path)],
        cwd=PROJECT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return tuple(map(int, done.stdout.split()))


def repeating(folder, texts, places):
    """A Parquet file that has each text once, and for each row its place among them."""
    places = pa.array(places, pa.int32())
    column = pa.DictionaryArray.from_arrays(places, pa.array(texts))
    return written(folder, {"a": column}, store_schema=False, dictionary_pagesize_limit=2**28)


@pytest.mark.slow
def test_one_text_that_stands_in_many_rows_does_not_fill_the_memory(tmp_path):
    """1,500 times half a MiB is 750 MiB; the file has it once."""
    path = repeating(tmp_path, ["x" * 2**19], [0] * 1500)
    assert path.stat().st_size < 2 * 2**20
    rows, refused, grown_mib = measured(path)
    assert (rows, refused) == (1500, 0)
    assert grown_mib < 200


@pytest.mark.slow
def test_a_row_larger_than_memory_allows_is_refused(tmp_path):
    path = repeating(tmp_path, ["x" * 2**25, "y"], [0, 1] * 20)
    rows, refused, grown_mib = measured(path)
    assert (rows, refused) == (40, 20)
    assert grown_mib < 250


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_text_tables_are_read_in_bounded_memory(tmp_path, ending):
    """60 MiB of rows, and then a line of 40 MiB."""
    path = tmp_path / f"t.{ending}"
    cell = "z" * 1000
    line = f"{cell},{cell}\n" if ending == "csv" else f'{{"a": "{cell}", "b": "{cell}"}}\n'
    with path.open("w") as file:
        file.write("a,b\n" if ending == "csv" else "")
        file.writelines([line] * 30_000)
        file.write("w" * 40 * 2**20)
    rows, refused, grown_mib = measured(path)
    assert (rows, refused) == (30_001, 1)
    assert grown_mib < 100


def test_the_limits_stand_in_the_document():
    page = (PROJECT / "docs" / "limits.md").read_text()
    for said in (
        f"{limits_module.TABLE_MIB} MiB for each file",
        f"{limits_module.TABLE_ROWS:,} rows",
        f"{limits_module.CELL_CHARACTERS // 2**20} Mi characters",
        f"{limits_module.JSON_DEPTH} deep",
        f"{limits_module.LINE_CHARACTERS // 2**20} Mi characters, {limits_module.COLUMNS} columns",
        f"{limits_module.ABC_FILE_BYTES // 2**20} MiB; its first tune",
        f"{limits_module.TUNE_CHARACTERS:,} characters",
        f"{limits_module.ABC_BOOK_BYTES // 2**20} MiB for each file",
        f"{limits_module.UNPACKED_CORPUS_BYTES // 2**20} MiB unpacked",
    ):
        assert said in page, said
