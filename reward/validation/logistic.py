"""Logistic regression on differences of features: the plain model to compare the profile with.

P(left is better) = 1 / (1 + exp(−w·d)), d the left melody's features minus the right one's, with a
Gaussian prior on w. The spread of the prior is the one of `UTILITY_STDS` that predicts left-out
melodies best: comparisons are divided by melody once more, inside of what is learnt from. Ties and
raters are left out.

Letters: N comparisons, F features.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit

from reward.comparisons.preferences import Preferences
from reward.validation.melody_folds import assign_melodies, melody_folds

UTILITY_STDS = (0.06, 0.12, 0.25, 0.5, 1.0, 2.0)
"""of the prior, in log-odds, were the features independent and of variance 1"""
USUAL_STD = 0.5
"""with too few comparisons to choose"""
INNER_FOLDS = 3
LEAST_INNER = 30
"""comparisons left out, in all inner folds together, from which on the spread is chosen"""
NEWTON_STEPS = 50
CONVERGED = 1e-8


def fit_logistic(
    difference_NF: np.ndarray, outcome_N: np.ndarray, weight_std: float, weight_N: np.ndarray
) -> np.ndarray:
    """Weights at the mode of the posterior, (F,), by Newton's method.

    Args:
        difference_NF: features of the left item minus those of the right.
        outcome_N: +1 left, -1 right.
        weight_std: standard deviation of the prior of each weight.
        weight_N: how many comparisons each counts for.
    """
    weights_F = np.zeros(difference_NF.shape[1])
    signed_NF = difference_NF * outcome_N[:, None]
    precision = weight_std**-2
    loss = _loss(weights_F, signed_NF, weight_N, precision)
    for _ in range(NEWTON_STEPS):
        wrong_N = expit(-signed_NF @ weights_F)
        gradient_F = precision * weights_F - (weight_N * wrong_N) @ signed_NF
        curvature_N = weight_N * wrong_N * (1 - wrong_N)
        hessian_FF = (signed_NF * curvature_N[:, None]).T @ signed_NF
        step_F = np.linalg.solve(hessian_FF + precision * np.eye(len(weights_F)), gradient_F)
        size = 1.0
        while (less := _loss(weights_F - size * step_F, signed_NF, weight_N, precision)) > loss:
            size /= 2
            if size < CONVERGED:
                return weights_F
        weights_F = weights_F - size * step_F
        if loss - less < CONVERGED * (1 + abs(loss)):
            break
        loss = less
    return weights_F


def _loss(
    weights_F: np.ndarray, signed_NF: np.ndarray, weight_N: np.ndarray, precision: float
) -> float:
    loss_N = np.logaddexp(0.0, -signed_NF @ weights_F)
    return float(weight_N @ loss_N + 0.5 * precision * weights_F @ weights_F)


def predict_logistic(
    train: Preferences,
    test: Preferences,
    features_MF: np.ndarray,
    group_M: np.ndarray,
    *,
    independent: float | None = None,
    seed: int = 0,
) -> np.ndarray:
    """P(left is better) of each comparison of `test`, (N,), learnt from the decided ones of train.

    Args:
        train: comparisons of rows of `features_MF`.
        test: the same.
        features_MF: standardised features.
        group_M: groups of melodies that are left out together.
        independent: how many features of variance 1 there are; those that vary, if None.
        seed: of the inner folds.
    """
    train = train[np.flatnonzero(train.decided)]
    difference_NF = features_MF[train.left] - features_MF[train.right]
    count = independent or max(1, np.count_nonzero(difference_NF.any(axis=0)))

    def learnt(some_N: np.ndarray, utility_std: float) -> np.ndarray:
        weight_std = utility_std / float(np.sqrt(count))
        part_NF, weight_N = difference_NF[some_N], train.weight[some_N]
        return fit_logistic(part_NF, train.outcome[some_N], weight_std, weight_N)

    everything = np.ones(len(train), bool)
    chosen = _chosen_std(train, difference_NF, group_M, learnt, seed)
    tested_NF = features_MF[test.left] - features_MF[test.right]
    return expit(tested_NF @ learnt(everything, chosen))


def _chosen_std(
    train: Preferences,
    difference_NF: np.ndarray,
    group_M: np.ndarray,
    learnt: Callable[[np.ndarray, float], np.ndarray],
    seed: int,
) -> float:
    """The spread that predicts left-out melodies with the least log loss."""
    used = np.unique(np.concatenate([train.left, train.right]))
    if len(np.unique(group_M[used])) < INNER_FOLDS:
        return USUAL_STD
    fold_M = np.full(len(group_M), -1)
    fold_M[used] = assign_melodies(group_M[used], folds=INNER_FOLDS, seed=seed)
    folds = melody_folds(train, fold_M)
    if sum(int(fold.test_N.sum()) for fold in folds) < LEAST_INNER:
        return USUAL_STD
    losses = []
    for utility_std in UTILITY_STDS:
        loss = 0.0
        for fold in folds:
            margin_N = train.outcome * (difference_NF @ learnt(fold.train_N, utility_std))
            loss += float((train.weight * np.logaddexp(0.0, -margin_N))[fold.test_N].sum())
        losses.append(loss)
    return UTILITY_STDS[int(np.argmin(losses))]
