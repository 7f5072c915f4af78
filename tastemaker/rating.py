"""Commands for rating pairs of melodies: `pairs`, `studio`, `rate`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music.files import make_folder
from tastemaker.options import (
    DATABASE,
    TASTES,
    asked_header,
    database_option,
    header_options,
    key_options,
    make_keys,
    on_database,
    policy_folder,
    policy_option,
    seed_option,
    soundfont_option,
)
from tastemaker.progress import shown_progress

if TYPE_CHECKING:
    from music.key_choice import Compass
    from reward.store.store import RatingsStore

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
@click.option(
    "--embed-in",
    "embed_in",
    multiple=True,
    help="Site that may show the studio in a frame, such as https://course.example.org; may be "
    "given several times.",
)
@click.option("--browser/--no-browser", default=True, help="Open a browser window.")
@click.option(
    "--policy", default="base", help="Whose melodies the first pairs are: `base`, or a run's name."
)
@key_options
@soundfont_option
def studio(
    database: str,
    port: int,
    address: str,
    hosts: tuple[str, ...],
    embed_in: tuple[str, ...],
    browser: bool,
    policy: str,
    key: str | None,
    compass: Compass | None,
    soundfont: Path | None,
) -> None:
    """Rate pairs of melodies, blind, in the browser.

    Where the database holds no pairs yet, 120 melodies of a policy are written first, and 40
    pairs made of them, in the key and range that are asked for. Each vote is stored when it is
    given; ctrl-c stops the studio.
    """
    import secrets

    from feedback_ui.server.launch import (
        ORGANISER_VARIABLE,
        become_studio,
        check_organiser_key,
        is_for_this_machine,
        studio_command,
    )
    from reward.store.process_environment import DATABASE_VARIABLE
    from reward.store.store import RatingsStore

    if os.environ.get(ORGANISER_VARIABLE):
        check_organiser_key(os.environ[ORGANISER_VARIABLE])
    make_folder(Path(DATABASE).parent)
    with RatingsStore(database) as store:
        store.check_writable()
        empty = store.counts()["comparisons"] == 0
    if empty:
        from policy.folder import read_policy_folder
        from policy.usual_header import usual_header

        folder = policy_folder(policy)
        asked = usual_header(read_policy_folder(folder).scope)
        _pair_up(database, folder, asked, (key, compass), 120, 40, 1, 0, "information")
    elif key is not None or compass is not None or policy != "base":
        click.echo(
            "the database has pairs, so none are written: --policy, --key and --range are for new "
            "ones; see tastemaker pairs --help",
            err=True,
        )
    command = studio_command(
        port=port,
        address=address,
        hosts=hosts,
        soundfont=soundfont,
        embed_in=embed_in,
        open_browser=browser,
    )
    # By the environment, so that neither a password nor the key stands in the process list.
    told = {**os.environ, DATABASE_VARIABLE: database}
    if not is_for_this_machine(address, hosts):
        key = told.setdefault(ORGANISER_VARIABLE, secrets.token_urlsafe(16))
        click.echo(f"organiser's address: http://{(*hosts, address)[0]}:{port}/?organiser={key}")
    become_studio(command, told)


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
@key_options
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
    style: str,
    bars: str,
    key: str | None,
    compass: Compass | None,
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

    Both melodies of a pair are heard at one tempo and in one key, that of one of them; the other
    may then go beyond its `--range`. A melody that is in the store already keeps its key.
    """  # noqa: D301  \b keeps click from filling the list
    # First: what this policy cannot do is told before torch is imported.
    folder = policy_folder(policy)
    asked = asked_header([folder], meter, mode, style, bars)
    keys = (key, compass)
    made = _pair_up(database, folder, asked, keys, melodies, pairs, number, seed, strategy, traps)
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
        step = on_database("tastemaker studio", database)
        raise click.UsageError(f"people rate in the studio ({step}); here, say --simulate")
    from reward.listeners.simulated import SimulatedListener, simulate_votes
    from reward.store.store import RatingsStore

    listener = SimulatedListener(taste, reliability=reliability, seed=seed)
    with RatingsStore(database) as store, shown_progress() as shown:
        store.check_writable()
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
    folder: Path,
    asked: Mapping[str, Any],
    keys: tuple[str | None, Compass | None],
    melodies: int,
    pairs: int,
    number: int,
    seed: int | None,
    strategy: str,
    trap_share: float = 0.0,
) -> _Made:
    with shown_progress() as shown:
        shown("loading the policy")
        from policy.checkpoint import load_policy, policy_hash
        from policy.compose import Conditioning
        from reward.pairs.round import PoolConfig, pair_up
        from reward.store.store import RatingsStore

        model, policy_id = load_policy(folder), policy_hash(folder)
        make_folder(Path(DATABASE).parent)
        with RatingsStore(database) as store:
            store.check_writable()
            seeds = _seeds_of(store, policy_id)
            config = PoolConfig(
                melodies=melodies,
                pairs=pairs,
                round=number,
                seed=next(n for n in count() if n not in seeds) if seed is None else seed,
                strategy=strategy,
                trap_share=trap_share,
            )
            waiting = pair_up(
                store,
                model,
                policy_id,
                Conditioning(**asked),
                config,
                keys=make_keys(*keys),
                report=shown,
            )
            new = len(_seeds_of(store, policy_id)) - len(seeds)
    return _Made(waiting=len(waiting), new=new, seed=config.seed)


def _seeds_of(store: RatingsStore, policy_id: str) -> list[int]:
    """The seed of each melody of a policy."""
    melodies = store.melodies_frame()
    return melodies.loc[melodies["policy_id"] == policy_id, "seed"].tolist()
