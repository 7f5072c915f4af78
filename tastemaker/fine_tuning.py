"""Commands that fine-tune a policy: `ppo`, `baselines`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from tastemaker.jobs import run_job
from tastemaker.options import (
    database_option,
    detach_option,
    name_option,
    on_database,
    policy_folder,
    seed_option,
    slots_option,
    soundfont_option,
)
from tastemaker.progress import shown_progress

COMMANDLINE = click.core.ParameterSource.COMMANDLINE


@click.command()
@database_option
@click.option(
    "--reward",
    "spec",
    help="A reward run (by default the newest), music-theory, module:function, or a mixture.",
)
@click.option(
    "--policy", "base_name", default="base", help="Where to start: `base`, or the name of a run."
)
@click.option("--updates", type=click.IntRange(1), help="Rounds of sampling and learning.")
@click.option(
    "--melodies",
    "melodies_per_update",
    type=click.IntRange(1),
    help="Melodies sampled before each update.",
)
@click.option(
    "--minibatch", type=click.IntRange(1), help="Melodies per gradient step; divides `--melodies`."
)
@click.option("--epochs", type=click.IntRange(1), help="Passes over an update's melodies.")
@click.option("--learning-rate", type=float, help="Step of the optimiser for the policy.")
@click.option(
    "--kl-target",
    "kl_target_nats",
    type=float,
    help="KL from the base that the controller steers to, in nats a melody.",
)
@click.option(
    "--kl-limit",
    "kl_limit_nats",
    type=float,
    help="KL in nats a melody beyond which no policy is kept.",
)
@click.option(
    "--std-penalty",
    type=float,
    help="Standard deviations of the reward that are subtracted from its mean.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Threads of torch in each process; results depend on it.",
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    help="Processes that share an update, by torchrun; results depend on it.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any other setting of PPO, listed in docs/commands.md; may be given several times.",
)
@seed_option
@name_option
@click.option("--resume", help="Name of a run that was stopped; it keeps its settings.")
@click.option(
    "--samples-every",
    type=click.IntRange(0),
    default=6,
    help="Updates between samples; the last update has some too; 0 for none.",
)
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
    """Fine-tune a policy by PPO, as a job that can be watched, stopped and resumed.

    The best policy within the guards is the result, not the last one. A run that was killed at any
    moment and resumed writes the same bits.

    The run is a *job*: a row in the database and a process of its own. It is shown until it ends.
    Ctrl-c stops it after the update in hand, with its checkpoint saved (exit code 130). When the
    terminal is closed, it goes on. Its folder holds `metrics.jsonl`, `tensorboard/`,
    `samples/NNNN/` (four melodies as ABC, MIDI and WAV) and `job.log`.

    `--reward` is the name of a reward run, `music-theory`, a function of yours as
    `module:function`, or a weighted mixture of these with constraints, such as
    `"0.7*reward-0004 + 0.3*music-theory where leap_share<=0.1"`: see `docs/rewards.md`.
    """
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
        with closing(Database(database)) as opened:
            opened.check_writable()
    if resume is not None:
        run = open_run(resume, kind="ppo")
    else:
        start = policy_folder(base_name)  # first: an unknown name is told before torch is imported
        with shown_progress() as shown:
            shown("loading the policy")
            from rl.ppo.settings import read_settings
            from rl.runs.fine_tuning import start_run

            changes = read_settings(settings)
            twice = sorted(changes.keys() & said)
            if twice:
                raise click.UsageError(f"{twice[0]} is given twice; say it once")
            given = {key: value for key, value in named.items() if value is not None}
            run = start_run(spec, start, given | changes, name=name, report=shown).run
    how = JobSettings(slots=slots, samples_every=samples_every, soundfont=font)
    run_job(database, run.path, how, detach=detach)


@click.command()
@database_option
@click.option("--reward", "reward_name", help="Name of a reward run; by default the newest.")
@click.option(
    "--policy", "base_name", default="base", help="Where to start: 'base' or a run's name."
)
@click.option("--methods", default="best-of-n,dpo,rloo,grpo", help="Methods, separated by commas.")
@click.option(
    "--seconds",
    type=click.FloatRange(1),
    default=180.0,
    help="Seconds of training for each method; measuring is not counted.",
)
@click.option("--best-of", type=click.IntRange(1), default=64, help="n of best-of-n.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("baselines"),
    help="Folder for the results.",
)
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
    """Run best-of-n, DPO, RLOO and GRPO on the same reward and votes as PPO.

    Prints reward, KL, diversity and seconds of each; writes `baselines.json` and the tuned
    policies. `docs/baselines.md` says what is alike and what is not.
    """
    start = policy_folder(base_name)  # first: an unknown name is told before torch is imported
    with shown_progress() as shown:
        shown("loading the policy")
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
            report=shown,
        )
    click.echo(table(results))
    step = on_database("tastemaker ppo", database)
    click.echo(f"wrote {out}/baselines.json   next, on the same reward: {step}")
