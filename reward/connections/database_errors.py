"""Errors of the database in plain words, each with its remedy; errors of the program are left out.

SQLite's are told apart by their names, PostgreSQL's by their SQLSTATE. PostgreSQL gives none when a
connection fails; then its words decide, which are English unless the server speaks another language
(the general message is shown then).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from music.disk import disk_of, is_full

MOST_SAID = 200
"""letters of the database's own words that a message repeats"""
ENVIRONMENTAL = ("08", "0A", "25", "28", "3D", "3F", "40", "42501", "53", "54", "55", "57", "58")
"""beginnings of the SQLSTATEs of which the program is not the cause; and those of text, below"""
UNKNOWN_LETTERS = ("22021", "22P05")
READ_ONLY = ("25006", "42501")
FAILED_CONNECTIONS = (
    ("password authentication failed", "28P01"),
    ("no password supplied", "28P01"),
    ("no pg_hba.conf entry", "28000"),
    ("starting up", "57P03"),
    ("shutting down", "57P03"),
    ("accepting connections", "57P03"),  # not, or not currently
    ("terminating connection", "57P01"),
    ("server closed the connection", "57P01"),
    ("connection is closed", "57P01"),
    ("connection is lost", "57P01"),
    ("too many c", "53300"),  # clients, connections
    ("remaining connection slots", "53300"),
    ("permission denied for database", "42501"),
    ("invalid connection option", "08001"),
    ("invalid sslmode", "08001"),
)
"""words of a failed connection, and the SQLSTATE that PostgreSQL does not hand on"""


def words_of(error: Exception) -> str:
    """What the database said, in one line."""
    said = " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())
    return said if len(said) <= MOST_SAID else f"{said[:MOST_SAID]}…"


def is_read_only(error: Exception) -> bool:
    """Whether it says that nothing may be written."""
    driver = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(driver, sqlite3.Error):
        return "readonly" in str(driver)
    return getattr(driver, "sqlstate", None) in READ_ONLY


def plain_words(error: Exception, url: URL, *, lock_timeout_s: float) -> str | None:
    """What is wrong and what to do, to follow the database's name; None for a fault of the program.

    Args:
        error: what SQLAlchemy or SQLite's driver raised.
        url: of the database.
        lock_timeout_s: how long was waited for other writers.
    """
    if isinstance(error, PoolTimeoutError):
        return _locked(lock_timeout_s)
    driver = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(driver, sqlite3.Error):
        return _of_sqlite(driver, Path(str(url.database)), lock_timeout_s)
    if isinstance(error, DBAPIError):
        return _of_postgresql(error, url, lock_timeout_s)
    return None


def _locked(lock_timeout_s: float) -> str:
    return (
        f"is locked: another program has been writing for over {lock_timeout_s:g} s; nothing was "
        "stored, so close that program or wait, and try again"
    )


def _disk_full(path: Path) -> str:
    return (
        f"cannot grow because the disk at {disk_of(path)} is full; nothing was stored, so free "
        "some space on it and try again"
    )


def _of_sqlite(error: sqlite3.Error, path: Path, lock_timeout_s: float) -> str | None:
    said, name = words_of(error), getattr(error, "sqlite_errorname", "")
    if "locked" in said:
        return _locked(lock_timeout_s)
    if "readonly" in said:
        return (
            "may not be written; check the rights of the file and its folder, or use a copy of it "
            "in a folder of yours"
        )
    if name == "SQLITE_FULL" or "is full" in said:
        return _disk_full(path)
    if "malformed" in said or "not a database" in said:
        return f"is damaged or not a ratings database ({said}); keep a copy and restore a backup"
    if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN")) and is_full(path):
        return _disk_full(path)  # SQLite says so of its database only, not of the files beside it
    if name.startswith("SQLITE_IOERR"):
        return (
            f"cannot be read or written ({said}, {name}): the disk at {disk_of(path)} has failed, "
            "or a limit on the size of files was met (ulimit -f); copy the file to another disk"
        )
    if "unable to open" in said:
        return "cannot be opened; give the path of a file, in a folder of yours"
    # Exactly DatabaseError is how SQLite says that a file is damaged; its subclasses (constraints,
    # wrong SQL) are faults of the program, but for what happens to files.
    if type(error) in (sqlite3.DatabaseError, sqlite3.OperationalError):
        return f"cannot be used: {said}; check that it is a ratings database"
    return None


def _of_postgresql(error: DBAPIError, url: URL, lock_timeout_s: float) -> str | None:
    said = words_of(error)
    state = getattr(error.orig, "sqlstate", None) or next(
        (state for words, state in FAILED_CONNECTIONS if words in said), ""
    )
    user, database = url.username or "your user", url.database or url.username
    if not state and "does not exist" in said:
        state = "3D000" if "database" in said else "28000"
    if state == "55P03":
        return _locked(lock_timeout_s)
    if state == "42501" and "schema" in said:
        return (
            f"does not let {user} make tables ({said}); run this in it as its owner: "
            f'GRANT USAGE, CREATE ON SCHEMA public TO "{user}"'
        )
    remedies = {
        "28P01": "refuses the password; check user and password in the URL, where the characters "
        "@ : / # % of a password are written as %40 %3A %2F %23 %25",
        "28000": f"does not let {user} in ({said}); check the user in the URL, or have the "
        "server's administrator let them in",
        "3D000": "is not there; check its name in the URL, or make it: CREATE DATABASE "
        f"\"{database}\" ENCODING 'UTF8' TEMPLATE template0",
        "3F000": f"has no schema for the tables of {user} ({said}); run this in it as its owner: "
        f'GRANT USAGE, CREATE ON SCHEMA public TO "{user}"',
        "42501": f"does not give {user} the rights that are needed ({said}); run this in it as its "
        f'owner: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "{user}"; '
        f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO "{user}"',
        "25006": f"may only be read ({said}); use the address of the server that is written to, or "
        f"a user who may write",
        "53100": f"cannot grow because the disk of its server is full ({said}); nothing was "
        "stored, so free some space there and try again",
        "53300": f"has no connection left ({said}); close other programs that use it, or raise "
        "max_connections of the server",
        "57P01": f"closed the connection ({said}): its server was stopped or restarted; what was "
        "not saved was not stored, so try again",
        "57P03": f"does not answer yet ({said}); wait until its server has started, and try again",
        "08001": f"cannot be reached with this URL ({said}); take the wrong option out of it",
    }
    if state in remedies:
        return remedies[state]
    if state[:2] == "40":
        return f"was changed by another program at the same moment ({said}); try again"
    if state in UNKNOWN_LETTERS:
        return (
            f"cannot store a letter that was typed ({said}); its encoding is not UTF8: move it to "
            f"a database that was made with ENCODING 'UTF8' TEMPLATE template0"
        )
    if not state.startswith(ENVIRONMENTAL) and not isinstance(
        error, OperationalError | InterfaceError
    ):
        return None
    return f"cannot be used: {said}; check address and server"
