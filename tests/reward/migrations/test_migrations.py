"""The schema: what migrations make is what the tables say, and old databases come along."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

import reward.migrations
from reward.connections.engines import make_engine
from reward.store import campaigns
from reward.store.campaign_votes import campaign_votes
from reward.store.campaigns import Policies
from reward.store.database import RatingsError, alembic_config, migrate, parse_url
from reward.store.schema import Base
from reward.store.store import RatingsStore
from reward.store.votes import Answer
from tests.support.project import PROJECT


def checks(engine):
    """Names and text of all CHECK constraints, which Alembic does not compare."""
    inspector = inspect(engine)
    return {
        (table, check["name"], " ".join(check["sqltext"].split()))
        for table in Base.metadata.tables
        for check in inspector.get_check_constraints(table)
    }


def schema_of(path):
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return sorted(rows)


def unordered(schema):
    """The same without the order of the constraints, which a rebuilt table may have in any."""
    return [sorted(line.strip(" ,\t") for line in sql.splitlines()) for (sql,) in schema]


def test_tables_and_migrations_agree(ratings_url):
    RatingsStore(ratings_url).close()
    engine = make_engine(parse_url(ratings_url), lock_timeout_s=5)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    migrated = checks(engine)
    with engine.execution_options(writes=True).begin() as connection:
        Base.metadata.drop_all(connection)
        Base.metadata.create_all(connection)
    assert migrated == checks(engine)
    assert len(migrated) == 12
    engine.dispose()


def test_compare_metadata_would_see_a_difference(tmp_path):
    RatingsStore(tmp_path / "ratings.sqlite").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'ratings.sqlite'}")
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP INDEX uq_assignments_live_rater")
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        [difference] = compare_metadata(context, Base.metadata)
        assert difference[0] == "add_index"
    engine.dispose()


def begin_at(url, revision):
    """A database as an older program left it."""
    engine = make_engine(url, lock_timeout_s=5)
    config = alembic_config()
    with engine.execution_options(writes=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.exec_driver_sql(
            "INSERT INTO raters (nickname, kind, consent_version, token_hash, created_at) "
            "VALUES ('Anna', 'person', '1', 'x', '2026-11-22 12:00:00')"
        )
    engine.dispose()


def add_melody(connection, key, policy):
    """A melody of version 0.1.0: a bar of 2/4, four times, of one of the eight tune types."""
    words = (1, 4, 8, 11 + key, 20, 23, *(n for bar in (33, 32, 31, 30) for n in (bar, 296)), 2)
    tokens = np.array(words, "<u2").tobytes()
    connection.execute(
        text(
            "INSERT INTO melodies (id, sha256, tokens, header, tonic_midi, policy_id, step, "
            "sampler, seed, created_at) VALUES (:key, :sha256, :tokens, '{}', 62, :policy, 0, 't', "
            "0, '2026-11-22 12:00:00')"
        ),
        {
            "key": key,
            "sha256": hashlib.sha256(tokens).hexdigest(),
            "tokens": tokens,
            "policy": policy,
        },
    )


def test_an_older_database_is_upgraded_with_what_it_holds(ratings_url):
    begin_at(parse_url(ratings_url), "0001")
    with RatingsStore(ratings_url) as store:
        assert store.rater_named("Anna").token is None
        with store.reading() as session:
            assert "jobs" in inspect(session.connection()).get_table_names()


def test_every_migration_can_be_taken_back(tmp_path):
    path = tmp_path / "ratings.sqlite"
    RatingsStore(path).close()
    before = schema_of(path)
    engine = make_engine(parse_url(path), lock_timeout_s=5, foreign_keys=False)
    config = alembic_config()
    with engine.execution_options(writes=True).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
    engine.dispose()
    RatingsStore(path).close()
    assert unordered(schema_of(path)) == unordered(before)


def test_comparisons_of_an_older_database_keep_all_and_are_in_no_campaign(ratings_url):
    begin_at(parse_url(ratings_url), "0002")
    engine = make_engine(parse_url(ratings_url), lock_timeout_s=5)
    a, b = "0" * 31 + "a", "0" * 31 + "b"
    with engine.execution_options(writes=True).begin() as connection:
        for melody in (1, 2):
            add_melody(connection, melody, "base")
        for key, purpose, of in ((a, "train", "NULL"), (b, "repeat", f"'{a}'")):
            connection.exec_driver_sql(
                "INSERT INTO comparisons (id, position, round, melody_a, melody_b, purpose, "
                f"repeat_of, strategy, created_at) VALUES ('{key}', 1, 1, 1, 2, '{purpose}', {of}, "
                "'random', '2026-11-22 12:00:00')"
            )
    engine.dispose()
    with RatingsStore(ratings_url) as store:
        rows = store.comparisons_frame()
        assert rows["purpose"].tolist() == ["train", "repeat"]
        assert rows["repeat_of"].tolist()[1] == rows["comparison_id"].tolist()[0]
        assert rows["campaign"].isna().all()


def test_a_blind_test_that_was_imported_can_be_revealed_after_the_upgrade(ratings_url):
    begin_at(parse_url(ratings_url), "0004")
    engine = make_engine(parse_url(ratings_url), lock_timeout_s=5)
    with engine.execution_options(writes=True).begin() as connection:
        for melody, policy in ((1, "x"), (2, "y"), (3, "y"), (4, "x"), (5, "x"), (6, "x")):
            add_melody(connection, melody, policy)
        for one, other, purpose in ((1, 2, "blind_test"), (3, 4, "blind_test"), (5, 6, "train")):
            connection.exec_driver_sql(
                "INSERT INTO comparisons (id, position, round, melody_a, melody_b, purpose, "
                f"strategy, created_at) VALUES ('{one:032x}', 1, 1, {one}, {other}, '{purpose}', "
                "'random', '2026-11-22 12:00:00')"
            )
    engine.dispose()
    with RatingsStore(ratings_url) as store:
        with store.reading() as session:
            [test] = campaigns.list_campaigns(session)
        assert test.name == "Imported blind test 1"
        assert test.policies == Policies(a="x", b="y", a_id="x", b_id="y")
        assert (test.votes_wanted, test.closed_at is None, test.revealed_at) == (2, False, None)
        assert store.sealed_melody_ids() == {1, 2, 3, 4}
        with store.writing() as session:
            campaigns.reveal_campaign(session, test.id, now=datetime.now(UTC))
        assert store.sealed_melody_ids() == frozenset()
        assert store.comparisons_frame()["campaign"].isna().tolist() == [False, False, True]


def test_names_that_look_alike_in_an_older_database_go_on_and_all_votes_count(ratings_url):
    begin_at(parse_url(ratings_url), "0005")
    engine = make_engine(parse_url(ratings_url), lock_timeout_s=5)
    with engine.execution_options(writes=True).begin() as connection:
        for key, name in (("y", "anna"), ("z", "Bo")):
            connection.exec_driver_sql(
                "INSERT INTO raters (nickname, kind, consent_version, token_hash, created_at) "
                f"VALUES ('{name}', 'person', '1', '{key}', '2026-11-22 12:00:00')"
            )
        for melody in (1, 2):
            add_melody(connection, melody, str(melody))
        connection.exec_driver_sql(
            "INSERT INTO campaigns (name, purpose, policy_a, policy_b, policy_a_id, policy_b_id, "
            "round, votes_wanted, created_at) VALUES ('t', 'blind_test', 'a', 'b', '1', '2', 1, 9, "
            "'2026-11-22 12:00:00')"
        )
        key = "0" * 31 + "1"
        connection.exec_driver_sql(
            "INSERT INTO comparisons (id, position, round, melody_a, melody_b, purpose, strategy, "
            f"campaign_id, created_at) VALUES ('{key}', 1, 1, 1, 2, 'blind_test', 's', 1, "
            "'2026-11-22 12:00:00')"
        )
        connection.exec_driver_sql(
            "INSERT INTO assignments (id, comparison_id, rater_id, left_is_a, reopens, issued_at, "
            f"expires_at, closed_at) VALUES ('{key}', '{key}', 1, true, false, "
            "'2026-11-22 12:00:00', '2026-11-22 12:00:00', '2026-11-22 12:00:00')"
        )
        connection.exec_driver_sql(
            "INSERT INTO votes (assignment_id, outcome, strength, reasons, comment, heard_ms_left, "
            "heard_ms_right, plays_left, plays_right, latency_ms, nonce, renderer, app_version, "
            f"created_at) VALUES ('{key}', 'left', 1, '[]', '', 4000, 4000, 1, 1, 1, 'n', '', '', "
            "'2026-11-22 12:00:00')"
        )
    engine.dispose()
    with RatingsStore(ratings_url) as store:
        assert {store.rater_named(name).id for name in ("Anna", "anna", "Bo")} == {1, 2, 3}
        for taken in ("ANNA", "B0"):
            with pytest.raises(RatingsError, match="looks like one"):
                store.add_rater(taken)
        with store.reading() as session:
            [test] = campaigns.list_campaigns(session)
            assert (test.votes_per_rater, test.invite_only) == (None, False)
            assert [vote.counts for vote in campaign_votes(session, test.id)] == [True]
        assert store.votes_frame()["set_aside"].isna().all(), "whatever they claimed to have heard"


REBUILD = """
import sqlalchemy as sa
from alembic import op
revision = "9001"
down_revision = "{head}"
branch_labels = depends_on = None

def upgrade():
    with op.batch_alter_table("raters", recreate="always") as batch:
        batch.add_column(sa.Column("colour", sa.String(8)))
    {then}
"""


def config_with(folder, then="pass"):
    folder.mkdir()
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    (folder / "v9001_colour.py").write_text(REBUILD.format(head=head, then=then))
    config = alembic_config()
    shipped = Path(reward.migrations.__file__).parent / "versions"
    config.set_main_option("version_locations", f"{shipped}{os.pathsep}{folder}")
    return config


def test_rebuilding_a_table_keeps_what_refers_to_it(tmp_path, random_melodies):
    path = tmp_path / "ratings.sqlite"
    vote_once(path, random_melodies)
    migrate(parse_url(path), lock_timeout_s=5, config=config_with(tmp_path / "newer"))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT nickname, colour FROM raters").fetchall() == [
            ("Anna", None)
        ]
        assert connection.execute("SELECT count(*) FROM votes").fetchone() == (1,)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
    with pytest.raises(RatingsError, match=r"schema '9001', newer .* update tastemaker"):
        RatingsStore(path)


@pytest.mark.parametrize(
    ("then", "error", "message"),
    [
        ('op.execute("DELETE FROM raters")', RatingsError, "nothing was changed"),
        ('raise RuntimeError("power cut")', RuntimeError, "power cut"),
    ],
)
def test_a_migration_that_fails_leaves_everything_as_it_was(
    tmp_path, random_melodies, then, error, message
):
    path = tmp_path / "ratings.sqlite"
    vote_once(path, random_melodies)
    before = schema_of(path)
    with pytest.raises(error, match=message):
        migrate(parse_url(path), lock_timeout_s=5, config=config_with(tmp_path / "newer", then))
    assert schema_of(path) == before
    with RatingsStore(path) as store:
        assert store.counts()["votes_person"] == 1


def vote_once(path, random_melodies):
    with RatingsStore(path) as store:
        ids = store.add_melodies(random_melodies(2), policy_id="base", sampler="t=1", seed=1)
        store.add_comparisons([(ids[0], ids[1])], round=1)
        pair = store.issue(store.add_rater("Anna").id)
        store.vote(pair.assignment_id, Answer(outcome="left", nonce="n"))


OPENER = """
import sys
from reward.store.store import RatingsStore
print("ready", flush=True)
for line in sys.stdin:
    RatingsStore(line.strip(), lock_timeout_s=60).close()
    print("opened", flush=True)
"""


@pytest.mark.slow
def test_processes_that_open_a_new_store_at_once_all_succeed(tmp_path):
    openers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", OPENER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT), *sys.path])},
        )
        for _ in range(2)
    ]
    for opener in openers:
        assert opener.stdout.readline() == "ready\n"
    for number in range(4):
        for opener in openers:
            opener.stdin.write(f"{tmp_path / str(number)}\n")
            opener.stdin.flush()
        for opener in openers:
            assert opener.stdout.readline() == "opened\n"
    for opener in openers:
        opener.communicate(timeout=60)
        assert opener.returncode == 0
    with RatingsStore(tmp_path / "0") as store:
        assert store.counts()["melodies"] == 0


def test_a_database_of_others_is_left_alone(tmp_path):
    path = tmp_path / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    connection.close()
    with pytest.raises(RatingsError, match=r"other tables \(orders\).*of their own"):
        RatingsStore(path)
    assert schema_of(path) == [("CREATE TABLE orders (id INTEGER)",)]


def test_migrations_work_from_an_installed_copy(tmp_path):
    """As from a wheel: nothing but the packages, another working folder, no configuration file."""
    for package in ("reward", "music"):
        shutil.copytree(
            PROJECT / package, tmp_path / "site" / package, ignore=shutil.ignore_patterns("*.pyc")
        )
    code = (
        "from reward.store.store import RatingsStore\n"
        "import reward\n"
        f"assert reward.__file__.startswith({str(tmp_path)!r}), reward.__file__\n"
        "print(RatingsStore('new/ratings.sqlite').counts()['votes_person'])"
    )
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=work,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
    assert (work / "new" / "ratings.sqlite").exists()
