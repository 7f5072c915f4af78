"""Commands that judge what was learnt: `demo`, `evaluate`, `blind-test`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tastemaker.options import (
    DATABASE,
    TASTES,
    base_folder,
    database_option,
    header_options,
    make_conditioning,
    policy_folder,
    seed_option,
    soundfont_option,
)

if TYPE_CHECKING:
    from rl.ppo.rollout import Rollout
    from rl.ppo.trainer import Callback


@click.command()
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
    from rl.ppo.config import PPOConfig

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


@click.command()
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
    conditioning = make_conditioning(meter, mode, tune_type, bars)
    from policy.checkpoint import load_policy, policy_hash
    from reward.blind_test.make import BlindTestConfig, Contestant, make_blind_test
    from reward.store.store import RatingsStore

    config = BlindTestConfig(
        name=name or f"{base} and {tuned}", votes=votes, melodies=melodies, seed=seed
    )
    a, b = (Contestant(policy, policy_hash(at), load_policy(at)) for policy, at in folders)
    Path(DATABASE).parent.mkdir(parents=True, exist_ok=True)
    with RatingsStore(database) as store:
        made = make_blind_test(store, a, b, conditioning, config, say=click.echo)
    click.echo(f"made the blind test {made.name!r}   next: tastemaker studio, page Blind test")


def _console() -> Callback:
    """A watcher that tells each update in a line."""
    from rl.jobs.terminal import update_line
    from rl.ppo.trainer import Callback

    class Console(Callback):
        def updated(self, row: dict[str, Any], rollout: Rollout) -> None:
            click.echo(update_line(row))

    return Console()
