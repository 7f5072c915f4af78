"""PPO for whole melodies: roll out, credit each choice, step, steer the price of a nat.

Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347) with a price on the KL from
the base policy that is adapted to a target (Ziegler et al. 2019, arXiv:1909.08593). Departures from
the textbook, each measured in docs/log.md:
  - one reward a melody, at its last choice; gamma is 1;
  - forced tokens (barlines, the end) are no decisions: no loss, no advantage, no KL there;
  - the KL is exact at each choice, not the log-ratio of what was chosen: a choice's own KL is a
    term of the loss, that of later choices is in its return. No chance is in the price;
  - the critic is linear in the policy's hidden states and in what stands on the page so far, and is
    solved for (`rl.ppo.critic`): it knows something from the first update on, and no value loss
    pulls at the policy;
  - only the top layers are trained, on states that sampling has stored; plain momentum instead of
    Adam, whose steps are as long where there is only noise as where there is something to learn;
  - the reward is conservative and saturates (`rl.ppo.objective`): poor melodies are worth lifting,
    the best ones not worth driving further;
  - the controller's error is clipped to -.2 to +.5 and its gain is .2 (theirs: both .2, and .1), so
    that the price falls slowly while there is no KL yet and rises fast once there is too much; the
    only one here that was not measured by itself. Without a target the price stays, and what is
    sought is the base tilted by the exponential of the reward over the price;
  - no dropout, in sampling or in learning, so that ratios start at 1.

Chance follows from the seed, the update's number and the process's rank, so a run that is killed at
any moment and resumed with as many threads and processes writes the same bits (on CPUs; a GPU adds
in its own order).

Letters: B melodies, T tokens, N choices of the learner, V vocabulary.
"""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from music.tokens import PAD
from policy.checkpoint import optimizer_tensors, restore_optimizer
from policy.logprobs import kl_nats, masked_log_softmax
from policy.model import MelodyForCausalLM
from policy.pretrain import bf16_context
from reward.scorer import Reward
from rl.ppo.actor import Actor
from rl.ppo.advantages import advantages, returns, shaped_rewards
from rl.ppo.config import PPOConfig
from rl.ppo.critic import RidgeCritic, explained_variance
from rl.ppo.critic_features import MEASURES, MEASURES_WITH_RULES, running_measures
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
        self.reference = copy.deepcopy(base).eval()  # the caller's stays where and as it is
        nn.Module.to(self.reference, self.processes.device)  # transformers' own has no usable type
        self.actor = Actor(copy.deepcopy(self.reference), config.layers_trained).eval()
        told = MEASURES_WITH_RULES if config.critic_knows_rules else MEASURES
        self.critic = RidgeCritic(base.config.hidden_size + told)
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
        config, sampled, acted = self.config, rollout.sampled, rollout.acted
        # 1. what each choice is worth
        gain_N, scale, explained = self.credit(rollout)
        gain_BT = torch.zeros_like(sampled.logprob).masked_scatter(acted, gain_N)
        price = self.kl_coefficient / scale  # of a nat, beside advantages of unit deviation
        number_BT = torch.zeros_like(sampled.ids).masked_scatter(
            acted, torch.arange(len(gain_N), device=acted.device)
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
                rows = torch.from_numpy(some).to(acted.device)
                longest = int(lengths[rows].max())  # no padding beyond the longest melody here
                ids, mask_row, chosen, old, gain, number = (
                    whole[rows, :longest]
                    for whole in (
                        sampled.ids, sampled.mask_row, acted, sampled.logprob, gain_BT, number_BT
                    )
                )  # fmt: skip
                states = None if sampled.states is None else sampled.states[rows, :longest]
                gain, old, number, mask_row_N = (
                    whole[chosen] for whole in (gain, old, number, mask_row)
                )
                with bf16_context(acted.device) if config.bf16 else nullcontext():
                    logps_NV = self.forward(ids, mask_row, chosen, states)
                with torch.no_grad():
                    reference_NV = masked_log_softmax(
                        self.reference.lm_head(rollout.reference_hidden[number]), mask_row_N
                    )
                ratio = (logps_NV.gather(1, ids[chosen][:, None])[:, 0] - old).exp()
                clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
                policy_loss = -torch.minimum(ratio * gain, clipped * gain).mean()
                kl = kl_nats(logps_NV, reference_NV).mean()
                self.optimizer.zero_grad(set_to_none=True)
                (policy_loss + price * kl).backward()
                norm = nn.utils.clip_grad_norm_(self.actor.trained.values(), config.max_grad_norm)
                self.optimizer.step()
                with torch.no_grad():
                    was_clipped = ((ratio - 1).abs() > config.clip).float().mean()
                    step_kl = (ratio - 1 - ratio.log()).mean()
                    entropy = -(logps_NV.exp() * logps_NV.clamp(min=-1e4)).sum(-1).mean()
                    log.append(torch.stack([was_clipped, step_kl, entropy, norm]))
        # 3. steer the price of a nat towards the target (Ziegler et al. 2019, eq. 3-4)
        if config.kl_target_nats is not None:
            kl_of_melody = self.processes.mean(rollout.kl_nats).item()
            error = float(np.clip(kl_of_melody / config.kl_target_nats - 1, -0.2, 0.5))
            self.kl_coefficient *= 1 + 0.2 * error
        self.update += 1
        names = ("clip_fraction", "step_kl_nats", "entropy_nats", "gradient_norm")
        means = self.processes.mean(torch.stack(log)).tolist()
        return dict(zip(names, means, strict=True)) | {"explained_variance": explained}

    def credit(self, rollout: Rollout) -> tuple[Tensor, Tensor, float]:
        """Advantages (N,), whitened; the deviation they had; the variance that values explain."""
        acted, total = rollout.acted, self.processes.total
        reward_BT = shaped_rewards(
            self.objective(rollout), rollout.kl_BT, acted, self.kl_coefficient
        )
        return_N = returns(reward_BT)[acted]
        half_BT = torch.arange(len(acted), device=acted.device)[:, None].expand_as(acted) % 2 == 1
        # A choice is made from what stands before it.
        measures_BTD = running_measures(rollout.sampled.ids, rules=self.config.critic_knows_rules)
        measures_ND = measures_BTD[:, :-1][acted[:, 1:].cpu()]
        known_ND = torch.cat([rollout.hidden.cpu(), measures_ND], 1)
        value_N = self.critic.values(known_ND, return_N, half_BT[acted], total)
        value_BT = torch.zeros_like(reward_BT).masked_scatter(acted, value_N)
        gain_N = advantages(reward_BT, value_BT, acted, gamma=1.0, lam=self.config.gae_lambda)[
            acted
        ]
        mean = self.processes.mean(gain_N)
        scale = self.processes.mean((gain_N - mean).square()).sqrt() + 1e-8
        return (gain_N - mean) / scale, scale, explained_variance(value_N, return_N).item()

    def objective(self, rollout: Rollout) -> Tensor:
        """What is learnt from: the conservative score, saturated; (B,) on the actor's device."""
        config = self.config
        return objective(
            rollout.score_mean,
            rollout.score_std,
            std_penalty=config.std_penalty,
            saturation_point=config.saturation_point,
        ).to(rollout.kl_BT)

    def tensors(self) -> dict[str, Tensor]:
        """All that a resumed run needs, as tensors; chance needs nothing."""
        weights = {f"actor.{name}": p for name, p in self.actor.trained.items()}
        critic = {f"critic.{name}": t for name, t in self.critic.tensors().items()}
        return weights | critic | optimizer_tensors(self.optimizer)

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
