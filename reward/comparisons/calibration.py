"""Calibration: whether what is predicted with 70 % comes true in 70 of 100 cases.

A prediction is P(left is better), ties left out. Sides are arbitrary, so it is turned towards the
side that it favours: confidence = max(p, 1 − p), from 0.5 to 1, and correct or not. What is said
here therefore does not change when sides are swapped.

Expected calibration error (Naeini et al., AAAI 2015; Guo et al., arXiv:1706.04599) is the mean over
bins of |share correct − mean confidence|, weighted by what is in them. It is above 0 even for
perfect predictions when they are few: `calibration_floor` says how far.

Letters: N predictions, B bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reward.comparisons.intervals import Share, wilson
from reward.comparisons.preferences import LEFT, RIGHT


class CalibrationError(ValueError):
    """Predictions that cannot be judged; the message gives the value, the rule and the remedy."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of like confidence: a point of a reliability plot."""

    confidence: float
    """their mean"""
    correct: Share
    """how many of them came true, with its 95 % interval"""


def reliability_bins(predicted: np.ndarray, outcome: np.ndarray, *, bins: int = 10) -> list[Bin]:
    """The points of a reliability plot, by rising confidence; of bins of equal width, none empty.

    Args:
        predicted: P(left is better) of each comparison; (N,).
        outcome: what was said, `LEFT` or `RIGHT`; (N,).
        bins: how many divide confidences from 0.5 to 1.

    Raises:
        CalibrationError: for probabilities outside 0..1, ties, arrays of unequal length, none at
            all, or less than one bin.
    """
    confidence, correct = _turned(predicted, outcome)
    index = _bin_of(confidence, bins)
    found: list[Bin] = []
    for number in np.unique(index):
        inside = index == number
        count = int(inside.sum())
        share = wilson(float(correct[inside].sum()), count)
        assert share is not None
        found.append(Bin(float(confidence[inside].mean()), share))
    return found


def expected_calibration_error(
    predicted: np.ndarray, outcome: np.ndarray, *, bins: int = 10
) -> float:
    """ECE, 0 to 0.5 and more; arguments and errors as of `reliability_bins`."""
    confidence, correct = _turned(predicted, outcome)
    return float(_gaps(correct - confidence, _bin_of(confidence, bins)))


def calibration_floor(
    predicted: np.ndarray, *, bins: int = 10, draws: int = 200, seed: int = 0
) -> float:
    """The ECE that these predictions have on average when each is exactly right.

    Raises:
        CalibrationError: as `reliability_bins`.
    """
    confidence, _ = _turned(predicted, np.full(len(predicted), LEFT))
    index = _bin_of(confidence, bins)
    rng = np.random.default_rng(seed)
    correct_DN = rng.random((draws, len(confidence))) < confidence
    return float(np.mean([_gaps(correct - confidence, index) for correct in correct_DN]))


def _turned(predicted: np.ndarray, outcome: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and correctness, float64 (N,); a prediction of ½ is half correct."""
    predicted, outcome = np.asarray(predicted, np.float64), np.asarray(outcome)
    if predicted.ndim != 1 or predicted.shape != outcome.shape or not len(predicted):
        raise CalibrationError(
            f"predicted has shape {predicted.shape} and outcome {outcome.shape}; "
            "give one of each a comparison, and at least one"
        )
    if not ((predicted >= 0) & (predicted <= 1)).all():
        raise CalibrationError("predicted holds something outside 0..1; give probabilities")
    if not np.isin(outcome, (LEFT, RIGHT)).all():
        raise CalibrationError("outcome holds something else than LEFT and RIGHT; leave ties out")
    favoured = np.sign(predicted - 0.5)
    return np.maximum(predicted, 1 - predicted), 0.5 + 0.5 * favoured * outcome


def _bin_of(confidence: np.ndarray, bins: int) -> np.ndarray:
    if bins < 1:
        raise CalibrationError(f"bins={bins} is less than one; take 10")
    return np.minimum(((confidence - 0.5) * 2 * bins).astype(np.int64), bins - 1)


def _gaps(excess: np.ndarray, index: np.ndarray) -> float:
    """Mean over bins of |mean excess|, weighted by count; the counts cancel."""
    return float(abs(np.bincount(index, excess)).sum() / len(excess))
