"""Diversity: Vendi scores with known answers, and what must not matter."""

from dataclasses import replace

import numpy as np
import pytest

from music.corpora.diversity import similarity_matrix, vendi_at, vendi_of_similarity, vendi_score
from music.melody import TONIC_MIDI_MAX


@pytest.fixture(scope="module")
def strangers(tune):
    """Four melodies that share no interval of the same duration."""
    return [
        tune(*[(pitch, 24) for pitch in (0, 1, 2, 3, 4, 5, 6, 7)]),
        tune(*[(pitch, 12) for pitch in (2, 4) * 8]),
        tune(*[(5, 48)] * 4),
        tune((12, 192)),
    ]


def test_copies_are_worth_one(tune):
    melody = tune((0, 24), (4, 24), (7, 48), (0, 96))
    assert vendi_score([melody] * 7) == pytest.approx(1)


def test_strangers_are_worth_their_number(strangers):
    assert similarity_matrix(strangers) == pytest.approx(np.eye(4))
    assert vendi_score(strangers) == pytest.approx(4)
    assert vendi_score([*strangers, *strangers]) == pytest.approx(4)


def test_uneven_groups_by_hand(strangers):
    # Three of one and one of another: eigenvalues 3/4 and 1/4.
    expected = np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert vendi_score([strangers[0]] * 3 + [strangers[1]]) == pytest.approx(expected)


def test_two_half_alike_by_hand():
    # Eigenvalues of [[1, r], [r, 1]] / 2 are (1 ± r) / 2.
    shares = np.array([0.75, 0.25])
    got = vendi_of_similarity(np.array([[1, 0.5], [0.5, 1]]))
    assert got == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))


def test_likeness_by_hand(tune):
    # Symbols: (0,48) (2,48) (2,48) (2,48) and (0,48) (2,48) (2,48) (-2,48).
    one = tune((0, 48), (2, 48), (4, 48), (6, 48))
    two = tune((0, 48), (2, 48), (4, 48), (2, 48))
    singles = (1 * 1 + 3 * 2) / np.sqrt(10 * 6)
    pairs = (1 * 1 + 2 * 1) / np.sqrt(5 * 3)
    triples = 1 / np.sqrt(2 * 2)
    assert similarity_matrix([one, two])[0, 1] == pytest.approx((singles + pairs + triples) / 3)


def test_likeness_is_positive_semidefinite_with_a_unit_diagonal(random_melodies, tune):
    melodies = [*random_melodies(150), tune((0, 192)), tune((0, 96), (2, 96))]
    likeness = similarity_matrix(melodies)
    assert np.diag(likeness) == pytest.approx(np.ones(len(melodies)))
    assert np.array_equal(likeness, likeness.T)
    assert likeness.min() >= 0
    assert np.linalg.eigvalsh(likeness)[0] > -1e-9


def test_order_and_tonic_do_not_matter(real_melodies):
    melodies = real_melodies[:60]
    moved = [replace(melody, tonic_midi=TONIC_MIDI_MAX) for melody in reversed(melodies)]
    assert vendi_score(moved) == pytest.approx(vendi_score(melodies))


def test_collapse_shows(real_melodies):
    varied = real_melodies[:64]
    collapsed = varied[:8] * 8
    assert vendi_score(collapsed) < 8
    assert vendi_score(varied) > 2 * vendi_score(collapsed)


def test_the_score_grows_with_the_sample_so_sizes_are_fixed(real_melodies):
    small, spread = vendi_at(real_melodies, 32, draws=6)
    large, _ = vendi_at(real_melodies, 128, draws=6)
    assert 1 < small < large < 128
    assert 0 < spread < 0.2 * small
    assert vendi_at(real_melodies, 32, draws=6) == (small, spread)
    assert vendi_at(real_melodies, 32, draws=6, seed=1) != (small, spread)
    assert vendi_at(real_melodies[:32], 32) == (pytest.approx(vendi_score(real_melodies[:32])), 0)


def test_too_few_melodies_are_said(strangers):
    with pytest.raises(ValueError, match="there are 4 melodies for a Vendi score at 5"):
        vendi_at(strangers, 5)
    with pytest.raises(ValueError, match="draws=0"):
        vendi_at(strangers, 2, draws=0)
    with pytest.raises(ValueError, match="no melodies"):
        vendi_score([])
