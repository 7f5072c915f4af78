"""Campaigns in the store: who is asked what, what counts, and when it is over."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from reward.store import campaigns
from reward.store.campaign_votes import campaign_votes
from reward.store.campaigns import Policies
from reward.store.pool import PlannedPair
from reward.store.store import RatingsError, RatingsStore
from reward.store.votes import Answer

NONCES = count()
POLICIES = Policies(a="base", b="ppo-0001", a_id="aaaa", b_id="bbbb")


@pytest.fixture
def store(ratings_url):
    with RatingsStore(ratings_url) as store:
        yield store


@pytest.fixture
def make(store, random_melodies):
    """Makes a blind test of some pairs, every second of which has the melody of B first."""
    fresh = iter(random_melodies(60, seed=5))

    def written(policy_id):
        [melody_id] = store.add_melodies([next(fresh)], policy_id=policy_id, sampler="t", seed=0)
        return melody_id

    def make(name="first", pairs=3):
        with store.writing() as session:
            made = campaigns.create_campaign(
                session,
                name,
                purpose="blind_test",
                votes_wanted=pairs,
                policies=POLICIES,
                now=datetime.now(UTC),
            )
        plan = []
        for place in range(pairs):
            a, b = written("aaaa"), written("bbbb")
            plan.append(PlannedPair(*((b, a) if place % 2 else (a, b)), "blind_test"))
        ids = store.add_plan(plan, round=1, strategy="blind-test", campaign_id=made.id)
        return made, ids

    make.written = written
    return make


def issued(store, rater, campaign):
    return store.issue(rater.id, purposes=["blind_test"], campaign_id=campaign.id)


def say(store, pair, policy_id):
    """Vote for the melody of a policy, whatever its side; or another outcome."""
    side = {pair.left.policy_id: "left", pair.right.policy_id: "right"}.get(policy_id, policy_id)
    return store.vote(pair.assignment_id, Answer(outcome=side, nonce=f"n{next(NONCES)}"))


def said(store, campaign):
    with store.reading() as session:
        return [
            (vote.rater, vote.outcome, vote.counts) for vote in campaign_votes(session, campaign.id)
        ]


def changed(store, how, campaign, **more):
    with store.writing() as session:
        return how(session, campaign.id, **more)


def test_a_campaign_is_found_again(store, make):
    made, _ = make("  a   test ")
    assert (made.name, made.votes_wanted, made.policies) == ("a test", 3, POLICIES)
    with store.reading() as session:
        assert campaigns.get_campaign(session, made.id) == made
        assert campaigns.list_campaigns(session) == [made]
        assert campaigns.list_campaigns(session, purpose="train") == []
        with pytest.raises(RatingsError, match="campaign 99 is unknown"):
            campaigns.get_campaign(session, 99)
    assert store.comparisons_frame()["campaign"].tolist() == ["a test"] * 3


def test_only_pairs_of_the_campaign_come(store, make):
    other, _ = make("other")
    made, ids = make("made")
    store.add_comparisons([(make.written("x"), make.written("x"))], round=1)
    rater = store.add_rater("Ada")
    heard = []
    while pair := issued(store, rater, made):
        assert (pair.votes_cast, pair.votes_cast + pair.remaining) == (len(heard), 3)
        heard.append(pair.comparison_id)
        say(store, pair, "aaaa")
    assert heard == ids
    assert issued(store, rater, other).comparison_id not in ids
    assert store.issue(rater.id, purposes=["train"]).left.policy_id == "x"


def test_a_live_pair_of_another_campaign_is_let_go_and_comes_again_on_the_same_sides(store, make):
    (one, _), (two, _) = make("one"), make("two")
    rater = store.add_rater("Ada")
    first = issued(store, rater, one)
    assert issued(store, rater, one) == first
    assert issued(store, rater, two).comparison_id != first.comparison_id
    again = issued(store, rater, one)
    assert (again.left, again.right) == (first.left, first.right)


def test_votes_are_told_by_policy_whatever_the_order_and_the_side(store, make):
    made, _ = make(pairs=24)
    rater = store.add_rater("Ada")
    firsts = set()
    for policy in ["aaaa", "bbbb"] * 12:
        pair = issued(store, rater, made)
        firsts.add(pair.left.policy_id)
        say(store, pair, policy)
    assert said(store, made) == [("Ada", "a", True), ("Ada", "b", True)] * 12
    assert firsts == {"aaaa", "bbbb"}  # sides are drawn by chance: this fails once in 2**23 times


def test_of_several_people_on_one_pair_the_first_who_says_something_counts(store, make):
    made, _ = make(pairs=1)
    for name, word in (("Ada", "skip"), ("Bo", "both_bad"), ("Cy", "tie"), ("Di", "bbbb")):
        say(store, issued(store, store.add_rater(name), made), word)
    assert said(store, made) == [
        ("Ada", "skip", False),
        ("Bo", "both_bad", False),
        ("Cy", "tie", True),
        ("Di", "b", False),
    ]


def test_a_simulated_listener_says_nothing_in_a_blind_test(store, make):
    made, _ = make()
    robot = store.add_rater("robot", kind="simulated")
    say(store, issued(store, robot, made), "aaaa")
    assert said(store, made) == []


def test_what_was_taken_back_is_gone(store, make):
    made, _ = make()
    rater = store.add_rater("Ada")
    say(store, issued(store, rater, made), "aaaa")
    store.undo(rater.id, purposes=["blind_test"], campaign_id=made.id)
    say(store, issued(store, rater, made), "bbbb")
    assert said(store, made) == [("Ada", "b", True)]


def test_undo_goes_back_within_what_the_page_shows(store, make):
    (one, _), (two, _) = make("one"), make("two")
    rater = store.add_rater("Ada")
    say(store, first := issued(store, rater, one), "aaaa")
    say(store, issued(store, rater, two), "aaaa")
    back = store.undo(rater.id, campaign_id=one.id)
    assert (back.comparison_id, back.reopened) == (first.comparison_id, True)
    assert store.undo(rater.id, purposes=["train"]) is None


def test_a_closed_campaign_has_no_pairs_and_late_votes_are_kept_but_none_of_its(store, make):
    made, _ = make()
    ada, bo = store.add_rater("Ada"), store.add_rater("Bo")
    say(store, issued(store, ada, made), "aaaa")
    on_its_way = issued(store, bo, made)
    reopened = store.undo(ada.id, campaign_id=made.id)
    closed = changed(store, campaigns.reveal_campaign, made, now=datetime.now(UTC))
    assert closed.closed_at is not None
    say(store, on_its_way, "bbbb")
    say(store, reopened, "bbbb")
    assert said(store, made) == [("Ada", "a", True)], "as it stood when it was closed"
    assert len(store.votes_frame()) == 2
    assert issued(store, ada, made) is None
    assert store.issue(ada.id) is None, "nor by the way of all pairs"


def test_a_pair_on_the_screen_is_let_go_when_its_campaign_is_closed(store, make):
    made, _ = make()
    rater = store.add_rater("Ada")
    shown = issued(store, rater, made)
    assert issued(store, rater, made) == shown
    changed(store, campaigns.reveal_campaign, made, now=datetime.now(UTC))
    assert issued(store, rater, made) is None
    assert store.undo(rater.id) is None


def test_an_answer_in_a_closed_campaign_is_not_taken_back(store, make):
    made, _ = make()
    rater = store.add_rater("Ada")
    say(store, issued(store, rater, made), "aaaa")
    changed(store, campaigns.reveal_campaign, made, now=datetime.now(UTC))
    assert store.undo(rater.id, campaign_id=made.id) is None
    assert said(store, made) == [("Ada", "a", True)]


def test_closing_a_campaign_leaves_other_pairs_and_progress(store, make):
    made, _ = make()
    rater = store.add_rater("Ada")
    say(store, issued(store, rater, made), "aaaa")
    store.add_comparisons([(make.written("x"), make.written("x"))], round=1)
    changed(store, campaigns.reveal_campaign, made, now=datetime.now(UTC))
    pair = store.issue(rater.id)
    assert pair.left.policy_id == "x"
    assert (pair.votes_cast, pair.remaining) == (1, 1)


def test_revealing_closes_and_the_first_moment_stays(store, make):
    made, _ = make()
    first = changed(store, campaigns.reveal_campaign, made, now=datetime.now(UTC))
    assert first.closed_at == first.revealed_at is not None
    later = datetime.now(UTC) + timedelta(hours=1)
    assert changed(store, campaigns.reveal_campaign, made, now=later) == first


def test_an_invitation_leads_to_its_campaign_until_the_next(store, make):
    made, _ = make()
    old, new = (changed(store, campaigns.invite, made) for _ in range(2))
    with store.reading() as session:
        assert campaigns.campaign_by_invite(session, new).id == made.id
        assert campaigns.campaign_by_invite(session, new).has_invite
        assert campaigns.campaign_by_invite(session, old) is None
        assert campaigns.campaign_by_invite(session, "") is None


def test_withdrawal_takes_the_votes_out_of_the_campaign(store, make):
    made, _ = make()
    rater = store.add_rater("Ada")
    say(store, issued(store, rater, made), "aaaa")
    assert store.withdraw(rater.id).votes == 1
    assert said(store, made) == []


def test_which_runs_learnt_from_a_rater(store, make):
    make()
    ada, bo = store.add_rater("Ada"), store.add_rater("Bo")
    votes = [say(store, store.issue(rater.id), "tie").vote_id for rater in (ada, ada, bo)]
    store.record_training("reward-0001", votes)
    store.record_training("reward-0002", votes[2:])
    assert store.runs_trained_on(ada.id) == {"reward-0001": 2}
    assert store.withdraw(ada.id).runs == ("reward-0001",)
    assert store.runs_trained_on(bo.id) == {"reward-0001": 1, "reward-0002": 1}


def test_consent_is_renewed(store):
    rater = store.add_rater("Ada", consent_version="one")
    store.renew_consent(rater.id, "two")
    assert store.rater_by_token(rater.token).consent_version == "two"
    with pytest.raises(RatingsError, match="consent_version"):
        store.renew_consent(rater.id, "")
    with pytest.raises(RatingsError, match="rater 99 is unknown"):
        store.renew_consent(99, "two")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "first"}, "taken"),
        ({"name": "   "}, "name has length 0"),
        ({"name": "x" * 81}, "name has length 81"),
        ({"name": "a\x1bb"}, "do not print"),
        ({"votes_wanted": 0}, "votes_wanted=0"),
        ({"purpose": "repeat"}, "purpose='repeat'"),
        ({"purpose": "train"}, "a blind test has two"),
        ({"policies": None}, "a blind test has two"),
    ],
)
def test_campaigns_that_cannot_be(store, make, change, message):
    make("first")
    fields = {"name": "second", "purpose": "blind_test", "votes_wanted": 9, "policies": POLICIES}
    fields |= change
    with pytest.raises(RatingsError, match=message), store.writing() as session:
        campaigns.create_campaign(session, fields.pop("name"), now=datetime.now(UTC), **fields)
    with store.reading() as session:
        assert len(campaigns.list_campaigns(session)) == 1


def test_a_policy_is_not_tested_against_itself():
    with pytest.raises(RatingsError, match="'x' and 'y' are the same policy"):
        Policies(a="x", b="y", a_id="same", b_id="same")


@pytest.mark.parametrize(
    ("writers", "purpose", "message"),
    [
        (("aaaa", "aaaa"), "blind_test", "pair one of each"),
        (("aaaa", "cccc"), "blind_test", "pair one of each"),
        (("aaaa", "bbbb"), "train", "is not for the campaign"),
    ],
)
def test_pairs_that_are_not_a_campaigns(store, make, writers, purpose, message):
    made, _ = make()
    plan = [PlannedPair(make.written(writers[0]), make.written(writers[1]), purpose)]
    with pytest.raises(RatingsError, match=message):
        store.add_plan(plan, round=1, campaign_id=made.id)
    with pytest.raises(RatingsError, match="campaign 99"):
        store.add_plan(plan, round=1, campaign_id=99)


def test_a_training_campaign_has_training_pairs_and_their_repeats(store, make):
    with store.writing() as session:
        made = campaigns.create_campaign(
            session, "class 4b", purpose="train", votes_wanted=2, now=datetime.now(UTC)
        )
    a, b = make.written("x"), make.written("y")
    plan = [PlannedPair(a, b), PlannedPair(b, a, "repeat", 0)]
    store.add_plan(plan, round=1, campaign_id=made.id)
    store.add_comparisons([(make.written("z"), make.written("z"))], round=1)
    rater = store.add_rater("Ada")
    for votes_cast in range(2):
        pair = store.issue(rater.id, purposes=["train", "repeat"], campaign_id=made.id)
        assert pair.votes_cast == votes_cast
        say(store, pair, "x")
    assert said(store, made) == [("Ada", "a", True), ("Ada", "b", True)], "by melody, not policy"
