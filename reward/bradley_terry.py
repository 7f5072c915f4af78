"""Bayesian Bradley-Terry-Davidson regression: weights of features from comparisons, with doubt.

    gap_n = (scale_r w + δ_r)·d_n + side + side_r

where d_n is the left item's features minus the right one's and r the rater; `reward.davidson`
turns gaps into probabilities. The parameters have Gaussian priors. With several raters each has
its own deviations δ_r, side_r and log ν_r from the group's, and a scale: a reliable rater follows
the group's taste strongly, a careless one weakly (partial pooling). With one rater there are only
the group's. How large weights and deviations are is chosen by the Laplace approximation of the
evidence (MacKay 1992, Neural Computation 4:415), under weak log-normal priors that decide while
there is nothing to go by.

With `freedom` the weights' prior is Student's t: most tastes turn on a few features, and of a
hundred the rest should stay near 0. It is a Gaussian of a variance that each feature has for itself
(Tipping 2001, JMLR 1:211), found by EM on all votes pooled; the posterior is that of the Gaussians.

The scales are plugged in: each rater's best, on the taste that all votes pooled give, with a
geometric mean of 1. As free parameters they make a ridge (smaller weights, larger scales) on which
the mode runs away; with scales fixed the posterior is log-concave with one mode. Their own doubt
is left out. The Hessian is an arrow (group × raters), solved by Schur complement: R raters cost R
small solves.

Letters: N comparisons, F features, R raters, G = F + 2 parameters (weights, side, log ν); each
rater's deviations are G too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize_scalar

from reward.davidson import RaterVotes, gradient_and_curvature, log_likelihood

SIDE_STD = 0.5
"""prior of the side bias, in log-odds: most people lean less than 62 : 38"""
LOG_TIE_MEAN, LOG_TIE_STD = -1.0, 2.0
"""prior of log ν: some 15 % of ties between equals; 2 % and 90 % are not ruled out"""
OWN_SIDE_STD, OWN_LOG_TIE_STD = 0.5, 1.0
"""how much raters differ in side bias and in log ν"""
OWN_LOG_SCALE_STD = 0.5
"""how much raters differ in reliability: two in three are within a factor of 1.6"""
UTILITY_STD_GUESS, UTILITY_STD_SPREAD = 1.0, 1.0
"""log-normal prior of the utility's std in log-odds; a 72 %-reliable listener has about 0.95"""
DEVIATION_STD_GUESS, DEVIATION_STD_SPREAD = 0.5, 1.0
"""log-normal prior of the raters' deviations, the same way"""
LOG_STD_REACH = 4.0
"""how far from its guess a prior's std is searched: a factor of 55 either way"""
STD_TOLERANCE = 0.1
"""10 % of a prior's std: finer changes no prediction"""
EM_STEPS, EM_TOLERANCE = 40, 0.05
"""steps at most for Student's t, and the relative change of a variance that ends them"""
CONVERGED_NATS = 1e-7
NEWTON_STEPS = 100


class FitError(ValueError):
    """A fit that cannot be done; the message gives the value, the rule and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaussian:
    """Posterior of one taste: weights, and the habits at their mode."""

    weights_F: np.ndarray
    """mean, in log-odds per unit of a feature"""
    covariance_FF: np.ndarray
    side: float
    """log-odds that being on the left adds"""
    side_std: float
    log_tie: float
    """log ν"""
    scale: float = 1.0
    """how strongly the rater follows the group's taste; 1 is typical"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What the comparisons say."""

    group: Gaussian
    raters: tuple[Gaussian, ...]
    """one for each rater; the group's own when there is one rater"""
    log_evidence: float
    """Laplace approximation of log P(outcomes), in nats, at the chosen prior"""
    weight_std: float
    """prior standard deviation of the weights, in the mean of squares"""
    deviation_std: float
    """prior standard deviation of every rater's deviations from it; 0 with one rater"""
    shape_F: np.ndarray
    """each weight's prior standard deviation over that of all"""


@dataclass(frozen=True, slots=True)
class _Prior:
    """Means and precisions of the Gaussian priors."""

    mean_G: np.ndarray
    group_G: np.ndarray
    own_G: np.ndarray | None
    """None where raters have no parameters of their own"""

    @classmethod
    def of(cls, shape_F: np.ndarray, weight_std: float, deviation_std: float) -> _Prior:
        def precision(std_F: np.ndarray, side_std: float, log_tie_std: float) -> np.ndarray:
            return np.array([*std_F, side_std, log_tie_std]) ** -2.0

        mean_G = np.zeros(len(shape_F) + 2)
        mean_G[-1] = LOG_TIE_MEAN
        own = None
        if deviation_std:
            own = precision(deviation_std * np.ones(len(shape_F)), OWN_SIDE_STD, OWN_LOG_TIE_STD)
        return cls(mean_G, precision(weight_std * shape_F, SIDE_STD, LOG_TIE_STD), own)


@dataclass(frozen=True, slots=True)
class _Point:
    """Parameters, and whether raters have their own."""

    group_G: np.ndarray
    own_RG: np.ndarray
    """(0, G) where raters have none"""

    def params(self, rater: int, votes: RaterVotes) -> np.ndarray:
        """What acts on one rater; (G,)."""
        shared = votes.scaling_G * self.group_G
        return shared + self.own_RG[rater] if len(self.own_RG) else shared

    def moved(self, step: _Point, length: float) -> _Point:
        return _Point(self.group_G + length * step.group_G, self.own_RG + length * step.own_RG)


@dataclass(frozen=True, slots=True)
class _Curvature:
    """Gradient and Hessian of minus the log posterior, raters eliminated."""

    step: _Point
    """Newton's"""
    decrement: float
    """nats that the step gains, twice"""
    schur_GG: np.ndarray
    cross: list[np.ndarray]
    """(G, G) a rater: group × own"""
    own: list[np.ndarray]
    """(G, G) a rater: own × own"""
    log_determinant: float


def fit_bradley_terry(
    difference_NF: np.ndarray,
    outcome_N: np.ndarray,
    *,
    weight_N: np.ndarray | None = None,
    rater_N: np.ndarray | None = None,
    raters: int = 1,
    weight_std: float | None = None,
    deviation_std: float | None = None,
    shape_F: np.ndarray | None = None,
    freedom: float | None = None,
) -> Fit:
    """Fit the model; prior scales that are not given are chosen by evidence.

    Args:
        difference_NF: features of the left item minus those of the right, standardised.
        outcome_N: +1 left, 0 tie, -1 right.
        weight_N: how many votes each counts for; 1 by default.
        rater_N: index of the rater of each, 0..raters-1; all 0 by default.
        raters: how many there are; one without votes has the group's taste, with more doubt.
        weight_std: prior standard deviation of a weight, in log-odds per unit of a feature.
        deviation_std: the same for a rater's deviation from the group; unused with one rater.
        shape_F: how large each weight is expected beside the others; all alike by default.
        freedom: degrees of freedom of Student's t as the prior of the weights, on top of
            `shape_F`; 1 for tastes of few features, None for the Gaussian.

    Raises:
        FitError: for features that are not finite, or prior scales that are not positive.
    """
    count, features = difference_NF.shape
    shape_F = _normal(np.ones(features) if shape_F is None else shape_F)
    scales = {"weight_std": weight_std, "deviation_std": deviation_std, "freedom": freedom}
    for name, std in (*scales.items(), ("the least of shape_F", float(shape_F.min(initial=1.0)))):
        if std is not None and not 0 < std < np.inf:
            raise FitError(f"{name}={std} is not positive and finite; leave it out to choose it")
    if not np.isfinite(difference_NF).all():
        row, column = np.argwhere(~np.isfinite(difference_NF))[0]
        raise FitError(
            f"feature {column} of comparison {row} is {difference_NF[row, column]}; features are "
            "finite numbers, so mend or drop that feature"
        )
    weight_N = np.ones(count) if weight_N is None else weight_N
    rater_N = np.zeros(count, np.int64) if rater_N is None else rater_N
    by_rater = [
        RaterVotes(difference_NF[own], outcome_N[own], weight_N[own])
        for own in (rater_N == rater for rater in range(raters))
    ]
    # A utility that sums F features of variance 1 has, if they were independent, F times a weight's
    # variance. Features that never differ do not count.
    unit = 1.0 / np.sqrt(np.count_nonzero(difference_NF.any(axis=0)) or features)
    if freedom is not None:
        everyone = RaterVotes(difference_NF, outcome_N, weight_N)
        shape_F = _student_shape(everyone, shape_F, freedom, weight_std or UTILITY_STD_GUESS * unit)
    if raters > 1:
        pooled = fit_bradley_terry(
            difference_NF, outcome_N, weight_N=weight_N, weight_std=weight_std, shape_F=shape_F
        )
        by_rater = _with_scales(by_rater, pooled.group)
    point = _Point(
        _Prior.of(shape_F, 1.0, 0.0).mean_G,
        np.zeros((raters if raters > 1 else 0, features + 2)),
    )

    def log_evidence(weight_std: float, deviation_std: float) -> float:
        nonlocal point  # each search starts where the last one ended
        point, value, _ = _find_mode(by_rater, _Prior.of(shape_F, weight_std, deviation_std), point)
        return value

    weight = weight_std or UTILITY_STD_GUESS * unit
    deviation = 0.0 if raters == 1 else deviation_std or DEVIATION_STD_GUESS * unit
    free = (weight_std is None) + (deviation_std is None and raters > 1)
    for _ in range(free):  # by turns, twice if both are free: they are nearly independent
        if weight_std is None:
            weight = _best_std(
                partial(log_evidence, deviation_std=deviation),
                UTILITY_STD_GUESS * unit,
                UTILITY_STD_SPREAD,
            )
        if deviation_std is None and raters > 1:
            deviation = _best_std(
                partial(log_evidence, weight), DEVIATION_STD_GUESS * unit, DEVIATION_STD_SPREAD
            )
    point, value, curvature = _find_mode(by_rater, _Prior.of(shape_F, weight, deviation), point)
    group, each = _gaussians(point, curvature, by_rater)
    return Fit(
        group=group,
        raters=each or (group,) * raters,
        log_evidence=value,
        weight_std=float(weight),
        deviation_std=float(deviation),
        shape_F=shape_F,
    )


def _normal(shape_F: np.ndarray) -> np.ndarray:
    """Of mean square 1."""
    return shape_F / np.sqrt(np.mean(np.square(shape_F))) if len(shape_F) else shape_F


def _student_shape(
    votes: RaterVotes, prior_F: np.ndarray, freedom: float, weight_std: float
) -> np.ndarray:
    """Standard deviations of the Gaussians that stand for Student's t; (F,), of mean square 1.

    EM: a weight of posterior second moment m² has the expected precision (ν + 1) / (ν s² + m²),
    and s² is what makes these precisions fit the moments.
    """
    point = _Point(_Prior.of(prior_F, 1.0, 0.0).mean_G, np.zeros((0, len(prior_F) + 2)))
    variance_F, common = np.square(weight_std * prior_F), weight_std**2
    for _ in range(EM_STEPS):
        prior = _Prior.of(np.sqrt(variance_F), 1.0, 0.0)
        point, _, curvature = _find_mode([votes], prior, point)
        moment_F = point.group_G[:-2] ** 2 + np.diag(np.linalg.inv(curvature.schur_GG))[:-2]
        relative_F = moment_F / prior_F**2
        change_F = (freedom * common + relative_F) / (freedom + 1) * prior_F**2 / variance_F
        variance_F = variance_F * change_F
        # The square root halves the step: moments and s² chase one another.
        common *= float(
            np.sqrt(np.mean((freedom + 1) * relative_F / (freedom * common + relative_F)))
        )
        if abs(np.log(change_F)).max() < EM_TOLERANCE:
            break
    return _normal(np.sqrt(variance_F))


def _best_std(log_evidence: Callable[[float], float], guess: float, spread: float) -> float:
    """The standard deviation of most evidence × log-normal prior."""

    def loss(log_ratio: float) -> float:
        return 0.5 * (log_ratio / spread) ** 2 - log_evidence(guess * float(np.exp(log_ratio)))

    bounds = (-LOG_STD_REACH, LOG_STD_REACH)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": STD_TOLERANCE})
    return guess * float(np.exp(found.x))


def _with_scales(by_rater: Sequence[RaterVotes], pooled: Gaussian) -> list[RaterVotes]:
    """Each rater with the scale of the pooled taste that suits their votes best."""
    group = np.concatenate([pooled.weights_F, [pooled.side, pooled.log_tie]])
    log_scales = []
    for votes in by_rater:

        def loss(log_scale: float, votes: RaterVotes = votes) -> float:
            scaled = replace(votes, scale=float(np.exp(log_scale)))
            away = log_scale / OWN_LOG_SCALE_STD
            return 0.5 * away**2 - log_likelihood(votes, scaled.scaling_G * group)

        log_scales.append(minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded").x)
    scales = np.exp(np.array(log_scales) - np.mean(log_scales))
    return [
        replace(votes, scale=float(scale)) for votes, scale in zip(by_rater, scales, strict=True)
    ]


def _find_mode(
    by_rater: Sequence[RaterVotes], prior: _Prior, start: _Point
) -> tuple[_Point, float, _Curvature]:
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


def _loss(by_rater: Sequence[RaterVotes], prior: _Prior, point: _Point) -> float:
    """Minus the log posterior, without the constants of the priors."""
    total = 0.5 * prior.group_G @ (point.group_G - prior.mean_G) ** 2
    if prior.own_G is not None:
        total += 0.5 * (point.own_RG**2 @ prior.own_G).sum()
    likelihood = sum(
        log_likelihood(votes, point.params(r, votes)) for r, votes in enumerate(by_rater)
    )
    return float(total - likelihood)


def _curvature(by_rater: Sequence[RaterVotes], prior: _Prior, point: _Point) -> _Curvature:
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
    return _Curvature(_Point(step_G, step_RG), decrement, schur, crosses, owns, log_determinant)


def _gaussians(
    point: _Point, curvature: _Curvature, by_rater: Sequence[RaterVotes]
) -> tuple[Gaussian, tuple[Gaussian, ...]]:
    """The group's posterior and each rater's (scaled group and deviation together)."""
    group_cov = np.linalg.inv(curvature.schur_GG)

    def gaussian(params: np.ndarray, cov: np.ndarray, scale: float) -> Gaussian:
        return Gaussian(
            weights_F=params[:-2],
            covariance_FF=(cov[:-2, :-2] + cov[:-2, :-2].T) / 2,
            side=float(params[-2]),
            side_std=float(np.sqrt(cov[-2, -2])),
            log_tie=float(params[-1]),
            scale=scale,
        )

    each = []
    for rater, (cross, own) in enumerate(zip(curvature.cross, curvature.own, strict=True)):
        votes, inverse = by_rater[rater], np.linalg.inv(own)
        # Where the group moves, the deviation moves by -inverse @ cross.T times as much.
        lever = np.diag(votes.scaling_G) - inverse @ cross.T
        cov = lever @ group_cov @ lever.T + inverse
        each.append(gaussian(point.params(rater, votes), cov, votes.scale))
    return gaussian(point.group_G, group_cov, 1.0), tuple(each)
