"""A melody's own effect: what is liked in it that no feature tells, the same in each vote on it.

Votes on one melody share it, so they are not independent given the features. Without it a fit takes
ten votes on one melody for ten pieces of evidence about its features, and becomes too sure
(docs/log.md has what that cost on real judgements). The effect is the group's: raters follow it
with their scale, as they follow the weights. It is a random intercept with one variance for all
melodies (Gelman and Hill 2007, chapter 14), found by evidence in `reward.profile.bradley_terry`.

A melody that is heard in one vote only adds variance to that vote's gap; one that is heard more
often has a column. What has been learnt of heard melodies helps to choose the next pair
(`reward.pairs`), and is in no score: a score is of the features alone, for a melody that is yet to
be written has no known effect.

Letters: N comparisons, F features, M melodies heard more than once, K melodies heard at all,
B melodies of a pool, G = F + 2 parameters (weights, side, log ν).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reward.profile.davidson import RaterVotes, gap_derivatives, gaps
from reward.profile.effect_matrices import EffectsDesign
from reward.profile.laplace import Curvature, Point, Prior


@dataclass(frozen=True, slots=True, eq=False)
class HeardMelodies:
    """Posterior of heard melodies' effects, given the weights: Gaussian, its mean linear in them.

    E[effect | weights w] = mean + lever · (w - posterior mean of w).
    """

    item_K: np.ndarray
    """int64, row of the item; increasing"""
    mean_K: np.ndarray
    """in log-odds"""
    lever_KF: np.ndarray
    """a heard melody's utility is partly known, so where its features are worth more its effect is
    worth less"""
    variance_K: np.ndarray
    """given the weights"""

    @classmethod
    def none(cls, features: int) -> HeardMelodies:
        """No melody was heard."""
        nothing = np.zeros(0)
        return cls(np.zeros(0, np.int64), nothing, np.zeros((0, features)), nothing)


def with_effects(
    by_rater: Sequence[RaterVotes], left: Sequence[np.ndarray], right: Sequence[np.ndarray]
) -> tuple[list[RaterVotes], np.ndarray]:
    """The votes with their melodies' columns, and the item of each column (M,).

    Args:
        by_rater: each rater's votes.
        left: for each rater the items on the left, int64 (N,).
        right: the same on the right.
    """
    items = np.concatenate([*left, *right]).astype(np.int64)
    times = np.bincount(items)
    item_M = np.flatnonzero(times > 1)
    column_of = np.full(len(times), -1)
    column_of[item_M] = np.arange(len(item_M))
    found = []
    for votes, one_N, other_N in zip(by_rater, left, right, strict=True):
        columns_2N = column_of[np.stack([one_N, other_N]).astype(np.int64)]
        found.append(
            replace(votes, effects=EffectsDesign.of(columns_2N[0], columns_2N[1], len(item_M)))
        )
    return found, item_M


def heard_melodies(
    by_rater: Sequence[RaterVotes],
    left: Sequence[np.ndarray],
    right: Sequence[np.ndarray],
    item_M: np.ndarray,
    prior: Prior,
    point: Point,
    curvature: Curvature,
) -> HeardMelodies:
    """What the posterior says of the melodies that were heard."""
    if not prior.effect_std:
        return HeardMelodies.none(len(point.group_G) - 2)
    lever_MF = curvature.lever_MG[:, :-2]
    items, means = [item_M], [point.effect_M]
    levers, variances = [lever_MF], [curvature.effects.variance_M]
    known = np.zeros(1 + max((int(x.max(initial=-1)) for x in (*left, *right)), default=-1), bool)
    known[item_M] = True
    for rater, votes in enumerate(by_rater):
        assert votes.effects is not None
        params_G = point.params(rater, votes)
        gap_N = gaps(votes, params_G) + point.beyond(rater, votes)
        curved_N = gap_derivatives(votes, gap_N, float(params_G[-1])).gap_gap_N
        damped_N = curved_N / (1 + curved_N * prior.once_variance(votes))
        along_NF = votes.difference_NF + votes.effects.rows_NM @ lever_MF
        # An effect's covariance with the gap is scale · variance, with a sign for the side.
        pull = votes.scale * prior.effect_std**2
        for sign, item_N in ((1.0, left[rater]), (-1.0, right[rater])):
            once = ~known[item_N]
            items.append(item_N[once])
            share_N = sign / (votes.scale * votes.effects.once_N[once]) if votes.scale else 0.0
            means.append(share_N * point.once[rater][once])
            levers.append(-sign * votes.scale * pull * damped_N[once, None] * along_NF[once])
            variances.append(prior.effect_std**2 - pull**2 * damped_N[once])
    item_K = np.concatenate(items).astype(np.int64)
    order = np.argsort(item_K)
    return HeardMelodies(
        item_K[order],
        np.concatenate(means)[order],
        np.concatenate(levers)[order],
        np.concatenate(variances)[order],
    )
