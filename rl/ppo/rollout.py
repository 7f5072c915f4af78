"""Rollouts: melodies of the current policy, with all that an update needs, scored in one batch.

Letters: B melodies, T tokens (right-padded), D width, N choices of the learner in all melodies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from music.melody import Melody
from music.tokens import PAD, decode
from policy.compose import Conditioning
from policy.decode import Sampled, sample
from policy.logprobs import kl_nats, masked_log_softmax
from policy.model import MelodyForCausalLM
from policy.trunk import hidden_at_choices
from reward.scorer import Reward
from rl.ppo.actor import Actor

CHUNK, ROWS = 4096, 64
"""choices, and melodies, in one forward: what fits a processor's cache"""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A batch of finished melodies."""

    sampled: Sampled
    acted: Tensor
    """(B, T) bool, where the learner had a choice: a header is asked for or the reference's"""
    hidden: Tensor
    """(N, D) the learner's hidden states from which it chose"""
    reference_hidden: Tensor
    """(N, D) the reference's there"""
    kl_BT: Tensor
    """(B, T) KL in nats of the learner's distribution from the reference's at each choice"""
    melodies: list[Melody]
    score_mean: Tensor
    """(B,) float64, the reward model's mean"""
    score_std: Tensor
    """(B,) float64, and its uncertainty"""

    @property
    def kl_nats(self) -> Tensor:
        """(B,) KL along each melody; its mean estimates the KL of whole melodies.

        The expectation of the log-ratio at each choice, not the log-ratio itself: the same mean
        with less noise.
        """
        return self.kl_BT.sum(1)


def collect(
    actor: Actor,
    reference: MelodyForCausalLM,
    reward: Reward,
    count: int,
    *,
    conditioning: Conditioning,
    generator: torch.Generator,
) -> Rollout:
    """Let the actor write `count` melodies, score them, and measure how far it is from the base.

    The header is what is asked; what is left open is chosen by the *reference*, so that the learner
    cannot raise its score by writing only the kind of tune that scores well.
    """
    given = with_reference_header(reference, conditioning.given(count), generator)
    sampled = sample(actor.policy, given, generator=generator, keep_states=actor.first)
    assert sampled.hidden is not None
    acted = sampled.acted.clone()
    acted[:, : given.shape[1]] = False
    before = acted[:, 1:]
    hidden_ND = sampled.hidden[:, :-1][before]
    with torch.no_grad():
        reference_ND = _reference_hidden(actor, reference, sampled, acted)
        kl_N = torch.cat(
            [
                kl_nats(
                    masked_log_softmax(actor.policy.lm_head(own), rows),
                    masked_log_softmax(reference.lm_head(other), rows),
                )
                for own, other, rows in zip(
                    hidden_ND.split(CHUNK),
                    reference_ND.split(CHUNK),
                    sampled.mask_row[acted].split(CHUNK),
                    strict=True,
                )
            ]
        )
    # Between equals rounding puts it some 1e-7 below 0, and a log would say "-0.00 nats".
    kl_BT = torch.zeros_like(sampled.logprob).masked_scatter(acted, kl_N.clamp(min=0))
    melodies = [decode(row) for row in sampled.rows()]
    mean, std = reward(melodies)
    return Rollout(
        sampled,
        acted,
        hidden_ND,
        reference_ND,
        kl_BT,
        melodies,
        torch.as_tensor(mean),
        torch.as_tensor(std),
    )


def _reference_hidden(
    actor: Actor, reference: MelodyForCausalLM, sampled: Sampled, acted_BT: Tensor
) -> Tensor:
    """The reference's hidden states (N, D), melodies of like length together.

    Below the first trained layer the reference is the learner: what entered that layer is stored.
    """
    number_BT = torch.zeros_like(sampled.ids).masked_scatter(
        acted_BT, torch.arange(int(acted_BT.sum()), device=sampled.ids.device)
    )
    hidden_ND = sampled.logprob.new_zeros(int(acted_BT.sum()), reference.config.hidden_size)
    for rows in (sampled.ids != PAD).sum(1).argsort().split(ROWS):
        states = sampled.states[rows] if sampled.states is not None and actor.first else None
        hidden_ND[number_BT[rows][acted_BT[rows]]] = hidden_at_choices(
            reference.model,
            sampled.ids[rows],
            acted_BT[rows],
            states_BTD=states,
            first=actor.first,
        )
    return hidden_ND


def with_reference_header(
    reference: MelodyForCausalLM, given: np.ndarray, generator: torch.Generator
) -> np.ndarray:
    """`given` with its open header fields chosen by the reference."""
    if (given >= 0).all():
        return given
    width = given.shape[1]
    written = sample(reference, given, generator=generator, stop_at=width).ids.cpu().numpy()
    return np.where(given >= 0, given, written[:, :width])
