"""Best-of-n, DPO, RLOO and GRPO beside each other: one reward, the same votes, one kind of result.

Every method is measured alike, on fresh melodies whose headers are the base's: what PPO learns from
(`objective_of`), the reward model's score, KL from the base, diversity, seconds. Measuring is not
counted. RLOO and GRPO are kept as PPO is: the best policy on the way, within the KL limit, by the
reward. DPO is kept by held-out votes. Best-of-n has no policy; its KL is known, its seconds are
those of writing.

Letters: B melodies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from env.reference import Reference, torch_chance
from music.corpora.diversity import SAMPLE_SIZE, vendi_at
from music.melody import Melody
from music.progress import Progress, Report, no_progress, no_report
from music.styles import Styles
from music.tokens import HEADER_LENGTH, decode
from policy.checkpoint import load_policy, policy_hash
from policy.compose import DEFAULT_TONIC_MIDI, Conditioning
from policy.decode import sample
from policy.logprobs import melody_nats
from policy.model import MelodyForCausalLM
from policy.runs import RUNS, RunError, open_run
from policy.scope import styles_of
from reward.comparisons.learnable import learnable
from reward.exchange.export import preference_pairs
from reward.scorer import Reward, scores_of
from reward.store.schema import RATER_KINDS
from reward.store.store import RatingsStore
from reward.training.fit import conditioning_of
from reward.training.models import load_model, newest_reward
from rl.baselines.results import CurvePoint, Measured, MethodResult, write_results
from rl.baselines.settings import SETTINGS, Budget
from rl.baselines.trl import OnCheckpoint, train_by
from rl.evaluation.best_of_n import best_of_n
from rl.evaluation.evaluate import Judge
from rl.ppo.config import PPOConfig
from rl.ppo.objective import Objective, objective_of

METHODS = ("best-of-n", "dpo", "rloo", "grpo")
MEASURING_SEED = 1_300_021
"""of melodies that are measured; no other stage draws from it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What all methods are given alike."""

    base_folder: Path
    base: MelodyForCausalLM
    reward: Reward
    config: PPOConfig
    """of the PPO run that they stand beside: header, objective, KL limit"""
    pairs: Sequence[Mapping[str, Any]] = ()
    """decided votes, for DPO (`voted_pairs`)"""
    judge: Judge | None = None
    """a simulated listener's true utility; for measuring only"""

    @property
    def conditioning(self) -> Conditioning:
        """The header."""
        return self.config.conditioning

    @property
    def objective(self) -> Objective:
        """What PPO learns from."""
        return objective_of(self.reward, self.config)


def voted_pairs(
    store: RatingsStore, reward_record: Mapping[str, Any], styles: Styles
) -> list[dict[str, Any]]:
    """The decided votes that a reward run learnt from, as chosen and rejected; ties left out.

    The melodies are in the tokens of a policy with these styles.

    Raises:
        RunError: when the store does not hold them.
    """
    kind = reward_record["config"]["votes_of"]
    frame = store.votes_frame(kind=kind if kind in RATER_KINDS else None)  # None: of both kinds
    learnt = learnable(frame.loc[frame["vote_id"] <= reward_record["last_vote"]])
    pairs = list(preference_pairs(learnt, store.melodies_frame(), styles))
    if not pairs:
        raise RunError(
            "the database holds no decided vote of those that the reward learnt from; give the one "
            "that it was made from with --database"
        )
    return pairs


def run_baseline(
    method: str,
    task: Task,
    *,
    budget: Budget,
    seed: int = 0,
    best_of: int = 64,
    on_checkpoint: OnCheckpoint | None = None,
    clock: Callable[[], float] = time.monotonic,
    progress: Progress = no_progress,
) -> MethodResult:
    """Run one of `METHODS` and measure what it made.

    Args:
        method: its name.
        task: what all methods are given alike.
        budget: of training; best-of-n has none.
        seed: of everything.
        best_of: n of best-of-n.
        on_checkpoint: gets copies of the policy on the way; its time is not counted.
        clock: what seconds are taken from.
        progress: is told seconds of the budget, or of best-of-n how many melodies are written.

    Raises:
        ValueError: for an unknown method, and what `train_by` raises.
    """
    if method not in METHODS:
        raise ValueError(f"method={method!r} is not known; choose of {METHODS}")
    torch.set_num_threads(task.config.threads)
    if method == "best-of-n":
        return _best_of_n(task, best_of, seed, clock, progress)
    curve: list[CurvePoint] = []
    kept: list[tuple[float, MelodyForCausalLM]] = []

    def look(seconds: float, sampled: int, policy: MelodyForCausalLM) -> None:
        progress(round(seconds), round(budget.seconds or 0))
        _, measured = measure(policy, task, SAMPLE_SIZE, seed + 1)
        curve.append(CurvePoint(seconds=seconds, melodies=sampled, measured=measured))
        within = measured.kl_nats <= task.config.kl_limit_nats
        if within and (not kept or measured.reward > kept[0][0]):
            kept[:] = [(measured.reward, policy)]
        if on_checkpoint is not None:
            on_checkpoint(seconds, sampled, policy)

    tuned = train_by(
        method,
        task.base_folder,
        conditioning=task.conditioning,
        budget=budget,
        objective=task.objective,
        pairs=task.pairs,
        seed=seed,
        on_checkpoint=look,
        clock=clock,
    )
    policy = tuned.policy
    if method != "dpo":
        # Beyond the limit at every look: the base itself is what may be kept.
        policy = kept[0][1] if kept else task.base
    # Fresh ones: those by which it was kept flatter it.
    written, measured = measure(policy, task, SAMPLE_SIZE, seed + 2)
    return MethodResult(
        name=method,
        melodies=written,
        policy=policy,
        measured=measured,
        vendi=vendi_at(written, SAMPLE_SIZE)[0],
        seconds=tuned.seconds,
        melodies_sampled=tuned.melodies,
        curve=curve,
    )


def measure(
    policy: MelodyForCausalLM, task: Task, count: int, seed: int
) -> tuple[list[Melody], Measured]:
    """Fresh melodies of a policy under the base's headers, and what they are worth."""
    generator = torch.Generator().manual_seed(seed + MEASURING_SEED)
    reference = Reference(task.base)
    prompts = task.conditioning.prompt(count, reference.scope)
    headers = reference.with_headers(prompts, torch_chance(generator))
    rows = sample(policy, headers, generator=generator).rows()
    ratio = melody_nats(policy, rows, HEADER_LENGTH) - melody_nats(task.base, rows, HEADER_LENGTH)
    melodies = [decode(row, DEFAULT_TONIC_MIDI, styles_of(policy)) for row in rows]
    return melodies, _measured(melodies, task, float(ratio.mean()))


def _measured(melodies: list[Melody], task: Task, kl_nats: float) -> Measured:
    mean, std = scores_of(task.reward, melodies)
    return Measured(
        reward=float(task.objective(melodies).mean()),
        score_mean=float(np.mean(mean)),
        score_std=float(np.mean(std)),
        kl_nats=kl_nats,
        true_utility=None if task.judge is None else float(np.mean(task.judge(melodies))),
    )


def _best_of_n(
    task: Task, n: int, seed: int, clock: Callable[[], float], progress: Progress
) -> MethodResult:
    begun = clock()
    best = best_of_n(
        task.base,
        task.reward,
        n=n,
        count=SAMPLE_SIZE,
        conditioning=task.conditioning,
        std_penalty=task.config.std_penalty,  # to saturate changes no order
        seed=seed + MEASURING_SEED,
        progress=progress,
    )
    return MethodResult(
        name=f"best-of-{n}",
        melodies=best.melodies,
        policy=None,
        measured=_measured(best.melodies, task, best.kl_nats),
        vendi=vendi_at(best.melodies, SAMPLE_SIZE)[0],
        seconds=clock() - begun,
        melodies_sampled=n * SAMPLE_SIZE,
        curve=[],
    )


def compare_baselines(
    methods: Sequence[str],
    out: Path,
    *,
    base_folder: Path,
    database: str,
    reward_name: str | None = None,
    budget: Budget,
    changes: Mapping[str, Any] | None = None,
    best_of: int = 64,
    seed: int = 0,
    root: Path = RUNS,
    report: Report = no_report,
) -> list[MethodResult]:
    """Run some of `METHODS` against a reward run and the votes behind it; writes into `out`.

    Args:
        methods: their names, in the order in which they are run.
        out: folder for `baselines.json` and the tuned policies.
        base_folder: the policy that all start from.
        database: where the votes are; opened only when DPO is among the methods.
        reward_name: a reward run; None is the newest.
        budget: of each method's training.
        changes: settings of `PPOConfig` that differ from its defaults and the reward run's header.
        best_of: n of best-of-n.
        seed: of everything.
        root: folder of all runs.
        report: is told how far each method is.

    Raises:
        RunError: when there is no such reward run, or the database does not hold its votes.
        ValueError: for unknown methods or settings.
    """
    unknown = [method for method in methods if method not in METHODS]
    if unknown or not methods:
        raise ValueError(f"methods={unknown or list(methods)} are not known; choose of {METHODS}")
    run = newest_reward(root=root) if reward_name is None else None
    if reward_name is not None:
        run = open_run(reward_name, kind="reward", root=root)
    if run is None:
        raise RunError("there is no reward model yet; make one from votes with: tastemaker reward")
    record = run.record
    header = {k: v for k, v in conditioning_of(record).fields().items() if k != "pickup_ticks"}
    config = PPOConfig(**{**header, "seed": seed, **(changes or {})})
    base = load_policy(base_folder)
    pairs: list[dict[str, Any]] = []
    if "dpo" in methods:
        with RatingsStore(database) as store:
            pairs = voted_pairs(store, record, styles_of(base))
    task = Task(
        base_folder=base_folder,
        base=base,
        reward=load_model(run).score,
        config=config,
        pairs=pairs,
    )
    given = {
        "reward": run.name,
        "base": policy_hash(base_folder),
        "pairs": len(pairs),
        "seed": seed,
        "budget": asdict(budget),
        "settings": {method: asdict(SETTINGS[method]) for method in methods if method in SETTINGS},
        "ppo": asdict(config),
        "libraries": {library: version(library) for library in ("torch", "transformers", "trl")},
    }
    results: list[MethodResult] = []
    for method in methods:
        report(method, 0, 0)
        unit = "melodies" if method == "best-of-n" else "seconds of training"
        progress = partial(report, f"{method}, {unit}")
        results.append(
            run_baseline(method, task, budget=budget, best_of=best_of, seed=seed, progress=progress)
        )
        write_results(results, out, given)  # each as it comes: a later one may be stopped
    return results
