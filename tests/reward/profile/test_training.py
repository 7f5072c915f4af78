"""Reward training: with several raters too, what is held out is not known to who predicts it."""

import numpy as np
import pytest

from reward.comparisons.agreement import assign_folds
from reward.comparisons.preferences import Preferences
from reward.profile.feature_scale import FeatureScale
from reward.profile.features import FEATURE_NAMES
from reward.profile.training import train_reward

MELODIES, VOTES = 80, 25


@pytest.mark.slow
@pytest.mark.parametrize("raters", [1, 3])
def test_what_is_held_out_does_not_move_its_own_prediction(raters):
    rng = np.random.default_rng(5)
    features = rng.normal(size=(MELODIES, len(FEATURE_NAMES)))
    scale, utility = FeatureScale.of(features), features[:, 0]
    left, right = rng.integers(MELODIES, size=(2, raters * VOTES))
    right = np.where(left == right, (right + 1) % MELODIES, right)
    said = np.where(utility[left] > utility[right], 1, -1)
    names = tuple(f"rater {number}" for number in range(raters))
    rater = np.repeat(np.arange(raters), VOTES)
    votes = Preferences.of(left, right, said, rater=rater, rater_ids=names)
    fold = assign_folds(votes, folds=5, seed=0)
    # The last rater turns round in fold 0: how they follow the group must not be known there.
    turned = np.where((fold == 0) & (rater == raters - 1), -said, said)
    other = Preferences.of(left, right, turned, rater=rater, rater_ids=names)
    curves = [train_reward(each, features, scale, seed=0).curve for each in (votes, other)]
    one, again = (curve.held_out_N for curve in curves)
    np.testing.assert_allclose(again[fold == 0], one[fold == 0], atol=1e-9)
    assert abs(again - one)[fold != 0].max() > 1e-3
