"""Commands for people who rate: `pairs`, `studio`, `rate`, `ratings`."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tastemaker.options import (
    DATABASE,
    TASTES,
    database_option,
    header_options,
    make_conditioning,
    on_database,
    policy_folder,
    policy_option,
    seed_option,
    soundfont_option,
)
from tastemaker.progress import shown_progress

if TYPE_CHECKING:
    from policy.compose import Conditioning
    from reward.store.store import RatingsStore

RATINGS_FORMATS = ("csv", "jsonl", "parquet", "trl")
PAIR_STRATEGIES = ("random", "information", "duels", "auto")


@click.command()
@database_option
@click.option("--port", type=int, default=8501, help="Port to listen on.")
@click.option(
    "--address",
    default="127.0.0.1",
    help="IP address to listen on; by default only this machine can reach it.",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    help="Name under which browsers may ask for the studio; may be given several times.",
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
    """Rate pairs of melodies, blind, in the browser.

    Where the database holds no pairs yet, 120 melodies of the base policy are written first, and 40
    pairs made of them. Each vote is stored when it is given; ctrl-c stops the studio.
    """
    import secrets
    import subprocess

    from feedback_ui.server.launch import ORGANISER_VARIABLE, is_for_this_machine, studio_command
    from reward.store.process_environment import DATABASE_VARIABLE
    from reward.store.store import RatingsStore

    Path(DATABASE).parent.mkdir(parents=True, exist_ok=True)
    with RatingsStore(database) as store:
        empty = store.counts()["comparisons"] == 0
    if empty:
        conditioning = make_conditioning("4/4", "any", "any", "8")
        _pair_up(database, "base", conditioning, 120, 40, 1, 0, "information")
    command = studio_command(
        port=port, address=address, hosts=hosts, soundfont=soundfont, open_browser=browser
    )
    # By the environment, so that neither a password nor the key stands in the process list.
    told = {**os.environ, DATABASE_VARIABLE: database}
    if not is_for_this_machine(address, hosts):
        key = told.setdefault(ORGANISER_VARIABLE, secrets.token_urlsafe(16))
        click.echo(f"organiser's address: http://{(*hosts, address)[0]}:{port}/?organiser={key}")
    sys.exit(subprocess.call(command, env=told))


@click.command()
@database_option
@policy_option
@click.option("--melodies", type=click.IntRange(0), default=400, help="New melodies; 0 for none.")
@click.option(
    "--pairs",
    type=click.IntRange(1),
    default=200,
    help="Pairs; hidden repeats and traps are added to them.",
)
@click.option(
    "--strategy",
    type=click.Choice(PAIR_STRATEGIES),
    default="information",
    help="How pairs are chosen: see above.",
)
@click.option(
    "--traps", type=click.FloatRange(0, 0.5), default=0.05, help="Share of traps among all pairs."
)
@click.option(
    "--round",
    "number",
    type=click.IntRange(1),
    default=1,
    help="Number of the round, stored with each pair.",
)
@header_options()
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    help="By default the first that has not written melodies of this policy yet.",
)
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
    seed: int | None,
) -> None:
    """Write melodies of a policy into the store and choose pairs to be rated.

    No pair is asked again, except as a hidden repeat. Pairs are chosen by one of these strategies:

    \b
    - `information`: pairs from which a committee of taste profiles would learn most, among all
      melodies in the store, by the votes so far; before any vote, pairs that differ most. Best in
      small rounds, with `--melodies 0` after the first.
    - `random`: by chance, each melody about equally often; the control.
    - `duels`: among the melodies that are probably the best (double Thompson sampling).
    - `auto`: one of the three is drawn for the whole round: `information` in 9 of 10 rounds and
      `random` in 1; from 200 votes on `information` in 5, `duels` in 4 and `random` in 1.

    The strategy is stored with each pair, and the probability with which it was drawn. A *trap* is
    a melody against a copy of itself with a third of its notes out of key: it shows who listens,
    and no reward learns from it.
    """  # noqa: D301  \b keeps click from filling the list
    conditioning = make_conditioning(meter, mode, tune_type, bars)
    made = _pair_up(database, policy, conditioning, melodies, pairs, number, seed, strategy, traps)
    if melodies:
        click.echo(f"wrote {made.new} new melodies by seed {made.seed}")
    if made.new < melodies:
        known = "all were" if not made.new else f"{melodies - made.new} of {melodies} were"
        click.echo(f"{known} in the store already; leave --seed out for new ones", err=True)
    among = "hidden repeats and traps" if traps else "hidden repeats"
    step = on_database("tastemaker studio", database)
    click.echo(f"{made.waiting} pairs wait ({among} among them)   next: {step}")


@click.command()
@database_option
@click.option("--simulate", is_flag=True, help="Required, because people rate in the studio.")
@click.option("--taste", type=click.Choice(TASTES), default="calm", help="What the listener likes.")
@click.option(
    "--reliability",
    type=click.FloatRange(0.55, 1.0),
    default=0.72,
    help="Share of votes that name the melody that the listener truly prefers.",
)
@click.option("--count", type=click.IntRange(1), default=1000, help="Number of votes, at most.")
@seed_option
def rate(
    database: str, simulate: bool, taste: str, reliability: float, count: int, seed: int
) -> None:
    """Rate the waiting pairs as a simulated listener; the votes are marked as simulated."""
    if not simulate:
        raise click.UsageError(
            "people rate in the studio (tastemaker studio); here, say --simulate"
        )
    from reward.listeners.simulated import SimulatedListener, simulate_votes
    from reward.store.store import RatingsStore

    listener = SimulatedListener(taste, reliability=reliability, seed=seed)
    with RatingsStore(database) as store, shown_progress() as shown:
        votes = simulate_votes(store, listener, count, progress=partial(shown, "voting"))
    step = on_database("tastemaker reward", database)
    click.echo(f"{votes} votes of {listener.name}   next: {step}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What a round of pairs has brought."""

    waiting: int
    """pairs to be rated"""
    new: int
    """melodies that were not in the store"""
    seed: int
    """by which they were written"""


def _pair_up(
    database: str,
    policy: str,
    conditioning: Conditioning,
    melodies: int,
    pairs: int,
    number: int,
    seed: int | None,
    strategy: str,
    trap_share: float = 0.0,
) -> _Made:
    folder = policy_folder(policy)
    with shown_progress() as shown:
        shown("loading the policy")
        from policy.checkpoint import load_policy, policy_hash
        from reward.pairs.round import PoolConfig, pair_up
        from reward.store.store import RatingsStore

        model, policy_id = load_policy(folder), policy_hash(folder)
        Path(DATABASE).parent.mkdir(parents=True, exist_ok=True)
        with RatingsStore(database) as store:
            seeds = _seeds_of(store, policy_id)
            config = PoolConfig(
                melodies=melodies,
                pairs=pairs,
                round=number,
                seed=next(n for n in count() if n not in seeds) if seed is None else seed,
                strategy=strategy,
                trap_share=trap_share,
            )
            waiting = pair_up(store, model, policy_id, conditioning, config, report=shown)
            new = len(_seeds_of(store, policy_id)) - len(seeds)
    return _Made(waiting=len(waiting), new=new, seed=config.seed)


def _seeds_of(store: RatingsStore, policy_id: str) -> list[int]:
    """The seed of each melody of a policy."""
    melodies = store.melodies_frame()
    return melodies.loc[melodies["policy_id"] == policy_id, "seed"].tolist()


@click.group()
def ratings() -> None:
    """Export ratings, import them, and see how each rater votes."""


@ratings.command("export")
@database_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("ratings"),
    help="Folder for the files; those of an earlier export are replaced.",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(RATINGS_FORMATS),
    help="May be given several times; by default the tables in every format.",
)
@click.option(
    "--votes-of",
    "kind",
    type=click.Choice(["person", "simulated", "both"]),
    help="Whose votes; by default both in tables, and in TRL's pairs whichever kind there is.",
)
@click.option("--superseded", is_flag=True, help="Export votes that were undone too.")
def export_votes(
    database: str, out: Path, formats: tuple[str, ...], kind: str | None, superseded: bool
) -> None:
    """Write votes, comparisons, melodies and raters as CSV, JSONL and Parquet, or TRL's pairs.

    Raters are pseudonyms; the tokens by which they come back are not exported. Parquet needs
    pyarrow. In CSV, text that a spreadsheet would run as a formula begins with an apostrophe.

    `--format trl` writes `preferences.jsonl` for TRL's trainers (`chosen_ids`, `rejected_ids`,
    strength, rater): decided votes without traps and blind tests. Votes of people and of simulated
    listeners come into one such file only with `--votes-of both`. Each file is written whole or not
    at all.
    """
    from reward.comparisons.learnable import only_kind
    from reward.exchange.export import export_preferences, export_ratings
    from reward.store.store import open_ratings

    with open_ratings(database) as store:
        tables = [name for name in formats if name != "trl"]
        one = None if kind == "both" else kind
        if "trl" in formats:
            trained = None if kind == "both" else kind or only_kind(store)
            exported = export_preferences(store, out / "preferences.jsonl", kind=trained)
            follows = "recipes for TRL's trainers: docs/trl.md" if exported else "tastemaker studio"
            click.echo(f"{exported} pairs: {out}/preferences.jsonl   next: {follows}")
        if tables or not formats:
            with shown_progress() as shown:
                written = export_ratings(
                    store,
                    out,
                    formats=tables or None,
                    kind=one,
                    current_only=not superseded,
                    progress=partial(shown, "writing files"),
                )
            for path in written:
                click.echo(path)
            click.echo(f"next, elsewhere: tastemaker ratings import {shlex.quote(str(out))}")


@ratings.command("import")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@database_option
def import_votes(path: Path, database: str) -> None:
    """Import an export: PATH is its folder, or its file of votes with the tables beside it.

    All is stored in one transaction. What is already in the store is counted and not stored twice:
    a melody is known by its tokens, a comparison by its id, a vote by its nonce, a rater by
    nickname and kind. Rows that break a rule are refused, with the rows that depend on them, and
    written to `<file>.refused.csv` with the column `refused_because`. Mend them in their tables and
    import PATH again.

    A rater who is new in this store has no token to come back with. An old export brings back
    raters who have withdrawn since, so do not import one.
    """
    from reward.exchange.import_votes import import_ratings
    from reward.store.store import RatingsStore

    Path(DATABASE).parent.mkdir(parents=True, exist_ok=True)
    with RatingsStore(database) as store, shown_progress() as shown:
        done = import_ratings(store, path, report=shown)
    for table, added in done.added.items():
        refused = done.refused[table]
        click.echo(
            f"{table}: {added} added, {done.duplicates[table]} there already, "
            f"{len(refused)} refused"
        )
        for row in refused[:3]:
            click.echo(f"  row {row.number}: {'; '.join(row.reasons)}")
    for file in done.refused_files:
        click.echo(f"wrote {file}")
    if done.refused_files:
        step = on_database(f"tastemaker ratings import {shlex.quote(str(path))}", database)
        click.echo(f"mend these rows in their tables   next: {step}")


@ratings.command("stats")
@database_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def ratings_stats(database: str, as_json: bool) -> None:
    """Show how each rater votes: ties, sides, agreement with themselves and others, flags.

    People and simulated listeners also have Krippendorff's alpha each. Intervals are 95 %. A flag
    says that a rater's answers say nothing of the melodies, as far as others' votes and repeats
    tell: *always left*, *always right*, *always ties*, *by chance* or *fails traps*. It is a reason
    to look, not a verdict.
    """
    from reward.comparisons.rater_statistics import (
        ratings_statistics,
        statistics_json,
        statistics_table,
    )
    from reward.store.store import open_ratings

    with open_ratings(database) as store, shown_progress() as shown:
        shown("reading votes")
        found = ratings_statistics(store)
    if as_json:
        click.echo(statistics_json(found))
        return
    from rl.jobs.terminal import make_console

    make_console().print(*statistics_table(found), sep="\n")
