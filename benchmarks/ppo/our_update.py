"""One update of our PPO, timed by stage, with its FLOPs; and the levers that make it cheap."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from unittest.mock import patch

import torch
from matmul_flops import forward_flops, has_bf16_products, learning_flops
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from music.corpora.originality import TrainingIndex
from music.tokens import PAD
from policy.model import MelodyForCausalLM, MelodyModel
from policy.trunk import Packed, hidden_at_choices
from reward.profile.profile import TasteProfile
from rl.evaluation.evaluate import training_index
from rl.ppo.algorithm import PPO
from rl.ppo.config import PPOConfig
from rl.ppo.rollout import Rollout
from rl.ppo.trainer import measure


@dataclass(frozen=True, slots=True)
class Timed:
    """One update, in seconds."""

    rollout: float
    """sampling, the reference's log-probabilities, scores"""
    guards: float
    """what is logged of the melodies: diversity, originality"""
    learning: float
    cpu: float
    """of all threads, waiting for one another included; other processes hardly touch it"""
    steps: int
    """steps that the optimiser took"""
    sampled: Rollout

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.rollout + self.guards + self.learning

    @property
    def tokens(self) -> int:
        """Tokens of its melodies."""
        return int((self.sampled.sampled.ids != PAD).sum())


class OurUpdates:
    """Our learner, one timed update at a time."""

    def __init__(self, config: PPOConfig, base: MelodyForCausalLM, profile: TasteProfile) -> None:
        self.profile = profile
        self.ppo = PPO(config, base, profile.score)
        self.index = _index(base)
        self.steps = 0
        self.ppo.optimizer.register_step_post_hook(self._count)

    def update(self) -> Timed:
        """What `rl.ppo.trainer.fine_tune` does in an update, but for saving."""
        before, begun, begun_cpu = self.steps, time.perf_counter(), time.process_time()
        rollout = self.ppo.roll_out()
        rolled_out = time.perf_counter()
        measure(self.ppo, rollout, self.index)
        measured = time.perf_counter()
        self.ppo.learn(rollout)
        learnt = time.perf_counter()
        return Timed(
            rolled_out - begun,
            measured - rolled_out,
            learnt - measured,
            time.process_time() - begun_cpu,
            self.steps - before,
            rollout,
        )

    def useful_flops(self, rollout: Rollout) -> tuple[int, int]:
        """FLOPs that the rollout (decoding, the reference's pass) and the learning need."""
        fed = (rollout.sampled.ids != PAD).sum(1).numpy() - 1
        choices = rollout.sampled.decision.sum(1).numpy()
        sizes, first = self.ppo.reference.model.config, self.ppo.actor.first
        sampling = forward_flops(sizes, fed, choices)
        reference = forward_flops(sizes, fed, choices, first=first)
        learning = learning_flops(sizes, fed, choices, first=first)
        return sampling + reference, learning * self.ppo.config.epochs

    def executed_share(self) -> tuple[float, float]:
        """One update under torch's counter: products run over useful ones; rollout, learning."""
        with FlopCounterMode(display=False) as counter:
            rollout = self.ppo.roll_out()
            sampled = counter.get_total_flops()
            self.ppo.learn(rollout)
            learnt = counter.get_total_flops() - sampled
        useful = self.useful_flops(rollout)
        return sampled / useful[0], learnt / useful[1]

    def _count(self, *_: Any) -> None:  # noqa: ANN401 (a hook's)
        self.steps += 1


@cache
def _index(base: MelodyForCausalLM) -> TrainingIndex:
    return training_index(base)  # of the guards; seconds to build


@dataclass(frozen=True, slots=True)
class Lever:
    """Something that makes an update cheaper, and how to run without it, or with it."""

    name: str
    context: Callable[[], AbstractContextManager[Any]] = nullcontext
    """what is patched while it runs"""
    changes: dict[str, Any] = field(default_factory=dict)
    """fields of `PPOConfig`"""


def levers() -> list[Lever]:
    """Those that there are; a patch fails when what it replaces is no longer there.

    What is an option of `PPOConfig` is on, what is part of the engine is off.
    """
    bf16 = [Lever("option: learning in bf16", changes={"bf16": True})]
    return [
        Lever(
            "without stored states: the frozen layers are run again",
            lambda: forward_instead(hidden_at_choices),
        ),
        Lever(
            "without packing: padding is computed",
            lambda: patch.object(Packed, "of", every_place),
        ),
        Lever(
            "without either, by transformers' own forward",
            lambda: forward_instead(transformers_forward),
        ),
        Lever(
            "without dropping melodies that have ended from the batch",
            lambda: patch("policy.decode._COMPACT_BELOW", 0.0),
        ),
        Lever(
            "without our draw: torch.multinomial", lambda: patch("policy.decode._draw", multinomial)
        ),
        *(bf16 if has_bf16_products() else ()),
    ]


@contextmanager
def forward_instead(forward: Callable[[MelodyModel, Tensor, Tensor], Tensor]) -> Iterator[None]:
    """Another `policy.trunk.hidden_at_choices`, which does not know of stored states."""

    def hidden(trunk: MelodyModel, ids_BT: Tensor, decision_BT: Tensor, **_: Any) -> Tensor:  # noqa: ANN401
        return forward(trunk, ids_BT, decision_BT)

    with (
        patch("rl.ppo.actor.hidden_at_choices", hidden),
        patch("env.reference.hidden_at_choices", hidden),
    ):
        yield


def transformers_forward(trunk: MelodyModel, ids_BT: Tensor, decision_BT: Tensor) -> Tensor:
    """Padded rows through the model's own forward, every place to the end."""
    states_BTD = trunk(input_ids=ids_BT[:, :-1], use_cache=False).last_hidden_state
    return states_BTD[decision_BT[:, 1:]]


def every_place(ids_BT: Tensor) -> Packed:
    """`policy.trunk.Packed.of`, taking padding for tokens; being last, it disturbs no other."""
    places = torch.arange(ids_BT.numel(), device=ids_BT.device)
    return Packed(ids_BT, places, places)


def multinomial(probability_NV: Tensor, generator: torch.Generator) -> Tensor:
    """`policy.decode._draw`, as torch does it."""
    return torch.multinomial(probability_NV, 1, generator=generator)[:, 0]
