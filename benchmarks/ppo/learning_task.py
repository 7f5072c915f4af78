"""One simulated listener's task, and what each method makes of it: true utility, KL, seconds.

Every method gets the same base, the same taste profile from 200 noisy votes (DPO: the votes
themselves), the same headers and one thread. Its true utility, in standard deviations of the base's
melodies, is the judge; no method sees it. Seconds are CPU seconds of the training process: another
program beside it hardly moves them.
"""

from __future__ import annotations

import copy
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from second_environment import second_environment
from trl_process import TRLProcess

from env.reference import Reference, torch_chance
from music.corpora.diversity import SAMPLE_SIZE, vendi_at
from music.files import write_whole
from music.melody import Melody
from music.tokens import decode
from policy.checkpoint import load_policy, policy_hash
from policy.compose import DEFAULT_TONIC_MIDI, compose
from policy.decode import sample
from policy.model import MelodyForCausalLM
from policy.scope import styles_of
from policy.shipped import shipped_policy
from reward.listeners.simulated import SimulatedListener
from reward.store.store import RatingsStore
from reward.training.fit import fit_reward
from rl.baselines.comparison import Task, measure, run_baseline, voted_pairs
from rl.baselines.settings import Budget
from rl.evaluation.best_of_n import best_of_n_kl_nats
from rl.evaluation.evaluate import training_index
from rl.loop import CALIBRATION_SEED, LoopConfig, collect_votes
from rl.ppo.algorithm import PPO
from rl.ppo.config import PPOConfig
from rl.ppo.guards import broken_guards, kept_row, out_of_patience
from rl.ppo.trainer import measure as log_row

BASE = shipped_policy().resolve()
VOTES = 200
BEST_OF = (1, 2, 4, 8, 16, 32, 64)
PROMPTS = SAMPLE_SIZE
"""headers that best-of-n draws its candidates for: the best of n *of one header*, as a policy
cannot choose its header either. As many as melodies that diversity is measured on: with fewer, its
Vendi score could not be set beside the others'"""
MEASURED = 512
"""fresh melodies that a method's result is measured on; points on the way take half of them"""


START = {"seconds": 0.0, "kl_nats": 0.0, "true_utility": 0.0}
"""the base, by which utilities are standardised"""
NEAR = {"ours_near": 0.35, "ours_nearer": 0.7}
"""KL coefficient at which PPO comes to rest at about one, and at a third of one, as near the base
as RLOO and TRL's PPO stop. Our own curve only passes there on its way to 7 nats"""
METHODS = ("ours", *NEAR, "best_of_n", "dpo", "rloo", "trl_ppo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """How much each method may spend."""

    updates: int = PPOConfig().updates
    """of ours"""
    near_updates: int = PPOConfig().updates // 2
    """of ours that stays near the base"""
    trl_updates: int = 6
    """of TRL's PPO, of as many melodies as ours"""
    rloo_seconds: float = 40.0
    dpo_seconds: float = 25.0


@dataclass(frozen=True, slots=True)
class Listened:
    """A listener, what was learnt of it, and the run folder that holds that."""

    task: Task
    taste_file: Path
    seed: int


def listen(taste: str, seed: int, folder: Path) -> Listened:
    """Collect 200 votes of a listener and fit the profile, as `rl.loop` does."""
    base = load_policy(BASE)
    config = PPOConfig(seed=seed, threads=1)
    torch.set_num_threads(1)
    listener = SimulatedListener(taste, seed=seed)
    with RatingsStore(folder / "ratings.sqlite") as store:
        loop = LoopConfig(taste=taste, votes=VOTES, ppo=config, seed=seed)
        collect_votes(store, base, policy_hash(BASE), listener, loop)
        fitted = fit_reward(store, base, config.conditioning, root=folder / "runs", seed=seed)
        pairs = voted_pairs(store, fitted.run.record, styles_of(base))
    standard = compose(base, 1000, conditioning=config.conditioning, seed=CALIBRATION_SEED)
    listener.calibrate(standard)
    utility = np.asarray(listener.true_utility(standard))
    middle, deviation = utility.mean(), utility.std()

    def judge(melodies: Sequence[Melody]) -> np.ndarray:
        return (np.asarray(listener.true_utility(melodies)) - middle) / deviation

    task = Task(
        base_folder=BASE, base=base, reward=fitted.profile.score, config=config, pairs=pairs,
        judge=judge,
    )  # fmt: skip
    return Listened(task, fitted.run.path / "taste.json", seed)


def ours(given: Listened, config: PPOConfig) -> dict[str, Any]:
    """Our PPO as `rl.ppo.trainer` runs it: guards, patience and the kept policy."""
    task = given.task
    ppo, index = PPO(config, task.base, task.reward), training_index(task.base)
    seconds, rows, points = 0.0, [], []
    kept = copy.deepcopy(ppo.actor.policy)
    while True:
        begun = time.process_time()
        rollout = ppo.roll_out()
        row = log_row(ppo, rollout, index)
        row["guards_broken"] = broken_guards(row, rows[0] if rows else row, config)
        rows.append(row)
        if kept_row(rows, config) is row:
            kept = copy.deepcopy(ppo.actor.policy)
        seconds += time.process_time() - begun
        assert task.judge is not None
        utility = float(task.judge(rollout.melodies).mean())
        points.append(
            {
                "seconds": seconds, "kl_nats": row["kl_nats"], "true_utility": utility,
                "score": row["score_mean"], "guards_broken": row["guards_broken"],
            }
        )  # fmt: skip
        if ppo.update == config.updates or out_of_patience(rows, config):
            break
        begun = time.process_time()
        ppo.learn(rollout)
        seconds += time.process_time() - begun
    return _result(given, kept, seconds, points)


def ours_near(given: Listened, kl_coefficient: float, budgets: Budgets) -> dict[str, Any]:
    """Our PPO with a fixed KL coefficient, and steps that shrink until it rests."""
    config = replace(
        given.task.config,
        updates=budgets.near_updates,
        kl_target_nats=None,
        kl_coefficient=kl_coefficient,
        learning_rate_decay=0.88,
    )
    return ours(given, config)


def trl_ppo(given: Listened, budgets: Budgets, python: Path, folder: Path) -> dict[str, Any]:
    """PPO of TRL 1.12, measured from its saved policies.

    With lambda 1: at its default of .95 its value model, which knows nothing yet, lets the score
    reach the last notes alone (true utility of `calm` .15 after 6 updates, .98 with 1).
    """
    config = given.task.config
    job = {
        "base": str(BASE), "taste": str(given.taste_file),
        "conditioning": config.conditioning.fields(),
        "updates": budgets.trl_updates, "melodies_per_update": config.melodies_per_update,
        "minibatch": config.minibatch, "epochs": config.epochs, "std_penalty": config.std_penalty,
        "saturation_point": config.saturation_point, "gae_lambda": 1.0, "seed": given.seed,
        "threads": 1,
        "out": str(folder / "policies"), "save_every": 1,
    }  # fmt: skip
    seconds, points = 0.0, [START]
    with TRLProcess(python, job, folder) as process:
        rows = list(process.rows())
    for row in rows[:-1]:
        seconds += row["seconds_cpu"]
        if row["update"] % 2 == 0:
            points.append(_point(given, load_policy(row["saved"]), seconds))
    seconds += rows[-1]["seconds_cpu"]
    result = _result(given, load_policy(rows[-1]["saved"]), seconds, points)
    points.append({key: result[key] for key in START})
    return result


def baseline(given: Listened, method: str, budgets: Budgets) -> dict[str, Any]:
    """TRL 1.16's DPO or RLOO."""
    limit = budgets.dpo_seconds if method == "dpo" else budgets.rloo_seconds
    result = run_baseline(
        method, given.task, budget=Budget(seconds=limit, checkpoints=2), seed=given.seed,
        clock=time.process_time,
    )  # fmt: skip
    points = [START] + [
        {
            "seconds": point.seconds,
            "kl_nats": point.measured.kl_nats,
            "true_utility": point.measured.true_utility,
        }
        for point in result.curve
    ]
    return {
        "true_utility": result.measured.true_utility,
        "kl_nats": result.measured.kl_nats,
        "score": result.measured.score_mean,
        "vendi": result.vendi,
        "seconds": result.seconds,
        "points": points,
    }


def best_of(given: Listened) -> dict[str, Any]:
    """Best of n candidates of one header, for each n; the result is that of the largest."""
    task = given.task
    generator = torch.Generator().manual_seed(given.seed + 500_009)
    begun = time.process_time()
    reference = Reference(task.base)
    prompts = task.conditioning.prompt(PROMPTS, reference.scope)
    headers = reference.with_headers(prompts, torch_chance(generator))
    most = max(BEST_OF)
    rows = [
        row
        for some in np.array_split(np.repeat(headers, most, 0), max(1, PROMPTS * most // 512))
        for row in sample(task.base, some, generator=generator).rows()
    ]
    melodies = [decode(row, DEFAULT_TONIC_MIDI, reference.scope.styles) for row in rows]
    mean, std = task.reward(melodies)
    seconds = time.process_time() - begun
    score = (mean - task.config.std_penalty * std).reshape(PROMPTS, most)
    assert task.judge is not None
    utility = task.judge(melodies).reshape(PROMPTS, most)
    points: list[dict[str, float]] = []
    for n in BEST_OF:
        groups = score.reshape(PROMPTS, most // n, n).argmax(2)[..., None]
        won = np.take_along_axis(utility.reshape(PROMPTS, most // n, n), groups, 2)
        points.append(
            {
                "seconds": seconds * n / most,
                "kl_nats": best_of_n_kl_nats(n),
                "true_utility": float(won.mean()),
            }
        )
    winners = [melodies[place * most + best] for place, best in enumerate(score.argmax(1))]
    vendi = vendi_at(winners, SAMPLE_SIZE)[0]
    return {**points[-1], "vendi": vendi, "points": points}


def _point(given: Listened, policy: MelodyForCausalLM, seconds: float) -> dict[str, float]:
    _, measured = measure(policy, given.task, MEASURED // 2, given.seed + 1)
    assert measured.true_utility is not None
    return {
        "seconds": seconds, "kl_nats": measured.kl_nats, "true_utility": measured.true_utility
    }  # fmt: skip


def _result(
    given: Listened,
    policy: MelodyForCausalLM,
    seconds: float,
    points: list[dict[str, Any]],
) -> dict[str, Any]:
    melodies, measured = measure(policy, given.task, MEASURED, given.seed + 2)
    return {
        "true_utility": measured.true_utility,
        "kl_nats": measured.kl_nats,
        "score": measured.score_mean,
        "vendi": vendi_at(melodies, SAMPLE_SIZE)[0],
        "seconds": seconds,
        "points": points,
    }


def run_task(
    taste: str,
    seed: int,
    folder: Path,
    environment: Path,
    budgets: Budgets,
    methods: Sequence[str] = METHODS,
) -> None:
    """Some methods on one listener; adds them to `folder/result.json`, all or none."""
    scratch = folder / "work"
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was stopped, or of other methods
    scratch.mkdir(parents=True)
    given = listen(taste, seed, scratch)
    config = given.task.config
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        "ours": lambda: ours(given, replace(config, updates=budgets.updates)),
        **{name: lambda at=value: ours_near(given, at, budgets) for name, value in NEAR.items()},
        "best_of_n": lambda: best_of(given),
        "dpo": lambda: baseline(given, "dpo", budgets),
        "rloo": lambda: baseline(given, "rloo", budgets),
        "trl_ppo": lambda: trl_ppo(
            given, budgets, second_environment(environment), scratch / "trl"
        ),
    }
    file = folder / "result.json"
    done = json.loads(file.read_text())["methods"] if file.is_file() else {}
    done |= {name: runs[name]() | {"budgets": asdict(budgets)} for name in methods}
    record = {"taste": taste, "seed": seed, "methods": done}
    write_whole(file, json.dumps(record, indent=1))
