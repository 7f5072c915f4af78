"""Posterior of a group's taste and of its raters' deviations from it: a mode and its curvature.

    gap_n = (scale_r w + δ_r)·d_n + side + side_r + scale_r (e_left - e_right)

d_n is the left item's features minus the right one's, r the rater, e_m what the group likes in
melody m beyond its features, ~ N(0, `effect_std`²); `reward.profile.davidson` turns gaps into
probabilities. w, side and log ν are the group's, δ_r, side_r and log ν_r the raters' own, all with
Gaussian priors; scales are given. The posterior is log-concave, so Newton's method finds its one
mode.

Newton's step is found from the inside out, by Schur complements: what acts on one vote only
(melodies heard once) is eliminated vote by vote, raters' own parameters rater by rater, then the
effects of melodies heard more than once, all of them together. What is left is one small matrix for
the group.

Letters: N comparisons, F features, R raters, M melodies heard more than once, G = F + 2 parameters
(weights, side, log ν); each rater's own are G too. T = M + G are shared by all raters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csc_array, diags_array

from reward.profile.davidson import (
    GapDerivatives,
    RaterVotes,
    add_reasons,
    gap_derivatives,
    gaps,
    log_likelihood,
)
from reward.profile.effect_matrices import EffectsPrecision

SIDE_STD = 0.5
"""prior of the side bias, in log-odds: most people lean less than 62 : 38"""
LOG_TIE_MEAN, LOG_TIE_STD = -1.0, 2.0
"""prior of log ν: some 15 % of ties between equals; 2 % and 90 % are not ruled out"""
OWN_SIDE_STD, OWN_LOG_TIE_STD = 0.5, 1.0
"""how much raters differ in side bias and in log ν"""
CONVERGED_NATS, SEARCH_NATS = 1e-7, 1e-3
"""twice what a last step would gain: of a fit, and while prior scales are searched"""
NEWTON_STEPS = 100


@dataclass(frozen=True, slots=True)
class Prior:
    """Means and precisions of the Gaussian priors."""

    mean_G: np.ndarray
    group_G: np.ndarray
    own_G: np.ndarray | None
    """None where raters have no parameters of their own"""
    effect_std: float = 0.0
    """of a melody's effect, in log-odds; 0 where melodies have none"""

    @classmethod
    def of(
        cls, shape_F: np.ndarray, weight_std: float, deviation_std: float, effect_std: float = 0.0
    ) -> Prior:
        """Weights of std `weight_std` times their shape, deviations (none for 0) of one std."""

        def precision(std_F: np.ndarray, side_std: float, log_tie_std: float) -> np.ndarray:
            return np.array([*std_F, side_std, log_tie_std]) ** -2.0

        mean_G = np.zeros(len(shape_F) + 2)
        mean_G[-1] = LOG_TIE_MEAN
        own = None
        if deviation_std:
            own = precision(deviation_std * np.ones(len(shape_F)), OWN_SIDE_STD, OWN_LOG_TIE_STD)
        group = precision(weight_std * shape_F, SIDE_STD, LOG_TIE_STD)
        return cls(mean_G, group, own, effect_std)

    def once_variance(self, votes: RaterVotes) -> np.ndarray | float:
        """Variance that melodies heard once add to each gap; (N,), or 0 without effects."""
        if votes.effects is None:
            return 0.0
        return (votes.scale * self.effect_std) ** 2 * votes.effects.once_N


@dataclass(frozen=True, slots=True)
class Point:
    """Parameters, and whether raters and melodies have their own."""

    group_G: np.ndarray
    own_RG: np.ndarray
    """(0, G) where raters have none"""
    effect_M: np.ndarray
    """of melodies heard more than once; (0,) where melodies have none"""
    once: tuple[np.ndarray, ...]
    """for each rater what melodies heard once add to each gap, (N,); empty where they have none"""

    @classmethod
    def start(cls, by_rater: Sequence[RaterVotes], prior: Prior) -> Point:
        """The priors' means."""
        own = 0 if prior.own_G is None else len(by_rater)
        effects: tuple[np.ndarray, tuple[np.ndarray, ...]] = (np.zeros(0), ())
        if prior.effect_std:
            first = by_rater[0].effects
            assert first is not None  # with `effect_std` the votes name their melodies
            once = tuple(np.zeros(len(votes.outcome_N)) for votes in by_rater)
            effects = np.zeros(first.melodies), once
        return cls(prior.mean_G, np.zeros((own, len(prior.mean_G))), *effects)

    def params(self, rater: int, votes: RaterVotes) -> np.ndarray:
        """What acts on one rater; (G,)."""
        shared = votes.scaling_G * self.group_G
        return shared + self.own_RG[rater] if len(self.own_RG) else shared

    def beyond(self, rater: int, votes: RaterVotes) -> np.ndarray | float:
        """What melodies' effects add to one rater's gaps; (N,), or 0 where they have none."""
        if not self.once or votes.effects is None:
            return 0.0
        return votes.scale * (votes.effects.rows_NM @ self.effect_M) + self.once[rater]

    def moved(self, step: Point, length: float) -> Point:
        """The point at so many steps from here."""
        once = (own_N + length * step_N for own_N, step_N in zip(self.once, step.once, strict=True))
        return Point(
            self.group_G + length * step.group_G,
            self.own_RG + length * step.own_RG,
            self.effect_M + length * step.effect_M,
            tuple(once),
        )


@dataclass(frozen=True, slots=True)
class Curvature:
    """Newton's step and the Hessian of minus the log posterior, eliminated from the inside out."""

    step: Point
    """Newton's"""
    decrement: float
    """nats that the step gains, twice"""
    effects: EffectsPrecision
    """of melodies heard more than once; what acts on votes and raters alone integrated out"""
    lever_MG: np.ndarray
    """how far the effects' mean moves with the group's parameters"""
    schur_GG: np.ndarray
    """precision of the group's parameters, all others integrated out"""
    cross: list[np.ndarray]
    """(T, G) a rater: shared × own, effects first"""
    own: list[np.ndarray]
    """(G, G) a rater: own × own"""
    log_determinant: float
    """of the Hessian times the prior variance of what acts on single votes"""

    def shared_covariance(self, lever_GT: np.ndarray) -> np.ndarray:
        """Covariance (G, G) of a linear map of the shared parameters, effects first."""
        effects = self.effects.size
        effect_GM, group_GG = lever_GT[:, :effects], lever_GT[:, effects:]
        through_GG = group_GG + effect_GM @ self.lever_MG
        within_GG = effect_GM @ self.effects.solve(effect_GM.T)
        return through_GG @ np.linalg.solve(self.schur_GG, through_GG.T) + within_GG


def find_mode(
    by_rater: Sequence[RaterVotes],
    prior: Prior,
    start: Point,
    converged_nats: float = CONVERGED_NATS,
) -> tuple[Point, float, Curvature]:
    """The mode, the log evidence and the curvature there: Newton's method with step halving."""
    point, loss = start, _loss(by_rater, prior, start)
    curvature = _curvature(by_rater, prior, point)
    for _ in range(NEWTON_STEPS):
        if curvature.decrement < converged_nats:
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
    if prior.effect_std:
        volume -= 2 * len(point.effect_M) * np.log(prior.effect_std)
    return point, float(-loss + 0.5 * (volume + curvature.decrement)), curvature


def _loss(by_rater: Sequence[RaterVotes], prior: Prior, point: Point) -> float:
    """Minus the log posterior, without the constants of the priors."""
    total = 0.5 * prior.group_G @ (point.group_G - prior.mean_G) ** 2
    if prior.own_G is not None:
        total += 0.5 * (point.own_RG**2 @ prior.own_G).sum()
    if prior.effect_std:
        total += 0.5 * (point.effect_M @ point.effect_M) / prior.effect_std**2
        for votes, once_N in zip(by_rater, point.once, strict=True):
            variance_N = np.broadcast_to(prior.once_variance(votes), once_N.shape)
            free_N = variance_N > 0
            total += 0.5 * (once_N[free_N] ** 2 / variance_N[free_N]).sum()
    likelihood = sum(
        log_likelihood(votes, point.params(r, votes), point.beyond(r, votes))
        for r, votes in enumerate(by_rater)
    )
    return float(total - likelihood)


@dataclass(frozen=True, slots=True)
class _Once:
    """What melodies heard once add to a rater's gaps, eliminated vote by vote."""

    variance_N: np.ndarray
    value_N: np.ndarray
    raw: GapDerivatives

    @property
    def _damping_N(self) -> np.ndarray:
        return 1 / (1 + self.raw.gap_gap_N * self.variance_N)

    @property
    def left_over(self) -> GapDerivatives:
        """Derivatives by what else makes the gap."""
        raw, damping_N = self.raw, self._damping_N
        pull_N = damping_N * (self.variance_N * raw.gap_N + self.value_N)
        return GapDerivatives(
            gap_N=raw.gap_N - raw.gap_gap_N * pull_N,
            tie_N=raw.tie_N - raw.gap_tie_N * pull_N,
            gap_gap_N=raw.gap_gap_N * damping_N,
            gap_tie_N=raw.gap_tie_N * damping_N,
            tie_tie_N=raw.tie_tie_N - raw.gap_tie_N**2 * self.variance_N * damping_N,
        )

    @property
    def decrement(self) -> float:
        free_N = self.variance_N > 0
        slope_N = (self.variance_N * self.raw.gap_N + self.value_N)[free_N]
        return float((slope_N**2 * self._damping_N[free_N] / self.variance_N[free_N]).sum())

    @property
    def log_determinant(self) -> float:
        return -float(np.log(self._damping_N).sum())

    def step(self, gap_step_N: np.ndarray, log_tie_step: float) -> np.ndarray:
        """Newton's, once it is known how far the rest goes; (N,)."""
        raw = self.raw
        slope_N = raw.gap_N + raw.gap_gap_N * gap_step_N + raw.gap_tie_N * log_tie_step
        return -self._damping_N * (self.variance_N * slope_N + self.value_N)


def _curvature(by_rater: Sequence[RaterVotes], prior: Prior, point: Point) -> Curvature:
    """Newton's step and the Hessian: votes' own, then raters' own, then effects eliminated."""
    effects, log_determinant, decrement = len(point.effect_M), 0.0, 0.0
    gradient_T = np.append(np.zeros(effects), prior.group_G * (point.group_G - prior.mean_G))
    group_GG = np.diag(prior.group_G)
    cross_MG = np.zeros((effects, len(group_GG)))
    effect_MM = csc_array((effects, effects))
    own_MM = np.zeros((effects, effects) if prior.own_G is not None else (0, 0))
    if effects:
        gradient_T[:effects] = point.effect_M / prior.effect_std**2
        effect_MM = csc_array(diags_array(np.full(effects, prior.effect_std**-2.0)))
    own_gradients, crosses, owns, factors, onces = [], [], [], [], []
    for rater, votes in enumerate(by_rater):
        params_G = point.params(rater, votes)
        gap_N = gaps(votes, params_G) + point.beyond(rater, votes)
        derivatives = gap_derivatives(votes, gap_N, float(params_G[-1]))
        if point.once:
            variance_N = np.broadcast_to(prior.once_variance(votes), gap_N.shape)
            onces.append(_Once(variance_N, point.once[rater], derivatives))
            decrement += onces[-1].decrement
            log_determinant += onces[-1].log_determinant
            derivatives = onces[-1].left_over
        gradient_G, curved_NG, hessian_GG = derivatives.on(votes.difference_NF)
        add_reasons(votes, params_G, gradient_G, hessian_GG)
        scaling_G = votes.scaling_G
        gradient_T[effects:] += scaling_G * gradient_G
        group_GG += np.outer(scaling_G, scaling_G) * hessian_GG
        own_MG = cross_MG[:0]
        if effects and votes.effects is not None:
            own_MG = np.asarray(votes.effects.columns_MN @ curved_NG) * votes.scale
            cross_MG += own_MG * scaling_G
            gradient_T[:effects] += votes.scale * (votes.effects.columns_MN @ derivatives.gap_N)
            effect_MM = effect_MM + votes.effects.gram(votes.scale**2 * derivatives.gap_gap_N)
        if prior.own_G is not None:
            own_gradients.append(gradient_G + prior.own_G * point.own_RG[rater])
            crosses.append(np.vstack([own_MG, scaling_G[:, None] * hessian_GG]))
            owns.append(hessian_GG + np.diag(prior.own_G))
            factors.append(cho_factor(owns[-1], lower=True))
            solved_GT = cho_solve(factors[-1], crosses[-1].T)
            gradient_T -= own_gradients[-1] @ solved_GT
            group_GG -= crosses[-1][effects:] @ solved_GT[:, effects:]
            cross_MG -= own_MG @ solved_GT[:, effects:]
            heard = np.flatnonzero(own_MG.any(axis=1))
            if len(heard):
                own_MM[np.ix_(heard, heard)] += own_MG[heard] @ solved_GT[:, heard]
            decrement += float(own_gradients[-1] @ cho_solve(factors[-1], own_gradients[-1]))
    # Raters' own parameters, eliminated, fill the precision of the effects.
    filled_MM = effect_MM if prior.own_G is None else effect_MM.toarray() - own_MM
    precision = EffectsPrecision.of(filled_MM, effects)
    lever_MG = -precision.solve(cross_MG)
    still_M = -precision.solve(gradient_T[:effects])
    schur_GG = group_GG + cross_MG.T @ lever_MG
    reduced_G = gradient_T[effects:] + cross_MG.T @ still_M
    schur_factor = cho_factor(schur_GG, lower=True)
    log_determinant += precision.log_determinant
    for triangle, _ in (schur_factor, *factors):
        log_determinant += 2 * float(np.log(np.diag(triangle)).sum())
    step_G = -cho_solve(schur_factor, reduced_G)
    step_M = still_M + lever_MG @ step_G
    step_T = np.append(step_M, step_G)
    decrement -= float(gradient_T @ step_T)
    step_RG = np.zeros_like(point.own_RG)
    for rater, factor in enumerate(factors):
        step_RG[rater] = -cho_solve(factor, own_gradients[rater] + crosses[rater].T @ step_T)
    once = []
    step = Point(step_G, step_RG, step_M, ())
    for rater, own in enumerate(onces):
        votes, params_G = by_rater[rater], step.params(rater, by_rater[rater])
        gap_step_N = gaps(votes, params_G)
        if votes.effects is not None:
            gap_step_N = gap_step_N + votes.scale * (votes.effects.rows_NM @ step_M)
        once.append(own.step(gap_step_N, float(params_G[-1])))
    step = Point(step_G, step_RG, step_M, tuple(once))
    return Curvature(step, decrement, precision, lever_MG, schur_GG, crosses, owns, log_determinant)
