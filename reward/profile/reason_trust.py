"""How far each rater's reasons can be trusted, and a fit that takes them for as much.

Some know what decided, some press any button. A rater's share t of reasons that were not named by
chance has a prior with a point mass at 0, for those whose reasons say nothing. Each reason is
judged by the posterior of everything *but itself* (one Newton step away from the mode, as in Rad
and Maleki 2020, JRSS B 82:965), averaged over what is doubted: otherwise a hundred weights would
bend towards fifty reasons until any made sense.

Reasons and weights take turns: a fit without reasons, then some at its prior with reasons as far as
they are trusted, then one that chooses its prior by votes and reasons. In that last one the weights
of a domain that turned out to matter are expected to be larger, as far as reasons are trusted.

Letters: N reasons of the same features, A alternatives, T values of t on a grid, R raters,
F features, D domains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reward.profile.rater_scales import RaterScales
from reward.profile.reason_likelihood import SHARPNESS, StatedReasons, probabilities

if TYPE_CHECKING:
    from reward.profile.bradley_terry import Fit, Gaussian

TURNS = 3
"""fits at a held prior before the last one; the trust then changes by some .01"""
SHARE_T = np.linspace(0.0, 0.95, 20)
CHANCE_PRIOR = 0.7
"""prior probability that a rater's reasons say nothing: twenty good ones are enough against it, and
with less, bad ones cost agreement (docs/log.md)"""
_MASS_T = SHARE_T**2 * (1 - SHARE_T)
PRIOR_T = np.where(SHARE_T == 0, CHANCE_PRIOR, (1 - CHANCE_PRIOR) * _MASS_T / _MASS_T.sum())
"""point mass at 0, else Beta(3, 2)"""
DRAWS = 16
"""antithetic pairs of draws from the posterior, over which predictions are averaged"""
RELEVANCE_FEATURES = 10.0
"""features' worth of doubt that domains differ in how much they matter"""
MOST_REMOVED = 0.9
"""share of a posterior's precision at most that is taken to be one reason's"""


@dataclass(frozen=True, slots=True)
class ReasonTrust:
    """What one rater's reasons are worth."""

    reasons: int
    """how many were given that speak of features"""
    share: float
    """of them that were not named by chance; posterior mean, 0 to 1, and 0 where all were more
    likely named by chance than not"""
    by_chance: float
    """posterior probability that all were"""


def reasons_in_words(trusts: Mapping[str, ReasonTrust], rater: str | None = None) -> str:
    """How many reasons, of all or of one rater, were given and how far believed; "" of none."""
    given = [trust for name, trust in trusts.items() if rater in (None, name)]
    if not given:
        return ""
    count = sum(trust.reasons for trust in given)
    believed = sum(trust.reasons * trust.share for trust in given) / count
    return f"reasons given: {count}, of which {100 * believed:.0f} % are believed"


def fit_with_reasons(
    fit: Callable[..., Fit],
    stated: Sequence[tuple[StatedReasons, ...]],
    shape_F: np.ndarray,
    domains_DF: np.ndarray,
    *,
    before: Sequence[Gaussian] | None = None,
    trusts: Sequence[ReasonTrust | None] = (),
) -> tuple[Fit, tuple[ReasonTrust | None, ...]]:
    """The fit, and what each rater's reasons are worth; None for who gave none.

    Args:
        fit: `fit_bradley_terry` with the votes; it is called with `reasons_R` and settings of the
            prior that override its own.
        stated: everyone's reasons, as `stated_reasons` has them.
        shape_F: how large each weight is expected beside the others, before any vote.
        domains_DF: bool, which features are of which domain.
        before: everyone's taste by an earlier fit of nearly the same votes; with it there is only
            one fit, with the settings that `fit` has.
        trusts: what each rater's reasons were worth in that fit.
    """
    if not any(stated):
        return fit(), (None,) * len(stated)
    if before is not None:
        known = [0.0 if trust is None else trust.share for trust in trusts]
        weighed = [
            _weigh(_all_trusted(own, share), taste)
            for own, share, taste in zip(stated, known, before, strict=True)
        ]
        return fit(reasons_R=[own for own, _ in weighed]), tuple(trust for _, trust in weighed)
    found = fit()
    scales = RaterScales.of(found.raters) if len(found.raters) > 1 else None
    reasons_R = [_all_trusted(own, 0.0) for own in stated]
    for turn in range(TURNS):
        weighed = [_weigh(own, taste) for own, taste in zip(reasons_R, found.raters, strict=True)]
        reasons_R = [own for own, _ in weighed]
        if turn == TURNS - 1:
            # What is not believed must not move the prior either.
            relevant_F = _relevance(found, shape_F, domains_DF) ** _believed(reasons_R)
            found = fit(reasons_R=reasons_R, scales=scales, shape_F=shape_F * relevant_F)
        else:
            found = fit(
                reasons_R=reasons_R,
                scales=scales,
                weight_std=found.weight_std,
                deviation_std=found.deviation_std or None,
                melody_std=found.melody_std,
                shape_F=found.shape_F,
                freedom=None,
            )
    weighed = [_weigh(own, taste) for own, taste in zip(reasons_R, found.raters, strict=True)]
    return found, tuple(trust for _, trust in weighed)


def _relevance(found: Fit, shape_F: np.ndarray, domains_DF: np.ndarray) -> np.ndarray:
    """How much larger than expected the weights of each feature's domain are; (F,)."""
    taste = found.group
    moment_F = (taste.weights_F**2 + np.diag(taste.covariance_FF)) / shape_F**2
    relevant_F, common = np.ones(len(shape_F)), float(moment_F.mean())
    for domain_F in domains_DF:
        total = RELEVANCE_FEATURES * common + moment_F[domain_F].sum()
        relevant_F[domain_F] = np.sqrt(total / (RELEVANCE_FEATURES + domain_F.sum()) / common)
    return relevant_F


def _believed(reasons_R: Sequence[Sequence[StatedReasons]]) -> float:
    """Share of all reasons that is believed, 0 to 1."""
    every = [stated for own in reasons_R for stated in own]
    count = sum(float(stated.weight_N.sum()) for stated in every)
    return sum(float(stated.weight_N @ stated.trusted_N) for stated in every) / count


def _all_trusted(stated: Sequence[StatedReasons], share: float) -> tuple[StatedReasons, ...]:
    return tuple(own.trusted(np.full(len(own.weight_N), share)) for own in stated)


def _weigh(
    stated: Sequence[StatedReasons], taste: Gaussian
) -> tuple[tuple[StatedReasons, ...], ReasonTrust | None]:
    """One rater's reasons, each as far as it is trusted, and how far all are."""
    if not stated:
        return (), None
    predicted = [_predicted(own, taste) for own in stated]
    chances = [1 / len(own.alternatives_AF) for own in stated]
    log_p_T = np.log(PRIOR_T)
    for own, named_N, chance in zip(stated, predicted, chances, strict=True):
        mixed_TN = SHARE_T[:, None] * named_N + (1 - SHARE_T[:, None]) * chance
        log_p_T = log_p_T + np.log(mixed_TN) @ own.weight_N
    posterior_T = np.exp(log_p_T - log_p_T.max())
    posterior_T /= posterior_T.sum()
    by_chance = float(posterior_T[0])
    if by_chance > 0.5:  # a little trust in what is noise costs more than it brings
        posterior_T = (SHARE_T == 0).astype(np.float64)
    weighed = []
    for own, named_N, chance in zip(stated, predicted, chances, strict=True):
        meant_TN = SHARE_T[:, None] * named_N
        meant_TN /= meant_TN + (1 - SHARE_T[:, None]) * chance
        weighed.append(own.trusted(posterior_T @ meant_TN))
    trust = ReasonTrust(
        reasons=sum(len(own.weight_N) for own in stated),
        share=float(posterior_T @ SHARE_T),
        by_chance=by_chance,
    )
    return tuple(weighed), trust


def _predicted(stated: StatedReasons, taste: Gaussian) -> np.ndarray:
    """Probability of each reason by the softmax, by the posterior without that reason; (N,)."""
    carried_NA = stated.carried(taste.weights_F)
    share_NA = probabilities(carried_NA)
    count_N = stated.weight_N * stated.trusted_N
    own_NAA = share_NA[:, :, None] * (np.eye(share_NA.shape[1]) - share_NA[:, None, :])
    own_NAA *= count_N[:, None, None]
    root_NAA = _root(_variance(stated, taste))
    removed_NA, basis_NAA = np.linalg.eigh(root_NAA @ own_NAA @ root_NAA)
    left_NA = 1 - np.clip(removed_NA, 0.0, MOST_REMOVED)
    root_NAA = root_NAA @ (basis_NAA / np.sqrt(left_NA)[:, None, :])

    named_NA = stated.named_N[:, None] == np.arange(share_NA.shape[1])
    pull_NA1 = (count_N[:, None] * (named_NA - share_NA))[:, :, None]
    away_NA1 = root_NAA @ (root_NAA.transpose(0, 2, 1) @ pull_NA1)
    draws_AK = np.random.default_rng(0).normal(size=(share_NA.shape[1], DRAWS))
    drawn_NAK = root_NAA @ np.hstack([draws_AK, -draws_AK])
    drawn_NAK += carried_NA[:, :, None] - away_NA1
    return stated.of_named(probabilities(drawn_NAK.transpose(2, 0, 1))).mean(axis=0)


def _variance(stated: StatedReasons, taste: Gaussian) -> np.ndarray:
    """Posterior covariance of what the alternatives carry (β times); (N, A, A)."""
    rows_AF, toward_NF = stated.alternatives_AF, stated.toward_NF
    found = []
    for row_F in rows_AF.astype(bool):
        across_NF = (toward_NF[:, row_F] @ taste.covariance_FF[row_F]) * toward_NF
        found.append(across_NF @ rows_AF.T)
    return SHARPNESS**2 * np.stack(found, axis=1)


def _root(variance_NAA: np.ndarray) -> np.ndarray:
    """Symmetric square roots."""
    value_NA, basis_NAA = np.linalg.eigh(variance_NAA)
    scaled_NAA = basis_NAA * np.sqrt(np.maximum(value_NA, 0.0))[:, None, :]
    return scaled_NAA @ basis_NAA.transpose(0, 2, 1)
