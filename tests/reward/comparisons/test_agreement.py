"""Agreement: by hand, held out without leaks, with intervals that cover, beside the ceiling."""

import numpy as np
import pytest

from reward.comparisons.agreement import (
    AgreementError,
    agreement,
    assign_folds,
    ceiling,
    implied_reliability,
)
from reward.comparisons.preferences import LEFT, RIGHT, TIE, Preferences
from reward.listeners.simulated import SimulatedListener
from reward.profile.feature_scale import FeatureScale
from reward.profile.learning_curve import learning_curve
from reward.profile.profile import TasteProfile


def comparisons(*rows, **keywords) -> Preferences:
    left, right, outcome = np.array(rows).T
    return Preferences.of(left, right, outcome, **keywords)


def test_agreement_by_hand():
    votes = comparisons((0, 1, LEFT), (1, 2, RIGHT), (2, 3, LEFT), (3, 4, TIE), (4, 5, LEFT))
    # Right, wrong, undecided (half), a tie (out), right.
    got = agreement(votes, np.array([0.1, 3.0, 0.0, 1.0, 2.0]))
    assert got.share == pytest.approx(2.5 / 4)
    assert (got.votes, got.pairs) == (4, 4)
    assert got.low <= got.share <= got.high


def test_weights_count():
    votes = comparisons((0, 1, LEFT), (1, 2, LEFT), weight=np.array([3.0, 1.0]))
    assert agreement(votes, np.array([1.0, -1.0])).share == pytest.approx(0.75)


def test_interval_is_of_pairs_and_not_of_votes():
    """The same votes ten times over are no more evidence."""
    rng = np.random.default_rng(0)
    left = np.arange(100)
    right, outcome = left + 100, rng.choice([LEFT, RIGHT], 100)
    once = agreement(Preferences.of(left, right, outcome), np.ones(100))
    tenfold = [np.tile(array, 10) for array in (left, right, outcome)]
    ten = agreement(Preferences.of(*tenfold), np.ones(1000))
    assert ten.share == once.share
    assert ten.high - ten.low == pytest.approx(once.high - once.low, rel=0.1)
    assert (ten.votes, ten.pairs) == (1000, 100)


def test_interval_covers():
    rng = np.random.default_rng(1)
    inside = 0
    for seed in range(200):
        outcome = np.where(rng.random(120) < 0.7, LEFT, RIGHT)
        got = agreement(
            Preferences.of(np.arange(120), np.arange(120) + 120, outcome),
            np.ones(120), draws=400, seed=seed,
        )  # fmt: skip
        inside += got.low <= 0.7 <= got.high
    assert 0.89 <= inside / 200 <= 0.99


def test_repeats_share_a_fold_whatever_side_and_rater():
    rng = np.random.default_rng(2)
    left, right = rng.integers(0, 15, 300), rng.integers(15, 30, 300)
    swap = rng.random(300) < 0.5
    votes = Preferences.of(
        np.where(swap, right, left), np.where(swap, left, right), rng.choice([LEFT, RIGHT], 300),
        rater=rng.integers(3, size=300), rater_ids=("x", "y", "z"),
    )  # fmt: skip
    fold = assign_folds(votes, folds=5, seed=1)
    assert set(fold) == set(range(5))
    of_pair = {}
    for a, b, f in zip(left, right, fold, strict=True):
        assert of_pair.setdefault((a, b), f) == f
    assert np.bincount(fold).min() > 30
    assert (assign_folds(votes, folds=5, seed=1) == fold).all()
    assert (assign_folds(votes, folds=5, seed=2) != fold).any()


def test_a_model_that_learns_by_heart_is_at_chance():
    """Votes at random, each pair heard four times: a memory gains nothing if no repeat is split."""
    rng = np.random.default_rng(3)
    left, right = np.repeat(np.arange(200), 4), np.repeat(np.arange(200, 400), 4)
    outcome = np.repeat(rng.choice([LEFT, RIGHT], 200), 4)
    swap = rng.random(800) < 0.5
    votes = Preferences.of(
        np.where(swap, right, left), np.where(swap, left, right), np.where(swap, -outcome, outcome)
    )

    def by_heart(train: Preferences, test: Preferences) -> np.ndarray:
        known = {}
        for a, b, y in zip(train.left, train.right, train.outcome, strict=True):
            known[a, b], known[b, a] = y, -y
        return np.array(
            [known.get((a, b), 0) for a, b in zip(test.left, test.right, strict=True)], float
        )

    assert by_heart(votes, votes).tolist() == votes.outcome.tolist()
    assert learning_curve(votes, by_heart).agreement.share == 0.5


def test_every_vote_is_predicted_once_from_the_others():
    votes = comparisons(*[(i, i + 50, LEFT) for i in range(50)])
    tested = []

    def predict(train: Preferences, test: Preferences) -> np.ndarray:
        assert not set(train.left) & set(test.left)
        if len(train) + len(test) == 50:  # the others are for the rest of the curve
            tested.extend(test.left)
        return np.ones(len(test))

    assert learning_curve(votes, predict, folds=7).agreement.share == 1.0
    assert sorted(tested) == list(range(50))


@pytest.mark.learns
def test_taste_profile_comes_near_the_known_ceiling():
    rng = np.random.default_rng(4)
    items = rng.normal(size=(300, 8))
    utility = items @ np.array([1.0, -1.0, 0.5, 0, 0, 0, 0.7, 0])
    rows = np.arange(300)
    listener = SimulatedListener(lambda at: utility[at], 0.72, seed=5, tie_rate=0.1)
    listener.calibrate(rows)
    left, right = rng.integers(300, size=(2, 900))
    votes = Preferences.of(left, right, listener.choose(left, right))[left != right]
    scale = FeatureScale.of(items)
    names = [f"feature_{i}" for i in range(8)]

    def predict(train: Preferences, test: Preferences) -> np.ndarray:
        score, _ = TasteProfile.fit(train, items, scale, feature_names=names).score(items)
        return score[test.left] - score[test.right]

    got = learning_curve(votes, predict).agreement
    top = listener.ceiling(votes.left, votes.right)
    assert 0.94 * top < got.share < top + 0.04
    assert got.low > 0.6  # chance is 0.5
    assert got.votes == votes.decided.sum() < len(votes)


# The ceiling


def test_self_agreement_by_hand():
    votes = comparisons(
        (0, 1, LEFT), (1, 0, RIGHT),                # the same twice, sides swapped: agrees
        (2, 3, LEFT), (2, 3, RIGHT),                # does not
        (4, 5, RIGHT), (4, 5, RIGHT), (5, 4, RIGHT),  # 2 : 1, one of three pairs of votes agrees
        (6, 7, LEFT), (6, 7, TIE),                  # a tie is no second answer
        (8, 9, LEFT),                               # no repeat
    )  # fmt: skip
    got = ceiling(votes)
    assert got is not None
    assert got.self_agreement.share == pytest.approx((1 + 0 + 1 / 3) / 3)
    assert got.self_agreement.pairs == 3
    assert got.reliability == 0.5  # less than half agree: no better than a coin


def test_two_raters_on_one_pair_are_no_repeat():
    votes = comparisons((0, 1, LEFT), (0, 1, LEFT), rater=np.array([0, 1]), rater_ids=("x", "y"))
    assert ceiling(votes) is None


def test_implied_reliability_by_hand():
    assert implied_reliability(0.68) == pytest.approx(0.8)  # .8² + .2²
    assert implied_reliability(0.6) == pytest.approx(0.7236, abs=1e-4)  # facts: 60 % -> 72 %
    assert implied_reliability(1.0) == 1.0
    assert implied_reliability(0.3) == 0.5


def test_ceiling_of_a_listener_on_equally_hard_pairs_is_their_reliability():
    listener = SimulatedListener(lambda at: at % 2, 0.8, seed=6).calibrate(np.arange(2))
    left = np.tile(np.arange(0, 6000, 2), 2)
    right = left + 1
    votes = Preferences.of(left, right, listener.choose(left, right))
    got = ceiling(votes, draws=200)
    assert got is not None
    assert got.reliability == pytest.approx(0.8, abs=0.015)
    assert got.reliability_low < 0.8 < got.reliability_high


def test_ceiling_is_too_high_where_easy_and_hard_pairs_mix():
    """What the module's docstring warns of."""
    items = np.random.default_rng(7).normal(size=500)
    listener = SimulatedListener(lambda x: x, 0.72, seed=7).calibrate(items)
    left, right = (
        np.tile(side, 2) for side in np.random.default_rng(8).integers(500, size=(2, 9000))
    )
    answers = listener.choose(items[left], items[right])
    got = ceiling(Preferences.of(left, right, answers)[left != right], draws=100)
    assert got is not None
    assert 0.73 < got.reliability < 0.80


# Errors


def test_too_few_votes_are_named():
    ties = comparisons((0, 1, TIE), (1, 2, TIE))
    with pytest.raises(AgreementError, match="no decided comparison"):
        agreement(ties, np.zeros(2))
    with pytest.raises(AgreementError, match="0 different decided pairs cannot make folds=5"):
        assign_folds(ties, folds=5)
    with pytest.raises(AgreementError, match="folds=1"):
        assign_folds(comparisons((0, 1, LEFT), (1, 2, LEFT)), folds=1)
