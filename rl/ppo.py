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
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from music.tokens import PAD
from policy.checkpoint import (
    optimizer_tensors,
    restore_optimizer,
)
from policy.model import MelodyForCausalLM
from rl.actor_critic import ActorCritic
from rl.advantages import advantages, shaped_rewards, whiten
from rl.ppo_config import PPOConfig
from rl.rollout import Reward, Rollout, collect


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


def saturated(score_B: Tensor, good_enough: float) -> Tensor:
    """Slope 1 far below `good_enough`, 0 far above it: half the log-sigmoid of twice the distance.

    A policy earns more by lifting its poor melodies than by driving its best ones beyond what the
    reward model has seen (Wang et al. 2024, arXiv:2402.00742).
    """
    return functional.logsigmoid(2 * (score_B - good_enough)) / 2
