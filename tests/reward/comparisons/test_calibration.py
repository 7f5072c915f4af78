"""Calibration: bins and expected calibration error by hand; sides do not matter."""

import numpy as np
import pytest

from reward.comparisons.calibration import (
    CalibrationError,
    calibration_floor,
    expected_calibration_error,
    reliability_bins,
)
from reward.comparisons.intervals import wilson
from reward.comparisons.preferences import LEFT, RIGHT

PREDICTED = np.array([0.92, 0.08, 0.65, 0.65])
OUTCOME = np.array([LEFT, RIGHT, LEFT, RIGHT])


def test_ece_by_hand():
    # two of 0.92, both right: 0.08 off; two of 0.65, one right: 0.15 off
    assert expected_calibration_error(PREDICTED, OUTCOME, bins=5) == pytest.approx(0.115)
    # in one bin: 3 of 4 right, 0.785 said
    assert expected_calibration_error(PREDICTED, OUTCOME, bins=1) == pytest.approx(0.035)


def test_bins_by_hand():
    low, high = reliability_bins(PREDICTED, OUTCOME, bins=5)
    assert (low.confidence, low.correct.share, low.correct.count) == pytest.approx((0.65, 0.5, 2))
    assert (high.confidence, high.correct.share, high.correct.count) == pytest.approx((0.92, 1, 2))
    # Wilson at 2 of 2: 2 / (2 + z²) and 1
    assert (high.correct.low, high.correct.high) == pytest.approx((0.3424, 1.0), abs=1e-4)


def test_certainty_is_in_the_last_bin_and_a_half_is_half_right():
    (one,) = reliability_bins(np.array([1.0, 0.0]), np.array([LEFT, LEFT]))
    assert (one.confidence, one.correct.share) == (1.0, 0.5)
    assert expected_calibration_error(np.array([0.5, 0.5]), np.array([LEFT, LEFT])) == 0.0


def test_sides_and_order_do_not_matter():
    rng = np.random.default_rng(0)
    predicted, outcome = rng.random(300), rng.choice([LEFT, RIGHT], 300)
    error = expected_calibration_error(predicted, outcome)
    order = rng.permutation(300)
    assert expected_calibration_error(1 - predicted, -outcome) == pytest.approx(error)
    assert expected_calibration_error(predicted[order], outcome[order]) == pytest.approx(error)


def test_what_is_calibrated_and_what_is_too_sure():
    rng = np.random.default_rng(1)
    truth = rng.random(20_000)
    outcome = np.where(rng.random(20_000) < truth, LEFT, RIGHT)
    assert expected_calibration_error(truth, outcome) < 0.015
    log_odds = np.log(truth / (1 - truth))
    too_sure = 1 / (1 + np.exp(-2 * log_odds))
    # twice the log-odds: p² / (p² + (1 − p)²) is said where p is true
    assert expected_calibration_error(too_sure, outcome) == pytest.approx(SURPLUS, abs=0.01)


def test_the_floor_by_hand():
    # four of 0.75 in one bin: the mean of |k/4 - 0.75| over k of Binomial(4, 0.75) is 0.1582
    floor = calibration_floor(np.full(4, 0.75), bins=1, draws=20_000)
    assert floor == pytest.approx(0.1582, abs=0.003)
    predicted = np.random.default_rng(0).random(200)
    assert calibration_floor(predicted) > 3 * calibration_floor(np.tile(predicted, 20))


SURPLUS = float(
    np.mean([abs(p**2 / (p**2 + (1 - p) ** 2) - p) for p in (np.arange(10_000) + 0.5) / 10_000])
)


@pytest.mark.parametrize(
    ("predicted", "outcome", "bins", "message"),
    [
        ([0.5], [0], 10, "leave ties out"),
        ([1.5], [1], 10, "outside 0..1"),
        ([np.nan], [1], 10, "outside 0..1"),
        ([0.5, 0.5], [1], 10, "shape"),
        ([], [], 10, "at least one"),
        ([0.5], [1], 0, "bins=0"),
    ],
    ids=["tie", "beyond one", "nan", "lengths", "none", "no bins"],
)
def test_what_cannot_be_judged(predicted, outcome, bins, message):
    with pytest.raises(CalibrationError, match=message):
        reliability_bins(np.array(predicted), np.array(outcome), bins=bins)


def test_wilson_by_hand():
    # 8 of 10 (Agresti & Coull 1998): 0.490 to 0.943
    found = wilson(8, 10)
    assert (found.share, found.count) == (0.8, 10)
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert str(found) == "0.80 [0.49, 0.94]"
    none, all_of_them = wilson(0, 4), wilson(4, 4)
    assert (none.low, all_of_them.high) == (0.0, 1.0)
    assert none.high == pytest.approx(1 - all_of_them.low)
    assert wilson(0, 0) is None
