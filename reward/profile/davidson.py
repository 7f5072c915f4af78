"""Davidson's model of one comparison with ties and sides: its likelihood, gradient and curvature.

    P(left) = exp(gap/2) / Z      P(tie) = ν / Z      P(right) = exp(-gap/2) / Z

gap is the log-odds of left over right, once a tie is out of question; Z the sum of the three. That
is Davidson (JASA 65, 1970) with α = exp(utility): P(tie) ∝ ν √(α_left α_right). A bias for a side
adds to the gap (Davidson & Beaver 1977; Firth et al. 2019, arXiv:1909.07123). Without ties (ν = 0)
it is Bradley and Terry's.

The three logits are linear in gap and log ν, so the log-likelihood is concave and its curvature is
the covariance of two statistics of the outcome: (left - right) / 2, and tie.

Letters: N comparisons, F features, G = F + 2 parameters (weights, side, log ν).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reward.profile.effect_matrices import EffectsDesign
from reward.profile.reason_likelihood import StatedReasons


@dataclass(frozen=True, slots=True)
class RaterVotes:
    """One rater's comparisons."""

    difference_NF: np.ndarray
    """features of the left item minus those of the right"""
    outcome_N: np.ndarray
    """+1 left, 0 tie, -1 right"""
    weight_N: np.ndarray
    scale: float = 1.0
    """how strongly the group's taste acts on this rater"""
    effects: EffectsDesign | None = None
    """which melodies' own effects act on them; None where melodies have none"""
    reasons: tuple[StatedReasons, ...] = ()
    """what the rater named as decisive, if anything"""

    @property
    def scaling_G(self) -> np.ndarray:
        """What the group's parameters are multiplied by; side and ties are habits, not taste."""
        scaling = np.full(self.difference_NF.shape[1] + 2, self.scale)
        scaling[-2:] = 1.0
        return scaling


def outcome_log_probabilities(gap_N: np.ndarray, log_tie: np.ndarray | float) -> np.ndarray:
    """Logarithms of P(left), P(tie) and P(right); shape (3, N)."""
    logits = np.stack(np.broadcast_arrays(gap_N / 2, log_tie, -gap_N / 2))
    return logits - np.logaddexp.reduce(logits, axis=0)


@dataclass(frozen=True, slots=True)
class GapDerivatives:
    """Derivatives of minus the log-likelihood of each comparison, weighted; (N,) each."""

    gap_N: np.ndarray
    tie_N: np.ndarray
    """by log ν"""
    gap_gap_N: np.ndarray
    gap_tie_N: np.ndarray
    tie_tie_N: np.ndarray

    def on(self, difference_NF: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gradient (G,), rows of curvature times jacobian (N, G), and Hessian (G, G)."""
        count = len(difference_NF)
        # d gap / d parameters; log ν moves another logit and has its own lines below.
        jacobian_NG = np.hstack([difference_NF, np.ones((count, 1)), np.zeros((count, 1))])
        gradient_G = jacobian_NG.T @ self.gap_N
        gradient_G[-1] = self.tie_N.sum()
        curved_NG = jacobian_NG * self.gap_gap_N[:, None]
        curved_NG[:, -1] = self.gap_tie_N
        hessian_GG = jacobian_NG.T @ curved_NG
        hessian_GG[-1] = hessian_GG[:, -1]
        hessian_GG[-1, -1] = self.tie_tie_N.sum()
        return gradient_G, curved_NG, hessian_GG


def gap_derivatives(votes: RaterVotes, gap_N: np.ndarray, log_tie: float) -> GapDerivatives:
    """Derivatives at given gaps."""
    left, tie, right = np.exp(outcome_log_probabilities(gap_N, log_tie))
    weight, outcome = votes.weight_N, votes.outcome_N
    return GapDerivatives(
        gap_N=-weight * (outcome - left + right) / 2,
        tie_N=-weight * ((outcome == 0) - tie),
        gap_gap_N=weight * ((left + right) / 4 - ((left - right) / 2) ** 2),
        gap_tie_N=-weight * tie * (left - right) / 2,
        tie_tie_N=weight * tie * (1 - tie),
    )


def log_likelihood(
    votes: RaterVotes, params_G: np.ndarray, beyond_N: np.ndarray | float = 0.0
) -> float:
    """Log probability of outcomes and reasons in nats, weighted; `beyond_N` adds to the gaps."""
    log_p = outcome_log_probabilities(gaps(votes, params_G) + beyond_N, params_G[-1])
    chosen = log_p[1 - votes.outcome_N, np.arange(len(votes.outcome_N))]
    of_reasons = sum(stated.log_likelihood(params_G[:-2]) for stated in votes.reasons)
    return float(votes.weight_N @ chosen) + of_reasons


def gradient_and_curvature(
    votes: RaterVotes, params_G: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (G,) and Hessian (G, G) of minus the log-likelihood."""
    found = gap_derivatives(votes, gaps(votes, params_G), params_G[-1])
    gradient_G, _, hessian_GG = found.on(votes.difference_NF)
    add_reasons(votes, params_G, gradient_G, hessian_GG)
    return gradient_G, hessian_GG


def add_reasons(
    votes: RaterVotes, params_G: np.ndarray, gradient_G: np.ndarray, hessian_GG: np.ndarray
) -> None:
    """Add what the reasons say to the gradient and the Hessian of the outcomes, in place."""
    for stated in votes.reasons:
        gradient_F, hessian_FF = stated.gradient_and_curvature(params_G[:-2])
        gradient_G[:-2] += gradient_F
        hessian_GG[:-2, :-2] += hessian_FF


def gaps(votes: RaterVotes, params_G: np.ndarray) -> np.ndarray:
    """Log-odds of left over right by the features and the side, ties out of question; (N,)."""
    return votes.difference_NF @ params_G[:-2] + params_G[-2]
