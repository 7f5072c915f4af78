"""Phrases, on tunes where the answer can be counted on the fingers."""

import numpy as np
import pytest

from music.descriptors.phrases import (
    bars_alike,
    busier_first_half,
    first_bar_returns,
    quarter_height,
    quarter_slope,
    question_answered,
)

# 4/4, 24 ticks a quarter: bars of four quarters.
A, B, C = ((0, 24), (4, 24), (7, 24), (4, 24)), ((2, 24), (5, 24), (9, 24), (5, 24)), ((0, 96),)


def test_bars_alike_counts_onsets_with_their_pitches(tune):
    melody = tune(*A, *B, *A, *C, meter="4/4")
    # One bar on, nothing is shared by A and B; of B and A nothing; A and C share the first note.
    assert bars_alike(melody, bars_apart=1) == pytest.approx([2 * 1 / (4 + 4 + 4 + 4 + 4 + 1)])
    # Two bars on: A and A share four of four and four, B and C nothing (C's note is a 0, B's a 2).
    assert bars_alike(melody, bars_apart=2) == pytest.approx([2 * 4 / (4 + 4 + 4 + 1)])
    # Onsets alone: A B, B A, A C.
    rhythm = bars_alike(melody, bars_apart=1, with_pitch=False)
    assert rhythm == pytest.approx([2 * (4 + 4 + 1) / 21])
    assert np.isnan(bars_alike(melody, bars_apart=4)).all()


def test_the_first_bar_is_looked_for_at_half_way(tune):
    melodies = [tune(*A, *B, *A, *C, meter="4/4"), tune(*A, *A, *B, *A, meter="4/4")]
    assert first_bar_returns(melodies) == pytest.approx([1.0, 0.0])
    assert first_bar_returns(melodies, with_pitch=False) == pytest.approx([1.0, 1.0])


def test_a_pickup_is_in_no_bar(tune):
    plain = tune(*A, *B, *A, (0, 96), meter="4/4")
    with_pickup = tune((7, 24), *A, *B, *A, (0, 72), meter="4/4", pickup_ticks=24)
    for apart in (1, 2):
        assert bars_alike(with_pickup, bars_apart=apart) == bars_alike(plain, bars_apart=apart)
    assert quarter_slope(with_pickup, 0) == quarter_slope(plain, 0)


def test_heights_and_slopes_of_quarters(tune):
    melody = tune(*A, *B, *A, *C, meter="4/4")
    mean = (15 + 21 + 15 + 0) / 13
    assert quarter_height(melody, 1) == pytest.approx([21 / 4 - mean])
    assert quarter_height(melody, 3) == pytest.approx([0 - mean])
    # Pitches 0 4 7 4 over 0 1 2 3: covariance 7.5, variances 5 and 24.75.
    assert quarter_slope(melody, 0) == pytest.approx([7.5 / np.sqrt(5 * 24.75)])
    assert quarter_slope(melody, 3) == [0.0]


def test_a_busier_first_half(tune):
    assert busier_first_half(tune(*A, *B, *A, *C, meter="4/4")) == pytest.approx([2 * 8 / 13 - 1])


@pytest.mark.parametrize(
    ("middle", "last", "answered"), [(7, 0, 1.0), (7, 4, 0.0), (0, 0, 0.0), (2, 12, 1.0)]
)
def test_a_question_is_answered(tune, middle, last, answered):
    melody = tune((0, 96), (middle, 96), (5, 96), (last, 96), meter="4/4")
    assert question_answered(melody) == [answered]


def test_many_are_measured_as_one_by_one(real_melodies):
    some = real_melodies[:40]
    for measure in (
        lambda m: bars_alike(m, bars_apart=2), first_bar_returns, question_answered,
        lambda m: quarter_slope(m, 2), lambda m: quarter_height(m, 3), busier_first_half,
    ):  # fmt: skip
        np.testing.assert_allclose(
            measure(some), np.concatenate([measure(one) for one in some]), atol=1e-12
        )
