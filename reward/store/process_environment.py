"""What a process of ours is told by its environment: where our rooms are, and which database."""

from __future__ import annotations

import os
from pathlib import Path

DATABASE_VARIABLE = "TASTEMAKER_DATABASE"
"""names the database, which has no place on a command line: anyone may read those, and its address
may hold a password"""
ROOMS = Path(__file__).resolve().parents[2]


def process_environment(database: str | None = None) -> dict[str, str]:
    """The environment of a process that imports our rooms, in whatever folder it works.

    Args:
        database: that it is to use; None leaves that as it is.
    """
    python_path = os.pathsep.join(filter(None, (str(ROOMS), os.environ.get("PYTHONPATH"))))
    return {
        **os.environ,
        **({} if database is None else {DATABASE_VARIABLE: database}),
        "PYTHONPATH": python_path,
        # What it says is read as UTF-8, whatever the terminal of its starter shows.
        "PYTHONIOENCODING": "utf-8",
        # A folder `rl` or `env` of the working folder must not be taken for ours.
        "PYTHONSAFEPATH": "1",
    }
