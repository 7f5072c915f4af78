"""Rewards per choice, and advantages from them.

Letters: B melodies, T tokens (right-padded). `acted_BT` is true where the policy had a choice;
forced tokens (barlines, the end) are not decisions and are stepped over.
"""

from __future__ import annotations

import torch
from torch import Tensor


def shaped_rewards(
    score_B: Tensor,
    logprob_BT: Tensor,
    reference_BT: Tensor,
    acted_BT: Tensor,
    kl_coefficient: float,
) -> Tensor:
    """Rewards (B, T): the melody's score at its last choice, less the reference's price at each.

    r_t = [t last] score - beta (log pi(a_t) - log pi_0(a_t))   (Ziegler et al. 2019,
    arXiv:1909.08593, eq. 2)
    """
    reward = -kl_coefficient * (logprob_BT - reference_BT) * acted_BT
    last = last_choice(acted_BT)
    return reward + torch.zeros_like(reward).scatter(1, last[:, None], score_B[:, None].to(reward))


def last_choice(acted_BT: Tensor) -> Tensor:
    """Place of each melody's last choice; int64 (B,)."""
    places = torch.arange(acted_BT.shape[1], device=acted_BT.device)
    return torch.where(acted_BT, places, -1).max(1).values


def advantages(
    reward_BT: Tensor, value_BT: Tensor, acted_BT: Tensor, *, gamma: float, lam: float
) -> Tensor:
    """Generalised advantage estimates (Schulman et al. 2016, arXiv:1506.02438, eq. 16); (B, T).

    Differs from the paper: no bootstrap at the end, because a melody always ends; and time is
    counted in choices, because a forced token is not one.
    """
    result = torch.zeros_like(reward_BT)
    after = torch.zeros_like(reward_BT[:, 0])  # advantage of the next choice
    next_value = torch.zeros_like(after)
    for at in reversed(range(reward_BT.shape[1])):
        here = acted_BT[:, at]
        delta = reward_BT[:, at] + gamma * next_value - value_BT[:, at]
        estimate = delta + gamma * lam * after
        result[:, at] = torch.where(here, estimate, 0.0)
        after = torch.where(here, estimate, after)
        next_value = torch.where(here, value_BT[:, at], next_value)
    return result


def whiten(values_N: Tensor) -> Tensor:
    """Shift and scale to mean 0 and standard deviation 1."""
    return (values_N - values_N.mean()) / (values_N.std() + 1e-8)
