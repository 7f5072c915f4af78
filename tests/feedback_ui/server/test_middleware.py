"""What the server does with a request before Streamlit sees it; asked without a socket."""

import asyncio
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from streamlit import config

from feedback_ui.server.cookies import (
    LINK,
    ORGANISER,
    PATH,
    RATER,
    TICKETS,
    cookie_name,
    organiser_proof,
)
from feedback_ui.server.launch import StudioOptions
from feedback_ui.server.middleware import StudioMiddleware

KEY = "the-organisers-key"
HOST = "127.0.0.1:8501"
OWN = {"host": HOST, "origin": f"http://{HOST}"}
OPTIONS = StudioOptions(database="ratings.db", clips=Path("clips"), organiser_key=KEY)


class Answer:
    """Status, headers and body; `reached` when it is Streamlit's."""

    def __init__(self, messages, reached):
        self.reached = reached
        start = messages[0]
        self.status = start.get("status")
        self.closed = start["type"] == "websocket.close"
        self.headers = {}
        self.cookies = {}
        for name, value in start.get("headers", ()):
            name, value = name.decode().lower(), value.decode()
            self.headers[name] = value
            if name == "set-cookie":
                for each in SimpleCookie(value.replace("; Partitioned", "")).values():
                    self.cookies[each.key] = each


def ask(path, method="GET", body=b"", options=OPTIONS, kind="http", scheme="http", **headers):
    """The answer to a request; headers are the browser's own unless given."""
    sent, reached = [], []

    async def streamlit(scope, receive, send):
        reached.append(scope)
        if kind == "websocket":
            await send({"type": "websocket.accept"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"streamlit"})

    async def receive():
        return {
            "type": "websocket.connect" if kind == "websocket" else "http.request",
            "body": body,
        }

    async def send(message):
        sent.append(message)

    where, _, query = path.partition("?")
    given = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": kind,
        "method": method,
        "path": where,
        "query_string": query.encode(),
        "scheme": scheme,
        "server": ("127.0.0.1", 8501),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    asyncio.run(StudioMiddleware(streamlit, options)(scope, receive, send))
    return Answer(sent, bool(reached))


def named(kind):
    return cookie_name(kind, int(config.get_option("server.port")), OPTIONS.database)


@pytest.fixture(autouse=True)
def this_machine():
    """The settings of a studio for this machine."""
    before = {
        name: config.get_option(name)
        for name in ("server.address", "server.allowedHosts", "server.baseUrlPath")
    }
    config.set_option("server.address", "127.0.0.1")
    config.set_option("server.allowedHosts", ["localhost", "127.0.0.1"])
    yield
    for name, value in before.items():
        config.set_option(name, value)


# Frames


@pytest.mark.parametrize("path", ["/", "/people", "/_stcore/health", "/static/js/x.js", "/no"])
def test_no_other_site_may_show_the_studio(path):
    answer = ask(path)
    assert answer.reached
    assert answer.headers["content-security-policy"] == "frame-ancestors 'self'"
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_sites_that_were_named_may():
    options = StudioOptions(embed_in=("https://course.example.org", "https://b.example.org"))
    answer = ask("/", options=options)
    sites = "'self' https://course.example.org https://b.example.org"
    assert answer.headers["content-security-policy"] == f"frame-ancestors {sites}"
    assert "x-frame-options" not in answer.headers


def test_refusals_and_redirections_are_not_shown_in_frames_either():
    for path in ("/?rater=a-token", "/_stcore/metrics"):
        answer = ask(path)
        assert not answer.reached
        assert answer.headers["content-security-policy"] == "frame-ancestors 'self'"


# Keys in addresses


def test_a_raters_token_leaves_the_address_and_is_not_believed_yet():
    answer = ask("/taste?rater=a-token&of=group&notes=")
    assert (answer.status, answer.headers["location"]) == (303, "/taste?of=group&notes=")
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.cookies) == {named(LINK)}
    link = answer.cookies[named(LINK)]
    assert (link.value, link["httponly"], link["samesite"]) == ("a-token", True, "Lax")


def test_a_link_of_the_rater_who_is_signed_in_asks_nothing():
    answer = ask("/?rater=a-token", cookie=f"{named(RATER)}=a-token")
    assert (answer.status, answer.headers["location"], answer.cookies) == (303, "/", {})


def test_the_organisers_key_becomes_a_proof():
    answer = ask(f"/fine-tune?organiser={KEY}")
    assert (answer.status, answer.headers["location"]) == (303, "/fine-tune")
    proof = answer.cookies[named(ORGANISER)]
    assert (proof.value, proof["httponly"], proof["max-age"]) == (organiser_proof(KEY), True, "")
    assert KEY not in str(answer.headers)


@pytest.mark.parametrize("key", ["", "wrong", KEY + " "])
def test_a_wrong_key_leaves_the_address_too_and_is_worth_nothing(key):
    answer = ask(f"/?organiser={key}")
    assert (answer.status, answer.headers["location"], answer.cookies) == (303, "/", {})


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("//evil.example/?rater=a", "/evil.example/"),
        ("/\\evil.example?rater=a", "/evil.example"),
        ("/a b/%0d%0a?rater=a", "/a%20b/%250d%250a"),
        ("/?rater=a&q=%0d%0aX%3A+y", "/?q=%0D%0AX%3A+y"),
    ],
)
def test_a_redirection_stays_on_this_studio(path, location):
    assert ask(path).headers["location"] == location


@pytest.mark.parametrize("token", ["a;b", "a%0d%0aSet-Cookie:x=y", "x" * 300, "a%20b"])
def test_a_token_that_is_none_sets_no_cookie(token):
    answer = ask(f"/?rater={token}")
    assert (answer.status, answer.cookies) == (303, {})


def test_a_cookie_is_secure_where_the_browser_came_by_https():
    answer = ask("/?rater=a", x_forwarded_proto="https")
    assert answer.cookies[named(LINK)]["secure"]
    assert not ask("/?rater=a").cookies[named(LINK)]["secure"]


def test_a_studio_below_a_path():
    config.set_option("server.baseUrlPath", "studio")
    answer = ask("/studio/taste?rater=a")
    assert answer.headers["location"] == "/studio/taste"
    assert answer.cookies[named(LINK)]["path"] == "/studio"
    assert not ask("/studio/_stcore/metrics").reached
    assert ask(f"/studio{PATH}", "POST", TICKETS.issue({}).encode(), **OWN).status == 204


# Tickets


def test_a_ticket_sets_and_removes_cookies_once():
    ticket = TICKETS.issue({RATER: "a-token", LINK: None}).encode()
    answer = ask(PATH, "POST", ticket, **OWN)
    assert answer.status == 204
    assert answer.cookies[named(RATER)].value == "a-token"
    assert answer.cookies[named(RATER)]["httponly"]
    assert answer.cookies[named(LINK)]["max-age"] == "0"
    again = ask(PATH, "POST", ticket, **OWN)
    assert (again.status, again.cookies) == (410, {})


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"method": "GET"}, 403),
        ({"body": b"x" * 300}, 413),
        ({"body": b"\xff\xfe"}, 410),
    ],
)
def test_who_may_not_set_cookies(change, status):
    ticket = TICKETS.issue({RATER: "attacker"})
    answer = ask(PATH, **{"method": "POST", "body": ticket.encode(), **OWN, **change})
    assert (answer.status, answer.cookies, answer.reached) == (status, {}, False)
    assert TICKETS.is_waiting(ticket)


# Other sites' pages


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:9000", "null"])
def test_pages_of_other_sites_open_no_web_socket(origin):
    answer = ask("/_stcore/stream", kind="websocket", origin=origin)
    assert answer.closed
    assert not answer.reached


def test_the_studios_own_pages_open_a_web_socket():
    assert ask("/_stcore/stream", kind="websocket", **OWN).reached
    assert ask("/_stcore/stream", kind="websocket").reached, "not a page at all"


# Metrics


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/_stcore/metrics/", "//_stcore/metrics"])
def test_metrics_are_closed_to_strangers(path):
    answer = ask(path)
    assert (answer.status, answer.reached) == (403, False)
    assert ask(path, authorization="Bearer wrong").status == 403
    assert ask(path, cookie=f"{named(ORGANISER)}={KEY}").status == 403


def test_metrics_are_open_to_the_organiser():
    assert ask("/_stcore/metrics", authorization=f"Bearer {KEY}").reached
    assert ask("/_stcore/metrics", cookie=f"{named(ORGANISER)}={organiser_proof(KEY)}").reached


def test_without_a_key_metrics_are_for_this_machine():
    alone = StudioOptions(database="ratings.db")
    assert ask("/_stcore/metrics", options=alone).reached
    for stranger in ({"x_forwarded_for": "203.0.113.9"}, {"host": "studio.example.org"}):
        assert ask("/_stcore/metrics", options=alone, **stranger).status == 403
    config.set_option("server.allowedHosts", ["studio.example.org"])
    assert ask("/_stcore/metrics", options=alone).status == 403


UPLOAD = "/_stcore/upload_file/a-session/a-file"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
@pytest.mark.parametrize("path", [UPLOAD, f"/{UPLOAD}", f"{UPLOAD}/"])
def test_files_of_strangers_do_not_reach_the_server(method, path):
    answer = ask(path, method, b"x" * 1000, **OWN)
    assert (answer.status, answer.reached) == (403, False)
    assert ask(path, method, cookie=f"{named(RATER)}=a-token", **OWN).status == 403
    assert ask(path, method, cookie=f"{named(ORGANISER)}={KEY}", **OWN).status == 403


def test_organisers_upload():
    assert ask(UPLOAD, "PUT", cookie=f"{named(ORGANISER)}={organiser_proof(KEY)}", **OWN).reached
    alone = StudioOptions(database="ratings.db")
    assert ask(UPLOAD, "PUT", options=alone).reached
    assert ask(UPLOAD, "PUT", options=alone, x_forwarded_for="203.0.113.9").status == 403


def test_uploads_are_closed_below_another_path_too():
    config.set_option("server.baseUrlPath", "studio")
    assert ask(f"/studio{UPLOAD}", "PUT", **OWN).status == 403
