"""Connections to a database, with the settings that SQLAlchemy leaves off.

An SQLite file that may not be written is opened for reading only. SQLite would want a file beside
it even for that (the index of its journal), so a file without a journal is opened as one that does
not change (`immutable`); if another user writes it meanwhile, a reader may be told that it is
damaged, and has to run again.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event

from music.files import make_folder

WRITER_LOCK = 0x7A57E  # any number, as long as every process takes the same


class WriterQueue:
    """The writers among the threads of a program, first come, first served.

    SQLite's own waiting is fair to nobody, and sleeps 0.1 s at a time. Who waits gives up when one
    writer takes over `patience_s`, not when many are served meanwhile.
    """

    def __init__(self, patience_s: float) -> None:
        self.patience_s = patience_s
        self._line: deque[object] = deque()
        """the one who writes first, then those who wait"""
        self._changed = threading.Condition()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait in line, and be the only writer in here.

        Raises:
            sqlite3.OperationalError: when one writer takes too long.
        """
        me = object()
        with self._changed:
            self._line.append(me)
        try:
            self._wait(me)
            yield
        finally:
            with self._changed:
                self._line.remove(me)
                self._changed.notify_all()

    def _wait(self, me: object) -> None:
        with self._changed:
            while (writer := self._line[0]) is not me:
                moved = self._changed.wait_for(
                    lambda writer=writer: self._line[0] is not writer, self.patience_s
                )
                if not moved:
                    raise sqlite3.OperationalError("locked by another thread of this program")


def is_read_only(url: URL) -> bool:
    """Whether it is an SQLite file that is there, and that may be read but not written here."""
    path = Path(str(url.database))
    if url.get_backend_name() != "sqlite" or not path.is_file() or not os.access(path, os.R_OK):
        return False
    # Without rights on the folder, both files beside it serve where they are there and may be used.
    beside = [path.parent, *(_beside(path, end) for end in ("-wal", "-shm"))]
    folder, *files = (os.access(file, os.W_OK) for file in beside)
    return not os.access(path, os.W_OK) or not (folder or all(files))


def has_journal(path: Path) -> bool:
    """Whether an SQLite file has changes in the journal beside it."""
    journal = _beside(path, "-wal")
    return journal.is_file() and journal.stat().st_size > 0


def is_journal_unreadable(path: Path) -> bool:
    """Whether changes in the journal cannot be read, because its index would have to be made."""
    index = _beside(path, "-shm")
    return has_journal(path) and not index.is_file() and not os.access(path.parent, os.W_OK)


def make_engine(url: URL, *, lock_timeout_s: float, foreign_keys: bool = True) -> Engine:
    """An engine with one writer at a time.

    Raises:
        ModuleNotFoundError: when PostgreSQL's driver is not installed.
        OSError: when the folder of an SQLite file cannot be made.
    """
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, lock_timeout_s, foreign_keys)
    # Text is UTF-8 here, whatever the database has: without this, one in SQL_ASCII hands out bytes.
    engine = create_engine(url, pool_pre_ping=True, connect_args={"client_encoding": "utf8"})

    @event.listens_for(engine, "begin")
    def begin_postgresql(connection: Connection) -> None:
        if connection.get_execution_options().get("writes", False):
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(lock_timeout_s * 1000)}")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")
        else:
            # One snapshot for all queries of a read, as SQLite gives.
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    return engine


def _sqlite_engine(url: URL, lock_timeout_s: float, foreign_keys: bool) -> Engine:
    path, read_only = Path(str(url.database)), is_read_only(url)
    if read_only:
        how = "mode=ro" if has_journal(path) else "mode=ro&immutable=1"
        address = f"file:{quote(str(path.resolve()))}?{how}"
        engine = create_engine(
            url,
            creator=lambda: sqlite3.connect(
                address, uri=True, timeout=lock_timeout_s, check_same_thread=False
            ),
        )
    else:
        make_folder(path.parent)
        engine = create_engine(url, connect_args={"timeout": lock_timeout_s})

    @event.listens_for(engine, "connect")
    def settle(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we begin ourselves, below
        if not read_only:
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


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)
