"""Commands that judge what was learnt: `demo`, `evaluate`, `blind-test`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

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


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    help="Folder for the results; it must not hold a demo yet.",
)
@click.option("--taste", type=click.Choice(TASTES), default="calm", help="What the listener likes.")
@click.option(
    "--votes",
    type=click.IntRange(20, 5000),
    default=200,
    help="Votes of the listener; a tenth of the pairs are hidden repeats.",
)
@click.option(
    "--reliability",
    type=click.FloatRange(0.55, 1.0),
    default=0.72,
    help="Share of votes that name the melody that the listener truly prefers.",
)
@click.option(
    "--updates",
    type=click.IntRange(1, 1000),
    help="PPO updates; by default the number in PPO's settings.",
)
@policy_option
@seed_option
@soundfont_option
def demo(
    out: Path,
    policy: str,
    taste: str,
    votes: int,
    reliability: float,
    updates: int | None,
    seed: int,
    soundfont: Path | None,
) -> None:
    """Run the whole loop with a simulated listener, and write a report.

    It writes melodies, pairs them, rates them, learns the reward, fine-tunes by PPO, and measures
    the tuned policy beside the base by the listener's *true* utility, which neither the reward
    model nor PPO sees.

    OUT then holds `report.html` (plots, scores and sound in one file), `report.json`,
    `ratings.sqlite` and `runs/`.
    """
    folder = policy_folder(policy)  # first: an unknown name is told before torch is imported
    with shown_progress() as shown:
        shown("loading libraries")
        from policy.folder import read_policy_folder
        from policy.usual_header import usual_header
        from rl.loop import LoopConfig, run_loop
        from rl.ppo.config import PPOConfig

        changes = usual_header(read_policy_folder(folder).scope)
        if updates is not None:
            changes["updates"] = updates
        ppo = PPOConfig(seed=seed, **changes)
        config = LoopConfig(taste=taste, votes=votes, reliability=reliability, ppo=ppo, seed=seed)
        result = run_loop(config, folder, out, say=shown.say, report=shown, soundfont=soundfont)
    evaluation = result.evaluation
    click.echo(
        f"tuned melodies win {evaluation.true_win_rate:.1%} of noise-free comparisons, "
        f"{evaluation.kl_nats:.2f} nats from the base, in {result.seconds['total']:.0f} s"
    )
    click.echo(
        f"wrote {out}/report.html   next: open it, or rate pairs yourself: tastemaker studio"
    )


@click.command()
@click.argument("base")
@click.argument("tuned")
@click.option(
    "--reward",
    "spec",
    help="What to judge by, as for `ppo`; by default the reward that TUNED was tuned by.",
)
@click.option("--count", type=click.IntRange(256), default=512, help="Melodies a side.")
@click.option(
    "--best-of",
    type=click.IntRange(0),
    default=64,
    help="n of best-of-n from BASE, for comparison; 0 leaves it out.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the report; by default that of the run.",
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
    """Measure the PPO run TUNED beside the policy BASE, and write a report.

    BASE is `base` or the name of a run. Measured are reward, KL, diversity, originality and
    yardsticks beside real tunes. The run's folder then holds `report.html` and `report.json`.
    """
    folder = policy_folder(base)
    policy_folder(tuned)
    with shown_progress() as shown:
        shown("loading libraries")
        from rl.runs.fine_tuning import evaluate_run

        path, summary = evaluate_run(
            folder,
            tuned,
            spec,
            count=count,
            best_of=best_of,
            out=out,
            seed=seed,
            soundfont=soundfont,
            report=shown,
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


@click.command("blind-test")
@click.argument("base")
@click.argument("tuned")
@database_option
@click.option("--name", help="What raters see; by default 'Blind test' and a number.")
@click.option(
    "--votes",
    type=click.IntRange(1, 100_000),
    default=200,
    help="Votes after which it ends, unless the answer is clear before.",
)
@click.option(
    "--votes-per-rater",
    type=click.IntRange(1, 100_000),
    help="Votes of one rater that count at most; by default a quarter of the votes.",
)
@click.option(
    "--invite-only",
    is_flag=True,
    help="Only who opens its invitation hears it; the studio's page Blind test makes the link.",
)
@click.option(
    "--melodies", type=click.IntRange(1), help="Of each policy; by default a fifth more than votes."
)
@header_options()
@key_options
@seed_option
def blind_test(
    base: str,
    tuned: str,
    database: str,
    name: str | None,
    votes: int,
    votes_per_rater: int | None,
    invite_only: bool,
    melodies: int | None,
    meter: str,
    mode: str,
    style: str,
    bars: str,
    key: str | None,
    compass: Compass | None,
    seed: int,
) -> None:
    """Write pairs of BASE's and TUNED's melodies, to be compared by ear in the studio.

    Both are `base` or the name of a run. The melodies of a pair have the same key and header: what
    was not asked for is chosen by the one policy in half of the pairs and by the other in the rest.
    Raters are not told the policies. `docs/studio.md` says when a blind test ends.
    """
    folders = [(policy, policy_folder(policy)) for policy in (base, tuned)]
    asked = asked_header([folder for _, folder in folders], meter, mode, style, bars)
    keys = make_keys(key, compass)
    with shown_progress() as shown:
        shown("loading the policies")
        from policy.checkpoint import load_policy, policy_hash
        from policy.compose import Conditioning
        from reward.blind_test.make import BlindTestConfig, Contestant, make_blind_test
        from reward.store.store import RatingsStore

        config = BlindTestConfig(
            name=name or None,
            votes=votes,
            votes_per_rater=votes_per_rater,
            invite_only=invite_only,
            melodies=melodies,
            seed=seed,
        )
        a, b = (Contestant(policy, policy_hash(at), load_policy(at)) for policy, at in folders)
        make_folder(Path(DATABASE).parent)
        with RatingsStore(database) as store:
            store.check_writable()
            writing = partial(shown, "writing pairs")
            header = Conditioning(**asked)
            made = make_blind_test(store, a, b, header, config, keys=keys, progress=writing)
    click.echo(
        f"made {made.name!r}, of {base} and {tuned}; raters are told neither name, and at most "
        f"{config.share} votes of one rater count"
    )
    click.echo(f"next, on its page Blind test: {on_database('tastemaker studio', database)}")
