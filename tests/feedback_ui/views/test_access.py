"""Who is an organiser, and whose tab it is: one page, without a browser."""

from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from feedback_ui.server import started
from feedback_ui.server.cookies import (
    LINK,
    ORGANISER,
    RATER,
    TICKETS,
    cookie_name,
    organiser_proof,
)
from feedback_ui.server.launch import StudioOptions
from feedback_ui.views import access, tab_keys
from reward.store.store import RatingsStore
from tests.support.project import PROJECT
from tests.support.studio_pages import press, words

OPTIONS = StudioOptions(database="ratings.sqlite", organiser_key="the key")
PORT = 8501


def cookies(**values):
    return {
        cookie_name(kind, PORT, OPTIONS.database): value for kind, value in values.items() if value
    }


@pytest.fixture
def browser(monkeypatch):
    """A tab with these cookies, headers, address and session."""

    def open_tab(*, session=(), query=(), headers=(), options=OPTIONS, **kept):
        settings = {
            "server.port": PORT,
            "server.address": "127.0.0.1",
            "server.allowedHosts": ["localhost", "127.0.0.1"],
        }
        tab = SimpleNamespace(
            query_params=dict(query),
            session_state=dict(session),
            context=SimpleNamespace(cookies=cookies(**kept), headers=dict(headers)),
        )
        for module in (access, tab_keys):
            monkeypatch.setattr(module, "st", tab)
        monkeypatch.setattr(started, "config", SimpleNamespace(get_option=settings.get))
        monkeypatch.setattr(access, "studio_options", lambda: options)
        return tab

    return open_tab


@pytest.mark.parametrize(
    ("key", "is_one"), [("", False), ("key", False), ("the key", True), ("the key ", False)]
)
def test_only_the_right_key_makes_an_organiser_and_it_leaves_the_address(browser, key, is_one):
    tab = browser(query={ORGANISER: key, "of": "group"})
    keys = access.tab_keys()
    keys.take_from_address()
    assert access.is_organiser() is is_one
    assert tab.query_params == {"of": "group"}
    assert "the key" not in tab.session_state.values()


@pytest.mark.parametrize(
    ("proof", "is_one"),
    [("", False), ("the key", False), ("schl", False), (organiser_proof("the key"), True)],
)
def test_the_cookie_of_an_organiser(browser, proof, is_one):
    browser(organiser=proof)
    assert access.is_organiser() is is_one


@pytest.mark.parametrize(
    ("headers", "is_one"),
    [
        ({}, True),
        ({"Host": "localhost:8501", "Origin": "http://localhost:8501"}, True),
        ({"Host": "localhost:8501", "X-Forwarded-For": "203.0.113.9"}, False),
        ({"Host": "localhost:8501", "Forwarded": "for=203.0.113.9"}, False),
        ({"Host": "studio.example.org"}, False),
    ],
)
def test_without_a_key_only_who_is_at_this_machine_is_an_organiser(browser, headers, is_one):
    browser(options=StudioOptions(database="ratings.sqlite"), headers=headers)
    assert access.is_organiser() is is_one


def test_a_tab_stays_with_its_rater_when_the_browsers_cookie_changes(browser):
    tab = browser(rater="ada")
    keys = access.tab_keys()
    keys.hold()
    tab.context.cookies = cookies(rater="ben")
    assert keys.token == "ada"


def test_signing_out_keeps_the_organiser_and_forgets_the_rater(browser):
    tab = browser(session={RATER: "ada", ORGANISER: True, "notes": 1}, rater="ada", link="eve")
    keys = access.tab_keys()
    keys.sign_out()
    assert keys.token == ""
    assert keys.opened_link == ""
    assert keys.is_organiser
    assert "notes" not in tab.session_state
    (ticket,) = [value for value in tab.session_state.values() if TICKETS.is_waiting(str(value))]
    assert TICKETS.redeem(ticket) == {RATER: None, LINK: None}


# Somebody else's link


@pytest.fixture
def store(ratings_url):
    with RatingsStore(ratings_url) as store:
        yield store


@pytest.fixture
def page(ratings_url, tmp_path, monkeypatch):
    """The page People of a tab whose rater has this token, at an address with this query."""

    def look(signed_in=None, **query):
        arguments = [f"--database={ratings_url}", f"--clips={tmp_path / 'clips'}"]
        monkeypatch.setattr("sys.argv", ["studio.py", *arguments])
        script = PROJECT / "feedback_ui" / "app_pages" / "people.py"
        app = AppTest.from_file(str(script), default_timeout=60)
        for name, value in query.items():
            app.query_params[name] = value
        if signed_in is not None:
            app.session_state[RATER] = signed_in
        return app.run()

    return look


@pytest.fixture
def ada(store):
    return store.add_rater("<b>Ada</b>", consent_version=access.CONSENT_VERSION)


@pytest.fixture
def ben(store):
    return store.add_rater("Ben", consent_version=access.CONSENT_VERSION)


def lines(app):
    return [text.value for text in app.text]


def test_who_opens_a_link_is_asked_before_they_are_anybody(page, ada):
    app = page(rater=ada.token)
    assert "It belongs to <b>Ada</b>." in lines(app)
    assert "Remove yourself" not in words(app)
    assert not app.query_params
    press(app, "Yes, this is me")
    assert "You are <b>Ada</b> here." in lines(app)
    assert app.session_state[RATER] == ada.token
    assert not app.exception


def test_a_newcomer_with_somebody_elses_link_signs_up(page, ada):
    app = press(page(rater=ada.token), "No, I am somebody else")
    assert [box.label for box in app.text_input] == ["Nickname"]
    assert not app.query_params
    assert not app.exception


@pytest.mark.parametrize(
    ("answer", "becomes"), [("Yes, this is me", "<b>Ada</b>"), ("No, I am somebody else", "Ben")]
)
def test_a_rater_with_somebody_elses_link_stays_who_they_are_or_changes(
    page, ada, ben, answer, becomes
):
    app = page(ben.token, rater=ada.token)
    assert "You are Ben here." in lines(app)
    press(app, answer)
    assert f"You are {becomes} here." in lines(app)
    assert f"You are {becomes} here." in lines(app.run()), "and is not asked again"


def test_ones_own_link_asks_nothing(page, ada):
    app = page(ada.token, rater=ada.token)
    assert "You are <b>Ada</b> here." in lines(app)
    assert not app.query_params


def test_a_link_of_nobody_is_told_and_changes_nothing(page, ben):
    app = page(ben.token, rater="gone")
    assert "does not belong to a rater here" in words(app)
    assert "You are Ben here." in lines(app)
