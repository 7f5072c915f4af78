"""Rollouts: melodies that the current policy writes in the environment's core, scored in one batch.

Letters: B melodies, T tokens (right-padded), D width, N decisions of the learner in all melodies.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from env.core import MelodyCore
from env.prompt import prompt_ids
from env.reference import Reference, torch_chance
from music.melody import Melody
from policy.compose import Conditioning
from policy.decode import Sampled, sample_episodes
from reward.scorer import Reward, scores_of
from rl.ppo.actor import Actor


@dataclass(frozen=True, slots=True)
class Rollout:
    """A batch of finished melodies."""

    sampled: Sampled
    """tokens, log-probabilities, and the decisions: the places where the learner had a choice"""
    hidden: Tensor
    """(N, D) the learner's hidden states from which it chose"""
    reference_hidden: Tensor
    """(N, D) the reference's there"""
    kl_BT: Tensor
    """(B, T) KL in nats of the learner's distribution from the reference's at each decision"""
    melodies: list[Melody]
    score_mean: Tensor
    """(B,) float64, the reward model's mean"""
    score_std: Tensor
    """(B,) float64, and its uncertainty"""

    @property
    def kl_nats(self) -> Tensor:
        """(B,) KL along each melody; its mean estimates the KL of whole melodies.

        At each decision it is the expectation of the log-ratio, not the log-ratio itself: the same
        mean with less noise.
        """
        return self.kl_BT.sum(1)


@torch.no_grad()
def collect(
    actor: Actor,
    reference: Reference,
    reward: Reward,
    count: int,
    *,
    conditioning: Conditioning,
    generator: torch.Generator,
) -> Rollout:
    """Let the actor write `count` melodies, score them, and measure how far it is from the base.

    The header is what is asked for. The *reference* chooses the fields that are left open, so that
    the learner cannot raise its score by writing only the kind of tune that scores well.
    """
    # 1. the core begins the melodies, the actor writes them to their end
    prompt = prompt_ids(conditioning.fields() | {"prefix": conditioning.motif}, reference.scope)
    core = MelodyCore(count, reference, room=reference.scope.room_for(prompt[None]))
    core.start(range(count), prompt, torch_chance(generator))
    sampled = sample_episodes(actor.policy, core, generator=generator, keep_states=actor.first)
    # 2. KL from the reference at each decision
    decision_BT = sampled.decision
    assert sampled.hidden is not None
    hidden_ND = sampled.hidden[:, :-1][decision_BT[:, 1:]]
    reference_ND = reference.hidden(sampled, actor.first)
    kl_N = reference.kl_nats(actor.policy, hidden_ND, reference_ND, sampled.mask_row[decision_BT])
    kl_BT = torch.zeros_like(sampled.logprob).masked_scatter(decision_BT, kl_N)
    # 3. all melodies are scored in one batch
    melodies = core.melodies(range(count))
    mean, std = scores_of(reward, melodies)
    return Rollout(
        sampled,
        hidden_ND,
        reference_ND,
        kl_BT,
        melodies,
        torch.as_tensor(mean),
        torch.as_tensor(std),
    )
