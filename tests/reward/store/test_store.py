"""The ratings store: issuing, voting, undo, withdrawal, and what happens when things go wrong."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, count
from random import Random
from uuid import UUID, uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.exc import IntegrityError

from music.melody import Header, Melody, Note
from music.tempo import default_tempo_bpm, quarter_microseconds
from reward.pairs.random_pairs import random_pairs, with_repeats
from reward.store.database import parse_url
from reward.store.pool import PlannedPair, load_heard_pairs
from reward.store.schema import OUTCOMES, AssignmentRow, JobRow
from reward.store.store import RatingsError, RatingsStore
from reward.store.votes import Answer, StalePageError, outcome_for_a
from tests.support.project import PROJECT

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEASE = timedelta(minutes=30)


def number_melody(number):
    """A melody of its own for each number below 32**4."""
    digits = [number // 32**place % 32 for place in range(4)]
    notes = tuple(Note(96 * bar, 96, digit - 12) for bar, digit in enumerate(digits))
    return Melody(Header(bars=4), notes)


def fill(store, melodies=20, pairs=30, repeats=0.0):
    ids = store.add_melodies(
        [number_melody(n) for n in range(melodies)], policy_id="base", sampler="t=1", seed=1
    )
    plan = with_repeats(random_pairs(ids, pairs, Random(1)), share=repeats, gap=5, rng=Random(2))
    return store.add_plan(plan, round=1)


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory):
    """An SQLite store to copy, because migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "ratings.sqlite"
    RatingsStore(path).close()
    return path


@pytest.fixture
def store(ratings_url, empty_file):
    if "://" not in ratings_url:
        shutil.copy(empty_file, ratings_url)
    with RatingsStore(ratings_url) as opened:
        yield opened


@pytest.fixture
def file_store(tmp_path, empty_file):
    shutil.copy(empty_file, tmp_path / "ratings.sqlite")
    with RatingsStore(tmp_path / "ratings.sqlite", lock_timeout_s=0.3) as opened:
        yield opened


def nonces():
    return (f"nonce-{number}" for number in count())


# What the sides mean


@pytest.mark.parametrize(
    ("outcome", "left_is_a", "expected"),
    [
        ("left", True, "a"),
        ("left", False, "b"),
        ("right", True, "b"),
        ("right", False, "a"),
        ("tie", True, "tie"),
        ("tie", False, "tie"),
        ("both_bad", True, "both_bad"),
        ("both_bad", False, "both_bad"),
        ("skip", True, "skip"),
        ("skip", False, "skip"),
    ],
)
def test_outcome_for_a_golden(outcome, left_is_a, expected):
    assert outcome_for_a(outcome, left_is_a=left_is_a) == expected


def test_stored_votes_name_the_melody_that_was_heard_on_that_side(store):
    fill(store)
    anna = store.add_rater("Anna")
    preferred = {}
    for nonce in nonces():
        pair = store.issue(anna.id)
        if pair is None:
            break
        side = "left" if int(nonce[6:]) % 3 else "right"
        winner = pair.left if side == "left" else pair.right
        preferred[store.vote(pair.assignment_id, Answer(outcome=side, nonce=nonce)).vote_id] = (
            winner.id
        )
    votes = store.votes_frame()
    named = {
        vote.vote_id: vote.melody_a if vote.outcome_a == "a" else vote.melody_b
        for vote in votes.itertuples()
    }
    assert named == preferred
    assert set(votes["left_is_a"]) == {True, False}, "sides must be drawn at random"


# Issuing


def test_a_reload_or_restart_shows_the_same_pair_on_the_same_sides(ratings_url):
    with RatingsStore(ratings_url) as store:
        fill(store)
        anna = store.add_rater("Anna")
        first = store.issue(anna.id)
        assert store.issue(anna.id) == first
    for _ in range(3):
        with RatingsStore(ratings_url) as store:
            assert store.issue(anna.id) == first


def test_the_database_refuses_a_second_live_assignment(store):
    fill(store)
    anna = store.add_rater("Anna")
    pair = store.issue(anna.id)
    with pytest.raises(IntegrityError), store.writing() as session:
        session.add(
            AssignmentRow(
                id=uuid4(),
                comparison_id=pair.comparison_id,
                rater_id=anna.id,
                left_is_a=True,
                reopens=False,
                issued_at=NOW,
                expires_at=NOW,
            )
        )


def test_raters_get_different_comparisons_while_others_remain(store):
    comparisons = fill(store, pairs=12)
    raters = [store.add_rater(f"rater {number}") for number in range(4)]
    seen, nonce = [], nonces()
    for _ in range(3):
        pairs = [store.issue(rater.id) for rater in raters]
        seen += [pair.comparison_id for pair in pairs]
        for pair in pairs:
            store.vote(pair.assignment_id, Answer(outcome="left", nonce=next(nonce)))
    assert sorted(seen) == sorted(comparisons)
    again = store.issue(raters[0].id)
    assert again.comparison_id in comparisons, "then the same ones are shared"
    assert again.votes_cast == 3
    assert again.remaining == 9


def test_simulated_listeners_do_not_take_pairs_from_people(store):
    comparisons = fill(store, pairs=5)
    robot = store.add_rater("robot", kind="simulated")
    store.vote(store.issue(robot.id).assignment_id, Answer(outcome="left", nonce="r"))
    anna = store.add_rater("Anna")
    assert store.issue(anna.id).comparison_id == comparisons[0]


def test_an_expired_lease_frees_the_comparison_for_others(store):
    comparisons = fill(store, pairs=2)
    anna, ben = store.add_rater("Anna"), store.add_rater("Ben")
    assert store.issue(anna.id, now=NOW).comparison_id == comparisons[0]
    late = NOW + LEASE
    assert store.issue(ben.id, now=late - timedelta(seconds=1)).comparison_id == comparisons[1]
    store.vote(store.issue(ben.id, now=late).assignment_id, Answer(outcome="tie", nonce="b1"))
    assert store.issue(ben.id, now=late).comparison_id == comparisons[0]


def test_who_let_a_lease_run_out_counts_as_listening_no_more(store):
    comparisons = fill(store, pairs=2)
    anna, ben, cleo = (store.add_rater(name) for name in ("Anna", "Ben", "Cleo"))
    assert store.issue(anna.id, now=NOW).comparison_id == comparisons[0]
    assert store.issue(ben.id, now=NOW + LEASE).comparison_id == comparisons[0]
    assert store.issue(cleo.id, now=NOW + LEASE).comparison_id == comparisons[1]


def test_a_lease_that_ran_out_is_given_anew_with_the_same_sides(store):
    fill(store, pairs=1)
    anna = store.add_rater("Anna")
    first = store.issue(anna.id, now=NOW)
    for number in range(1, 9):
        again = store.issue(anna.id, now=NOW + number * LEASE)
        assert again.assignment_id != first.assignment_id
        assert (again.left, again.right) == (first.left, first.right)


def test_issue_can_be_narrowed_to_a_purpose(store):
    train = fill(store, pairs=2)
    ids = store.melodies_frame()["melody_id"].tolist()
    blind = store.add_comparisons([(ids[0], ids[1])], round=1, purpose="blind_test")
    anna = store.add_rater("Anna")
    assert store.issue(anna.id, purposes=["train"]).comparison_id == train[0]
    pair = store.issue(anna.id, purposes=["blind_test"])
    assert pair.comparison_id == blind[0]
    assert pair.remaining == 1
    store.vote(pair.assignment_id, Answer(outcome="left", nonce="1"))
    assert store.issue(anna.id, purposes=["blind_test"]) is None
    assert store.issue(anna.id).comparison_id == train[0]


@pytest.mark.parametrize("raters", [1, 2])
def test_hidden_repeats_come_late_to_the_same_rater_with_sides_swapped(store, raters):
    fill(store, pairs=20, repeats=0.2)
    plan = store.comparisons_frame().set_index("comparison_id")
    assert (plan["purpose"] == "repeat").sum() > 3
    people = [store.add_rater(f"rater {number}") for number in range(raters)]
    shown, order, nonce = {}, {}, nonces()
    for _ in range(len(plan)):
        for person in people:
            pair = store.issue(person.id)
            if pair is None:
                continue
            key = str(pair.comparison_id)
            order.setdefault(person.id, []).append(key)
            shown[person.id, key] = (pair.left.id, pair.right.id)
            store.vote(pair.assignment_id, Answer(outcome="left", nonce=next(nonce)))
    repeated = 0
    for person, keys in order.items():
        assert len(set(keys)) == len(keys), "nobody hears a comparison twice"
        for place, key in enumerate(keys):
            original = plan.loc[key, "repeat_of"]
            if isinstance(original, str):
                repeated += 1
                assert place - keys.index(original) >= 5
                assert shown[person, key] == shown[person, original][::-1]
    if raters == 1:
        assert order[people[0].id] == list(plan.index), "alone, a rater follows the plan"
    assert repeated >= 2 * raters


# Voting


def test_a_vote_sent_again_is_a_success_and_stored_once(store):
    fill(store)
    anna = store.add_rater("Anna")
    pair = store.issue(anna.id)
    first = store.vote(pair.assignment_id, Answer(outcome="left", nonce="n"))
    assert not first.duplicate
    for outcome, nonce in (("left", "n"), ("right", "n"), ("right", "another")):
        receipt = store.vote(pair.assignment_id, Answer(outcome=outcome, nonce=nonce))
        assert receipt.duplicate
        assert receipt.vote_id == first.vote_id
    votes = store.votes_frame(current_only=False)
    assert votes["outcome"].tolist() == ["left"]


def test_a_nonce_of_another_assignment_is_an_error_and_loses_no_vote(store):
    fill(store)
    anna = store.add_rater("Anna")
    store.vote(store.issue(anna.id).assignment_id, Answer(outcome="left", nonce="n"))
    pair = store.issue(anna.id)
    with pytest.raises(RatingsError, match=r"nonce='n'.*draw a new one"):
        store.vote(pair.assignment_id, Answer(outcome="left", nonce="n"))
    assert store.issue(anna.id) == pair


def test_an_unknown_assignment_is_refused(store):
    with pytest.raises(RatingsError, match="unknown; reload"):
        store.vote(uuid4(), Answer(outcome="left", nonce="n"))


def test_a_stale_page_may_answer_late_once(store):
    comparisons = fill(store, pairs=3)
    anna = store.add_rater("Anna")
    stale = store.issue(anna.id, now=NOW)
    anew = store.issue(anna.id, now=NOW + LEASE)
    assert anew.comparison_id == stale.comparison_id == comparisons[0]
    late = store.vote(stale.assignment_id, Answer(outcome="left", nonce="late"))
    assert not late.duplicate
    # The page that was issued since shows an answered comparison: it is told so, and moves on.
    assert (
        store.vote(anew.assignment_id, Answer(outcome="right", nonce="x")).vote_id == late.vote_id
    )
    assert store.issue(anna.id).comparison_id == comparisons[1]
    assert store.votes_frame(current_only=False)["outcome"].tolist() == ["left"]


def test_a_late_answer_also_closes_the_pair_that_was_issued_anew(store):
    comparisons = fill(store, pairs=2)
    anna = store.add_rater("Anna")
    now = datetime.now(UTC)
    stale = store.issue(anna.id, now=now - 2 * LEASE)
    anew = store.issue(anna.id, now=now)
    store.vote(stale.assignment_id, Answer(outcome="left", nonce="late"))
    with store.reading() as session:
        assert session.get_one(AssignmentRow, anew.assignment_id).closed_at is not None
    assert store.issue(anna.id, now=now).comparison_id == comparisons[1]


def test_everything_that_a_page_sends_is_kept(store):
    fill(store)
    anna = store.add_rater("Anna", consent_version="2026-11")
    sent = {
        "outcome": "tie",
        "strength": 2,
        "reasons": ["ending", "rhythm"],
        "comment": "schön, = 'both'\n",
        "heard_ms_left": 9000,
        "heard_ms_right": 8000,
        "plays_left": 2,
        "plays_right": 1,
        "latency_ms": 1234,
        "renderer": "midirenderer/TimGM6mb/0",
        "app_version": "0.1.0",
    }
    before = datetime.now(UTC)
    store.vote(store.issue(anna.id).assignment_id, Answer(nonce="n", **sent))
    [vote] = store.votes_frame().to_dict("records")
    assert {name: vote[name] for name in sent} == sent
    assert before <= vote["issued_at"] <= vote["created_at"] <= datetime.now(UTC)
    assert vote["rater_kind"] == "person"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("outcome", "a", "outcome='a' is not known"),
        ("strength", 3, "strength=3 is not 1"),
        ("nonce", "", "nonce has length 0"),
        ("nonce", "n" * 65, "nonce has length 65"),
        ("comment", "x" * 2001, "comment has length 2001"),
        ("comment", "nul\x00", "NUL"),
        ("comment", "\ud800", "half a character"),
        ("reasons", "ending", "not a list"),
        ("reasons", [""], "reason has length 0"),
        ("heard_ms_left", -1, "heard_ms_left=-1"),
        ("latency_ms", 2**31, "latency_ms=2147483648"),
        ("plays_right", 1.5, "plays_right=1.5"),
    ],
)
def test_a_wrong_answer_is_refused_and_the_pair_stays(store, field, value, message):
    fill(store, pairs=1)
    anna = store.add_rater("Anna")
    pair = store.issue(anna.id)
    with pytest.raises(RatingsError, match=message) as caught:
        store.vote(
            pair.assignment_id, Answer(**({"outcome": "left", "nonce": "n"} | {field: value}))
        )
    assert "\n" not in str(caught.value)
    assert store.issue(anna.id) == pair


# Undo


def test_undo_shows_the_same_sides_and_the_new_vote_supersedes(store):
    fill(store, pairs=3)
    anna = store.add_rater("Anna")
    assert store.undo(anna.id) is None
    pair = store.issue(anna.id)
    first = store.vote(pair.assignment_id, Answer(outcome="left", nonce="1"))
    waiting = store.issue(anna.id)
    again = store.undo(anna.id)
    assert again.reopened
    assert again.assignment_id != pair.assignment_id
    assert (again.left, again.right) == (pair.left, pair.right)
    assert store.issue(anna.id) == again, "a reload stays at the reopened pair"
    assert store.votes_frame()["vote_id"].tolist() == [first.vote_id], "the old vote counts so far"
    second = store.vote(again.assignment_id, Answer(outcome="right", nonce="2"))
    assert store.votes_frame()["vote_id"].tolist() == [second.vote_id]
    history = store.votes_frame(current_only=False)
    assert history["outcome"].tolist() == ["left", "right"], "nothing is overwritten"
    assert history["current"].tolist() == [False, True]
    assert history["supersedes"].tolist()[1] == first.vote_id
    resumed = store.issue(anna.id)
    assert (resumed.comparison_id, resumed.left) == (waiting.comparison_id, waiting.left)
    assert resumed.votes_cast == 1


def test_an_undo_from_a_page_that_shows_another_pair_is_refused(store):
    fill(store, pairs=3)
    anna = store.add_rater("Anna")
    first = store.issue(anna.id)
    store.vote(first.assignment_id, Answer(outcome="left", nonce="1"))
    second = store.issue(anna.id)
    for shown in (first.assignment_id, None, uuid4(), UUID(int=0), UUID(int=2**128 - 1)):
        with pytest.raises(StalePageError, match="reload the page"):
            store.undo(anna.id, shown=shown)
    assert store.issue(anna.id) == second, "a refused undo changes nothing"
    assert store.undo(anna.id, shown=second.assignment_id).comparison_id == first.comparison_id


def test_undo_again_goes_further_back_and_stops_at_the_first(store):
    fill(store, pairs=4)
    anna = store.add_rater("Anna")
    pairs = []
    for nonce in ("1", "2", "3"):
        pairs.append(store.issue(anna.id))
        store.vote(pairs[-1].assignment_id, Answer(outcome="left", nonce=nonce))
    assert store.undo(anna.id).comparison_id == pairs[2].comparison_id
    assert store.undo(anna.id).comparison_id == pairs[1].comparison_id
    first = store.undo(anna.id)
    assert first.comparison_id == pairs[0].comparison_id
    assert store.undo(anna.id) is None
    assert store.issue(anna.id) == first
    store.vote(first.assignment_id, Answer(outcome="right", nonce="4"))
    # The corrected vote is now the newest, and can be corrected again.
    again = store.undo(anna.id)
    assert again.comparison_id == first.comparison_id
    store.vote(again.assignment_id, Answer(outcome="tie", nonce="5"))
    by_comparison = store.votes_frame().set_index("comparison_id")["outcome"].to_dict()
    assert by_comparison == {
        str(pairs[0].comparison_id): "tie",
        str(pairs[1].comparison_id): "left",
        str(pairs[2].comparison_id): "left",
    }
    assert len(store.votes_frame(current_only=False)) == 5


def test_a_page_left_open_by_an_undo_does_not_overwrite_a_newer_answer(store):
    fill(store, pairs=3)
    anna = store.add_rater("Anna")
    for nonce in ("1", "2"):
        store.vote(store.issue(anna.id).assignment_id, Answer(outcome="left", nonce=nonce))
    stale = store.undo(anna.id)
    earlier = store.undo(anna.id)
    assert stale.comparison_id != earlier.comparison_id
    store.vote(earlier.assignment_id, Answer(outcome="tie", nonce="3"))
    store.undo(anna.id)  # of the answer just given
    again = store.undo(anna.id)
    assert again.comparison_id == stale.comparison_id
    newer = store.vote(again.assignment_id, Answer(outcome="right", nonce="4"))
    late = store.vote(stale.assignment_id, Answer(outcome="skip", nonce="5"))
    assert (late.duplicate, late.vote_id) == (True, newer.vote_id)
    votes = store.votes_frame().set_index("comparison_id")["outcome"].to_dict()
    assert votes == {str(stale.comparison_id): "right", str(earlier.comparison_id): "tie"}


class Voting(RuleBasedStateMachine):
    """Two raters who vote, reload, undo, come late and send twice, against rules in plain words.

    1. An answer is stored if its page has not been answered, and the rater has not answered the
       same comparison since the page was first shown. Otherwise it is a duplicate.
    2. Of a rater's answers to a comparison the last counts.
    3. An undo shows the comparison whose counting answer is the newest; while one is reopened, the
       newest of those older than its own.
    """

    def __init__(self):
        super().__init__()
        path = self.filled.with_name(f"{uuid4().hex}.sqlite")
        shutil.copy(self.filled, path)
        self.store = RatingsStore(path, rng=Random(0))
        self.raters = [self.store.add_rater(name).id for name in ("Anna", "Ben")]
        self.clock, self.tick = NOW, 0
        self.pages = {}  # assignment -> (rater, comparison, tick at which it was first shown)
        self.answers = []  # (tick, rater, comparison, outcome), as they were stored
        self.stored = {}  # assignment -> (vote id, nonce)
        self.reopened = {}  # rater -> comparison that an undo has on their screen
        self.nonce = nonces()

    def teardown(self):
        self.store.close()

    def look(self, rater, pair):
        self.tick += 1
        if pair is not None:
            shown = (rater, pair.comparison_id, self.tick)
            self.pages.setdefault(pair.assignment_id, shown)
        self.reopened[rater] = pair.comparison_id if pair is not None and pair.reopened else None

    def counting(self, rater):
        """Comparison -> tick of the rater's answer that counts."""
        return {comparison: tick for tick, who, comparison, _ in self.answers if who == rater}

    @rule(rater=st.integers(0, 1), minutes=st.sampled_from([0, 1, 31]))
    def reload(self, rater, minutes):
        self.clock += timedelta(minutes=minutes)
        rater = self.raters[rater]
        pair = self.store.issue(rater, now=self.clock)
        counting = self.counting(rater)
        if pair is None:
            assert len(counting) == 6
        elif not pair.reopened:
            assert pair.comparison_id not in counting
        self.look(rater, pair)

    @rule(rater=st.integers(0, 1))
    def undo(self, rater):
        rater = self.raters[rater]
        counting = self.counting(rater)
        newest = counting.get(self.reopened.get(rater), self.tick + 1)
        older = {tick: comparison for comparison, tick in counting.items() if tick < newest}
        pair = self.store.undo(rater, now=self.clock)
        assert (pair and pair.comparison_id) == (older[max(older)] if older else None)
        if pair is not None:
            assert pair.reopened
            self.look(rater, pair)

    @precondition(lambda self: self.pages)
    @rule(back=st.integers(0, 7), outcome=st.sampled_from(OUTCOMES))
    def answer(self, back, outcome):
        page = list(self.pages)[-1 - back % len(self.pages)]
        rater, comparison, shown = self.pages[page]
        since = [
            tick
            for tick, who, what, _ in self.answers
            if (who, what) == (rater, comparison) and tick > shown
        ]
        nonce = next(self.nonce)
        receipt = self.store.vote(page, Answer(outcome=outcome, nonce=nonce))
        assert receipt.duplicate == (page in self.stored or bool(since))
        if not receipt.duplicate:
            self.tick += 1
            self.answers.append((self.tick, rater, comparison, outcome))
            self.stored[page] = (receipt.vote_id, nonce)
            if self.reopened.get(rater) == comparison:
                self.reopened[rater] = None

    @precondition(lambda self: self.stored)
    @rule(back=st.integers(0, 7), outcome=st.sampled_from(OUTCOMES))
    def send_again(self, back, outcome):
        page = list(self.stored)[-1 - back % len(self.stored)]
        vote_id, nonce = self.stored[page]
        receipt = self.store.vote(page, Answer(outcome=outcome, nonce=nonce))
        assert (receipt.vote_id, receipt.duplicate) == (vote_id, True)

    @precondition(lambda self: self.stored and len(self.pages) > len(self.stored))
    @rule(outcome=st.sampled_from(OUTCOMES))
    def send_with_the_nonce_of_another_page(self, outcome):
        page = next(page for page in self.pages if page not in self.stored)
        [*_, (_, nonce)] = self.stored.values()
        with pytest.raises(RatingsError, match="draw a new one for each answer"):
            self.store.vote(page, Answer(outcome=outcome, nonce=nonce))

    @invariant()
    def the_store_agrees(self):
        every = self.store.votes_frame(current_only=False)
        assert every["vote_id"].tolist() == [vote_id for vote_id, _ in self.stored.values()]
        assert every["outcome"].tolist() == [outcome for *_, outcome in self.answers]
        current = every.loc[every["current"]]
        counted = {
            (vote.rater_id, vote.comparison_id): vote.outcome for vote in current.itertuples()
        }
        assert len(counted) == len(current)
        assert counted == {
            (rater, str(comparison)): outcome for _, rater, comparison, outcome in self.answers
        }


def test_any_course_of_voting_keeps_the_rules(tmp_path):
    Voting.filled = tmp_path / "filled.sqlite"
    with RatingsStore(Voting.filled) as store:
        fill(store, melodies=8, pairs=6)
    run_state_machine_as_test(
        Voting, settings=settings(max_examples=4, stateful_step_count=25, deadline=None)
    )


# People


def test_a_token_brings_a_rater_back_and_only_its_hash_is_stored(ratings_url, tmp_path):
    with RatingsStore(ratings_url) as store:
        anna = store.add_rater("  Anna  B ")
        assert anna.nickname == "Anna B"
        assert anna.token is not None
        back = store.rater_by_token(anna.token)
        assert (back.id, back.token) == (anna.id, None)
        assert store.rater_by_token(anna.token + "x") is None
        assert store.rater_named("Anna B").id == anna.id
        assert store.rater_named("Anna B").token is None
        assert store.rater_named("Ben").token is not None
    for file in tmp_path.glob("ratings.sqlite*"):
        assert anna.token.encode() not in file.read_bytes()


@pytest.mark.parametrize(
    ("nickname", "message"),
    [
        ("Anna", "taken"),
        (" Anna ", "taken"),
        ("", "length 0"),
        (" ", "length 0"),
        ("x" * 41, "length 41"),
        ("a\u202eb", "do not print"),
    ],
)
def test_nicknames_that_are_refused(store, nickname, message):
    store.add_rater("Anna")
    with pytest.raises(RatingsError, match=message):
        store.add_rater(nickname)


def test_people_and_simulated_listeners_are_kept_apart(store):
    fill(store)
    anna = store.add_rater("Anna")
    robot = store.rater_named("robot", kind="simulated")
    nonce = nonces()
    for rater, votes in ((anna, 2), (robot, 3)):
        for _ in range(votes):
            pair = store.issue(rater.id)
            store.vote(pair.assignment_id, Answer(outcome="left", nonce=next(nonce)))
    assert set(store.votes_frame(kind="person")["rater_id"]) == {anna.id}
    assert set(store.votes_frame(kind="simulated")["rater_kind"]) == {"simulated"}
    assert store.votes_frame()["rater_kind"].value_counts().to_dict() == {
        "simulated": 3,
        "person": 2,
    }
    counts = store.counts()
    assert (counts["votes_person"], counts["votes_simulated"]) == (2, 3)
    assert (counts["raters_person"], counts["raters_simulated"]) == (1, 1)
    for refused in (
        lambda: store.rater_named("robot"),
        lambda: store.add_rater("x", kind="robot"),
        lambda: store.votes_frame(kind="robot"),
    ):
        with pytest.raises(RatingsError, match="kind"):
            refused()


def test_withdrawal_removes_what_is_theirs_and_names_the_runs(ratings_url, tmp_path):
    secret = "nobody-else-wrote-this"
    with RatingsStore(ratings_url) as store:
        fill(store, pairs=6)
        anna, ben = store.add_rater("Anna Withdraws"), store.add_rater("Ben")
        nonce = nonces()
        for rater in (anna, ben):
            for _ in range(3):
                pair = store.issue(rater.id)
                store.vote(
                    pair.assignment_id, Answer(outcome="left", nonce=next(nonce), comment=secret)
                )
                if rater is ben:
                    secret = "of Ben"
        again = store.undo(anna.id)
        store.vote(again.assignment_id, Answer(outcome="tie", nonce="undone"))
        store.issue(anna.id)
        votes = store.votes_frame(current_only=False)
        hers = votes.loc[votes["rater_id"] == anna.id, "vote_id"].tolist()
        his = votes.loc[votes["rater_id"] == ben.id, "vote_id"].tolist()
        store.record_training("reward-0001", hers[:2] + his)
        store.record_training("reward-0001", hers[:3])
        store.record_training("reward-0002", his)
        gone = store.withdraw(anna.id)
        assert (gone.nickname, gone.votes, gone.assignments) == ("Anna Withdraws", 4, 5)
        assert gone.runs == ("reward-0001",)
        assert set(store.votes_frame(current_only=False)["rater_id"]) == {ben.id}
        assert store.raters_frame()["nickname"].tolist() == ["Ben"]
        with store.reading() as session:
            rows = session.connection().exec_driver_sql(
                "SELECT run_id, votes_used, votes_withdrawn FROM trainings ORDER BY run_id"
            )
            assert [tuple(row) for row in rows] == [("reward-0001", 6, 3), ("reward-0002", 3, 0)]
        with pytest.raises(RatingsError, match="unknown"):
            store.issue(anna.id)
        assert store.add_rater("Anna Withdraws").id > ben.id, "ids are not used again"
        with pytest.raises(RatingsError, match="may have withdrawn"):
            store.withdraw(anna.id)
        with pytest.raises(RatingsError, match=r"vote .* is unknown"):
            store.record_training("reward-0003", hers)
        with pytest.raises(RatingsError, match="run_id"):
            store.record_training("../reward", his)


def test_withdrawn_text_is_overwritten_on_disk(tmp_path):
    path = tmp_path / "ratings.sqlite"
    with RatingsStore(path) as store:
        fill(store, pairs=2)
        anna = store.add_rater("Anna-who-leaves")
        pair = store.issue(anna.id)
        store.vote(
            pair.assignment_id, Answer(outcome="left", nonce="n", comment="my-private-words")
        )
        assert any(b"my-private-words" in f.read_bytes() for f in tmp_path.iterdir())
        store.withdraw(anna.id)
        for word in (b"my-private-words", b"Anna-who-leaves"):
            assert not any(word in file.read_bytes() for file in tmp_path.iterdir())


# The pool


def test_melodies_come_back_as_they_were(store, random_melodies):
    melodies = random_melodies(60)
    features = [{"leaps": number / 7} for number in range(60)]
    ids = store.add_melodies(
        melodies, policy_id="base", step=3, sampler="t=1", seed=2**63 - 1, features=features
    )
    stored = store.melodies(ids[::-1])
    assert [one.melody for one in stored] == melodies[::-1]
    assert stored[0].features == features[-1]
    assert (stored[0].policy_id, stored[0].step, stored[0].seed) == ("base", 3, 2**63 - 1)


def test_the_same_melody_keeps_its_id_and_origin(store):
    one, two, three = (number_melody(n) for n in (1, 2, 3))
    first = store.add_melodies([one, two, one], policy_id="base", sampler="t=1", seed=1)
    assert first[0] == first[2] != first[1]
    higher = Melody(one.header, one.notes, tonic_midi=65)
    again = store.add_melodies([three, higher, one], policy_id="tuned", sampler="t=1", seed=2)
    assert again[1:] == [first[0], first[0]]
    assert store.melody(first[0]).policy_id == "base"
    assert store.melody(first[0]).melody == one
    assert store.counts()["melodies"] == 3


def test_a_pair_of_two_styles_is_heard_without_them(store):
    """A style could tell which policy wrote a melody."""
    notes = [number_melody(n) for n in range(4)]
    styles = ["reel", "hornpipe", "reel", "reel"]
    ids = store.add_melodies(
        [
            replace(one, header=replace(one.header, style=style))
            for one, style in zip(notes, styles, strict=True)
        ],
        policy_id="base",
        sampler="t=1",
        seed=1,
    )
    with store.reading() as session:
        pairs = load_heard_pairs(session, [(ids[0], ids[1]), (ids[2], ids[3])])
    heard = [[side.melody.header.style for side in pair] for pair in pairs]
    assert heard == [["other", "other"], ["reel", "reel"]]
    tempos = [[side.tempo_bpm for side in pair] for pair in pairs]
    usual = [default_tempo_bpm(pair[0].melody.header) for pair in pairs]
    assert tempos == [pytest.approx([tempo, tempo]) for tempo in usual]
    assert usual[0] != usual[1], "two reels are heard as reels"
    assert [one.melody.header.style for one in store.melodies(ids)] == styles


def test_a_pair_of_two_metres_is_heard_at_one_tempo(store):
    """By whoever hears it, and whichever side comes first; what is stored keeps its own."""
    melodies = [
        Melody(Header(meter, "major", "other", bars), (Note(0, 24, 0), Note(24, 24, number)))
        for number, (meter, bars) in enumerate([("2/4", 4), ("6/8", 2), ("3/4", 2)])
    ]
    ids = store.add_melodies(melodies, policy_id="base", sampler="t=1", seed=1)
    with store.reading() as session:
        for one, other in combinations(ids, 2):
            (there,), (back,) = (
                load_heard_pairs(session, [pair]) for pair in ((one, other), (other, one))
            )
            quarters = [quarter_microseconds(side.melody.header, side.tempo_bpm) for side in there]
            assert quarters[0] == quarters[1]
            assert there == back[::-1]
    assert all(stored.tempo_bpm is None for stored in store.melodies(ids))
    ada = store.add_rater("Ada")
    store.add_plan([PlannedPair(ids[0], ids[1]), PlannedPair(ids[0], ids[2])], round=1)
    coming = store.coming(ada.id, count=2, purposes=["train"])
    assert [side.id for side in coming] == [ids[0], ids[1], ids[0], ids[2]], "at two tempos"
    issued = store.issue(ada.id)
    assert {issued.left.tempo_bpm, issued.right.tempo_bpm} == {
        side.tempo_bpm for side in coming[:2]
    }


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ([PlannedPair(1, 1)], "paired with itself"),
        ([PlannedPair(1, 99)], "melody 99 is not in the pool"),
        ([PlannedPair(1, 2, "practice")], "purpose='practice'"),
        ([PlannedPair(1, 2, "repeat")], "names its original"),
        ([PlannedPair(1, 2), PlannedPair(2, 1, "train", 0)], "names its original"),
        ([PlannedPair(1, 2), PlannedPair(3, 1, "repeat", 0)], "repeats comparison"),
        ([PlannedPair(1, 2, "repeat", 0)], "repeat_of=0"),
        ([PlannedPair(1, 2, "repeat", uuid4())], "not an earlier comparison"),
        (
            [PlannedPair(1, 2), PlannedPair(2, 1, "repeat", 0), PlannedPair(1, 2, "repeat", 1)],
            "repeat_of=1",
        ),
    ],
)
def test_wrong_plans_store_nothing(file_store, plan, message):
    file_store.add_melodies(
        [number_melody(n) for n in range(3)], policy_id="base", sampler="t=1", seed=1
    )
    with pytest.raises(RatingsError, match=message):
        file_store.add_plan(plan, round=1)
    assert file_store.counts()["comparisons"] == 0


def test_repeats_may_be_added_later(store):
    originals = fill(store, pairs=2)
    plan = store.comparisons_frame()
    pairs = list(zip(plan["melody_b"], plan["melody_a"], strict=True))
    store.add_comparisons(pairs, round=1, purpose="repeat", repeat_of=originals)
    frame = store.comparisons_frame()
    assert frame["repeat_of"].tolist()[2:] == [str(original) for original in originals]
    with pytest.raises(RatingsError, match="1 originals for 2"):
        store.add_comparisons(pairs, round=1, purpose="repeat", repeat_of=originals[:1])


@pytest.mark.parametrize("wrong", [{"probability": 0.0}, {"probability": 1.5}, {"strategy": ""}])
def test_a_pair_is_stored_with_how_it_was_chosen(file_store, wrong):
    ids = file_store.add_melodies(
        [number_melody(1), number_melody(2)], policy_id="base", sampler="t=1", seed=1
    )
    file_store.add_comparisons([(ids[0], ids[1])], round=4, strategy="entropy", probability=0.25)
    [row] = file_store.comparisons_frame().to_dict("records")
    assert (row["round"], row["strategy"], row["probability"]) == (4, "entropy", 0.25)
    with pytest.raises(RatingsError, match=next(iter(wrong))):
        file_store.add_comparisons([(ids[0], ids[1])], round=4, **wrong)


# Several at once, and accidents

VOTER = """
import sys
from reward.store.store import RatingsStore
from reward.store.votes import Answer
url, rater, votes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with RatingsStore(url, lock_timeout_s=60) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(votes):
        pair = store.issue(rater)
        if pair is None:
            break
        nonce = f"{rater}-{number}"
        answer = Answer(outcome="left", nonce=nonce)
        assert not store.vote(pair.assignment_id, answer).duplicate
        print(nonce, pair.comparison_id, flush=True)
"""


def start_voter(url, rater_id, votes):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", VOTER, str(url), str(rater_id), str(votes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT), *sys.path])},
    )


@pytest.mark.slow
def test_two_processes_vote_and_no_vote_is_lost_doubled_or_shared(ratings_url):
    with RatingsStore(ratings_url) as store:
        fill(store, melodies=30, pairs=40)
        voters = [start_voter(ratings_url, store.add_rater(name).id, 20) for name in ("A", "B")]
        for voter in voters:
            assert voter.stdout.readline() == "ready\n"
        for voter in voters:
            voter.stdin.write("go\n")
            voter.stdin.flush()
        said = [voter.communicate(timeout=60)[0].split() for voter in voters]
        assert [voter.returncode for voter in voters] == [0, 0]
        comparisons = said[0][1::2] + said[1][1::2]
        assert len(comparisons) == 40
        assert len(set(comparisons)) == 40, (
            "nobody got the other's comparison while others remained"
        )
        assert sorted(store.votes_frame()["comparison_id"]) == sorted(comparisons)


def test_threads_that_send_the_same_vote_store_it_once(store):
    fill(store)
    people = [store.add_rater(f"rater {number}") for number in range(4)]
    with ThreadPoolExecutor(8) as threads:
        pairs = list(threads.map(lambda person: store.issue(person.id), people * 2))
        assert len({pair.assignment_id for pair in pairs}) == 4
        assert len({pair.comparison_id for pair in pairs}) == 4

        def send(pair):
            nonce = str(pair.assignment_id)
            return store.vote(pair.assignment_id, Answer(outcome="left", nonce=nonce))

        receipts = list(threads.map(send, pairs * 3))
    assert sum(not receipt.duplicate for receipt in receipts) == 4
    assert len(store.votes_frame()) == 4


def test_kill_9_loses_no_acknowledged_vote(ratings_url):
    with RatingsStore(ratings_url) as store:
        fill(store, melodies=40, pairs=600)
        anna = store.add_rater("Anna")
        voter = start_voter(ratings_url, anna.id, 600)
        voter.stdout.readline()
        voter.stdin.write("go\n")
        voter.stdin.flush()
        said = [voter.stdout.readline() for _ in range(25)]
        os.kill(voter.pid, signal.SIGKILL)
        said += voter.communicate(timeout=60)[0].splitlines(keepends=True)
        assert voter.returncode == -signal.SIGKILL
        acknowledged = [line.split()[1] for line in said if line.endswith("\n")]
        assert 25 <= len(acknowledged) < 600
    with RatingsStore(ratings_url) as store:
        stored = store.votes_frame()["comparison_id"].tolist()
        assert stored[: len(acknowledged)] == acknowledged
        assert len(stored) <= len(acknowledged) + 1, "at most the one that was being told"
        pair = store.issue(anna.id)
        assert not store.vote(pair.assignment_id, Answer(outcome="tie", nonce="after")).duplicate


def test_a_locked_database_says_so_in_one_line(tmp_path, file_store):
    fill(file_store)
    other = sqlite3.connect(tmp_path / "ratings.sqlite", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RatingsError, match=r"ratings\.sqlite is locked.*try again") as caught:
            file_store.add_rater("Anna")
        assert "\n" not in str(caught.value)
        assert len(file_store.melodies_frame()) == 20, "readers are not held up"
        RatingsStore(tmp_path / "ratings.sqlite", lock_timeout_s=0.1).close()
        other.execute("ROLLBACK")
        assert file_store.add_rater("Anna").nickname == "Anna"
    finally:
        other.close()


@pytest.mark.postgres
@pytest.mark.parametrize("ratings_url", ["postgresql"], indirect=True)
def test_a_locked_postgresql_says_so(ratings_url):
    with (
        RatingsStore(ratings_url, lock_timeout_s=0.1) as first,
        RatingsStore(ratings_url, lock_timeout_s=0.1) as second,
        first.writing(),
        pytest.raises(RatingsError, match="is locked"),
    ):
        second.add_rater("Anna")


def test_settings_that_keep_votes_safe(file_store):
    with file_store.writing() as session:
        connection = session.connection()
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in (
                "journal_mode",
                "synchronous",
                "foreign_keys",
                "busy_timeout",
                "secure_delete",
            )
        }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 300,
        "secure_delete": 1,
    }
    with pytest.raises(IntegrityError, match="FOREIGN KEY"), file_store.writing() as session:
        session.add(
            AssignmentRow(
                id=uuid4(),
                comparison_id=uuid4(),
                rater_id=1,
                left_is_a=True,
                reopens=False,
                issued_at=NOW,
                expires_at=NOW,
            )
        )


def test_jobs_are_rows_of_the_same_database(store):
    job_id = uuid4()
    with store.writing() as session:
        session.add(
            JobRow(
                id=job_id,
                kind="ppo",
                config={"seed": 7},
                state="queued",
                created_at=NOW,
                cancel_requested=False,
                message="",
            )
        )
    with store.reading() as session:
        job = session.get_one(JobRow, job_id)
        assert (job.config, job.created_at, job.pid) == ({"seed": 7}, NOW, None)
    with pytest.raises(IntegrityError, match="ck_jobs_state"), store.writing() as session:
        session.get_one(JobRow, job_id).state = "gone"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (":memory:", "names no file"),
        ("sqlite://", "names no file"),
        ("mysql://host/db", "'mysql' are not supported"),
        ("http://host/db", "'http' are not supported"),
        ("nothing://", "URL cannot be read|not supported"),
        ("postgresql+asyncpg://host/db", r"driver in postgresql\+asyncpg:// .* leave it out: post"),
        ("sqlite+aiosqlite:///a.db", r"driver in sqlite\+aiosqlite:// is not supported"),
    ],
)
def test_addresses_that_are_refused(address, message):
    with pytest.raises(RatingsError, match=message):
        RatingsStore(address)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_an_address_for_another_driver_of_postgresql_is_read_as_ours(scheme):
    url = parse_url(f"{scheme}://anna:pw@host/ratings")
    assert url.render_as_string(hide_password=False) == "postgresql+psycopg://anna:pw@host/ratings"


def test_a_server_out_of_reach_is_told_without_the_password():
    with pytest.raises(RatingsError, match="cannot be used") as caught:
        RatingsStore("postgresql://anna:secret@127.0.0.1:1/ratings")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_is_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database, " * 100)
    with pytest.raises(RatingsError, match="damaged or not a ratings database"):
        RatingsStore(path)
    assert path.read_bytes() == b"not a database, " * 100
    with pytest.raises(RatingsError, match="cannot be opened"):
        RatingsStore(tmp_path)


def test_a_damaged_database_is_found_when_it_is_opened(tmp_path):
    path = tmp_path / "ratings.sqlite"
    with RatingsStore(path) as store:
        fill(store, melodies=400, pairs=400)
    whole = bytearray(path.read_bytes())
    for page in range(4096 * 20, len(whole), 4096):
        whole[page : page + 200] = os.urandom(200)
    path.write_bytes(whole)
    with pytest.raises(RatingsError, match="damaged"):
        RatingsStore(path)


def test_the_store_does_not_import_torch():
    code = (
        "import sys, reward.store.store, reward.exchange.export, reward.pairs.random_pairs; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'streamlit')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False)
    assert done.returncode == 0
