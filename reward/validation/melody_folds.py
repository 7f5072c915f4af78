"""Folds of melodies: a model is tried on pairs of which it has heard neither melody.

Cross-validation by pair (`reward.comparisons.agreement`) asks how well further votes on the same
melodies are predicted. Here whole melodies are held out, because what is unexplained about a melody
is the same in all pairs with it, and a model that has learnt it would be overrated.

Letters: M melodies, N comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from reward.comparisons.preferences import Preferences

FOLDS = 5


class ValidationError(ValueError):
    """Judgements that cannot be checked; the message gives the value, the rule and the remedy."""


@dataclass(frozen=True, slots=True, eq=False)
class MelodyFold:
    """One fold: which comparisons are learnt from, and which are predicted; bool (N,) each.

    Comparisons between a melody of the fold and another one are in neither.
    """

    train_N: np.ndarray
    test_N: np.ndarray


def assign_melodies(group_M: np.ndarray, *, folds: int = FOLDS, seed: int = 0) -> np.ndarray:
    """Fold 0..folds-1 of each melody, int64 (M,); melodies of one group are in one fold.

    Raises:
        ValidationError: when there are fewer groups than folds, or folds < 2.
    """
    groups, index_M = np.unique(group_M, return_inverse=True)
    if folds < 2 or len(groups) < folds:
        raise ValidationError(
            f"{len(groups)} separate melodies cannot make {folds} folds; give at least "
            f"{max(2, folds)} melodies that have nothing to do with one another"
        )
    fold_of_group = np.random.default_rng(seed).permutation(np.arange(len(groups)) % folds)
    return fold_of_group[index_M.reshape(-1)]


def melody_folds(preferences: Preferences, fold_M: np.ndarray) -> list[MelodyFold]:
    """The folds, by the fold of each melody."""
    left_N, right_N = fold_M[preferences.left], fold_M[preferences.right]
    return [
        MelodyFold((left_N != fold) & (right_N != fold), (left_N == fold) & (right_N == fold))
        for fold in range(int(fold_M.max(initial=-1)) + 1)
    ]


def linked_melodies(
    preferences: Preferences, group_M: np.ndarray, *, folds: int = FOLDS
) -> np.ndarray:
    """Groups of melodies to hold out together, int64 (M,), so that few comparisons are lost.

    Melodies of one group of `group_M`, and melodies that comparisons link, are one group. Where one
    of these is larger than a fold, the groups are those of `group_M`, and comparisons across folds
    are lost.
    """
    count = len(group_M)
    first_of_group = np.unique(group_M, return_index=True)[1]
    index_M = np.unique(group_M, return_inverse=True)[1].reshape(-1)
    ones = np.concatenate([preferences.left, np.arange(count)])
    others = np.concatenate([preferences.right, first_of_group[index_M]])
    links = coo_matrix((np.ones(len(ones)), (ones, others)), (count, count))
    _, linked_M = connected_components(links, directed=False)
    if np.bincount(linked_M).max(initial=0) * folds > count:
        return index_M.astype(np.int64)
    return linked_M.astype(np.int64)
