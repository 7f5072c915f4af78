"""Logistic regression: the same as scikit-learn's, and a spread that is chosen as it should be."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from reward.comparisons.preferences import Preferences
from reward.validation.logistic import USUAL_STD, fit_logistic, predict_logistic


def test_weights_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    difference = rng.normal(size=(300, 12))
    outcome = np.where(difference[:, 0] + rng.logistic(size=300) > 0, 1, -1)
    weight = rng.uniform(0.5, 2, size=300)
    for std in (0.1, 1.0, 10.0):
        theirs = LogisticRegression(C=std**2, fit_intercept=False, tol=1e-9, max_iter=5000)
        theirs.fit(difference, outcome, weight)
        ours = fit_logistic(difference, outcome, std, weight)
        assert ours == pytest.approx(theirs.coef_[0], abs=1e-4)


def test_what_can_be_separated_stays_finite():
    difference = np.array([[1.0], [2.0], [-3.0]])
    weights = fit_logistic(difference, np.array([1, 1, -1]), 100.0, np.ones(3))
    assert np.isfinite(weights).all()
    assert weights[0] > 0


def listener(count, melodies, seed, noise):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(melodies, 30))
    left, right = rng.integers(melodies, size=(2, count))
    left, right = left[left != right], right[left != right]
    gap = 3 * (features[left, 0] - features[right, 0]) * (1 - noise)
    outcome = np.where(gap + rng.logistic(size=len(left)) > 0, 1, -1)
    return features, Preferences.of(left, right, outcome)


def test_a_clear_taste_is_learnt_and_noise_is_not_believed():
    for noise, low, high in ((0, 0.8, 1.0), (1, 0.0, 0.6)):
        features, pairs = listener(600, 200, 1, noise)
        test = Preferences.of(np.arange(100), 100 + np.arange(100), np.ones(100))
        predicted = predict_logistic(pairs, test, features, np.arange(200))
        truth = features[:100, 0] > features[100:, 0]
        assert low <= ((predicted > 0.5) == truth).mean() or noise
        confidence = np.maximum(predicted, 1 - predicted).mean()
        assert low <= confidence <= high


def test_with_few_comparisons_the_usual_spread_is_taken():
    features, pairs = listener(12, 40, 2, 0)
    predicted = predict_logistic(pairs, pairs, features, np.arange(40))
    difference = features[pairs.left] - features[pairs.right]
    weights = fit_logistic(difference, pairs.outcome, USUAL_STD / np.sqrt(30), np.ones(len(pairs)))
    assert predicted == pytest.approx(1 / (1 + np.exp(-difference @ weights)))
