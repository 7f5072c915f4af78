"""A blind test that was imported can be revealed by whoever holds the store."""

import csv
from datetime import UTC, datetime
from itertools import count

import pytest

from reward.comparisons.learnable import learnable
from reward.exchange.export import export_ratings
from reward.exchange.import_votes import import_ratings
from reward.store import campaigns
from reward.store.campaign_votes import campaign_votes
from reward.store.campaigns import Policies
from reward.store.pool import PlannedPair
from reward.store.store import RatingsStore
from reward.store.votes import Answer

NOW = datetime(2026, 11, 29, tzinfo=UTC)
POLICIES = Policies(a="base", b="tuned", a_id="a" * 64, b_id="b" * 64)


@pytest.fixture
def store(ratings_url):
    with RatingsStore(ratings_url) as opened:
        yield opened


@pytest.fixture
def source(tmp_path, random_melodies):
    """A store with a blind test of six pairs, of which Ada has answered three for the tuned one."""
    with RatingsStore(tmp_path / "source.sqlite") as opened:
        melodies = random_melodies(14, seed=9)
        ids = [
            opened.add_melodies([melody], policy_id=policy_id, sampler="t", seed=0)[0]
            for melody, policy_id in zip(melodies, ["a" * 64, "b" * 64] * 7, strict=True)
        ]
        with opened.writing() as session:
            made = campaigns.create_campaign(
                session, "Sunday", purpose="blind_test", votes_wanted=6, policies=POLICIES, now=NOW
            )
        pairs = list(zip(ids[:12:2], ids[1:12:2], strict=True))
        plan = [PlannedPair(*pair, "blind_test") for pair in pairs]
        opened.add_plan(plan, round=1, campaign_id=made.id)
        opened.add_comparisons([(ids[12], ids[13])], round=1)
        ada, nonces = opened.add_rater("Ada"), count()
        for _ in range(3):
            vote_for(opened, opened.issue(ada.id, campaign_id=made.id), "b" * 64, next(nonces))
        vote_for(opened, opened.issue(ada.id, purposes=["train"]), "b" * 64, "train")
        yield opened


def vote_for(store, pair, policy_id, nonce):
    side = "left" if pair.left.policy_id == policy_id else "right"
    store.vote(pair.assignment_id, Answer(outcome=side, nonce=str(nonce)))


def listed(store):
    with store.reading() as session:
        return campaigns.list_campaigns(session)


def said(store, campaign):
    with store.reading() as session:
        return [vote.outcome for vote in campaign_votes(session, campaign.id)]


def test_an_imported_blind_test_is_closed_and_sealed_until_it_is_revealed(store, source, tmp_path):
    export_ratings(source, tmp_path / "out", formats=["csv"])
    import_ratings(store, tmp_path / "out")
    [test] = listed(store)
    assert (test.name, test.purpose, test.votes_wanted) == ("Sunday", "blind_test", 6)
    assert test.policies == Policies(a="a" * 12, b="b" * 12, a_id="a" * 64, b_id="b" * 64)
    assert test.closed_at is not None
    assert test.revealed_at is None
    assert len(store.sealed_melody_ids()) == 12
    bo = store.add_rater("Bo")
    assert store.issue(bo.id, purposes=["blind_test"]) is None, "it goes on elsewhere"
    with store.writing() as session:
        campaigns.reveal_campaign(session, test.id, now=NOW)
    assert store.sealed_melody_ids() == frozenset()
    assert said(store, test) == ["b", "b", "b"]
    assert len(learnable(store.votes_frame())) == 1, "and a blind test is never learnt from"


def test_later_votes_of_an_imported_test_join_it_and_none_doubles(store, source, tmp_path):
    export_ratings(source, tmp_path / "out", formats=["csv"])
    import_ratings(store, tmp_path / "out")
    [first] = listed(source)
    bo = source.add_rater("Bo")
    vote_for(source, source.issue(bo.id, campaign_id=first.id), "a" * 64, "later")
    export_ratings(source, tmp_path / "again", formats=["csv"])
    import_ratings(store, tmp_path / "again")
    [test] = listed(store)
    assert said(store, test) == ["b", "b", "b", "a"]


def test_a_name_that_is_taken_gets_a_number_and_a_missing_one_is_made(store, source, tmp_path):
    with store.writing() as session:
        campaigns.create_campaign(
            session, "Sunday", purpose="blind_test", votes_wanted=1, policies=POLICIES, now=NOW
        )
    export_ratings(source, tmp_path / "out", formats=["csv"])
    path = tmp_path / "out" / "comparisons.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows[:2]:
        row["campaign"] = ""  # as versions wrote that had no campaigns
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    import_ratings(store, tmp_path / "out")
    names = {test.name: test.votes_wanted for test in listed(store)}
    assert names == {"Sunday": 1, "Sunday (2)": 4, "Imported blind test": 2}
    import_ratings(store, tmp_path / "out")
    assert len(listed(store)) == 3


def test_its_own_export_changes_nothing_in_a_store(source, tmp_path):
    before = listed(source)
    export_ratings(source, tmp_path / "out", formats=["csv"])
    import_ratings(source, tmp_path / "out")
    assert listed(source) == before
