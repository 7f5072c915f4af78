"""Attacks on the studio by people who may use it: false reports, and ways to learn who wrote what.

Each stands here as it was tried, and is refused.
"""

import shutil
from contextlib import suppress
from itertools import count

import pytest

from feedback_ui.server.launch import StudioOptions
from feedback_ui.services.accounts import RATER_TITLES, own_statistics, rater_rows
from feedback_ui.services.blind_tests import (
    admit,
    advice,
    change_rules,
    end,
    has_given_share,
    list_tests,
    may_hear,
    outcome,
    settle,
)
from feedback_ui.services.corpora.policies import PolicyCorpora
from feedback_ui.services.library import MelodyLibrary, Visitor
from feedback_ui.services.library_query import LibraryQuery
from feedback_ui.services.limits import Limits, Rate, Source
from feedback_ui.services.pool_cache import CODE_DIGITS
from feedback_ui.services.practice import WALKING
from feedback_ui.services.reference_corpus import ReferenceCorpora
from feedback_ui.services.session import StudioSession
from feedback_ui.views import access
from music.melody import Header, Melody, Note
from music.rendering.sound import cached_wav
from reward.comparisons.learnable import learnable
from reward.comparisons.rater_statistics import ratings_statistics, statistics_table
from reward.exchange.export import export_preferences, export_ratings
from reward.exchange.import_votes import import_ratings
from reward.pairs.traps import CORRUPTED
from reward.store import campaigns
from reward.store.campaigns import Policies
from reward.store.pool import PlannedPair
from reward.store.store import RatingsError, RatingsStore
from tests.support.clocks import Clock
from tests.support.studio_pages import open_page, words

BLIND = {"purposes": ("blind_test",)}
NONCES = count()
POLICIES = Policies(a="base", b="ppo-0001", a_id="aaaa", b_id="bbbb")


@pytest.fixture
def store(ratings_url, new_database):
    if "://" not in ratings_url:
        shutil.copy(new_database, ratings_url)
    with RatingsStore(ratings_url) as store:
        yield store


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def studio(store, clips, clock, monkeypatch):
    # One sound for all melodies: to render each would take seconds, and nobody listens here.
    sound = cached_wav(WALKING, clips)
    monkeypatch.setattr("feedback_ui.services.clips.cached_wav", lambda *_, **__: sound)
    return StudioSession(store, clips, clock=clock)


@pytest.fixture
def write(store):
    """Writes melodies of a policy, none of them twice; their ids."""
    numbers = count()

    def tune():
        header, number = Header("2/4", "major", "other", 4, 0), next(numbers)
        pitches = (number % 24, number // 24 % 24)
        onsets = range(0, header.end_ticks, 24)
        return Melody(header, tuple(Note(at, 24, pitches[at // 24 % 2]) for at in onsets))

    def write(policy_id, size):
        melodies = [tune() for _ in range(size)]
        return store.add_melodies(melodies, policy_id=policy_id, sampler="t", seed=0)

    return write


@pytest.fixture
def make_test(store, write, clock):
    """Makes a blind test; its id."""

    def make(pairs=40, wanted=40, **rules):
        with store.writing() as session:
            made = campaigns.create_campaign(
                session,
                f"test {next(NONCES)}",
                purpose="blind_test",
                votes_wanted=wanted,
                policies=POLICIES,
                now=clock(),
                **rules,
            )
        both = zip(write("aaaa", pairs), write("bbbb", pairs), strict=True)
        store.add_plan(
            [PlannedPair(a, b, "blind_test") for a, b in both], round=1, campaign_id=made.id
        )
        return made.id

    return make


def claims(pair, outcome="left", heard_ms=4000):
    """What a program sends for a pair, whatever it has heard."""
    return {
        "assignment_id": str(pair.assignment_id),
        "nonce": f"nonce-{next(NONCES)}",
        "outcome": outcome,
        "strength": 1,
        "heard_ms_left": heard_ms,
        "heard_ms_right": heard_ms,
        "plays_left": 1,
        "plays_right": 1,
        "latency_ms": 9000,
    }


def votes_for(store, rater, pair, policy_id):
    """The side on which the policy's melody is, as its friend would find out by ear."""
    left, _ = store.shown(rater.id, pair.assignment_id)
    return "left" if left.policy_id == policy_id else "right"


def rate(studio, clock, rater, outcomes, **narrow):
    """Hear and answer pairs honestly; what the page showed."""
    heard = []
    for word in outcomes:
        pair = studio.current_pair(rater.id, **narrow)
        clock.wait(9)
        reply = studio.answer(rater.id, claims(pair, word))
        assert (reply.done, reply.message.startswith("Saved. ")) == (True, True), reply
        heard.append(pair)
    return heard


# Heard time


def test_thirty_votes_in_seventeen_seconds_do_not_end_a_blind_test(studio, store, clock, make_test):
    clock.wait(-3600)  # the test is ended below, by this machine's clock
    test = make_test()
    eve = studio.sign_up("Eve", consents=True)
    started = clock.now
    for _ in range(30):
        pair = studio.current_pair(eve.id, **BLIND, campaign_id=test)
        clock.wait(0.55)
        side = votes_for(store, eve, pair, "bbbb")
        reply = studio.answer(eve.id, claims(pair, side))
        assert reply.done
        assert "not counted" in reply.message
    assert (clock.now - started).total_seconds() < 17
    standing = settle(store, test)
    assert (standing.votes, standing.set_aside, standing.has_ended) == (0, 30, False)
    assert len(store.votes_frame()) == 30, "they are kept"
    assert "After ten votes" in advice(store, test)
    [row] = rater_rows(store)
    assert row[: RATER_TITLES.index("Not counted") + 1] == ("Eve", "0", "30")
    assert own_statistics(store, eve.id).set_aside == 30

    # What an honest rater says of the same pairs counts.
    ada = studio.sign_up("Ada", consents=True)
    rate(studio, clock, ada, ["left", "tie", "right"], **BLIND, campaign_id=test)
    assert settle(store, test).votes == 3
    end(store, test)
    found = outcome(store, test)
    assert (found.tally.votes, found.set_aside, found.again, found.undecided) == (3, 30, 0, 0)
    assert {each.nickname: each.tally.votes for each in found.raters} == {"Ada": 3, "Eve": 0}


def test_the_fastest_honest_rater_is_not_disturbed(studio, store, clock, write):
    """Who answers as soon as the page allows, without a moment lost."""
    ids = write("p", 8)
    store.add_comparisons(list(zip(ids[::2], ids[1::2], strict=True)), round=1)
    ada = studio.sign_up("Ada", consents=True)
    for _ in range(4):
        pair = studio.current_pair(ada.id)
        needed_ms = pair.left.needed_ms + pair.right.needed_ms
        clock.wait(needed_ms / 1000)
        payload = claims(pair)
        payload["heard_ms_left"] = pair.left.needed_ms
        payload["heard_ms_right"] = pair.right.needed_ms
        assert studio.answer(ada.id, payload).message.startswith("Saved. ")
    assert store.votes_frame()["set_aside"].isna().all()


def test_waiting_with_two_pairs_open_is_hearing_one(studio, store, clock, make_test, write):
    test = make_test()
    ids = write("p", 2)
    store.add_comparisons([(ids[0], ids[1])], round=1)
    eve = studio.sign_up("Eve", consents=True)
    pairs = [studio.current_pair(eve.id), studio.current_pair(eve.id, **BLIND, campaign_id=test)]
    clock.wait(8.1)
    for pair in pairs:
        assert studio.answer(eve.id, claims(pair)).done
    assert store.votes_frame()["set_aside"].isna().tolist() == [True, False]
    assert settle(store, test).votes == 0


def test_what_was_set_aside_teaches_nothing_and_stays_so_elsewhere(
    studio, store, clock, write, tmp_path, new_database
):
    ids = write("p", 4)
    store.add_comparisons([(ids[0], ids[1]), (ids[2], ids[3])], round=1)
    eve = studio.sign_up("Eve", consents=True)
    studio.answer(eve.id, claims(studio.current_pair(eve.id)))
    rate(studio, clock, eve, ["right"])
    votes = store.votes_frame()
    assert len(votes) == 2
    assert learnable(votes)["outcome"].tolist() == ["right"]
    assert export_preferences(store, tmp_path / "pairs.jsonl") == 1
    statistics = ratings_statistics(store)
    [eves] = statistics.raters
    assert (eves.votes, eves.set_aside, eves.left.count) == (1, 1, 1)
    assert any("1 votes not counted" in str(line) for line in statistics_table(statistics))
    for form in ("csv", "jsonl", "parquet"):
        export_ratings(store, tmp_path / form, formats=[form])
        shutil.copy(new_database, tmp_path / f"{form}.db")
        with RatingsStore(tmp_path / f"{form}.db") as other:
            assert import_ratings(other, tmp_path / form).added["votes"] == 2
            assert other.votes_frame()["set_aside"].tolist()[0] == "heard_time"
            assert learnable(other.votes_frame())["outcome"].tolist() == ["right"]


# One rater's share


def test_a_patient_program_does_not_decide_a_blind_test_alone(studio, store, clock, make_test):
    test = make_test(votes_per_rater=10)
    eve = studio.sign_up("Eve", consents=True)
    while pair := studio.current_pair(eve.id, **BLIND, campaign_id=test):
        clock.wait(9)
        studio.answer(eve.id, claims(pair, votes_for(store, eve, pair, "bbbb")))
    assert has_given_share(store, test, eve.id)
    standing = settle(store, test)
    assert (standing.votes, standing.has_ended) == (10, False)
    # Skips and opinions that do not count leave the share as it is.
    ada = studio.sign_up("Ada", consents=True)
    rate(studio, clock, ada, ["skip", "both_bad", "left"], **BLIND, campaign_id=test)
    assert not has_given_share(store, test, ada.id)
    # Their own last answer may be taken back, and the share is whole again after it.
    assert studio.undo(eve.id, {"assignment_id": None}, **BLIND, campaign_id=test).done
    reopened = studio.current_pair(eve.id, **BLIND, campaign_id=test)
    assert reopened.reopened
    clock.wait(9)
    assert studio.answer(eve.id, claims(reopened)).done
    assert studio.current_pair(eve.id, **BLIND, campaign_id=test) is None
    # An organiser may give one person more.
    change_rules(store, test, votes_per_rater=11, invite_only=False)
    assert studio.current_pair(eve.id, **BLIND, campaign_id=test) is not None


def test_answers_that_come_late_count_no_more_than_the_share(studio, store, clock, make_test):
    clock.wait(-3600)
    test = make_test(votes_per_rater=2)
    eve = studio.sign_up("Eve", consents=True)
    rate(studio, clock, eve, ["left", "left"], **BLIND, campaign_id=test)
    change_rules(store, test, votes_per_rater=3, invite_only=False)
    pair = studio.current_pair(eve.id, **BLIND, campaign_id=test)
    change_rules(store, test, votes_per_rater=2, invite_only=False)
    clock.wait(9)
    assert studio.answer(eve.id, claims(pair)).done
    assert settle(store, test).votes == 2
    end(store, test)
    assert outcome(store, test).beyond_share == 1


@pytest.mark.parametrize("most", [0, 100_001])
def test_a_share_that_cannot_be(store, make_test, most):
    test = make_test()
    with pytest.raises(RatingsError, match=f"votes_per_rater={most} is not within"):
        change_rules(store, test, votes_per_rater=most, invite_only=False)


def test_a_test_by_invitation_is_heard_by_its_guests_alone(studio, store, clock, make_test):
    test = make_test(invite_only=True)
    eve, ada = (studio.sign_up(name, consents=True) for name in ("Eve", "Ada"))
    assert not may_hear(store, test, eve.id)
    with pytest.raises(RatingsError, match="open its invitation first"):
        studio.current_pair(eve.id, **BLIND, campaign_id=test)
    assert store.issue(eve.id) is None, "nor by the way of all pairs"
    admit(store, test, ada.id)
    admit(store, test, ada.id)
    rate(studio, clock, ada, ["left"], **BLIND, campaign_id=test)
    assert settle(store, test).votes == 1
    assert store.withdraw(ada.id).votes == 1
    assert [each.invite_only for each in list_tests(store)] == [True]


# Rates


def test_a_rate_lets_through_what_it_may_and_forgets():
    clock = Clock()
    rate = Rate(2, 60, clock=clock.seconds)
    assert [rate.take("a"), rate.take("a"), rate.take("a"), rate.take("b")] == [
        *(True, True, False, True)
    ]
    clock.wait(59)
    assert not rate.take("a")
    clock.wait(2)
    assert rate.take("a")


def test_sign_ups_of_a_program_end_and_others_go_on(studio, store):
    clock = Clock()
    studio.limits = Limits(clock=clock.seconds)
    numbers = count()

    def sign_up(tab, address):
        return studio.sign_up(f"bot {next(numbers)}", consents=True, source=Source(tab, address))

    for _ in range(30):
        sign_up("one tab", "10.0.0.1")
    with pytest.raises(RatingsError, match="takes 30 sign-ups in this tab"):
        sign_up("one tab", "10.0.0.1")
    for tab in range(70):
        sign_up(f"tab {tab}", "10.0.0.1")
    with pytest.raises(RatingsError, match="from your address"):
        sign_up("another tab", "10.0.0.1")
    sign_up("hers", "10.0.0.2")
    assert studio.limits.refused_sign_ups == 2
    clock.wait(601)
    sign_up("his", "10.0.0.1")
    assert store.counts()["raters_person"] == 102


def test_answers_of_a_program_end_and_none_is_lost(studio, store, clock, write):
    studio.limits = Limits(clock=clock.seconds)
    ids = write("p", 6)
    store.add_comparisons(list(zip(ids[::2], ids[1::2], strict=True)), round=1)
    eve, ada = (studio.sign_up(name, consents=True) for name in ("Eve", "Ada"))
    for _ in range(119):
        studio.limits.answer(eve.id)
    assert studio.answer(eve.id, claims(store.issue(eve.id), "skip", 0)).done
    pair = store.issue(eve.id)
    refused = [
        studio.answer(eve.id, claims(pair, "skip", 0)),
        studio.undo(eve.id, {"assignment_id": str(pair.assignment_id)}),
    ]
    for reply in refused:
        assert not reply.done
        assert "takes 120 answers by one rater within 60 s" in reply.message
    assert studio.limits.refused_answers == 2
    assert studio.answer(ada.id, claims(store.issue(ada.id), "skip", 0)).done
    clock.wait(61)
    assert studio.answer(eve.id, claims(pair, "skip", 0)).done


def test_the_studio_that_people_open_has_rates_and_an_organiser_sees_them(
    ratings_url, clips, monkeypatch
):
    options = StudioOptions(database=ratings_url, clips=clips)
    opened = access._open.__wrapped__(options)
    assert isinstance(opened.limits, Limits)
    for number in range(31):
        with suppress(RatingsError):
            opened.sign_up(f"bot {number}", consents=True, source=Source("one tab"))
    monkeypatch.setattr(access, "_open", lambda _: opened)
    page = open_page(
        monkeypatch, "people", f"--database={ratings_url}", f"--clips={clips}", view="everyone"
    )
    opened.store.close()
    assert not page.exception
    assert "1 sign-ups, 0 answers" in words(page)


# Who wrote what


@pytest.fixture
def round_of_pairs(store, write):
    """Four pairs and a trap, which is the second."""
    one, two = write("policy-one", 5), write("policy-two", 4)
    [worse] = write(CORRUPTED, 1)
    plan = [PlannedPair(a, b) for a, b in zip(one[:4], two, strict=True)]
    plan.insert(1, PlannedPair(one[4], worse, "trap"))
    store.add_plan(plan, round=1)
    return worse


@pytest.fixture
def library(studio):
    references = ReferenceCorpora(lambda _: PolicyCorpora())
    return MelodyLibrary(studio.store, studio.melodies, studio.tastes, references)


def told(library, visitor):
    """The policies that the library names, by the melody's code."""
    found = library.find(LibraryQuery(), visitor)
    assert found.pages == 1
    return {item.code: item.origin.policy_id for item in found.melodies if item.origin is not None}


def code_of(store, melody_id):
    rows = store.melodies_frame().set_index("melody_id")
    return rows.loc[melody_id, "sha256"][:CODE_DIGITS]


def test_who_skips_every_pair_is_told_nothing(studio, store, clock, library, round_of_pairs):
    eve = studio.sign_up("Eve", consents=True)
    for _ in range(5):
        pair = studio.current_pair(eve.id)
        assert studio.answer(eve.id, claims(pair, "skip", 0)).done
    visitor = Visitor(eve.id, organiser=False)
    assert told(library, visitor) == {}
    assert library.choices(visitor).policies == ()
    assert len(library.find(LibraryQuery(mine="rated"), visitor).melodies) == 10


def test_who_claims_to_have_heard_every_pair_is_told_nothing(
    studio, store, clock, library, round_of_pairs
):
    eve = studio.sign_up("Eve", consents=True)
    for _ in range(5):
        assert studio.answer(eve.id, claims(studio.current_pair(eve.id))).done
    assert told(library, Visitor(eve.id, organiser=False)) == {}


@pytest.mark.parametrize("organiser", [False, True])
def test_traps_are_never_named_to_raters(studio, store, clock, library, round_of_pairs, organiser):
    ada = studio.sign_up("Ada", consents=True)
    rate(studio, clock, ada, ["left"] * 5)
    named = told(library, Visitor(ada.id, organiser=organiser))
    assert len(named) == 9
    assert code_of(store, round_of_pairs) not in named
    assert CORRUPTED not in named.values()
    assert CORRUPTED not in library.choices(Visitor(ada.id, organiser=organiser)).policies
    assert CORRUPTED in told(library, Visitor(None, organiser=True)).values()


def test_what_was_told_is_not_voted_on_again(studio, store, clock, library, round_of_pairs):
    eve = studio.sign_up("Eve", consents=True)
    visitor = Visitor(eve.id, organiser=False)
    rate(studio, clock, eve, ["left", "left", "skip"])
    assert told(library, visitor)
    shown = studio.current_pair(eve.id)
    reply = studio.undo(eve.id, {"assignment_id": str(shown.assignment_id)})
    assert not reply.done
    assert "before the library told you" in reply.message
    assert studio.current_pair(eve.id) == shown
    # What is answered later can be undone, and nothing behind it.
    rate(studio, clock, eve, ["left"])
    now = studio.current_pair(eve.id)
    assert studio.undo(eve.id, {"assignment_id": str(now.assignment_id)}).done
    again = studio.current_pair(eve.id)
    assert (again.left, again.reopened) == (shown.left, True)
    assert not studio.undo(eve.id, {"assignment_id": str(again.assignment_id)}).done


def test_a_pair_that_was_reopened_before_is_not_told_while_it_is_open(
    studio, store, clock, library, round_of_pairs
):
    ada = studio.sign_up("Ada", consents=True)
    visitor = Visitor(ada.id, organiser=False)
    rate(studio, clock, ada, ["left", "left"])
    now = studio.current_pair(ada.id)
    studio.undo(ada.id, {"assignment_id": str(now.assignment_id)})
    reopened = studio.current_pair(ada.id)
    sides = store.shown(ada.id, reopened.assignment_id)
    assert not {code_of(store, side.id) for side in sides} & set(told(library, visitor))
    clock.wait(9)
    assert studio.answer(ada.id, claims(reopened, "right")).done
    assert store.votes_frame()["outcome"].tolist() == ["left", "right"], "an honest second thought"


def test_a_page_that_was_reopened_and_left_does_not_change_what_was_told(
    studio, store, clock, library, round_of_pairs, make_test
):
    """Undo; let the pair go by opening a blind test; look it up; answer on the page left open."""
    test = make_test(pairs=1)
    eve = studio.sign_up("Eve", consents=True)
    visitor = Visitor(eve.id, organiser=False)
    rate(studio, clock, eve, ["left"])
    now = studio.current_pair(eve.id)
    studio.undo(eve.id, {"assignment_id": str(now.assignment_id)})
    left_open = studio.current_pair(eve.id)
    sides = {code_of(store, side.id) for side in store.shown(eve.id, left_open.assignment_id)}
    assert not sides & set(told(library, visitor)), "as long as it is on the screen"
    studio.current_pair(eve.id, **BLIND, campaign_id=test)
    assert sides <= set(told(library, visitor))
    clock.wait(9)
    reply = studio.answer(eve.id, claims(left_open, "right"))
    assert not reply.done
    assert "the library has told who wrote this pair" in reply.message
    assert store.votes_frame()["outcome"].tolist() == ["left"]
    assert studio.current_pair(eve.id).assignment_id != left_open.assignment_id


def test_who_is_told_nothing_may_still_undo(studio, store, clock, library, round_of_pairs):
    ada = studio.sign_up("Ada", consents=True)
    told(library, Visitor(ada.id, organiser=False))
    rate(studio, clock, ada, ["left"])
    now = studio.current_pair(ada.id)
    assert studio.undo(ada.id, {"assignment_id": str(now.assignment_id)}).done


def test_nicknames_that_look_alike_are_refused_at_sign_up(studio):
    studio.sign_up("Anna", consents=True)
    for name in ("anna", "ANNA", "Ann\N{CYRILLIC SMALL LETTER A}"):
        with pytest.raises(RatingsError, match=r"choose another|in one alphabet"):
            studio.sign_up(name, consents=True)
    assert studio.store.counts()["raters_person"] == 1
