"""`tastemaker jobs`: PPO runs in processes of their own, and `run_job`, which starts one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tastemaker.options import (
    database_option,
    detach_option,
    job_argument,
    job_database_option,
    on_database,
    slots_option,
)
from tastemaker.progress import shown_progress

if TYPE_CHECKING:
    from reward.store.database import Database
    from rl.jobs.record import Job, JobSettings


@click.group(invoke_without_command=True)
@database_option
@click.option("--all", "every", is_flag=True, help="Every job, not only the newest of each run.")
@click.pass_context
def jobs(context: click.Context, database: str, every: bool) -> None:
    """List the PPO jobs; watch, stop, resume and compare them.

    Whoever lists jobs first marks those whose process died as failed, also after a crash or a
    reboot, and is told how to go on. JOB is the name of a run, or the beginning of a job's id.
    """
    context.obj = database
    if context.invoked_subcommand is not None:
        return
    from dataclasses import replace

    from rl.jobs.queue import list_jobs, time_of
    from rl.jobs.terminal import jobs_table, make_console

    with _opened(database) as store:
        listed, now = list_jobs(store, every=every), time_of(store)
    resumed = {job.resumes for job in listed}
    told = [
        job if job.id in resumed else replace(job, message=_message_and_step(job, database))
        for job in listed
    ]
    make_console().print(jobs_table(told, now))


@jobs.command("watch")
@job_argument
@job_database_option
@click.option("--once", is_flag=True, help="Show the job as it is now, and end.")
def watch_job(job: str, database: str, once: bool) -> None:
    """Show the progress of a job until it ends; ctrl-c ends the watching, not the job."""
    from rl.jobs.queue import time_of
    from rl.jobs.terminal import job_view, make_console, watch

    with _found(database, job) as (store, found):
        if not once:
            found = watch(store, found, make_console())
            click.echo(f"{found.state}: {_message_and_step(found, database)}")
            return
        make_console().print(job_view(found, time_of(store)))
        if found.was_interrupted:
            click.echo(f"go on with: {on_database(found.resume_command, database)}")


@jobs.command("stop")
@job_argument
@job_database_option
@click.option("--wait", is_flag=True, help="Wait until it has ended.")
def stop_job(job: str, database: str, wait: bool) -> None:
    """End a job after the update in hand, with its checkpoint saved; a waiting job ends at once."""
    from rl.jobs.queue import ask_to_stop, wait_for_end

    with _found(database, job) as (store, found):
        ask_to_stop(store, found)
        if not wait:
            step = on_database(f"tastemaker jobs watch {found.run_id}", database)
            click.echo(f"{found.run_id} ends after the update in hand   next: {step}")
            return
        click.echo(f"{found.run_id} ends after the update in hand")
        with shown_progress() as shown:
            shown("waiting for the end of the update in hand")
            found = wait_for_end(store, found)
        click.echo(f"{found.state}: {_message_and_step(found, database)}")


@jobs.command("resume")
@job_argument
@job_database_option
@detach_option
@slots_option
def resume_job(job: str, database: str, detach: bool, slots: int) -> None:
    """Go on with a run that was stopped or died, from its newest whole step, to the same bits.

    The base policy and the reward must be what they were.
    """
    from dataclasses import replace

    from rl.jobs.queue import check_resumable

    with _found(database, job) as (_, found):
        check_resumable(found)
    run_job(database, found.folder, replace(found.settings, slots=slots), detach=detach)


@jobs.command("logs")
@job_argument
@job_database_option
@click.option("--lines", type=click.IntRange(1), default=100, help="Number of lines, from the end.")
def job_logs(job: str, database: str, lines: int) -> None:
    """Print the end of the log of a job's run, with tracebacks."""
    from rl.jobs.queue import log_tail

    with _found(database, job) as (_, found):
        for line in log_tail(found, lines):
            click.echo(line)


@jobs.command("compare")
@click.argument("jobs", nargs=-1, required=True)
@job_database_option
def compare_jobs(jobs: tuple[str, ...], database: str) -> None:
    """Show in which settings, parents and code jobs differ, and the figures of each.

    The figures are those of the update that a run kept, or of its newest while it is not finished.
    """
    from policy.runs import Run
    from rl.jobs.queue import find_job
    from rl.jobs.terminal import comparison_table, make_console
    from rl.runs.run_comparison import compare_runs

    with _opened(database) as store:
        runs = [Run(find_job(store, job).folder) for job in jobs]
    found, console = compare_runs(runs), make_console()
    console.print(comparison_table("in what they differ", found.names, found.differences))
    console.print(comparison_table("what came of them", found.names, found.figures))


def _message_and_step(job: Job, database: str) -> str:
    """A job's message, with the command by which an interrupted job goes on."""
    if not job.was_interrupted:
        return job.message
    return f"{job.message}; go on with: {on_database(job.resume_command, database)}"


@contextmanager
def _opened(database: str) -> Iterator[Database]:
    """The database, to look at jobs in it."""
    from rl.jobs.queue import open_jobs

    with closing(open_jobs(database)) as store:
        yield store


@contextmanager
def _found(database: str, name: str) -> Iterator[tuple[Database, Job]]:
    """The database, and the job that is meant by `name`."""
    from rl.jobs.queue import find_job

    with _opened(database) as store:
        yield store, find_job(store, name)


def run_job(database: str, folder: Path, settings: JobSettings, *, detach: bool) -> None:
    """Start a job for the run in `folder`; show it till its end unless it is to be detached."""
    from policy.runs import Run
    from reward.store.database import Database
    from rl.jobs.queue import ask_to_stop, start_job
    from rl.jobs.terminal import make_console, watch

    with closing(Database(database)) as store:
        rows = Run(folder).rows()
        with shown_progress() as shown:
            shown("starting the job's process")
            job = start_job(store, database, folder=folder, settings=settings)
        click.echo(f"run {job.run_id}, job {job.short_id}, pid {job.pid}, log {job.log_file}")
        if detach:
            step = on_database(f"tastemaker jobs watch {job.run_id}", database)
            click.echo(f"it goes on by itself   next: {step}")
            return
        click.echo("ctrl-c stops it after the update in hand; it outlives this terminal")
        console, after = make_console(stderr=True), rows[-1]["update"] if rows else -1
        try:
            job = watch(store, job, console, after=after)
        except KeyboardInterrupt:
            ask_to_stop(store, job)
            click.echo("it ends after the update in hand; ctrl-c again leaves it to itself")
            job = watch(store, job, console, after=after)
    if job.state == "failed":
        raise click.ClickException(f"{job.run_id} failed: {_message_and_step(job, database)}")
    click.echo(_message_and_step(job, database))
    if job.state == "stopped":
        sys.exit(130)
    click.echo(f"wrote {job.folder}/policy   next: tastemaker evaluate base {job.run_id}")
