"""Agreement, log loss and calibration of predictions on unseen melodies, with intervals.

Comparisons with a common melody are not independent, so the bootstrap draws melodies (or groups of
them): a comparison counts as often as both of its melodies were drawn (a pigeonhole bootstrap; Owen
2007, Ann. Appl. Stat. 1:386). It is conservative where melodies are in a pair or two, so melodies
that only meet one another are best one group. All sizes and models share the draws, so that their
differences have intervals too. With fewer than some 20 groups intervals are too narrow.

Letters: N comparisons, G groups of melodies, D draws, B bins, R repeats of a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reward.comparisons.intervals import resamples
from reward.comparisons.preferences import Preferences

BINS = 10
LEAST_PROBABILITY = 1e-9
"""a prediction of 0 that was wrong would make the log loss infinite"""
DRAWS = 1000
DRAWS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Such as "0.712 [0.661, 0.760]"."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A figure, and what it is in each draw of the bootstrap."""

    value: float
    drawn_D: np.ndarray

    @property
    def interval(self) -> Interval:
        """With the middle 95 % of the draws."""
        low, high = np.quantile(self.drawn_D, [0.025, 0.975])
        return Interval(self.value, float(low), float(high))

    def above(self, other: Drawn) -> Interval:
        """How far this figure is above another one of the same draws."""
        return Drawn(self.value - other.value, self.drawn_D - other.drawn_D).interval


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutFigures:
    """What predictions are worth."""

    agreement: Drawn
    log_loss: Drawn
    """in nats a comparison; a coin has 0.693"""
    ece: Drawn
    """expected calibration error (`reward.comparisons.calibration`), in probability"""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The decided comparisons that models are tried on, and the draws that all figures share."""

    preferences: Preferences
    group_M: np.ndarray
    """group of each melody; int64, whole numbers in any order"""
    draws: int = DRAWS
    seed: int = 0

    @cached_property
    def _index_M(self) -> np.ndarray:
        """The groups numbered without holes; a number that no melody has is not drawn."""
        return np.unique(self.group_M, return_inverse=True)[1].reshape(-1)

    @cached_property
    def _times_DG(self) -> np.ndarray:
        """How often each group is in each draw; int32, drawn in pieces because of memory."""
        rng, groups = np.random.default_rng(self.seed), int(self._index_M.max()) + 1
        times_DG = np.empty((self.draws, groups), np.int32)
        for start in range(0, self.draws, DRAWS_AT_ONCE):
            some_DG = times_DG[start : start + DRAWS_AT_ONCE]
            some_DG[:] = resamples(groups, len(some_DG), rng)
        return times_DG

    def mean(self, value_N: np.ndarray) -> Drawn:
        """The weighted mean of a number of each comparison."""
        plain = np.average(value_N, weights=self.preferences.weight)
        drawn = []
        for weight_DN in self._weights():
            total_D = weight_DN.sum(axis=1)
            some = total_D > 0  # a draw of few groups may hold no comparison
            drawn.append((weight_DN @ value_N)[some] / total_D[some])
        return Drawn(float(plain), np.concatenate(drawn))

    def figures(self, probability_RN: np.ndarray) -> HeldOutFigures:
        """Figures of P(left is better), averaged over the rows, each of which is one model.

        The expected calibration error is the mean of the rows' errors.
        """
        probability_RN = np.atleast_2d(probability_RN)
        left_wins_N = self.preferences.outcome > 0
        right_RN = 0.5 + 0.5 * np.sign(probability_RN - 0.5) * self.preferences.outcome
        winner_RN = np.where(left_wins_N, probability_RN, 1 - probability_RN)
        loss_N = -np.log(np.maximum(winner_RN, LEAST_PROBABILITY)).mean(axis=0)
        confidence_RN = np.maximum(probability_RN, 1 - probability_RN)
        bin_RN = np.minimum(((confidence_RN - 0.5) * 2 * BINS).astype(np.int64), BINS - 1)
        excess_RN = right_RN - confidence_RN
        plain_N, found = self.preferences.weight[None], []
        for weight_DN in (plain_N, *self._weights()):
            total_D = weight_DN.sum(axis=1)
            gaps_D = np.mean(
                [
                    sum(
                        abs(weight_DN[:, bins_N == number] @ excess_N[bins_N == number])
                        for number in range(BINS)
                    )
                    for bins_N, excess_N in zip(bin_RN, excess_RN, strict=True)
                ],
                axis=0,
            )
            sums_KD = np.array([weight_DN @ right_RN.mean(axis=0), weight_DN @ loss_N, gaps_D])
            found.append((sums_KD / np.maximum(total_D, LEAST_PROBABILITY))[:, total_D > 0])
        (share, loss, ece), drawn_KD = found[0][:, 0], np.concatenate(found[1:], axis=1)
        return HeldOutFigures(
            Drawn(float(share), drawn_KD[0]),
            Drawn(float(loss), drawn_KD[1]),
            Drawn(float(ece), drawn_KD[2]),
        )

    def _weights(self) -> Iterator[np.ndarray]:
        """Weights of the comparisons in the draws, some draws at a time."""
        left_N = self._index_M[self.preferences.left]
        right_N = self._index_M[self.preferences.right]
        for start in range(0, self.draws, DRAWS_AT_ONCE):
            times_DG = self._times_DG[start : start + DRAWS_AT_ONCE]
            both_DN = times_DG[:, left_N] * np.where(left_N == right_N, 1, times_DG[:, right_N])
            yield self.preferences.weight * both_DN
