import numpy as np
import pytest
from rl_tuner_metrics import (
    AS_CODED,
    METRICS,
    event_autocorrelation,
    events,
    repeated_events,
)

from music.note_table import note_table

pytestmark = pytest.mark.slow

METRIC = {metric.name: metric for metric in METRICS}
PUBLISHED_IMPROVED = {
    "excessively_repeated", "starts_on_tonic", "leaps_resolved", "unique_minimum", "in_motif",
    "in_repeated_motif", "autocorrelation_1", "autocorrelation_2", "autocorrelation_3",
}  # fmt: skip


def ratio(name, *melodies):
    top, bottom = METRIC[name].measure(note_table(melodies))
    return top.sum() / bottom.sum()


def test_what_the_authors_improved():
    assert {metric.name for metric in METRICS if metric.was_improved} == PUBLISHED_IMPROVED
    assert METRIC.keys() - PUBLISHED_IMPROVED == {"not_in_key", "unique_maximum"}


def test_shares_are_of_all_notes_together(tune):
    """One wrong note of 1, none of 15: 1 in 16, and not the half that a mean of shares gives."""
    wrong = tune((1, 192))
    right = tune(*[(0, 12)] * 14, (0, 24))
    assert ratio("not_in_key", wrong, right) == 1 / 16
    assert ratio("excessively_repeated", wrong, right) == 10 / 16
    assert ratio("starts_on_tonic", wrong, right) == 1 / 2


def test_leaps_are_of_all_leaps_together(tune):
    """0 9 0 resolves one, 0 8 16 doubles one and leaves it: 1 of 2; one without leaps adds none."""
    resolved = tune((0, 96), (9, 48), (5, 24), (0, 24))
    doubled = tune((0, 96), (8, 48), (16, 48))
    none = tune((0, 96), (2, 96))
    assert ratio("leaps_resolved", resolved, doubled, none) == 1 / 2


def test_motifs_reach_their_ceiling_and_no_more(tune):
    """The same bar of three pitches four times: 25 of 32 sixteenths, and 17 of 32 repeated."""
    best = tune(*[(pitch, 12) for pitch in (0, 2, 4, 0) * 4])
    for name, share in (("in_motif", 25 / 32), ("in_repeated_motif", 17 / 32)):
        ceiling = METRIC[name].ceiling
        assert ceiling is not None
        assert ratio(name, best) == share == ceiling(32)


# By the letter of their code


def test_events_by_hand(tune):
    """A quarter and an eighth, an eighth rest, a sixteenth triplet of which one gets no event."""
    melody = tune(
        (0, 24), (2, 12), (None, 12), (4, 4), (5, 4), (7, 4), (12, 12), (None, 24), (0, 96)
    )
    (row,) = events(note_table(melody))
    assert len(row) == 32
    assert row[:16] == [14, 1, 1, 1, 16, 1, 0, 1, 19, 21, 26, 1, 0, 1, 1, 1]
    assert row[16:] == [14, *[1] * 15]


def test_a_pickup_comes_first(tune):
    (row,) = events(note_table(tune((7, 12), (0, 180), pickup_ticks=12)))
    assert row[:3] == [21, 1, 14]


def test_autocorrelation_of_events_by_hand(tune):
    """Eighths on one pitch: note and hold by turns, -31/32 and 30/32, though nothing moves."""
    table = note_table(tune(*[(5, 12)] * 16))
    assert event_autocorrelation(table, 1)[0] == pytest.approx(-31 / 32)
    assert event_autocorrelation(table, 2)[0] == pytest.approx(30 / 32)


@pytest.mark.parametrize(
    ("notes", "too_many"),
    [
        # one note over 32 sixteenths: 31 holds, of which five have at most four before
        ([(0, 192)], 26),
        # sixteenths on one pitch: those after more than four
        ([(0, 6)] * 32, 27),
        # eighths on one pitch, with holds between: those after more than six
        ([(0, 12)] * 16, 9),
        # quarters of other pitches by turns: nothing is repeated
        ([(0, 24), (2, 24)] * 4, 0),
        # a long rest is one event and holds; holds before it count, but six may be
        ([(0, 24), (None, 24), (2, 144)], 18),
    ],
)
def test_what_their_code_calls_repeated(tune, notes, too_many):
    top, bottom = repeated_events(note_table(tune(*notes)))
    assert (top[0], bottom[0]) == (too_many, 32)


def test_every_metric_is_a_ratio_of_finite_sums(random_melodies):
    table = note_table(random_melodies(40))
    for metric in (*METRICS, *AS_CODED):
        top, bottom = metric.measure(table)
        assert top.shape == bottom.shape == (40,)
        assert np.isfinite(top).all()
        assert (bottom >= 0).all()
        if metric.is_share:
            assert ((top >= 0) & (top <= bottom)).all()
