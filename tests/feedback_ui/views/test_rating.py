"""A vote that comes at a bad moment: it is stored, and the session goes on.

A browser cannot hit these moments on purpose, so the page runs without one, and is sent what the
component would send.
"""

import json
import shutil
import sys

import pytest
from streamlit.testing.v1 import AppTest

from feedback_ui.components.listening_pair import KEY
from feedback_ui.services.session import StudioSession
from reward.store.store import RatingsStore
from tests.support.studio_pages import COLD_IMPORT_S, STUDIO, words


@pytest.fixture
def store(tmp_path, new_database, random_melodies):
    shutil.copy(new_database, tmp_path / "ratings.db")
    with RatingsStore(tmp_path / "ratings.db") as store:
        ids = store.add_melodies(random_melodies(8), policy_id="p", sampler="s", seed=0)
        store.add_comparisons(list(zip(ids[::2], ids[1::2], strict=True)), round=1)
        yield store


@pytest.fixture
def rater(store):
    return store.add_rater("Ada")


@pytest.fixture
def app(store, rater, clips, monkeypatch):
    """The page Rate of a rater who knows how it works."""
    monkeypatch.setattr(sys, "argv", ["studio.py", f"--database={store.name}", f"--clips={clips}"])
    app = AppTest.from_file(str(STUDIO), default_timeout=COLD_IMPORT_S)
    app.session_state["rater"] = rater.token
    app.query_params["first-steps"] = "done"
    return app.run()


def shown(app):
    """The component of the pair, and the assignment that it shows."""
    (pair,) = (each for each in app.get("bidi_component") if each.key == KEY)
    return pair, json.loads(pair.proto.json)["assignment_id"]


def send(app, trigger="vote", **fields):
    """The page after its component sent a vote, or an undo."""
    pair, assignment_id = shown(app)
    payload = {
        "assignment_id": assignment_id,
        "nonce": f"{trigger} {assignment_id}",
        "outcome": "skip",
        "strength": 1,
        "report": None,
        "reasons": [],
        "comment": "",
        **dict.fromkeys(("heard_ms_left", "heard_ms_right", "plays_left", "plays_right"), 0),
        "latency_ms": 900,
        **fields,
    }
    states = app._tree.get_widget_states()
    sent = states.widgets.add()
    sent.id = f"$$STREAMLIT_INTERNAL_KEY_{pair.proto.id}__events"
    sent.json_trigger_value = json.dumps([{"event": trigger, "value": payload}])
    return app._run(states)


def lose_component(app):
    """Leave the session as Streamlit leaves it when its first run ends while a vote comes.

    The run that ends copies the state of earlier runs and puts the copy in place. Meanwhile the run
    of the vote has moved there what the ending run had made: it is lost, but not its callbacks.
    """
    state = app._session_state._state
    component_id = shown(app)[0].proto.id
    state._compact_state()
    del state._old_state[component_id]
    assert KEY not in state
    assert state.get_widget_metadata(component_id).callbacks


def test_a_vote_is_stored(app, store):
    first = shown(app)[1]
    send(app)
    assert not app.exception
    assert len(store.votes_frame()) == 1
    assert shown(app)[1] != first


def test_a_session_that_lost_the_component_stores_this_vote_and_the_next(app, store):
    lose_component(app)
    for votes in (1, 2):
        send(app)
        assert not app.exception
        assert len(store.votes_frame()) == votes
    send(app, "undo")
    assert not app.exception
    assert "Answer anew" in shown(app)[0].proto.json


@pytest.mark.parametrize("error", [KeyError("a fault of the program"), OSError("no disk")])
def test_a_vote_that_fails_leaves_the_session_whole_and_may_be_sent_again(
    app, store, monkeypatch, error, caplog
):
    before = shown(app)[1]
    answer = StudioSession.answer
    answers = iter([error, error])

    def fails_in_the_callback_and_in_the_body(self, *given):
        for failed in answers:
            raise failed
        return answer(self, *given)

    monkeypatch.setattr(StudioSession, "answer", fails_in_the_callback_and_in_the_body)
    send(app)
    assert store.votes_frame().empty
    assert "not handled in its callback" in caplog.text, "whoever runs the studio finds it"
    assert shown(app)[1] == before
    send(app, nonce=f"vote {before}")  # the very same once more
    assert not app.exception
    assert len(store.votes_frame()) == 1
    assert shown(app)[1] != before


def test_an_error_in_the_callback_alone_is_made_good_in_the_same_run(app, store, monkeypatch):
    answer, failed = StudioSession.answer, iter([KeyError("once")])

    def fails_once(self, *given):
        for error in failed:
            raise error
        return answer(self, *given)

    monkeypatch.setattr(StudioSession, "answer", fails_once)
    send(app)
    assert not app.exception
    assert len(store.votes_frame()) == 1
    assert "cannot go on" not in words(app)
