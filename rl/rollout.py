"""Rollouts: melodies of the current policy, with all that an update needs, scored in one batch.

Letters: B melodies, T tokens (right-padded).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from music.melody import Melody
from music.tokens import decode
from policy.compose import Asked
from policy.decode import Sampled, sample
from policy.logprobs import chosen_logprobs
from policy.model import MelodyForCausalLM
from rl.actor_critic import ActorCritic

Reward = Callable[[Sequence[Melody]], tuple[np.ndarray, np.ndarray]]
"""melodies -> mean and standard deviation of their scores, (B,) each, in base deviations"""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A batch of finished melodies."""

    sampled: Sampled
    reference_logprob: Tensor
    """(B, T) log-probability in nats of each choice under the reference"""
    melodies: list[Melody]
    score_mean: Tensor
    """(B,) float64, the reward model's mean"""
    score_std: Tensor
    """(B,) float64, and its uncertainty"""
    header_acted: Tensor
    """(B, T) bool, choices of the header, made by the reference and not the learner's"""

    @property
    def acted(self) -> Tensor:
        """(B, T) bool, where the learner had a choice."""
        return self.sampled.acted & ~self.header_acted

    @property
    def kl_nats(self) -> Tensor:
        """(B,) log-ratio to the reference; its mean estimates the KL of a melody."""
        return ((self.sampled.logprob - self.reference_logprob) * self.acted).sum(1)


def collect(
    learner: ActorCritic,
    reference: MelodyForCausalLM,
    reward: Reward,
    count: int,
    *,
    asked: Asked,
    generator: torch.Generator,
) -> Rollout:
    """Let the learner write `count` melodies and score them.

    The header is what is asked; what is left open is chosen by the *reference*, so that the learner
    cannot raise its score by writing only the kind of tune that scores well.
    """
    given = with_reference_header(reference, asked.given(count), generator)
    sampled = sample(learner.policy, given, generator=generator, value_of=learner.value)
    header = torch.zeros_like(sampled.acted)
    header[:, : given.shape[1]] = True
    with torch.no_grad():
        reference_logprob = chosen_logprobs(
            reference, sampled.ids, sampled.mask_row, sampled.acted & ~header
        )
    melodies = [decode(row) for row in sampled.rows()]
    mean, std = reward(melodies)
    return Rollout(
        sampled, reference_logprob, melodies, torch.as_tensor(mean), torch.as_tensor(std), header
    )


def with_reference_header(
    reference: MelodyForCausalLM, given: np.ndarray, generator: torch.Generator
) -> np.ndarray:
    """`given` with its open header fields chosen by the reference."""
    if (given >= 0).all():
        return given
    width = given.shape[1]
    written = sample(reference, given, generator=generator, stop_at=width).ids.cpu().numpy()
    return np.where(given >= 0, given, written[:, :width])
