"""The whole loop with a simulated listener: pool, votes, reward, PPO, evaluation, report.

It calls the same functions as the commands; only the person is simulated. The listener's true
utility is used for the votes and for the final evaluation, nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from music.files import make_folder
from music.json_text import write_json
from music.progress import Report, no_report
from music.rendering.sound import find_soundfont
from policy.checkpoint import load_policy, policy_hash
from policy.compose import compose
from policy.model import MelodyForCausalLM
from policy.runs import Run, RunError, new_run
from policy.scope import styles_of
from reward.listeners.simulated import SimulatedListener, simulate_votes
from reward.pairs.round import INFORMATION, ROUND_PAIRS, PoolConfig, pair_up
from reward.store.store import RatingsStore
from reward.training.fit import FittedReward, fit_reward
from rl.evaluation.best_of_n import best_of_n
from rl.evaluation.evaluate import Evaluation, corpora_in_words, evaluate, training_index
from rl.evaluation.report import ReportInput, guard_facts, write_report
from rl.jobs.terminal import kept_line
from rl.ppo.config import PPOConfig, config_record
from rl.ppo.rollout import Rollout
from rl.ppo.trainer import Callback, fine_tune

REPEAT_SHARE = 0.1
CALIBRATION_SEED = 900_001
"""seed of the base melodies that standardise true utilities; no other stage uses it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """Settings of one pass through the loop."""

    taste: str = "calm"
    """name of the simulated listener's taste"""
    votes: int = 200
    """number of votes, including hidden repeats"""
    reliability: float = 0.72
    """share of votes that agree with the listener's true utility"""
    best_of: int = 64
    """n of the best-of-n baseline; 0 omits it"""
    best_of_melodies: int = 64
    """melodies that best-of-n makes"""
    evaluation_melodies: int = 512
    """melodies of each policy in the evaluation"""
    ppo: PPOConfig = field(default_factory=PPOConfig)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LoopResult:
    """The result of one pass through the loop."""

    fitted: FittedReward
    run: Run
    rows: list[dict[str, Any]]
    best: dict[str, Any]
    evaluation: Evaluation
    ceiling: float
    seconds: dict[str, float]

    def report(self) -> dict[str, Any]:
        """The figures of `report.json`."""
        agreement, repeats = self.fitted.agreement, self.fitted.ceiling
        return {
            "votes": self.fitted.votes,
            "agreement": agreement.share if agreement else None,
            "agreement_interval": [agreement.low, agreement.high] if agreement else None,
            "agreement_ceiling": self.ceiling,
            "self_agreement_on_repeats": repeats.self_agreement.share if repeats else None,
            **self.evaluation.summary(),
            "best_update": self.best["update"],
            "melodies_sampled_by_ppo": len(self.rows)
            * self.run.record["config"]["melodies_per_update"],
            "seconds": self.seconds,
        }


def run_loop(
    config: LoopConfig,
    base_folder: Path,
    out: Path,
    *,
    say: Callable[[str], None] = lambda line: None,
    report: Report = no_report,
    soundfont: Path | None = None,
) -> LoopResult:
    """Run the loop once; writes `out/ratings.sqlite`, `out/runs/`, `out/report.html` and `.json`.

    `say` gets a line with the result of each stage; `report` gets its progress.

    Raises:
        RunError: when `out` already has the result of a loop, whose votes would count again.
        ValueError: for a wrong argument, with the value, the rule and the remedy.
    """
    if (out / "ratings.sqlite").exists():
        raise RunError(f"{out} has the result of a loop already; remove it or choose another --out")
    find_soundfont(soundfont)  # fails here rather than after minutes of work
    seconds: dict[str, float] = {}
    base = load_policy(base_folder)
    make_folder(out)
    base_id = policy_hash(base_folder)
    conditioning = config.ppo.conditioning
    listener = SimulatedListener(config.taste, reliability=config.reliability, seed=config.seed)
    with RatingsStore(out / "ratings.sqlite") as store:
        with _timed(seconds, "votes"):
            answered = collect_votes(store, base, base_id, listener, config, report=report)
        with _timed(seconds, "reward"):
            fitted = fit_reward(
                store,
                base,
                conditioning,
                root=out / "runs",
                parents={"base": base_id},
                seed=config.seed,
                report=report,
            )
    say(f"{answered} votes of a listener who is {config.reliability:.0%} reliable")
    # A large sample of the base standardises the listener's utility for the evaluation.
    standard = compose(
        base,
        2000,
        conditioning=conditioning,
        seed=CALIBRATION_SEED,
        progress=partial(report, "writing melodies for the final judgement"),
    )
    listener.calibrate(standard)
    ceiling = listener.ceiling(standard[:1000], standard[1000:])
    say(f"held-out agreement {fitted.agreement}   ceiling {ceiling:.2f}   chance 0.50")
    index = training_index(base)
    run = new_run(
        "ppo",
        config_record(config.ppo),
        root=out / "runs",
        parents={"base": base_id, "reward": fitted.run.name},
    )
    with _timed(seconds, "ppo"):
        best = fine_tune(
            run,
            config.ppo,
            base,
            fitted.profile.score,
            index,
            callback=_Updates(config.ppo.updates, report),
        )
    if best is None:
        raise RunError(f"{run.name} was asked to stop before its end")
    say(kept_line(best))
    tuned: MelodyForCausalLM = load_policy(run.path / "policy")
    with _timed(seconds, "best_of_n"):
        others = None
        if config.best_of:
            others = best_of_n(
                base,
                fitted.profile.score,
                n=config.best_of,
                count=config.best_of_melodies,
                conditioning=conditioning,
                std_penalty=config.ppo.std_penalty,
                seed=config.seed + 700_001,
                progress=partial(report, f"writing melodies for best of {config.best_of}"),
            )
    with _timed(seconds, "evaluation"):
        evaluation = evaluate(
            base,
            tuned,
            fitted.profile.score,
            conditioning=conditioning,
            count=config.evaluation_melodies,
            seed=config.seed + 800_001,
            judge=listener.true_utility,
            best=others,
            index=index,
            report=report,
        )
    report("writing the report", 0, 0)
    result = LoopResult(fitted, run, run.rows(), best, evaluation, ceiling, seconds)
    with _timed(seconds, "report"):
        given = _report_input(config, result, base_folder, base_id, base)
        write_report(out / "report.html", given, soundfont=soundfont)
    seconds["total"] = sum(seconds.values())
    write_json(out / "report.json", result.report())
    return result


def _report_input(
    config: LoopConfig,
    result: LoopResult,
    base_folder: Path,
    base_id: str,
    base: MelodyForCausalLM,
) -> ReportInput:
    evaluation, fitted = result.evaluation, result.fitted
    assert evaluation.true_win_rate is not None
    agreement = f"{fitted.agreement.share:.2f}" if fitted.agreement else "–"
    lead = (
        f"After {fitted.votes} votes of a simulated listener (taste “{config.taste}”, "
        f"{config.reliability:.0%} reliable) the tuned policy's melodies win "
        f"{evaluation.true_win_rate:.1%} of noise-free comparisons with the base's, at a KL of "
        f"{evaluation.kl_nats:.1f} nats. The comparisons use the listener's true utility, which "
        "neither the reward model nor PPO saw."
    )
    facts = [
        (f"{evaluation.true_win_rate:.1%}", "true win rate, tuned against base"),
        (f"{evaluation.kl_nats:.2f} nats", "KL from the base, per melody"),
        (f"{agreement} of {result.ceiling:.2f}", "held-out agreement, and its ceiling"),
        *guard_facts(evaluation),
    ]
    if evaluation.best_of_n and "true_win_rate" in evaluation.best_of_n:
        best = evaluation.best_of_n
        facts.append(
            (
                f"{best['true_win_rate']:.1%}",
                f"best of {best['n']:.0f} base melodies, at {best['kl_nats']:.1f} nats",
            )
        )
    record = result.run.record
    return ReportInput(
        title="Before and after: a melody model learns a taste",
        lead=lead,
        facts=facts,
        evaluation=evaluation,
        profile=fitted.profile,
        ppo_rows=result.rows,
        best_update=result.best["update"],
        kl_limit_nats=config.ppo.kl_limit_nats,
        provenance=[
            ("base policy", f"{base_folder}, weights {base_id}"),
            ("trained on", corpora_in_words(base)),
            ("styles", ", ".join(styles_of(base).labels)),
            (
                "shaped by",
                f"{fitted.raters} simulated listener, {fitted.votes} votes; no person's votes",
            ),
            ("reward", fitted.run.name),
            ("run", f"{result.run.name}, code {record['commit']}, seed {config.seed}"),
            ("hardware", f"{record['hardware']['machine']}, {record['hardware']['cores']} cores"),
        ],
        seconds=result.seconds,
    )


def collect_votes(
    store: RatingsStore,
    base: MelodyForCausalLM,
    base_id: str,
    listener: SimulatedListener,
    config: LoopConfig,
    *,
    report: Report = no_report,
) -> int:
    """Have a listener rate melodies of the base, in rounds whose pairs depend on earlier votes.

    Two melodies per vote are written before the first round. Returns the number of votes,
    including repeats.
    """
    answered = 0
    while answered < config.votes:
        rated = min(ROUND_PAIRS, config.votes - answered)
        pool = PoolConfig(
            melodies=0 if answered else 2 * config.votes,
            pairs=rated - round(REPEAT_SHARE * rated),
            repeat_share=REPEAT_SHARE,
            strategy=INFORMATION,
            round=1 + answered // ROUND_PAIRS,
            seed=config.seed,
        )
        waiting = len(pair_up(store, base, base_id, config.ppo.conditioning, pool, report=report))
        report("votes of the simulated listener", answered, config.votes)
        answered += simulate_votes(store, listener, waiting)
    return answered


class _Updates(Callback):
    """Reports each update of PPO."""

    def __init__(self, updates: int, report: Report) -> None:
        self._updates, self._report = updates, report

    def updated(self, row: dict[str, Any], rollout: Rollout) -> None:
        """Report it."""
        self._report("fine-tuning by PPO", row["update"], self._updates)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    seconds[stage] = round(time.monotonic() - begun, 3)
