r"""Bayesian Bradley-Terry-Davidson regression: weights of features from comparisons, with their doubt.

    gap_n    = (w + δ_r + s_r w̄)·d_n + side + side_r           log-odds of left over right
    P(left)  = exp(gap/2) / Z      P(right) = exp(-gap/2) / Z      P(tie) = ν / Z

where d_n is the left item's features minus the right one's, r the rater, and Z the sum of the three.
That is Davidson's tie model (JASA 65, 1970) with α = exp(utility) and a multiplicative order effect
(Davidson & Beaver 1977; Firth et al. 2019, arXiv:1909.07123). Without ties it is Bradley-Terry.

Everything has a Gaussian prior. With several raters each has its own deviations δ_r, side_r and log ν_r
around the group's, and a scale 1 + s_r along the pooled taste w̄: a reliable rater follows it strongly, a
careless one weakly (partial pooling). With one rater there are only the group's. How large the weights and
the deviations are is chosen by the Laplace approximation of the evidence (MacKay 1992, Neural Computation
4:415), under weak log-normal priors that decide while there is nothing to go by.

w̄ is plugged in from a fit that pools all votes: a free product scale_r · w has a ridge (smaller weights,
larger scales) on which the mode runs away; with w̄ fixed the gap is linear, so the posterior is
log-concave, Newton's curvature is exact, and the Laplace posterior is Gaussian around the one mode. The
Hessian is an arrow (group × raters), solved by Schur complement: R raters cost R small solves.

Letters: N comparisons, F features, R raters, G = F + 2 group parameters (weights, side, log ν),
O = G + 1 own parameters of a rater (deviations of the same, and s_r).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

SIDE_STD = 0.5
"""prior of the side bias, in log-odds: most people lean less than 62 : 38"""
LOG_TIE_MEAN, LOG_TIE_STD = -1.0, 2.0
"""prior of log ν: some 15 % of ties between equals, with 2 % and 90 % not ruled out"""
OWN_SIDE_STD, OWN_LOG_TIE_STD = 0.5, 1.0
"""how much raters differ in side bias and in log ν"""
OWN_SCALE_STD = 0.5
"""how much raters differ in reliability: two in three follow w̄ 0.5 to 1.5 times as strongly as the group"""
UTILITY_STD_GUESS, UTILITY_STD_SPREAD = 1.0, 1.0
"""log-normal prior of the utility's standard deviation in log-odds; a 72 %-reliable listener has 0.9"""
DEVIATION_STD_GUESS, DEVIATION_STD_SPREAD = 0.5, 1.0
"""log-normal prior of the raters' deviations, the same way"""
STD_MIN, STD_MAX = 0.02, 30.0


class FitError(ValueError):
    """A fit that cannot be done; the message gives the value, the rule and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaussian:
    """Posterior of one taste: weights, and the nuisances at their mode."""

    weights_F: np.ndarray
    """mean, in log-odds per unit of a feature"""
    covariance_FF: np.ndarray
    side: float
    """log-odds that being on the left adds"""
    side_std: float
    log_tie: float
    """log ν"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What the comparisons say."""

    group: Gaussian
    raters: tuple[Gaussian, ...]
    """one for each rater; the group's own when there is one rater"""
    log_evidence: float
    """Laplace approximation of log P(outcomes), in nats, at the chosen prior"""
    weight_std: float
    """prior standard deviation of every weight, chosen by evidence"""
    deviation_std: float
    """prior standard deviation of every rater's deviations from it; 0 with one rater"""


@dataclass(slots=True)
class _Mode:
    """Where Newton stopped, and the curvature there."""

    group_G: np.ndarray
    own_RO: np.ndarray
    schur_GG: np.ndarray
    cross_RGO: np.ndarray
    own_curvature_ROO: np.ndarray
    log_evidence: float


@dataclass(frozen=True, slots=True)
class _Votes:
    """One rater's comparisons."""

    difference_NF: np.ndarray
    pooled_N: np.ndarray
    """w̄·d, the gap by the pooled taste"""
    outcome_N: np.ndarray
    weight_N: np.ndarray


def outcome_log_probabilities(gap_N: np.ndarray, log_tie: np.ndarray | float) -> np.ndarray:
    """log P(left), log P(tie), log P(right); shape (3, N)."""
    logits = np.stack(np.broadcast_arrays(gap_N / 2, log_tie, -gap_N / 2))
    return logits - logsumexp(logits, axis=0)


def fit_bradley_terry(
    difference_NF: np.ndarray,
    outcome_N: np.ndarray,
    *,
    weight_N: np.ndarray | None = None,
    rater_N: np.ndarray | None = None,
    raters: int = 1,
    weight_std: float | None = None,
    deviation_std: float | None = None,
) -> Fit:
    """Fit the model; prior scales that are not given are chosen by evidence.

    Args:
        difference_NF: features of the left item minus those of the right, standardised.
        outcome_N: +1 left, 0 tie, -1 right.
        weight_N: how many votes each counts for; 1 by default.
        rater_N: index of the rater of each, 0..raters-1; all 0 by default.
        raters: how many there are; one without votes keeps the group's taste.
        weight_std: prior standard deviation of a weight, in log-odds per unit of a feature.
        deviation_std: the same for a rater's deviation from the group.

    Raises:
        FitError: for numbers that are not finite.
    """
    count, features = difference_NF.shape
    if not np.isfinite(difference_NF).all():
        row, column = np.argwhere(~np.isfinite(difference_NF))[0]
        raise FitError(
            f"feature {column} of comparison {row} is {difference_NF[row, column]}; features are finite "
            "numbers, so mend or drop that feature"
        )
    weight_N = np.ones(count) if weight_N is None else weight_N
    rater_N = np.zeros(count, np.int64) if rater_N is None else rater_N
    pooled_F = np.zeros(features)
    if raters > 1:
        pooled_F = fit_bradley_terry(
            difference_NF, outcome_N, weight_N=weight_N, weight_std=weight_std
        ).group.weights_F
    pooled_N = difference_NF @ pooled_F
    by_rater = [
        _Votes(difference_NF[own], pooled_N[own], outcome_N[own], weight_N[own])
        for own in (rater_N == r for r in range(raters))
    ]
    # A utility that sums F features of variance 1 has a variance of F times a weight's.
    unit = 1.0 / np.sqrt(max(1, np.count_nonzero(difference_NF.any(axis=0)) or features))
    start: _Mode | None = None

    def mode_at(scale: float, deviation: float) -> _Mode:
        nonlocal start
        start = _find_mode(by_rater, features, scale, deviation, start)
        return start

    scale, deviation = weight_std, deviation_std
    rounds = 1 if raters == 1 or scale is not None or deviation is not None else 3
    scale_now = scale or UTILITY_STD_GUESS * unit
    deviation_now = 0.0 if raters == 1 else deviation or DEVIATION_STD_GUESS * unit
    for _ in range(rounds):  # by turns: the two scales are nearly independent
        if scale is None:
            scale_now = unit * _best_std(
                lambda std: mode_at(std * unit, deviation_now).log_evidence,  # noqa: B023  used at once
                UTILITY_STD_GUESS,
                UTILITY_STD_SPREAD,
            )
        if deviation is None and raters > 1:
            deviation_now = unit * _best_std(
                lambda std: mode_at(scale_now, std * unit).log_evidence,  # noqa: B023  used at once
                DEVIATION_STD_GUESS,
                DEVIATION_STD_SPREAD,
            )
    mode = mode_at(scale_now, deviation_now)
    group, each = _gaussians(mode, pooled_F)
    return Fit(
        group=group,
        raters=each or (group,) * raters,
        log_evidence=mode.log_evidence,
        weight_std=float(scale_now),
        deviation_std=float(deviation_now),
    )


def _best_std(log_evidence: Callable[[float], float], guess: float, spread: float) -> float:
    """The standard deviation of most evidence times its log-normal prior."""

    def loss(log_std: float) -> float:
        away = (log_std - np.log(guess)) / spread
        return 0.5 * away**2 - log_evidence(float(np.exp(log_std)))

    found = minimize_scalar(
        loss, bounds=(np.log(STD_MIN), np.log(STD_MAX)), method="bounded", options={"xatol": 0.03}
    )
    return float(np.exp(found.x))


def _priors(
    features: int, weight_std: float, deviation_std: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prior mean and precisions: group mean (G,), group (G,), own (O,)."""
    mean_G = np.zeros(features + 2)
    mean_G[-1] = LOG_TIE_MEAN
    group = np.concatenate([np.full(features, weight_std), [SIDE_STD, LOG_TIE_STD]])
    own = np.concatenate(
        [np.full(features, deviation_std or 1.0), [OWN_SIDE_STD, OWN_LOG_TIE_STD, OWN_SCALE_STD]]
    )
    return mean_G, group**-2, own**-2


def _objective(
    by_rater: Sequence[_Votes],
    group_G: np.ndarray,
    own_RO: np.ndarray,
    priors: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> float:
    """Minus the log posterior, without the constants of the priors."""
    mean_G, group_precision, own_precision = priors
    total = 0.5 * group_precision @ (group_G - mean_G) ** 2
    for rater, votes in enumerate(by_rater):
        own = own_RO[rater] if len(own_RO) else None
        gap, log_tie = _gap(votes, group_G, own)
        log_p = outcome_log_probabilities(gap, log_tie)
        total -= votes.weight_N @ log_p[1 - votes.outcome_N, np.arange(len(gap))]
    return float(total + 0.5 * (own_RO**2 @ own_precision).sum())


def _gap(
    votes: _Votes, group_G: np.ndarray, own_O: np.ndarray | None
) -> tuple[np.ndarray, float]:
    """Gap (N,) and log ν of one rater."""
    features = votes.difference_NF.shape[1]
    params = group_G if own_O is None else group_G + own_O[:-1]
    gap = votes.difference_NF @ params[:features] + params[features]
    return gap if own_O is None else gap + own_O[-1] * votes.pooled_N, float(params[-1])


def _curvature(
    votes: _Votes, group_G: np.ndarray, own_O: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (O,) and curvature (O, O) of minus the log-likelihood; O is G when there are no own."""
    gap, log_tie = _gap(votes, group_G, own_O)
    left, tie, right = np.exp(outcome_log_probabilities(gap, log_tie))
    ones = np.ones((len(gap), 1))
    # d gap / d parameters; log ν is apart, for it moves another logit.
    columns = [votes.difference_NF, ones, 0 * ones]
    if own_O is not None:
        columns.append(votes.pooled_N[:, None])
    jacobian = np.hstack(columns)
    at_tie = votes.difference_NF.shape[1] + 1
    weight = votes.weight_N
    gradient = -jacobian.T @ (weight * (votes.outcome_N - left + right) / 2)
    gradient[at_tie] = -weight @ ((votes.outcome_N == 0) - tie)
    # Covariance of the multinomial's two statistics, (left - right) / 2 and tie.
    gap_gap = (left + right) / 4 - ((left - right) / 2) ** 2
    curvature = (jacobian * (weight * gap_gap)[:, None]).T @ jacobian
    gap_tie = jacobian.T @ (weight * -tie * (left - right) / 2)
    curvature[at_tie] = gap_tie
    curvature[:, at_tie] = gap_tie
    curvature[at_tie, at_tie] = weight @ (tie * (1 - tie))
    return gradient, curvature


def _find_mode(
    by_rater: Sequence[_Votes],
    features: int,
    weight_std: float,
    deviation_std: float,
    start: _Mode | None,
) -> _Mode:
    """Newton's method with step halving from `start` or from the prior's mean."""
    priors = _priors(features, weight_std, deviation_std)
    mean_G, group_precision, own_precision = priors
    own_count = len(by_rater) if deviation_std else 0
    group = mean_G.copy() if start is None else start.group_G
    own = np.zeros((own_count, features + 3)) if start is None else start.own_RO
    size = features + 2
    loss = _objective(by_rater, group, own, priors)
    for _ in range(100):
        gradient_G = group_precision * (group - mean_G)
        schur = np.diag(group_precision)
        gradients, crosses, curvatures, factors = [], [], [], []
        for rater, votes in enumerate(by_rater):
            gradient, curvature = _curvature(votes, group, own[rater] if own_count else None)
            gradient_G = gradient_G + gradient[:size]
            schur = schur + curvature[:size, :size]
            if own_count:
                gradients.append(gradient + own_precision * own[rater])
                crosses.append(curvature[:size])
                curvatures.append(curvature + np.diag(own_precision))
                factors.append(cho_factor(curvatures[-1], lower=True))
        log_determinant, reduced = 0.0, gradient_G
        for gradient, cross, factor in zip(gradients, crosses, factors, strict=True):
            schur = schur - cross @ cho_solve(factor, cross.T)
            reduced = reduced - cross @ cho_solve(factor, gradient)
            log_determinant += 2 * np.log(np.diag(factor[0])).sum()
        schur_factor = cho_factor(schur, lower=True)
        log_determinant += 2 * np.log(np.diag(schur_factor[0])).sum()
        step_G = -cho_solve(schur_factor, reduced)
        step_RO = np.array(
            [
                -cho_solve(factor, gradient + cross.T @ step_G)
                for gradient, cross, factor in zip(gradients, crosses, factors, strict=True)
            ]
        ).reshape(own.shape)
        decrement = -gradient_G @ step_G - sum(
            g @ step for g, step in zip(gradients, step_RO, strict=True)
        )
        if decrement < 1e-8:  # nats: no figure of ours shows so small a difference
            break
        length = 1.0
        while (moved := _objective(by_rater, group + length * step_G, own + length * step_RO, priors)) > (
            loss - 1e-4 * length * decrement
        ):
            length /= 2
            if length < 1e-6:
                break
        group, own, loss = group + length * step_G, own + length * step_RO, moved
    prior_determinant = np.log(group_precision).sum() + own_count * np.log(own_precision).sum()
    return _Mode(
        group,
        own,
        schur,
        np.array(crosses).reshape(own_count, size, size + 1),
        np.array(curvatures).reshape(own_count, size + 1, size + 1),
        float(-loss + 0.5 * (prior_determinant - log_determinant)),
    )


def _gaussians(mode: _Mode, pooled_F: np.ndarray) -> tuple[Gaussian, tuple[Gaussian, ...]]:
    """The group's posterior and each rater's (group, deviation and scale together)."""
    features, size = len(pooled_F), len(mode.group_G)
    group_cov = np.linalg.inv(mode.schur_GG)

    def gaussian(params: np.ndarray, cov: np.ndarray) -> Gaussian:
        return Gaussian(
            weights_F=params[:features],
            covariance_FF=(cov[:features, :features] + cov[:features, :features].T) / 2,
            side=float(params[features]),
            side_std=float(np.sqrt(cov[features, features])),
            log_tie=float(params[-1]),
        )

    to_rater = np.eye(size, size + 1)  # own parameters -> what they add to the group's
    to_rater[:features, -1] = pooled_F
    each = []
    for own, cross, curvature in zip(mode.own_RO, mode.cross_RGO, mode.own_curvature_ROO, strict=True):
        inverse = np.linalg.inv(curvature)
        # Given the group, the rater's own move by -inverse @ cross.T times what the group moves.
        lever = np.eye(size) - to_rater @ inverse @ cross.T
        cov = lever @ group_cov @ lever.T + to_rater @ inverse @ to_rater.T
        each.append(gaussian(mode.group_G + to_rater @ own, cov))
    return gaussian(mode.group_G, group_cov), tuple(each)
