"""Bayesian Bradley-Terry-Davidson regression: weights of features from comparisons, with doubt.

    gap_n = (scale_r w + δ_r)·d_n + side + side_r + scale_r (e_left - e_right)

where d_n is the left item's features minus the right one's, r the rater and e_m a melody's own
effect (`reward.profile.melody_effects`), for votes that say which melodies they are of.
`reward.profile.davidson` turns gaps into probabilities, `reward.profile.laplace` finds the
posterior. With several raters each has its own deviations δ_r, side_r and log ν_r from the group's,
and a scale: a reliable rater follows the group's taste strongly, a careless one weakly, one of the
other camp the other way round (partial pooling). With one rater there are only the group's. How
large weights and deviations are is chosen by the Laplace approximation of the evidence (MacKay
1992, Neural Computation 4:415), under weak log-normal priors that decide while there is nothing to
go by.

With `freedom` the weights' prior is Student's t: most tastes turn on a few features, and of a
hundred the rest should stay near 0. It is a Gaussian of a variance that each feature has for itself
(Tipping 2001, JMLR 1:211), found by EM on all votes pooled, each with its rater's scale; the
posterior is that of the Gaussians.

The scales come from `reward.profile.rater_scales`, before anything else, and are plugged in: as
free parameters they make a ridge (smaller weights, larger scales) on which the mode runs away.
Their doubt is added to the raters' covariances afterwards.

Letters: N comparisons, F features, R raters, G = F + 2 parameters (weights, side, log ν); each
rater's deviations are G too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar

from reward.profile.davidson import RaterVotes
from reward.profile.laplace import SEARCH_NATS, Curvature, Point, Prior, find_mode
from reward.profile.melody_effects import HeardMelodies, heard_melodies, with_effects
from reward.profile.rater_scales import RaterScales, rater_scales
from reward.profile.reason_likelihood import StatedReasons

UTILITY_STD_GUESS, UTILITY_STD_SPREAD = 1.0, 1.0
"""log-normal prior of the utility's std in log-odds; a 72 %-reliable listener has about 0.95"""
DEVIATION_STD_GUESS, DEVIATION_STD_SPREAD = 0.5, 1.0
"""log-normal prior of the raters' deviations, the same way"""
MOST_UTILITY_STD = 3.0
"""of features and melodies' own effects together; who has it is right about 88 % of random pairs.
Answers that never contradict one another have no largest size, and Laplace's evidence misleads"""
OWN_RATIO_GUESS, OWN_RATIO_SPREAD = 0.5, 1.0
"""log-normal prior of the std of melodies' own effects beside that of what features explain"""
LOG_STD_REACH, LOG_STD_AGAIN = 4.0, 1.0
"""how far from its guess a prior's std is searched, a factor of 55 either way, and from where it
was, a factor of 2.7"""
STD_TOLERANCE = 0.1
"""10 % of a prior's std: finer changes no prediction"""
EM_STEPS, EM_TOLERANCE = 40, 0.05
"""steps at most for Student's t, and the relative change of a variance that ends them"""


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
    """how the rater follows the group's taste: 1 is typical, 0 not at all, below 0 contrary; of the
    group itself 1 where all are of one mind, 0 in camps that balance"""
    scale_std: float = 0.0
    listens: float = 1.0
    """probability that the rater does not answer by chance; their votes count for so much"""
    melody_std: float = 0.0
    """standard deviation of what is liked in a melody beyond its features, in log-odds"""


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
    melody_std: float
    """prior standard deviation of a melody's own effect; 0 where melodies have none"""
    heard: HeardMelodies
    """what is known of the effects of the melodies that were heard"""


def fit_bradley_terry(
    difference_NF: np.ndarray,
    outcome_N: np.ndarray,
    *,
    weight_N: np.ndarray | None = None,
    rater_N: np.ndarray | None = None,
    raters: int = 1,
    left_N: np.ndarray | None = None,
    right_N: np.ndarray | None = None,
    weight_std: float | None = None,
    deviation_std: float | None = None,
    melody_std: float | None = None,
    shape_F: np.ndarray | None = None,
    freedom: float | None = None,
    chance_log_odds_R: np.ndarray | None = None,
    scales: RaterScales | None = None,
    reasons_R: Sequence[Sequence[StatedReasons]] | None = None,
    near: Gaussian | None = None,
) -> Fit:
    """Fit the model; prior scales that are not given are chosen by evidence.

    Args:
        difference_NF: features of the left item minus those of the right, standardised.
        outcome_N: +1 left, 0 tie, -1 right.
        weight_N: how many votes each counts for; 1 by default.
        rater_N: index of the rater of each, 0..raters-1; all 0 by default.
        raters: how many there are; one without votes has the group's taste, with more doubt.
        left_N: the item on the left of each, int64; without them melodies have no own effects.
        right_N: the same on the right.
        weight_std: prior standard deviation of a weight, in log-odds per unit of a feature.
        deviation_std: the same for a rater's deviation from the group; unused with one rater.
        melody_std: the same for a melody's own effect, in log-odds; 0 for none.
        shape_F: how large each weight is expected beside the others; all alike by default.
        freedom: degrees of freedom of Student's t as the prior of the weights, on top of
            `shape_F`; 1 for tastes of few features, None for the Gaussian.
        chance_log_odds_R: what is known beside these votes' tastes, as log-odds that a rater
            answers by chance; unused with one rater.
        scales: how the raters follow the group; found from the votes if there are several raters.
        reasons_R: what each rater named as decisive; none at all by default.
        near: a taste near the one to be found, with one rater; it saves steps and changes nothing.

    Raises:
        FitError: for features that are not finite, or prior scales that are not positive.
    """
    count, features = difference_NF.shape
    prior_F = _normal(np.ones(features) if shape_F is None else shape_F)
    given = {"weight_std": weight_std, "deviation_std": deviation_std, "freedom": freedom}
    for name, std in (*given.items(), ("the least of shape_F", float(prior_F.min(initial=1.0)))):
        if std is not None and not 0 < std < np.inf:
            raise FitError(f"{name}={std} is not positive and finite; leave it out to choose it")
    if melody_std is not None and not 0 <= melody_std < np.inf:
        raise FitError(
            f"melody_std={melody_std} is not finite and at least 0; leave it out to choose it"
        )
    if not np.isfinite(difference_NF).all():
        row, column = np.argwhere(~np.isfinite(difference_NF))[0]
        raise FitError(
            f"feature {column} of comparison {row} is {difference_NF[row, column]}; features are "
            "finite numbers, so mend or drop that feature"
        )
    weight_N = np.ones(count) if weight_N is None else weight_N
    rater_N = np.zeros(count, np.int64) if rater_N is None else rater_N
    own_RN = [rater_N == rater for rater in range(raters)]
    by_rater = [RaterVotes(difference_NF[own], outcome_N[own], weight_N[own]) for own in own_RN]
    # A utility that sums F features of variance 1 has, if they were independent, F times a weight's
    # variance. Features that never differ do not count.
    unit = 1.0 / np.sqrt(np.count_nonzero(difference_NF.any(axis=0)) or features)
    std_guess = weight_std or UTILITY_STD_GUESS * unit
    if raters == 1:
        scales = None
    else:
        scales = scales or rater_scales(
            by_rater,
            std_guess * prior_F,
            deviation_std or DEVIATION_STD_GUESS * unit,
            chance_log_odds_R,
        )
        by_rater = scales.applied(by_rater)
    if reasons_R is not None:
        listens_R = np.ones(raters) if scales is None else scales.listens_R
        by_rater = [
            replace(votes, reasons=tuple(stated.counted(listens) for stated in own))
            for votes, own, listens in zip(by_rater, reasons_R, listens_R, strict=True)
        ]
    left, right, item_M = [], [], np.zeros(0, np.int64)
    if left_N is None or right_N is None:
        melody_std = 0.0
    elif melody_std != 0.0:
        left, right = [left_N[own] for own in own_RN], [right_N[own] for own in own_RN]
        by_rater, item_M = with_effects(by_rater, left, right)
    stds = {
        "weight_std": std_guess,
        "deviation_std": 0.0 if raters == 1 else deviation_std or DEVIATION_STD_GUESS * unit,
        "effect_std": std_guess / unit * OWN_RATIO_GUESS if melody_std is None else melody_std,
    }
    point: Point | None = None

    def log_evidence(stds: dict[str, float]) -> float:
        nonlocal point  # each search starts where the last one ended
        prior = Prior.of(prior_F, **stds)
        start = point or Point.start(by_rater, prior)
        point, value, _ = find_mode(by_rater, prior, start, SEARCH_NATS)
        return value

    def search(name: str, guess: float, spread: float, reach: float = LOG_STD_REACH) -> None:
        """Set one prior scale to the best, the others held."""

        def moved(ratio: float) -> dict[str, float]:
            return stds | {name: stds[name] * ratio}

        _take(moved, stds[name] / guess, spread, reach)

    def search_size(reach: float = LOG_STD_REACH) -> None:
        """Set the size of the utility to the best, the melodies' own share of it held."""

        def moved(ratio: float) -> dict[str, float]:
            return stds | {name: stds[name] * ratio for name in ("weight_std", "effect_std")}

        size = float(np.hypot(stds["weight_std"] / unit, stds["effect_std"]))
        _take(moved, size / UTILITY_STD_GUESS, UTILITY_STD_SPREAD, reach, MOST_UTILITY_STD / size)

    def search_own_share(reach: float = LOG_STD_REACH) -> None:
        """Set how much of the utility is the melodies' own to the best, its size held."""
        size = np.hypot(stds["weight_std"] / unit, stds["effect_std"])
        now = stds["effect_std"] * unit / stds["weight_std"]

        def moved(ratio: float) -> dict[str, float]:
            weight_std = size / np.hypot(1.0, now * ratio)
            return stds | {"weight_std": weight_std * unit, "effect_std": now * ratio * weight_std}

        _take(moved, now / OWN_RATIO_GUESS, OWN_RATIO_SPREAD, reach)

    def _take(
        moved: Callable[[float], dict[str, float]],
        off: float,
        spread: float,
        reach: float,
        most: float = np.inf,
    ) -> None:
        ratio = _best_ratio(lambda ratio: log_evidence(moved(ratio)), off, spread, reach, most)
        stds.update(moved(ratio))

    both = weight_std is None and melody_std is None
    if freedom is not None:
        # How much no feature explains must be known before which of them matter.
        if both:
            search_size()
            search_own_share()
        elif melody_std is None:
            search("effect_std", OWN_RATIO_GUESS * std_guess / unit, OWN_RATIO_SPREAD)
        prior_F = _student_shape(by_rater, prior_F, freedom, stds["weight_std"], stds["effect_std"])
    reach = LOG_STD_REACH if freedom is None else LOG_STD_AGAIN
    for _ in range((weight_std is None) + (deviation_std is None and raters > 1)):
        # By turns, twice if both are free: they are nearly independent.
        if both:
            search_size(reach)
        elif weight_std is None:
            search("weight_std", UTILITY_STD_GUESS * unit, UTILITY_STD_SPREAD)
        if deviation_std is None and raters > 1:
            search("deviation_std", DEVIATION_STD_GUESS * unit, DEVIATION_STD_SPREAD)
    if both:
        search_own_share(reach)
    elif melody_std is None:
        guess = OWN_RATIO_GUESS * stds["weight_std"] / unit
        search("effect_std", guess, OWN_RATIO_SPREAD, reach)
    prior = Prior.of(prior_F, **stds)
    if point is None:
        point = Point.start(by_rater, prior)
        if near is not None and raters == 1:
            at_G = np.array([*near.weights_F, near.side, near.log_tie])
            point = replace(point, group_G=at_G)
    point, value, curvature = find_mode(by_rater, prior, point)
    group, each = _gaussians(point, curvature, by_rater, scales, stds["effect_std"])
    return Fit(
        group=group,
        raters=each or (group,) * raters,
        log_evidence=value,
        weight_std=stds["weight_std"],
        deviation_std=stds["deviation_std"],
        shape_F=prior_F,
        melody_std=stds["effect_std"],
        heard=heard_melodies(by_rater, left, right, item_M, prior, point, curvature),
    )


def _normal(shape_F: np.ndarray) -> np.ndarray:
    """Of mean square 1."""
    return shape_F / np.sqrt(np.mean(np.square(shape_F))) if len(shape_F) else shape_F


def _student_shape(
    by_rater: Sequence[RaterVotes],
    prior_F: np.ndarray,
    freedom: float,
    weight_std: float,
    melody_std: float,
) -> np.ndarray:
    """Standard deviations of the Gaussians that stand for Student's t; (F,), of mean square 1.

    EM: a weight of posterior second moment m² has the expected precision (ν + 1) / (ν s² + m²),
    and s² is what makes these precisions fit the moments.
    """
    variance_F, common = np.square(weight_std * prior_F), weight_std**2
    point = Point.start(by_rater, Prior.of(prior_F, weight_std, 0.0, melody_std))
    for _ in range(EM_STEPS):
        prior = Prior.of(np.sqrt(variance_F), 1.0, 0.0, melody_std)
        point, _, curvature = find_mode(by_rater, prior, point, SEARCH_NATS)
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


def _best_ratio(
    log_evidence: Callable[[float], float], off: float, spread: float, reach: float, most: float
) -> float:
    """The factor, at most e^reach either way and `most`, of most evidence × log-normal prior.

    `off` is how many times the prior's median the scale is now, at a factor of 1.
    """

    def loss(log_ratio: float) -> float:
        away = (log_ratio + np.log(off)) / spread
        return 0.5 * away**2 - log_evidence(float(np.exp(log_ratio)))

    high = min(reach, float(np.log(most)))
    bounds, tolerance = (min(-reach, high - reach), high), {"xatol": STD_TOLERANCE}
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options=tolerance)
    return float(np.exp(found.x))


def _gaussians(
    point: Point,
    curvature: Curvature,
    by_rater: Sequence[RaterVotes],
    scales: RaterScales | None,
    melody_std: float,
) -> tuple[Gaussian, tuple[Gaussian, ...]]:
    """The group's posterior and each rater's (scaled group and deviation together)."""
    common_cov = np.linalg.inv(curvature.schur_GG)
    common_F = point.group_G[:-2]
    # A scale of std s adds s² E[w wᵀ] to the covariance of scale · w.
    moment_FF = np.outer(common_F, common_F) + common_cov[:-2, :-2]

    def gaussian(
        params: np.ndarray, cov: np.ndarray, scale: float, scale_std: float, listens: float = 1.0
    ) -> Gaussian:
        return Gaussian(
            weights_F=params[:-2],
            covariance_FF=(cov[:-2, :-2] + cov[:-2, :-2].T) / 2 + scale_std**2 * moment_FF,
            side=float(params[-2]),
            side_std=float(np.sqrt(cov[-2, -2])),
            log_tie=float(params[-1]),
            scale=scale,
            scale_std=scale_std,
            listens=listens,
            melody_std=melody_std * float(np.hypot(scale, scale_std)),
        )

    if scales is None:
        return gaussian(point.group_G, common_cov, 1.0, 0.0), ()
    each = []
    for rater, (cross, own) in enumerate(zip(curvature.cross, curvature.own, strict=True)):
        votes, inverse = by_rater[rater], np.linalg.inv(own)
        # Where what is shared moves, the deviation moves by -inverse @ cross.T times as much.
        lever_GT = -inverse @ cross.T
        lever_GT[:, len(point.effect_M) :] += np.diag(votes.scaling_G)
        cov = curvature.shared_covariance(lever_GT) + inverse
        params = point.params(rater, votes)
        doubt, listens = float(scales.std_R[rater]), float(scales.listens_R[rater])
        each.append(gaussian(params, cov, votes.scale, doubt, listens))
    mean, std = scales.of_all
    lever_G = np.append(np.full(len(common_F), mean), [1.0, 1.0])
    group_cov = np.outer(lever_G, lever_G) * common_cov
    return gaussian(lever_G * point.group_G, group_cov, mean, std), tuple(each)
