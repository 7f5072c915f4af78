"""Studios on machines whose clocks differ, on one PostgreSQL: what they store is by its clock."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from reward.pairs.random_pairs import random_pairs
from reward.store.database import database_time
from reward.store.store import RatingsStore
from reward.store.votes import Answer
from tests.support.clocks import another_clock

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.parametrize("ratings_url", ["postgresql"], indirect=True),
    pytest.mark.parametrize("seconds", [-3600, 3600]),
]
# A pair is kept for half an hour, and ten minutes without a vote are a break.


@pytest.fixture
def store(ratings_url, random_melodies):
    """A studio's store, with pairs to rate."""
    with RatingsStore(ratings_url) as store:
        ids = store.add_melodies(random_melodies(12), policy_id="p", sampler="s", seed=1)
        store.add_comparisons(random_pairs(ids, 8, Random(1)), round=1)
        yield store


def test_all_machines_have_the_time_of_the_database(store, seconds):
    with another_clock(seconds), store.reading() as session:
        assert abs(database_time(session) - datetime.now(UTC)) < timedelta(seconds=30)


def test_who_hears_a_pair_elsewhere_keeps_it_and_others_hear_another(store, ratings_url, seconds):
    anna, ben = store.add_rater("Anna"), store.add_rater("Ben")
    with RatingsStore(ratings_url) as elsewhere, another_clock(seconds):
        heard = elsewhere.issue(anna.id)
    assert store.issue(ben.id).comparison_id != heard.comparison_id
    assert store.issue(anna.id).assignment_id == heard.assignment_id


def test_a_break_is_not_seen_where_there_was_none(store, ratings_url, seconds):
    anna = store.add_rater("Anna")
    with RatingsStore(ratings_url) as elsewhere, another_clock(seconds):
        answer = Answer(outcome="left", nonce="n")
        elsewhere.vote(elsewhere.issue(anna.id).assignment_id, answer)
    sat = store.listening_session(anna.id)
    assert sat.votes == 1
    assert timedelta(0) <= sat.lasted < timedelta(minutes=1)
