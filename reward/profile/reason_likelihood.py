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

SHARPNESS = 2.0
"""β: of two alternatives one that carries a log-odds of 1 more is named exp(β) times as often"""


@dataclass(frozen=True, slots=True, eq=False)
class StatedReasons:
    """What one rater named as the reason for N votes, all for the same features."""

    alternatives_AF: np.ndarray
    """1.0 where a feature belongs to an alternative; the first is the one that was named"""
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
        carried_NA = self.carried(weights_F)
        log_p_N = carried_NA[:, 0] - np.logaddexp.reduce(carried_NA, axis=1)
        return float((self.weight_N * self.trusted_N) @ log_p_N)

    def gradient_and_curvature(self, weights_F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient (F,) and Hessian (F, F) of minus that."""
        share_NA = probabilities(self.carried(weights_F))
        count_N1 = (self.weight_N * self.trusted_N)[:, None]
        expected_NF = (share_NA @ self.alternatives_AF) * self.toward_NF
        named_NF = self.alternatives_AF[0] * self.toward_NF
        gradient_F = SHARPNESS * (count_N1 * (expected_NF - named_NF)).sum(axis=0)
        # The covariance of the alternatives' features under the softmax; no feature is in two.
        within_NF = np.sqrt(count_N1) * (np.sqrt(share_NA) @ self.alternatives_AF) * self.toward_NF
        together_FF = self.alternatives_AF.T @ self.alternatives_AF
        hessian_FF = (within_NF.T @ within_NF) * together_FF
        hessian_FF -= (count_N1 * expected_NF).T @ expected_NF
        return gradient_F, SHARPNESS**2 * hessian_FF


def probabilities(carried_NA: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    return np.exp(carried_NA - np.logaddexp.reduce(carried_NA, axis=-1, keepdims=True))


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
    found: list[list[StatedReasons]] = [[] for _ in range(max(1, len(preferences.rater_ids)))]
    usable: dict[int, np.ndarray] = {}
    for column, name in enumerate(preferences.reason_names):
        alternatives_AF = alternatives(name, feature_names)
        if len(alternatives_AF) > 1 and alternatives_AF[0].any():
            usable[column] = alternatives_AF.astype(np.float64)
    given_N = preferences.reasons[:, list(usable)].sum(axis=1)
    for column, alternatives_AF in usable.items():
        used_N = preferences.reasons[:, column] & preferences.decided
        for rater, own in enumerate(found):
            rows = np.flatnonzero(used_N & (preferences.rater == rater))
            if len(rows):
                own.append(
                    StatedReasons(
                        alternatives_AF,
                        preferences.outcome[rows, None] * difference_NF[rows],
                        preferences.weight[rows] / given_N[rows],
                        np.ones(len(rows)),
                    )
                )
    return [tuple(own) for own in found]
