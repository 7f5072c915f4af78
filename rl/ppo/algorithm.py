"""PPO for whole melodies: roll out, estimate advantages, step, adapt the KL coefficient.

Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347) with a penalty on the KL from
the base policy whose coefficient is adapted to a target (Ziegler et al. 2019, arXiv:1909.08593).
Departures from the textbook, each measured in docs/log.md:
  - one reward a melody, at its last decision; gamma is 1;
  - forced tokens (barlines, the end) are no decisions: no loss, no advantage, no KL there;
  - the KL is exact at each decision, not the log-ratio of the token that was chosen. A decision's
    own KL is a term of the loss, and that of later decisions is in its return. The penalty has no
    sampling noise;
  - the critic is linear in the policy's hidden states and in features of what is written so far,
    and is solved for (`rl.ppo.critic`). It is useful from the first update on, and no value loss
    changes the policy;
  - only the top layers are trained, on states that sampling has stored. The optimiser is plain
    momentum: Adam's steps are as long where there is only noise as where there is a signal;
  - the reward is conservative and saturates (`rl.ppo.objective`): poor melodies are worth
    improving, the best ones are not worth driving further;
  - the controller's error is clipped to -.2 to +.5 and its gain is .2 (theirs: both .2, and .1).
    The coefficient falls slowly while there is no KL yet, and rises fast once there is too much.
    This one was not measured by itself. Without a target the coefficient stays, and the optimum is
    the base policy times the exponential of the reward over the coefficient;
  - no dropout, in sampling or in learning, so that ratios start at 1.

All randomness follows from the seed, the update's number and the process's rank. A run that is
killed at any moment and resumed with as many threads and processes writes the same bits (on CPUs; a
GPU adds in an order of its own).

Letters: B melodies, T tokens, N decisions of the learner, F features, W tokens
that may come between barlines.
"""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from env.reference import Reference
from music.tokens import FIRST_REST, PAD
from policy.checkpoint import optimizer_tensors, restore_optimizer
from policy.logprobs import kl_nats
from policy.model import MelodyForCausalLM
from policy.pretraining.train import bf16_context
from reward.scorer import Reward
from rl.ppo.actor import Actor
from rl.ppo.advantages import advantages, returns, shaped_rewards
from rl.ppo.config import PPOConfig
from rl.ppo.critic import RidgeCritic, explained_variance
from rl.ppo.critic_features import FEATURES, FEATURES_WITH_RULES, critic_features
from rl.ppo.distributed import Processes
from rl.ppo.objective import objective
from rl.ppo.rollout import Rollout, collect


class PPO:
    """Actor, critic, optimiser and KL controller; `roll_out` and `learn` make one update."""

    def __init__(
        self,
        config: PPOConfig,
        base: MelodyForCausalLM,
        reward: Reward,
        processes: Processes | None = None,
    ) -> None:
        self.config, self.reward = config, reward
        self.processes = processes or Processes()
        self.reference = Reference(base, self.processes.device)
        policy = copy.deepcopy(base)  # the caller's stays where and as it is
        nn.Module.to(policy, self.processes.device)  # transformers' own has no usable type
        self.actor = Actor(policy, config.layers_trained).eval()
        features = FEATURES_WITH_RULES if config.critic_knows_rules else FEATURES
        self.critic = RidgeCritic(base.config.hidden_size + features)
        self.forward = self.processes.shared(self.actor)
        self.optimizer = torch.optim.SGD(
            self.actor.trained.values(), lr=config.learning_rate, momentum=config.momentum
        )
        self.kl_coefficient = config.kl_coefficient
        self.update = 0

    def roll_out(self) -> Rollout:
        """This process's share of the melodies before update `self.update`."""
        seed = np.random.SeedSequence([self.config.seed, self.update, 1, self.processes.rank])
        generator = torch.Generator(self.processes.device)
        generator.manual_seed(int(seed.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        return collect(
            self.actor,
            self.reference,
            self.reward,
            self.config.melodies_per_update // self.processes.count,
            conditioning=self.config.conditioning,
            generator=generator,
        )

    def learn(self, rollout: Rollout) -> dict[str, float]:
        """Clipped policy steps on one rollout; returns what to log."""
        config, sampled = self.config, rollout.sampled
        decision = sampled.decision
        # 1. what each decision is worth
        gain_N, scale, explained = self.credit(rollout)
        gain_BT = torch.zeros_like(sampled.logprob).masked_scatter(decision, gain_N)
        # The advantages were divided by their deviation, and so is what the KL is weighed with.
        kl_coefficient = self.kl_coefficient / scale
        number_BT = torch.zeros_like(sampled.ids).masked_scatter(
            decision, torch.arange(len(gain_N), device=decision.device)
        )
        # 2. a few passes over them, in minibatches whose order follows from seed and update
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * config.learning_rate_decay**self.update
        order = np.random.default_rng([config.seed, self.update, 2, self.processes.rank])
        lengths = (sampled.ids != PAD).sum(1)
        log: list[Tensor] = []
        for _ in range(config.epochs):
            for some in order.permutation(len(lengths)).reshape(
                -1, config.minibatch // self.processes.count
            ):
                rows = torch.from_numpy(some).to(decision.device)
                longest = int(lengths[rows].max())  # no padding beyond the longest melody here
                ids, mask_row, chosen, old, gain, number = (
                    whole[rows, :longest]
                    for whole in (
                        sampled.ids, sampled.mask_row, decision, sampled.logprob, gain_BT, number_BT
                    )
                )  # fmt: skip
                states = None if sampled.states is None else sampled.states[rows, :longest]
                gain, old, number, mask_row_N = (
                    whole[chosen] for whole in (gain, old, number, mask_row)
                )
                with bf16_context(decision.device) if config.bf16 else nullcontext():
                    logps_NW = self.forward(ids, mask_row, chosen, states)
                reference_NW = self.reference.logps(rollout.reference_hidden[number], mask_row_N)
                column_N1 = ids[chosen][:, None] - FIRST_REST
                ratio = (logps_NW.gather(1, column_N1)[:, 0] - old).exp()
                clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
                policy_loss = -torch.minimum(ratio * gain, clipped * gain).mean()
                kl = kl_nats(logps_NW, reference_NW).mean()
                self.optimizer.zero_grad(set_to_none=True)
                (policy_loss + kl_coefficient * kl).backward()
                norm = nn.utils.clip_grad_norm_(self.actor.trained.values(), config.max_grad_norm)
                self.optimizer.step()
                with torch.no_grad():
                    was_clipped = ((ratio - 1).abs() > config.clip).float().mean()
                    step_kl = (ratio - 1 - ratio.log()).mean()
                    entropy = -(logps_NW.exp() * logps_NW.clamp(min=-1e4)).sum(-1).mean()
                    log.append(torch.stack([was_clipped, step_kl, entropy, norm]))
        # 3. steer the KL coefficient towards the target (Ziegler et al. 2019, eq. 3-4)
        if config.kl_target_nats is not None:
            kl_of_melody = self.processes.mean(rollout.kl_nats).item()
            error = float(np.clip(kl_of_melody / config.kl_target_nats - 1, -0.2, 0.5))
            self.kl_coefficient *= 1 + 0.2 * error
        self.update += 1
        names = ("clip_fraction", "step_kl_nats", "entropy_nats", "gradient_norm")
        means = self.processes.mean(torch.stack(log)).tolist()
        return dict(zip(names, means, strict=True)) | {"explained_variance": explained}

    def credit(self, rollout: Rollout) -> tuple[Tensor, Tensor, float]:
        """Whitened advantages (N,); the deviation they had; the variance that values explain."""
        ids, decision = rollout.sampled.ids, rollout.sampled.decision
        reward_BT = shaped_rewards(
            self.objective(rollout), rollout.kl_BT, decision, self.kl_coefficient
        )
        return_N = returns(reward_BT)[decision]
        half_B = torch.arange(len(decision), device=decision.device) % 2 == 1
        half_N = half_B[:, None].expand_as(decision)[decision]
        features_BTF = critic_features(ids, rules=self.config.critic_knows_rules)
        # A decision is made from what stands before it.
        features_NF = features_BTF[:, :-1][decision[:, 1:].cpu()]
        known_ND = torch.cat([rollout.hidden.cpu(), features_NF], 1)
        value_N = self.critic.values(known_ND, return_N, half_N, self.processes.total)
        value_BT = torch.zeros_like(reward_BT).masked_scatter(decision, value_N)
        gain_BT = advantages(reward_BT, value_BT, decision, gamma=1.0, lam=self.config.gae_lambda)
        gain_N = gain_BT[decision]
        mean = self.processes.mean(gain_N)
        scale = self.processes.mean((gain_N - mean).square()).sqrt() + 1e-8
        return (gain_N - mean) / scale, scale, explained_variance(value_N, return_N).item()

    def objective(self, rollout: Rollout) -> Tensor:
        """The conservative score, saturated; (B,) on the actor's device."""
        config = self.config
        return objective(
            rollout.score_mean,
            rollout.score_std,
            std_penalty=config.std_penalty,
            saturation_point=config.saturation_point,
        ).to(rollout.kl_BT)

    def tensors(self) -> dict[str, Tensor]:
        """All tensors that a resumed run needs; random numbers follow from the seed."""
        weights = {f"actor.{name}": p for name, p in self.actor.trained.items()}
        critic = {f"critic.{name}": t for name, t in self.critic.tensors().items()}
        return weights | critic | optimizer_tensors(self.optimizer)

    def largest(self) -> dict[str, float]:
        """The largest size of a number in the weights, the critic and the optimiser, by tensor."""
        return {name: tensor.abs().max().item() for name, tensor in self.tensors().items()}

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs besides tensors."""
        return {"kl_coefficient": self.kl_coefficient}

    def restore(self, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Put back what `tensors` and `state` gave."""
        with torch.no_grad():
            for name, parameter in self.actor.trained.items():
                parameter.copy_(tensors[f"actor.{name}"])
        self.critic.restore({name: tensors[f"critic.{name}"] for name in self.critic.tensors()})
        restore_optimizer(self.optimizer, tensors)
        self.update, self.kl_coefficient = step, state["kl_coefficient"]
