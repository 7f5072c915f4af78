import ast
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from streamlit import config as streamlit_config
from streamlit.testing.v1 import AppTest

import feedback_ui.services.clips as clips_module
from feedback_ui.components.cookie_fetcher import KEY as COOKIES
from feedback_ui.components.focus_keeper import KEY as FOCUS_KEEPER
from feedback_ui.server.launch import LaunchError, parse_options, studio_command
from feedback_ui.services.answers import REASONS, read_answer
from feedback_ui.services.clips import MIN_HEARD_MS, Clip, ClipFolder, duration_ms
from feedback_ui.services.notation import PIANO_ROLL, pictures_of
from feedback_ui.services.practice import PRACTICE_ID, practice_pair
from feedback_ui.services.session import BREAK_AFTER, StudioSession
from music.key_choice import in_one_key
from music.limits import ABC_BOOK_BYTES, MIB
from music.melody import Header, Melody, Note
from music.rendering.sound import cached_wav
from reward.store.database import parse_url
from reward.store.listening_sessions import ListeningSession
from reward.store.schema import AssignmentRow
from reward.store.store import RatingsError, RatingsStore
from tests.support.clocks import Clock
from tests.support.project import PROJECT
from tests.support.studio_pages import press

UI = PROJECT / "feedback_ui"
COLD_IMPORT_S = 60


def tunes(count):
    """Four bars of 2/4, each with different pitches."""
    header = Header("2/4", "major", "other", 4, 0)
    for first in range(count):
        onsets = range(0, header.end_ticks, 24)
        yield Melody(
            header, tuple(Note(at, 24, (first + at // 24 * (first % 5)) % 24) for at in onsets)
        )


def sounds_of(sides):
    """What is heard of sides of pairs."""
    return [(side.melody, side.tempo_bpm) for side in sides]


@pytest.fixture
def store(ratings_url, new_database):
    if "://" not in ratings_url:
        shutil.copy(new_database, ratings_url)
    with RatingsStore(ratings_url, lock_timeout_s=0.1) as store:
        yield store


@pytest.fixture
def studio(store, clips):
    ids = store.add_melodies(
        list(tunes(6)), policy_id="secret-policy", sampler="secret-sampler", seed=1
    )
    store.add_comparisons(
        [(ids[0], ids[1]), (ids[2], ids[3]), (ids[4], ids[5])], round=1, strategy="secret-strategy"
    )
    return StudioSession(store, clips, clock=Clock(step_s=10))


@pytest.fixture
def rater(studio):
    return studio.sign_up("Ada", consents=True)


def answer_to(pair, **fields):
    return {
        "assignment_id": str(pair.assignment_id),
        "nonce": f"nonce-{pair.assignment_id.hex[:16]}",
        "outcome": "left",
        "strength": 2,
        "report": None,
        "heard_ms_left": 3100,
        "heard_ms_right": 4200,
        "plays_left": 1,
        "plays_right": 2,
        "latency_ms": 9000,
        **fields,
    }


def votes(store):
    return store.votes_frame(current_only=False)


# Signing up


def test_a_rater_comes_back_by_the_token(studio):
    rater = studio.sign_up("Ada", consents=True)
    assert studio.sign_in(rater.token).id == rater.id
    assert studio.sign_in("made up") is None
    assert studio.sign_in("") is None


def test_there_is_no_rater_without_consent_and_none_twice(studio):
    with pytest.raises(RatingsError, match="consent"):
        studio.sign_up("Ada", consents=False)
    assert studio.store.counts()["raters_person"] == 0
    studio.sign_up("Ada", consents=True)
    with pytest.raises(RatingsError, match="taken"):
        studio.sign_up("Ada", consents=True)


def test_a_simulated_listener_does_not_sit_in_the_studio(studio):
    listener = studio.store.add_rater("robot", kind="simulated")
    assert studio.sign_in(listener.token) is None


# Hearing


def test_the_pair_outlives_the_session(studio, rater, clips):
    shown = studio.current_pair(rater.id)
    again = StudioSession(studio.store, clips).current_pair(rater.id)
    assert again == shown
    assert shown.left.path != shown.right.path


def test_a_page_is_told_nothing_of_where_a_melody_comes_from(studio, rater):
    told = str(asdict(studio.current_pair(rater.id)))
    assert "secret" not in told
    assert "melody" not in told
    assert "train" not in told


@pytest.mark.parametrize(
    ("clip_ms", "needed_ms"), [(9000, MIN_HEARD_MS), (3333, 2999), (1000, 900)]
)
def test_enough_is_three_seconds_or_nearly_all_of_a_shorter_clip(clip_ms, needed_ms):
    assert Clip(Path("a.wav"), clip_ms).needed_ms == needed_ms


def test_duration_is_what_the_file_says(studio, rater):
    pair = studio.current_pair(rater.id)
    # 24 kHz, 16 bits, mono, behind a header of 44 bytes
    assert pair.left.duration_ms == round((pair.left.path.stat().st_size - 44) / 48)
    assert duration_ms(pair.left.path) == pair.left.duration_ms


# Answering


def test_an_answer_is_stored_for_the_pair_that_was_shown(studio, rater):
    issued = studio.store.issue(rater.id)
    pair = studio.current_pair(rater.id)
    assert studio.answer(rater.id, answer_to(pair)).done
    (vote,) = votes(studio.store).to_dict("records")
    assert vote["comparison_id"] == str(issued.comparison_id)
    assert vote["melody_a" if vote["left_is_a"] else "melody_b"] == issued.left.id
    assert vote["outcome"] == "left"
    assert (vote["strength"], list(vote["reasons"])) == (2, [])
    assert (vote["heard_ms_left"], vote["heard_ms_right"]) == (3100, 4200)
    assert (vote["plays_left"], vote["plays_right"], vote["latency_ms"]) == (1, 2, 9000)
    assert "midirenderer" in vote["renderer"]
    assert vote["app_version"].startswith("tastemaker")
    following = studio.current_pair(rater.id)
    assert following.assignment_id != pair.assignment_id
    assert (following.votes_cast, following.total) == (1, 3)


def test_an_answer_sent_again_is_fine_and_changes_nothing(studio, rater):
    pair = studio.current_pair(rater.id)
    assert studio.answer(rater.id, answer_to(pair)).done
    assert studio.answer(rater.id, answer_to(pair)).done
    assert studio.answer(rater.id, answer_to(pair, outcome="right", nonce="of another tab")).done
    assert votes(studio.store)["outcome"].tolist() == ["left"]


def test_an_answer_to_a_pair_never_issued_is_stored_nowhere(studio, rater):
    pair = studio.current_pair(rater.id)
    stranger = answer_to(pair, assignment_id="00000000-0000-4000-8000-000000000000")
    reply = studio.answer(rater.id, stranger)
    assert not reply.done
    assert "unknown" in reply.message
    assert votes(studio.store).empty
    assert studio.current_pair(rater.id) == pair


@pytest.mark.parametrize(
    "broken",
    [
        {"assignment_id": None},
        {"assignment_id": "left"},
        {"nonce": None},
        {"nonce": ""},
        {"nonce": "x" * 65},
        {"outcome": "up"},
        {"outcome": None},
        {"strength": 3},
        {"strength": "2"},
        {"heard_ms_left": -1},
        {"heard_ms_left": 0},
        {"heard_ms_left": 2999},
        {"reasons": ["policy"]},
        {"reasons": "rhythm"},
        {"reasons": [["rhythm"]]},
        {"comment": 3},
        {"comment": "x" * 2001},
        {"heard_ms_right": 0, "outcome": "both_bad"},
        {"heard_ms_right": 3100.5},
        {"plays_left": True},
        {"latency_ms": None},
        {"latency_ms": 2**31},
        {"report": "policy"},
        {"report": "no_sound", "outcome": "left"},
        {"report": ["no_sound"], "outcome": "skip"},
    ],
)
def test_a_broken_answer_is_refused_in_a_line_and_not_stored(studio, rater, broken):
    pair = studio.current_pair(rater.id)
    reply = studio.answer(rater.id, answer_to(pair, **broken))
    assert not reply.done
    assert reply.message
    assert "\n" not in reply.message
    assert votes(studio.store).empty


@pytest.mark.parametrize("payload", [None, "left", 3, [], {}])
def test_an_answer_that_is_no_answer_is_refused(studio, rater, payload):
    assert not studio.answer(rater.id, payload).done
    assert votes(studio.store).empty


def test_a_skip_needs_no_listening_and_a_report_says_why(studio, rater):
    unheard = {"outcome": "skip", "heard_ms_left": 0, "heard_ms_right": 0}
    assert studio.answer(rater.id, answer_to(studio.current_pair(rater.id), **unheard)).done
    silent = answer_to(studio.current_pair(rater.id), **unheard, report="no_sound")
    assert studio.answer(rater.id, silent).done
    assert votes(studio.store)["outcome"].tolist() == ["skip", "skip"]
    assert [list(r) for r in votes(studio.store)["reasons"]] == [[], ["no_sound"]]


def test_reasons_and_a_comment_are_kept_as_they_were_given(studio, rater):
    pair = studio.current_pair(rater.id)
    said = "=1+1 <b>much</b> too long"
    reply = studio.answer(
        rater.id, answer_to(pair, reasons=["ending", "dull", "ending"], comment=f" {said}\n")
    )
    assert reply.done
    (vote,) = votes(studio.store).to_dict("records")
    assert (list(vote["reasons"]), vote["comment"]) == (["ending", "dull"], said)
    assert set(vote["reasons"]) <= set(REASONS)


def test_nobody_answers_for_another(studio, rater):
    other = studio.sign_up("Bea", consents=True)
    pair = studio.current_pair(other.id)
    reply = studio.answer(rater.id, answer_to(pair))
    assert not reply.done
    assert "unknown" in reply.message
    assert votes(studio.store).empty
    with pytest.raises(RatingsError, match="unknown"):
        studio.heard(rater.id, pair.assignment_id)


def test_the_practice_pair_reaches_no_store(studio, rater):
    pair = practice_pair(studio)
    assert pair.assignment_id == PRACTICE_ID
    assert pair.left.path != pair.right.path
    assert not studio.answer(rater.id, answer_to(pair)).done
    assert votes(studio.store).empty


def test_what_was_heard_may_be_seen_on_the_sides_where_it_stood(studio, rater):
    pair = studio.current_pair(rater.id)
    left, right = studio.heard(rater.id, pair.assignment_id)
    assert (left.clip, right.clip) == (pair.left, pair.right)
    assert left.pictures[PIANO_ROLL] != right.pictures[PIANO_ROLL]
    for heard in (left, right):
        assert all(
            "<svg" in picture and "secret" not in picture for picture in heard.pictures.values()
        )


def test_both_sides_of_a_pair_are_heard_and_seen_in_one_key(store, clips, monkeypatch):
    one, other = (replace(m, tonic_midi=t) for m, t in zip(tunes(2), (62, 67), strict=True))
    ids = store.add_melodies([one, other], policy_id="p", sampler="s", seed=1)
    store.add_comparisons([tuple(ids)], round=1, strategy="random")
    studio = StudioSession(store, clips, clock=Clock(step_s=10))
    rater = studio.sign_up("Ada", consents=True)
    (expected,) = {m.tonic_midi for m in in_one_key(one, other)}
    said = []

    def spy(melody, *more, **options):
        said.append(melody)
        return cached_wav(melody, *more, **options)

    monkeypatch.setattr("feedback_ui.services.clips.cached_wav", spy)
    coming = studio.store.coming(rater.id, purposes=["train"], count=1)
    assert {stored.melody.tonic_midi for stored in coming} == {expected}
    pair = studio.current_pair(rater.id)
    left, right = studio.heard(rater.id, pair.assignment_id)
    assert (left.clip, right.clip) == (pair.left, pair.right)
    assert {melody.tonic_midi for melody in said} == {expected}
    sides = studio.store.shown(rater.id, pair.assignment_id)
    for side, heard in zip(sides, (left, right), strict=True):
        assert heard.pictures == pictures_of(side.melody)
        assert side.melody.tonic_midi == expected
    stored = [m.melody.tonic_midi for m in store.melodies(ids)]
    assert stored == [62, 67], "what is stored keeps its key"


def test_both_sides_of_a_pair_are_heard_at_one_tempo(store, clips):
    """An eighth lasts as long in both, and a bar and the time to vote are counted at that tempo."""
    (one,) = tunes(1)
    jig = Melody(
        Header("6/8", "major", "other", 2, 12),
        tuple(Note(at, 12, at // 12 % 5) for at in range(-12, 132, 12)),
    )
    ids = store.add_melodies([one, jig], policy_id="p", sampler="s", seed=1)
    store.add_comparisons([tuple(ids)], round=1, strategy="random")
    studio = StudioSession(store, clips, clock=Clock(step_s=10))
    rater = studio.sign_up("Ada", consents=True)
    pair = studio.current_pair(rater.id)
    sides = studio.store.shown(rater.id, pair.assignment_id)
    heard = studio.heard(rater.id, pair.assignment_id)
    assert [side.clip for side in heard] == [pair.left, pair.right]
    quarters_ms = []
    for side, clip in zip(sides, (pair.left, pair.right), strict=True):
        header = side.melody.header
        quarters_ms.append(clip.bar_ms * 24 / header.bar_ticks)
        music_ms = quarters_ms[-1] * (header.end_ticks - header.start_ticks) / 24
        assert clip.duration_ms == pytest.approx(music_ms + 1000, abs=1), "with its tail"
        assert clip.pickup_ms == pytest.approx(quarters_ms[-1] * header.pickup_ticks / 24)
        assert clip.bar_ms != pytest.approx(studio.clip(side.melody).bar_ms), "the usual tempo"
    assert quarters_ms[0] == quarters_ms[1]


def test_a_pair_that_was_made_ready_is_not_rendered_again(store, tmp_path, monkeypatch):
    """Also where its tempo is that of the pair and not the usual one."""
    monkeypatch.setattr("feedback_ui.services.clips.QUIET_S", 0)
    clips = tmp_path / "clips"  # the shared folder may have these sounds already
    one, other = tunes(2)
    slow = replace(other, header=Header("2/2", "major", "other", 2, 0))
    ids = store.add_melodies([one, slow], policy_id="p", sampler="s", seed=1)
    store.add_comparisons([tuple(ids)], round=1, strategy="random")
    studio = StudioSession(store, clips, clock=Clock(step_s=10))
    rater = studio.sign_up("Ada", consents=True)
    studio.prepare_next(rater.id)
    until = time.monotonic() + 60
    while len({*clips.glob("*.wav")}) < 2:
        assert time.monotonic() < until
        time.sleep(0.02)
    ready = {*clips.glob("*.wav")}
    pair = studio.current_pair(rater.id)
    assert {pair.left.path, pair.right.path} <= ready
    assert {*clips.glob("*.wav")} == ready


def test_what_comes_next_is_rendered_before_it_is_asked_for(studio, rater, tmp_path, monkeypatch):
    monkeypatch.setattr("feedback_ui.services.clips.QUIET_S", 0.2)
    folder = ClipFolder(tmp_path / "ahead")
    coming = sounds_of(studio.store.coming(rater.id, purposes=["train"], count=1))
    live = studio.store.issue(rater.id)
    assert set(sounds_of([live.left, live.right])) == set(coming)
    folder.prepare(coming)
    folder.prepare(coming)
    assert not list((tmp_path / "ahead").glob("*.wav")), "the page that opens now comes first"
    until = time.monotonic() + 60
    while len(list((tmp_path / "ahead").glob("*.wav"))) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    found = [folder.clip(*sound) for sound in coming]
    assert found == [folder.clip(*sound) for sound in coming]
    assert len(list((tmp_path / "ahead").glob("*.wav"))) == 2


def test_what_may_come_waits_while_a_page_waits(tmp_path, monkeypatch):
    monkeypatch.setattr("feedback_ui.services.clips.QUIET_S", 0)
    asked, ahead = tunes(2)
    rendered, go_on = [], threading.Event()
    render = clips_module.cached_wav

    def slowly(melody, folder, **named):
        if folder == tmp_path / "ahead":  # and not what an earlier test has still to render
            if melody == asked:
                assert go_on.wait(60)
            rendered.append(melody)
        return render(melody, folder, **named)

    monkeypatch.setattr(clips_module, "cached_wav", slowly)
    folder = ClipFolder(tmp_path / "ahead")
    page = threading.Thread(target=folder.clip, args=(asked,))
    page.start()
    while not folder._asked:
        time.sleep(0.001)
    folder.prepare([(ahead, None)])
    time.sleep(0.1)
    assert rendered == []
    go_on.set()
    page.join()
    until = time.monotonic() + 60
    while len(rendered) < 2:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert rendered == [asked, ahead]


@pytest.mark.usefixtures("studio")
def test_ten_newcomers_at_once_wait_for_no_sound(ratings_url, clips, monkeypatch):
    """What each will hear first is made meanwhile, one by one."""
    monkeypatch.setattr("feedback_ui.services.clips.QUIET_S", 0)
    render, rendered = clips_module.cached_wav, []
    of_earlier_tests = {*threading.enumerate()}

    def watched(melody, *given, **named):
        if threading.current_thread() not in of_earlier_tests:
            rendered.append(threading.current_thread())
        return render(melody, *given, **named)

    monkeypatch.setattr(clips_module, "cached_wav", watched)
    with RatingsStore(ratings_url) as store:
        studio, barrier = StudioSession(store, clips), threading.Barrier(10)

        def come_in(number):
            barrier.wait()
            rater = studio.sign_up(f"rater {number}", consents=True)
            assert studio.is_new(rater.id)
            assert studio.get_ready(rater.id)
            return rater.id, threading.current_thread()

        with ThreadPoolExecutor(10) as pages:
            came = list(pages.map(come_in, range(10)))
        assert store.counts()["raters_person"] == 10
    assert len({rater_id for rater_id, _ in came}) == 10
    until = time.monotonic() + 60
    while len(rendered) < 6:  # of three pairs
        assert time.monotonic() < until
        time.sleep(0.01)
    assert {*rendered}.isdisjoint(thread for _, thread in came)
    assert len({*rendered}) == 1


def test_there_is_nothing_to_get_ready_when_all_is_answered(studio, rater):
    while pair := studio.current_pair(rater.id):
        studio.answer(rater.id, answer_to(pair))
    assert not studio.get_ready(rater.id)


def test_a_full_disk_is_said_in_a_line(page, studio, rater, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("feedback_ui.services.clips.cached_wav", full)
    app = page(token=rater.token, **{"first-steps": "done"})
    assert not app.exception
    assert any("No space left on device" in text.value for text in app.text)


def test_what_is_asked_for_does_not_wait_for_what_may_come(studio, rater, tmp_path):
    folder = ClipFolder(tmp_path / "ahead")
    first, second = sounds_of(studio.store.coming(rater.id, purposes=["train"], count=1))
    folder.prepare([first, second])
    folder.clip(*second)
    folder.clip(*first)
    assert len(list((tmp_path / "ahead").glob("*.wav"))) == 2


def test_a_break_is_due_every_twenty_minutes(studio, rater, monkeypatch):
    assert studio.listening_session(rater.id) // BREAK_AFTER == 0
    for share, due in ((0.99, 0), (1, 1), (1.99, 1), (2, 2)):
        sat = ListeningSession(90, share * BREAK_AFTER)
        monkeypatch.setattr(RatingsStore, "listening_session", lambda self, rater_id, sat=sat: sat)
        assert studio.listening_session(rater.id) // BREAK_AFTER == due


def test_read_answer_gives_just_what_the_store_takes(studio, rater):
    _, fields = read_answer(answer_to(studio.current_pair(rater.id), policy_id="mine", comment="x"))
    assert set(fields) == {
        *("outcome", "nonce", "strength", "reasons", "comment", "latency_ms"),
        *("heard_ms_left", "heard_ms_right", "plays_left", "plays_right"),
    }


def test_a_locked_database_loses_nothing_and_the_answer_may_come_again(studio, rater, ratings_url):
    pair = studio.current_pair(rater.id)
    with RatingsStore(ratings_url) as other, other.writing():
        reply = studio.answer(rater.id, answer_to(pair))
    assert not reply.done
    assert "locked" in reply.message
    assert studio.answer(rater.id, answer_to(pair)).done
    assert len(votes(studio.store)) == 1


# Undo


def shows(pair):
    return {"assignment_id": None if pair is None else str(pair.assignment_id)}


def test_undo_brings_the_last_pair_back_and_the_new_answer_counts(studio, rater):
    first = studio.current_pair(rater.id)
    studio.answer(rater.id, answer_to(first))
    assert studio.undo(rater.id, shows(studio.current_pair(rater.id))).done
    again = studio.current_pair(rater.id)
    assert again.reopened
    assert (again.left, again.right) == (first.left, first.right)
    studio.answer(rater.id, answer_to(again, outcome="right", nonce="second thought"))
    assert studio.store.votes_frame()["outcome"].tolist() == ["right"]
    assert votes(studio.store)["outcome"].tolist() == ["left", "right"]


def test_undo_that_is_repeated_by_a_held_key_goes_one_back_only(studio, rater):
    second = None
    for _ in range(2):
        second = studio.current_pair(rater.id)
        studio.answer(rater.id, answer_to(second))
    click = shows(studio.current_pair(rater.id))
    for _ in range(5):
        assert studio.undo(rater.id, click).done
    again = studio.current_pair(rater.id)
    assert (again.left, again.right) == (second.left, second.right)


def test_undo_works_after_the_last_pair(studio, rater):
    for _ in range(3):
        pair = studio.current_pair(rater.id)
        studio.answer(rater.id, answer_to(pair))
    assert studio.current_pair(rater.id) is None
    for _ in range(2):
        assert studio.undo(rater.id, shows(None)).done
    assert studio.current_pair(rater.id).left == pair.left


def test_undo_works_when_a_lease_has_run_out(studio, rater):
    heard = [studio.current_pair(rater.id)]
    studio.answer(rater.id, answer_to(heard[0]))
    heard.append(studio.current_pair(rater.id))
    studio.answer(rater.id, answer_to(heard[1]))
    for again in (heard[1], heard[0]):
        on_the_page = studio.current_pair(rater.id)
        with studio.store.writing() as session:
            live = session.get_one(AssignmentRow, on_the_page.assignment_id)
            live.expires_at = datetime(2026, 1, 1, tzinfo=UTC)
        assert studio.undo(rater.id, shows(on_the_page)).message.startswith("Your last pair")
        reopened = studio.current_pair(rater.id)
        assert (reopened.left, reopened.right) == (again.left, again.right)


def test_undo_is_offered_when_there_is_something(studio, rater):
    first = studio.current_pair(rater.id)
    assert not first.can_undo
    assert not studio.undo(rater.id, shows(first)).done
    studio.answer(rater.id, answer_to(first))
    assert studio.current_pair(rater.id).can_undo
    studio.undo(rater.id, shows(studio.current_pair(rater.id)))
    assert not studio.current_pair(rater.id).can_undo


# Starting


def test_the_command_listens_to_this_machine_only():
    command = studio_command("my ratings.db", port=8600, open_browser=False)
    assert command[0] == sys.executable
    assert "--server.address=127.0.0.1" in command
    assert "--server.port=8600" in command
    assert [part for part in command if "allowedHosts" in part] == [
        "--server.allowedHosts=localhost",
        "--server.allowedHosts=127.0.0.1",
    ]
    assert parse_options(command[command.index("--") + 1 :]).database == "my ratings.db"


@pytest.mark.slow
def test_the_server_has_its_libraries_before_it_answers_and_no_component():
    code = """
import sys
from feedback_ui.server.serve import load_libraries
load_libraries()
print([name in sys.modules for name in ("sqlalchemy", "pandas", "verovio", "scipy.signal",
    "pyloudnorm", "midirenderer", "streamlit.components.v2", "torch")])
from music.rendering.sound import use_synthesiser_process
print(use_synthesiser_process().pid is not None)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=UI.parent, capture_output=True, text=True, check=True
    )
    # midirenderer is loaded by a process of its own, which is there already.
    assert done.stdout.splitlines() == [str([True] * 5 + [False] * 3), "True"]


def test_an_open_address_needs_names():
    with pytest.raises(LaunchError, match="name the hosts"):
        studio_command(address="0.0.0.0")
    command = studio_command(address="0.0.0.0", hosts=["studio.example.org"])
    assert "--server.allowedHosts=studio.example.org" in command


@pytest.mark.parametrize("wrong", [{"port": 0}, {"port": 65536}, {"address": "localhost:80"}])
def test_a_wrong_port_or_address_is_refused(wrong):
    with pytest.raises(LaunchError):
        studio_command(**wrong)


def test_a_password_may_stay_out_of_the_process_list(monkeypatch):
    monkeypatch.setenv("TASTEMAKER_DATABASE", "postgresql://me:secret@host/ratings")
    command = studio_command()
    assert "secret" not in " ".join(command)
    assert parse_options(command[command.index("--") + 1 :]).database.endswith("host/ratings")


def test_unknown_arguments_are_named():
    with pytest.raises(LaunchError, match="--databse"):
        parse_options(["--databse=x"])
    with pytest.raises(LaunchError, match="expected one argument"):
        parse_options(["--database"])


def test_the_settings_exist_and_are_the_careful_ones():
    settings = tomllib.loads((UI / ".streamlit/config.toml").read_text())
    flat = {
        f"{section}.{name}": value
        for section, values in settings.items()
        for name, value in values.items()
        if not isinstance(value, dict)
    }
    known = streamlit_config.get_config_options()
    assert set(flat) <= set(known)
    assert flat["server.address"] == "127.0.0.1"
    assert flat["server.allowedHosts"] == ["localhost", "127.0.0.1"]
    assert flat["server.maxUploadSize"] * MIB == ABC_BOOK_BYTES, "middleware.py: organisers only"
    assert flat["browser.gatherUsageStats"] is False
    assert flat["client.showErrorDetails"] == "none"


# The rooms


@pytest.mark.slow
def test_the_entry_finds_its_rooms_from_any_folder_and_loads_no_torch(tmp_path):
    modules = [
        "feedback_ui." + ".".join(path.relative_to(UI).with_suffix("").parts)
        for path in UI.rglob("*.py")
        if path.parent.name != "app_pages" and path.stem not in ("studio", "navigation", "__init__")
    ]
    assert "feedback_ui.services.session" in modules
    code = f"""
import runpy, sys, types
import streamlit
sys.path[:] = [folder for folder in sys.path if folder]
# Without a server, Streamlit would show a page without a title.
streamlit.navigation = lambda *_, **__: types.SimpleNamespace(title="", run=lambda: None)
runpy.run_path({str(UI / "navigation.py")!r})
import {", ".join(modules)}
print(feedback_ui.services.session.__file__, "torch" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(UI / "services/session.py"), "False"]


def test_pages_import_nothing_heavy():
    for page in [*UI.glob("app_pages/*.py"), UI / "navigation.py", UI / "studio.py"]:
        tree = ast.parse(page.read_text())
        froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        plain = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
        rooms = {str(node.module).split(".")[0] for node in froms}
        rooms |= {alias.name.split(".")[0] for node in plain for alias in node.names}
        assert not rooms & {"torch", "transformers", "trl", "rl", "env", "policy"}, page


def test_nothing_in_the_app_folder_is_named_like_a_library():
    # Streamlit puts this folder first on the path.
    names = {path.stem for path in UI.iterdir() if path.stem.isidentifier()}
    names -= {"__init__", "__pycache__"}
    assert "services" in names
    installed = set(packages_distributions()) | set(sys.stdlib_module_names)
    assert not names & installed


def test_all_that_is_not_python_is_package_data():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    globs = project["tool"]["setuptools"]["package-data"]["feedback_ui"]
    for path in UI.rglob("*"):
        name = path.relative_to(UI).as_posix()
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            assert any(fnmatch(name, glob) for glob in globs), name


def test_every_answer_has_a_button_and_every_action_a_key_of_its_own():
    html = (UI / "components/listening_pair.html").read_text()
    buttons = re.findall(r'data-outcome="(\w+)" data-strength="(\d)"', html)
    assert buttons == [
        *(("left", "2"), ("left", "1"), ("tie", "1"), ("right", "1"), ("right", "2")),
        *(("both_bad", "1"), ("skip", "1")),
    ]
    usual = (UI / "components/keys.js").read_text().split("USUAL_KEYS = {")[1].split("};")[0]
    keys = dict(re.findall(r'(\w+): "(.)"', usual))
    assert set(re.findall(r'data-key="(\w+)"', html)) <= set(keys)
    assert len(set(keys.values())) == len(keys)
    assert not set(keys.values()) & {"c", "r"}, "Streamlit's own: clear cache, rerun"
    assert "autoplay" not in html


def test_no_page_renders_text_as_html():
    for source in [*UI.rglob("*.py"), *UI.rglob("*.js")]:
        assert not re.search(
            r"unsafe_allow_html|innerHTML|insertAdjacent|st\.html", source.read_text()
        )


# The page, without a browser: AppTest cannot click the component, but shows every state.


@pytest.fixture
def page(ratings_url, tmp_path, clips, monkeypatch):
    def look(database=ratings_url, token=None, **params):
        monkeypatch.setattr(
            sys, "argv", ["studio.py", f"--database={database}", f"--clips={clips}"]
        )
        app = AppTest.from_file(str(UI / "navigation.py"), default_timeout=COLD_IMPORT_S)
        for name, value in params.items():
            app.query_params[name] = value
        if token:
            app.session_state["rater"] = token
        return app.run()

    return look


def components(app):
    """The components on a page, except those that every page has."""
    return [each for each in app.get("bidi_component") if each.key not in (FOCUS_KEEPER, COOKIES)]


def test_coming_in_needs_a_nickname_and_consent(page, studio):
    app = page()
    app.text_input[0].set_value("<b>Ada</b>")
    app.button[0].click().run()
    assert "consent" in app.text[0].value
    app.checkbox[0].check()
    app.button[0].click().run()
    assert not app.exception
    assert studio.sign_in(app.session_state["rater"]).nickname == "<b>Ada</b>"
    assert "Rating as <b>Ada</b>" in [text.value for text in app.text]


def test_a_token_of_no_one_leads_to_the_form(page, studio):
    app = page(rater="gone")
    assert "does not belong to a rater" in app.warning[0].value
    assert len(app.text_input) == 1


def test_a_pair_is_shown_and_stays(page, studio, rater):
    app = page(token=rater.token)
    (volume,) = components(app)
    assert "For the volume" in volume.proto.json
    press(app, "The volume is right")
    (practice,) = components(app)
    assert str(PRACTICE_ID) in practice.proto.json
    press(app, "Skip to rating")
    assert not app.exception
    live = studio.current_pair(rater.id)
    (shown,) = components(app)
    assert str(live.assignment_id) in shown.proto.json
    assert "secret" not in shown.proto.json
    assert app.run().session_state["rater"] == rater.token
    assert studio.current_pair(rater.id) == live


def test_who_has_voted_before_is_not_shown_how(page, studio, rater):
    studio.answer(rater.id, answer_to(studio.current_pair(rater.id)))
    (shown,) = components(page(token=rater.token))
    assert str(studio.current_pair(rater.id).assignment_id) in shown.proto.json


def test_notes_are_shown_before_voting_only_on_request(page, studio, rater):
    studio.answer(rater.id, answer_to(studio.current_pair(rater.id)))
    app = page(token=rater.token)
    assert "<svg" not in components(app)[0].proto.json
    app.toggle(key="wants_notes").set_value(True).run()
    assert app.query_params["notes"] == "1"
    assert components(app)[0].proto.json.count("<svg") >= 4
    app.toggle(key="wants_notes").set_value(False).run()
    assert "<svg" not in components(app)[0].proto.json


def test_a_break_is_offered_and_may_be_declined(page, studio, rater, monkeypatch):
    studio.answer(rater.id, answer_to(studio.current_pair(rater.id)))

    def sits(breaks):
        monkeypatch.setattr(
            RatingsStore, "listening_session", lambda *_: ListeningSession(60, breaks * BREAK_AFTER)
        )

    sits(2)
    app = page(token=rater.token)  # opened late: it asks once, not for each break that was due
    assert "ears get tired" in app.info[0].value
    assert not components(app)
    press(app, "Go on all the same")
    assert not app.info
    assert components(app)
    again = page(token=rater.token, breaks=app.query_params["breaks"][0])
    assert components(again), "nor after a reload"
    sits(3)
    assert "ears get tired" in app.run().info[0].value
    sits(0)  # a break was taken
    assert components(app.run())
    sits(1)
    assert "ears get tired" in app.run().info[0].value


def test_a_break_may_be_taken_at_any_time(page, studio, rater):
    studio.answer(rater.id, answer_to(studio.current_pair(rater.id)))
    app = page(token=rater.token)
    assert "of 20 minutes until the next break" in "".join(text.value for text in app.text)
    press(app, "Take a break")
    assert "Everything is saved" in app.info[0].value
    assert not components(app)
    press(app, "Go on")
    assert components(app)
    assert not app.info


def test_signing_out_leaves_nothing_to_who_comes_next(page, studio, rater):
    studio.answer(rater.id, answer_to(studio.current_pair(rater.id)))
    app = page(token=rater.token, notes="1", breaks="0", **{"first-steps": "done"})
    press(app, "Sign out")
    assert not app.query_params
    assert len(app.text_input) == 1
    assert not app.toggle, "no last pair of somebody else"


def test_no_pairs_yet_names_the_command(page, store):
    rater = store.add_rater("Ada")
    assert "tastemaker pairs" in page(token=rater.token).info[0].value


def test_pairs_of_a_blind_test_alone_are_none_to_hear_here(page, store, random_melodies):
    ids = store.add_melodies(random_melodies(2), policy_id="p", sampler="s", seed=0)
    store.add_comparisons([(ids[0], ids[1])], round=1, purpose="blind_test")
    app = page(token=store.add_rater("Ada").token)
    assert "no pairs to rate yet" in app.info[0].value


def test_the_end_names_what_comes_next_and_can_be_undone(page, studio, rater):
    while pair := studio.current_pair(rater.id):
        studio.answer(rater.id, answer_to(pair))
    app = page(token=rater.token)
    assert "every pair" in app.success[0].value
    assert any("tastemaker reward" in text.value for text in app.markdown)
    assert any("3 answers from 1 person" in text.value for text in app.markdown)
    app.button[0].click().run()
    assert not app.success
    assert studio.current_pair(rater.id).reopened


def test_a_database_that_cannot_be_used_is_one_line_and_may_be_tried_again(page, tmp_path):
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"this is not a database, whatever its name says" * 100)
    app = page(broken)
    assert not app.exception
    (line,) = app.text
    assert "broken.db is damaged or not a ratings database" in line.value
    assert "\n" not in line.value
    broken.unlink()
    app.button[0].click().run()
    assert len(app.text_input) == 1


@pytest.mark.postgres
@pytest.mark.parametrize("ratings_url", ["postgresql"], indirect=True)
def test_a_server_that_was_away_is_back_without_a_new_start_of_the_studio(
    page, studio, rater, ratings_url
):
    studio.answer(rater.id, answer_to(studio.current_pair(rater.id)))
    app = page(token=rater.token)
    assert components(app)
    name = parse_url(ratings_url).database
    admin = create_engine(
        parse_url(os.environ["TASTEMAKER_TEST_POSTGRES_URL"]), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.exec_driver_sql(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        app.run()
        assert not app.exception
        assert any("does not answer yet" in text.value for text in app.text)
        connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    admin.dispose()
    press(app, "Try again")
    assert components(app)


def test_a_wrong_soundfont_is_one_line(page, monkeypatch, tmp_path):
    monkeypatch.setattr("feedback_ui.views.access.sys.argv", ["studio.py", "--soundfont=no.sf2"])
    app = AppTest.from_file(str(UI / "navigation.py"), default_timeout=COLD_IMPORT_S)
    monkeypatch.chdir(tmp_path)
    app.run()
    assert "no.sf2" in app.text[0].value
    assert not app.exception
