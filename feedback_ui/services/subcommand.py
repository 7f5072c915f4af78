"""Commands of `tastemaker` in a process of their own, for work that needs a model.

The studio's process loads no torch. What a command refuses it says in one line, which the page
shows; so the studio checks nothing that the command line checks already.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from music.messages import shorten
from reward.store.process_environment import process_environment

_PREFIXES = ("Error: ", "tastemaker: ")


class CommandError(ValueError):
    """A command refused; its own line of why."""


def own_command(*arguments: str) -> list[str]:
    """`tastemaker` with these arguments, by the studio's own Python."""
    return [sys.executable, "-m", "tastemaker", *arguments]


def environment(database: str) -> Mapping[str, str]:
    """What such a process is told: our rooms, the database, and to say at once what it says."""
    return {**process_environment(database), "PYTHONUNBUFFERED": "1"}


def refusal(said: str) -> str:
    """The line in which a command says what it refuses; '' when it said nothing."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    for prefix in _PREFIXES:
        last = last.removeprefix(prefix)
    return shorten(last)
