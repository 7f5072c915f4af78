"""Settings of the baselines: a budget, and how DPO, RLOO and GRPO learn.

docs/baselines.md explains the methods; benchmarks/ppo/README.md has their results.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long a method may train: until the first of its limits."""

    seconds: float | None = None
    """seconds of training"""
    melodies: int | None = None
    """melodies sampled; for DPO melodies shown, two a pair"""
    checkpoints: int = 8
    """copies of the policy that are handed out on the way, evenly over the budget"""

    def __post_init__(self) -> None:
        """Check that the budget has a limit.

        Raises:
            ValueError: without a limit, or for numbers that are not positive.
        """
        if self.seconds is None and self.melodies is None:
            raise ValueError("the budget has no end; give seconds, melodies or both")
        for name in ("seconds", "melodies", "checkpoints"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:  # NaN is not
                raise ValueError(f"{name}={value} is not above 0 and finite; give more than 0")

    def spent(self, seconds: float, melodies: int) -> float:
        """How much of it is spent; 1 is all."""
        return max(
            seconds / self.seconds if self.seconds else 0.0,
            melodies / self.melodies if self.melodies else 0.0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DPOSettings:
    """How DPO learns."""

    beta: float = 0.1
    """KL coefficient: the larger, the nearer the policy stays to the base"""
    learning_rate: float = 3e-5
    """Adam's step, constant"""
    pairs_per_step: int = 16
    """pairs per gradient step"""
    held_out_share: float = 0.2
    """share of the comparisons that decides which policy is kept"""
    steps_per_evaluation: int = 5
    """gradient steps between two looks at the held-out pairs"""
    patience: int = 8
    """looks without a better one before it stops"""
    max_grad_norm: float = 1.0
    """gradient clipping"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineSettings:
    """How RLOO and GRPO learn."""

    beta: float
    """KL coefficient. RLOO: per nat of a whole melody, in the objective's unit, like PPO's. GRPO:
    per nat, in the objective's standard deviations within a group"""
    learning_rate: float
    """Adam's step, constant"""
    melodies_per_step: int = 64
    """melodies per gradient step"""
    steps_per_generation: int = 1
    """gradient steps on what was generated at once; 1 is on-policy"""
    melodies_per_header: int = 8
    """k: melodies of one header, each other's baseline; divides `melodies_per_step`"""
    headers: int = 512
    """different prompts; fields that are not requested are sampled from the base"""
    max_grad_norm: float = 1.0
    """gradient clipping"""

    def __post_init__(self) -> None:
        """Check what arithmetic needs.

        Raises:
            ValueError: when groups do not fill a step.
        """
        k = self.melodies_per_header
        if k < 2 or self.melodies_per_step % k:
            raise ValueError(
                f"melodies_per_header={k} must be at least 2 and divide melodies_per_step="
                f"{self.melodies_per_step}; 8 divides 64"
            )


SETTINGS: dict[str, DPOSettings | OnlineSettings] = {
    "dpo": DPOSettings(),
    "rloo": OnlineSettings(beta=0.05, learning_rate=1e-4),
    "grpo": OnlineSettings(beta=0.05, learning_rate=1e-4),
}
"""defaults by method"""
