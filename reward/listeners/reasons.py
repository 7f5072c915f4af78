"""Simulated listeners who say why: for some of their votes they name what decided, or else another.

What decided is known, for the utility of a simulated listener is a sum of parts: the domain
(`reward.profile.reasons.DOMAINS`) that adds most to the gap toward the melody that was chosen.

Letters: N comparisons or items, D domains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reward.listeners.simulated import ListenerError
from reward.profile.reasons import DOMAINS

BY_CHANCE = 1 / len(DOMAINS)
"""share of right reasons at which all domains are named alike, whatever decided"""


@dataclass(slots=True)
class ReasonGiver:
    """Gives reasons for votes. Deterministic under `seed`.

    Raises:
        ListenerError: for shares outside 0 to 1.
    """

    parts: Callable[[Any], np.ndarray]
    """items -> what each domain adds to their utility, float (N, D)"""
    share: float = 0.5
    """share of decided votes that have a reason"""
    right: float = 0.7
    """share of reasons that name what decided; the others name another domain, each alike"""
    seed: int = 0
    _random: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the fields."""
        for name, value in (("share", self.share), ("right", self.right)):
            if not 0 <= value <= 1:
                raise ListenerError(f"{name}={value} is not within 0..1; choose one that is")
        self._random = np.random.default_rng(self.seed)

    def decided(self, left: Any, right: Any, outcome: np.ndarray) -> np.ndarray:  # noqa: ANN401
        """Which domain truly decided; int64 (N,), of a tie the one that speaks most for left."""
        toward_ND = np.where(outcome == 0, 1, outcome)[:, None] * (
            np.asarray(self.parts(left)) - np.asarray(self.parts(right))
        )
        return toward_ND.argmax(axis=1)

    def name(self, left: Any, right: Any, outcome: np.ndarray) -> np.ndarray:  # noqa: ANN401
        """Reasons of N votes, in the order of `DOMAINS`; bool (N, D), at most one a vote.

        Args:
            left: items on the left.
            right: items on the right.
            outcome: what was answered, +1 left, 0 tie (which has no reason), -1 right.
        """
        count, domains = len(outcome), len(DOMAINS)
        named_N = self.decided(left, right, outcome)
        draws_3N = self._random.random((count, 3)).T
        wrong_N = draws_3N[1] >= self.right
        named_N += wrong_N * (1 + (draws_3N[2] * (domains - 1)).astype(np.int64))
        reasons_ND = (named_N % domains)[:, None] == np.arange(domains)
        stated_N = (draws_3N[0] < self.share) & (np.asarray(outcome) != 0)
        return reasons_ND & stated_N[:, None]
