"""Figures on held-out melodies: by hand, and with intervals that know of common melodies."""

import numpy as np
import pytest

from reward.comparisons.calibration import expected_calibration_error
from reward.comparisons.preferences import Preferences
from reward.validation.held_out_figures import HeldOut


def test_figures_by_hand():
    pairs = Preferences.of(
        np.array([0, 2]), np.array([1, 3]), np.array([1, -1]), weight=np.array([3.0, 1.0])
    )
    found = HeldOut(pairs, np.arange(4), draws=50).figures(np.array([0.8, 0.6]))
    assert found.agreement.value == pytest.approx(0.75)
    assert found.log_loss.value == pytest.approx(-(3 * np.log(0.8) + np.log(0.4)) / 4)
    assert found.ece.value == pytest.approx((3 * 0.2 + 0.6) / 4)
    # Which melodies are drawn decides which of the two counts.
    assert set(np.round(found.agreement.drawn_D, 6)) >= {0.0, 1.0}


def test_calibration_error_is_that_of_the_rest_of_the_project():
    rng = np.random.default_rng(0)
    left, right = np.arange(400), 400 + np.arange(400)
    predicted, outcome = rng.random((2, 400)), np.where(rng.random(400) < 0.5, 1, -1)
    pairs = Preferences.of(left, right, outcome)
    found = HeldOut(pairs, np.arange(800), draws=10).figures(predicted)
    of_each = [expected_calibration_error(row, outcome) for row in predicted]
    assert found.ece.value == pytest.approx(np.mean(of_each))


def test_figures_do_not_change_when_sides_are_swapped():
    rng = np.random.default_rng(1)
    left, right = rng.permutation(60)[:50].reshape(2, 25)
    pairs = Preferences.of(left, right, np.where(rng.random(25) < 0.5, 1, -1))
    predicted = rng.random(25)
    one = HeldOut(pairs, np.arange(60)).figures(predicted)
    other = HeldOut(pairs.swapped(), np.arange(60)).figures(1 - predicted)
    for name in ("agreement", "log_loss", "ece"):
        assert getattr(one, name).value == pytest.approx(getattr(other, name).value)
        assert getattr(one, name).drawn_D == pytest.approx(getattr(other, name).drawn_D)


def test_intervals_know_that_pairs_share_melodies():
    """Utilities that no model knows: all pairs of few melodies tell less than as many apart."""
    rng = np.random.default_rng(2)

    def width(pairs, group_M):
        utility, guess = rng.normal(size=(2, len(group_M)))
        outcome = np.where(utility[pairs.left] > utility[pairs.right], 1, -1)
        told = Preferences.of(pairs.left, pairs.right, outcome)
        predicted = 1 / (1 + np.exp(guess[pairs.right] - guess[pairs.left]))
        found = HeldOut(told, group_M).figures(predicted).agreement.interval
        return found.high - found.low

    few = np.stack(np.triu_indices(20, 1))
    many = np.arange(380).reshape(2, 190)
    widths = [
        width(Preferences.of(*some, np.ones(190)), group_M)
        for some, group_M in ((few, np.arange(20)), (many, np.tile(np.arange(190), 2)))
    ]
    assert widths[0] > 1.5 * widths[1]


def test_a_difference_has_a_narrower_interval_than_two_unrelated_figures():
    rng = np.random.default_rng(3)
    left, right = np.arange(200), 200 + np.arange(200)
    outcome = np.where(rng.random(200) < 0.5, 1, -1)
    held_out = HeldOut(Preferences.of(left, right, outcome), np.arange(400))
    predicted = np.clip(0.5 + 0.2 * outcome + rng.normal(0, 0.25, 200), 0.01, 0.99)
    one, other = (held_out.figures(p).agreement for p in (predicted, predicted[::-1]))
    same = one.above(held_out.figures(predicted**1.01).agreement)
    assert same.value == pytest.approx(0, abs=0.02)
    assert same.high - same.low < one.above(other).high - one.above(other).low


def test_groups_without_a_melody_are_not_drawn():
    """Numbers of groups may have holes: they are rows of files, of which variants share one."""
    rng = np.random.default_rng(4)
    left, right = rng.permutation(40).reshape(2, 20)
    pairs = Preferences.of(left, right, np.where(rng.random(20) < 0.5, 1, -1))
    predicted = rng.random(20)
    close = HeldOut(pairs, np.arange(40), draws=50).figures(predicted)
    apart = HeldOut(pairs, 1000 * np.arange(40) + 7, draws=50).figures(predicted)
    assert apart.agreement.drawn_D == pytest.approx(close.agreement.drawn_D)
    assert apart.log_loss.drawn_D == pytest.approx(close.log_loss.drawn_D)
