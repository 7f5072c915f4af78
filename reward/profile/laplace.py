"""Posterior of a group's taste and of its raters' deviations from it: a mode and its curvature.

    gap_n = (scale_r w + δ_r)·d_n + side + side_r

d_n is the left item's features minus the right one's, r the rater; `reward.profile.davidson` turns
gaps into probabilities. w, side and log ν are the group's, δ_r, side_r and log ν_r the raters' own,
all with Gaussian priors; scales are given. The posterior is log-concave, so Newton's method finds
its one mode. Its Hessian is an arrow (group × raters), solved by Schur complement: R raters cost R
small solves.

Letters: F features, R raters, G = F + 2 parameters (weights, side, log ν); each rater's own are G
too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from reward.profile.davidson import RaterVotes, gradient_and_curvature, log_likelihood

SIDE_STD = 0.5
"""prior of the side bias, in log-odds: most people lean less than 62 : 38"""
LOG_TIE_MEAN, LOG_TIE_STD = -1.0, 2.0
"""prior of log ν: some 15 % of ties between equals; 2 % and 90 % are not ruled out"""
OWN_SIDE_STD, OWN_LOG_TIE_STD = 0.5, 1.0
"""how much raters differ in side bias and in log ν"""
CONVERGED_NATS = 1e-7
NEWTON_STEPS = 100


@dataclass(frozen=True, slots=True)
class Prior:
    """Means and precisions of the Gaussian priors."""

    mean_G: np.ndarray
    group_G: np.ndarray
    own_G: np.ndarray | None
    """None where raters have no parameters of their own"""

    @classmethod
    def of(cls, shape_F: np.ndarray, weight_std: float, deviation_std: float) -> Prior:
        """Weights of std `weight_std` times their shape, deviations (none for 0) of one std."""

        def precision(std_F: np.ndarray, side_std: float, log_tie_std: float) -> np.ndarray:
            return np.array([*std_F, side_std, log_tie_std]) ** -2.0

        mean_G = np.zeros(len(shape_F) + 2)
        mean_G[-1] = LOG_TIE_MEAN
        own = None
        if deviation_std:
            own = precision(deviation_std * np.ones(len(shape_F)), OWN_SIDE_STD, OWN_LOG_TIE_STD)
        return cls(mean_G, precision(weight_std * shape_F, SIDE_STD, LOG_TIE_STD), own)


@dataclass(frozen=True, slots=True)
class Point:
    """Parameters, and whether raters have their own."""

    group_G: np.ndarray
    own_RG: np.ndarray
    """(0, G) where raters have none"""

    @classmethod
    def start(cls, features: int, raters: int = 0) -> Point:
        """The priors' means, with parameters of their own for so many raters."""
        return cls(Prior.of(np.ones(features), 1.0, 0.0).mean_G, np.zeros((raters, features + 2)))

    def params(self, rater: int, votes: RaterVotes) -> np.ndarray:
        """What acts on one rater; (G,)."""
        shared = votes.scaling_G * self.group_G
        return shared + self.own_RG[rater] if len(self.own_RG) else shared

    def moved(self, step: Point, length: float) -> Point:
        """The point at so many steps from here."""
        return Point(self.group_G + length * step.group_G, self.own_RG + length * step.own_RG)


@dataclass(frozen=True, slots=True)
class Curvature:
    """Gradient and Hessian of minus the log posterior, raters eliminated."""

    step: Point
    """Newton's"""
    decrement: float
    """nats that the step gains, twice"""
    schur_GG: np.ndarray
    """precision of the group's parameters, the raters' own integrated out"""
    cross: list[np.ndarray]
    """(G, G) a rater: group × own"""
    own: list[np.ndarray]
    """(G, G) a rater: own × own"""
    log_determinant: float


def find_mode(
    by_rater: Sequence[RaterVotes], prior: Prior, start: Point
) -> tuple[Point, float, Curvature]:
    """The mode, the log evidence and the curvature there: Newton's method with step halving."""
    point, loss = start, _loss(by_rater, prior, start)
    curvature = _curvature(by_rater, prior, point)
    for _ in range(NEWTON_STEPS):
        if curvature.decrement < CONVERGED_NATS:
            break
        length = 1.0
        while (moved := _loss(by_rater, prior, point.moved(curvature.step, length))) > (
            loss - 1e-4 * length * curvature.decrement
        ):
            length /= 2
        point, loss = point.moved(curvature.step, length), moved
        curvature = _curvature(by_rater, prior, point)
    own = 0.0 if prior.own_G is None else len(by_rater) * np.log(prior.own_G).sum()
    volume = np.log(prior.group_G).sum() + own - curvature.log_determinant
    return point, float(-loss + 0.5 * volume), curvature


def _loss(by_rater: Sequence[RaterVotes], prior: Prior, point: Point) -> float:
    """Minus the log posterior, without the constants of the priors."""
    total = 0.5 * prior.group_G @ (point.group_G - prior.mean_G) ** 2
    if prior.own_G is not None:
        total += 0.5 * (point.own_RG**2 @ prior.own_G).sum()
    likelihood = sum(
        log_likelihood(votes, point.params(r, votes)) for r, votes in enumerate(by_rater)
    )
    return float(total - likelihood)


def _curvature(by_rater: Sequence[RaterVotes], prior: Prior, point: Point) -> Curvature:
    """Newton's step and the arrow-shaped Hessian, raters eliminated (Schur complement)."""
    gradient_G = prior.group_G * (point.group_G - prior.mean_G)
    schur, reduced, log_determinant = np.diag(prior.group_G), gradient_G, 0.0
    own_gradients, crosses, owns, factors = [], [], [], []
    for rater, votes in enumerate(by_rater):
        gradient, hessian = gradient_and_curvature(votes, point.params(rater, votes))
        scaling = votes.scaling_G
        gradient_G = gradient_G + scaling * gradient
        reduced = reduced + scaling * gradient
        schur = schur + np.outer(scaling, scaling) * hessian
        if prior.own_G is not None:
            own_gradients.append(gradient + prior.own_G * point.own_RG[rater])
            crosses.append(scaling[:, None] * hessian)
            owns.append(hessian + np.diag(prior.own_G))
            factors.append(cho_factor(owns[-1], lower=True))
            schur = schur - crosses[-1] @ cho_solve(factors[-1], crosses[-1].T)
            reduced = reduced - crosses[-1] @ cho_solve(factors[-1], own_gradients[-1])
    schur_factor = cho_factor(schur, lower=True)
    for triangle, _ in (schur_factor, *factors):
        log_determinant += 2 * float(np.log(np.diag(triangle)).sum())
    step_G = -cho_solve(schur_factor, reduced)
    step_RG = np.zeros_like(point.own_RG)
    decrement = -float(gradient_G @ step_G)
    for rater, factor in enumerate(factors):
        step_RG[rater] = -cho_solve(factor, own_gradients[rater] + crosses[rater].T @ step_G)
        decrement -= float(own_gradients[rater] @ step_RG[rater])
    return Curvature(Point(step_G, step_RG), decrement, schur, crosses, owns, log_determinant)
