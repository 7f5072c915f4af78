"""Rewards of each decision, returns, and advantages from them.

Letters: B melodies, T tokens (right-padded). `decision_BT` is true where the policy had a choice.
Forced tokens (barlines, the end) are no decisions and are skipped.
"""

from __future__ import annotations

import torch
from torch import Tensor


def shaped_rewards(
    score_B: Tensor, kl_BT: Tensor, decision_BT: Tensor, kl_coefficient: float
) -> Tensor:
    """Rewards (B, T): the melody's score at its last decision, less the KL penalty.

    Ziegler et al. 2019 (arXiv:1909.08593, eq. 2) penalise each decision by its own log-ratio. Here
    a decision is penalised by the KL of the next one, the *expected* log-ratio where it led to. Its
    own KL is in the loss with its exact gradient, so that the penalty has no sampling noise.
    """
    reward = torch.zeros_like(kl_BT)
    next_kl = torch.zeros_like(kl_BT[:, 0])
    for at in reversed(range(kl_BT.shape[1])):
        here = decision_BT[:, at]
        reward[:, at] = torch.where(here, -kl_coefficient * next_kl, 0.0)
        next_kl = torch.where(here, kl_BT[:, at], next_kl)
    last = last_decision(decision_BT)
    return reward + torch.zeros_like(reward).scatter(1, last[:, None], score_B[:, None].to(reward))


def last_decision(decision_BT: Tensor) -> Tensor:
    """Place of each melody's last decision; int64 (B,)."""
    places = torch.arange(decision_BT.shape[1], device=decision_BT.device)
    return torch.where(decision_BT, places, -1).max(1).values


def returns(reward_BT: Tensor) -> Tensor:
    """Sum of the rewards from each place on; (B, T)."""
    return reward_BT.flip(1).cumsum(1).flip(1)


def advantages(
    reward_BT: Tensor, value_BT: Tensor, decision_BT: Tensor, *, gamma: float, lam: float
) -> Tensor:
    """Generalised advantage estimates (Schulman et al. 2016, arXiv:1506.02438, eq. 16); (B, T).

    Differs from the paper: no bootstrap at the end, because a melody always ends; and time is
    counted in decisions, because a forced token is none.
    """
    result = torch.zeros_like(reward_BT)
    after = torch.zeros_like(reward_BT[:, 0])  # advantage of the next decision
    next_value = torch.zeros_like(after)
    for at in reversed(range(reward_BT.shape[1])):
        here = decision_BT[:, at]
        delta = reward_BT[:, at] + gamma * next_value - value_BT[:, at]
        estimate = delta + gamma * lam * after
        result[:, at] = torch.where(here, estimate, 0.0)
        after = torch.where(here, estimate, after)
        next_value = torch.where(here, value_BT[:, at], next_value)
    return result
