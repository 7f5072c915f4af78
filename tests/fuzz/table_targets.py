"""Readers of exported ratings: each of the four tables in each format, beside three valid ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache, partial
from random import Random
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import func, select

from reward.exchange.export import FORMATS, TABLES, write_csv
from reward.exchange.import_votes import import_ratings
from reward.store.schema import Base
from reward.store.store import RatingsError, RatingsStore
from tests.fuzz.mutation import DEEP, mutated_json
from tests.fuzz.target import Target, workplace
from tests.support.project import PROJECT

EXPORT = PROJECT / "tests" / "data" / "v0_1_0" / "export"
WORDS: Sequence[bytes] = (
    *(b"left", b"right", b"tie", b"both_bad", b"skip", b"person", b"simulated", b"train"),
    *(b"repeat", b"trap", b"blind_test", b"True", b"False", b"1", b"0", b",", b";", b"\t", b'"'),
    *(b"adbfc2c7-3759-4396-b8ee-34883c466ed2", b"[1, 4, 8]", b'"[""x""]"', b"2026-11-29"),
    *(b"2026-11-29 20:39:06.920356+00:00", b"0001-01-01T00:00:00+14:00"),
    *(b"9999-12-31T23:59:59-12:00", b"1969-01-01T00:00:00Z"),
    *(b"melody_id", b"vote_id", b"comparison_id", b"rater_id", b"supersedes", b"reasons", b"nonce"),
)  # fmt: skip


@cache
def rows() -> dict[str, list[dict[str, Any]]]:
    """A small export that is whole: raters, a few comparisons of each purpose, their votes."""
    every = {
        name: [json.loads(line) for line in (EXPORT / f"{name}.jsonl").read_text().splitlines()]
        for name in TABLES
    }
    some, seen = [], set[str]()
    for row in every["comparisons"]:
        if row["purpose"] not in seen and row["repeat_of"] is None:
            some.append(row)
            seen.add(row["purpose"])
    ids = {row["comparison_id"] for row in some}
    some += [row for row in every["comparisons"] if row["repeat_of"] in ids][:1]
    ids = {row["comparison_id"] for row in some}
    melodies = {row[side] for row in some for side in ("melody_a", "melody_b")}
    return {
        "melodies": [row for row in every["melodies"] if row["melody_id"] in melodies],
        "comparisons": some,
        "raters": every["raters"],
        "votes": [row for row in every["votes"] if row["comparison_id"] in ids][:8],
    }


@cache
def written() -> dict[str, bytes]:
    """The small export as files, by name."""
    folder = workplace("tables-written")
    for name, found in rows().items():
        table = pd.DataFrame(found)
        write_csv(folder / f"{name}.csv", table)
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
        table.assign(**_as_json(table, ("features",))).to_parquet(folder / f"{name}.parquet")
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def _as_json(table: pd.DataFrame, names: Sequence[str]) -> dict[str, list[str | None]]:
    return {
        name: [None if value is None else json.dumps(value) for value in table[name]]
        for name in table.columns.intersection(list(names))
    }


def _seeds(name: str, ending: str) -> list[bytes]:
    whole = written()[f"{name}.{ending}"]
    if ending != "csv":
        return [whole]
    return [
        whole,
        whole.replace(b'"', b"").replace(b",", b";"),  # a spreadsheet's, with its mistakes
        b"\xef\xbb\xbf" + whole,
        whole.replace(b",", b"\t"),
        whole.decode().encode("utf-16"),
    ]


@cache
def _store(name: str) -> RatingsStore:
    return RatingsStore(workplace(f"store-{name}") / "ratings.sqlite")


def emptied(store: RatingsStore) -> RatingsStore:
    """The store without any rows, so that an input does the same each time."""
    with store.writing() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())
    return store


def import_table(name: str, ending: str, data: bytes) -> None:
    """An export of which one file is the input; what came in is counted as it was told."""
    folder = workplace(f"{name}-{ending}")
    if not any(folder.iterdir()):
        for other in TABLES:
            (folder / f"{other}.{ending}").write_bytes(written()[f"{other}.{ending}"])
    (folder / f"{name}.{ending}").write_bytes(data)
    store = emptied(_store(f"{name}-{ending}"))
    done = import_ratings(store, folder)
    with store.reading() as session:
        stored = {
            table: session.scalar(select(func.count()).select_from(Base.metadata.tables[table]))
            for table in TABLES
        }
    assert stored == done.added, f"{done.added} told, {stored} stored"


def build_parquet(name: str, random: Random) -> bytes:
    """A Parquet file with a changed value, column or type."""
    found = [dict(row) for row in rows()[name]]
    table = pa.Table.from_pandas(
        pd.DataFrame(found).assign(**_as_json(pd.DataFrame(found), ("features",))),
        preserve_index=False,
    )
    for _ in range(random.randint(1, 3)):
        at = random.randrange(table.num_columns)
        fate = random.random()
        if fate < 0.1:
            table = table.remove_column(at)
        elif fate < 0.15:
            table = table.append_column(table.schema[at].name, table.column(at))
        elif fate < 0.25:
            table = pa.concat_tables([table] * random.choice((0, 2, 3)) or [table.slice(0, 0)])
        else:
            table = table.set_column(at, table.schema[at].name, _odd_column(random, table, at))
    kinds = enumerate(table.schema.types)
    table = table.select([place for place, kind in kinds if not _has_no_field(kind)])
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression=random.choice(("snappy", "zstd", "none")))
    return sink.getvalue().to_pybytes()


def _has_no_field(kind: pa.DataType) -> bool:
    """Whether it is a structure without fields, or a list of such, which Parquet cannot hold."""
    if pa.types.is_struct(kind):
        return not kind.num_fields or any(_has_no_field(field.type) for field in kind)
    return pa.types.is_list(kind) and _has_no_field(kind.value_type)


def _odd_column(random: Random, table: pa.Table, at: int) -> pa.Array:
    """A column of another type, or with one changed value."""
    values = table.column(at).to_pylist()
    if random.random() < 0.4:
        kind = random.choice(
            (
                *(
                    pa.string(),
                    pa.large_string(),
                    pa.binary(),
                    pa.int8(),
                    pa.uint64(),
                    pa.float16(),
                ),
                *(pa.bool_(), pa.date32(), pa.timestamp("ns"), pa.timestamp("us", "Asia/Tokyo")),
                *(pa.duration("s"), pa.decimal128(38, 3), pa.list_(pa.int64()), pa.null()),
                *(pa.struct([("a", pa.list_(pa.string()))]), pa.map_(pa.string(), pa.int32())),
            )
        )
        filler: dict[str, Any] = {"string": "x", "binary": b"\xff", "bool": True}
        value = filler.get(str(kind), 1)
        if pa.types.is_nested(kind):
            value = [] if pa.types.is_list(kind) or pa.types.is_map(kind) else {"a": ["x"]}
        try:
            return pa.array([random.choice((value, None)) for _ in values], kind)
        except (pa.ArrowException, TypeError, ValueError):
            return pa.nulls(len(values), kind)
    if values:
        place = random.randrange(len(values))
        changed = mutated_json(random, values[place])
        values[place] = "[" * 3000 if changed == DEEP else changed
    try:
        return pa.array(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.array([None if v is None else str(v).encode("utf-8", "replace") for v in values])


TARGETS = tuple(
    Target(
        name=f"{name}.{ending}",
        read=partial(import_table, name, ending),
        refuses=(RatingsError,),
        seeds=partial(_seeds, name, ending),
        words=WORDS,
        build=partial(build_parquet, name) if ending == "parquet" else None,
        share=0.05,
    )
    for name in TABLES
    for ending in FORMATS
)
