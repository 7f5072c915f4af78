"""The learning curve: folds without leaks, the formula by hand, forecasts that come true."""

from itertools import pairwise

import numpy as np
import pytest

from reward.comparisons.agreement import Agreement, AgreementError, Ceiling, agreement, assign_folds
from reward.comparisons.preferences import LEFT, RIGHT, TIE, Preferences
from reward.profile.feature_scale import FeatureScale
from reward.profile.learning_curve import (
    Estimate,
    Forecast,
    LearningCurve,
    expected_agreement,
    fit_curve,
    learning_curve,
)
from reward.profile.profile import TasteProfile

FEATURES = 30
NAMES = [f"feature_{number}" for number in range(FEATURES)]


def votes_of_one(count, seed):
    """Comparisons of random items by a linear taste; with them the items and the log-odds."""
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(300, FEATURES))
    weights = rng.normal(size=FEATURES)
    utility = items @ weights / np.linalg.norm(weights)  # log-odds of std 1: 72 % reliable
    left, right = np.arange(300), np.roll(np.arange(300), 7)
    order = rng.permutation(300)[:count] if count <= 300 else rng.integers(300, size=count)
    left, right = left[order], rng.permutation(right)[order] if count > 300 else right[order]
    apart = left != right
    left, right = left[apart], right[apart]
    p = 1 / (1 + np.exp(utility[right] - utility[left]))
    outcome = np.where(rng.random(len(p)) < p, LEFT, RIGHT)
    return Preferences.of(left, right, outcome), items, utility


def profile_of(items):
    scale = FeatureScale.of(items)

    def predict(train, test):
        fitted = TasteProfile.fit(
            train, items, scale, feature_names=NAMES, weight_std=0.2, freedom=None
        )
        mean, _ = fitted.score(items)
        return mean[test.left] - mean[test.right]

    return predict


def made_up(shares, votes, *, pairs=200, std=0.03):
    """A curve with these figures, as if measured with this standard error at every size."""
    agreements = tuple(
        Agreement(share=s, low=s - 2 * std, high=s + 2 * std, votes=pairs, pairs=pairs)
        for s in shares
    )
    return LearningCurve(
        votes_K=np.array(votes, float),
        agreements=agreements,
        covariance_KK=np.eye(len(votes)) * std**2,
        held_out_N=np.zeros(pairs),
        total=round(votes[-1] * 1.25),
    )


def repeats(share, count):
    found = Agreement(share=share, low=share, high=share, votes=count, pairs=count)
    return Ceiling(self_agreement=found, reliability=0.7, reliability_low=0.6, reliability_high=0.8)


# Measured


def test_sizes_are_halvings_and_no_vote_is_trained_on_that_is_tried():
    votes, _, _ = votes_of_one(200, 0)
    sizes = []

    def predict(train, test):
        trained = set(map(frozenset, zip(train.left, train.right, strict=True)))
        tried = set(map(frozenset, zip(test.left, test.right, strict=True)))
        assert not trained & tried
        sizes.append(len(train))
        return np.ones(len(test))

    curve = learning_curve(votes, predict)
    assert curve.votes_K.tolist() == [20, 40, 80, 160]
    assert sorted(sizes) == [20] * 20 + [40] * 20 + [80] * 10 + [160] * 5
    share_left = (votes.outcome == LEFT).mean()
    assert [a.share for a in curve.agreements] == pytest.approx([share_left] * 4)
    assert curve.total == 200


def test_few_votes_make_a_short_curve_and_too_few_none():
    votes, _, _ = votes_of_one(40, 1)
    assert learning_curve(votes, lambda _, test: np.ones(len(test))).votes_K.tolist() == [16, 32]
    assert learning_curve(
        votes[:20], lambda _, test: np.ones(len(test))
    ).votes_K.tolist() == [16]  # fmt: skip
    with pytest.raises(AgreementError, match="4 different decided pairs cannot make folds=5"):
        learning_curve(votes[:4], lambda _, test: np.ones(len(test)))


def test_the_largest_size_is_plain_cross_validation():
    votes, items, _ = votes_of_one(150, 2)
    predict = profile_of(items)
    curve = learning_curve(votes, predict, seed=3)
    fold, advantage = assign_folds(votes, folds=5, seed=3), np.zeros(len(votes))
    for held_out in range(5):
        test = np.flatnonzero(fold == held_out)
        advantage[test] = predict(votes[fold != held_out], votes[test])
    assert curve.agreement == agreement(votes, advantage, seed=3)
    assert curve.covariance_KK.shape == (4, 4)
    std = np.sqrt(curve.covariance_KK[-1, -1])
    assert 4 * std == pytest.approx(curve.agreement.high - curve.agreement.low, rel=0.1)


def test_it_does_not_matter_which_side_a_melody_was_on():
    votes, items, _ = votes_of_one(120, 4)
    one, other = (learning_curve(v, profile_of(items)) for v in (votes, votes.swapped()))
    # A prior on the side bias is symmetric, so the fits mirror each other but for rounding.
    assert [a.share for a in one.agreements] == pytest.approx([a.share for a in other.agreements])
    assert one.held_out_N == pytest.approx(-other.held_out_N, abs=1e-4)


def test_ties_teach_but_do_not_count():
    votes, _, _ = votes_of_one(100, 5)
    tied = votes.outcome.copy()
    tied[::4] = TIE
    votes = Preferences.of(votes.left, votes.right, tied)
    curve = learning_curve(votes, lambda _, test: np.ones(len(test)))
    assert curve.agreement.votes == 75
    assert curve.total == 100


# The formula


def test_the_formula_by_hand():
    c, t = np.array([0.75]), np.array([100.0])
    # sin(π/4) = 0.7071; at n = τ its square is halved: ρ = 0.5, asin(0.5) = π/6.
    assert expected_agreement(100, c, t)[0] == pytest.approx(0.5 + 1 / 6)
    assert expected_agreement(0, c, t)[0] == 0.5
    assert expected_agreement(1e12, c, t)[0] == pytest.approx(0.75)


def test_the_formula_is_what_gaussian_utilities_do():
    """Sheppard's share, by counting signs."""
    rng = np.random.default_rng(6)
    learnt, rest = rng.normal(size=(2, 400_000))
    rho = np.sin(np.pi * 0.22) * np.sqrt(200 / 260)
    perceived = rho * learnt + np.sqrt(1 - rho**2) * rest
    counted = (np.sign(learnt) == np.sign(perceived)).mean()
    assert expected_agreement(200, np.array([0.72]), np.array([60.0]))[0] == pytest.approx(
        counted, abs=0.003
    )


# The forecast


def test_a_curve_that_was_made_by_the_formula_is_found_again():
    truth = np.array([0.8]), np.array([50.0])
    sizes = [20, 40, 80, 160]
    shares = [expected_agreement(n, *truth)[0] for n in sizes]
    fitted = fit_curve(made_up(shares, sizes, std=0.002), None)
    assert fitted is not None
    gain = expected_agreement(260, *truth)[0] - expected_agreement(200, *truth)[0]
    assert fitted.forecast(60).gain.mean == pytest.approx(gain, abs=0.003)
    assert fitted.at(200).mean == pytest.approx(expected_agreement(200, *truth)[0], abs=0.005)


def test_more_votes_are_worth_more_and_are_less_sure():
    fitted = fit_curve(made_up([0.55, 0.58, 0.62, 0.66], [20, 40, 80, 160]), None)
    assert fitted is not None
    gains = [fitted.forecast(more).gain for more in (20, 60, 200, 1000)]
    for few, many in pairwise(gains):
        assert few.mean < many.mean
        assert few.high - few.low < many.high - many.low
    assert all(gain.low < gain.mean < gain.high for gain in gains)
    assert fitted.at(10_000).high < 1.0


def test_a_low_ceiling_leaves_less_to_gain():
    curve = made_up([0.55, 0.58, 0.61, 0.64], [20, 40, 80, 160])
    free, bound = fit_curve(curve, repeats(0.9, 40)), fit_curve(curve, repeats(0.55, 40))
    assert free is not None
    assert bound is not None
    assert bound.at(5000).mean < free.at(5000).mean - 0.02
    assert bound.forecast(400).gain.mean < free.forecast(400).gain.mean


def test_few_repeats_that_disagree_do_not_forbid_learning():
    """Three of three repeats answered otherwise: the plain estimate of the ceiling is 0.5."""
    curve = made_up([0.55, 0.6, 0.65, 0.7], [20, 40, 80, 160], std=0.015)
    fitted = fit_curve(curve, repeats(0.0, 3))
    assert fitted is not None
    assert fitted.at(160).mean > 0.62


def test_too_little_to_say():
    sizes = [20, 40, 80, 160]
    assert fit_curve(made_up([0.5, 0.5, 0.51, 0.53], sizes), None) is None  # chance is possible
    assert fit_curve(made_up([0.6, 0.65, 0.7, 0.75], sizes, pairs=39), None) is None
    assert fit_curve(made_up([0.75], [160]), None) is None
    fitted = fit_curve(made_up([0.6, 0.65, 0.7, 0.75], sizes, pairs=40), None)
    assert fitted is not None
    with pytest.raises(AgreementError, match="more_votes=0"):
        fitted.forecast(0)


def test_a_forecast_in_words():
    said = str(Forecast(60, Estimate(0.0213, -0.0031, 0.0449)))
    assert said == "another 60 votes are worth about +2.1 points [-0.3, +4.5]"


@pytest.mark.slow
@pytest.mark.learns
def test_forecasts_come_true():
    """Over 24 listeners: what 150 further votes brought, beside what was said before them."""
    inside, said, came = 0, [], []
    for seed in range(24):
        votes, items, utility = votes_of_one(400, 100 + seed)
        predict = profile_of(items)
        every = np.stack(np.triu_indices(300, 1))
        p = 1 / (1 + np.exp(utility[every[1]] - utility[every[0]]))
        pairs = Preferences.of(every[0], every[1], np.ones(every.shape[1], int))

        def truth(count, votes=votes, pairs=pairs, p=p, predict=predict):
            left = predict(votes[:count], pairs) > 0
            return float(np.where(left, p, 1 - p).mean())

        fitted = fit_curve(learning_curve(votes[:150], predict, draws=300), None)
        if fitted is None:
            continue
        gain = fitted.forecast(150).gain
        said.append(gain.mean)
        came.append(truth(300) - truth(150))
        inside += gain.low <= came[-1] <= gain.high
    assert len(said) >= 20
    assert inside / len(said) >= 0.85
    assert np.mean(said) == pytest.approx(np.mean(came), abs=0.01)
