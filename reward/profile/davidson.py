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


@dataclass(frozen=True, slots=True)
class RaterVotes:
    """One rater's comparisons."""

    difference_NF: np.ndarray
    """features of the left item minus those of the right"""
    outcome_N: np.ndarray
    """+1 left, 0 tie, -1 right"""
    weight_N: np.ndarray
    scale: float = 1.0
    """how strongly the group's weights act on this rater"""

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


def log_likelihood(votes: RaterVotes, params_G: np.ndarray) -> float:
    """Log probability of the outcomes in nats, weighted."""
    log_p = outcome_log_probabilities(_gap(votes, params_G), params_G[-1])
    chosen = log_p[1 - votes.outcome_N, np.arange(len(votes.outcome_N))]
    return float(votes.weight_N @ chosen)


def gradient_and_curvature(
    votes: RaterVotes, params_G: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (G,) and Hessian (G, G) of minus the log-likelihood."""
    left, tie, right = np.exp(outcome_log_probabilities(_gap(votes, params_G), params_G[-1]))
    weight, count = votes.weight_N, len(votes.weight_N)
    # d gap / d parameters; log ν moves another logit and has its own lines below.
    jacobian = np.hstack([votes.difference_NF, np.ones((count, 1)), np.zeros((count, 1))])
    gradient = -jacobian.T @ (weight * (votes.outcome_N - left + right) / 2)
    gradient[-1] = -weight @ ((votes.outcome_N == 0) - tie)
    gap_gap = (left + right) / 4 - ((left - right) / 2) ** 2
    curvature = (jacobian * (weight * gap_gap)[:, None]).T @ jacobian
    gap_tie = -jacobian.T @ (weight * tie * (left - right) / 2)
    curvature[-1], curvature[:, -1] = gap_tie, gap_tie
    curvature[-1, -1] = weight @ (tie * (1 - tie))
    return gradient, curvature


def _gap(votes: RaterVotes, params_G: np.ndarray) -> np.ndarray:
    return votes.difference_NF @ params_G[:-2] + params_G[-2]
