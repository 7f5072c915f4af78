"""Commands of `tastemaker.py` in a process of their own, for work that needs a model.

The studio's process loads no torch. What a command refuses it says in one line, which the page
shows; so the studio checks nothing that the command line checks already.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence

from reward.process_environment import process_environment

_PREFIXES = ("Error: ", "tastemaker: ")


class CommandError(ValueError):
    """A command refused; its own line of why."""


def own_command(*arguments: str) -> list[str]:
    """`tastemaker` with these arguments, by the studio's own Python."""
    return [sys.executable, "-m", "tastemaker", *arguments]


def environment(database: str) -> Mapping[str, str]:
    """What such a process is told: our rooms, the database, and to say at once what it says."""
    return {**process_environment(database), "PYTHONUNBUFFERED": "1"}


def run_command(arguments: Sequence[str], database: str, *, timeout_s: float = 120) -> str:
    """Run a short command to its end; what it printed.

    Raises:
        CommandError: with the command's line when it refuses, or when it takes too long.
    """
    try:
        done = subprocess.run(
            own_command(*arguments),
            env=environment(database),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(
            f"tastemaker {arguments[0]} did not answer within {timeout_s:.0f} s; try again"
        ) from error
    if done.returncode:
        raise CommandError(refusal(done.stderr) or f"tastemaker {arguments[0]} failed; try again")
    return done.stdout


def refusal(said: str) -> str:
    """The line in which a command says what it refuses; '' when it said nothing."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    for prefix in _PREFIXES:
        last = last.removeprefix(prefix)
    return last
