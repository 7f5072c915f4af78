"""The objective: a reward model's score, made conservative and saturating.

PPO and every method that is compared with it use this one, so that all maximise the same.

Letters: B melodies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from music.melody import Melody
from reward.scorer import Reward, scores_of
from rl.ppo.config import PPOConfig

Objective = Callable[[Sequence[Melody]], np.ndarray]
"""melodies -> what a learner maximises, float64 (B,)"""


def objective(
    mean_B: np.ndarray | Tensor,
    std_B: np.ndarray | Tensor,
    *,
    std_penalty: float,
    saturation_point: float | None,
) -> Tensor:
    """Score mean - lambda * std (Coste et al. 2023, arXiv:2310.02743), saturated; (B,), its dtype.

    Args:
        mean_B: the reward model's mean, in base deviations.
        std_B: its uncertainty.
        std_penalty: lambda.
        saturation_point: the score beyond which more is worth little; None saturates nothing.
    """
    conservative = torch.as_tensor(mean_B) - std_penalty * torch.as_tensor(std_B)
    return conservative if saturation_point is None else saturated(conservative, saturation_point)


def saturated(score_B: Tensor, saturation_point: float) -> Tensor:
    """Slope 1 far below the saturation point, 0 far above: half the log-sigmoid of twice the gap.

    A policy earns more by lifting its poor melodies than by driving its best ones beyond what the
    reward model has seen (Wang et al. 2024, arXiv:2402.00742).
    """
    return functional.logsigmoid(2 * (score_B - saturation_point)) / 2


def objective_of(reward: Reward, config: PPOConfig) -> Objective:
    """The objective of PPO with this configuration, as a function of melodies."""

    def of(melodies: Sequence[Melody]) -> np.ndarray:
        mean, std = scores_of(reward, melodies)
        return objective(
            mean, std, std_penalty=config.std_penalty, saturation_point=config.saturation_point
        ).numpy()

    return of
