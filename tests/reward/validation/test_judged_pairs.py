"""Scores and choices as pairs, and what halves of the raters agree on."""

import numpy as np
import pytest

from reward.validation.judged_pairs import (
    Scores,
    choices_in_halves,
    choices_of,
    pairs_by_score,
    scores_in_halves,
)
from reward.validation.judgement_table import ChoiceRow, ScoreRow

NAMES = {f"m{number}": number for number in range(40)}


def rows(scores, rater=""):
    return [ScoreRow(0, f"m{place}", score, rater) for place, score in enumerate(scores)]


def test_the_higher_score_wins_and_equal_ones_are_no_pair():
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


def test_raters_are_brought_to_one_scale():
    """One gives 1 to 5, one thousands, one always the same."""
    some = [1.0, 2.0, 3.0, 4.0, 5.0]
    other = [5e307, 4e307, 3e307, 2e307, 1e307]
    both = [*rows(some, "x"), *rows(other, "y"), *rows([7.0] * 5, "z")]
    assert Scores.of(both, NAMES, 5).means() == pytest.approx(0, abs=1e-9)
    alone = Scores.of(rows(some, "x"), NAMES, 5).means()
    assert alone == pytest.approx((np.array(some) - 3) / np.std(some))


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
