"""Rewards per choice, returns, and advantages from them.

Letters: B melodies, T tokens (right-padded). `acted_BT` is true where the policy had a choice;
forced tokens (barlines, the end) are not decisions and are stepped over.
"""

from __future__ import annotations

import torch
from torch import Tensor


def shaped_rewards(
    score_B: Tensor, kl_BT: Tensor, acted_BT: Tensor, kl_coefficient: float
) -> Tensor:
    """Rewards (B, T): the melody's score at its last choice, less the price of the KL ahead.

    Ziegler et al. 2019 (arXiv:1909.08593, eq. 2) charge each choice its own log-ratio. Here a
    choice is charged the *expected* log-ratio, the KL, of the next choice: that is where it led.
    Its own KL is in the loss with its exact gradient, so that no chance is in the price.
    """
    reward = torch.zeros_like(kl_BT)
    next_kl = torch.zeros_like(kl_BT[:, 0])
    for at in reversed(range(kl_BT.shape[1])):
        here = acted_BT[:, at]
        reward[:, at] = torch.where(here, -kl_coefficient * next_kl, 0.0)
        next_kl = torch.where(here, kl_BT[:, at], next_kl)
    last = last_choice(acted_BT)
    return reward + torch.zeros_like(reward).scatter(1, last[:, None], score_B[:, None].to(reward))


def last_choice(acted_BT: Tensor) -> Tensor:
    """Place of each melody's last choice; int64 (B,)."""
    places = torch.arange(acted_BT.shape[1], device=acted_BT.device)
    return torch.where(acted_BT, places, -1).max(1).values


def returns(reward_BT: Tensor) -> Tensor:
    """What each place and all after it earned; (B, T)."""
    return reward_BT.flip(1).cumsum(1).flip(1)


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
