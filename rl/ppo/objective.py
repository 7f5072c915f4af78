"""What is learnt from, once a reward has scored: its careful side, and not beyond good enough.

Used by PPO and by every method that is set beside it, so that all of them want the same.

Letters: B melodies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from music.melody import Melody
from reward.scorer import Reward
from rl.ppo.config import PPOConfig

Objective = Callable[[Sequence[Melody]], np.ndarray]
"""melodies -> what is learnt from, float64 (B,)"""


def objective(
    mean_B: np.ndarray | Tensor,
    std_B: np.ndarray | Tensor,
    *,
    std_penalty: float,
    good_enough: float | None,
) -> Tensor:
    """Score mean - lambda * std (Coste et al. 2023, arXiv:2310.02743), saturated; (B,), its dtype.

    Args:
        mean_B: the reward model's mean, in base deviations.
        std_B: its uncertainty.
        std_penalty: lambda.
        good_enough: the score beyond which more is worth little; None saturates nothing.
    """
    conservative = torch.as_tensor(mean_B) - std_penalty * torch.as_tensor(std_B)
    return conservative if good_enough is None else saturated(conservative, good_enough)


def saturated(score_B: Tensor, good_enough: float) -> Tensor:
    """Slope 1 far below `good_enough`, 0 far above it: half the log-sigmoid of twice the distance.

    A policy earns more by lifting its poor melodies than by driving its best ones beyond what the
    reward model has seen (Wang et al. 2024, arXiv:2402.00742).
    """
    return functional.logsigmoid(2 * (score_B - good_enough)) / 2


def objective_of(reward: Reward, config: PPOConfig) -> Objective:
    """What PPO with this configuration learns from, as a function of melodies."""

    def of(melodies: Sequence[Melody]) -> np.ndarray:
        mean, std = reward(melodies)
        return objective(
            mean, std, std_penalty=config.std_penalty, good_enough=config.good_enough
        ).numpy()

    return of
