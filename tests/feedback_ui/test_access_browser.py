"""Keys, links and frames in a real browser: what strangers and other sites cannot do."""

import socket
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from feedback_ui.services.session import CONSENT_VERSION
from music.corpora.corpus import load_corpus
from reward.store.store import RatingsStore
from tests.support.studio_server import PATIENCE_MS, StudioServer, settled, soon

pytestmark = [pytest.mark.browser, pytest.mark.slow]
KEY = "the-organisers-key"
COOKIES = "tastemaker_"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="module")
def store(folder):
    with RatingsStore(folder / "ratings.db") as store:
        tunes = [strain.melody for strain in load_corpus("test")[:2]]
        ids = store.add_melodies(tunes, policy_id="p", sampler="s", seed=0)
        store.add_comparisons([(ids[0], ids[1])], round=1)
        yield store


@pytest.fixture(scope="module")
def server(folder, store):
    server = StudioServer(folder, organiser_key=KEY)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def ada(store):
    return store.add_rater("Ada", consent_version=CONSENT_VERSION)


@pytest.fixture
def ben(store):
    return store.rater_named("Ben") or store.add_rater("Ben", consent_version=CONSENT_VERSION)


@pytest.fixture
def context(browser):
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


def visit(context, address):
    page = context.new_page()
    page.goto(address)
    settled(page)
    return page


def kept(context):
    """The studio's cookies: kind -> cookie."""
    return {
        cookie["name"].split("_")[1]: cookie
        for cookie in context.cookies()
        if cookie["name"].startswith(COOKIES)
    }


def has_no_key(page):
    assert "rater" not in page.url
    assert "organiser" not in page.url
    assert KEY not in page.url
    assert COOKIES not in page.evaluate("document.cookie"), "scripts cannot read it"


def test_the_organisers_key_leaves_the_address_and_the_right_stays(server, context):
    page = visit(context, f"{server.address}/people?organiser={KEY}&view=everyone")
    has_no_key(page)
    assert page.url.endswith("/people?view=everyone")
    page.get_by_text("How reliable raters are").wait_for()
    assert page.evaluate("history.length") <= 2, "going back does not show it either"
    assert KEY not in str(context.cookies())
    (cookie,) = kept(context).values()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    again = visit(context, f"{server.address}/fine-tune")
    again.get_by_text("PPO trains the melody model in rounds").wait_for()


def test_a_stranger_with_a_wrong_key_is_none(server, context):
    page = visit(context, f"{server.address}/people?organiser=wrong&view=everyone")
    has_no_key(page)
    page.get_by_text("This page is for the person who runs the studio").wait_for()


def test_who_signs_up_is_known_in_the_next_tab_and_until_they_sign_out(server, store, context):
    page = visit(context, server.address)
    page.get_by_label("Nickname").fill("Cleo")
    page.get_by_text("I agree").click()
    page.get_by_role("button", name="Start listening").click()
    page.get_by_text("Rating as Cleo", exact=True).wait_for()
    assert soon(lambda: "rater" in kept(context))
    has_no_key(page)
    assert kept(context)["rater"]["httpOnly"]
    page.reload()
    page.get_by_text("Rating as Cleo", exact=True).wait_for()
    server.kill()
    server.start()
    other = visit(context, f"{server.address}/people")
    other.get_by_text("You are Cleo here.").wait_for()
    link = other.get_by_text("?rater=").inner_text().strip()
    assert store.rater_by_token(link.partition("=")[2]).nickname == "Cleo"
    other.get_by_role("button", name="Sign out here").click()
    other.get_by_label("Nickname").wait_for()
    assert soon(lambda: "rater" not in kept(context))
    visit(context, server.address).get_by_label("Nickname").wait_for()


def test_a_personal_link_is_asked_for_and_then_leaves_the_address(server, ada, context):
    page = visit(context, f"{server.address}/people?rater={ada.token}")
    has_no_key(page)
    expect(page.get_by_role("heading", name="Is this you?")).to_be_visible()
    expect(page.get_by_text("You are Ada here.")).to_have_count(0)
    page.get_by_role("button", name="Yes, this is me").click()
    page.get_by_text("You are Ada here.").wait_for()
    assert soon(lambda: set(kept(context)) == {"rater"})
    has_no_key(page)
    # An address that they bookmarked in an earlier version goes on to work, and asks no more.
    again = visit(context, f"{server.address}/people?rater={ada.token}")
    again.get_by_text("You are Ada here.").wait_for()
    has_no_key(again)


def test_who_follows_somebody_elses_link_stays_themselves(server, ada, ben, context):
    server.sign_in(context, ben)
    page = visit(context, f"{server.address}/people?rater={ada.token}")
    page.get_by_text("It belongs to Ada.").wait_for()
    page.get_by_role("button", name="No, I am somebody else").click()
    page.get_by_text("You are Ben here.").wait_for()
    assert soon(lambda: set(kept(context)) == {"rater"})
    page.reload()
    page.get_by_text("You are Ben here.").wait_for()


def test_what_a_rater_copies_from_the_address_bar_invites_and_is_no_key(
    server, ada, context, browser
):
    server.sign_in(context, ada)
    page = visit(context, f"{server.address}/people")
    page.get_by_text("You are Ada here.").wait_for()
    friend = browser.new_context()
    friend.set_default_timeout(PATIENCE_MS)
    visit(friend, page.url).get_by_label("Nickname").wait_for()
    friend.close()


# Other sites


@contextmanager
def site(html):
    """Another site on this machine: another port is another origin."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_address[1]}"
        served.shutdown()


def test_no_other_site_shows_the_organisers_pages_in_a_frame(server, context):
    visit(context, f"{server.address}/?organiser={KEY}")
    for path in ("fine-tune", f"fine-tune?organiser={KEY}"):
        with site(f"<iframe src='{server.address}/{path}'></iframe>") as address:
            page = context.new_page()
            with page.expect_event("requestfailed") as failed:
                page.goto(address)
            assert failed.value.url == f"{server.address}/fine-tune"
            assert "BLOCKED_BY_RESPONSE" in failed.value.failure
            (frame,) = page.main_frame.child_frames
            assert not frame.url.startswith(server.address)
            page.close()


def test_a_site_that_was_named_shows_the_studio(tmp_path, context):
    with site("<iframe width=900 height=700></iframe>") as address:
        server = StudioServer(tmp_path, organiser_key=KEY, embed_in=[address])
        RatingsStore(server.database).close()
        server.start()
        try:
            page = context.new_page()
            page.goto(address)
            page.evaluate(f"document.querySelector('iframe').src = '{server.address}'")
            page.frame_locator("iframe").get_by_label("Nickname").wait_for()
        finally:
            server.kill()


def test_a_script_of_another_site_opens_no_web_socket_and_sets_no_cookie(server, context):
    with site("<p>another site</p>") as address:
        page = context.new_page()
        page.goto(address)
        opened = page.evaluate(
            """(url) => new Promise((resolve) => {
                const socket = new WebSocket(url, "streamlit");
                socket.onopen = () => resolve(true);
                socket.onerror = () => resolve(false);
            })""",
            server.address.replace("http", "ws") + "/_stcore/stream",
        )
        assert opened is False
        page.evaluate(
            """(url) => fetch(url, {method: "POST", body: "x", mode: "no-cors",
                credentials: "include"}).catch(() => null)""",
            f"{server.address}/tastemaker/cookies",
        )
        assert kept(context) == {}


# A proxy on this machine


@contextmanager
def proxy(port, header):
    """A proxy before the studio, which adds a header to the first request of each connection."""

    def copy(source, target):
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve(visitor):
        with visitor, socket.create_connection(("127.0.0.1", port)) as studio:
            first = b""
            while b"\r\n" not in first:
                if not (data := visitor.recv(65_536)):
                    return
                first += data
            line, _, rest = first.partition(b"\r\n")
            studio.sendall(line + b"\r\n" + header + b"\r\n" + rest)
            back = threading.Thread(target=copy, args=(studio, visitor), daemon=True)
            back.start()
            copy(visitor, studio)
            back.join()

    def accept(listening):
        with suppress(OSError):
            while True:
                visitor, _ = listening.accept()
                threading.Thread(target=serve, args=(visitor,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, args=(listening,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)  # ends accept


def test_who_comes_through_a_proxy_to_a_studio_without_a_key_is_no_organiser(tmp_path, context):
    server = StudioServer(tmp_path)
    RatingsStore(server.database).close()
    server.start()
    try:
        page = visit(context, f"{server.address}/fine-tune")
        page.get_by_text("PPO trains the melody model in rounds").wait_for()
        with proxy(server.port, b"X-Forwarded-For: 203.0.113.9") as address:
            page = visit(context, f"{address}/fine-tune")
            page.get_by_text("nobody is an organiser here").wait_for()
            page.get_by_text("tastemaker studio --host NAME").wait_for()
            expect(page.get_by_text("PPO trains the melody model")).to_have_count(0)
            page.close()
    finally:
        server.kill()
