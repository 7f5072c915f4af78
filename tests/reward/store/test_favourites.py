"""Favourites are a rater's own, and go with them; the catalogue tells what waits for whom."""

from datetime import UTC, datetime, timedelta

import pytest

from music.corpora.corpus import load_corpus
from reward.store.catalogue import entries_after, listening, rounds
from reward.store.favourites import favourites, set_favourite
from reward.store.sealed import sealed_melody_ids
from reward.store.store import RatingsError, RatingsStore
from reward.store.votes import Answer

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def store(ratings_url):
    with RatingsStore(ratings_url) as store:
        yield store


@pytest.fixture
def ids(store):
    melodies = [strain.melody for strain in load_corpus("test")[:8]]
    return store.add_melodies(melodies, policy_id="base", sampler="t=1", seed=1)


def keep(store, rater, melody_id, kept=True, now=NOW):
    with store.writing() as session:
        set_favourite(session, rater.id, melody_id, kept=kept, now=now)


def kept_by(store, rater):
    with store.reading() as session:
        return favourites(session, rater.id)


def heard_by(store, rater):
    with store.reading() as session:
        return listening(session, rater.id)


def test_favourites_are_ones_own(store, ids):
    ada, ben = store.add_rater("Ada"), store.add_rater("Ben")
    for melody_id in (ids[0], ids[1], ids[0]):
        keep(store, ada, melody_id)
    keep(store, ben, ids[2])
    keep(store, ben, ids[3], kept=False)
    assert kept_by(store, ada) == {ids[0], ids[1]}
    assert kept_by(store, ben) == {ids[2]}
    keep(store, ada, ids[0], kept=False)
    keep(store, ada, ids[0], kept=False)
    assert kept_by(store, ada) == {ids[1]}


def test_a_favourite_keeps_its_first_date(store, ids):
    from reward.store.schema import FavouriteRow

    ada = store.add_rater("Ada")
    keep(store, ada, ids[0])
    keep(store, ada, ids[0], now=NOW + timedelta(days=1))
    with store.reading() as session:
        assert session.get_one(FavouriteRow, (ada.id, ids[0])).created_at == NOW


def test_there_is_no_favourite_of_nobody_or_of_nothing(store, ids):
    ada = store.add_rater("Ada")
    with pytest.raises(RatingsError, match="rater 99 is unknown"), store.writing() as session:
        set_favourite(session, 99, ids[0], kept=True, now=NOW)
    with pytest.raises(RatingsError, match="melody 99999 is not in the pool"):
        keep(store, ada, 99_999)


def test_favourites_go_with_the_rater(store, ids):
    ada, ben = store.add_rater("Ada"), store.add_rater("Ben")
    keep(store, ada, ids[0])
    keep(store, ben, ids[0])
    store.withdraw(ada.id)
    assert kept_by(store, ada) == frozenset()
    assert kept_by(store, ben) == {ids[0]}


def test_only_newer_melodies_are_read(store, ids):
    with store.reading() as session:
        everything = entries_after(session, 0)
        newer = entries_after(session, ids[4])
    assert [entry.id for entry in everything] == sorted(ids)
    assert newer == everything[5:]
    stored = store.melody(ids[0])
    assert (everything[0].melody, everything[0].header) == (stored.melody, stored.melody.header)
    assert everything[0].policy_id == stored.policy_id
    assert len({entry.sha256 for entry in everything}) == len(ids)


def test_what_waits_what_is_answered_and_what_was_said(store, ids):
    ada, ben = store.add_rater("Ada"), store.add_rater("Ben")
    originals = store.add_comparisons([(ids[0], ids[1]), (ids[1], ids[2])], round=1)
    assert heard_by(store, ada).waiting == set(ids[:3])
    for outcome in ("left", "right"):
        pair = store.issue(ada.id)
        store.vote(pair.assignment_id, Answer(outcome=outcome, nonce=f"nonce-of-{outcome}-0000"))
        better, other = (
            (pair.left.id, pair.right.id) if outcome == "left" else (pair.right.id, pair.left.id)
        )
        verdicts = heard_by(store, ada).verdicts
        assert verdicts[better].preferred >= 1
        assert verdicts[other].passed_over >= 1
    heard = heard_by(store, ada)
    assert heard.answered == set(ids[:3])
    assert heard.waiting == frozenset()
    assert sum(verdict.balance for verdict in heard.verdicts.values()) == 0
    assert heard.verdicts[ids[1]].heard == 2
    assert heard_by(store, ben).answered == frozenset()

    # A repeat, the same pair as a tie: it waits at once, and counts when it is answered.
    store.add_comparisons([(ids[0], ids[1])], round=2, purpose="repeat", repeat_of=originals[:1])
    assert heard_by(store, ada).waiting == {ids[0], ids[1]}
    with store.reading() as session:
        assert rounds(session) == {ids[0]: {1, 2}, ids[1]: {1, 2}, ids[2]: {1}}
        assert sealed_melody_ids(session) == frozenset()
    store.add_comparisons([(ids[4], ids[5])], round=2, purpose="blind_test")
    with store.reading() as session:
        assert sealed_melody_ids(session) == {ids[4], ids[5]}


def test_a_pair_reopened_by_an_undo_waits_again(store, ids):
    ada = store.add_rater("Ada")
    store.add_comparisons([(ids[0], ids[1])], round=1)
    store.vote(store.issue(ada.id).assignment_id, Answer(outcome="tie", nonce="nonce-of-the-tie-0"))
    assert heard_by(store, ada).waiting == frozenset()
    assert heard_by(store, ada).verdicts[ids[0]].tied == 1
    assert store.undo(ada.id) is not None
    assert heard_by(store, ada).waiting == {ids[0], ids[1]}
    store.vote(store.issue(ada.id).assignment_id, Answer(outcome="skip", nonce="nonce-of-the-skip"))
    assert heard_by(store, ada).waiting == frozenset()
    assert heard_by(store, ada).verdicts == {}, "only the current vote speaks, and a skip is none"
