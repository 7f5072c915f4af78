"""Tastemaker's command line: one thin command a stage of the loop.

    corpus -> pretrain -> [compose] -> pairs -> studio | rate --simulate -> reward -> ppo ->
    evaluate

`demo` goes through all of it with a simulated listener. Heavy imports are inside the commands, so
that `--help` answers at once. What a user got wrong is told in one line, with exit code 2.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from policy.compose import Asked
    from rl.job import JobSettings
    from rl.rollout import Rollout
    from rl.training import Watcher

HERE = Path(__file__).resolve().parent
ROOMS = ("music", "policy", "env", "reward", "rl", "feedback_ui", "tastemaker.py")
RUNS = Path("checkpoints/runs")
DATABASE = "checkpoints/ratings.sqlite"
METERS = ("4/4", "2/4", "3/4", "6/8", "9/8")
MODES = ("major", "minor", "dorian", "mixolydian")
TUNE_TYPES = ("reel", "jig", "slipjig", "hornpipe", "strathspey", "march", "waltz", "other")
COMMANDLINE = click.core.ParameterSource.COMMANDLINE
TASTES = ("arches", "calm", "dance", "form", "contrast")
RATINGS_FORMATS = ("csv", "jsonl", "parquet", "trl")
PAIR_STRATEGIES = ("random", "information", "duels", "auto")
REWARD_MODELS = ("profile", "neural", "blend")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="tastemaker")
def cli() -> None:
    """Teach a melody generator a person's taste: rate pairs, learn a reward, fine-tune with PPO."""


def header_options(meter: str | None = "4/4", bars: str | None = "8") -> Callable[..., Any]:
    """Options that ask for a kind of melody; 'any' leaves a field to the policy."""

    def wrap(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option(
                "--bars", type=click.Choice(["4", "8", "16", "any"]), default=bars or "any"
            ),
            click.option(
                "--type", "tune_type", type=click.Choice([*TUNE_TYPES, "any"]), default="any"
            ),
            click.option("--mode", type=click.Choice([*MODES, "any"]), default="any"),
            click.option("--meter", type=click.Choice([*METERS, "any"]), default=meter or "any"),
        ):
            command = option(command)
        return command

    return wrap


database_option = click.option(
    "--database",
    default=DATABASE,
    envvar="TASTEMAKER_DATABASE",
    help="SQLite file or postgresql:// URL.",
)
policy_option = click.option("--policy", default="base", help="'base' or the name of a run.")
seed_option = click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0)
detach_option = click.option(
    "--detach", is_flag=True, help="Return at once; the job goes on in the background."
)
slots_option = click.option(
    "--slots",
    type=click.IntRange(1),
    default=1,
    envvar="TASTEMAKER_JOB_SLOTS",
    help="Jobs at a time on this machine; this one waits for its turn.",
)
job_argument = click.argument("job")
job_database_option = click.option(
    "--database",
    callback=lambda context, _, value: value or context.obj,
    help="By default that of 'tastemaker jobs'.",
)
soundfont_option = click.option(
    "--soundfont",
    type=click.Path(path_type=Path),
    help="A .sf2 file instead of the one that comes along.",
)


@cli.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"))
@click.option("--taste", type=click.Choice(TASTES), default="calm", help="What the listener likes.")
@click.option("--votes", type=click.IntRange(20, 5000), default=200)
@click.option("--reliability", type=click.FloatRange(0.55, 1.0), default=0.72)
@click.option("--updates", type=click.IntRange(1, 1000), help="PPO updates; by default PPO's own.")
@seed_option
@soundfont_option
def demo(
    out: Path,
    taste: str,
    votes: int,
    reliability: float,
    updates: int | None,
    seed: int,
    soundfont: Path | None,
) -> None:
    """The whole loop with a simulated listener; writes OUT/report.html and OUT/report.json."""
    from rl.loop import LoopConfig, run_loop
    from rl.ppo_config import PPOConfig

    ppo = PPOConfig(seed=seed) if updates is None else PPOConfig(seed=seed, updates=updates)
    config = LoopConfig(taste=taste, votes=votes, reliability=reliability, ppo=ppo, seed=seed)
    result = run_loop(
        config, base_folder(), out, say=click.echo, watcher=_console(), soundfont=soundfont
    )
    evaluation = result.evaluation
    click.echo(
        f"tuned melodies win {evaluation.true_win_rate:.1%} of noise-free comparisons, "
        f"{evaluation.kl_nats:.2f} nats from the base, in {result.seconds['total']:.0f} s"
    )
    click.echo(
        f"wrote {out}/report.html   next: open it, or rate pairs yourself: tastemaker studio"
    )


@cli.command()
@database_option
@click.option("--port", type=int, default=8501)
@click.option("--address", default="127.0.0.1", help="IP address to listen on.")
@click.option(
    "--host", "hosts", multiple=True, help="Name under which browsers may ask for the studio."
)
@click.option("--browser/--no-browser", default=True, help="Open a browser window.")
@soundfont_option
def studio(
    database: str,
    port: int,
    address: str,
    hosts: tuple[str, ...],
    browser: bool,
    soundfont: Path | None,
) -> None:
    """Rate pairs of melodies, blind, in the browser; writes a pool first if there is none."""
    import secrets
    import subprocess

    from feedback_ui.launch import ORGANISER_VARIABLE, is_for_this_machine, studio_command
    from reward.process_environment import DATABASE_VARIABLE
    from reward.ratings import RatingsStore

    Path(DATABASE).parent.mkdir(parents=True, exist_ok=True)
    with RatingsStore(database) as store:
        empty = store.counts()["comparisons"] == 0
    if empty:
        asked = make_asked("4/4", "any", "any", "8")
        _pair_up(database, "base", asked, 120, 40, 1, 0, "information")
    command = studio_command(
        port=port, address=address, hosts=hosts, soundfont=soundfont, open_browser=browser
    )
    # By the environment, so that neither a password nor the key stands in the process list.
    told = {**os.environ, DATABASE_VARIABLE: database}
    if not is_for_this_machine(address, hosts):
        key = told.setdefault(ORGANISER_VARIABLE, secrets.token_urlsafe(16))
        click.echo(f"organiser's address: http://{(*hosts, address)[0]}:{port}/?organiser={key}")
    sys.exit(subprocess.call(command, env=told))


@cli.command()
@policy_option
@click.option("--count", type=click.IntRange(1, 10_000), default=4)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("composed"))
@click.option("--temperature", type=float, default=1.0)
@click.option("--pickup", type=int, help="Pickup in ticks, 24 a quarter.")
@click.option(
    "--motif",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="ABC file whose notes the melodies begin with.",
)
@click.option("--sound/--no-sound", default=True, help="Render WAV files too.")
@header_options(None, None)
@seed_option
@soundfont_option
def compose(
    policy: str,
    count: int,
    out: Path,
    temperature: float,
    pickup: int | None,
    motif: Path | None,
    sound: bool,
    meter: str,
    mode: str,
    tune_type: str,
    bars: str,
    seed: int,
    soundfont: Path | None,
) -> None:
    """Write melodies as ABC, MIDI and sound, each with its originality."""
    folder = policy_folder(policy)  # first: an unknown name is told before torch is imported
    from policy.checkpoint import load_policy
    from policy.compose import compose as write_melodies
    from rl.composing import asked_with_motif, save_melodies

    asked = make_asked(meter, mode, tune_type, bars, pickup)
    if motif is not None:
        asked = asked_with_motif(asked, motif)
    melodies = write_melodies(
        load_policy(folder), count, asked=asked, temperature=temperature, seed=seed
    )
    for line in save_melodies(melodies, out, sound=sound, soundfont=soundfont):
        click.echo(line)
    click.echo(f"wrote {count} melodies to {out}")


@cli.command()
@click.option("--books", type=click.Path(path_type=Path, exists=True), help="Folder of ABC books.")
def corpus(books: Path | None) -> None:
    """Build the shipped corpus anew from music21's package (needs the extra 'corpus')."""
    from music.corpus import DATA, build_corpus, find_books

    for what, number in build_corpus(books or find_books()).most_common():
        click.echo(f"{number:6d}  {what}")
    click.echo(f"wrote {DATA}   next: tastemaker pretrain")


@cli.command()
@click.option("--epochs", type=click.IntRange(1), default=36)
@click.option("--learning-rate", type=float, default=2e-3, help="Peak of the cosine.")
@click.option("--warmup", type=click.IntRange(1), default=200, help="Steps of linear warm-up.")
@click.option("--dropout", type=float, default=0.3)
@click.option("--width", type=click.IntRange(16), default=192)
@click.option("--layers", type=click.IntRange(1), default=4)
@click.option("--save-every", type=click.IntRange(1), default=500, help="Steps to a validation.")
@click.option("--start-from", help="Run whose policy to go on from, with a new schedule.")
@click.option("--run", "name", help="Name of the run; one that was stopped goes on where it was.")
@seed_option
def pretrain(
    epochs: int,
    learning_rate: float,
    warmup: int,
    dropout: float,
    width: int,
    layers: int,
    save_every: int,
    start_from: str | None,
    name: str | None,
    seed: int,
) -> None:
    """Train a base policy on the corpus (about an hour of one core for the shipped one)."""
    from dataclasses import asdict

    from rl.runs import new_run, open_run

    start = None if start_from is None else str(policy_folder(start_from))
    from policy.model_card import write_model_card
    from policy.pretrain import PretrainConfig
    from policy.pretrain import pretrain as train

    config = PretrainConfig(
        epochs=epochs,
        learning_rate=learning_rate,
        warmup_steps=warmup,
        dropout=dropout,
        hidden_size=width,
        num_layers=layers,
        save_every_steps=save_every,
        seed=seed,
        start_from=start,
    )
    if name is not None and (RUNS / name / "run.json").is_file():
        run = open_run(name, kind="pretrain")
    else:
        run = new_run("pretrain", asdict(config), name=name)
    train(config, run.path)
    command = f"`{' '.join(['tastemaker', *sys.argv[1:]])}`, on {run.record['hardware']}"
    write_model_card(run.path / "policy", command)
    click.echo(f"wrote {run.path}/policy   next: tastemaker compose --policy {run.name}")


@cli.command()
@database_option
@policy_option
@click.option("--melodies", type=click.IntRange(0), default=400, help="New ones; 0 for none.")
@click.option("--pairs", type=click.IntRange(1), default=200)
@click.option(
    "--strategy",
    type=click.Choice(PAIR_STRATEGIES),
    default="information",
    help="How pairs are chosen.",
)
@click.option("--traps", type=click.FloatRange(0, 0.5), default=0.05, help="Share of traps.")
@click.option("--round", "number", type=click.IntRange(1), default=1)
@header_options()
@seed_option
def pairs(
    database: str,
    policy: str,
    melodies: int,
    pairs: int,
    strategy: str,
    traps: float,
    number: int,
    meter: str,
    mode: str,
    tune_type: str,
    bars: str,
    seed: int,
) -> None:
    """Write melodies of a policy into the store and pair them for rating."""
    asked = make_asked(meter, mode, tune_type, bars)
    count = _pair_up(database, policy, asked, melodies, pairs, number, seed, strategy, traps)
    among = "hidden repeats and traps" if traps else "hidden repeats"
    click.echo(f"{count} pairs wait ({among} among them)   next: tastemaker studio")


@cli.command()
@database_option
@click.option("--simulate", is_flag=True, help="Needed: people rate in the studio.")
@click.option("--taste", type=click.Choice(TASTES), default="calm")
@click.option("--reliability", type=click.FloatRange(0.55, 1.0), default=0.72)
@click.option("--count", type=click.IntRange(1), default=1000, help="At most so many votes.")
@seed_option
def rate(
    database: str, simulate: bool, taste: str, reliability: float, count: int, seed: int
) -> None:
    """Rate what waits as a simulated listener, marked as such."""
    if not simulate:
        raise click.UsageError(
            "people rate in the studio (tastemaker studio); here, say --simulate"
        )
    from reward.listeners import SimulatedListener
    from reward.ratings import RatingsStore
    from rl.rounds import simulate_votes

    listener = SimulatedListener(taste, reliability=reliability, seed=seed)
    with RatingsStore(database) as store:
        votes = simulate_votes(store, listener, count)
    click.echo(f"{votes} votes of {listener.name}   next: tastemaker reward")


@cli.command()
@database_option
@click.option("--votes-of", "kind", type=click.Choice(["person", "simulated", "both"]))
@click.option(
    "--model",
    type=click.Choice(REWARD_MODELS),
    default="profile",
    show_default=True,
    help="What scores; any but the profile compares all three.",
)
@click.option("--more-votes", type=click.IntRange(1), default=60, help="Forecast for so many.")
@click.option("--name", help="Name of the run.")
@header_options()
@seed_option
def reward(
    database: str,
    kind: str | None,
    model: str,
    more_votes: int,
    name: str | None,
    meter: str,
    mode: str,
    tune_type: str,
    bars: str,
    seed: int,
) -> None:
    """Learn a reward model from the votes; say what it is worth, and more votes would be."""
    from policy.checkpoint import load_policy, policy_hash
    from reward.profile_training import forecast_in_words
    from reward.ratings import RatingsStore
    from rl.reward_card import CARD_FILE
    from rl.rounds import fit_reward

    base = base_folder()
    with RatingsStore(database) as store:
        fitted = fit_reward(
            store,
            load_policy(base),
            make_asked(meter, mode, tune_type, bars),
            root=RUNS,
            kind=kind,
            parents={"base": policy_hash(base)},
            seed=seed,
            name=name,
            model=model,
            tell=lambda line: click.echo(line, err=True),
        )
    repeats = fitted.ceiling.self_agreement if fitted.ceiling else "no repeats yet"
    agreement = fitted.agreement or "too few votes to tell"
    click.echo(
        f"{fitted.votes} votes from {fitted.raters} rater(s), {fitted.pairs} different pairs"
    )
    click.echo(f"agreement {agreement}   with themselves {repeats}   chance 0.50")
    if fitted.compared:
        for name, found in fitted.compared.agreements.items():
            click.echo(f"  {name:8} {found}")
        click.echo(f"the blend's neural share is {fitted.compared.choice.weight:.0%}")
    click.echo(forecast_in_words(fitted.trained, more_votes))
    for reason in fitted.profile.explain(top=5):
        click.echo(f"  {reason}")
    click.echo(f"wrote {fitted.run.path}/{CARD_FILE}   next: tastemaker taste")


@cli.command()
@click.argument("run", required=False)
@click.option("--rater", help="One rater's own taste; by default the group's.")
@click.option("--top", type=click.IntRange(1), default=12, help="Features told.")
@click.option("--json", "as_json", is_flag=True, help="All features, for programs.")
def taste(run: str | None, rater: str | None, top: int, as_json: bool) -> None:
    """Say in words what a reward model has learnt: the newest one, or RUN."""
    from dataclasses import asdict

    from reward.taste import TasteProfile
    from rl.reward_models import newest_reward
    from rl.runs import RunError, open_run

    found = open_run(run, kind="reward") if run else newest_reward()
    if found is None:
        raise RunError("there is no reward model yet; learn one: tastemaker reward")
    profile = TasteProfile.load(found.path / "taste.json")
    if as_json:
        reasons = profile.explain(len(profile.feature_names), rater)
        click.echo(json.dumps({"run": found.name, "features": [asdict(r) for r in reasons]}))
        return
    of = f"rater {rater}" if rater else f"{len(profile.raters)} rater(s)"
    words = profile.in_words(top, rater)
    click.echo(f"{found.name}: {profile.votes} votes, the taste of {of}")
    if found.record.get("model", "profile") == "neural":
        click.echo("this run scores by its neural reward; this profile learnt from the same votes")
    click.echo("in base deviations of score for one of the feature, with 90 % intervals")
    click.echo(words)


@cli.command()
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
    from music.sound import find_soundfont
    from reward.database import Database, parse_url
    from rl.job import JobSettings
    from rl.runs import open_run

    # A font or a database that cannot be opened is told before a run is made for it.
    font = None if soundfont is None else str(find_soundfont(soundfont).resolve())
    url = parse_url(database)
    if url.get_backend_name() != "sqlite" or Path(url.database or "").exists():
        Database(database).close()
    if resume is not None:
        run = open_run(resume, kind="ppo")
    else:
        start = policy_folder(base_name)  # first: an unknown name is told before torch is imported
        from rl.fine_tuning import start_run
        from rl.ppo_settings import read_settings

        changes = read_settings(settings)
        twice = sorted(changes.keys() & said)
        if twice:
            raise click.UsageError(f"{twice[0]} is given twice; say it once")
        given = {key: value for key, value in named.items() if value is not None}
        run = start_run(spec, start, given | changes, name=name).run
    how = JobSettings(slots=slots, samples_every=samples_every, soundfont=font)
    _run_job(database, run.path, how, detach=detach)


@cli.group()
def ratings() -> None:
    """Take ratings out as files, take them in again, and see who votes how."""


@ratings.command("export")
@database_option
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("ratings"))
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(RATINGS_FORMATS),
    help="Several times; by default all tables, without TRL's pairs.",
)
@click.option("--votes-of", "kind", type=click.Choice(["person", "simulated", "both"]))
@click.option("--superseded", is_flag=True, help="Votes that were undone too.")
def export_votes(
    database: str, out: Path, formats: tuple[str, ...], kind: str | None, superseded: bool
) -> None:
    """Write votes, comparisons, melodies and raters as CSV, JSONL and Parquet, or TRL's pairs."""
    from reward.export import export_preferences, export_ratings, only_kind
    from reward.ratings import open_ratings

    with open_ratings(database) as store:
        tables = [name for name in formats if name != "trl"]
        one = None if kind == "both" else kind
        if "trl" in formats:
            trained = None if kind == "both" else kind or only_kind(store)
            count = export_preferences(store, out / "preferences.jsonl", kind=trained)
            click.echo(f"{count} pairs: {out}/preferences.jsonl   next: TRL's RewardTrainer")
        if tables or not formats:
            for path in export_ratings(
                store, out, formats=tables or None, kind=one, current_only=not superseded
            ):
                click.echo(path)
            click.echo(f"next, elsewhere: tastemaker ratings import {out}")


@ratings.command("import")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@database_option
def import_votes(path: Path, database: str) -> None:
    """Take up an export: PATH is its folder, or its file of votes with the tables beside it."""
    from reward.import_votes import import_ratings
    from reward.ratings import RatingsStore

    Path(DATABASE).parent.mkdir(parents=True, exist_ok=True)
    with RatingsStore(database) as store:
        done = import_ratings(store, path)
    for table, added in done.added.items():
        refused = done.refused[table]
        click.echo(
            f"{table}: {added} added, {done.duplicates[table]} there already, "
            f"{len(refused)} refused"
        )
        for row in refused[:3]:
            click.echo(f"  row {row.number}: {'; '.join(row.reasons)}")
    for file in done.refused_files:
        click.echo(f"wrote {file}   next: mend it, then tastemaker ratings import {file}")


@ratings.command("stats")
@database_option
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def ratings_stats(database: str, as_json: bool) -> None:
    """Show who votes how: ties, sides, agreement with themselves and others, flags."""
    from reward.rater_stats import ratings_statistics, statistics_json, statistics_table
    from reward.ratings import open_ratings

    with open_ratings(database) as store:
        found = ratings_statistics(store)
    if as_json:
        click.echo(statistics_json(found))
        return
    from rl.live import make_console

    make_console().print(*statistics_table(found), sep="\n")


@cli.group(invoke_without_command=True)
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

    from rl.jobs import list_jobs, open_jobs
    from rl.live import jobs_table, make_console

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

    from rl.jobs import find_job, open_jobs
    from rl.live import job_view, make_console, watch

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

    from rl.jobs import ask_to_stop, find_job, open_jobs, wait_for_end

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

    from rl.jobs import check_resumable, find_job, open_jobs

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

    from rl.jobs import find_job, log_tail, open_jobs

    with closing(open_jobs(database)) as store:
        for line in log_tail(find_job(store, job), lines):
            click.echo(line)


@jobs.command("compare")
@click.argument("jobs", nargs=-1, required=True)
@job_database_option
def compare_jobs(jobs: tuple[str, ...], database: str) -> None:
    """Show in what jobs differ and what came of them."""
    from contextlib import closing

    from rl.jobs import find_job, open_jobs
    from rl.live import comparison_table, make_console
    from rl.run_comparison import compare_runs
    from rl.runs import Run

    with closing(open_jobs(database)) as store:
        runs = [Run(find_job(store, job).folder) for job in jobs]
    found, console = compare_runs(runs), make_console()
    console.print(comparison_table("in what they differ", found.names, found.differences))
    console.print(comparison_table("what came of them", found.names, found.figures))


@cli.command()
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
    from rl.baseline_comparison import compare_baselines
    from rl.baseline_results import table
    from rl.baseline_settings import Budget

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


@cli.command()
@click.argument("base")
@click.argument("tuned")
@click.option("--reward", "spec", help="What to judge by; by default what it was tuned by.")
@click.option("--count", type=click.IntRange(256), default=512, help="Melodies a side.")
@click.option(
    "--best-of", type=click.IntRange(0), default=64, help="n of best-of-n; 0 leaves it out."
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Default: the run's folder."
)
@seed_option
@soundfont_option
def evaluate(
    base: str,
    tuned: str,
    spec: str | None,
    count: int,
    best_of: int,
    out: Path | None,
    seed: int,
    soundfont: Path | None,
) -> None:
    """Measure TUNED beside BASE ('base' or names of runs) and write a report."""
    folder = policy_folder(base)
    policy_folder(tuned)
    from rl.fine_tuning import evaluate_run

    path, summary = evaluate_run(
        folder,
        tuned,
        spec,
        count=count,
        best_of=best_of,
        out=out,
        seed=seed,
        soundfont=soundfont,
    )
    click.echo(
        f"score {summary['score_base']:+.2f} -> {summary['score_tuned']:+.2f} "
        f"at {summary['kl_nats']:.2f} nats, "
        f"diversity {summary['vendi_base']:.0f} -> {summary['vendi_tuned']:.0f}, "
        f"originality {summary['originality_base']:.2f} -> {summary['originality_tuned']:.2f}"
    )
    click.echo(
        f"wrote {path}   next: rate its melodies: tastemaker pairs --policy {tuned} --round 2"
    )


@cli.command("blind-test")
@click.argument("base")
@click.argument("tuned")
@database_option
@click.option("--name", help="What raters see; by default 'BASE and TUNED'.")
@click.option("--votes", type=click.IntRange(1, 100_000), default=200, help="After which it ends.")
@click.option(
    "--melodies", type=click.IntRange(1), help="Of each policy; by default a fifth more than votes."
)
@header_options()
@seed_option
def blind_test(
    base: str,
    tuned: str,
    database: str,
    name: str | None,
    votes: int,
    melodies: int | None,
    meter: str,
    mode: str,
    tune_type: str,
    bars: str,
    seed: int,
) -> None:
    """Write pairs of BASE's and TUNED's melodies, to be compared by ear in the studio."""
    folders = [(policy, policy_folder(policy)) for policy in (base, tuned)]
    asked = make_asked(meter, mode, tune_type, bars)
    from policy.checkpoint import load_policy, policy_hash
    from reward.ratings import RatingsStore
    from rl.blind_test_pool import BlindTestConfig, Contestant, make_blind_test

    config = BlindTestConfig(
        name=name or f"{base} and {tuned}", votes=votes, melodies=melodies, seed=seed
    )
    a, b = (Contestant(policy, policy_hash(at), load_policy(at)) for policy, at in folders)
    Path(DATABASE).parent.mkdir(parents=True, exist_ok=True)
    with RatingsStore(database) as store:
        made = make_blind_test(store, a, b, asked, config, say=click.echo)
    click.echo(f"made the blind test {made.name!r}   next: tastemaker studio, page Blind test")


def base_folder() -> Path:
    """The shipped base policy: in the working folder, or beside the packages."""
    from policy.shipped import shipped_policy

    return shipped_policy()


def policy_folder(name: str) -> Path:
    """Folder of a policy: 'base', or the one that a run made.

    Raises:
        RunError: when there is no such run, or it has not finished.
    """
    if name == "base":
        return base_folder()
    from rl.runs import RunError, open_run

    folder = open_run(name).path / "policy"
    if not folder.is_dir():
        raise RunError(
            f"run {name!r} has no policy yet; let it finish (tastemaker ppo --resume {name})"
        )
    return folder


def make_asked(
    meter: str, mode: str, tune_type: str, bars: str, pickup: int | None = None
) -> Asked:
    """What the header options ask for."""
    from policy.compose import Asked

    def chosen(value: str) -> str | None:
        return None if value == "any" else value

    return Asked(
        meter=chosen(meter),
        mode=chosen(mode),
        tune_type=chosen(tune_type),
        bars=None if bars == "any" else int(bars),
        pickup_ticks=pickup,
    )


def _pair_up(
    database: str,
    policy: str,
    asked: Asked,
    melodies: int,
    pairs: int,
    number: int,
    seed: int,
    strategy: str,
    trap_share: float = 0.0,
) -> int:
    folder = policy_folder(policy)
    from policy.checkpoint import load_policy, policy_hash
    from reward.ratings import RatingsStore
    from rl.pairing_round import PoolConfig, pair_up

    model = load_policy(folder)
    config = PoolConfig(
        melodies=melodies,
        pairs=pairs,
        round=number,
        seed=seed,
        strategy=strategy,
        trap_share=trap_share,
    )
    Path(DATABASE).parent.mkdir(parents=True, exist_ok=True)
    with RatingsStore(database) as store:
        return len(pair_up(store, model, policy_hash(folder), asked, config))


def _run_job(database: str, folder: Path, settings: JobSettings, *, detach: bool) -> None:
    """Start a job for the run in `folder`; show it till its end unless it is to be detached."""
    from contextlib import closing

    from reward.database import Database
    from rl.jobs import ask_to_stop, start_job
    from rl.live import make_console, watch
    from rl.runs import Run

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


def _console() -> Watcher:
    """A watcher that tells each update in a line."""
    from rl.live import update_line
    from rl.training import Watcher

    class Console(Watcher):
        def updated(self, row: dict[str, Any], rollout: Rollout) -> None:
            click.echo(update_line(row))

    return Console()


def _is_ours(error: BaseException) -> bool:
    """Whether an error was raised by our own code, for the user, and not by a library inside."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    raised_in = Path(at.tb_frame.f_code.co_filename).resolve() if at is not None else Path()
    return any(raised_in.is_relative_to(HERE / room) for room in ROOMS)


def main() -> None:
    """Run the command line; what a user got wrong is one line and exit code 2."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except ValueError as error:
        if not _is_ours(error):
            raise
        click.echo(f"tastemaker: {' '.join(str(error).split())}", err=True)
        sys.exit(2)
    except OSError as error:
        reason = error.strerror or str(error)
        where = f"{error.filename}: " if error.filename else ""
        click.echo(
            f"tastemaker: {where}{reason}; check the path, its permissions and the disk", err=True
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
