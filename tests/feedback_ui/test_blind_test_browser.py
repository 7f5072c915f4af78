"""The pages Blind test and People in a real browser: a vote, the end, and the data sent.

The tests of the listening pair itself are in test_rating_browser.py.
"""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from feedback_ui.services.session import CONSENT_VERSION
from music.corpora.corpus import load_corpus
from reward.store import campaigns
from reward.store.campaigns import Policies
from reward.store.pool import PlannedPair
from reward.store.store import RatingsStore
from tests.support.studio_server import PATIENCE_MS, StudioServer, enter, settled

pytestmark = [pytest.mark.browser, pytest.mark.slow]
KEY = "organisers-key"
SECRETS = ("tuned-and-secret", "base-and-secret", "aaaa0000aaaa", "bbbb0000bbbb")
POLICIES = Policies(a=SECRETS[0], b=SECRETS[1], a_id=SECRETS[2], b_id=SECRETS[3])
NAME = "<b>Sunday</b> **test**"
WIDTHS = (1280, 380)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="module")
def store(folder):
    with RatingsStore(folder / "ratings.db") as store:
        yield store


@pytest.fixture(scope="module")
def blind_test(store):
    """A test that two votes end, with an invitation."""
    short = [s.melody for s in load_corpus("test") if s.melody.header.bars == 4][:6]
    with store.writing() as session:
        made = campaigns.create_campaign(
            session,
            NAME,
            purpose="blind_test",
            votes_wanted=2,
            policies=POLICIES,
            now=datetime.now(UTC),
        )
        token = campaigns.invite(session, made.id)
    plan = []
    for place, pair in enumerate(zip(short[::2], short[1::2], strict=True)):
        written = zip(pair, (POLICIES.a_id, POLICIES.b_id), strict=True)
        ids = [
            store.add_melodies([melody], policy_id=by, sampler="secret-t", seed=1)[0]
            for melody, by in written
        ]
        plan.append(PlannedPair(*(reversed(ids) if place % 2 else ids), "blind_test"))
    store.add_plan(plan, round=1, strategy="secret-strategy", campaign_id=made.id)
    return made, token


@pytest.fixture(scope="module")
def server(folder, store):
    server = StudioServer(folder, organiser_key=KEY, least_heard_ms=300)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def address(server):
    return server.address


@pytest.fixture
def page(browser):
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    yield page
    page.close()


def vote(page, outcome):
    for letter in "AB":
        page.get_by_label(f"Play melody {letter}").click()
        page.locator(f".card.heard[aria-label='Melody {letter}']").wait_for()
    page.wait_for_timeout(600)  # a new pair takes no votes at once
    page.locator(f"[data-outcome={outcome}]").first.click()


def test_from_an_invitation_to_the_result_and_nothing_told_before(page, address, store, blind_test):
    made, token = blind_test
    received = []

    def keep(data):
        received.append(data if isinstance(data, bytes) else data.encode())

    page.on("websocket", lambda socket: socket.on("framereceived", keep))
    page.on("response", lambda response: keep(response.url))
    page.goto(f"{address}/blind-test?invite={token}")
    page.get_by_label("Nickname").fill("Ada")
    page.get_by_text("I agree").click()
    page.get_by_role("button", name="Start listening").click()
    enter(page)
    expect(page.get_by_text(NAME, exact=True)).to_be_visible()
    expect(page.get_by_text("0 votes are in; at most 2 more votes")).to_be_visible()
    rater = store.rater_named("Ada")
    shown = store.issue(rater.id, purposes=["blind_test"], campaign_id=made.id)
    sides = [
        page.locator(f"audio[data-side={side}]").get_attribute("src") for side in ("left", "right")
    ]
    for side in sides:
        sound = page.request.get(f"{address}{side}").body()
        # 16-bit mono samples after a plain header: there is no place for text.
        assert sound[36:40] == b"data"
        assert int.from_bytes(sound[40:44], "little") == len(sound) - 44
    vote(page, "left")
    expect(page.get_by_text("1 vote is in; at most 1 more vote")).to_be_visible()
    expect(page.locator("audio[data-side=left]")).not_to_have_attribute("src", sides[0])
    (stored,) = store.votes_frame().to_dict("records")
    assert (stored["comparison_id"], stored["outcome"]) == (str(shown.comparison_id), "left")
    page.reload()
    expect(page.get_by_text("1 vote is in; at most 1 more vote")).to_be_visible()
    everything = b"\n".join([*received, page.content().encode()])
    assert b"listening_pair" in everything
    for secret in (*SECRETS, "secret-t", "secret-strategy"):
        assert secret.encode() not in everything, f"the browser was told {secret}"
    for side in sides:
        assert side.split("/")[-2] == "media"

    vote(page, "right")
    expect(page.get_by_text("All the votes asked for are in.")).to_be_visible()
    # `exact`: the nickname is also in the table.
    expect(page.get_by_role("rowheader", name="Ada", exact=True)).to_be_visible()
    expect(page.locator("audio")).to_have_count(0)
    assert page.evaluate("document.querySelector('b')?.textContent !== 'Sunday'")


@pytest.mark.parametrize("width", WIDTHS)
def test_people_is_text_within_the_width(page, server, address, store, width):
    name = f"<img src=x onerror=alert(1)> {width}"
    rater = store.add_rater(name, consent_version=CONSENT_VERSION)
    page.set_viewport_size({"width": width, "height": 900})
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    server.sign_in(page.context, rater)
    page.goto(f"{address}/people")
    expect(page.get_by_text(f"You are {name} here.", exact=True)).to_be_visible()
    settled(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="As a table (CSV)").click()
    assert download.value.suggested_filename == "my-votes.csv"
    page.goto(f"{address}/people?organiser={KEY}&view=everyone")
    expect(page.get_by_role("rowheader", name=name, exact=True)).to_be_visible(timeout=PATIENCE_MS)
    wide = "() => document.querySelector('[data-testid=stMain]').scrollWidth"
    assert page.evaluate(wide) <= width
    assert dialogs == []
