"""Commands for people who rate: `pairs`, `studio`, `rate`, `ratings`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tastemaker.options import (
    DATABASE,
    TASTES,
    database_option,
    header_options,
    make_conditioning,
    policy_folder,
    policy_option,
    seed_option,
    soundfont_option,
)

if TYPE_CHECKING:
    from policy.compose import Conditioning

RATINGS_FORMATS = ("csv", "jsonl", "parquet", "trl")
PAIR_STRATEGIES = ("random", "information", "duels", "auto")


@click.command()
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

    from feedback_ui.server.launch import ORGANISER_VARIABLE, is_for_this_machine, studio_command
    from reward.store.environment import DATABASE_VARIABLE
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
    conditioning = make_conditioning(meter, mode, tune_type, bars)
    count = _pair_up(database, policy, conditioning, melodies, pairs, number, seed, strategy, traps)
    among = "hidden repeats and traps" if traps else "hidden repeats"
    click.echo(f"{count} pairs wait ({among} among them)   next: tastemaker studio")


@click.command()
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
    from reward.listeners.simulated import SimulatedListener, simulate_votes
    from reward.store.store import RatingsStore

    listener = SimulatedListener(taste, reliability=reliability, seed=seed)
    with RatingsStore(database) as store:
        votes = simulate_votes(store, listener, count)
    click.echo(f"{votes} votes of {listener.name}   next: tastemaker reward")


def _pair_up(
    database: str,
    policy: str,
    conditioning: Conditioning,
    melodies: int,
    pairs: int,
    number: int,
    seed: int,
    strategy: str,
    trap_share: float = 0.0,
) -> int:
    folder = policy_folder(policy)
    from policy.checkpoint import load_policy, policy_hash
    from reward.pairs.round import PoolConfig, pair_up
    from reward.store.store import RatingsStore

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
        return len(pair_up(store, model, policy_hash(folder), conditioning, config))


@click.group()
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
    from reward.comparisons.learnable import only_kind
    from reward.exchange.export import export_preferences, export_ratings
    from reward.store.store import open_ratings

    with open_ratings(database) as store:
        tables = [name for name in formats if name != "trl"]
        one = None if kind == "both" else kind
        if "trl" in formats:
            trained = None if kind == "both" else kind or only_kind(store)
            count = export_preferences(store, out / "preferences.jsonl", kind=trained)
            follows = "recipes for TRL's trainers: docs/trl.md" if count else "tastemaker studio"
            click.echo(f"{count} pairs: {out}/preferences.jsonl   next: {follows}")
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
    from reward.exchange.import_votes import import_ratings
    from reward.store.store import RatingsStore

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
    from reward.comparisons.rater_statistics import (
        ratings_statistics,
        statistics_json,
        statistics_table,
    )
    from reward.store.store import open_ratings

    with open_ratings(database) as store:
        found = ratings_statistics(store)
    if as_json:
        click.echo(statistics_json(found))
        return
    from rl.jobs.terminal import make_console

    make_console().print(*statistics_table(found), sep="\n")
