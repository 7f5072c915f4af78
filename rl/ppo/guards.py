"""Guards against over-optimisation: limits that the result of a run must keep.

A reward model is reliable for melodies like those that were rated. A policy that leaves them can
score better and better while it gets worse (Gao et al. 2022, arXiv:2210.10760). Signs of this are
the KL from the base, the diversity of the melodies, how much they copy, and the uncertainty of the
reward model. The limits are relative to the melodies of update 0, which are the base's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from policy.runs import check_fields
from rl.ppo.config import PPOConfig

FINITE = "finite"
"""name of the guard that every figure of an update is a finite number"""


def not_finite(row: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a row that are not finite, by name."""
    return {
        name: value
        for name, value in row.items()
        if isinstance(value, float) and not math.isfinite(value)
    }


def broken_guards(row: Mapping[str, Any], first: Mapping[str, Any], config: PPOConfig) -> list[str]:
    """Which guards a log row breaks: 'finite', 'kl', 'diversity', 'originality', 'disagreement'.

    A figure that is not finite breaks the first one, which ends a run at once: what has become NaN
    does not come back.

    Args:
        row: what was measured of an update.
        first: the same of update 0, the base policy.
        config: the run's.

    Raises:
        RunError: when one of the rows, as read from a file, lacks a figure.
    """
    check_fields([first, row], ("vendi", "originality", "score_std"))
    check_fields([row], ["kl_nats"])
    held = {
        FINITE: not not_finite(row),
        "kl": row["kl_nats"] <= config.kl_limit_nats,
        "diversity": row["vendi"] >= config.diversity_floor * first["vendi"],
        "originality": row["originality"] >= config.originality_floor * first["originality"],
        "disagreement": row["score_std"] <= config.disagreement_limit * first["score_std"],
    }
    return [name for name, holds in held.items() if not holds]


def kept_row(rows: Sequence[dict[str, Any]], config: PPOConfig) -> dict[str, Any] | None:
    """The log row of the update whose policy is the run's result; None when none held all guards.

    The highest conservative reward among those within the guards, the earliest of equal ones. With
    a fixed KL coefficient it is the reward less the coefficient times the KL, which is then the
    objective.

    Raises:
        RunError: when a row, as read from a file, lacks what decides.
    """
    check_fields(rows, ["guards_broken"])
    coefficient = config.kl_coefficient if config.kl_target_nats is None else 0.0
    within = [row for row in rows if not row["guards_broken"] and not not_finite(row)]
    check_fields(within, ["reward", "kl_nats"])
    return max(within, key=lambda row: row["reward"] - coefficient * row["kl_nats"], default=None)


def out_of_patience(rows: Sequence[Mapping[str, Any]], config: PPOConfig) -> bool:
    """Whether the last `patience` updates all broke a guard: the run is not coming back."""
    last = rows[-config.patience :]
    return len(last) == config.patience and all(row["guards_broken"] for row in last)
