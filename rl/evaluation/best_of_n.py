"""Baselines that need no training: best-of-n under the same reward.

The KL of picking the best of n is at most log n - (n - 1) / n nats (Gao et al. 2022,
arXiv:2210.10760; an upper bound by Beirami et al. 2024, arXiv:2401.01879). A fine-tuned policy is
compared with it at that KL. Best-of-n pays n melodies for each one that it shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from music.melody import Melody
from music.progress import Progress, no_progress
from policy.compose import Conditioning, compose
from policy.model import MelodyForCausalLM
from reward.scorer import Reward, scores_of


@dataclass(frozen=True, slots=True)
class BestOfN:
    """The best melody of each group of n."""

    n: int
    melodies: list[Melody]

    @property
    def kl_nats(self) -> float:
        """Upper bound of the KL from the base policy, per melody."""
        return best_of_n_kl_nats(self.n)


def best_of_n_kl_nats(n: int) -> float:
    """Upper bound of the KL in nats from the policy that best-of-n draws from."""
    return math.log(n) - (n - 1) / n


def best_of_n(
    base: MelodyForCausalLM,
    reward: Reward,
    *,
    n: int,
    count: int,
    conditioning: Conditioning,
    std_penalty: float = 0.0,
    seed: int = 0,
    progress: Progress = no_progress,
) -> BestOfN:
    """Sample n * count melodies and keep the best of each n by mean - std_penalty * std.

    `progress` is told how many are written.

    Raises:
        ValueError: for n or count below 1.
    """
    if n < 1 or count < 1:
        raise ValueError(f"n={n} and count={count} must both be at least 1")
    melodies = compose(base, n * count, conditioning=conditioning, seed=seed, progress=progress)
    mean, std = scores_of(reward, melodies)
    best = (mean - std_penalty * std).reshape(count, n).argmax(1) + n * np.arange(count)
    return BestOfN(n, [melodies[place] for place in best])
