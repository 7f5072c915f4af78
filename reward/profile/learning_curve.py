"""The learning curve: agreement at several numbers of votes, and what more votes are worth.

Measured: in each fold of the cross-validation a model is trained on all votes outside of the fold,
on halves of them, on quarters and so on, and tried on the fold. What it is tried on is the same at
every size, so differences between sizes are surer than the sizes themselves; the bootstrap of pairs
(as in `reward.comparisons.agreement`) keeps that, by drawing once for all sizes.

Fitted: over pairs of melodies, let the utility that was learnt and the difference that a rater
perceives be jointly Gaussian. Signs of two such numbers of correlation ρ agree on ½ + asin(ρ)/π
(Sheppard, Phil. Trans. A 192, 1899). Of the variance of what can be learnt, ridge regression on n
noisy answers recovers about n / (n + τ), so

    agreement(n) = ½ + asin( sin(π(c − ½)) · √(n / (n + τ)) ) / π

which is chance without votes, grows as √n at first, and comes to c with many. c is what this model
of this rater can reach; it is at most what the rater reaches with themselves (`Ceiling`). Both
numbers have a prior, for a hundred votes say little about two: c is flat from chance to the
ceiling, τ log-normal around what simulated listeners have (`HALF_VOTES`). The posterior is computed
on a grid, and every interval is the middle 95 % of it.

A forecast's interval holds the luck of which votes come, too (`LUCK`), so it may reach below 0.
Measured on five simulated tastes, 72 % reliable, three seeds each, 200 votes on random pairs: 60
further votes were worth 0.6 points on average and the forecasts said 0.7, 200 were worth 1.3 and
they said 1.6; either way 14 of 15 intervals held what came. `LUCK` was set on such listeners too;
`tests/reward/profile/test_learning_curve.py` repeats this on others, with made-up features.

Limits: the votes to come are taken to be like those that are there, chosen in the same way by the
same people. Agreement is with votes, noise included: for a rater who is right in 72 % of cases one
point of it is 2.3 points of agreement with what they would say without noise.

Letters: N comparisons, K sizes, G grid points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from reward.comparisons.agreement import (
    CHANCE,
    Agreement,
    AgreementError,
    Ceiling,
    agreement,
    assign_folds,
)
from reward.comparisons.intervals import Z_95, resamples
from reward.comparisons.preferences import Preferences

Predictor = Callable[[Preferences, Preferences], np.ndarray]
"""(train, test) -> for each test comparison a number (N,), positive where left is thought better"""
LEAST_TRAINED = 15
"""votes that the smallest model of a curve is trained on"""
MOST_SIZES, MOST_SUBSETS = 4, 4
"""sizes, and models of one size in one fold: more cost time and hardly narrow the intervals"""
LEAST_PAIRS = 40
"""different decided pairs from which a forecast is made"""
HALF_VOTES, HALF_VOTES_LOG_STD = 70.0, 1.0
"""median and log standard deviation of τ before any vote"""
MISFIT = 0.015
"""standard deviation of a size's agreement around the formula, from the luck of what it learnt"""
LUCK = 0.009
"""standard deviation of a gain around what is expected, were all votes new: which votes came"""
GRID_C, GRID_T = 80, 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LearningCurve:
    """Held-out agreement by how many votes were learnt from, fewest first."""

    votes_K: np.ndarray
    """votes (ties too) that the models of each size learnt from, on average"""
    agreements: tuple[Agreement, ...]
    """of each size"""
    covariance_KK: np.ndarray
    """of the sizes' agreements, by the bootstrap of pairs"""
    held_out_N: np.ndarray
    """of each comparison, what the model of the largest size predicted without having seen it"""
    total: int
    """votes (ties too) that there are"""

    @property
    def agreement(self) -> Agreement:
        """Held out, by models that learnt from all other folds: the usual cross-validation."""
        return self.agreements[-1]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with the middle 95 % of its posterior."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What more votes are worth, in agreement (0.02 is two points)."""

    more_votes: int
    gain: Estimate

    def __str__(self) -> str:
        """Such as "another 60 votes are worth about +2.1 points [+0.3, +4.2]"."""
        mean, low, high = (100 * x for x in (self.gain.mean, self.gain.low, self.gain.high))
        return (
            f"another {self.more_votes} votes are worth about {mean:+.1f} points "
            f"[{low:+.1f}, {high:+.1f}]"
        )


@dataclass(frozen=True, slots=True, eq=False)
class FittedCurve:
    """The posterior of the formula's two numbers."""

    asymptote_G: np.ndarray
    half_votes_G: np.ndarray
    mass_G: np.ndarray
    """posterior probability of each grid point; sums to 1"""
    total: int
    """votes that there are now"""

    def at(self, votes: float) -> Estimate:
        """Expected agreement of a model that learnt from so many votes."""
        return self._estimate(expected_agreement(votes, self.asymptote_G, self.half_votes_G))

    def forecast(self, more_votes: int) -> Forecast:
        """What so many further votes are worth, beyond those that there are.

        Raises:
            AgreementError: for less than one.
        """
        if more_votes < 1:
            raise AgreementError(f"more_votes={more_votes} is no vote; ask for 1 or more")
        now_G, then_G = (
            expected_agreement(votes, self.asymptote_G, self.half_votes_G)
            for votes in (self.total, self.total + more_votes)
        )
        gain = self._estimate(then_G - now_G)
        reach = Z_95 * LUCK * np.sqrt(more_votes / (self.total + more_votes))
        low, high = (
            gain.mean + side * float(np.hypot(reach, gain.mean - end))
            for side, end in ((-1, gain.low), (1, gain.high))
        )
        return Forecast(more_votes, Estimate(gain.mean, low, high))

    def _estimate(self, value_G: np.ndarray) -> Estimate:
        order = np.argsort(value_G)
        below_G = np.cumsum(self.mass_G[order]) - self.mass_G[order] / 2
        low, high = np.interp([0.025, 0.975], below_G, value_G[order])
        return Estimate(float(self.mass_G @ value_G), float(low), float(high))


def learning_curve(
    preferences: Preferences,
    predict: Predictor,
    *,
    folds: int = 5,
    draws: int = 2000,
    seed: int = 0,
) -> LearningCurve:
    """Held-out agreement with all training votes of each fold, half, a quarter, an eighth of them.

    `predict` is called up to 11 times a fold; ties may train, but do not count. The agreement of
    the largest size is that of plain cross-validation with the same folds and seed.

    Raises:
        AgreementError: when there are fewer different decided pairs than folds, or folds < 2.
    """
    fold_N = assign_folds(preferences, folds=folds, seed=seed)
    rng = np.random.default_rng([seed, 1])
    least = min(int((fold_N != held_out).sum()) for held_out in range(folds))
    halvings = [k for k in range(MOST_SIZES) if k == 0 or least >> k >= LEAST_TRAINED][::-1]
    correct_KN = np.zeros((len(halvings), len(preferences)))
    held_out_N = np.zeros(len(preferences))
    votes_K = np.zeros(len(halvings))
    for held_out in range(folds):
        train, test = np.flatnonzero(fold_N != held_out), np.flatnonzero(fold_N == held_out)
        shuffled = rng.permutation(train)
        for place, halving in enumerate(halvings):
            size = len(train) >> halving
            subsets = min(MOST_SUBSETS, 1 << halving)
            for subset in range(subsets):
                # In the order of the votes, so that the largest size is plain cross-validation.
                chosen = np.sort(shuffled[subset * size : (subset + 1) * size])
                left_N = predict(preferences[chosen], preferences[test])
                right = 0.5 + 0.5 * np.sign(left_N) * preferences.outcome[test]
                correct_KN[place, test] += right / subsets
                if halving == 0:
                    held_out_N[test] = left_N
            votes_K[place] += size / folds
    agreements, covariance_KK = _bootstrap(preferences, correct_KN, draws, seed)
    whole = agreement(preferences, held_out_N, draws=draws, seed=seed)
    return LearningCurve(
        votes_K=votes_K,
        agreements=(*agreements[:-1], whole),
        covariance_KK=covariance_KK,
        held_out_N=held_out_N,
        total=len(preferences),
    )


def expected_agreement(
    votes: float, asymptote_G: np.ndarray, half_votes_G: np.ndarray
) -> np.ndarray:
    """The formula above; `half_votes_G` is τ, the votes after which half of ρ² is reached."""
    reach_G = np.sin(np.pi * (asymptote_G - CHANCE))
    return CHANCE + np.arcsin(reach_G * np.sqrt(votes / (votes + half_votes_G))) / np.pi


def fit_curve(curve: LearningCurve, ceiling: Ceiling | None) -> FittedCurve | None:
    """Fit the formula; None when there is too little to say what more votes would bring.

    That is so with fewer than `LEAST_PAIRS` different decided pairs, with a single size, and while
    the interval of the held-out agreement still holds chance: the formula would then tell its own
    prior as if it were a finding.
    """
    if curve.agreement.pairs < LEAST_PAIRS or len(curve.votes_K) < 2:
        return None
    if curve.agreement.low <= CHANCE:
        return None
    c_C = np.linspace(CHANCE, 1.0, GRID_C + 1)[1:]
    t_T = HALF_VOTES * np.exp(HALF_VOTES_LOG_STD * np.linspace(-3, 3, GRID_T))
    c_G, t_G = (grid.ravel() for grid in np.meshgrid(c_C, t_T, indexing="ij"))
    log_mass_G = -0.5 * (np.log(t_G / HALF_VOTES) / HALF_VOTES_LOG_STD) ** 2
    log_mass_G += np.log(_allowed(c_G, ceiling))
    noise_KK = curve.covariance_KK + MISFIT**2 * np.eye(len(curve.votes_K))
    measured_K = np.array([each.share for each in curve.agreements])
    expected_KG = np.array([expected_agreement(votes, c_G, t_G) for votes in curve.votes_K])
    gap_KG = measured_K[:, None] - expected_KG
    log_mass_G -= 0.5 * np.einsum("kg,kg->g", gap_KG, np.linalg.solve(noise_KK, gap_KG))
    mass_G = np.exp(log_mass_G - log_mass_G.max())
    return FittedCurve(c_G, t_G, mass_G / mass_G.sum(), curve.total)


def _allowed(asymptote_G: np.ndarray, ceiling: Ceiling | None) -> np.ndarray:
    """Probability that the ceiling is not below the asymptote.

    A rater who can be predicted in a share c of cases agrees with themselves in at least
    c² + (1 − c)², and the posterior of that share is Beta, flat before any repeat.
    """
    repeats = ceiling.self_agreement.pairs if ceiling else 0
    agreed = ceiling.self_agreement.share * repeats if ceiling else 0.0
    needed_G = asymptote_G**2 + (1 - asymptote_G) ** 2
    return np.maximum(beta.sf(needed_G, 1 + agreed, 1 + repeats - agreed), 1e-12)


def _bootstrap(
    preferences: Preferences, correct_KN: np.ndarray, draws: int, seed: int
) -> tuple[list[Agreement], np.ndarray]:
    """Agreement of each size, and their covariance, over draws of pairs that all sizes share."""
    decided = preferences.decided
    weight = preferences.weight[decided]
    pair = np.unique(preferences.pair[decided], return_inverse=True)[1].reshape(-1)
    total_U = np.bincount(pair, weight)
    right_KU = np.array([np.bincount(pair, weight * row[decided]) for row in correct_KN])
    times_DU = resamples(len(total_U), draws, seed)
    share_KD = (right_KU @ times_DU.T) / (times_DU @ total_U)
    lows, highs = np.quantile(share_KD, [0.025, 0.975], axis=1)
    shares = right_KU.sum(axis=1) / total_U.sum()
    agreements = [
        Agreement(
            share=float(share), low=float(low), high=float(high), votes=len(weight),
            pairs=len(total_U),
        )
        for share, low, high in zip(shares, lows, highs, strict=True)
    ]  # fmt: skip
    return agreements, np.atleast_2d(np.cov(share_KD))
