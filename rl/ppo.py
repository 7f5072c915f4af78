"""PPO for whole melodies: roll out, score, update, steer the KL, save.

Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347) with the KL-shaped reward and
the adaptive coefficient of Ziegler et al. 2019 (arXiv:1909.08593). Departures from the textbook:
  - one reward a melody, at its last choice, plus the KL's price at each choice; gamma is 1;
  - forced tokens (barlines, the end) are no decisions: no loss, no advantage, no KL there;
  - the reward is conservative, mean - lambda * std of the reward model (Coste et al. 2023), and
    saturates: poor melodies are worth lifting, the best ones not worth driving further;
  - the result is the best policy within the KL limit by that reward, not the last one;
  - no dropout, in sampling or in learning, so that ratios start at 1.

A run is exact: chance follows from the seed and the update's number, so a run that is killed at any
moment and resumed with as many threads writes the same bits.

Letters: B melodies, T tokens, N choices.
"""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from music.diversity import vendi_score
from music.originality import TrainingIndex, originality
from music.tokens import PAD
from policy.checkpoint import (
    newest_step,
    optimizer_tensors,
    restore_optimizer,
    save_policy,
    write_step,
)
from policy.compose import Asked
from policy.model import MelodyForCausalLM
from rl.actor_critic import ActorCritic
from rl.advantages import advantages, shaped_rewards, whiten
from rl.rollout import Reward, Rollout, collect
from rl.runs import Run, RunError


@dataclass(frozen=True, slots=True, kw_only=True)
class PPOConfig:
    """How PPO spends its melodies."""

    updates: int = 36
    """rounds of sampling and learning"""
    melodies_per_update: int = 256
    """melodies sampled before each update"""
    minibatch: int = 32
    """melodies per gradient step; divides `melodies_per_update`"""
    epochs: int = 1
    """passes over the melodies of an update"""
    learning_rate: float = 1e-4
    """Adam's step for the policy"""
    value_learning_rate: float = 3e-3
    """Adam's step for the value head, which starts at nothing and must be ahead of the policy"""
    clip: float = 0.2
    """how far a probability ratio may move before its gradient stops"""
    value_weight: float = 0.1
    """weight of the value loss beside the policy's"""
    max_grad_norm: float = 1.0
    """gradient clipping"""
    gae_lambda: float = 1.0
    """how far advantages look ahead; 1 is the whole melody"""
    kl_target_nats: float = 7.0
    """KL from the base policy, per melody, that the controller steers to"""
    kl_limit_nats: float = 8.0
    """no policy beyond this is kept as the result"""
    kl_coefficient: float = 0.12
    """price of a nat at the start, in the reward's unit"""
    std_penalty: float = 0.5
    """lambda: how much of the reward model's uncertainty is taken off"""
    good_enough: float = 1.5
    """score beyond which more is worth little, in base standard deviations"""
    meter: str | None = "4/4"
    """metre of the melodies; None leaves it to the base policy"""
    mode: str | None = None
    """mode of the melodies"""
    tune_type: str | None = None
    """tune type of the melodies"""
    bars: int | None = 8
    """bars of the melodies"""
    seed: int = 0
    """of sampling and of the order of minibatches"""
    threads: int = 2
    """threads of torch: bits depend on them"""

    def __post_init__(self) -> None:
        """Check what arithmetic needs.

        Raises:
            ValueError: with the value, the rule and the nearest that would do.
        """
        for name in ("updates", "melodies_per_update", "minibatch", "epochs", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is below 1; give a positive number")
        if self.melodies_per_update % self.minibatch:
            sizes = [
                d
                for d in range(1, self.melodies_per_update + 1)
                if self.melodies_per_update % d == 0
            ]
            nearest = sorted(sizes, key=lambda d: abs(d - self.minibatch))[:2]
            raise ValueError(
                f"minibatch={self.minibatch} does not divide melodies_per_update="
                f"{self.melodies_per_update}; the nearest that do are {nearest}"
            )
        if self.kl_target_nats <= 0 or self.kl_limit_nats < self.kl_target_nats:
            raise ValueError(
                f"kl_target_nats={self.kl_target_nats}, kl_limit_nats={self.kl_limit_nats}: the "
                "target is positive and not above the limit"
            )
        self.asked  # noqa: B018 (checks the header)

    @property
    def asked(self) -> Asked:
        """The header asked of every melody."""
        return Asked(meter=self.meter, mode=self.mode, tune_type=self.tune_type, bars=self.bars)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> PPOConfig:
        """The configuration that a run's record holds.

        Raises:
            RunError: when it was written by another version.
        """
        known = {field.name for field in fields(cls)}
        if set(record) != known:
            raise RunError(
                f"the run's configuration differs in {sorted(set(record) ^ known)}; it was made by "
                "another version: start a new run"
            )
        return cls(**record)


class PPO:
    """The learner, its optimiser and its KL controller; one `step` is one update."""

    def __init__(self, config: PPOConfig, base: MelodyForCausalLM, reward: Reward) -> None:
        self.config, self.reference, self.reward = config, base.eval(), reward
        self.learner = ActorCritic(copy.deepcopy(base)).eval()
        self.optimizer = torch.optim.Adam(
            [
                {"params": self.learner.policy.parameters(), "lr": config.learning_rate},
                {"params": self.learner.value_head.parameters(), "lr": config.value_learning_rate},
            ],
            eps=1e-5,
        )
        self.kl_coefficient = config.kl_coefficient
        self.update = 0
        self.best_update = -1
        self.best_reward = -np.inf

    def roll_out(self) -> Rollout:
        """Melodies of the policy as it stands before update `self.update`."""
        device = self.reference.lm_head.weight.device
        seed = np.random.SeedSequence([self.config.seed, self.update, 1]).generate_state(
            1, np.uint64
        )
        generator = torch.Generator(device).manual_seed(int(seed[0] >> np.uint64(1)))
        return collect(
            self.learner,
            self.reference,
            self.reward,
            self.config.melodies_per_update,
            asked=self.config.asked,
            generator=generator,
        )

    def learn(self, rollout: Rollout) -> dict[str, float]:
        """Clipped policy and value steps on one rollout; returns what to log."""
        config, sampled, acted = self.config, rollout.sampled, rollout.acted
        # 1. what each choice earned
        reward = self.objective(rollout).to(sampled.logprob)
        reward_BT = shaped_rewards(
            reward, sampled.logprob, rollout.reference_logprob, acted, self.kl_coefficient
        )
        advantage_BT = advantages(reward_BT, sampled.value, acted, gamma=1.0, lam=config.gae_lambda)
        return_BT = advantage_BT + sampled.value
        advantage_BT = torch.zeros_like(advantage_BT).masked_scatter(
            acted, whiten(advantage_BT[acted])
        )
        # 2. a few passes over it, in minibatches whose order follows from seed and update
        order = np.random.default_rng([config.seed, self.update, 2])
        log: dict[str, list[float]] = {
            "clip_fraction": [],
            "value_loss": [],
            "entropy_nats": [],
            "step_kl_nats": [],
        }
        lengths = (sampled.ids != PAD).sum(1)
        for _ in range(config.epochs):
            for some in order.permutation(config.melodies_per_update).reshape(-1, config.minibatch):
                rows = torch.from_numpy(some).to(sampled.ids.device)
                longest = int(lengths[rows].max())  # no padding beyond the longest melody here
                ids, mask_row, chosen, old, gain, target = (
                    whole[rows, :longest]
                    for whole in (
                        sampled.ids,
                        sampled.mask_row,
                        acted,
                        sampled.logprob,
                        advantage_BT,
                        return_BT,
                    )
                )
                judged = self.learner(ids, mask_row, chosen)
                gain = gain[chosen]
                ratio = (judged.logprob - old[chosen]).exp()
                clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
                policy_loss = -torch.minimum(ratio * gain, clipped * gain).mean()
                value_loss = 0.5 * (judged.value - target[chosen]).square().mean()
                self.optimizer.zero_grad(set_to_none=True)
                (policy_loss + config.value_weight * value_loss).backward()
                nn.utils.clip_grad_norm_(self.learner.parameters(), config.max_grad_norm)
                self.optimizer.step()
                log["clip_fraction"].append(((ratio - 1).abs() > config.clip).float().mean().item())
                log["value_loss"].append(value_loss.item())
                log["entropy_nats"].append(judged.entropy.mean().item())
                log["step_kl_nats"].append((ratio - 1 - ratio.log()).mean().item())
        # 3. steer the price of a nat towards the target (Ziegler et al. 2019, eq. 3-4)
        kl = rollout.kl_nats.mean().item()
        # The price falls slowly: a run starts at no KL, which says nothing about its price yet.
        error = float(np.clip(kl / config.kl_target_nats - 1, -0.1, 0.5))
        self.kl_coefficient *= 1 + 0.2 * error
        self.update += 1
        return {name: float(np.mean(values)) for name, values in log.items()}

    def objective(self, rollout: Rollout) -> Tensor:
        """What is learnt from: the conservative score, saturated; float64 (B,)."""
        conservative = rollout.score_mean - self.config.std_penalty * rollout.score_std
        return saturated(conservative, self.config.good_enough)

    def tensors(self) -> dict[str, Tensor]:
        """All that a resumed run needs, as tensors; chance needs nothing."""
        weights = {f"learner.{n}": p for n, p in self.learner.named_parameters()}
        return weights | optimizer_tensors(self.optimizer)

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs besides tensors."""
        return {
            "kl_coefficient": self.kl_coefficient,
            "best_update": self.best_update,
            "best_reward": self.best_reward if self.best_update >= 0 else None,
        }

    def restore(self, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Put back what `tensors` and `state` gave."""
        with torch.no_grad():
            for name, parameter in self.learner.named_parameters():
                parameter.copy_(tensors[f"learner.{name}"])
        restore_optimizer(self.optimizer, tensors)
        self.update, self.kl_coefficient = step, state["kl_coefficient"]
        self.best_update = state["best_update"]
        self.best_reward = -np.inf if state["best_reward"] is None else state["best_reward"]


def fine_tune(
    run: Run,
    config: PPOConfig,
    base: MelodyForCausalLM,
    reward: Reward,
    index: TrainingIndex,
    *,
    on_update: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, Any]:
    """Run PPO in a run folder, from its newest whole step on; returns the best update's log row.

    Writes `steps/N/` (for resume), `metrics.jsonl`, and at the end `policy/`, the best policy by
    conservative reward within the KL limit.

    Raises:
        RunError: when no policy stayed within the KL limit.
    """
    torch.set_num_threads(config.threads)
    ppo = PPO(config, base, reward)
    saved = newest_step(run.path / "steps")
    if saved is not None:
        ppo.restore(saved.step, saved.tensors, saved.state)
    run.forget_after(ppo.update)
    finished = run.path / "policy"
    while not finished.exists():
        begun = time.monotonic()
        rollout = ppo.roll_out()
        row = measure(ppo, rollout, index)
        if row["kl_nats"] <= config.kl_limit_nats and row["reward"] > ppo.best_reward:
            _keep_best(run, ppo, row["reward"])
        last = ppo.update == config.updates
        if not last:
            row |= ppo.learn(rollout)
        row["seconds"] = round(time.monotonic() - begun, 3)
        run.log(row)
        on_update(row)
        if last:
            if ppo.best_update < 0:
                raise RunError(
                    f"no update of {run.name} stayed within {config.kl_limit_nats} nats; lower the "
                    "learning rate or the target"
                )
            (run.path / "best" / str(ppo.best_update)).replace(finished)
        else:
            write_step(run.path / "steps", ppo.update, ppo.tensors(), ppo.state())
            _drop_old_bests(run, ppo.best_update)
    shutil.rmtree(run.path / "best", ignore_errors=True)
    return kept_row(run.rows(), config)


def kept_row(rows: list[dict[str, Any]], config: PPOConfig) -> dict[str, Any]:
    """The log row of the update whose policy is the run's result."""
    within = [row for row in rows if row["kl_nats"] <= config.kl_limit_nats]
    return max(within, key=lambda row: row["reward"])


def saturated(score_B: Tensor, good_enough: float) -> Tensor:
    """Slope 1 far below `good_enough`, 0 far above it: half the log-sigmoid of twice the distance.

    A policy earns more by lifting its poor melodies than by driving its best ones beyond what the
    reward model has seen (Wang et al. 2024, arXiv:2402.00742).
    """
    return functional.logsigmoid(2 * (score_B - good_enough)) / 2


def measure(ppo: PPO, rollout: Rollout, index: TrainingIndex) -> dict[str, Any]:
    """What a log line says of a rollout: reward, KL and the guards beside them."""
    melodies = rollout.melodies
    return {
        "update": ppo.update,
        "reward": ppo.objective(rollout).mean().item(),
        "score_mean": rollout.score_mean.mean().item(),
        "score_std": rollout.score_std.mean().item(),
        "kl_nats": rollout.kl_nats.mean().item(),
        "kl_coefficient": ppo.kl_coefficient,
        "notes": float(np.mean([len(melody.notes) for melody in melodies])),
        "vendi": vendi_score(melodies),
        "originality": float(np.nanmean(originality(melodies, index).originality)),
    }


def _keep_best(run: Run, ppo: PPO, reward: float) -> None:
    place = run.path / "best" / str(ppo.update)
    draft = run.path / "best" / f"tmp-{ppo.update}"
    for leftover in (place, draft):
        shutil.rmtree(leftover, ignore_errors=True)
    save_policy(ppo.learner.policy, draft)
    draft.replace(place)
    ppo.best_update, ppo.best_reward = ppo.update, reward


def _drop_old_bests(run: Run, best_update: int) -> None:
    # Only after the step that names the new one is on disk: a kill in between resumes from the old.
    for folder in (run.path / "best").glob("*"):
        if folder.name != str(best_update):
            shutil.rmtree(folder)


def config_record(config: PPOConfig) -> dict[str, Any]:
    """The configuration as it stands in a run's record."""
    return asdict(config)
