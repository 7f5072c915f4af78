"""Blind tests in the studio: what is hidden until the end, and the page in each state."""

import copy
import json
import random
import sys
import time
from datetime import UTC, datetime
from itertools import count

import pytest
import torch
from streamlit.testing.v1 import AppTest

from feedback_ui.services.background_command import CommandProcess
from feedback_ui.services.blind_tests import (
    advice,
    blind_test_arguments,
    change_rules,
    end,
    find_test,
    invited_to,
    list_tests,
    new_invitation,
    outcome,
    settle,
)
from feedback_ui.services.session import CONSENT_VERSION, StudioSession
from feedback_ui.services.subcommand import CommandError
from music.melody import Header, Melody, Note
from policy.checkpoint import save_policy
from policy.runs import new_run
from reward.blind_test.stopping_rule import Tally
from reward.store import campaigns
from reward.store.campaigns import Policies
from reward.store.pool import PlannedPair
from reward.store.store import RatingsError, RatingsStore
from reward.store.votes import Answer
from tests.support.clocks import another_clock
from tests.support.project import PROJECT
from tests.support.studio_pages import press, words

PAGE = PROJECT / "feedback_ui/app_pages/blind_test.py"
POLICIES = Policies(a="base", b="ppo-0001", a_id="aaaa", b_id="bbbb")
NONCES = count()
MARKUP = "<b>Sunday</b> *test*"


@pytest.fixture
def store(ratings_url):
    with RatingsStore(ratings_url, rng=random.Random(1)) as store:
        yield store


@pytest.fixture
def make(store):
    numbers = count(1)

    def tune():
        header, number = Header("2/4", "major", "other", 4, 0), next(numbers)
        pitches = [(number // 24**place) % 24 for place in range(2)]
        onsets = range(0, header.end_ticks, 24)
        return Melody(header, tuple(Note(at, 24, pitches[at // 24 % 2]) for at in onsets))

    def make(name="test", pairs=30, wanted=30):
        with store.writing() as session:
            campaign = campaigns.create_campaign(
                session,
                name,
                purpose="blind_test",
                votes_wanted=wanted,
                policies=POLICIES,
                now=datetime.now(UTC),
            )
        of_a, of_b = (
            store.add_melodies(
                [tune() for _ in range(pairs)], policy_id=policy_id, sampler="t", seed=0
            )
            for policy_id in ("aaaa", "bbbb")
        )
        plan = [PlannedPair(a, b, "blind_test") for a, b in zip(of_a, of_b, strict=True)]
        store.add_plan(plan, round=1, campaign_id=campaign.id)
        return campaign.id

    return make


@pytest.fixture
def ada(store):
    return store.add_rater("Ada", consent_version=CONSENT_VERSION)


def say(store, rater, test_id, *words):
    """Votes for policies ('a', 'b'), or other outcomes."""
    for word in words:
        pair = store.issue(rater.id, purposes=["blind_test"], campaign_id=test_id)
        policy = {"a": "aaaa", "b": "bbbb"}.get(word)
        side = word if policy is None else "left" if pair.left.policy_id == policy else "right"
        store.vote(pair.assignment_id, Answer(outcome=side, nonce=f"n{next(NONCES)}"))


def test_before_the_end_only_numbers_are_known(store, make, ada):
    test = make()
    say(store, ada, test, "b", "b", "tie", "skip", "both_bad", "a")
    standing = settle(store, test)
    assert (standing.votes, standing.most_more, standing.raters) == (4, 26, 1)
    assert not standing.has_ended
    with pytest.raises(RatingsError, match="has not ended"):
        outcome(store, test)


@pytest.mark.postgres
@pytest.mark.parametrize("ratings_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_studio_with_another_clock_ends_a_test_at_the_same_moment(store, make, ada, seconds):
    test = make()
    say(store, ada, test, "b")
    pair = store.issue(ada.id, purposes=["blind_test"], campaign_id=test)
    with another_clock(seconds):
        assert end(store, test).votes == 1, "votes before the end count"
    store.vote(pair.assignment_id, Answer(outcome="left", nonce=f"n{next(NONCES)}"))
    assert outcome(store, test).tally.decided == 1, "and none that comes after it"


def test_what_an_organiser_is_told_is_the_same_whichever_leads(store, make, ada):
    for_a, for_b = make("for a", 40, 100), make("for b", 40, 100)
    say(store, ada, for_a, *"aaab" * 3)
    say(store, ada, for_b, *"bbba" * 3)
    told = advice(store, for_a)
    assert told == advice(store, for_b)
    assert "more votes are needed" in told
    early = make("early")
    assert "After ten votes" in advice(store, early)
    even = make("even")
    say(store, ada, even, *"ab" * 6)
    assert "hardly" in advice(store, even)


def test_a_clear_answer_ends_a_test_with_the_vote_that_makes_it(store, make, ada):
    test = make()
    say(store, ada, test, "tie", *"b" * 14)
    assert not settle(store, test).has_ended
    say(store, ada, test, "b")
    assert settle(store, test).has_ended
    found = outcome(store, test)
    assert found.tally == Tally(0, 15, 1)
    assert (found.claim.better, found.claim.at_vote) == ("b", 16)
    assert found.words == "ppo-0001 is liked better than base."
    assert store.issue(ada.id, campaign_id=test) is None


def test_an_imported_test_ends_only_when_an_organiser_says_so(store, make, ada):
    test = make()
    say(store, ada, test, *"b" * 15)
    with store.writing() as session:  # as an import leaves it
        campaigns.campaign_row(session, test).closed_at = datetime.now(UTC)
    standing = settle(store, test)
    assert (standing.is_imported, standing.has_ended) == (True, False)
    standing = end(store, test)
    assert (standing.is_imported, standing.has_ended) == (False, True)
    assert outcome(store, test).tally == Tally(0, 15, 0)


def test_the_votes_wanted_end_a_test(store, make, ada):
    test = make(pairs=12, wanted=10)
    say(store, ada, test, "skip", *"ab" * 5)
    assert settle(store, test).has_ended
    found = outcome(store, test)
    assert (found.claim, found.undecided) == (None, 1)
    assert "do not tell base and ppo-0001 apart" in found.words


def test_an_organiser_ends_a_test_and_votes_on_their_way_change_nothing(store, make, ada):
    test = make()
    say(store, ada, test, "a", "a", "b")
    live = store.issue(ada.id, campaign_id=test)
    end(store, test)
    store.vote(live.assignment_id, Answer(outcome="left", nonce="late"))
    assert outcome(store, test).tally == Tally(2, 1)
    assert settle(store, test) == end(store, test)


def test_each_raters_votes_and_what_did_not_count(store, make, ada):
    test = make(pairs=2)
    bo = store.add_rater("Bo")
    say(store, ada, test, "a", "tie")
    say(store, bo, test, "b", "skip")
    end(store, test)
    found = outcome(store, test)
    assert found.tally == Tally(1, 0, 1)
    assert (found.again, found.undecided) == (1, 1)
    by_name = {rater.nickname: rater for rater in found.raters}
    assert (by_name["Ada"].tally, by_name["Ada"].undecided) == (Tally(1, 0, 1), 0)
    assert (by_name["Bo"].tally, by_name["Bo"].undecided) == (Tally(0, 1), 1)


def test_tests_are_found_by_address_and_by_invitation(store, make):
    old, new = make("old"), make("new")
    assert [test.name for test in list_tests(store)] == ["new", "old"]
    end(store, new)
    assert [test.name for test in list_tests(store)] == ["old", "new"], "open ones first"
    assert find_test(store, str(old)).name == "old"
    for nothing in ("", "99", "-1", "1; DROP", "²", "9" * 30):
        assert find_test(store, nothing) is None
    token = new_invitation(store, old)
    assert invited_to(store, token).name == "old"
    assert invited_to(store, "made up") is None
    assert invited_to(store, "") is None


def test_a_training_campaign_is_no_blind_test(store):
    with store.writing() as session:
        made = campaigns.create_campaign(
            session, "class", purpose="train", votes_wanted=9, now=datetime.now(UTC)
        )
        token = campaigns.invite(session, made.id)
    assert list_tests(store) == []
    assert invited_to(store, token) is None


def test_undo_stays_within_the_test(store, make, ada, clips):
    test, studio = make(), StudioSession(store, clips)
    narrow = {"purposes": ["blind_test"], "campaign_id": test}
    say(store, ada, test, "a")
    shown = studio.current_pair(ada.id, **narrow)
    assert shown.total == 30
    payload = {"assignment_id": str(shown.assignment_id)}
    assert studio.undo(ada.id, payload, **narrow).done
    assert studio.current_pair(ada.id, **narrow).reopened
    # Undo on the page Rate does not affect the votes of a test.
    assert not studio.undo(ada.id, {"assignment_id": None}).done


# The page


@pytest.fixture
def page(tmp_path, ratings_url, clips, monkeypatch):
    def look(*, organiser=True, rater=None, **query):
        arguments = [f"--database={ratings_url}", f"--clips={clips}"]
        monkeypatch.setattr(sys, "argv", ["studio.py", *arguments])
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("feedback_ui.views.access.serves_this_machine_only", lambda: organiser)
        app = AppTest.from_file(str(PAGE), default_timeout=60)
        for name, value in query.items():
            app.query_params[name] = value
        if rater is not None:
            app.session_state["rater"] = rater
        return app.run()

    return look


def test_an_empty_studio_says_what_to_do(page, store):
    assert "tastemaker ppo" in words(page())
    rater_sees = page(organiser=False)
    assert "pairs on the page Rate" in words(rater_sees)
    assert not rater_sees.selectbox


@pytest.fixture
def two_policies(tmp_path, tiny_policy):
    """Folders of two policies in the page's working folder: of everything, and of one style."""
    waltzes = {
        "styles": ["other", "waltz"],
        "trained_on": {
            "meters": ["3/4"],
            "modes": ["major"],
            "bars": [8, 12],
            "pickups_ticks": [0],
        },
    }
    runs = tmp_path / "checkpoints" / "runs"
    save_policy(tiny_policy, tmp_path / "checkpoints" / "base")
    save_policy(tiny_policy, new_run("pretrain", {}, root=runs, name="mine").path / "policy")
    config = runs / "mine" / "policy" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | waltzes))
    return runs


def field(app, label):
    (found,) = [one for one in (*app.selectbox, *app.text_input) if one.label == label]
    return found


@pytest.mark.usefixtures("two_policies")
def test_the_form_offers_what_both_policies_know_and_hands_on_what_is_asked(
    page, store, monkeypatch
):
    started = []
    monkeypatch.setattr(CommandProcess, "start", lambda self, words, **_: started.append(words))
    app = page()
    assert field(app, "The other policy").value == "mine", "a pretrained policy is offered too"
    assert field(app, "Metre").options == ["any", "3/4"]
    assert field(app, "Style").options == ["any", "other", "waltz"]
    assert field(app, "Bars").options == ["8", "any", "12"]
    field(app, "Style").select("waltz")
    field(app, "Key").select("G")
    field(app, "Range").input("A5-E3")
    app = press(app, "Write the melodies")
    assert "Not yet" in words(app)
    assert "E3-A5" in words(app), "the remedy"
    assert started == []
    field(app, "Range").input(" A3-E5 ")
    press(app, "Write the melodies")
    (asked,) = started
    assert {"--style=waltz", "--key=G", "--range=A3-E5", "--bars=8", "--meter=any"} <= set(asked)
    assert asked[-3:] == ["--", "base", "mine"]


def test_a_policy_that_cannot_be_read_is_told_where_the_form_would_be(page, store, two_policies):
    (two_policies / "mine" / "policy" / "config.json").write_text("{")
    app = page()
    assert "Not yet" in words(app)
    assert "config.json" in words(app)
    assert not app.exception


def test_a_listed_test_opens_and_stays_in_the_address(page, make, ada):
    test = make(MARKUP)
    app = press(page(rater=ada.token), "Listen and vote")
    assert not app.exception
    assert app.query_params["test"] == str(test)
    assert MARKUP in [text.value for text in app.text]
    assert app.get("bidi_component")
    press(app, "All blind tests")
    assert "test" not in app.query_params


def test_raters_are_told_no_policy_and_no_leader(page, store, make, ada):
    test = make()
    say(store, ada, test, *"bbbbbbbbbbbb")
    app = page(organiser=False, test=str(test), rater=ada.token)
    (shown,) = app.get("bidi_component")
    everything = words(app) + shown.proto.json + str(app.main)
    for word in ("ppo-0001", "aaaa", "bbbb", "12 for", "better than", "policy"):
        assert word not in everything, word
    assert "For the person who runs" not in str([e.label for e in app.expander])


def test_an_invitation_leads_to_its_test_and_asks_who_comes(page, store, make):
    test = make()
    make("another")
    app = page(organiser=False, invite=new_invitation(store, test))
    assert "test" in [text.value for text in app.text]
    app.text_input[0].set_value("Zoe")
    app.checkbox[0].check()
    press(app, "Start listening")
    press(app, "Skip to rating")
    assert not app.exception
    rater = store.rater_named("Zoe")
    pair = store.issue(rater.id, purposes=["blind_test"], campaign_id=test)
    assert str(pair.assignment_id) in app.get("bidi_component")[-1].proto.json


def test_a_test_by_invitation_stays_open_to_who_came_by_it(page, store, make, ada):
    test = make()
    change_rules(store, test, votes_per_rater=None, invite_only=True)
    stranger = page(organiser=False, test=str(test), rater=ada.token)
    assert "for people who were invited" in stranger.info[0].value
    assert not stranger.get("bidi_component")
    token = new_invitation(store, test)
    for query in ({"invite": token}, {"test": str(test)}):
        guest = page(organiser=False, rater=ada.token, **query)
        assert not guest.exception
        assert not guest.info
        assert guest.get("bidi_component")


def test_an_organiser_changes_the_rules_and_hears_a_test_by_invitation(page, store, make, ada):
    test = make()
    app = page(test=str(test), rater=ada.token)
    assert app.number_input[0].value == 30
    app.number_input[0].set_value(7)
    next(box for box in app.checkbox if box.label.startswith("Only people")).check()
    press(app, "Change")
    assert not app.exception
    standing = find_test(store, str(test))
    assert (standing.votes_per_rater, standing.invite_only) == (7, True)
    assert app.get("bidi_component")


def test_who_has_given_their_share_is_told_so(page, store, make, ada):
    test = make()
    say(store, ada, test, "a", "b")
    change_rules(store, test, votes_per_rater=2, invite_only=False)
    app = page(organiser=False, test=str(test), rater=ada.token)
    assert "given the 2 votes of one person" in app.success[0].value
    assert not app.get("bidi_component")
    press(app, "Undo last answer")
    assert app.get("bidi_component")


@pytest.mark.parametrize("query", [{"invite": "gone"}, {"test": "77"}, {"test": "<b>"}])
def test_a_link_that_leads_nowhere_shows_the_list(page, make, query):
    make()
    app = page(**query)
    assert "does not lead to a blind test" in app.warning[0].value
    assert "Listen and vote" in [button.label for button in app.button]


def test_an_organiser_ends_a_test_and_the_result_is_there_for_all(page, store, make, ada):
    test = make(pairs=4)
    say(store, ada, test, *"bbbb")
    app = page(test=str(test), rater=ada.token)
    assert "heard every pair" in app.success[0].value
    assert next(b for b in app.button if b.label == "End and reveal").disabled
    next(box for box in app.checkbox if box.label.startswith("I want to end")).check().run()
    app = press(app, "End and reveal")
    assert not app.exception
    for viewer in (app, page(organiser=False, test=str(test))):
        assert viewer.metric[0].value == "100%"
        assert "4 for ppo-0001, 0 for base" in words(viewer)


def test_the_last_vote_wanted_shows_the_result_at_the_next_look(page, store, make, ada):
    test = make(pairs=4, wanted=2)
    say(store, ada, test, "b", "a")
    app = page(organiser=False, test=str(test))
    assert "All the votes asked for are in." in words(app)


def test_a_result_without_a_decided_vote(page, store, make, ada):
    test = make()
    say(store, ada, test, "tie")
    end(store, test)
    app = page(test=str(test))
    assert not app.exception
    assert "No vote said which is better." in words(app)
    assert not app.metric


def test_a_link_is_made_and_shown_once(page, store, make, ada):
    test = make()
    app = press(page(test=str(test), rater=ada.token), "Make a new link")
    (link,) = app.code
    token = link.value.partition("?invite=")[2]
    assert invited_to(store, token).id == test
    assert not page(test=str(test), rater=ada.token).code


# Making one


def until_ready(process, seconds=120):
    until = time.monotonic() + seconds
    while process.is_busy and time.monotonic() < until:
        time.sleep(0.05)
    assert not process.is_busy


@pytest.mark.slow
def test_a_test_is_made_by_a_process_and_a_failure_is_told_in_a_line(
    tmp_path, tiny_policy, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    other = copy.deepcopy(tiny_policy)
    with torch.no_grad():
        other.model.embed_tokens.weight.mul_(0.5)
    runs = tmp_path / "checkpoints" / "runs"
    for name, policy in (("one", tiny_policy), ("two", other)):
        save_policy(policy, new_run("ppo", {}, root=runs, name=name).path / "policy")
    asked = {"name": "--help", "votes": 4, "votes_per_rater": 3, "invite_only": True}
    asked |= {"meter": "2/4", "bars": "4", "seed": 1, "key": "G", "compass": "A3-E6"}
    database = str(tmp_path / "made.db")
    process = CommandProcess("a blind test")

    process.start(blind_test_arguments("one", "two", **asked), database=database)
    with pytest.raises(CommandError, match="a blind test is under way already"):
        process.start(blind_test_arguments("one", "two", **asked), database=database)
    until_ready(process)
    assert process.failure is None, process.lines
    assert process.lines[-2].startswith("made '--help', of one and two")
    assert process.lines[-1].startswith("next, on its page Blind test: tastemaker studio")
    with RatingsStore(database) as made_in:
        [made] = list_tests(made_in)
        assert (made.name, made.votes_wanted) == ("--help", 4)
        assert (made.votes_per_rater, made.invite_only) == (3, True)
        assert made_in.counts()["comparisons"] == 5
        melodies = [
            stored.melody
            for stored in made_in.melodies(made_in.melodies_frame()["melody_id"].tolist())
        ]
    assert {melody.tonic_midi % 12 for melody in melodies} == {7}
    pitches = [note.pitch + melody.tonic_midi for melody in melodies for note in melody.notes]
    assert (min(pitches) >= 57, max(pitches) <= 88) == (True, True)

    # The same name again; and a policy that looks like an option.
    process.start(blind_test_arguments("one", "two", **asked), database=database)
    until_ready(process)
    assert process.failure.startswith("name='--help' is taken")
    process.start(blind_test_arguments("one", "--version", **asked), database=database)
    until_ready(process)
    assert "'--version'" in process.failure
    assert "\n" not in process.failure
    process.forget()
