"""Note values: which printed notes last as long as a note of a melody."""

import pytest

from music.durations import DURATIONS_TICKS, is_sum_of_durations
from music.formats.note_values import (
    DOUBLE_DOTTED_TICKS,
    PLAIN_TICKS,
    TRIPLET_TICKS,
    note_values,
)
from music.metre import BAR_TICKS, METERS


@pytest.mark.parametrize(
    ("ticks", "onset", "meter", "values"),
    [
        # The longer one on the beat, and none over a stronger place than its own.
        (60, 0, "3/4", (48, 12)),
        (60, 12, "3/4", (12, 48)),
        (60, 0, "6/8", (36, 24)),
        (30, 0, "2/4", (24, 6)),
        (108, 0, "12/8", (72, 36)),
        # Groups of the metre: 5/4 is 3 + 2 quarters, 7/8 is 3 + 2 + 2 eighths.
        (120, 0, "5/4", (72, 48)),
        (84, 0, "7/8", (36, 48)),
        (60, 24, "7/8", (12, 48)),
        (144, 0, "12/8", (144,)),
        (144, 0, "3/2", (144,)),
        # A triplet is completed where it can be.
        (32, 0, "4/4", (24, 8)),
        (32, 16, "4/4", (8, 24)),
        (40, 8, "4/4", (16, 24)),
        (20, 0, "4/4", (12, 8)),
        (28, 20, "4/4", (4, 24)),
        (32, 36, "6/8", (24, 8)),
        # Odd lengths, which nobody writes, are exact all the same.
        (7, 0, "4/4", (3, 4)),
        (11, 0, "4/4", (3, 8)),
        (15, 0, "4/4", (12, 3)),
    ],
)
def test_values_by_hand(ticks, onset, meter, values):
    assert note_values(ticks, onset, meter) == values


@pytest.mark.parametrize("meter", METERS)
def test_every_duration_is_printed_exactly(meter):
    printed = {*PLAIN_TICKS, *TRIPLET_TICKS, *DOUBLE_DOTTED_TICKS}
    for onset in range(0, BAR_TICKS[meter], 7):
        for ticks in filter(is_sum_of_durations, range(1, BAR_TICKS[meter] - onset + 1)):
            values = note_values(ticks, onset, meter)
            assert sum(values) == ticks
            assert set(values) <= printed
            assert len(values) <= 6


def test_a_duration_of_the_grid_is_one_value_or_two():
    for ticks in DURATIONS_TICKS:
        assert len(note_values(ticks, 0, "12/8")) == 1 + (ticks in (30, 60, 108))
