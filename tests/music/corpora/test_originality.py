"""Originality: by hand, against a search in plain Python, and what must not matter."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from music.corpora.originality import TrainingIndex, compare_originality, originality
from music.melody import Melody


def symbols(melody):
    return [(b.pitch - a.pitch, b.duration_ticks) for a, b in pairwise(melody.notes)]


def plain_longest_run(melody, training):
    """Notes of the longest common run, by the table of all pairs of places."""
    mine, best = symbols(melody), 0
    for theirs in map(symbols, training):
        row = [0] * (len(theirs) + 1)
        for symbol in mine:
            row = [0] + [row[j] + 1 if symbol == other else 0 for j, other in enumerate(theirs)]
            best = max(best, *row)
    return best + 1 if best else 0


def plain_found_share(melody, training, n):
    def grams(of):
        return [tuple(symbols(of)[i : i + n]) for i in range(len(of.notes) - n)]

    known = {gram for strain in training for gram in grams(strain)}
    mine = grams(melody)
    return np.mean([gram in known for gram in mine]) if mine else np.nan


@pytest.fixture(scope="module")
def scale(tune):
    return tune(*[(pitch, 24) for pitch in (0, 2, 4, 5, 7, 9, 11, 12)])


@pytest.fixture(scope="module")
def broken(tune):
    # Begins as the scale does, after a note of its own, and leaves it after five notes.
    return tune((7, 24), (0, 24), (2, 24), (4, 24), (5, 24), (7, 24), (0, 48))


def test_a_run_by_hand(scale, broken, tune):
    other = tune((0, 96), (4, 96))
    index = TrainingIndex.from_melodies([other, scale], n=3)
    got = originality([broken], index)
    # Symbols of `broken`: -7, 2, 2, 1, 2 (quarters), -7 (half); those of the scale: 2 2 1 2 2 2 1.
    assert got.longest_run_notes[0] == 5
    assert got.run_start_note[0] == 1
    assert (got.training_strain[0], got.training_start_note[0]) == (1, 0)
    assert got.found_share[0] == pytest.approx(2 / 4)
    assert got.originality[0] == pytest.approx(2 / 4)


def test_training_tunes_are_found_whole_where_they_stand(real_melodies):
    index = TrainingIndex.from_melodies(real_melodies)
    got = originality(real_melodies, index)
    assert len(index) == len(real_melodies)
    assert (got.found_share == 1).all()
    assert (got.originality == 0).all()
    assert got.longest_run_notes.tolist() == [len(melody.notes) for melody in real_melodies]
    assert got.training_strain.tolist() == list(range(len(real_melodies)))
    assert not got.run_start_note.any()
    assert not got.training_start_note.any()


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_agrees_with_plain_python(n, random_melodies, real_melodies):
    training = random_melodies(12, seed=1) + real_melodies[:12]
    asked = random_melodies(12, seed=2) + real_melodies[300:312]
    got = originality(asked, TrainingIndex.from_melodies(training, n))
    runs = [plain_longest_run(melody, training) for melody in asked]
    shares = [plain_found_share(melody, training, n) for melody in asked]
    assert got.longest_run_notes.tolist() == runs
    assert got.found_share == pytest.approx(shares, nan_ok=True)
    assert 0 < np.nanmean(shares) < 1 or n == 8
    for number, melody in enumerate(asked):
        if runs[number]:
            length = runs[number] - 1
            mine = symbols(melody)[got.run_start_note[number] :][:length]
            strain = training[got.training_strain[number]]
            assert symbols(strain)[got.training_start_note[number] :][:length] == mine
        else:
            assert got.training_strain[number] == -1


def test_the_first_strain_that_has_the_run_is_named(scale, tune):
    later = tune((2, 24), (0, 24), (2, 24), (4, 24), (5, 24), (7, 72))
    index = TrainingIndex.from_melodies([later, scale, scale])
    got = originality([scale], index)
    assert got.training_strain[0] == 1


def test_no_run_crosses_from_one_strain_to_the_next(tune):
    one, two = tune((0, 96), (5, 96)), tune((0, 96), (3, 96))
    joined = tune((0, 192), (5, 96), (8, 96), bars=8)
    index = TrainingIndex.from_melodies([one, two], n=2)
    assert originality([joined], index).longest_run_notes[0] == 2


def test_no_run_crosses_from_one_asked_melody_to_the_next(scale, tune):
    closing = tune(*[(pitch, 24) for pitch in (9, 9, 9, 9, 9, 0, 2, 4)])
    opening = tune(*[(pitch, 24) for pitch in (4, 5, 7, 9, 9, 9, 9, 9)])
    got = originality([closing, opening], TrainingIndex.from_melodies([scale]))
    assert got.longest_run_notes.tolist() == [3, 4]


def test_transposed_copies_are_copies_and_slower_ones_are_not(scale, tune):
    index = TrainingIndex.from_melodies([scale], n=3)
    higher = Melody(scale.header, tuple(replace(n, pitch=n.pitch + 5) for n in scale.notes), 71)
    slower = tune(*[(pitch, 48) for pitch in (0, 2, 4, 5, 7, 9, 11, 12)], bars=8)
    got = originality([higher, slower], index)
    assert got.found_share.tolist() == [1, 0]
    assert got.longest_run_notes.tolist() == [8, 0]


def test_short_melodies_have_no_share(tune, scale):
    index = TrainingIndex.from_melodies([scale], n=8)
    got = originality([tune((0, 192)), scale], index)
    assert np.isnan(got.found_share).all()
    assert got.longest_run_notes.tolist() == [0, 8]
    assert got.training_strain.tolist() == [-1, 0]
    assert originality([tune((0, 192))], index).longest_run_notes.tolist() == [0]
    nothing = TrainingIndex.from_melodies([tune((0, 192))])
    assert originality([scale], nothing).longest_run_notes.tolist() == [0]


def test_bad_n_and_no_melodies_are_said(scale):
    with pytest.raises(ValueError, match="n=0"):
        TrainingIndex.from_melodies([scale], n=0)
    with pytest.raises(ValueError, match="no melodies"):
        TrainingIndex.from_melodies([])


def test_samples_stand_beside_held_out_tunes(real_melodies, random_melodies):
    training, held_out = real_melodies[:250], real_melodies[250:]
    index = TrainingIndex.from_melodies(training)
    table = compare_originality(training[:30] + random_melodies(30), held_out, index)
    samples, human = table["samples"], table["held_out"]
    assert samples["melodies"] == 60
    assert samples["longest_run_notes_max"] == max(len(m.notes) for m in training[:30])
    assert 0.4 < samples["half_copied_share"] <= 0.6
    assert human["half_copied_share"] < 0.3
    assert human["originality"] > 0.7 > samples["originality"] > 0.3
    assert human["found_share"] + human["originality"] == pytest.approx(1)
    assert 0 < human["originality_standard_error"] < 0.05
