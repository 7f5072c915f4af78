"""Guards against gaming the reward model: what a policy must not break to be a run's result.

A reward model is right about melodies like those that were rated. A policy that goes far from them
can score higher and be worse (Gao et al. 2022, arXiv:2210.10760). Four signs show it: the distance
from the base, how alike the melodies are, how much they copy, and how uncertain the reward model
is. They are compared with the first update's melodies, which the base policy wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rl.ppo.config import PPOConfig


def broken_guards(row: Mapping[str, Any], first: Mapping[str, Any], config: PPOConfig) -> list[str]:
    """Which guards a log row breaks: 'kl', 'diversity', 'originality', 'disagreement'.

    Args:
        row: what was measured of an update.
        first: the same of update 0, the base policy.
        config: the run's.
    """
    held = {
        "kl": row["kl_nats"] <= config.kl_limit_nats,
        "diversity": row["vendi"] >= config.diversity_floor * first["vendi"],
        "originality": row["originality"] >= config.originality_floor * first["originality"],
        "disagreement": row["score_std"] <= config.disagreement_limit * first["score_std"],
    }
    return [name for name, holds in held.items() if not holds]


def kept_row(rows: Sequence[dict[str, Any]], config: PPOConfig) -> dict[str, Any] | None:
    """The log row of the update whose policy is the run's result; None when none held all guards.

    The highest conservative reward among those within the guards, and the earliest of equal ones.
    Without a KL target, PPO maximises the reward less the coefficient times the KL, so that this is
    compared.
    """
    coefficient = config.kl_coefficient if config.kl_target_nats is None else 0.0
    within = [row for row in rows if not row["guards_broken"]]
    return max(within, key=lambda row: row["reward"] - coefficient * row["kl_nats"], default=None)


def out_of_patience(rows: Sequence[Mapping[str, Any]], config: PPOConfig) -> bool:
    """Whether the last `patience` updates all broke a guard: the run is not coming back."""
    last = rows[-config.patience :]
    return len(last) == config.patience and all(row["guards_broken"] for row in last)
