"""Bits a note of tunes, their standard error, and when held-out tunes cannot tell a gain."""

import math

import numpy as np
import pytest

from policy.pretraining.held_out import (
    FEW_TUNES,
    Bits,
    HeldOut,
    bits_of_rows,
    bits_per_note,
    measure,
    verdict,
)
from tests.policy.test_pretrain import few  # noqa: F401  (a fixture)


def tunes(bits, notes) -> Bits:
    return Bits(np.array(bits, float), np.array(notes, float))


def test_the_standard_error_of_a_ratio_by_hand():
    """Bits 20 and 40 of 10 notes each: 3 a note; residuals -10 and 10; sqrt(200 * 2 / 1) / 20."""
    found = tunes([20, 40], [10, 10])
    assert found.per_note == 3
    assert found.standard_error == pytest.approx(1.0)
    assert tunes([20], [10]).standard_error == math.inf


def test_long_tunes_count_as_their_notes():
    assert tunes([10, 90], [10, 30]).per_note == pytest.approx(2.5)


def test_the_error_of_a_gain_is_that_of_paired_tunes():
    """Tunes differ much, the gain hardly: it is told, although the figures overlap."""
    rng = np.random.default_rng(0)
    notes = np.full(40, 50.0)
    hard = rng.uniform(1, 5, 40) * notes
    before, after = Bits(hard, notes), Bits(hard - notes * rng.uniform(0.05, 0.15, 40), notes)
    gain, error = after.gain_over(before)
    assert gain == pytest.approx(0.1, abs=0.02)
    assert error < 0.01 < before.standard_error
    tells, said = verdict(before, after)
    assert tells
    assert f"on 40 test tunes, {gain:.2f} ± {error:.2f} below" in said


@pytest.mark.parametrize("count", [1, 2, FEW_TUNES - 1])
def test_few_tunes_cannot_tell_and_that_is_said(count):
    before, after = tunes([200.0] * count, [50] * count), tunes([100.0] * count, [50] * count)
    tells, said = verdict(before, after)
    assert not tells
    assert "too few tunes to tell" in said
    assert "inf" not in said


def test_a_gain_within_chance_is_not_told_by_many_tunes_either():
    rng = np.random.default_rng(0)
    notes = np.full(100, 50.0)
    before = Bits(rng.uniform(100, 200, 100), notes)
    after = Bits(before.bits_N + rng.normal(0, 5, 100), notes)
    tells, said = verdict(before, after)
    assert not tells
    assert "too few tunes to tell a difference of less than" in said


def test_bits_of_tunes_add_up_to_those_of_all_rows(tiny_policy, few):  # noqa: F811
    rows = few.token_rows("validation")
    held = HeldOut(rows, [("books", place // 3) for place in range(len(rows))])
    found = measure(tiny_policy, held)
    assert len(found.notes_N) == held.tune_count == -(-len(rows) // 3)
    assert found.per_note == pytest.approx(bits_per_note(tiny_policy, rows), rel=1e-5)
    bits, notes = bits_of_rows(tiny_policy, rows[3:6])
    assert found.bits_N[1] == pytest.approx(bits.sum(), rel=1e-5)
    assert found.notes_N[1] == notes.sum()
