"""Strains under other headers: what changes, what stays, and that all headers come up."""

from collections import Counter

import numpy as np
import pytest
from reheading import moved_pitch, random_header, reheaded, reheaded_strains

from music.melody import MODE_SCALES, MODES, Header, Melody, Note
from music.metre import METERS

SCALE = Melody(
    Header("4/4", "major", "reel", 2),
    tuple(Note(24 * place, 24, pitch) for place, pitch in enumerate((0, 2, 4, 5, 7, 9, 11, 12))),
)


def notes(melody):
    return [(note.onset_ticks, note.duration_ticks, note.pitch) for note in melody.notes]


def test_the_same_header_gives_the_same_melody():
    assert reheaded([SCALE], SCALE.header) == SCALE


def test_a_mode_is_the_same_degrees_of_another_scale():
    minor = reheaded([SCALE], Header("4/4", "minor", "reel", 2))
    assert [note.pitch for note in minor.notes] == [*MODE_SCALES["minor"], 12]
    assert moved_pitch(6, "major", "minor") == 6  # a raised fourth stays one
    assert moved_pitch(-1, "major", "minor") == -2


def test_bars_are_joined_divided_lengthened_and_cut():
    halves = reheaded([SCALE], Header("2/4", "major", "reel", 4))
    assert notes(halves) == notes(SCALE)
    longer = reheaded([SCALE], Header("5/4", "major", "reel", 2))
    assert notes(longer)[2:5] == [(48, 24, 4), (72, 48, 5), (120, 24, 7)]
    shorter = reheaded([SCALE], Header("7/8", "major", "reel", 2))
    assert notes(shorter)[2:5] == [(48, 24, 4), (72, 12, 5), (84, 24, 7)]
    triple = Melody(Header("3/4", bars=4), tuple(Note(72 * bar, 72, bar) for bar in range(4)))
    assert notes(reheaded([triple], Header("6/4", bars=2))) == notes(triple)


def test_the_last_bars_are_kept_and_repeated_as_often_as_needed():
    twice = reheaded([SCALE], Header("4/4", "major", "reel", 4))
    assert [note.pitch for note in twice.notes] == 2 * [note.pitch for note in SCALE.notes]
    three = reheaded([SCALE], Header("4/4", "major", "reel", 3))
    assert [note.pitch for note in three.notes] == [7, 9, 11, 12, 0, 2, 4, 5, 7, 9, 11, 12]


def test_a_pickup_is_what_stands_before():
    picked = reheaded([SCALE], Header("4/4", "major", "reel", 3, 24))
    assert notes(picked)[:2] == [(-24, 24, 5), (0, 24, 7)]
    assert picked.notes[-1] == Note(24 * 10, 24, 11)


@pytest.fixture(scope="module")
def many():
    triple = Melody(Header("3/4", bars=4), tuple(Note(72 * bar, 72, bar) for bar in range(4)))
    compound = Melody(Header("6/8", bars=4), tuple(Note(72 * bar, 72, bar) for bar in range(4)))
    strains = [(0, SCALE), (1, triple), (2, compound)]
    return reheaded_strains(strains, 600, np.random.default_rng(0))


def test_every_metre_and_mode_comes_up_and_short_melodies_oftener(many):
    assert len(many) == 600
    meters = Counter(melody.header.meter for melody in many)
    assert meters.keys() == {*METERS}
    assert min(meters.values()) > 15
    assert {melody.header.mode for melody in many} == {*MODES}
    bars = Counter(melody.header.bars for melody in many)
    assert bars[2] > bars[8] > bars[32] > 0
    assert len({melody.header.pickup_ticks for melody in many}) > 10


def test_headers_are_random_but_the_same_for_the_same_seed():
    first, again, other = (
        [random_header(np.random.default_rng(seed), "reel", 0) for _ in range(3)]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
