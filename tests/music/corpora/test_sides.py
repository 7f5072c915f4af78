"""Which tunes are held out: enough of a small corpus, a twentieth of a large one, groups whole."""

from collections import Counter

import pytest

from music.corpora.sides import held_out_tunes, split_groups


@pytest.mark.parametrize(
    ("tunes", "held_out"),
    [(1, 1), (5, 1), (11, 2), (30, 3), (99, 10), (100, 10), (200, 10), (1000, 50), (8000, 400)],
)
def test_how_many_are_held_out(tunes, held_out):
    assert held_out_tunes(tunes) == held_out


def names(groups):
    return {group: f"tune {group}".encode() for group in groups}


@pytest.mark.parametrize("tunes", [3, 4, 10, 60, 300, 2000])
def test_each_side_gets_its_share(tunes):
    sides = split_groups(range(tunes), names(range(tunes)))
    counts = Counter(sides.values())
    assert counts[1] == counts[2] == held_out_tunes(tunes)
    assert counts[0] == tunes - counts[1] - counts[2] > 0


def test_of_two_groups_one_is_the_test_and_one_group_is_trained_on():
    assert sorted(split_groups([0, 1], names([0, 1])).values()) == [0, 2]
    assert split_groups([0, 0, 0], names([0])) == {0: 0}


def test_a_group_of_many_tunes_is_trained_on():
    groups = [0] * 50 + list(range(1, 51))
    for name in range(20):
        sides = split_groups(groups, names(range(51)) | {0: f"other {name}".encode()})
        assert sides[0] == 0
        assert Counter(sides.values())[2] == 10


def test_most_tunes_keep_their_side_when_others_come():
    before = split_groups(range(300), names(range(300)))
    after = split_groups(range(330), names(range(330)))
    assert sum(before[group] == after[group] for group in before) > 290


def test_the_order_of_the_tunes_does_not_matter():
    groups = list(range(100))
    assert split_groups(groups, names(groups)) == split_groups(groups[::-1], names(groups))
