"""Migration 0007: melodies of version 0.1.0 get today's tokens, and everything else stays."""

import hashlib
import json
import operator
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from alembic import command
from sqlalchemy import text

from music.earlier_tokens import TODAY_OF_EARLIER
from music.melody import Header, Melody, Note
from music.tokens import VOCABULARY
from reward.connections.engines import make_engine
from reward.migrations.versions import v0007_any_music as migration
from reward.store.catalogue import entries_after
from reward.store.database import RatingsError, alembic_config, parse_url
from reward.store.pool import tokens_to_bytes
from reward.store.store import RatingsStore
from tests.support.project import PROJECT

OLD_DATABASE = PROJECT / "tests" / "data" / "v0_1_0" / "ratings.sqlite"
COLUMNS = "id, sha256, tokens, header, tonic_midi, policy_id, step, sampler, seed, created_at"
MOMENT = "2026-11-22 12:00:00.000000"
GRID = (3, 4, 6, 8, 9, 12, 16, 18, 24, 30, 36, 42, 48, 60, 72, 96, 108)
OLD_NAMES = [
    "PAD", "BOS", "EOS",
    *(f"METER_{x}" for x in ("4/4", "2/4", "3/4", "6/8", "9/8")),
    *(f"MODE_{x}" for x in ("major", "minor", "dorian", "mixolydian")),
    *(f"TYPE_{x}" for x in ("reel", "jig", "slipjig", "hornpipe", "strathspey", "march")),
    "TYPE_waltz", "TYPE_other",
    *(f"BARS_{x}" for x in (4, 8, 16)),
    *(f"PICKUP_{x}" for x in (0, 6, 12, 18, 24, 36, 48)),
    *(f"BAR_{x}" for x in range(1, 17)),
    *(f"REST_{x}" for x in GRID),
    *(f"HOLD_{x}" for x in GRID),
    *(f"NOTE_{pitch}_{x}" for pitch, x in product(range(-12, 25), GRID)),
]  # fmt: skip
"""the vocabulary of version 0.1.0, written down once more"""


def old_notes(tokens):
    """Header and notes (onset, duration, pitch) of a melody by the tokens of version 0.1.0."""
    names = [OLD_NAMES[token] for token in np.frombuffer(tokens, "<u2")]
    assert (names[0], names[-1]) == ("BOS", "EOS")
    meter, mode, tune_type, bars, pickup = (name.split("_", 1)[1] for name in names[1:6])
    at, notes = -int(pickup), []
    for name in names[6:-1]:
        kind, *numbers = name.split("_", 1)[0], *map(int, name.split("_")[1:])
        if kind == "BAR":
            continue
        if kind == "NOTE":
            notes.append([at, numbers[1], numbers[0]])
        elif kind == "HOLD":
            notes[-1][1] += numbers[0]
        at += numbers[-1]
    return Header(meter, mode, tune_type, int(bars), int(pickup)), [tuple(note) for note in notes]


def rows(path, table, columns="*"):
    with sqlite3.connect(path) as connection:
        found = connection.execute(f"SELECT {columns} FROM {table} ORDER BY 1").fetchall()
    connection.close()
    return found


def columns_of(path, table):
    return ", ".join(row[1] for row in rows(path, f"pragma_table_info('{table}')"))


def old_rows(melodies):
    """Rows of version 0.1.0 for melodies that it had, by an independent way back to its ids."""
    then = {name.replace("TYPE_", ""): place for place, name in enumerate(OLD_NAMES)}
    found = []
    for key, melody in enumerate(melodies, start=1):
        today = [VOCABULARY[token] for token in np.frombuffer(tokens_to_bytes(melody), "<u2")]
        today[3] = melody.header.style
        tokens = np.array([then[name] for name in today], "<u2").tobytes()
        header = {
            "meter": melody.header.meter,
            "mode": melody.header.mode,
            "tune_type": melody.header.style,
            "bars": melody.header.bars,
            "pickup_ticks": melody.header.pickup_ticks,
        }
        sha256 = hashlib.sha256(tokens).hexdigest()
        found.append((key, sha256, tokens, json.dumps(header), 62, "base", 0, "t", 0, MOMENT))
    return found


def begin_at_0006(url, melodies):
    """A database of the schema before, with these rows."""
    engine = make_engine(parse_url(url), lock_timeout_s=5)
    config = alembic_config()
    names = COLUMNS.split(", ")
    with engine.execution_options(writes=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        connection.execute(
            text(f"INSERT INTO melodies ({COLUMNS}) VALUES (:{', :'.join(names)})"),
            [dict(zip(names, row, strict=True)) for row in melodies],
        )
    engine.dispose()


@pytest.fixture(scope="module")
def strains(real_melodies):
    """Some melodies that version 0.1.0 could have had."""
    then = {name for name in OLD_NAMES if not name.startswith("TYPE_")}
    return [
        Melody(melody.header, melody.notes, 62)
        for tokens, melody in {tokens_to_bytes(melody): melody for melody in real_melodies}.items()
        if {VOCABULARY[token] for token in np.frombuffer(tokens, "<u2")[4:]} <= then
        and f"METER_{melody.header.meter}" in then
        and f"MODE_{melody.header.mode}" in then
        and is_plain(melody)
    ]


def is_plain(melody):
    """Whether each part of a note or rest in a bar is one token, and no rest crosses a barline."""
    segments = list(melody.segments())
    rests = [segment.pitch is None for segment in segments]
    return all(segment.duration_ticks in GRID for segment in segments) and not any(
        map(operator.and_, rests, rests[1:])
    )


def test_the_frozen_map_is_that_of_the_earlier_tokens():
    assert migration.TODAY_OF_EARLIER.tolist() == TODAY_OF_EARLIER.tolist()
    assert len(OLD_NAMES) == migration.EARLIER_SIZE
    assert len(VOCABULARY) == migration.SIZE
    names = [VOCABULARY[today] for today in migration.TODAY_OF_EARLIER]
    types = range(migration.FIRST_TYPE, migration.FIRST_TYPE + len(migration.TYPES))
    for token, (then, now) in enumerate(zip(OLD_NAMES, names, strict=True)):
        if token in types:
            assert then == f"TYPE_{migration.TYPES[token - migration.FIRST_TYPE]}"
            assert now.startswith("STYLE_")
        else:
            assert now == then


def test_every_melody_of_an_old_database_has_its_notes_and_all_else_stays(tmp_path):
    before, path = tmp_path / "before.sqlite", tmp_path / "ratings.sqlite"
    shutil.copy(OLD_DATABASE, before)
    shutil.copy(OLD_DATABASE, path)
    with RatingsStore(path) as store:
        ids = [row[0] for row in rows(before, "melodies", "id")]
        stored = store.melodies(ids)
        frame = store.melodies_frame()
        with store.reading() as session:
            entries = entries_after(session, 0)
    assert len(stored) == 98
    for melody, entry, (_, tokens, tonic_midi) in zip(
        stored, entries, rows(before, "melodies", "id, tokens, tonic_midi"), strict=True
    ):
        header, notes = old_notes(tokens)
        expected = Melody(header, tuple(Note(*note) for note in notes), tonic_midi)
        assert melody.melody == entry.melody == expected
        assert entry.header == header
        assert entry.tokens == tokens_to_bytes(expected)
        assert entry.sha256 == hashlib.sha256(entry.tokens).hexdigest()
        assert entry.earlier_sha256 == hashlib.sha256(tokens).hexdigest()
    assert set(frame["style"]) <= set(migration.TYPES)
    assert rows(path, "melodies", "id, header") == [
        (key, header.replace('"tune_type"', '"style"'))
        for key, header in rows(before, "melodies", "id, header")
    ]
    tables = [row[0] for row in rows(before, "sqlite_master", "name, type") if row[1] == "table"]
    assert {"votes", "comparisons", "assignments", "favourites"} <= set(tables)
    for table in set(tables) - {"alembic_version", "sqlite_sequence"}:
        kept = columns_of(before, table)
        if table == "melodies":
            kept = "id, tonic_midi, policy_id, step, sampler, seed, features, created_at"
        then, now = (sorted(rows(file, table, kept), key=repr) for file in (before, path))
        assert now == then, table


@pytest.mark.slow
def test_several_batches_are_converted_on_both_databases(ratings_url, strains):
    melodies = in_each_style(strains, migration.TYPES[:4])
    assert len(melodies) > migration.BATCH_MELODIES
    begin_at_0006(ratings_url, old_rows(melodies))
    with RatingsStore(ratings_url) as store:
        stored = store.melodies(range(1, len(melodies) + 1))
        assert [one.melody for one in stored] == melodies
        found = store.melodies_frame()["sha256"].tolist()
        assert found == [hashlib.sha256(tokens_to_bytes(one)).hexdigest() for one in melodies]
        again = store.add_melodies(melodies, policy_id="x", sampler="t", seed=0)
        assert again == [one.id for one in stored], "none is taken for a new one"


def in_each_style(strains, styles):
    return [
        replace(one, header=replace(one.header, style=style)) for style in styles for one in strains
    ]


def test_a_batch_that_was_converted_before_the_damage_is_as_it_was(tmp_path, strains):
    path = tmp_path / "ratings.sqlite"
    made = old_rows(in_each_style(strains, migration.TYPES[:4]))
    made[-1] = with_token(made[-1], 8, 709)
    begin_at_0006(path, made)
    with pytest.raises(RatingsError, match=f"melody {len(made)} .* has token id 709"):
        RatingsStore(path)
    assert rows(path, "melodies", COLUMNS) == made


def damaged(row, **changes):
    names = COLUMNS.split(", ")
    named = dict(zip(names, row, strict=True)) | changes
    if "tokens" in changes and "sha256" not in changes:
        named["sha256"] = hashlib.sha256(named["tokens"]).hexdigest()
    return tuple(named[name] for name in names)


def with_token(row, place, token):
    tokens = np.frombuffer(row[2], "<u2").copy()
    tokens[place] = token
    return damaged(row, tokens=tokens.tobytes())


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (
            lambda row: damaged(row, tokens=row[2] + b"\0"),
            "is damaged: its [0-9]*[13579] bytes",
        ),
        (lambda row: damaged(row, sha256="0" * 64), "is damaged: its [0-9]+ bytes of tokens"),
        (lambda row: damaged(row, tokens=b""), "has no tune type"),
        (lambda row: with_token(row, 8, 709), "has token id 709, which no melody of version 0.1.0"),
        (lambda row: with_token(row, 3, 60), "has no tune type, which no melody of version 0.1.0"),
        (
            lambda row: damaged(row, header="[1]"),
            "is damaged: its header '.1.' is not a JSON object",
        ),
    ],
)
def test_what_cannot_be_converted_is_named_and_nothing_changes(ratings_url, strains, damage, says):
    made = old_rows(strains[:5])
    made[4] = damage(made[4])
    begin_at_0006(ratings_url, made)
    with pytest.raises(RatingsError) as told:
        RatingsStore(ratings_url)
    said = str(told.value)
    assert re.match(f"melody 5 in the table melodies of the ratings database {says}", said)
    assert "nothing was changed: restore a backup, or leave it out" in said
    assert "\n" not in said
    engine = make_engine(parse_url(ratings_url), lock_timeout_s=5)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "0006"
        now = connection.execute(text("SELECT id, sha256, tokens FROM melodies ORDER BY id")).all()
    engine.dispose()
    assert [(key, sha, bytes(tokens)) for key, sha, tokens in now] == [row[:3] for row in made]


KILLED = """
import hashlib, os, signal, sys
from reward.store.store import RatingsStore
hashed, real = 0, hashlib.sha256
def sha256(*given, **more):
    global hashed
    hashed += 1
    if hashed == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*given, **more)
hashlib.sha256 = sha256
RatingsStore(sys.argv[1])
"""


@pytest.mark.slow
def test_a_kill_in_the_middle_leaves_the_old_database_which_opens_later(tmp_path):
    path = tmp_path / "ratings.sqlite"
    shutil.copy(OLD_DATABASE, path)
    before = rows(path, "melodies", COLUMNS)
    copies = [
        (row[0] + 98 * turn, hashlib.sha256(packed).hexdigest(), packed, *row[3:])
        for turn in range(12)
        for row in before
        if (packed := row[2] + b"\0\0" * turn) and turn  # PAD after EOS makes it another row
    ]
    with sqlite3.connect(path) as connection:
        connection.executemany(
            f"INSERT INTO melodies ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", copies
        )
    connection.close()
    stored = len(before) + len(copies)
    assert stored > migration.BATCH_MELODIES
    old = rows(path, "melodies", COLUMNS)
    for hashed in (1, 2 * migration.BATCH_MELODIES + 1, 2 * stored):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(path), str(hashed)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT), *sys.path])},
            check=False,
        )
        assert done.returncode == -signal.SIGKILL
        assert rows(path, "melodies", COLUMNS) == old
        assert rows(path, "alembic_version") == [("0004",)]
    with RatingsStore(path) as store:
        assert store.counts()["melodies"] == stored
        first = store.melodies([1, 98])
    for melody, row in zip(first, (before[0], before[-1]), strict=True):
        assert [(n.onset_ticks, n.duration_ticks, n.pitch) for n in melody.melody.notes] == (
            old_notes(row[2])[1]
        )


def downgraded(path):
    engine = make_engine(parse_url(path), lock_timeout_s=5, foreign_keys=False)
    config = alembic_config()
    try:
        with engine.execution_options(writes=True).begin() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, "0006")
    finally:
        engine.dispose()


def test_the_way_back_gives_what_there_was(tmp_path, strains):
    path = tmp_path / "ratings.sqlite"
    begin_at_0006(path, old_rows(strains))
    before = rows(path, "melodies", COLUMNS)
    RatingsStore(path).close()
    assert rows(path, "melodies", COLUMNS) != before
    downgraded(path)
    assert rows(path, "melodies", COLUMNS) == before


@pytest.mark.parametrize(
    ("header", "notes"),
    [
        (Header("5/4", "major", "reel", 4), [(bar * 120, 96, 0) for bar in range(4)]),
        (Header("4/4", "lydian", "reel", 4), [(bar * 96, 96, 0) for bar in range(4)]),
        (Header("4/4", "major", "tango", 4), [(bar * 96, 96, 0) for bar in range(4)]),
        (Header("4/4", "major", "reel", 4), [(0, 7, 0), *((96 * b, 96, 0) for b in (1, 2, 3))]),
        (Header("4/4", "major", "reel", 4), [(0, 48, 0), *((96 * b, 48, 0) for b in (2, 3))]),
    ],
)
def test_there_is_no_way_back_for_what_is_new(tmp_path, header, notes):
    path = tmp_path / "ratings.sqlite"
    melody = Melody(header, tuple(Note(*note) for note in notes))
    with RatingsStore(path) as store:
        store.add_melodies([melody], policy_id="base", sampler="t", seed=0)
    before = rows(path, "melodies", COLUMNS)
    with pytest.raises(RatingsError, match=r"^melody 1 .* version 0\.1\.0 cannot store"):
        downgraded(path)
    assert rows(path, "melodies", COLUMNS) == before
