"""The other rival: PPO of stable-baselines3 on our Gymnasium environment, a slice of an update.

sb3-contrib's `MaskablePPO` (stable-baselines3's PPO with an action mask, so that the melodies are
the same) drives `tastemaker/Melody-v0` with the base policy's trunk as features extractor: the
whole prefix is run again at each token, and each transition is a training example of its own. That
is what its design asks for; a whole update takes minutes, so a slice is timed and its cost a
transition is taken for all of them.

Letters: B prefixes, T tokens, D width.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor, nn

from music.melody import Melody
from music.tokens import PAD
from policy.model import MelodyConfig, MelodyForCausalLM, MelodyModel
from rl.ppo.config import PPOConfig


@dataclass(frozen=True, slots=True)
class Slice:
    """What was timed: seconds for each transition, and how many there were."""

    transitions: int
    seconds_rollout: float
    """a transition of sampling"""
    seconds_learning: float
    """a transition in one epoch"""

    def update_seconds(self, transitions: float, epochs: int) -> float:
        """Extrapolated seconds of an update of so many transitions."""
        return transitions * (self.seconds_rollout + epochs * self.seconds_learning)


class TrunkFeatures(BaseFeaturesExtractor):
    """The trunk's last hidden state (B, D) of the prefixes in an observation."""

    def __init__(self, observation_space: spaces.Dict, base: MelodyForCausalLM) -> None:
        super().__init__(observation_space, base.config.hidden_size)
        config = cast(MelodyConfig, copy.deepcopy(base.config))
        config.residual_dropout = 0.0  # as on the other sides
        self.trunk = MelodyModel(config)
        self.trunk.load_state_dict(base.model.state_dict())

    def forward(self, observation: dict[str, Tensor]) -> Tensor:
        """Run the prefixes, padded to the longest among them and no further."""
        ids_BT = observation["tokens"].long()
        length_B = (ids_BT != PAD).sum(1)
        ids_BT = ids_BT[:, : int(length_B.max())]
        hidden_BTD = self.trunk(input_ids=ids_BT, use_cache=False).last_hidden_state
        return hidden_BTD[torch.arange(len(ids_BT)), length_B - 1]


class _Stages(BaseCallback):
    """When sampling began and ended."""

    def _on_rollout_start(self) -> None:
        self.begun_at = time.perf_counter()

    def _on_rollout_end(self) -> None:
        self.sampled_at = time.perf_counter()

    def _on_step(self) -> bool:
        return True


def timed_slice(
    base: MelodyForCausalLM,
    objective: Callable[[Sequence[Melody]], np.ndarray],
    config: PPOConfig,
    *,
    melodies: int,
    tokens: int,
    batch: int = 128,
) -> Slice:
    """Sample `melodies` melodies side by side for `tokens` steps each, then learn from that once.

    Args:
        base: the policy; actor and critic share a copy of its trunk, the actor has its head.
        objective: melodies -> what each earns.
        config: header and seed; the rest is what stable-baselines3 has by default.
        melodies: environments side by side.
        tokens: steps of each: a melody's length, so that prefixes are as long as in a whole update.
        batch: transitions in a minibatch. The time a transition does not depend on it beyond this,
            and a whole minibatch of melodies would be thousands.
    """
    header = {
        name: value for name, value in config.conditioning.fields().items() if value is not None
    }

    def make() -> gymnasium.Env[Any, Any]:
        name = "env:tastemaker/Melody-v0"
        return gymnasium.make(name, policy=base, reward=objective, options=header)

    model = MaskablePPO(
        "MultiInputPolicy",
        DummyVecEnv([make] * melodies),
        n_steps=tokens,
        batch_size=batch,
        n_epochs=1,
        gamma=1.0,
        seed=config.seed,
        device="cpu",
        policy_kwargs={
            "features_extractor_class": TrunkFeatures,
            "features_extractor_kwargs": {"base": base},
            "net_arch": [],
            "ortho_init": False,  # it would overwrite the trunk
        },
    )
    actor, critic = model.policy.action_net, model.policy.value_net
    assert isinstance(actor, nn.Linear)
    with torch.no_grad():  # the base's own head, so that it writes the base's melodies
        actor.weight.copy_(base.lm_head.weight)
        for start_at_nothing in (actor.bias, critic.weight, critic.bias):
            start_at_nothing.zero_()
    stages = _Stages()
    model.learn(melodies * tokens, callback=stages)
    learnt_at = time.perf_counter()
    transitions = melodies * tokens
    return Slice(
        transitions,
        (stages.sampled_at - stages.begun_at) / transitions,
        (learnt_at - stages.sampled_at) / transitions,
    )
