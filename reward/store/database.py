"""The database under the ratings store: opening, migrating, sessions, and errors in plain words.

SQLite by default, PostgreSQL by URL. On both, writers stand in line (`BEGIN IMMEDIATE`, or one
advisory lock), so that what a writer reads stays true until it commits; readers are never held up.
A write is on disk when its session ends without an error (WAL with synchronous=FULL).

Limits: one machine for SQLite (WAL needs shared memory, so no network folder); a `Database` is not
taken across a fork; sessions are not nested in one thread.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql+psycopg")
WRITER_LOCK = 0x7A57E  # any number, as long as every process takes the same
_ALEMBIC = threading.Lock()  # alembic's `context` is one for the whole process


class RatingsError(ValueError):
    """The ratings store cannot do that; one line with the value, the rule and the remedy."""


def check_text(name: str, value: str, least: int, most: int) -> None:
    """Refuse text that a database would refuse, or cut.

    Raises:
        RatingsError: for a length outside the limits, a NUL, or half a surrogate pair.
    """
    if not isinstance(value, str) or not least <= len(value) <= most:
        length = len(value) if isinstance(value, str) else type(value).__name__
        raise RatingsError(f"{name} has length {length}; it is text of {least} to {most} letters")
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise RatingsError(f"{name}={value!r} holds a NUL or half a character; send plain text")


class Database:
    """An open database at the newest schema.

    Raises:
        RatingsError: when it is locked, corrupt, out of reach, not ours, or of a newer schema.
    """

    def __init__(self, url_or_path: str | Path, *, lock_timeout_s: float = 5.0) -> None:
        self.url = parse_url(url_or_path)
        self.lock_timeout_s = lock_timeout_s
        self._writers = threading.Lock()
        with self._plain_errors():
            migrate(self.url, lock_timeout_s=lock_timeout_s)
            self.engine = make_engine(self.url, lock_timeout_s=lock_timeout_s)

    @property
    def name(self) -> str:
        """What to call it in a message: the file, or the URL without its password."""
        if self.url.get_backend_name() == "sqlite":
            return str(self.url.database)
        return self.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def forget_deleted(self) -> None:
        """Let no deleted text stand in SQLite's journal, as far as readers allow it now."""
        if self.url.get_backend_name() == "sqlite":
            with self._plain_errors(), self.engine.connect() as connection:
                # Outside of a transaction: a checkpoint inside one is refused.
                driver = connection.connection.dbapi_connection
                assert isinstance(driver, sqlite3.Connection)
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one moment of the database and writes nothing."""
        with self._plain_errors(), Session(self.engine) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """The only session that writes now: committed at the end, or undone by an exception."""
        writer = self.engine.execution_options(writes=True)
        with self._plain_errors(), self._turn(), Session(writer) as session, session.begin():
            session.connection()  # take the lock now, not at the first query
            yield session

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One writer of this process: SQLite's own waiting is fair to nobody, and sleeps 0.1 s."""
        if not self._writers.acquire(timeout=self.lock_timeout_s):
            raise sqlite3.OperationalError("locked by another thread of this program")
        try:
            yield
        finally:
            self._writers.release()

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, PoolTimeoutError, sqlite3.Error) as error:
            raise RatingsError(self._explain(error)) from error
        except DatabaseError as error:
            # Exactly this class is how SQLite says that a file is damaged; its subclasses
            # (constraints, wrong SQL) are faults of the program and keep their traceback.
            if type(error) is not DatabaseError:
                raise
            raise RatingsError(self._explain(error)) from error

    def _explain(self, error: Exception) -> str:
        said = " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())
        for signs, meaning in (
            (
                ("locked", "lock timeout", "QueuePool limit"),
                f"is locked: another program has been writing for over {self.lock_timeout_s:g} s; "
                "nothing was stored, so close that program or wait, and try again",
            ),
            (
                ("readonly", "read-only"),
                "may not be written; check the rights of the file and its folder",
            ),
            (("is full",), "cannot grow because the disk is full; free some space and try again"),
            (
                ("malformed", "not a database"),
                f"is damaged or not a ratings database ({said}); keep a copy and restore a backup",
            ),
            (
                ("unable to open",),
                "cannot be opened; give the path of a file, in a folder of yours",
            ),
        ):
            if any(sign in said for sign in signs):
                return f"the ratings database {self.name} {meaning}"
        return f"the ratings database {self.name} cannot be used: {said}; check address and server"


def parse_url(url_or_path: str | Path) -> URL:
    """A URL (anything with `://`) or the path of an SQLite file, which need not exist yet.

    Raises:
        RatingsError: for another kind of database, or one in memory.
    """
    text = str(url_or_path)
    if isinstance(url_or_path, Path) or "://" not in text:
        url = URL.create("sqlite", database=str(Path(text).expanduser()))
    else:
        try:
            url = make_url(text.replace("postgres://", "postgresql://", 1))
        except ArgumentError as error:
            raise RatingsError(
                "the ratings database's URL cannot be read; it looks like "
                "postgresql://user:password@host/database"
            ) from error
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise RatingsError(
            f"ratings in {url.get_backend_name()!r} are not supported; use the path of an SQLite "
            "file or a postgresql:// URL"
        )
    if url.drivername in ("postgresql", "postgresql+psycopg2"):  # the same server, by our driver
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in DRIVERS:
        raise RatingsError(
            f"the driver in {url.drivername}:// is not supported; leave it out: "
            f"{url.get_backend_name()}://…"
        )
    if url.get_backend_name() == "sqlite" and (url.database or "") in ("", ".", ":memory:"):
        raise RatingsError(f"{text!r} names no file, and votes are to be kept; give a file's path")
    return url


def make_engine(url: URL, *, lock_timeout_s: float, foreign_keys: bool = True) -> Engine:
    """An engine with the settings that SQLAlchemy leaves off, and one writer at a time.

    Raises:
        RatingsError: when PostgreSQL's driver is not installed.
    """
    if url.get_backend_name() == "sqlite":
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, connect_args={"timeout": lock_timeout_s})

        @event.listens_for(engine, "connect")
        def settle(connection: sqlite3.Connection, _record: object) -> None:
            connection.isolation_level = None  # we begin ourselves, below
            _use_wal(connection, lock_timeout_s)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA secure_delete=ON")  # a withdrawn comment is overwritten
            connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")

        @event.listens_for(engine, "begin")
        def begin_sqlite(connection: Connection) -> None:
            # BEGIN IMMEDIATE: a deferred read-then-write is refused at once when another voter
            # holds the lock, whatever the timeout.
            writes = connection.get_execution_options().get("writes", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine
    try:
        engine = create_engine(url, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise RatingsError(
            f"PostgreSQL needs the driver {error.name!r}; install tastemaker[postgres]"
        ) from error

    @event.listens_for(engine, "begin")
    def begin_postgresql(connection: Connection) -> None:
        if connection.get_execution_options().get("writes", False):
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(lock_timeout_s * 1000)}")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")
        else:
            # One snapshot for all queries of a read, as SQLite gives.
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    return engine


def _use_wal(connection: sqlite3.Connection, timeout_s: float) -> None:
    # SQLite does not wait its busy timeout here, and several processes may create the file at once.
    until = time.monotonic() + timeout_s
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def alembic_config() -> Config:
    """Alembic's configuration; it finds the migrations inside the installed package."""
    config = Config()
    config.set_main_option("script_location", "reward:migrations")
    config.set_main_option("path_separator", "os")
    return config


def migrate(url: URL, *, lock_timeout_s: float, config: Config | None = None) -> None:
    """Bring a database, new or old, to the newest schema; several processes may do so at once.

    Raises:
        RatingsError: for a newer schema than this program knows, or a database that is not ours.
    """
    config = config or alembic_config()
    script = ScriptDirectory.from_config(config)
    # Changing a table in SQLite means to rebuild it, and dropping the old one with foreign keys on
    # would count as deleting its rows. They are checked at the end instead.
    engine = make_engine(url, lock_timeout_s=lock_timeout_s, foreign_keys=False)
    try:
        with engine.connect() as connection:
            current = _revision(connection, script)
            if engine.dialect.name == "sqlite":
                found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
                if found != "ok":
                    raise sqlite3.DatabaseError(f"malformed: {found}")
        if current == script.get_current_head():
            return
        with _ALEMBIC, engine.execution_options(writes=True).begin() as connection:
            _revision(connection, script)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if engine.dialect.name == "sqlite":
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                if broken:
                    raise RatingsError(
                        f"the new schema would leave {len(broken)} rows without what they refer to "
                        f"(first in {broken[0][0]!r}); nothing was changed, restore a backup"
                    )
    finally:
        engine.dispose()


def _revision(connection: Connection, script: ScriptDirectory) -> str | None:
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None:
        others = sorted(set(inspect(connection).get_table_names()) - {"alembic_version"})
        if others:
            raise RatingsError(
                f"the database holds other tables ({', '.join(others[:3])}); "
                "ratings need a database of their own"
            )
    elif current not in {revision.revision for revision in script.walk_revisions()}:
        raise RatingsError(
            f"the database has schema {current!r}, newer than this program's "
            f"{script.get_current_head()!r}; update tastemaker"
        )
    return current
