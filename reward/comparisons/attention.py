"""Attention checks: how many traps each rater passed, and who fails too many.

A trap is a pair with a known answer (`reward.pairs.traps` writes them). The flag is a sequential
test, as those of `reward.comparisons.reliability` are: a rater who passes a trap with `PASS_SHARE`
against one who passes every other. By Ville's inequality at most one in `CHANCE_ODDS` of those who
listen is ever flagged, if they pass that often. A tie on a trap is not passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reward.comparisons.preferences import UNDECIDED_OUTCOMES
from reward.comparisons.reliability import CHANCE_ODDS

if TYPE_CHECKING:
    import pandas as pd

PASS_SHARE = 0.95
"""of traps, how many someone who listens passes"""


@dataclass(frozen=True, slots=True)
class TrapScore:
    """How a rater did on traps."""

    passed: int
    count: int

    @property
    def flags(self) -> tuple[str, ...]:
        """'fails traps', or nothing."""
        failed = self.count - self.passed
        log_odds = self.count * np.log(0.5)
        log_odds -= self.passed * np.log(PASS_SHARE) + failed * np.log(1 - PASS_SHARE)
        return ("fails traps",) if log_odds > np.log(CHANCE_ODDS) else ()

    def __str__(self) -> str:
        """Such as "3 of 4"."""
        return f"{self.passed} of {self.count}" if self.count else "–"


def trap_scores(votes: pd.DataFrame) -> dict[str, TrapScore]:
    """Score of each rater (by id, as text) who decided on a trap, of the store's frame of votes."""
    said_nothing = votes["outcome_a"].isin(UNDECIDED_OUTCOMES)
    traps = votes.loc[(votes["purpose"] == "trap") & ~said_nothing]
    return {
        str(rater): TrapScore(passed=int((own["outcome_a"] == "a").sum()), count=len(own))
        for rater, own in traps.groupby("rater_id")
    }
