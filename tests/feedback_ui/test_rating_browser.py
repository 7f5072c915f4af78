"""Rating in a real browser: what clicks and keys store in the database."""

import sqlite3
import time
from itertools import count

import pytest
from playwright.sync_api import expect

from feedback_ui.services.clips import MIN_HEARD_MS
from music.corpora.corpus import load_corpus
from reward.store.store import RatingsStore
from reward.store.votes import Answer
from tests.support.studio_server import PATIENCE_MS, StudioServer, enter, soon

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NAMES = count()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = StudioServer(tmp_path_factory.mktemp("studio"))
    with RatingsStore(server.database) as store:
        short = [s.melody for s in load_corpus("test") if s.melody.header.bars == 4][:16]
        ids = store.add_melodies(short, policy_id="secret-policy", sampler="secret-t", seed=1)
        ids = list(dict.fromkeys(ids))
        pairs = list(zip(ids[::2], ids[1::2], strict=False))
        store.add_comparisons(pairs, round=1, strategy="secret-strategy")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def store(server):
    with RatingsStore(server.database) as store:
        yield store


@pytest.fixture
def studio(server, store, browser):
    """Opens tabs; each test has its own raters, and each rater a browser."""
    contexts = {}

    class Studio:
        address = server.address

        def rater(self):
            return store.add_rater(f"rater {next(NAMES)}")

        def page(self, rater):
            """A tab before an address is opened."""
            if rater.id not in contexts:
                contexts[rater.id] = browser.new_context()
                server.sign_in(contexts[rater.id], rater)
            page = contexts[rater.id].new_page()
            page.set_default_timeout(PATIENCE_MS)
            return page

        def tab(self, rater, before=lambda page: None):
            page = self.page(rater)
            before(page)
            page.goto(self.address)
            enter(page)
            settle(page)
            return page

        def votes(self, rater):
            frame = store.votes_frame(current_only=False)
            return frame[frame["rater_id"] == rater.id].to_dict("records")

        def votes_soon(self, rater, number):
            soon(lambda: len(self.votes(rater)) >= number)
            return self.votes(rater)

    yield Studio()
    for context in contexts.values():
        context.close()


def button(page, outcome, strength=1):
    return page.locator(f"[data-outcome={outcome}][data-strength='{strength}']")


def sources(page):
    """The addresses of the two clips, left and right."""
    return [
        page.locator(f"audio[data-side={side}]").get_attribute("src") for side in ("left", "right")
    ]


def settle(page):
    """Wait until a new pair accepts votes, after the delay that absorbs double clicks."""
    page.wait_for_timeout(600)


def expect_another_pair(page, before):
    expect(page.locator("audio[data-side=left]")).not_to_have_attribute(
        "src", before[0], timeout=PATIENCE_MS
    )
    settle(page)


def listen(*pages, sides="AB"):
    """Play as much of each side as voting needs, in several tabs at once."""
    for letter in sides:
        for page in pages:
            page.get_by_label(f"Play melody {letter}").click()
        for page in pages:
            page.locator(f".card.heard[aria-label='Melody {letter}']").wait_for()


def hold(page, key, seconds):
    """Hold a key: the first event, then repeats."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        page.keyboard.down(key)
        time.sleep(0.03)
    page.keyboard.up(key)


def test_a_vote_needs_listening_and_is_stored_for_the_pair_shown(studio, store):
    rater = studio.rater()
    frames = []

    def watch(page):
        page.on("websocket", lambda ws: ws.on("framereceived", lambda data: frames.append(data)))

    page = studio.tab(rater, before=watch)
    shown, before = store.issue(rater.id), sources(page)
    playing = "els => els.filter(a => !a.paused).map(a => a.dataset.side)"
    assert page.locator("audio").evaluate_all(playing) == [], "nothing plays by itself"
    for outcome in ("left", "right", "tie", "both_bad"):
        assert button(page, outcome).get_attribute("aria-disabled") == "true"
        button(page, outcome).click(force=True)
    assert button(page, "skip").get_attribute("aria-disabled") == "false"
    listen(page, sides="A")
    page.keyboard.press("a")
    at_once = """button => {
        button.click();
        const all = button.getRootNode().querySelectorAll("audio");
        return [...all].filter(a => !a.paused).map(a => a.dataset.side);
    }"""
    sounding = page.get_by_label("Play melody B").evaluate(at_once)
    assert sounding == ["right"], "one at a time, and not only after the browser's next event"
    page.locator(".card.playing[data-side=right]").wait_for()
    expect(page.locator(".card.playing")).to_have_count(1)
    page.locator(".card.heard[data-side=right]").wait_for()
    expect(page.locator(".hint")).to_have_text("Now vote.")
    assert studio.votes(rater) == []

    button(page, "right").click()
    expect_another_pair(page, before)
    (vote,) = studio.votes_soon(rater, 1)
    assert vote["comparison_id"] == str(shown.comparison_id)
    assert vote["outcome"] == "right"
    assert vote["melody_b" if vote["left_is_a"] else "melody_a"] == shown.right.id
    for side in ("left", "right"):
        assert vote[f"heard_ms_{side}"] >= MIN_HEARD_MS  # it runs on while the next click comes
        assert vote[f"plays_{side}"] == 1
    assert vote["latency_ms"] > vote["heard_ms_left"] + vote["heard_ms_right"]

    told = b"".join(f if isinstance(f, bytes) else f.encode() for f in frames)
    assert b"listening_pair" in told
    assert b"secret" not in told, "the page was told who wrote what"
    assert "secret" not in page.content()


def test_a_seek_is_not_listening(studio):
    page = studio.tab(studio.rater())
    page.get_by_label("Play melody A").click()
    expect(page.locator(".card.playing")).to_have_count(1)
    # In the page's own script, so that no playing time passes between two seeks.
    jumped = """async seek => {
        for (const ms of [3000, 1000, 3500, 500, 3800]) {
            seek.value = ms;
            seek.dispatchEvent(new Event("input"));
            await new Promise(done => setTimeout(done, 60));
        }
        seek.getRootNode().querySelector("audio[data-side=left]").pause();
        await new Promise(done => setTimeout(done, 600));
    }"""
    page.get_by_label("Position in melody A").evaluate(jumped)
    assert page.locator(".card.heard").count() == 0


def test_a_held_key_votes_once(studio):
    rater = studio.rater()
    page = studio.tab(rater)
    before = sources(page)
    listen(page)
    hold(page, "a", 10)
    expect_another_pair(page, before)
    assert [vote["outcome"] for vote in studio.votes(rater)] == ["left"]

    before = sources(page)
    button(page, "skip").focus()
    hold(page, "Enter", 1.5)
    expect_another_pair(page, before)
    hold(page, "u", 1.5)
    expect(page.locator(".hint")).to_contain_text("Your last pair again")
    assert sources(page) == before, "a held undo goes one back"
    assert [vote["outcome"] for vote in studio.votes(rater)] == ["left", "skip"]


def test_a_double_click_votes_once(studio):
    rater = studio.rater()
    page = studio.tab(rater)
    before = sources(page)
    button(page, "skip").dblclick(delay=20)
    expect_another_pair(page, before)

    # The worst moment for a second click is just after the next pair appears: skip is enabled.
    before = sources(page)
    busy = button(page, "skip").evaluate(
        """skip => {
            const pair = skip.closest(".pair");
            const clip = pair.querySelector("audio");
            new MutationObserver(() => skip.click()).observe(clip, {attributeFilter: ["src"]});
            skip.click();
            return pair.getAttribute("aria-busy");
        }"""
    )
    assert busy == "true", "the buttons close before the server answers"
    expect_another_pair(page, before)
    page.wait_for_timeout(500)
    assert [vote["outcome"] for vote in studio.votes(rater)] == ["skip", "skip"]


def test_a_restart_never_votes_for_a_pair_that_was_not_shown(studio, server, store):
    raters = [studio.rater(), studio.rater()]
    waits, overtaken = (studio.tab(rater) for rater in raters)
    shown = [store.issue(rater.id) for rater in raters]
    listen(waits, overtaken)
    server.kill()
    # Meanwhile the second rater votes elsewhere, so that their live pair changes.
    store.vote(shown[1].assignment_id, Answer(outcome="skip", nonce="elsewhere"))
    live = store.issue(raters[1].id)
    assert live.comparison_id != shown[1].comparison_id
    before = sources(waits)
    server.start()

    # Whether or not the stale page knows of the restart, no click may reach the live pair. A script
    # clicks, because Streamlit's message about the lost connection may cover the page.
    press = "button => button.click()"
    button(overtaken, "left").evaluate(press)
    button(waits, "left").evaluate(press)
    until = time.monotonic() + PATIENCE_MS / 1000
    while sources(waits) == before and time.monotonic() < until:
        waits.wait_for_timeout(500)
        if not studio.votes(raters[0]) and waits.locator(".hint", has_text="answer").count():
            button(waits, "left").evaluate(press)  # it was lost on the way, and the page says so
    expect_another_pair(waits, before)
    expect(overtaken.locator("audio[data-side=left]")).to_be_attached()
    overtaken.wait_for_timeout(500)
    (vote,) = studio.votes(raters[0])
    assert vote["comparison_id"] == str(shown[0].comparison_id)
    assert vote["outcome"] == "left"
    (vote,) = studio.votes(raters[1])
    assert vote["comparison_id"] == str(shown[1].comparison_id)
    assert vote["outcome"] == "skip"
    assert store.issue(raters[1].id).assignment_id == live.assignment_id


def test_trouble_that_passes_is_gone_without_a_click(studio, store):
    page = studio.tab(studio.rater())
    before = sources(page)
    other = sqlite3.connect(store.name, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    page.reload()
    page.get_by_text("is locked: another program has been writing").wait_for()
    assert page.get_by_role("button", name="Try again").is_visible()
    other.close()
    page.locator(".card").first.wait_for()
    assert sources(page) == before


def test_a_reload_and_a_second_tab_show_the_same_pair_and_count_once(studio):
    rater = studio.rater()
    page = studio.tab(rater)
    first = sources(page)
    page.reload()
    enter(page)
    assert sources(page) == first
    other = studio.tab(rater)
    assert sources(other) == first

    button(page, "skip").click()
    expect_another_pair(page, first)
    button(other, "skip").click()
    expect_another_pair(other, first)
    assert sources(other) == sources(page)
    assert len(studio.votes(rater)) == 1


def test_keys_typed_into_the_comment_cast_no_vote_and_it_is_sent_with_the_next(studio):
    rater = studio.rater()
    page = studio.tab(rater)
    before = sources(page)
    listen(page)
    page.get_by_text("Say why").click()
    page.get_by_role("button", name="wrong note").click()
    page.get_by_role("button", name="ending").click()
    page.get_by_role("button", name="wrong note").click()
    comment = page.get_by_label("A comment")
    comment.focus()
    said = "=skip 1 2 <b>a</b> s t\U0001f3b5"
    page.keyboard.type(said)
    page.keyboard.press("Enter")
    page.keyboard.press("Control+s")
    page.wait_for_timeout(300)
    assert studio.votes(rater) == []
    assert "1" in page.get_by_label("Play melody A").inner_text()
    button(page, "right", 2).click()
    expect_another_pair(page, before)
    (vote,) = studio.votes_soon(rater, 1)
    assert (vote["outcome"], vote["strength"]) == ("right", 2)
    assert (list(vote["reasons"]), vote["comment"]) == (["ending"], said)
    assert comment.input_value() == "", "the next pair begins without one"
    assert page.locator(".chip[aria-pressed=true]").count() == 0


def test_the_other_melody_goes_on_at_the_same_place_and_loops(studio):
    page = studio.tab(studio.rater())
    state = """els => els.map(a => ({at: a.currentTime, paused: a.paused, loop: a.loop}))"""
    audio = page.locator("audio")
    page.keyboard.press("l")
    page.keyboard.press("1")
    well_into_it = """left => new Promise(done => {
        const look = () => left.currentTime > 1 ? done(true) : setTimeout(look, 20);
        look();
    })"""
    audio.first.evaluate(well_into_it)
    page.keyboard.press("x")
    page.locator(".card.playing[data-side=right]").wait_for()
    left, right = audio.evaluate_all(state)
    assert left["paused"]
    assert not right["paused"]
    assert left["loop"]
    assert right["loop"]
    assert left["at"] > 1
    # Both have four bars but different tempi, so the position is counted in bars.
    clips = page.locator(".pair").evaluate(
        "el => [...el.querySelectorAll('.seek')].map(s => +s.max)"
    )
    assert 0 < right["at"] * 1000 < clips[1]
    page.keyboard.press(" ")
    expect(page.locator(".card.playing")).to_have_count(0)
    page.keyboard.press(" ")
    page.locator(".card.playing[data-side=right]").wait_for()


def test_keys_can_be_chosen_and_conflicts_are_told(studio):
    rater = studio.rater()
    page = studio.tab(rater)
    page.get_by_text("Keys", exact=True).click()
    skip = page.locator(".remap[data-action=skip]")
    skip.click()
    page.keyboard.press("Escape")
    expect(page.locator(".keys-note")).to_contain_text("stays S")
    skip.click()
    page.keyboard.press("Tab")
    expect(skip, "Tab goes on, as everywhere").to_have_attribute("aria-pressed", "false")
    expect(skip).not_to_be_focused()
    skip.click()
    page.keyboard.press("a")
    expect(page.locator(".keys-note")).to_contain_text("taken by “A better”")
    page.keyboard.press("w")
    expect(page.locator(".keys-note")).to_contain_text("W now")
    expect(button(page, "skip").locator("kbd")).to_have_text("W")
    assert studio.votes(rater) == []
    page.reload()
    enter(page)
    settle(page)
    before = sources(page)
    page.keyboard.press("s")
    page.wait_for_timeout(300)
    assert sources(page) == before
    page.keyboard.press("w")
    expect_another_pair(page, before)
    assert [vote["outcome"] for vote in studio.votes(rater)] == ["skip"]
    page.get_by_text("Keys", exact=True).click()
    page.get_by_role("button", name="Reset keys").click()
    expect(button(page, "skip").locator("kbd")).to_have_text("S")


def test_the_first_steps_by_keyboard_alone_and_nothing_is_stored(studio):
    rater = studio.rater()
    page = studio.page(rater)
    page.goto(studio.address)
    go_on = page.get_by_role("button", name="The volume is right")
    go_on.wait_for()
    for _ in range(40):
        page.keyboard.press("Tab")
        if go_on.evaluate("el => el.getRootNode().activeElement === el"):
            break
    page.keyboard.press("Enter")
    page.locator(".card").first.wait_for()
    settle(page)
    practice = sources(page)
    for key, side in (("1", "left"), ("2", "right")):
        page.keyboard.press(key)
        page.locator(f".card.heard[data-side={side}]").wait_for()
    page.keyboard.press("Shift+B")
    expect_another_pair(page, practice)
    expect(page.locator(".hint")).to_contain_text("From now on your answers count")
    assert studio.votes(rater) == []
    page.close()


def test_a_clip_that_does_not_load_can_be_reported(studio):
    rater = studio.rater()
    page = studio.tab(rater, before=lambda page: page.route("**/media/**", lambda r: r.abort()))
    expect(page.locator(".hint")).to_contain_text("did not load")
    before = sources(page)
    page.get_by_role("button", name="Broken sound?").click()
    expect_another_pair(page, before)
    (vote,) = studio.votes(rater)
    assert (vote["outcome"], list(vote["reasons"])) == ("skip", ["no_sound"])


def test_a_nickname_stays_text_and_a_narrow_page_does_not_scroll_sideways(studio, browser):
    page = browser.new_page()
    page.set_viewport_size({"width": 380, "height": 800})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(studio.address)
    name = "<img src=x onerror=alert(1)> **me**"
    page.get_by_label("Nickname").fill(name)
    page.get_by_text("I agree").click()
    page.get_by_role("button", name="Start listening").click()
    enter(page)
    expect(page.get_by_text(f"Rating as {name}", exact=True)).to_be_visible()
    assert "rater" not in page.url
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
    page.close()


def test_another_sites_name_for_this_machine_is_refused(server):
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "c2l4dGVlbiBieXRlcyEhIQ==",
    }
    path = "/_stcore/stream"
    good, evil = f"localhost:{server.port}", f"evil.example:{server.port}"
    assert server.get(path, Host=good, Origin=f"http://{good}", **headers).status == 101
    assert server.get(path, Host=evil, Origin=f"http://{evil}", **headers).status == 403
