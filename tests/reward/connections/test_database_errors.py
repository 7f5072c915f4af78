"""What can be wrong with a database, on real ones: one line that says what to do."""

import sqlite3
from contextlib import contextmanager
from random import Random
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.exc import OperationalError, ProgrammingError

from reward.connections.database_errors import plain_words
from reward.pairs.random_pairs import random_pairs
from reward.store import database
from reward.store.database import ReadOnlyError, parse_url
from reward.store.store import RatingsError, RatingsStore
from tests.support.small_disk import fill

on_postgresql = pytest.mark.parametrize(
    "ratings_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)


@contextmanager
def refused(*says, kind=RatingsError):
    """An error in one line that has these words, and no password."""
    with pytest.raises(kind) as caught:
        yield
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 600
    assert "secret" not in line
    for words in says:
        assert words in line, line


@pytest.fixture
def run(ratings_url):
    """Runs a statement as the server's administrator, in the test's database."""
    engine = create_engine(parse_url(ratings_url), isolation_level="AUTOCOMMIT")

    def run(statement):
        with engine.connect() as connection:
            return connection.exec_driver_sql(statement)

    yield run
    engine.dispose()


@pytest.fixture
def guest(ratings_url, run):
    """A user of the server without rights in the test's database: their name and their address."""
    name = f"guest_{uuid4().hex[:12]}"
    run(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")  # as from version 15 on
    url = parse_url(ratings_url).set(username=name, password="secret")
    yield name, url.render_as_string(hide_password=False)
    run(f"DROP OWNED BY {name}")
    run(f"DROP ROLE {name}")


def change(ratings_url, **parts):
    return parse_url(ratings_url).set(**parts).render_as_string(hide_password=False)


# --- PostgreSQL: who may not


@on_postgresql
def test_who_may_make_no_tables_is_told_the_grant_which_helps(run, guest):
    name, url = guest
    grant = f'GRANT USAGE, CREATE ON SCHEMA public TO "{name}"'
    with refused("permission denied for schema public", grant):
        RatingsStore(url)
    run(grant)
    with RatingsStore(url) as store:
        assert store.add_rater("Anna").nickname == "Anna"


@on_postgresql
def test_who_may_read_reads_and_is_told_the_grant_to_write(run, guest, ratings_url):
    name, url = guest
    with RatingsStore(ratings_url) as owner:
        owner.add_rater("Anna")
    grants = (
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "{name}"',
        f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO "{name}"',
    )
    with refused("permission denied for table", *grants):
        RatingsStore(url)
    run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
    with RatingsStore(url) as store:
        assert store.raters_frame()["nickname"].tolist() == ["Anna"]
        with refused("permission denied for table raters", *grants, kind=ReadOnlyError):
            store.add_rater("Ben")
        for grant in grants:
            run(grant)
        assert store.add_rater("Ben").nickname == "Ben"


@on_postgresql
def test_a_server_that_may_only_be_read_is_read(run, guest, ratings_url):
    name, url = guest
    with RatingsStore(ratings_url) as owner:
        owner.add_rater("Anna")
    run(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
    run(f"ALTER ROLE {name} SET default_transaction_read_only = on")  # as a copy of a server is
    with RatingsStore(url) as store:
        assert len(store.raters_frame()) == 1
        with refused("may only be read", "read-only transaction", kind=ReadOnlyError):
            store.add_rater("Ben")


@on_postgresql
def test_who_is_not_let_in(guest, ratings_url):
    name, _ = guest
    with refused("refuses the password", "%40", "***"):
        RatingsStore(change(ratings_url, username=name, password="wrong secret"))
    with refused("refuses the password"):  # the server does not say that there is no such user
        RatingsStore(change(ratings_url, username="nobody_at_all", password="secret"))
    create = "CREATE DATABASE \"not_there\" ENCODING 'UTF8' TEMPLATE template0"
    with refused("is not there", create):
        RatingsStore(change(ratings_url, database="not_there"))


# --- PostgreSQL: which letters


@on_postgresql
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "UTF8"])
def test_letters_of_all_languages_are_stored_or_the_database_is_refused(run, ratings_url, encoding):
    name = f"tastemaker_test_{uuid4().hex}"
    run(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    url = change(ratings_url, database=name)
    try:
        if encoding == "LATIN1":
            with refused("encoding LATIN1", "ENCODING 'UTF8' TEMPLATE template0"):
                RatingsStore(url)
            return
        with RatingsStore(url) as store:
            token = store.add_rater("Жанна ♪").token
            assert store.rater_by_token(token).nickname == "Жанна ♪"
            assert store.raters_frame()["nickname"].tolist() == ["Жанна ♪"]
    finally:
        run(f"DROP DATABASE {name} WITH (FORCE)")


@on_postgresql
def test_a_latin1_database_of_an_earlier_version_goes_on(run, ratings_url, monkeypatch):
    name = f"tastemaker_test_{uuid4().hex}"
    run(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    url = change(ratings_url, database=name)
    try:
        with monkeypatch.context() as earlier:
            earlier.setattr(database, "TEXT_ENCODINGS", ("LATIN1",))
            RatingsStore(url).close()
        with RatingsStore(url) as store:
            assert store.add_rater("Zoe").nickname == "Zoe"
            with refused("cannot store a letter", "LATIN1", "ENCODING 'UTF8'"):
                store.add_rater("Жанна")
            assert store.raters_frame()["nickname"].tolist() == ["Zoe"]
    finally:
        run(f"DROP DATABASE {name} WITH (FORCE)")


# --- PostgreSQL: a server that goes away


def end_connections(run, ratings_url):
    """End all other connections to the test's database, as a restart of the server does."""
    run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
        f"AND datname = '{parse_url(ratings_url).database}'"
    )


@on_postgresql
def test_a_restart_in_the_middle_of_a_write_is_told_and_the_store_goes_on(run, ratings_url):
    with RatingsStore(ratings_url) as store:
        store.add_rater("Anna")

        def write():
            with store.writing() as session:
                session.connection().exec_driver_sql("DELETE FROM raters")
                end_connections(run, ratings_url)
                session.connection().exec_driver_sql("DELETE FROM raters")

        with refused("closed the connection", "not stored, so try again"):
            write()
        assert store.raters_frame()["nickname"].tolist() == ["Anna"], "undone"
        end_connections(run, ratings_url)
        assert store.add_rater("Ben").nickname == "Ben", "between two commands nobody notices"


@on_postgresql
def test_a_restart_at_the_commit_and_in_a_read(run, ratings_url):
    with RatingsStore(ratings_url) as store:
        store.add_rater("Anna")

        def write():
            with store.writing() as session:
                session.connection().exec_driver_sql("DELETE FROM raters")
                end_connections(run, ratings_url)

        with refused("closed the connection"):
            write()
        with refused("closed the connection"), store.reading() as session:
            session.connection()
            end_connections(run, ratings_url)
            session.connection().exec_driver_sql("SELECT 1")
        assert len(store.raters_frame()) == 1


@on_postgresql
def test_while_a_server_is_away_all_is_refused_and_then_the_store_goes_on(run, ratings_url):
    name = f"tastemaker_test_{uuid4().hex}"
    run(f"CREATE DATABASE {name}")
    url = change(ratings_url, database=name)
    try:
        with RatingsStore(url) as store:
            store.add_rater("Anna")
            run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            end_connections(run, url)
            for _ in range(3):
                with refused("does not answer yet", "try again"):
                    store.add_rater("Ben")
            run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            assert store.add_rater("Ben").nickname == "Ben"
    finally:
        run(f"DROP DATABASE {name} WITH (FORCE)")


@on_postgresql
def test_too_many_connections_are_told(run, guest, ratings_url):
    name, url = guest
    run(f'GRANT USAGE, CREATE ON SCHEMA public TO "{name}"')
    run(f"ALTER ROLE {name} CONNECTION LIMIT 1")
    with RatingsStore(url) as first, first.reading() as session:
        session.connection()
        with refused("no connection left"):
            RatingsStore(url)


@on_postgresql
def test_a_fault_of_the_program_keeps_its_traceback(ratings_url):
    with (
        RatingsStore(ratings_url) as store,
        pytest.raises(ProgrammingError, match="no_such_table"),
        store.reading() as session,
    ):
        session.connection().exec_driver_sql("SELECT * FROM no_such_table")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("connection to server failed: FATAL:  the database system is starting up", "wait until"),
        ("FATAL:  the database system is shutting down", "wait until"),
        ("FATAL:  sorry, too many clients already", "max_connections"),
        ('FATAL:  no pg_hba.conf entry for host "1.2.3.4"', "does not let anna in"),
        ('FATAL:  role "anna" does not exist', "does not let anna in"),
        ("could not translate host name: Name or service not known", "check address and server"),
        ("verbinde neu: " + "der Server will nicht " * 50, "check address and server"),
    ],
)
def test_connections_that_fail_are_told_apart_by_what_is_said(said, words):
    url = parse_url("postgresql://anna:pw@host/ratings")
    error = OperationalError("", {}, Exception(said))
    told = plain_words(error, url, lock_timeout_s=5)
    assert words in told
    assert len(told) < 400


@on_postgresql
def test_a_full_disk_of_the_server_is_called_that(ratings_url):
    with (
        refused("disk of its server is full", "No space left"),
        RatingsStore(ratings_url) as store,
        store.writing() as session,
    ):
        session.connection().exec_driver_sql(
            "DO $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' "
            "USING ERRCODE = '53100'; END $$"
        )


# --- Addresses


@pytest.mark.parametrize(
    "address",
    [
        *("postgresql:/anna:secret@host/ratings", "postgresql:host/ratings", "postgres:"),
        *("postgresql://anna:secret@host:port/ratings", "postgresql+psycopg:/host/ratings"),
        *("sqlite:/ratings.sqlite", "http:/host/ratings"),
    ],
)
def test_a_url_with_a_typo_makes_no_file(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with refused("URL cannot be read", "postgresql://user:password@host:5432/database"):
        RatingsStore(address)
    assert list(tmp_path.iterdir()) == []


@on_postgresql
def test_an_option_that_the_server_does_not_know(ratings_url):
    with refused("cannot be reached with this URL", "sslmod"):
        RatingsStore(f"{ratings_url}?sslmod=require")


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with refused("cannot be made", "check the path"):
        RatingsStore(tmp_path / "file" / "ratings.sqlite")


# --- SQLite: a full disk


@pytest.fixture
def pool(random_melodies):
    """Enough to make a file grow: about 300 kB."""

    def pool(store):
        ids = store.add_melodies(random_melodies(300), policy_id="p", sampler="s", seed=1)
        return store.add_comparisons(random_pairs(ids, 300, Random(1)), round=1)

    return pool


def test_a_database_that_cannot_grow_says_that_the_disk_is_full(tmp_path, pool):
    with RatingsStore(tmp_path / "ratings.sqlite") as store:
        store.add_rater("Anna")

        @event.listens_for(store._database.engine, "begin")
        def limit(connection):
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 4}")

        with refused("ratings.sqlite cannot grow because the disk at", "free some space"):
            pool(store)
        assert store.counts()["melodies"] == 0
        assert len(store.raters_frame()) == 1


def test_a_full_disk_is_named_and_nothing_is_lost(small_disk, pool):
    path = small_disk / "ratings.sqlite"
    with RatingsStore(path) as store:
        store.add_rater("Anna")
        with fill(small_disk), refused(f"the disk at {small_disk} is full"):
            pool(store)
        assert len(store.raters_frame()) == 1
        assert store.add_rater("Ben").nickname == "Ben"
    with fill(small_disk), refused(f"the disk at {small_disk} is full"):
        RatingsStore(path).close()  # the files beside it are made at each opening
    with RatingsStore(path) as store:
        assert len(store.raters_frame()) == 2


def test_a_new_database_on_a_full_disk(small_disk):
    with fill(small_disk), refused(f"the disk at {small_disk} is full"):
        RatingsStore(small_disk / "ratings.sqlite")


def test_a_disk_that_fails_but_is_not_full_is_called_that():
    url = parse_url("ratings.sqlite")
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
    told = plain_words(error, url, lock_timeout_s=5)
    assert "SQLITE_IOERR_FSYNC" in told
    assert "has failed" in told
