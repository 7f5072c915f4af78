"""Durations of several tokens: one split each, and what begins it decides what may continue it."""

from itertools import combinations_with_replacement, permutations

import pytest

from music.durations import DURATIONS_TICKS, SPLITS_TICKS, continuations, is_sum_of_durations
from music.metre import BAR_TICKS, BEAT_TICKS, GROUPS_TICKS, MAX_BAR_TICKS


@pytest.mark.parametrize(
    ("ticks", "split"),
    [
        (3, (3,)),
        (7, (4, 3)),
        (10, (6, 4)),
        (15, (12, 3)),
        (20, (16, 4)),  # not 12 + 8: its first token is shorter
        (23, (16, 4, 3)),
        (84, (72, 12)),
        (95, (72, 16, 4, 3)),
        (120, (108, 12)),
        (144, (108, 36)),
    ],
)
def test_splits_by_hand(ticks, split):
    assert SPLITS_TICKS[ticks] == split


def test_only_one_two_and_five_ticks_are_no_sum():
    without = [ticks for ticks in range(1, MAX_BAR_TICKS + 1) if not is_sum_of_durations(ticks)]
    assert without == [1, 2, 5]
    assert not is_sum_of_durations(0)
    assert not is_sum_of_durations(-3)


def test_a_split_is_the_best_of_all_sums():
    """Against all ways to write a duration in up to four tokens."""
    best = {}
    for count in range(4, 0, -1):
        found = {}
        for some in combinations_with_replacement(DURATIONS_TICKS, count):
            if sum(some) <= MAX_BAR_TICKS:
                most = max(permutations(some))
                found[sum(some)] = max(most, found.get(sum(some), ()))
        best |= found
    assert {0: (), **best} == SPLITS_TICKS


def test_a_token_continues_a_segment_exactly_where_some_split_goes_on_so():
    prefixes = {
        (split[:count], split[count])
        for split in SPLITS_TICKS.values()
        for count in range(len(split))
    }
    for lasted, begun in SPLITS_TICKS.items():
        assert {(begun, d) for d in continuations(lasted)} == {
            (one, d) for one, d in prefixes if one == begun
        }
    assert {begun for begun, _ in prefixes} <= set(SPLITS_TICKS.values())


def test_every_metre_has_whole_beats_and_its_groups_fill_the_bar():
    for meter, bar_ticks in BAR_TICKS.items():
        number, unit = map(int, meter.split("/"))
        assert bar_ticks == number * 96 // unit
        assert bar_ticks % BEAT_TICKS[meter] == 0
        assert sum(GROUPS_TICKS[meter]) == bar_ticks
