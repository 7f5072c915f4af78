"""Agreement: how often a model's choice is the person's, beside chance and the ceiling.

Agreement is the share of decided comparisons (no ties) on whose winner model and rater agree; a
model that does not prefer either gets half. Chance is 0.50. Held out means held out by comparison:
all votes on one unordered pair are in one fold, so a repeat never tells the answer. Intervals are
bootstraps of pairs, for the votes on one pair are not independent; with fewer than some 20 pairs
they are too narrow.

The ceiling is how far the best possible model would get: a rater who agrees with themselves on a
share p of hidden repeats is right about themselves (1 + √(2p − 1)) / 2 of the time. That takes all
pairs as equally hard; where easy and hard ones mix it is a little too high (Jensen). For simulated
listeners it is known.

Letters: N comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reward.comparisons.intervals import resamples
from reward.comparisons.preferences import Preferences

CHANCE = 0.50


class AgreementError(ValueError):
    """Comparisons too few to measure with; the message gives the value, the rule and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A share with its 95 % bootstrap interval."""

    share: float
    low: float
    high: float
    votes: int
    """decided votes that it counts"""
    pairs: int
    """different pairs among them"""

    def __str__(self) -> str:
        """Such as "0.71 [0.66, 0.76]"."""
        return f"{self.share:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """How far agreement can go, as far as hidden repeats tell."""

    self_agreement: Agreement
    reliability: float
    """implied share of votes that say what the rater would say without noise"""
    reliability_low: float
    reliability_high: float


def agreement(
    preferences: Preferences, left_advantage: np.ndarray, *, draws: int = 2000, seed: int = 0
) -> Agreement:
    """Agreement of predictions (N,), positive where left is thought better, with the votes.

    Raises:
        AgreementError: when there is no decided comparison.
    """
    correct = 0.5 + 0.5 * np.sign(left_advantage) * preferences.outcome
    decided = preferences.decided
    return _clustered(
        correct[decided], preferences.weight[decided], preferences.pair[decided], draws, seed
    )


def assign_folds(preferences: Preferences, *, folds: int, seed: int = 0) -> np.ndarray:
    """Fold 0..folds-1 of each comparison, int64 (N,); one pair is always in one fold.

    Raises:
        AgreementError: when there are fewer different decided pairs than folds, or folds < 2.
    """
    pairs = preferences.pair
    decided = len(np.unique(pairs[preferences.decided]))
    if folds < 2 or decided < folds:
        raise AgreementError(
            f"{decided} different decided pairs cannot make folds={folds}; take at least 2 folds "
            "and collect at least as many pairs"
        )
    count = int(pairs.max()) + 1
    return np.random.default_rng(seed).permutation(np.arange(count) % folds)[pairs]


def ceiling(preferences: Preferences, *, draws: int = 2000, seed: int = 0) -> Ceiling | None:
    """Self-agreement of raters on pairs that they heard more than once; None when there are none.

    A pair heard more than twice by one rater counts by the share of its pairs of votes that agree.
    """
    kept = preferences[np.flatnonzero(preferences.decided)]
    key = kept.rater * (int(kept.pair.max(initial=0)) + 1) + kept.pair
    keys, index = np.unique(key, return_inverse=True)
    count = np.bincount(index, minlength=len(keys))
    won = np.bincount(index, kept.verdict == 1, len(keys))
    again = count > 1
    # Of n votes with k on one side, C(k,2) + C(n-k,2) of the C(n,2) pairs of votes agree.
    agreeing = won * (won - 1) + (count - won) * (count - won - 1)
    shares = agreeing[again] / (count * (count - 1))[again]
    if not len(shares):
        return None
    found = _clustered(shares, np.ones(len(shares)), keys[again], draws, seed)
    return Ceiling(
        self_agreement=found,
        reliability=implied_reliability(found.share),
        reliability_low=implied_reliability(found.low),
        reliability_high=implied_reliability(found.high),
    )


def implied_reliability(self_agreement: float) -> float:
    """(1 + √(2p − 1)) / 2: two votes that are right with r each agree with p = r² + (1 − r)²."""
    return 0.5 * (1.0 + float(np.sqrt(max(0.0, 2.0 * self_agreement - 1.0))))


def _clustered(
    correct: np.ndarray, weight: np.ndarray, cluster: np.ndarray, draws: int, seed: int
) -> Agreement:
    """Weighted mean with a percentile bootstrap over clusters."""
    if not len(correct):
        raise AgreementError(
            "there is no decided comparison; agreement needs votes that are not ties"
        )
    index = np.unique(cluster, return_inverse=True)[1].reshape(-1)
    total = np.bincount(index, weight)
    right = np.bincount(index, weight * correct)
    times = resamples(len(total), draws, seed)
    low, high = np.quantile((times @ right) / (times @ total), [0.025, 0.975])
    return Agreement(
        share=float(right.sum() / total.sum()),
        low=float(low),
        high=float(high),
        votes=len(correct),
        pairs=len(total),
    )
