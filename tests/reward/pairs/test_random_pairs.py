"""Random pairs and hidden repeats."""

from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward.pairs.random_pairs import PairingError, random_pairs, with_repeats
from reward.store.pool import PlannedPair


def appearances(pairs):
    return Counter(melody for pair in pairs for melody in pair)


@given(size=st.integers(2, 25), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_pairs_are_distinct_and_balanced_in_every_beginning(size, share, seed):
    ids = [100 + 3 * number for number in range(size)]
    count = round(share * size * (size - 1) / 2)
    pairs = random_pairs(ids, count, Random(seed))
    assert len({frozenset(pair) for pair in pairs}) == count
    assert all(a != b and {a, b} <= set(ids) for a, b in pairs)
    heard = Counter(dict.fromkeys(ids, 0))
    for pair in pairs:
        heard.update(pair)
        assert max(heard.values()) - min(heard.values()) <= 1


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_groups_never_mix_and_are_balanced_inside(sizes, share, seed):
    group_of = dict(enumerate(g for g, size in enumerate(sizes) for _ in range(size)))
    most = sum(size * (size - 1) // 2 for size in sizes)
    pairs = random_pairs(list(group_of), round(share * most), Random(seed), group=group_of.get)
    assert len({frozenset(pair) for pair in pairs}) == round(share * most)
    assert all(group_of[a] == group_of[b] for a, b in pairs)
    heard = appearances(pairs)
    for group in range(len(sizes)):
        counts = [heard[i] for i in group_of if group_of[i] == group]
        assert max(counts) - min(counts) <= 1


def test_what_was_asked_already_is_not_drawn_again():
    taken = [(0, 1), (3, 2), (0, 9), (50, 51)]  # either way round, across groups, of no melody here
    group_of = dict.fromkeys(range(5), "A") | dict.fromkeys(range(5, 10), "B")
    pairs = random_pairs(list(group_of), 18, Random(0), group=group_of.get, taken=taken)
    assert len({frozenset(pair) for pair in pairs}) == 18
    assert not {frozenset(pair) for pair in pairs} & {frozenset(pair) for pair in taken}
    with pytest.raises(PairingError, match=r"count=19 is not within 0\.\.18, the pairs that are"):
        random_pairs(list(group_of), 19, Random(0), group=group_of.get, taken=taken)


def test_groups_share_by_size():
    pairs = random_pairs(range(60), 30, Random(0), group=lambda i: i < 20)
    assert Counter(a < 20 for a, _ in pairs) == {True: 10, False: 20}
    assert set(appearances(pairs).values()) == {1}
    assert {a < 20 for a, _ in pairs[:10]} == {True, False}, "groups are mixed in the plan"


def test_all_pairs_and_both_orders_are_equally_likely():
    draws = 4000
    seen = Counter(random_pairs(range(5), 1, Random(seed))[0] for seed in range(draws))
    assert len(seen) == 20
    expected = draws / 20
    chi_squared = sum((count - expected) ** 2 / expected for count in seen.values())
    assert chi_squared < 43.8  # 99.9 % of chi-squared with 19 degrees of freedom


def test_pairing_repeats_itself_under_the_same_seed():
    def pair(seed):
        return random_pairs(range(9), 20, np.random.default_rng(seed))

    assert pair(3) == pair(3) != pair(4)
    pairs = pair(3)
    plans = [with_repeats(pairs, share=0.3, gap=3, rng=np.random.default_rng(s)) for s in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]


@pytest.mark.parametrize(
    ("ids", "count", "message"),
    [
        ([1, 2, 3], 4, r"count=4 is not within 0\.\.3"),
        ([1, 2, 3], -1, "count=-1"),
        ([1], 1, r"0\.\.0"),
        ([1, 2, 1], 1, "melody 1 is given twice"),
    ],
)
def test_pairs_that_cannot_be_had(ids, count, message):
    with pytest.raises(PairingError, match=message):
        random_pairs(ids, count, Random(0))


def test_nothing_is_paired_with_nothing():
    assert random_pairs([], 0, Random(0)) == []
    assert with_repeats([], rng=Random(0)) == []


@given(
    count=st.integers(0, 60),
    share=st.floats(0, 0.5),
    gap=st.integers(1, 15),
    seed=st.integers(0, 99),
)
def test_repeats_are_swapped_late_and_once(count, share, gap, seed):
    pairs = [(number, 1000 + number) for number in range(count)]
    plan = with_repeats(pairs, share=share, gap=gap, rng=Random(seed))
    firsts = [planned for planned in plan if planned.purpose == "train"]
    assert [(planned.melody_a, planned.melody_b) for planned in firsts] == pairs
    assert all(planned.repeat_of is None for planned in firsts)
    originals = []
    for place, planned in enumerate(plan):
        if planned.purpose == "repeat":
            original = plan[planned.repeat_of]
            assert place - planned.repeat_of >= gap
            assert original == PlannedPair(planned.melody_b, planned.melody_a)
            originals.append(planned.repeat_of)
    assert len(set(originals)) == len(originals) == len(plan) - count
    assert len(originals) == min(round(count * share / (1 - share)), max(0, count - gap))


def test_one_in_ten_is_repeated_at_places_that_nobody_can_foresee():
    pairs = [(number, 1000 + number) for number in range(90)]
    places = Counter()
    for seed in range(200):
        plan = with_repeats(pairs, share=0.1, gap=10, rng=Random(seed), purpose="blind_test")
        assert {planned.purpose for planned in plan} == {"blind_test", "repeat"}
        repeats = [place for place, planned in enumerate(plan) if planned.repeat_of is not None]
        assert len(repeats) == 10
        assert max(np.diff([10, *repeats])) <= 18, "spread over the whole plan"
        places.update(repeats)
    assert set(places) == set(range(10, 100))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"share": 0.6}, r"share=0\.6"), ({"share": -0.1}, "share"), ({"gap": 0}, "gap=0")],
)
def test_repeats_that_cannot_be_planned(wrong, message):
    with pytest.raises(PairingError, match=message):
        with_repeats([(1, 2)], rng=Random(0), **wrong)
