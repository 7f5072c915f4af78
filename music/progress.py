"""How far a piece of work is, told while it runs; whoever asked for the work may show it.

A loop that can take seconds calls a `Progress` with what is done and of how much. Work of several
stages calls a `Report`, whose first argument names the stage; `partial(report, "stage")` is the
`Progress` of one of them.
"""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""is given what is done, and of how much"""
Report = Callable[[str, int, int], None]
"""is given the stage, what is done, and of how much; 0 of 0 where nothing is counted"""


def no_progress(done: int, total: int) -> None:
    """A `Progress` that nobody sees."""


def no_report(stage: str, done: int, total: int) -> None:
    """A `Report` that nobody sees."""
