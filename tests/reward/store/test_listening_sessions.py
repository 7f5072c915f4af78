from datetime import UTC, datetime, timedelta
from itertools import pairwise

from reward.store.listening_sessions import session_of
from reward.store.store import RatingsStore
from reward.store.votes import Answer

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def at(*minutes_ago):
    return tuple(NOW - timedelta(minutes=m) for m in minutes_ago)


def test_votes_close_together_are_one_sitting():
    # The pair answered 9 minutes ago was shown 10 minutes ago; before it there was a long break.
    found = session_of([at(2, 1), at(5, 4), at(10, 9), at(31, 30)], now=NOW)
    assert (found.votes, found.lasted) == (3, timedelta(minutes=9))


def test_a_break_ends_it():
    found = session_of([at(12, 11), at(14, 13)], now=NOW)
    assert (found.votes, found.lasted) == (0, timedelta(0))
    assert session_of([], now=NOW).votes == 0


def test_a_pair_that_waited_through_a_break_was_not_heard_all_the_time():
    found = session_of([at(300, 1)], now=NOW)
    assert (found.votes, found.lasted) == (1, timedelta(minutes=10))


def test_the_store_looks_at_one_rater_only(tmp_path, tune):
    melodies = [tune(*[(pitch + at % 3, 24) for at in range(8 * 1)], bars=4) for pitch in (0, 4)]
    with RatingsStore(tmp_path / "ratings.db") as store:
        a, b = store.add_melodies(melodies, policy_id="p", sampler="s", seed=0)
        store.add_comparisons([(a, b)], round=1)
        one, other = store.add_rater("one"), store.add_rater("other")
        store.vote(store.issue(one.id).assignment_id, Answer(outcome="tie", nonce="n"))
        assert store.listening_session(one.id).votes == 1
        assert store.listening_session(other.id).votes == 0


def test_a_sitting_that_is_read_in_several_parts_is_whole(tmp_path, tune, monkeypatch):
    monkeypatch.setattr("reward.store.listening_sessions.READ_AT_ONCE", 2)
    melodies = [tune(*[(pitch, 24)] * 8) for pitch in range(6)]
    with RatingsStore(tmp_path / "ratings.db") as store:
        ids = store.add_melodies(melodies, policy_id="p", sampler="s", seed=0)
        store.add_comparisons(list(pairwise(ids)), round=1)
        rater = store.add_rater("one")
        for place in range(5):
            store.vote(
                store.issue(rater.id).assignment_id, Answer(outcome="tie", nonce=f"n{place}")
            )
        assert store.listening_session(rater.id).votes == 5
