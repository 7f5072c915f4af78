"""How much listening a vote may claim: by hand, and in the store."""

from datetime import UTC, datetime, timedelta

import pytest

from reward.store.heard_time import fits
from reward.store.schema import HEARD_TIME
from reward.store.store import RatingsStore
from reward.store.votes import Answer

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("issued_s", "heard_ms", "others", "fit"),
    [
        (0, 8000, [], True),
        (0, 10_000, [], True),
        (0, 10_340, [], True),  # a second of slack in a hundred, and a quarter of one
        (0, 10_360, [], False),
        (9.5, 8000, [], False),
        (12, 0, [], True),  # the clock went back: nothing claimed is nothing false
        (12, 300, [], False),
        # Another pair that was heard before this one was issued takes nothing from it.
        (6, 4000, [(0, 6000)], True),
        # Two at once: each fits, both do not.
        (1, 8000, [(0, 8000)], False),
        (0, 8000, [(1, 8000)], False),
        (0, 8000, [(0, 8000)], False),
        (2, 5000, [(0, 5000)], True),
        # The newest two take no more than there is, but all three do.
        (4, 3000, [(3, 3000), (0, 5000)], False),
        (4, 3000, [(3, 3000), (0, 4000)], True),
    ],
)
def test_what_fits_into_ten_seconds(issued_s, heard_ms, others, fit):
    shown = [(at(seconds), ms) for seconds, ms in others]
    assert fits(at(issued_s), heard_ms, shown, now=at(10)) is fit


@pytest.fixture
def store(ratings_url):
    with RatingsStore(ratings_url) as store:
        yield store


@pytest.fixture
def pairs(store, random_melodies):
    ids = store.add_melodies(random_melodies(8), policy_id="p", sampler="t", seed=1)
    store.add_comparisons(list(zip(ids[::2], ids[1::2], strict=True)), round=1)


def answer(nonce, heard_ms=4000, outcome="left"):
    return Answer(outcome=outcome, nonce=nonce, heard_ms_left=heard_ms, heard_ms_right=heard_ms)


def test_a_vote_that_claims_too_much_is_kept_and_not_counted(store, pairs):
    rater = store.add_rater("Ada")
    for number, waits_s in enumerate((0.5, 8.0, 0.5)):
        issued_at = at(100 * number)
        pair = store.issue(rater.id, now=issued_at)
        cast_at = issued_at + timedelta(seconds=waits_s)
        receipt = store.vote(pair.assignment_id, answer(f"n{number}"), now=cast_at, from_page=True)
        assert receipt.set_aside == (None if waits_s == 8 else HEARD_TIME)
    votes = store.votes_frame()
    assert votes["set_aside"].isna().tolist() == [False, True, False]
    again = store.vote(pair.assignment_id, answer("n2"), now=at(900), from_page=True)
    assert again.duplicate, "waiting and sending it again makes it no better"
    assert len(store.votes_frame(current_only=False)) == 3


def test_what_programs_store_is_not_held_against_the_time(store, pairs):
    listener = store.add_rater("listener", kind="simulated")
    pair = store.issue(listener.id)
    assert store.vote(pair.assignment_id, answer("n")).set_aside is None


def test_a_skip_that_claims_nothing_is_as_good_as_any(store, pairs):
    rater = store.add_rater("Ada")
    pair = store.issue(rater.id, now=NOON)
    receipt = store.vote(
        pair.assignment_id, answer("n", heard_ms=0, outcome="skip"), now=NOON, from_page=True
    )
    assert receipt.set_aside is None


def test_a_false_vote_takes_no_time_from_an_honest_one(store, pairs):
    rater = store.add_rater("Ada")
    pair = store.issue(rater.id, now=NOON)
    store.vote(pair.assignment_id, answer("lie", heard_ms=10**6), now=at(1), from_page=True)
    pair = store.issue(rater.id, now=at(1))
    assert store.vote(pair.assignment_id, answer("n"), now=at(10), from_page=True).set_aside is None


def test_pairs_that_lie_open_at_once_are_not_heard_at_once(store, pairs, random_melodies):
    """A pair of another purpose lets the live one go, and a late answer to that one is taken."""
    ids = store.add_melodies(random_melodies(12)[8:], policy_id="q", sampler="t", seed=1)
    store.add_comparisons([(ids[0], ids[1])], round=1, purpose="blind_test")
    rater = store.add_rater("Ada")
    first = store.issue(rater.id, purposes=["train"], now=NOON)
    second = store.issue(rater.id, purposes=["blind_test"], now=at(0.1))
    told = [
        store.vote(pair.assignment_id, answer(f"n{n}"), now=at(8.3), from_page=True).set_aside
        for n, pair in enumerate((first, second))
    ]
    assert told == [None, HEARD_TIME]


def test_a_pair_with_a_vote_that_is_set_aside_goes_to_others_as_before(store, pairs):
    """Or a program could make all others hear the pairs in its order."""
    ada, bo = store.add_rater("Ada"), store.add_rater("Bo")
    first = store.issue(ada.id, now=NOON)
    store.vote(first.assignment_id, answer("n"), now=at(0.1), from_page=True)
    assert store.issue(bo.id, now=at(1)).comparison_id == first.comparison_id
