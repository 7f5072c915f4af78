"""People: statistics of one rater, their downloads and removal, and what organisers see."""

import csv
import io
import json
import sys
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import pytest
from streamlit.testing.v1 import AppTest

from feedback_ui.services import accounts as people
from feedback_ui.services import consent
from feedback_ui.services.accounts import (
    OwnStatistics,
    own_csv,
    own_json,
    own_statistics,
    own_votes,
)
from feedback_ui.services.session import CONSENT_VERSION
from reward.exchange.export import text_of_csv
from reward.pairs.traps import CORRUPTED
from reward.store.favourites import set_favourite
from reward.store.pool import PlannedPair
from reward.store.schema import RaterRow
from reward.store.store import RatingsError, RatingsStore
from reward.store.votes import Answer
from tests.support.project import PROJECT
from tests.support.studio_pages import press, words

UI = PROJECT / "feedback_ui"
NASTY = '=HYPERLINK("http://x") <img src=x onerror=alert(1)> **b**'
COMMENT = '+1\x07 <b>"so"</b>\r\n=2'
NONCES = count()


@pytest.fixture
def store(ratings_url):
    with RatingsStore(ratings_url) as store:
        yield store


@pytest.fixture
def pairs(store, random_melodies):
    ids = store.add_melodies(random_melodies(12), policy_id="secret", sampler="secret", seed=0)
    ids = list(dict.fromkeys(ids))
    first = store.add_comparisons(list(zip(ids[::2], ids[1::2], strict=False)), round=1)
    store.add_comparisons([(ids[1], ids[0])], round=1, purpose="repeat", repeat_of=[first[0]])


@pytest.fixture
def rater(store):
    return store.add_rater(NASTY[:40].strip(), consent_version=CONSENT_VERSION)


def say(store, rater, outcome, **fields):
    pair = store.issue(rater.id)
    store.vote(pair.assignment_id, Answer(outcome=outcome, nonce=f"n{next(NONCES)}", **fields))
    return pair


def test_own_statistics_by_hand(store, pairs, rater):
    none = own_statistics(store, rater.id)
    assert none == OwnStatistics(0, 0.0, 0, 0, 0, None, None)
    sides = ["left", "tie", "both_bad", "skip", "right", "right"]
    for outcome in sides:
        say(store, rater, outcome, heard_ms_left=4000, heard_ms_right=2500)
    # The repeat has swapped sides: its right melody was the left one before.
    say(store, rater, "right", heard_ms_left=1000)
    say(store, store.add_rater("Bo"), "left", heard_ms_left=10**6)
    own = own_statistics(store, rater.id)
    assert (own.votes, own.ties, own.both_bad, own.skips) == (7, 1, 1, 1)
    assert own.heard_s == pytest.approx(6 * 6.5 + 1)
    assert (own.left.share, own.left.count) == (0.25, 4)
    assert (own.self_agreement.share, own.self_agreement.count) == (1.0, 1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "59 min")),
        *((3600, "1 h 00 min"), (7500, "2 h 05 min")),
    ],
)
def test_time_in_words(seconds, text):
    assert OwnStatistics(1, seconds, 0, 0, 0, None, None).heard == text


def test_what_is_taken_along_is_ones_own_and_tells_no_secret(store, pairs, rater):
    say(store, store.add_rater("Bo"), "left", comment="of another")
    say(store, rater, "left", comment=COMMENT.replace("\x07", ""))
    store.undo(rater.id)
    say(store, rater, "right")
    frame = own_votes(store, rater.id)
    assert frame["current"].tolist() == [False, True]
    assert not {"purpose", "repeat_of", "strategy", "probability", "nonce"} & set(frame)
    both = own_csv(store, rater.id).decode() + own_json(store, rater).decode()
    assert "secret" not in both
    assert "of another" not in both


def test_the_table_runs_no_formula_and_reads_back(store, pairs, rater):
    say(store, rater, "left", comment=COMMENT)
    (row,) = csv.DictReader(io.StringIO(own_csv(store, rater.id).decode(), newline=""))
    assert row["comment"] == f"'{COMMENT}"
    assert text_of_csv(row["comment"]) == COMMENT
    told = json.loads(own_json(store, rater))
    assert told["nickname"] == rater.nickname
    assert [vote["comment"] for vote in told["votes"]] == [COMMENT]
    assert told["votes"][0]["supersedes"] is None


def test_favourites_are_taken_along(store, pairs, rater):
    kept = int(store.melodies_frame()["melody_id"].iloc[3])
    with store.writing() as session:
        set_favourite(session, rater.id, kept, kept=True, now=datetime.now(UTC))
    assert json.loads(own_json(store, rater))["favourites"] == [kept]


def test_consent_is_asked_again_when_its_version_has_changed(store):
    old = store.add_rater("Old", consent_version="studio-1")
    assert consent.must_consent_again(old)
    consent.consent(store, old)
    assert not consent.must_consent_again(store.rater_by_token(old.token))
    assert CONSENT_VERSION.startswith(consent.STUDIO)
    imported = store.add_rater("Imported", consent_version="paper, 2025")
    assert not consent.must_consent_again(imported)


def test_leaving_needs_the_nickname_and_names_what_had_learnt(store, pairs, rater):
    say(store, rater, "left")
    vote_id = int(store.votes_frame()["vote_id"].iloc[0])
    store.record_training("reward-0007", [vote_id])
    for wrong in ("", "yes", rater.nickname.lower()):
        with pytest.raises(RatingsError, match="is not your nickname"):
            people.withdraw(store, rater, wrong)
    assert len(store.votes_frame()) == 1
    gone = people.withdraw(store, rater, f"  {rater.nickname} ")
    assert "with 1 vote" in people.farewell(gone)
    assert "reward-0007" in people.farewell(gone)
    assert store.votes_frame().empty
    assert store.rater_by_token(rater.token) is None
    bo = store.add_rater("Bo")
    assert "No model had learnt" in people.farewell(people.withdraw(store, bo, "Bo"))


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("typed", ["NFC", "NFD"])
def test_leaving_works_in_whatever_form_of_unicode_a_keyboard_writes(store, stored, typed):
    zoe = store.add_rater("Zoë Ångström")
    assert unicodedata.is_normalized("NFC", zoe.nickname)
    older = replace(zoe, nickname=unicodedata.normalize(stored, zoe.nickname))
    with store.writing() as session:  # as another program may have stored it
        session.get_one(RaterRow, zoe.id).nickname = older.nickname
    with pytest.raises(RatingsError, match="is taken"):
        store.add_rater("Zoë Ångström")
    assert store.rater_named(unicodedata.normalize(typed, "Zoë Ångström")).id == zoe.id
    people.withdraw(store, older, unicodedata.normalize(typed, "Zoë Ångström"))
    assert store.rater_by_token(zoe.token) is None


def test_an_organisers_rows_are_of_people_as_text(store, pairs, rater):
    robot = store.add_rater("robot", kind="simulated")
    say(store, robot, "left")
    say(store, store.add_rater("Bo"), "left")
    for _ in range(3):
        say(store, rater, "left")
    rows = people.rater_rows(store)
    assert [row[0] for row in rows] == [rater.nickname, "Bo"], "who has most votes first"
    assert all(len(row) == len(people.RATER_TITLES) for row in rows)
    assert rows[0][1:5] == ("3", "0", "0", "1.00 [0.44, 1.00]")
    assert rows[1][7] == "–", "nothing tells of one vote whether it is right"


def test_an_organiser_sees_how_far_each_round_is(store, pairs, rater, random_melodies):
    robot, bo = store.add_rater("robot", kind="simulated"), store.add_rater("Bo")
    say(store, robot, "left")
    for who, outcome in ((rater, "left"), (rater, "skip"), (bo, "left")):
        say(store, who, outcome)
    new = store.add_melodies(random_melodies(5, seed=9), policy_id="tuned", sampler="t", seed=1)
    corrupted = store.add_melodies(
        random_melodies(1, seed=10), policy_id=CORRUPTED, sampler="-", seed=1
    )
    plan = [
        PlannedPair(new[0], new[1]),
        PlannedPair(new[2], corrupted[0], purpose="trap"),
        PlannedPair(new[3], new[4], purpose="blind_test"),
    ]
    store.add_plan(plan, round=2, strategy="information")
    second, first = people.round_rows(store)
    assert second == ("2", "tuned", "information", "2", "0", "0", "0")
    assert first[:4] == ("1", "secret", "random", "7")
    answered, votes, raters = map(int, first[4:])
    assert (votes, raters) == (3, 2), "the robot's is no person's"
    assert answered in (2, 3)
    assert len(first) == len(people.ROUND_TITLES)


# The page


@pytest.fixture
def page(tmp_path, ratings_url, monkeypatch):
    def look(script="app_pages/people.py", *, organiser=False, rater=None, **query):
        arguments = [f"--database={ratings_url}", f"--clips={tmp_path / 'clips'}"]
        monkeypatch.setattr(sys, "argv", ["studio.py", *arguments])
        monkeypatch.setattr("feedback_ui.views.access.serves_this_machine_only", lambda: organiser)
        app = AppTest.from_file(str(UI / script), default_timeout=60)
        for name, value in query.items():
            app.query_params[name] = value
        if rater is not None:
            app.session_state["rater"] = rater
        return app.run()

    return look


def test_the_page_tells_a_rater_what_is_theirs_as_text(page, store, pairs, rater):
    empty = page(rater=rater.token)
    assert "You have not voted yet" in words(empty)
    assert f"You are {rater.nickname} here." in [text.value for text in empty.text]
    assert not [m for m in empty.markdown if rater.nickname in str(m.value)], "no markup"
    say(store, rater, "left", heard_ms_left=61_000)
    app = page(rater=rater.token)
    assert not app.exception
    assert [metric.value for metric in app.metric] == ["1", "1 min", "–", "100%"]
    assert app.code[0].value.endswith(f"?rater={rater.token}")
    assert not app.radio, "only an organiser sees everyone"


def test_the_page_removes_who_confirms(page, store, pairs, rater):
    say(store, rater, "left")
    store.record_training("reward-0007", store.votes_frame()["vote_id"].tolist())
    app = page(rater=rater.token)
    assert "reward-0007 (1)" in words(app)
    app.text_input[0].set_value("no")
    press(app, "Remove me and my answers")
    assert "is not your nickname" in words(app)
    app.text_input[0].set_value(rater.nickname)
    press(app, "Remove me and my answers")
    assert not app.exception
    assert "A model cannot forget: reward-0007" in words(app)
    assert app.session_state["rater"] == ""
    assert store.counts()["raters_person"] == 0


def test_a_new_consent_is_asked_before_rating_and_leaving_needs_none(page, store, pairs):
    old = store.add_rater("Old", consent_version="studio-1")
    rate = page("app_pages/rate.py", rater=old.token)
    assert "has changed since you agreed" in words(rate)
    assert not rate.get("bidi_component")
    press(rate, "Go on")
    assert "tick the box" in words(rate)
    leave = page(rater=old.token)
    assert "version studio-1; the newest is" in words(leave)
    assert "Remove me and my answers" in [button.label for button in leave.button]
    rate.checkbox[0].check()
    press(rate, "Go on")
    assert not rate.exception
    assert rate.get("bidi_component")
    assert store.rater_by_token(old.token).consent_version == CONSENT_VERSION


def test_an_organiser_sees_everyone_without_coming_in(page, store, pairs, rater):
    say(store, rater, "left")
    app = page(organiser=True, view="everyone")
    assert not app.exception
    assert [metric.value for metric in app.metric][:2] == ["1", "1"]
    rounds, raters = (json.loads(table.proto.json) for table in app.get("bidi_component"))
    assert rounds["rows"][0][0] == "1"
    assert raters["rows"][0][0] == rater.nickname
    assert "There is no blind test yet" in words(app)
    assert app.query_params["view"] == "everyone"


def test_others_do_not_see_everyone(page, store, rater):
    app = page(view="everyone", rater=rater.token)
    assert "for the person who runs the studio" in words(app)
    assert not app.metric


def test_a_row_of_another_length_is_refused():
    from feedback_ui.components.text_table import text_table

    with pytest.raises(ValueError, match="a row of 1 cells under 2 titles"):
        text_table(["a", "b"], [["x"]], key="k", caption="c")
