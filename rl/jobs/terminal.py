"""Jobs in the terminal: a table of all, a live view of one, a comparison of several.

Renders data of `rl.jobs.queue` and of run folders with rich. `watch` redraws a table on a terminal;
elsewhere it writes a line for each update. This module does not import torch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from policy.runs import Run, RunError
from rl.jobs.queue import read_job, reap_dead_jobs, time_of
from rl.jobs.record import Job, Sessions

STATE_STYLES = {
    "queued": "yellow",
    "running": "cyan",
    "done": "green",
    "failed": "red",
    "stopped": "magenta",
}
COLUMNS = (
    ("update", "update", "d"),
    ("reward", "reward", "+.3f"),
    ("score_mean", "score", "+.2f"),
    ("score_std", "std", ".2f"),
    ("kl_nats", "KL nats", ".2f"),
    ("vendi", "diversity", ".1f"),
    ("originality", "originality", ".2f"),
    ("notes", "notes", ".1f"),
    ("seconds", "s/update", ".1f"),
    ("guards_broken", "guards broken", ""),
)
"""key in a log row, title, format"""
ROWS_SHOWN = 12
POLL_S = 0.5
PIPE_WIDTH = 200
"""columns when the output is no terminal"""


def make_console(*, stderr: bool = False) -> Console:
    """A console that is wide enough for a table when the output is not a terminal.

    Markup is off: brackets in names, file contents and messages are shown as they are.
    """
    console = Console(markup=False, emoji=False, highlight=False, stderr=stderr)
    if console.is_terminal:
        return console
    return Console(markup=False, emoji=False, highlight=False, stderr=stderr, width=PIPE_WIDTH)


def update_line(row: dict[str, Any], updates: int | None = None) -> str:
    """An update of the log in one line."""
    broken = row.get("guards_broken")
    at = f"{row['update']:3d}" if updates is None else f"{row['update']:3d} of {updates}"
    return (
        f"update {at}   score {row['score_mean']:+.2f} ± {row['score_std']:.2f}   "
        f"KL {row['kl_nats']:5.2f} nats   diversity {row['vendi']:5.1f}   originality "
        f"{row['originality']:.2f}   notes {row['notes']:.1f}   {row['seconds']:.1f} s"
        + (f"   broken: {cell(broken, '')}" if broken else "")
    )


def kept_line(row: dict[str, Any]) -> str:
    """The update that a finished run kept, from its log row."""
    return (
        f"kept update {row['update']}: score {row['score_mean']:+.2f}, KL {row['kl_nats']:.2f} nats"
    )


def jobs_table(jobs: Sequence[Job], now: datetime) -> Table:
    """A table with a row for each job."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("run", "job", "state", "started", "took", "process"):
        table.add_column(title, no_wrap=True)
    table.add_column("message", overflow="fold")
    for job in jobs:
        begun = job.started_at or job.created_at
        took = (job.finished_at or now) - begun if job.started_at else timedelta()
        table.add_row(
            job.run_id,
            job.short_id,
            Text(job.state, STATE_STYLES[job.state]),
            f"{begun.astimezone():%Y-%m-%d %H:%M}",
            duration(took),
            f"{job.pid}@{job.host}" if job.pid else "–",
            job.message,
        )
    return table


def job_view(job: Job, now: datetime) -> RenderableType:
    """A panel with a job's state, progress and newest updates."""
    run = Run(job.folder)
    rows, updates = run.rows(), updates_of(job)
    done = rows[-1]["update"] if rows else 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for _, title, _ in COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows[-ROWS_SHOWN:]:
        table.add_row(*(cell(row.get(key), form) for key, _, form in COLUMNS))
    progress = Table.grid(padding=(0, 1))
    seconds = [row["seconds"] for row in rows[-ROWS_SHOWN:]]
    if updates is not None:
        left_s = (updates - done) * sum(seconds) / max(1, len(seconds)) if job.is_live else 0.0
        progress.add_row(
            ProgressBar(total=updates, completed=done, width=40),
            f"{done}/{updates}",
            f"about {duration(timedelta(seconds=left_s))} left" if left_s else "",
        )
    state = Text(job.state, STATE_STYLES[job.state])
    if job.is_live and job.cancel_requested:
        state.append(", asked to stop")
    if job.heartbeat_at and job.is_live:
        state.append(f", beat {duration(now - job.heartbeat_at)} ago", "dim")
    title = f"{job.run_id}  job {job.short_id}  {job.pid or '–'}@{job.host}"
    checkpoint = f"checkpoint {job.last_checkpoint or 'none yet'}"
    return Panel(
        Group(state, Text(job.message), progress, table, Text(checkpoint, "dim")),
        title=Text(title),  # a panel would read a string as markup on any console
        title_align="left",
        expand=False,
    )


def watch(store: Sessions, job: Job, console: Console, *, after: int = -1) -> Job:
    """Show a job until it has ended, and return it.

    Args:
        store: the database.
        job: which one.
        console: the output; a live table on a terminal, otherwise a line for each update.
        after: print lines only for updates after this one.
    """
    if not console.is_terminal:
        return _watch_in_lines(store, job, console, after)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            job = _look(store, job)
            live.update(job_view(job, time_of(store)), refresh=True)
            if not job.is_live:
                return job
            time.sleep(POLL_S)


def _watch_in_lines(store: Sessions, job: Job, console: Console, after: int) -> Job:
    updates, said = updates_of(job), ""
    while True:
        job = _look(store, job)
        for row in Run(job.folder).rows():
            if row["update"] > after:
                after = row["update"]
                console.print(update_line(row, updates), soft_wrap=True)
        if job.state == "queued" and job.message != said:
            said = job.message
            console.print(said, soft_wrap=True)
        if not job.is_live:
            return job
        time.sleep(POLL_S)


def _look(store: Sessions, job: Job) -> Job:
    reap_dead_jobs(store)
    return read_job(store, job.id)


def comparison_table(title: str, names: Sequence[str], rows: dict[str, list[Any]]) -> Table:
    """A table with a column for each run and a row for each setting or figure."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    for label, values in rows.items():
        table.add_row(label, *(cell(value, ".4g") for value in values))
    return table


def updates_of(job: Job) -> int | None:
    """Number of updates of the job's run; None when its folder or record cannot be read here."""
    try:
        return Run(job.folder).count("updates")
    except RunError:  # on another machine, or damaged
        return None


def cell(value: object, form: str) -> str:
    """A value as text for a table; – for None."""
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return format(value, form) if isinstance(value, int | float) else str(value)


def duration(time_taken: timedelta) -> str:
    """A duration in the largest two units that matter."""
    seconds = max(0, round(time_taken.total_seconds()))
    minutes, hours = seconds // 60, seconds // 3600
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"
