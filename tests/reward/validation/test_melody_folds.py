"""Folds of melodies: nothing is heard and predicted, and what hangs together stays together."""

import numpy as np
import pytest

from reward.comparisons.preferences import Preferences
from reward.validation.melody_folds import (
    ValidationError,
    assign_melodies,
    linked_melodies,
    melody_folds,
)


def random_pairs(melodies, count, seed=0):
    left, right = np.random.default_rng(seed).integers(melodies, size=(2, count))
    apart = left != right
    return Preferences.of(left[apart], right[apart], np.ones(apart.sum()))


def test_no_melody_is_learnt_from_and_predicted():
    pairs = random_pairs(60, 2000)
    fold_M = assign_melodies(np.arange(60), folds=5, seed=3)
    assert np.bincount(fold_M).tolist() == [12] * 5
    tested = np.zeros(len(pairs), int)
    for fold in melody_folds(pairs, fold_M):
        train, test = (pairs[np.flatnonzero(some)] for some in (fold.train_N, fold.test_N))
        assert not {*train.left, *train.right} & {*test.left, *test.right}
        assert len(train) > len(test) > 0
        tested += fold.test_N
    inside = fold_M[pairs.left] == fold_M[pairs.right]
    assert (tested == inside).all()


def test_melodies_of_one_group_are_in_one_fold():
    group_M = np.repeat(np.arange(20), 3)
    fold_M = assign_melodies(group_M, seed=1)
    assert (fold_M.reshape(20, 3) == fold_M.reshape(20, 3)[:, :1]).all()


def test_too_few_melodies_are_refused():
    with pytest.raises(ValidationError, match="4 separate melodies cannot make 5 folds"):
        assign_melodies(np.arange(4))


def test_pairs_that_hang_together_are_held_out_together():
    """Each melody in one pair: all pairs can be predicted, none is lost between folds."""
    pairs = Preferences.of(np.arange(0, 40, 2), np.arange(1, 40, 2), np.ones(20))
    fold_M = assign_melodies(linked_melodies(pairs, np.arange(40)))
    assert sum(fold.test_N.sum() for fold in melody_folds(pairs, fold_M)) == 20


def test_a_tournament_is_divided_by_melody():
    groups = linked_melodies(random_pairs(40, 400), np.arange(40))
    assert len(np.unique(groups)) == 40


def test_variants_of_a_melody_stay_together_whatever_is_compared():
    variants = np.repeat(np.arange(20), 2)
    apart = Preferences.of(np.array([0, 4]), np.array([2, 6]), np.ones(2))
    for pairs in (apart, random_pairs(40, 400)):
        groups = linked_melodies(pairs, variants)
        assert (groups[::2] == groups[1::2]).all()
    assert linked_melodies(apart, variants)[0] == linked_melodies(apart, variants)[2]
