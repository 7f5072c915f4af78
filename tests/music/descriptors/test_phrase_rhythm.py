"""Rhythm of phrases, on tunes where the answer can be counted on the fingers."""

from dataclasses import replace

import numpy as np
import pytest

from music.descriptors.phrase_rhythm import (
    answers_end_in_one_rhythm,
    answers_end_longer,
    answers_in_rhythm,
    busier_answers,
    longest_note_position,
    phrase_end_length,
    phrase_start_length,
    phrases_slow_down,
    upbeat_share,
)
from music.note_table import note_table

ALL = (
    *(phrase_end_length, answers_end_longer, busier_answers, phrases_slow_down),
    *(
        answers_in_rhythm,
        answers_end_in_one_rhythm,
        phrase_start_length,
        upbeat_share,
        longest_note_position,
    ),
)
# Four bars of 4/4, so each is a phrase: quarters, and twice or four times as long.
BARS = ((24, 24, 48), (24, 24, 24, 24), (48, 48), (96,))


@pytest.fixture
def rhythm(tune):
    """A melody of one pitch, from the lengths of its notes by bar; negative for rests."""

    def write(*bars, meter="4/4", pickup_ticks=0):
        lengths = [ticks for bar in bars for ticks in bar]
        notes = [(0 if ticks > 0 else None, abs(ticks)) for ticks in lengths]
        return tune(*notes, meter=meter, bars=4, pickup_ticks=pickup_ticks)

    return write


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        # Beside a quarter the ten notes' log2 lengths are six 0, three 1 and one 2: mean 1/2.
        (phrase_end_length, (1 + 0 + 1) / 3 - 0.5),
        (answers_end_longer, ((0 - 1) + (2 - 1)) / 2),
        # Of 3 and 4 notes two are at one place and of one length, of 2 and 1 none.
        (answers_in_rhythm, 2 * 2 / (3 + 4 + 2 + 1)),
        (busier_answers, (4 + 1 - 3 - 2) / 10),
        # In the first halves of the bars 2, 2, 1, 1 notes; in the second 1, 2, 1, 0.
        (phrases_slow_down, (6 - 4) / 10),
        (answers_end_in_one_rhythm, 0.0),
        (phrase_start_length, (0 + 0 + 1 + 2) / 4 - 0.5),
        (upbeat_share, 0.0),
        (longest_note_position, 1.0),
    ],
)
def test_by_hand(rhythm, measure, value):
    assert measure(rhythm(*BARS)) == pytest.approx([value])


def test_answers_are_compared_where_they_end(rhythm):
    """The second halves of bars 2 and 4 share one onset of two and two."""
    melody = rhythm((96,), (48, 24, 24), (96,), (48, 36, 12))
    assert answers_end_in_one_rhythm(melody) == pytest.approx([2 * 1 / (2 + 2)])


def test_a_rest_at_the_end_of_a_phrase_is_heard_as_a_long_note(rhythm):
    held = rhythm((24, 24, 48), (48, 48), (48, 48), (24, 24, 48))
    left = rhythm((24, 24, 24, -24), (48, 24, -24), (48, 12, -36), (24, 24, 12, -36))
    for measure in ALL:
        assert measure(left) == pytest.approx(measure(held)), measure.__name__


def test_a_note_less_than_a_beat_before_a_phrase_leads_into_it(rhythm):
    upbeat = rhythm((72, 12, 12), (72, 12, 12), (72, 24), (72, 12, 12))
    assert upbeat_share(upbeat) == pytest.approx([2 / 3])


def test_a_pickup_is_in_no_phrase(rhythm):
    plain = rhythm((24, 24, 48), (48, 48), (24, 24, 48), (48, 24, -24))
    with_pickup = rhythm((24,), (24, 24, 48), (48, 48), (24, 24, 48), (48, 24), pickup_ticks=24)
    for measure in (answers_end_longer, busier_answers, phrases_slow_down, upbeat_share):
        quiet = measure(plain)
        if measure is answers_end_longer:  # its last note is cut short by the end, from 48 to 24
            quiet = quiet - 0.5
        assert measure(with_pickup) == pytest.approx(quiet), measure.__name__


def test_of_equally_long_notes_the_last_counts(rhythm):
    melody = rhythm((48, 48), (24, 24, 24, 24), (24, 24, 48), (24, 24, 24, 24))
    assert longest_note_position(melody) == pytest.approx([3 / 4])


def test_a_phrase_without_a_note_is_not_compared(rhythm, tune):
    silent = rhythm((96,), (96,), (-96,), (96,))
    assert np.isnan(answers_end_longer(silent)).all()
    # The rest belongs to the second phrase's note, which lasts twice as long as the other two.
    assert phrase_end_length(silent) == pytest.approx([(0 + 1) / 2 - 1 / 3])
    two_bars = tune((0, 48), (0, 48), bars=2)  # has a first and a third phrase
    assert np.isnan(answers_end_longer(two_bars)).all()
    assert np.isfinite(phrase_end_length(two_bars)).all()


def test_pitch_and_company_do_not_matter(random_melodies):
    melodies = random_melodies(60)
    flat = [
        replace(one, notes=tuple(replace(note, pitch=0) for note in one.notes)) for one in melodies
    ]
    for measure in ALL:
        together = measure(note_table(melodies))
        np.testing.assert_allclose(measure(flat), together)
        np.testing.assert_allclose([measure(one)[0] for one in melodies], together)
