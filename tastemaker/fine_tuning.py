"""Commands that fine-tune a policy: `ppo`, `jobs`, `baselines`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tastemaker.options import (
    database_option,
    detach_option,
    job_argument,
    job_database_option,
    policy_folder,
    seed_option,
    slots_option,
    soundfont_option,
)

if TYPE_CHECKING:
    from rl.jobs.record import JobSettings

COMMANDLINE = click.core.ParameterSource.COMMANDLINE


@click.command()
@database_option
@click.option(
    "--reward",
    "spec",
    help="A reward run (by default the newest), music-theory, module:function, or a mixture.",
)
@click.option(
    "--policy", "base_name", default="base", help="Where to start: 'base' or a run's name."
)
@click.option("--updates", type=click.IntRange(1), help="Rounds of sampling and learning.")
@click.option("--melodies", "melodies_per_update", type=click.IntRange(1), help="An update's.")
@click.option("--minibatch", type=click.IntRange(1), help="Melodies per gradient step.")
@click.option("--epochs", type=click.IntRange(1), help="Passes over an update's melodies.")
@click.option("--learning-rate", type=float, help="Step of the optimiser for the policy.")
@click.option("--kl-target", "kl_target_nats", type=float, help="KL to steer to, in nats a melody.")
@click.option(
    "--kl-limit", "kl_limit_nats", type=float, help="KL beyond which no policy is the result."
)
@click.option(
    "--std-penalty", type=float, help="How much of the reward's uncertainty is taken off."
)
@click.option("--threads", type=click.IntRange(1), help="Threads of torch in each process.")
@click.option("--processes", type=click.IntRange(1), help="Processes that share an update.")
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any other setting of PPO."
)
@seed_option
@click.option("--name", help="Name of the run.")
@click.option("--resume", help="Name of a run that was stopped; its settings are its own.")
@click.option("--samples-every", type=click.IntRange(0), default=6, help="Updates; 0 for none.")
@soundfont_option
@detach_option
@slots_option
@click.pass_context
def ppo(
    context: click.Context,
    database: str,
    spec: str | None,
    base_name: str,
    settings: tuple[str, ...],
    name: str | None,
    resume: str | None,
    samples_every: int,
    soundfont: Path | None,
    detach: bool,
    slots: int,
    **named: float | None,
) -> None:
    """Fine-tune a policy by PPO, as a job that can be watched, stopped and resumed."""
    said = {p for p in context.params if context.get_parameter_source(p) == COMMANDLINE}
    taken = sorted(said & {"spec", "base_name", "settings", "name", *named})
    if resume is not None and taken:
        raise click.UsageError(f"a resumed run keeps its settings; leave out {', '.join(taken)}")
    from music.rendering.sound import find_soundfont
    from policy.runs import open_run
    from reward.store.database import Database, parse_url
    from rl.jobs.record import JobSettings

    # A font or a database that cannot be opened is told before a run is made for it.
    font = None if soundfont is None else str(find_soundfont(soundfont).resolve())
    url = parse_url(database)
    if url.get_backend_name() != "sqlite" or Path(url.database or "").exists():
        Database(database).close()
    if resume is not None:
        run = open_run(resume, kind="ppo")
    else:
        start = policy_folder(base_name)  # first: an unknown name is told before torch is imported
        from rl.ppo.settings import read_settings
        from rl.runs.fine_tuning import start_run

        changes = read_settings(settings)
        twice = sorted(changes.keys() & said)
        if twice:
            raise click.UsageError(f"{twice[0]} is given twice; say it once")
        given = {key: value for key, value in named.items() if value is not None}
        run = start_run(spec, start, given | changes, name=name).run
    how = JobSettings(slots=slots, samples_every=samples_every, soundfont=font)
    _run_job(database, run.path, how, detach=detach)


@click.group(invoke_without_command=True)
@database_option
@click.option("--all", "every", is_flag=True, help="Every job, not only the newest of each run.")
@click.pass_context
def jobs(context: click.Context, database: str, every: bool) -> None:
    """List the PPO jobs; watch, stop, resume and compare them."""
    context.obj = database
    if context.invoked_subcommand is not None:
        return
    from contextlib import closing
    from datetime import UTC, datetime

    from rl.jobs.queue import list_jobs, open_jobs
    from rl.jobs.terminal import jobs_table, make_console

    with closing(open_jobs(database)) as store:
        make_console().print(jobs_table(list_jobs(store, every=every), datetime.now(UTC)))


@jobs.command("watch")
@job_argument
@job_database_option
@click.option("--once", is_flag=True, help="Show it as it is now and end.")
def watch_job(job: str, database: str, once: bool) -> None:
    """Show how a job gets on until it ends. JOB is a run's name or begins a job's id."""
    from contextlib import closing
    from datetime import UTC, datetime

    from rl.jobs.queue import find_job, open_jobs
    from rl.jobs.terminal import job_view, make_console, watch

    with closing(open_jobs(database)) as store:
        found = find_job(store, job)
        if not once:
            found = watch(store, found, make_console())
            click.echo(f"{found.state}: {found.message}")
            return
        make_console().print(job_view(found, datetime.now(UTC)))


@jobs.command("stop")
@job_argument
@job_database_option
@click.option("--wait", is_flag=True, help="Until it has ended.")
def stop_job(job: str, database: str, wait: bool) -> None:
    """End a job after the update in hand, with its checkpoint saved."""
    from contextlib import closing

    from rl.jobs.queue import ask_to_stop, find_job, open_jobs, wait_for_end

    with closing(open_jobs(database)) as store:
        found = find_job(store, job)
        ask_to_stop(store, found)
        click.echo(f"{found.run_id} ends after the update in hand; then: {found.resume_command}")
        if wait:
            found = wait_for_end(store, found)
            click.echo(f"{found.state}: {found.message}")


@jobs.command("resume")
@job_argument
@job_database_option
@detach_option
@slots_option
def resume_job(job: str, database: str, detach: bool, slots: int) -> None:
    """Go on with a run that was stopped or died, from its newest whole step."""
    from contextlib import closing
    from dataclasses import replace

    from rl.jobs.queue import check_resumable, find_job, open_jobs

    with closing(open_jobs(database)) as store:
        found = find_job(store, job)
        check_resumable(found)
    _run_job(database, found.folder, replace(found.settings, slots=slots), detach=detach)


@jobs.command("logs")
@job_argument
@job_database_option
@click.option("--lines", type=click.IntRange(1), default=100, help="The last so many.")
def job_logs(job: str, database: str, lines: int) -> None:
    """Print the end of what a job's process has said."""
    from contextlib import closing

    from rl.jobs.queue import find_job, log_tail, open_jobs

    with closing(open_jobs(database)) as store:
        for line in log_tail(find_job(store, job), lines):
            click.echo(line)


@jobs.command("compare")
@click.argument("jobs", nargs=-1, required=True)
@job_database_option
def compare_jobs(jobs: tuple[str, ...], database: str) -> None:
    """Show in what jobs differ and what came of them."""
    from contextlib import closing

    from policy.runs import Run
    from rl.jobs.queue import find_job, open_jobs
    from rl.jobs.terminal import comparison_table, make_console
    from rl.runs.run_comparison import compare_runs

    with closing(open_jobs(database)) as store:
        runs = [Run(find_job(store, job).folder) for job in jobs]
    found, console = compare_runs(runs), make_console()
    console.print(comparison_table("in what they differ", found.names, found.differences))
    console.print(comparison_table("what came of them", found.names, found.figures))


def _run_job(database: str, folder: Path, settings: JobSettings, *, detach: bool) -> None:
    """Start a job for the run in `folder`; show it till its end unless it is to be detached."""
    from contextlib import closing

    from policy.runs import Run
    from reward.store.database import Database
    from rl.jobs.queue import ask_to_stop, start_job
    from rl.jobs.terminal import make_console, watch

    with closing(Database(database)) as store:
        rows = Run(folder).rows()
        job = start_job(store, database, folder=folder, settings=settings)
        click.echo(f"run {job.run_id}, job {job.short_id}, pid {job.pid}, log {job.log_file}")
        if detach:
            click.echo(f"it goes on by itself   next: tastemaker jobs watch {job.run_id}")
            return
        click.echo("ctrl-c stops it after the update in hand; it outlives this terminal")
        console, after = make_console(), rows[-1]["update"] if rows else -1
        try:
            job = watch(store, job, console, after=after)
        except KeyboardInterrupt:
            ask_to_stop(store, job)
            click.echo("it ends after the update in hand; ctrl-c again leaves it to itself")
            job = watch(store, job, console, after=after)
    if job.state == "failed":
        raise click.ClickException(f"{job.run_id} failed: {job.message}")
    click.echo(job.message)
    if job.state == "stopped":
        sys.exit(130)
    click.echo(f"wrote {job.folder}/policy   next: tastemaker evaluate base {job.run_id}")


@click.command()
@database_option
@click.option("--reward", "reward_name", help="Name of a reward run; by default the newest.")
@click.option(
    "--policy", "base_name", default="base", help="Where to start: 'base' or a run's name."
)
@click.option("--methods", default="best-of-n,dpo,rloo,grpo", help="Of these, separated by commas.")
@click.option("--seconds", type=click.FloatRange(1), default=180.0, help="Of training, a method.")
@click.option("--best-of", type=click.IntRange(1), default=64, help="n of best-of-n.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("baselines"))
@seed_option
def baselines(
    database: str,
    reward_name: str | None,
    base_name: str,
    methods: str,
    seconds: float,
    best_of: int,
    out: Path,
    seed: int,
) -> None:
    """Run best-of-n, DPO, RLOO and GRPO on the same reward and votes as PPO."""
    start = policy_folder(base_name)  # first: an unknown name is told before torch is imported
    from rl.baselines.comparison import compare_baselines
    from rl.baselines.results import table
    from rl.baselines.settings import Budget

    results = compare_baselines(
        [name.strip() for name in methods.split(",")],
        out,
        base_folder=start,
        database=database,
        reward_name=reward_name,
        budget=Budget(seconds=seconds),
        best_of=best_of,
        seed=seed,
        say=lambda result: click.echo(f"{result.name}: {result.seconds:.0f} s of training"),
    )
    click.echo(table(results))
    click.echo(f"wrote {out}/baselines.json   next: PPO on the same reward: tastemaker ppo")
