"""The database under the ratings store: opening, migrating, sessions, and its clock.

SQLite by default, PostgreSQL by URL. On both, writers stand in line (`BEGIN IMMEDIATE`, or one
advisory lock), so that what a writer reads stays true until it commits; readers are never held up.
A write is on disk when its session ends without an error (WAL with synchronous=FULL).

Times that several processes compare, such as the ends of leases, are by the database's clock
(`database_time`): the clocks of two machines may differ by minutes.

Limits: one machine for SQLite (WAL needs shared memory, so no network folder); a `Database` is not
taken across a fork; sessions are not nested in one thread.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, func, inspect, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from music.disk import os_error_reason
from reward.connections import database_errors, engines
from reward.connections.engines import make_engine

DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql+psycopg")
SCHEME_TYPO = re.compile(r"(postgres(ql)?|sqlite|https?)(\+\w+)?:", re.IGNORECASE)
"""how a path does not begin, but a URL that is written wrongly"""
TEXT_ENCODINGS = ("UTF8", "SQL_ASCII")
"""encodings of a PostgreSQL database that can store all letters"""
_WRONG_URL = (
    "the ratings database's URL cannot be read; it looks like "
    "postgresql://user:password@host:5432/database, with %40 %3A %2F for @ : / in a password"
)
_ALEMBIC = threading.Lock()  # alembic's `context` is one for the whole process


class RatingsError(ValueError):
    """The ratings store cannot do that; one line with the value, the rule and the remedy."""


class ReadOnlyError(RatingsError):
    """Nothing can be written there, though it may be read."""


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

    An SQLite file that may only be read is opened for reading; to write is then refused.

    Raises:
        RatingsError: when it is locked, corrupt, out of reach, not ours, or of a newer schema; or
            of an older one, and may only be read.
    """

    def __init__(self, url_or_path: str | Path, *, lock_timeout_s: float = 5.0) -> None:
        self.url = parse_url(url_or_path)
        self.lock_timeout_s = lock_timeout_s
        self.is_read_only = engines.is_read_only(self.url)
        self._writers = engines.WriterQueue(lock_timeout_s)
        if self.is_read_only and engines.is_journal_unreadable(Path(str(self.url.database))):
            raise RatingsError(
                f"the newest changes of the ratings database {self.name} are in {self.name}-wal, "
                "which cannot be read where nothing may be written; copy both files to a folder of "
                "yours and name the copy: --database PATH"
            )
        try:
            with self._plain_errors():
                migrate(self.url, lock_timeout_s=lock_timeout_s)
                self.engine = make_engine(self.url, lock_timeout_s=lock_timeout_s)
        except ModuleNotFoundError as error:
            raise RatingsError(
                f"PostgreSQL needs the driver {error.name!r}; install tastemaker[postgres]"
            ) from error
        except OSError as error:
            raise RatingsError(
                f"the ratings database {self.name} cannot be made: {os_error_reason(error)}"
            ) from error

    @property
    def name(self) -> str:
        """What to call it in a message: the file, or the URL without its password."""
        if self.url.get_backend_name() == "sqlite":
            return str(self.url.database)
        return self.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def check_writable(self) -> None:
        """Refuse a file that may only be read, before work whose result is to be stored in it.

        Raises:
            ReadOnlyError: with what to do instead.
        """
        if self.is_read_only:
            raise ReadOnlyError(
                f"the ratings database {self.name} may only be read; to change it, copy it to a "
                "folder of yours and name the copy: --database PATH"
            )

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
        """The only session that writes now: committed at the end, or undone by an exception.

        Raises:
            ReadOnlyError: when nothing can be written there.
        """
        self.check_writable()
        writer = self.engine.execution_options(writes=True)
        with (
            self._plain_errors(),
            self._writers.turn(),
            Session(writer) as session,
            session.begin(),
        ):
            session.connection()  # take the lock now, not at the first query
            yield session

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        """Tell what is no fault of the program in a line; the rest keeps its traceback."""
        try:
            yield
        except (DBAPIError, PoolTimeoutError, sqlite3.Error) as error:
            said = database_errors.plain_words(error, self.url, lock_timeout_s=self.lock_timeout_s)
            if said is None:
                raise
            kind = ReadOnlyError if database_errors.is_read_only(error) else RatingsError
            raise kind(f"the ratings database {self.name} {said}") from error


def database_time(session: Session) -> datetime:
    """Now, by the clock that all processes of the database share; UTC.

    PostgreSQL is asked. All processes of an SQLite file run on one machine, so it is that one's.
    """
    if session.get_bind().dialect.name == "sqlite":
        return datetime.now(UTC)
    return session.execute(select(func.clock_timestamp())).scalar_one().astimezone(UTC)


def parse_url(url_or_path: str | Path) -> URL:
    """A URL (anything with `://`) or the path of an SQLite file, which need not exist yet.

    Raises:
        RatingsError: for another kind of database, or one in memory.
    """
    text = str(url_or_path)
    is_path = isinstance(url_or_path, Path) or "://" not in text
    if is_path and not (isinstance(url_or_path, str) and SCHEME_TYPO.match(text)):
        try:
            url = URL.create("sqlite", database=str(Path(text).expanduser()))
        except RuntimeError as error:  # ~somebody who has no account here
            raise RatingsError(
                f"the home folder of {text.partition('/')[0]!r} is not known; write the whole path"
            ) from error
    else:
        try:
            if is_path:
                raise ArgumentError("no ://")
            text.encode()  # half a character is a ValueError here; the driver fails on it later
            url = make_url(text.replace("postgres://", "postgresql://", 1))
        except ValueError as error:  # of a port that is no number
            raise RatingsError(_WRONG_URL) from error
        except ArgumentError as error:
            raise RatingsError(_WRONG_URL) from error
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


def alembic_config() -> Config:
    """Alembic's configuration; it finds the migrations inside the installed package."""
    config = Config()
    config.set_main_option("script_location", "reward:migrations")
    config.set_main_option("path_separator", "os")
    return config


def migrate(url: URL, *, lock_timeout_s: float, config: Config | None = None) -> None:
    """Bring a database, new or old, to the newest schema; several processes may do so at once.

    Raises:
        RatingsError: for a newer schema than this program knows, a database that is not ours, an
            older schema that may only be read, or a new database that cannot store all letters.
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
            if current is None and engine.dialect.name == "postgresql":
                _check_encoding(connection)
        if current == script.get_current_head():
            return
        if engines.is_read_only(url):
            raise ReadOnlyError(
                f"the ratings database {url.database} may only be read, and has the schema of an "
                "earlier version; copy it to a folder of yours and name the copy: --database PATH"
            )
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


def _check_encoding(connection: Connection) -> None:
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding not in TEXT_ENCODINGS:
        raise RatingsError(
            f"the database has the encoding {encoding}, which lacks most letters; make another "
            f"one: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0"
        )
