"""How strongly each rater follows the group's taste, and whether the right way round.

A rater's scale a multiplies the group's weights: 1 is typical, 0 answers by chance, below 0 likes
what the others dislike. Raters are of three kinds, whose shares π are learnt from all:

    a ~ π_follow LogNormal(0, s²) + π_chance [a = 0] + π_contrary · LogNormal, negative

Each rater is judged by a taste that their own votes had no part in: the posterior of all votes
with the rater's likelihood divided out (which, by Laplace's approximation, is one Newton step), and
averaged over. Otherwise 60 votes would bend 90 weights towards themselves, and everybody followed.
Taste and scales take turns, from two starts: everybody follows, and the leading eigenvector of how
alike the raters' own tastes are, which finds two camps where the mean has nothing. The start from
which the others' votes predict each rater's better wins.

Votes count for the probability that their rater listens (EM for a mixture: its responsibilities),
and they tell of the group's taste with the square of the scale.

Letters: N comparisons of one rater, F features, R raters, A scales on a grid, K kinds of raters,
G = F + 2 parameters (weights, side, log ν).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import logsumexp

from reward.profile.davidson import RaterVotes, gradient_and_curvature, log_likelihood
from reward.profile.laplace import OWN_LOG_TIE_STD, OWN_SIDE_STD, Point, Prior, find_mode

if TYPE_CHECKING:
    from reward.profile.bradley_terry import Gaussian

OWN_LOG_SCALE_STD = 0.5
"""how much those who listen differ: two in three are within a factor of 1.6"""
KIND_COUNTS_K = np.array([4.0, 1.0, 0.5])
"""raters that the prior is worth: who follow, who answer by chance, who are contrary"""
TURNS, TOLERANCE = 12, 0.03
HABIT_STEPS = 6
_HABIT_PRECISION = np.array([OWN_SIDE_STD, OWN_LOG_TIE_STD]) ** -2.0

_DEVIATION = np.linspace(-2.5, 2.5, 11)
_LOG_SIZE = OWN_LOG_SCALE_STD * _DEVIATION
_LOG_MASS = -0.5 * _DEVIATION**2 - logsumexp(-0.5 * _DEVIATION**2)
SCALE_A = np.concatenate([np.exp(_LOG_SIZE), [0.0], -np.exp(_LOG_SIZE)])
LOG_SIZE_A = np.concatenate([_LOG_SIZE, [0.0], _LOG_SIZE])
LOG_MASS_A = np.concatenate([_LOG_MASS, [0.0], _LOG_MASS])
"""prior of a scale within its kind"""
KIND_A = np.repeat([0, 1, 2], [len(_DEVIATION), 1, len(_DEVIATION)])


@dataclass(frozen=True, slots=True)
class RaterScales:
    """Posterior of everyone's scale."""

    mean_R: np.ndarray
    """of those who listen"""
    std_R: np.ndarray
    listens_R: np.ndarray
    """probability that a rater does not answer by chance; their votes count for so much"""

    @classmethod
    def of(cls, tastes: Sequence[Gaussian]) -> RaterScales:
        """Those with which everyone's taste was fitted."""
        return cls(
            np.array([taste.scale for taste in tastes]),
            np.array([taste.scale_std for taste in tastes]),
            np.array([taste.listens for taste in tastes]),
        )

    @property
    def of_all(self) -> tuple[float, float]:
        """Mean and std of the scale by which the raters' mean taste follows the common weights.

        1 where all are of one mind, 0 in camps that balance. Raters are a sample, so the mean of
        their signs is as uncertain as that of so many draws.
        """
        size_R = self.listens_R * abs(self.mean_R)
        if not size_R.any():
            return 1.0, 0.0
        mean = float(self.listens_R @ self.mean_R / size_R.sum())
        raters = size_R.sum() ** 2 / np.square(size_R).sum()
        return mean, float(np.sqrt(max(0.0, 1.0 - mean**2) / raters))

    def applied(self, by_rater: Sequence[RaterVotes]) -> list[RaterVotes]:
        """Everyone's votes with their scale, counted for as much as they listen."""
        return [
            replace(votes, scale=float(scale), weight_N=listens * votes.weight_N)
            for votes, scale, listens in zip(by_rater, self.mean_R, self.listens_R, strict=True)
        ]


def rater_scales(
    by_rater: Sequence[RaterVotes],
    weight_std_F: np.ndarray,
    deviation_std: float,
    chance_log_odds_R: np.ndarray | None = None,
) -> RaterScales:
    """Everyone's scale, from the start that predicts better.

    Args:
        by_rater: the votes of two raters or more; what scale they have does not matter.
        weight_std_F: prior standard deviation of each weight of the group's.
        deviation_std: the same of a rater's deviation from it.
        chance_log_odds_R: what else is known, as log-odds that a rater answers by chance.
    """
    known_RA = np.zeros((len(by_rater), len(SCALE_A)))
    if chance_log_odds_R is not None:
        known_RA[:, SCALE_A == 0] = chance_log_odds_R[:, None]
    starts = (np.ones(len(by_rater)), _alike(by_rater, weight_std_F))
    found = [
        _by_turns(by_rater, weight_std_F, deviation_std, known_RA, start_R) for start_R in starts
    ]
    return max(found, key=lambda pair: pair[1])[0]


def _alike(by_rater: Sequence[RaterVotes], weight_std_F: np.ndarray) -> np.ndarray:
    """Scales of mean square 1 whose products are nearest to how alike two raters are; (R,)."""
    differences = [votes.difference_NF * weight_std_F for votes in by_rater]
    spread_FF = sum(own_NF.T @ own_NF for own_NF in differences)
    tastes_RF = np.stack(
        [
            # Newton's first step from nothing: one solve a rater, good enough to start from.
            np.linalg.solve(
                np.eye(len(weight_std_F)) + own_NF.T @ (own_NF * votes.weight_N[:, None]) / 4,
                own_NF.T @ (votes.weight_N * votes.outcome_N) / 2,
            )
            for own_NF, votes in zip(differences, by_rater, strict=True)
        ]
    )
    alike_RR = tastes_RF @ spread_FF @ tastes_RF.T
    np.fill_diagonal(alike_RR, 0.0)  # everyone is like themselves, by noise as well
    leading_R = np.linalg.eigh(alike_RR)[1][:, -1]
    votes_R = np.array([votes.weight_N.sum() for votes in by_rater])
    return (1.0 if leading_R @ votes_R >= 0 else -1.0) * np.sqrt(len(leading_R)) * leading_R


def _by_turns(
    by_rater: Sequence[RaterVotes],
    weight_std_F: np.ndarray,
    deviation_std: float,
    known_RA: np.ndarray,
    start_R: np.ndarray,
) -> tuple[RaterScales, float]:
    """Scales from one start, and the nats with which others predict each rater, summed."""
    prior = Prior.of(weight_std_F, 1.0, 0.0)
    point = Point.start(by_rater, prior)
    raters = len(by_rater)
    scales, log_predicted = RaterScales(start_R, np.zeros(raters), np.ones(raters)), -np.inf
    share_K = KIND_COUNTS_K / KIND_COUNTS_K.sum()
    for _ in range(TURNS):
        scaled = scales.applied(by_rater)
        point, _, curvature = find_mode(scaled, prior, point)
        log_p_RA = np.stack(
            [
                _log_predicted(full, counted, point, curvature.schur_GG, deviation_std)
                for full, counted in zip(by_rater, scaled, strict=True)
            ]
        )
        log_p_RA += known_RA + LOG_MASS_A + np.log(share_K)[KIND_A]
        log_predicted_R = logsumexp(log_p_RA, axis=1)
        log_predicted = float(log_predicted_R.sum())
        posterior_RA = np.exp(log_p_RA - log_predicted_R[:, None])
        counts_K = KIND_COUNTS_K + np.bincount(KIND_A, posterior_RA.sum(axis=0))
        share_K = counts_K / counts_K.sum()
        # Smaller weights with larger scales would say the same, so those who listen have mean 1.
        listening_RA = posterior_RA * (SCALE_A != 0)
        listens_R = listening_RA.sum(axis=1)
        size = np.exp((listening_RA @ LOG_SIZE_A).sum() / listens_R.sum())
        given_RA = listening_RA / listens_R[:, None]
        mean_R = given_RA @ SCALE_A / size
        variance_R = given_RA @ SCALE_A**2 / size**2 - mean_R**2
        if mean_R @ listens_R < 0:  # a taste and its opposite, all scales turned, are the same
            mean_R = -mean_R
        before, scales = (
            scales,
            RaterScales(mean_R, np.sqrt(np.maximum(variance_R, 0.0)), listens_R),
        )
        if abs(scales.mean_R * listens_R - before.mean_R * before.listens_R).max() < TOLERANCE:
            break
    return scales, log_predicted


def _log_predicted(
    votes: RaterVotes,
    counted: RaterVotes,
    point: Point,
    precision_GG: np.ndarray,
    deviation_std: float,
) -> np.ndarray:
    """Log probability of a rater's votes at each scale, by the others' taste; (A,).

    The log-likelihood is taken as quadratic in the rater's weights u around those they have now,
    b·u - ½ uᵀHu, the rater's own habits at their best. Then the integrals over u = a w + δ, for
    w ~ N(m, LLᵀ), are closed; with the eigenvalues of LᵀHL they are a sum for each a. Who answers
    by chance (a = 0) has no δ either. `counted` are the votes as they count in `point`.
    """
    scaling_G, params_G = counted.scaling_G, point.params(0, counted)
    gradient_G, hessian_GG = gradient_and_curvature(counted, params_G)
    others_GG = precision_GG - np.outer(scaling_G, scaling_G) * hessian_GG
    factor = cho_factor(others_GG, lower=True)
    mean_F = (point.group_G + cho_solve(factor, scaling_G * gradient_G))[:-2]
    root_FF = np.linalg.cholesky(cho_solve(factor, np.eye(len(params_G)))[:-2, :-2])

    params_G, log_p = _with_own_habits(votes, params_G)
    gradient_G, hessian_GG = gradient_and_curvature(votes, params_G)
    habits = hessian_GG[-2:, -2:] + np.diag(_HABIT_PRECISION)
    cross = hessian_GG[:-2, -2:]
    h_FF = hessian_GG[:-2, :-2] - cross @ np.linalg.solve(habits, cross.T)
    u_F = params_G[:-2]
    b_F = h_FF @ u_F - gradient_G[:-2]
    log_p += float(gradient_G[:-2] @ u_F - 0.5 * u_F @ h_FF @ u_F)
    # δ integrated out leaves the same form in a w, with less curvature.
    damping_FF = np.eye(len(u_F)) + deviation_std**2 * h_FF
    b_F, before_F = np.linalg.solve(damping_FF, b_F), b_F
    gain = 0.5 * deviation_std**2 * float(before_F @ b_F) - 0.5 * np.linalg.slogdet(damping_FF)[1]
    h_FF = np.linalg.solve(damping_FF, h_FF)

    eigenvalue_F, basis_FF = np.linalg.eigh(root_FF.T @ h_FF @ root_FF)
    eigenvalue_F = np.maximum(eigenvalue_F, 0.0)  # below 0 is rounding
    slope_F, bend_F = (basis_FF.T @ (root_FF.T @ v_F) for v_F in (b_F, h_FF @ mean_F))
    a_A1 = SCALE_A[:, None]
    spread_AF = 1 + a_A1**2 * eigenvalue_F
    around_AF = (a_A1 * slope_F - a_A1**2 * bend_F) ** 2 / spread_AF - np.log(spread_AF)
    at_mean_A = SCALE_A * (b_F @ mean_F) - 0.5 * SCALE_A**2 * (mean_F @ h_FF @ mean_F)
    return log_p + gain * (SCALE_A != 0) + at_mean_A + 0.5 * around_AF.sum(axis=1)


def _with_own_habits(votes: RaterVotes, params_G: np.ndarray) -> tuple[np.ndarray, float]:
    """Parameters with the side bias and log ν of most posterior, and its log, in nats."""
    own_G = params_G.copy()
    for _ in range(HABIT_STEPS):
        gradient_G, hessian_GG = gradient_and_curvature(votes, own_G)
        slope = gradient_G[-2:] + _HABIT_PRECISION * (own_G - params_G)[-2:]
        own_G[-2:] -= np.linalg.solve(hessian_GG[-2:, -2:] + np.diag(_HABIT_PRECISION), slope)
    away = (own_G - params_G)[-2:]
    return own_G, log_likelihood(votes, own_G) - 0.5 * float(away**2 @ _HABIT_PRECISION)
