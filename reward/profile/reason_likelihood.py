"""The likelihood of a reason, given what each feature is worth to the rater.

Of a decided vote each alternative (a domain of features, `reward.profile.reasons`) carries a part
of the gap toward the chosen melody, c_a = Σ over its features of w_f · (chosen - other)_f. A rater
names the one that carries most, as far as they can tell; with a chance of 1 - t they name any:

    P(reason = a) = t exp(β c_a) / Σ exp(β c_b) + (1 - t) / A

The softmax is log-concave in the weights, the mixture is not. So its expected logarithm is taken:
a reason counts for the probability q that it was not named by chance (EM for a mixture; Dempster,
Laird and Rubin 1977), which `reward.profile.reason_trust` finds. What is left adds a gradient and a
positive curvature to the vote's own (`reward.profile.davidson`).

Letters: N reasons that were stated, F features, A alternatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reward.comparisons.preferences import Preferences
from reward.profile.reasons import alternatives

LONGEST_ODDS = 600.0
"""in log-odds, beyond which a probability would be 0 in floating point"""
SHARPNESS = 2.0
"""β: of two alternatives one that carries a log-odds of 1 more is named exp(β) times as often"""


@dataclass(frozen=True, slots=True, eq=False)
class StatedReasons:
    """What one rater named as the reason for N votes, all for the same features."""

    alternatives_AF: np.ndarray
    """1.0 where a feature belongs to an alternative; no feature belongs to two"""
    named_N: np.ndarray
    """int64, the alternative that was named"""
    toward_NF: np.ndarray
    """features of the chosen melody minus those of the other, standardised"""
    weight_N: np.ndarray
    """how many reasons each counts for, before any doubt: those of one vote share its weight"""
    trusted_N: np.ndarray
    """q, the probability that it was not named by chance"""

    def trusted(self, trusted_N: np.ndarray) -> StatedReasons:
        """The same with other probabilities."""
        return replace(self, trusted_N=trusted_N)

    def counted(self, share: float) -> StatedReasons:
        """The same for a rater whose votes count for a share."""
        return replace(self, weight_N=share * self.weight_N)

    def carried(self, weights_F: np.ndarray) -> np.ndarray:
        """β times what each alternative carries toward the chosen melody; (N, A)."""
        return SHARPNESS * ((self.toward_NF * weights_F) @ self.alternatives_AF.T)

    def log_likelihood(self, weights_F: np.ndarray) -> float:
        """Expected log probability of what was named, in nats."""
        named_N = self.of_named(probabilities(self.carried(weights_F)))
        return float((self.weight_N * self.trusted_N) @ np.log(named_N))

    def gradient_and_curvature(self, weights_F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient (F,) and Hessian (F, F) of minus that."""
        share_NA = probabilities(self.carried(weights_F))
        count_N1 = (self.weight_N * self.trusted_N)[:, None]
        excess_NA = share_NA - (self.named_N[:, None] == np.arange(share_NA.shape[1]))
        gradient_F = ((excess_NA * count_N1) @ self.alternatives_AF * self.toward_NF).sum(axis=0)
        # The covariance of the alternatives' features under the softmax.
        root_NF = np.sqrt(count_N1) * self.toward_NF
        within_NF = root_NF * (np.sqrt(share_NA) @ self.alternatives_AF)
        between_NF = root_NF * (share_NA @ self.alternatives_AF)
        together_FF = self.alternatives_AF.T @ self.alternatives_AF
        hessian_FF = (within_NF.T @ within_NF) * together_FF - between_NF.T @ between_NF
        return SHARPNESS * gradient_F, SHARPNESS**2 * hessian_FF

    def of_named(self, values_NA: np.ndarray) -> np.ndarray:
        """The values of what was named; (..., N)."""
        return values_NA[..., np.arange(len(self.named_N)), self.named_N]


def probabilities(carried_NA: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, none of it quite 0."""
    share_NA = np.exp(
        np.maximum(carried_NA - carried_NA.max(axis=-1, keepdims=True), -LONGEST_ODDS)
    )
    return share_NA / share_NA.sum(axis=-1, keepdims=True)


def stated_reasons(
    preferences: Preferences, difference_NF: np.ndarray, feature_names: Sequence[str]
) -> list[tuple[StatedReasons, ...]]:
    """Each rater's reasons of decided votes, trusted wholly; one entry a rater.

    Reasons that speak of no feature here, or of all, are left out; so are those of ties.

    Args:
        preferences: comparisons, with reasons.
        difference_NF: features of the left item minus those of the right, standardised.
        feature_names: names of the F features.
    """
    raters = max(1, len(preferences.rater_ids))
    usable: dict[int, tuple[np.ndarray, int]] = {}
    for column, name in enumerate(preferences.reason_names):
        found = alternatives(name, tuple(feature_names))
        if found is not None:
            usable[column] = found
    given_NK = preferences.reasons & preferences.decided[:, None]
    share_N = preferences.weight / np.maximum(given_NK[:, list(usable)].sum(axis=1), 1)
    alike: dict[tuple[int, bytes], list[int]] = {}
    for column, (rows_AF, _) in usable.items():
        alike.setdefault((len(rows_AF), rows_AF.tobytes()), []).append(column)
    by_rater: list[tuple[StatedReasons, ...]] = []
    for rater in range(raters):
        own: list[StatedReasons] = []
        for columns in alike.values():
            vote_N, place_N = np.nonzero(
                given_NK[:, columns] & (preferences.rater == rater)[:, None]
            )
            if len(vote_N):
                named_K = np.array([usable[column][1] for column in columns])
                own.append(
                    StatedReasons(
                        alternatives_AF=usable[columns[0]][0].astype(np.float64),
                        named_N=named_K[place_N],
                        toward_NF=preferences.outcome[vote_N, None] * difference_NF[vote_N],
                        weight_N=share_N[vote_N],
                        trusted_N=np.ones(len(vote_N)),
                    )
                )
        by_rater.append(tuple(own))
    return by_rater
