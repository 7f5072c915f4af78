"""Likings written from notes: what each minds, and what no feature can tell."""

from dataclasses import replace

import numpy as np
import pytest

from music.note_table import note_table
from reward.listeners.note_tastes import (
    best_agreement,
    darkness,
    fastest_passage,
    own_liking,
    pace,
)


def test_a_tune_with_minor_notes_is_darker(tune):
    minor, neither, major = (
        tune((0, 24), (third, 24), (7, 24), (sixth, 24), (7, 24), (third, 24), (0, 48))
        for third, sixth in ((3, 8), (5, 7), (4, 9))
    )
    dark = darkness(note_table([minor, neither, major]))
    assert dark[0] > 0.5
    assert dark[1] == 0
    assert dark[2] < -0.5


def test_thirds_on_the_beat_weigh_more_and_the_header_nothing(tune):
    on, off = (tune((first, 12), (second, 12), (0, 168)) for first, second in ((3, 0), (0, 3)))
    assert darkness(note_table(on)) > darkness(note_table(off))
    said = replace(on, header=replace(on.header, mode="locrian"))
    assert darkness(note_table(said)) == darkness(note_table(on))


def test_pace_is_notes_a_second(tune):
    """A quarter lasts .4 s: quarters are 2.5 notes a second, eighths 5, whatever the end."""
    quarters = tune(*[(0, 24)] * 6, (0, 48))
    eighths = tune(*[(0, 12)] * 12, (0, 48))
    assert pace(note_table([quarters, eighths])) == pytest.approx(np.log2([2.5, 5.0]))
    assert pace(note_table(tune((0, 192)))) == pytest.approx([0])


def test_the_fastest_passage_is_found_wherever_it_is(tune):
    """Eight sixteenths in half a bar are ten notes a second."""
    early, late = ([(0, 6)] * 8, [(0, 24)] * 6), ([(0, 24)] * 6, [(0, 6)] * 8)
    melodies = [tune(*first, *then) for first, then in (early, late)]
    together = fastest_passage(note_table(melodies))
    assert together == pytest.approx(np.log2([10.0, 10.0]))
    assert [fastest_passage(note_table(one))[0] for one in melodies] == pytest.approx(together)


def test_a_melody_is_liked_for_itself(random_melodies):
    melodies = random_melodies(150)
    liked = own_liking(note_table(melodies), 3)
    alone = [own_liking(note_table(one), 3)[0] for one in melodies[:5]]
    np.testing.assert_array_equal(liked[:5], alone)
    other = own_liking(note_table(melodies), 4)
    assert abs(np.corrcoef(liked, other)[0, 1]) < 0.3, "another listener"
    changed = replace(
        melodies[0],
        notes=(
            replace(melodies[0].notes[0], pitch=melodies[0].notes[0].pitch ^ 1),
            *melodies[0].notes[1:],
        ),
    )
    assert own_liking(note_table(changed), 3) != liked[0]
    moved = replace(melodies[0], tonic_midi=60, header=replace(melodies[0].header, style="reel"))
    assert own_liking(note_table(moved), 3) == liked[0], "it is the notes that are liked"


@pytest.mark.parametrize(("share", "best"), [(0.0, 1.0), (0.5, 0.75), (0.75, 2 / 3), (1.0, 0.5)])
def test_the_best_agreement_is_sheppards(share, best):
    assert best_agreement(share) == pytest.approx(best)
