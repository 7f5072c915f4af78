"""Scores and choices as pairs, and what halves of the raters agree on."""

import tracemalloc

import numpy as np
import pytest

from reward.comparisons.preferences import Preferences
from reward.profile.feature_scale import FeatureScale
from reward.profile.features import FEATURE_NAMES
from reward.profile.profile import TasteProfile
from reward.validation import judged_pairs
from reward.validation.judged_pairs import (
    Scores,
    choices_in_halves,
    choices_of,
    pairs_by_score,
    pooled,
    scores_in_halves,
)
from reward.validation.judgement_table import ChoiceRow, ScoreRow

NAMES = {f"m{number}": number for number in range(40)}


def rows(scores, rater=""):
    return [ScoreRow(0, f"m{place}", score, rater) for place, score in enumerate(scores)]


def peak_mib(call):
    """What a call adds to the memory at its peak."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


@pytest.mark.parametrize("most_for_all", [1000, 3])
def test_the_higher_score_wins_and_equal_ones_are_no_pair(monkeypatch, most_for_all):
    monkeypatch.setattr(judged_pairs, "MOST_FOR_ALL_PAIRS", most_for_all)
    scores = Scores.of(rows([1.0, 3.0, 3.0, 2.0]), NAMES, 5)
    mean_M = scores.means()
    assert np.isnan(mean_M[4])  # a melody that nobody scored
    pairs = pairs_by_score(mean_M, np.arange(5), 100, np.random.default_rng(0))
    better = np.where(pairs.outcome > 0, pairs.left, pairs.right)
    worse = np.where(pairs.outcome > 0, pairs.right, pairs.left)
    assert set(zip(better.tolist(), worse.tolist(), strict=True)) == {
        (1, 0), (2, 0), (3, 0), (1, 3), (2, 3),
    }  # fmt: skip
    assert len(pairs_by_score(mean_M, np.arange(5), 3, np.random.default_rng(0))) == 3


def test_pairs_of_many_melodies_are_drawn_in_little_memory():
    mean_M = np.random.default_rng(1).normal(size=20_000)
    mean_M[::7] = np.nan
    found = []

    def draw():
        found.append(pairs_by_score(mean_M, np.arange(20_000), 6000, np.random.default_rng(0)))

    assert peak_mib(draw) < 20
    (pairs,) = found
    assert len(np.unique(pairs.pair_ids)) == len(pairs) == 6000
    assert not np.isnan(mean_M[pairs.left] + mean_M[pairs.right]).any()
    assert (pairs.outcome == np.sign(mean_M[pairs.left] - mean_M[pairs.right])).all()
    assert 0.45 < (pairs.outcome > 0).mean() < 0.55
    in_pairs = np.bincount(np.concatenate([pairs.left, pairs.right]), minlength=20_000)
    assert in_pairs.reshape(4, -1).sum(axis=1) == pytest.approx(3000, abs=300)


def test_the_one_melody_that_differs_from_thousands_is_found():
    mean_M = np.zeros(3000)
    mean_M[1234] = -1
    pairs = pairs_by_score(mean_M, np.arange(3000), 500, np.random.default_rng(0))
    assert len(pairs) == 500
    assert ((pairs.left == 1234) | (pairs.right == 1234)).all()
    nothing = pairs_by_score(np.zeros(3000), np.arange(3000), 500, np.random.default_rng(0))
    assert len(nothing) == 0


def test_raters_are_brought_to_one_scale():
    """One gives 1 to 5, one thousands, one always the same."""
    some = [1.0, 2.0, 3.0, 4.0, 5.0]
    other = [5e307, 4e307, 3e307, 2e307, 1e307]
    both = [*rows(some, "x"), *rows(other, "y"), *rows([7.0] * 5, "z")]
    assert Scores.of(both, NAMES, 5).means() == pytest.approx(0, abs=1e-9)
    alone = Scores.of(rows(some, "x"), NAMES, 5).means()
    assert alone == pytest.approx((np.array(some) - 3) / np.std(some))


def test_a_rater_whose_scores_do_not_differ_is_left_out():
    """Melody 5 is heard by nobody else, and melody 4 does not come nearer to the mean."""
    some = rows([1.0, 2.0, 3.0, 4.0, 5.0], "x")
    alike = [ScoreRow(0, "m4", 7.0, "z"), ScoreRow(0, "m5", 7.0, "z"), ScoreRow(0, "m6", 2.0, "w")]
    mean_M = Scores.of([*alike, *some], NAMES, 7).means()
    assert mean_M[:5] == pytest.approx(Scores.of(some, NAMES, 7).means()[:5])
    assert np.isnan(mean_M[5:]).all()
    assert scores_in_halves(Scores.of([*alike, *some], NAMES, 7), np.arange(7)) is None
    other = rows([1.0, 2.0, 3.0, 9.0, 8.0], "y")
    found = scores_in_halves(Scores.of([*alike, *some, *other], NAMES, 7), np.arange(7))
    assert found.value == pytest.approx(9 / 10)


def test_halves_that_agree_in_all_and_halves_that_do_not():
    rng = np.random.default_rng(0)
    utility = rng.normal(size=40)
    alike = [row for rater in range(6) for row in rows(utility, f"r{rater}")]
    found = scores_in_halves(Scores.of(alike, NAMES, 40), np.arange(40))
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))
    random = [row for rater in range(6) for row in rows(rng.normal(size=40), f"r{rater}")]
    found = scores_in_halves(Scores.of(random, NAMES, 40), np.arange(40))
    assert found.low < 0.5 < found.high
    assert scores_in_halves(Scores.of(rows(utility), NAMES, 40), np.arange(40)) is None


def choice(a, b, outcome, rater):
    return ChoiceRow(0, f"m{a}", f"m{b}", outcome, rater)


def test_choices_of_two_raters_by_hand():
    """They agree on one of two pairs that both decide; one pair has a tie, one a single vote."""
    said = [
        choice(0, 1, 1, "x"), choice(1, 0, -1, "y"),  # the same, the other way round
        choice(2, 3, 1, "x"), choice(2, 3, -1, "y"),
        choice(4, 5, 1, "x"), choice(4, 5, 0, "y"),
        choice(6, 7, 1, "x"),
    ]  # fmt: skip
    choices = choices_of(said, NAMES)
    assert choices.rater_ids == ("x", "y")
    found = choices_in_halves(choices, np.arange(8))
    assert found.value == pytest.approx(0.5)
    assert choices_in_halves(choices_of(said[:1], NAMES), np.arange(8)) is None
    assert choices_in_halves(choices_of(said[-2:], NAMES), np.arange(8)) is None


def test_the_interval_of_people_has_the_seed_of_the_check():
    rng = np.random.default_rng(3)
    said = [
        choice(*rng.permutation(40)[:2], rng.choice([1, -1]), rater)
        for rater in ("x", "y")
        for _ in range(400)
    ]
    choices = choices_of(said, NAMES)
    one, other = (choices_in_halves(choices, np.arange(40), seed=seed) for seed in (0, 1))
    assert one.value == pytest.approx(other.value)  # two raters have but two halves
    assert (one.low, one.high) != (other.low, other.high)


def test_halves_are_compared_on_many_pairs_in_little_memory():
    left, right = np.tile(np.stack(np.triu_indices(300, 1)), 2)
    rng = np.random.default_rng(5)
    choices = Preferences.of(
        left,
        right,
        np.where(rng.random(len(left)) < 0.8, 1, -1),
        rater=np.repeat([0, 1], len(left) // 2),
        rater_ids=("x", "y"),
    )
    found = []
    assert peak_mib(lambda: found.append(choices_in_halves(choices, np.arange(300)))) < 40
    assert found[0].value == pytest.approx(0.68, abs=0.03)


def test_a_table_that_names_the_winner_first_says_as_much_as_any_other():
    rng = np.random.default_rng(6)
    features_MF = rng.normal(size=(40, len(FEATURE_NAMES)))
    left, right = rng.integers(40, size=(2, 400))
    left, right = left[left != right], right[left != right]
    gap = 2 * (features_MF[left, 0] - features_MF[right, 0])
    left_wins = gap + rng.logistic(size=len(gap)) > 0
    won, lost = np.where(left_wins, left, right), np.where(left_wins, right, left)
    first = choices_of([choice(*pair, 1, "x") for pair in zip(won, lost, strict=True)], NAMES)
    random = Preferences.of(left, right, np.where(left_wins, 1, -1))
    new_MF = rng.normal(size=(2, 1000, len(FEATURE_NAMES)))
    new_gap = 2 * (new_MF[0, :, 0] - new_MF[1, :, 0])
    new_outcome = np.where(new_gap + rng.logistic(size=1000) > 0, 1, -1)

    def log_loss(preferences):
        profile = TasteProfile.fit(preferences, features_MF, FeatureScale.of(features_MF))
        left_is_better = profile.win_probability(*new_MF)
        return -np.log(np.where(new_outcome > 0, left_is_better, 1 - left_is_better)).mean()

    told = pooled(first, np.random.default_rng(0))
    assert 0.4 < (told.outcome > 0).mean() < 0.6
    assert np.where(told.outcome > 0, told.left, told.right).tolist() == won.tolist()
    assert log_loss(told) == pytest.approx(log_loss(random), abs=0.02)
    assert log_loss(first) > log_loss(told) + 0.05
