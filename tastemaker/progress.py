"""Progress on stderr: a bar on a terminal, plain lines anywhere else. stdout is for results.

with shown_progress() as shown:
shown("writing melodies", 20, 400)
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_EVERY_S = 5.0
"""seconds between plain lines of one stage"""


class ShownProgress(Protocol):
    """A `music.progress.Report` that people see."""

    def __call__(self, stage: str, done: int = 0, total: int = 0, /) -> None:
        """Show how far a stage is."""

    def say(self, line: str) -> None:
        """Print a result to stdout."""


@contextmanager
def shown_progress() -> Iterator[ShownProgress]:
    """Progress that is shown until the context ends."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    # Imported here: it takes a while, and `--help` needs none of it.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        SpinnerColumn("line"),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[counted]}"),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,  # what is printed to stdout stays there
        redirect_stderr=False,
    ) as bars:
        yield _Bar(bars)


class _Bar:
    """One bar, for the stage at hand."""

    def __init__(self, bars: Progress) -> None:
        self._bars, self._stage = bars, ""
        self._task: TaskID | None = None

    def __call__(self, stage: str, done: int = 0, total: int = 0, /) -> None:
        counted = f"{done} of {total}" if total else ""
        if self._task is not None and stage == self._stage:
            self._bars.update(self._task, completed=done, counted=counted)
            return
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._stage = stage
        self._task = self._bars.add_task(
            stage, completed=done, total=total or None, counted=counted
        )

    def say(self, line: str) -> None:
        self._bars.stop()  # takes the bar from the terminal, where the line may go too
        click.echo(line)
        self._bars.start()


class _Lines:
    """A line at the start of each stage, at its end, and every few seconds between."""

    def __init__(self) -> None:
        self._stage, self._said, self._said_at_s = "", "", 0.0

    def __call__(self, stage: str, done: int = 0, total: int = 0, /) -> None:
        now_s = time.monotonic()
        is_due = stage != self._stage or done == total or now_s - self._said_at_s >= LINE_EVERY_S
        line = f"{stage}: {done} of {total}" if total else stage
        if is_due and line != self._said:
            click.echo(line, err=True)
            self._stage, self._said, self._said_at_s = stage, line, now_s

    def say(self, line: str) -> None:
        click.echo(line)
