"""Every flow of the studio by keyboard alone, in a real browser, and what the store then holds.

Nothing here clicks, fills in or sets the focus: `Hands` only presses keys. When a control
disappears, the focus must move to another element, or keyboard users lose their place.
"""

import copy
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from feedback_ui.services.blind_tests import list_tests, policies_of
from music.corpora.corpus import load_corpus
from music.formats.notation import read_melody
from policy.checkpoint import save_policy
from policy.runs import new_run
from reward.pairs.random_pairs import random_pairs
from reward.store import campaigns
from reward.store.campaigns import Policies
from reward.store.favourites import favourites
from reward.store.pool import PlannedPair
from reward.store.store import RatingsStore
from reward.store.votes import Answer
from rl.jobs.queue import ask_to_stop, find_job, list_jobs, wait_for_end
from tests.support.keyboard_driver import Hands
from tests.support.studio_server import PATIENCE_MS, StudioServer, settled, soon

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TEST_NAME = "Sunday test"
JOB_MS = 10 * 60_000
"""for a process that loads torch on a busy machine"""
ASKED = {
    "Updates": "500", "Melodies an update": "16", "Minibatch": "8", "Name of the run": "by-keys",
    "KL limit in nats": "1000",
}  # fmt: skip
OTHERS = "bars=4\nmeter=2/4\nthreads=1\ngood_enough=3\npatience=1000000"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = StudioServer(tmp_path_factory.mktemp("studio"), least_heard_ms=300)
    RatingsStore(server.database).close()
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def store(server):
    with RatingsStore(server.database) as store:
        yield store


@pytest.fixture(scope="module")
def ids(store):
    """A pool of short tunes, and pairs enough for everybody."""
    tunes = [s.melody for s in load_corpus("test") if s.melody.header.bars == 4][:30]
    ids = list(dict.fromkeys(store.add_melodies(tunes, policy_id="one", sampler="t", seed=1)))
    store.add_comparisons(random_pairs(ids, 24, np.random.default_rng(0)), round=1)
    return ids


@pytest.fixture(scope="module")
def ada(store, ids):
    """A rater with enough answers for a taste, who prefers more notes."""
    rater = store.add_rater("Ada")
    notes = {row.id: len(row.melody.notes) for row in store.melodies(ids)}
    for place in range(22):
        pair = store.issue(rater.id)
        likes_left = notes[pair.left.id] > notes[pair.right.id]
        store.vote(
            pair.assignment_id,
            Answer(outcome="left" if likes_left else "right", nonce=f"nonce-{place:08}"),
        )
    return rater


@pytest.fixture
def hands(browser, server):
    """A keyboard driver with a new browser page, before an address is opened."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    hands = Hands(page)
    hands.server = server
    yield hands
    context.close()


def visit(hands, address, rater=None):
    """Open an address, as from a link or a bookmark; the browser knows its rater."""
    if rater is not None:
        hands.server.sign_in(hands.page.context, rater)
    hands.page.goto(address)
    settled(hands.page)
    return hands.page


def votes_of(store, rater, *, current_only=True):
    frame = store.votes_frame(current_only=current_only)
    return frame[frame["rater_id"] == rater.id].to_dict("records")


def clips(page):
    return [
        page.locator(f"audio[data-side={side}]").get_attribute("src") for side in ("left", "right")
    ]


def listen(hands):
    """Play both sides with their keys."""
    hands.page.wait_for_timeout(600)  # a new pair takes no vote at once
    for key, side in (("1", "left"), ("2", "right")):
        hands.press(key)
        hands.page.locator(f".card.heard[data-side={side}]").wait_for()


def another_pair(page, before):
    expect(page.locator("audio[data-side=left]")).not_to_have_attribute("src", before[0])


def come_in(hands, nickname):
    hands.tab_to("textbox", "Nickname").type(nickname)
    hands.tab_to("checkbox", re.compile("^I agree")).press("Space")
    hands.tab_to("button", "Start listening").press("Enter")


def skip_first_steps(hands):
    hands.page.get_by_role("button", name="Skip to rating").wait_for()
    hands.tab_to("button", "Skip to rating").press("Enter")
    hands.page.locator(".card").first.wait_for()
    hands.page.get_by_role("button", name="Skip to rating").wait_for(state="detached")


def test_a_newcomer_comes_in_practises_votes_takes_back_and_changes_a_key(
    hands, server, store, ids
):
    page = visit(hands, server.address)
    come_in(hands, "Ben")
    page.get_by_text("First, the volume").wait_for()
    ben = store.rater_named("Ben")
    assert ben.consent_version.startswith("studio-")
    assert hands.holds() == ("heading", "Which do you like better?")

    # the volume
    hands.tab_to("button", "Play For the volume").press("Enter")
    page.locator(".tune.playing").wait_for()
    assert hands.at() in [("button", f"{verb} For the volume") for verb in ("Pause", "Play")]
    hands.press("Tab", "ArrowRight", "ArrowRight")
    assert hands.at() == ("slider", "Position in For the volume")
    assert page.locator(".seek").evaluate("seek => Number(seek.value)") > 0
    hands.tab_to("button", "The volume is right").press("Enter")
    page.locator(".card").first.wait_for()
    hands.holds()

    # practice, by the keys on the screen
    practice = clips(page)
    listen(hands)
    hands.press("Shift+B")
    another_pair(page, practice)
    expect(page.locator(".hint")).to_contain_text("From now on your answers count")
    assert votes_of(store, ben) == []
    hands.holds()

    # a vote by Tab and Enter, with reasons, a comment and its strength
    pair, heard = store.issue(ben.id), clips(page)
    listen(hands)
    hands.tab_to("DisclosureTriangle", re.compile("^Say why")).press("Enter")
    hands.tab_to("button", "ending").press("Space")
    hands.tab_to("button", "wrong note").press("Space", "Space")
    hands.tab_to("textbox", re.compile("^A comment")).type("b t s 1, says it")
    assert votes_of(store, ben) == []
    hands.tab_to("button", "B much better", back=True).press("Enter")
    another_pair(page, heard)
    assert soon(lambda: len(votes_of(store, ben)) == 1)
    (vote,) = votes_of(store, ben)
    assert vote["comparison_id"] == str(pair.comparison_id)
    assert (vote["outcome"], vote["strength"]) == ("right", 2)
    assert (list(vote["reasons"]), vote["comment"]) == (["ending"], "b t s 1, says it")
    assert hands.holds() == ("button", "B much better"), "the hand stays where it voted"

    # undo: the button disappears, the focus stays near
    page.wait_for_timeout(600)
    hands.tab_to("button", re.compile("^Undo last vote")).press("Enter")
    expect(page.locator(".hint")).to_contain_text("Your last pair again")
    assert clips(page) == heard
    again = store.issue(ben.id)
    assert (again.comparison_id, again.reopened) == (pair.comparison_id, True)
    assert hands.holds()[0] == "button"

    # another key for a tie
    hands.tab_to("DisclosureTriangle", "Keys").press("Enter")
    hands.tab_to("button", re.compile("^Tie T")).press("Enter", "w")
    expect(page.locator(".keys-note")).to_contain_text("W now")
    hands.holds()
    listen(hands)
    hands.press("t")
    page.wait_for_timeout(300)
    assert clips(page) == heard
    hands.press("w")
    another_pair(page, heard)
    assert [vote["outcome"] for vote in votes_of(store, ben)] == ["tie"]
    hands.holds()

    # the notes of the last pair, and of this one
    hands.tab_to("switch", "See and hear the last pair again").press("Space")
    page.get_by_role("button", name="Play Last pair, A").wait_for()
    hands.holds()
    hands.tab_to("button", "Notes of Last pair, A").press("Enter")
    expect(page.get_by_role("group", name="Notes of Last pair, A")).to_be_visible()
    hands.tab_to("switch", re.compile("^Show the notes before voting"), back=True).press("Space")
    page.locator(".card[data-side=left] svg").nth(1).wait_for()
    assert "notes=1" in page.url
    hands.holds()

    # and out
    hands.tab_to("button", "Sign out").press("Enter")
    page.get_by_role("button", name="Start listening").wait_for()
    assert hands.holds()[0] == "heading"


def test_the_navigation_goes_to_every_page(hands, server, ada):
    page = visit(hands, f"{server.address}/", ada)
    for name in ("Taste", "Library", "Blind test", "Fine-tune", "People"):
        hands.open(name)
        role, at = hands.holds()
        assert (role, at[-len(name) :]) == ("link", name), "the hand is where it went from"
    hands.open("Rate", "Which do you like better?")
    page.locator(".card").first.wait_for()
    hands.tab_to("link", "Skip to main content", back=True).press("Enter")
    hands.press("Tab")
    assert hands.at()[0] not in ("", "link"), "past the navigation"


def test_a_taste_is_looked_at_and_heard(hands, server, ada):
    page = visit(hands, f"{server.address}/taste", ada)
    page.get_by_text("Hear it").wait_for()
    settled(page)
    hands.tab_to("button", "Play Most liked 1").press("Enter")
    page.locator(".tune.playing").first.wait_for()
    role, name = hands.holds()  # by then it may have come to its end
    assert (role, name.removeprefix("Pause ").removeprefix("Play ")) == ("button", "Most liked 1")
    hands.tab_to("button", "Piano roll of Most liked 1").press("Enter")
    expanded = page.get_by_role("button", name="Piano roll of Most liked 1", exact=True)
    expect(expanded).to_have_attribute("aria-expanded", "true")
    hands.tab_to("button", "Notes of Most liked 1", back=True).press("Space")
    expect(page.get_by_role("group", name="Notes of Most liked 1")).to_be_visible()
    hands.tab_to("radio", "Mine", back=True).press("ArrowDown")
    page.wait_for_url("**of=group**")
    assert hands.holds() == ("radio", "Everyone's")
    page.reload()
    settled(page)
    assert page.get_by_role("radio", name="Everyone's").is_checked()


def test_a_melody_is_found_kept_looked_at_and_taken_along(hands, server, store, ids, ada):
    page = visit(hands, f"{server.address}/library", ada)
    total = len(ids)
    page.get_by_text(f"{total} of {total} melodies").wait_for()

    # order and filter
    hands.tab_to("combobox", re.compile("Order")).choose("My votes: best first")
    page.wait_for_url("**sort=votes**")
    hands.holds()
    hands.tab_to("button", "Next").press("Enter")
    page.wait_for_url("**page=2**")
    assert hands.holds() == ("button", "Next")

    # one melody
    frame = store.melodies_frame().set_index("melody_id")
    code = str(frame.loc[ids[3], "sha256"])[:12]
    hands.tab_to("textbox", "Find by notes or number", back=True).type(f"#{code}").press("Enter")
    page.get_by_text(f"1 of {total} melodies").wait_for()
    assert hands.holds() == ("textbox", "Find by notes or number")
    page.get_by_role("button", name="Look closer").nth(1).wait_for(state="detached")
    hands.tab_to("button", re.compile("Keep$")).press("Enter")
    page.get_by_role("button", name="Kept").wait_for()
    assert re.search("Kept$", hands.holds()[1]), "the hand is on what can let it go again"
    with store.reading() as session:
        assert favourites(session, ada.id) == {ids[3]}
    hands.tab_to("button", re.compile("Look closer$"), back=True).press("Enter")
    page.get_by_text("Compared with real tunes").wait_for()
    assert hands.holds()[0] == "heading"
    with page.expect_download() as download:
        hands.tab_to("button", re.compile("ABC$")).press("Enter")
    assert read_melody(Path(download.value.path()).read_text()).header.bars == 4
    assert re.search("ABC$", hands.holds()[1])
    hands.tab_to("button", re.compile("All melodies$"), back=True).press("Enter")
    page.get_by_text(f"1 of {total} melodies").wait_for()
    assert hands.holds()[0] == "heading"


def test_a_blind_test_is_led_voted_in_and_revealed(hands, browser, server, store, ids):
    policies = Policies(a="base-one", b="tuned-one", a_id="a" * 12, b_id="b" * 12)
    with store.writing() as session:
        made = campaigns.create_campaign(
            session, TEST_NAME, purpose="blind_test", votes_wanted=10, policies=policies,
            now=datetime.now(UTC),
        )  # fmt: skip
    tunes = [s.melody for s in load_corpus("validation") if s.melody.header.bars == 4][:4]
    by = (policies.a_id, policies.b_id) * 2
    written = [
        store.add_melodies([tune], policy_id=name, sampler="t", seed=1)[0]
        for tune, name in zip(tunes, by, strict=True)
    ]
    plan = [PlannedPair(*written[:2], "blind_test"), PlannedPair(*written[2:], "blind_test")]
    store.add_plan(plan, round=1, strategy="blind", campaign_id=made.id)

    # the organiser makes a link
    organiser = store.add_rater("Olga")
    page = visit(hands, f"{server.address}/blind-test", organiser)
    page.get_by_text(TEST_NAME).wait_for()
    hands.tab_to("button", "Listen and vote").press("Enter")
    page.get_by_role("button", name="Skip to rating").wait_for()
    assert hands.holds()[0] == "heading"
    skip_first_steps(hands)
    hands.tab_to("DisclosureTriangle", re.compile("For the person who runs this test$")).press(
        "Enter"
    )
    hands.tab_to("button", re.compile("Make a new link$")).press("Enter")
    page.get_by_text("?invite=").wait_for()
    assert re.search("Make a new link$", hands.holds()[1])
    link = page.get_by_text("?invite=").inner_text().strip()

    # a rater follows it and votes to the end
    context = browser.new_context()
    theirs = Hands(context.new_page())
    theirs.page.set_default_timeout(PATIENCE_MS)
    visit(theirs, link)
    come_in(theirs, "Rita")
    skip_first_steps(theirs)
    for outcome, strength in (("left", 1), ("right", 2)):
        heard = store.votes_frame().shape[0]
        listen(theirs)
        theirs.press("a" if strength == 1 else "Shift+B")
        assert soon(lambda before=heard: store.votes_frame().shape[0] == before + 1)
        last = store.votes_frame().to_dict("records")[-1]
        assert (last["outcome"], last["strength"]) == (outcome, strength)
        theirs.holds()
    theirs.page.get_by_text("You have heard every pair of this test").wait_for()
    assert theirs.holds()[0] == "heading"

    # the organiser votes too, which leaves the section open, and ends it
    listen(hands)
    hands.press("a")
    page.get_by_text("See and hear the last pair again").wait_for()
    hands.tab_to("checkbox", re.compile("^I want to end it")).press("Space")
    hands.holds()
    ends = page.get_by_role("button", name="End and reveal")
    expect(ends).to_be_enabled()
    hands.tab_to("button", re.compile("End and reveal$")).press("Enter")
    page.get_by_text("The result", exact=True).wait_for()
    assert hands.holds()[0] == "heading"
    with store.reading() as session:
        assert campaigns.get_campaign(session, made.id).revealed_at is not None
    hands.tab_to("button", re.compile("All blind tests$")).press("Enter")
    page.get_by_role("button", name="See the result").wait_for()
    hands.holds()
    context.close()


def test_people_take_their_data_along_and_leave(hands, server, store, ids):
    rater = store.add_rater("Pia", consent_version="studio-1")
    pair = store.issue(rater.id)
    store.vote(pair.assignment_id, Answer(outcome="left", nonce="nonce-of-pia-0001"))
    page = visit(hands, f"{server.address}/people", rater)

    # a newer consent
    hands.tab_to("checkbox", re.compile("^I agree")).press("Space")
    hands.tab_to("button", "Go on").press("Enter")
    page.get_by_role("button", name="Go on").wait_for(state="detached")
    assert store.rater_named("Pia").consent_version != "studio-1"
    hands.holds()

    # what all have said, and back
    hands.tab_to("radio", "What is mine").press("ArrowRight")
    page.get_by_text("How reliable raters are").wait_for()
    assert hands.holds() == ("radio", "Everyone")
    hands.press("Tab")
    hands.tab_to("region", "Raters and how reliable they are")
    hands.tab_to("radio", "Everyone", back=True).press("ArrowLeft")
    page.get_by_text("Download your data").wait_for()
    hands.holds()

    with page.expect_download() as download:
        hands.tab_to("button", re.compile(r"As a table \(CSV\)$")).press("Enter")
    assert pair.comparison_id.hex in Path(download.value.path()).read_text().replace("-", "")
    with page.expect_download() as download:
        hands.tab_to("button", re.compile(r"For programs \(JSON\)$")).press("Enter")
    assert '"nickname": "Pia"' in Path(download.value.path()).read_text()

    # a wrong nickname removes nobody
    hands.tab_to("textbox", "Type your nickname to confirm").type("Pie").press("Enter")
    page.get_by_text("is not your nickname").wait_for()
    assert store.rater_by_token(rater.token) is not None
    assert hands.holds() == ("textbox", "Type your nickname to confirm")
    hands.type("Pia").tab_to("button", re.compile("Remove me and my answers$")).press("Enter")
    page.get_by_text("You are removed, with 1 vote").wait_for()
    assert store.rater_by_token(rater.token) is None
    assert votes_of(store, rater) == []
    assert hands.holds()[0] == "heading"


def test_what_is_typed_into_the_settings_stays_when_another_way_is_chosen(hands, server):
    page = visit(hands, f"{server.address}/fine-tune")
    hands.tab_to("radio", re.compile("^Balanced"))
    hands.tab_to("DisclosureTriangle", re.compile("All settings$")).press("Enter")
    hands.tab_to("spinbutton", "Updates").type("5").press("Tab")
    hands.tab_to("spinbutton", "Melodies an update").type("64")
    hands.tab_to("radio", re.compile("^Balanced"), back=True).press("ArrowUp")
    expect(page.get_by_label("KL target in nats")).to_have_attribute("placeholder", "3.0")
    assert hands.holds()[1].startswith("A first listen")
    hands.press("ArrowDown", "ArrowDown")
    expect(page.get_by_label("KL target in nats")).to_have_attribute("placeholder", "4.0")
    expect(page.get_by_role("spinbutton", name="Updates", exact=True)).to_have_value("5")
    expect(page.get_by_role("spinbutton", name="Melodies an update")).to_have_value("64")
    expect(page.get_by_role("spinbutton", name="Seed")).to_have_value("")


@pytest.fixture
def workshop(server, store, tiny_policy):
    """A base policy to start from; afterwards, all started jobs are ended."""
    save_policy(tiny_policy, server.folder / "checkpoints" / "base")
    yield
    for job in list_jobs(store):
        if job.is_live:
            ask_to_stop(store, job)
            wait_for_end(store, job)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_taste_is_trained_and_a_policy_practises_towards_it(hands, server, store, ada, workshop):
    page = visit(hands, f"{server.address}/taste?of=group", ada)
    page.get_by_text("How good is it?").wait_for()
    hands.tab_to("button", re.compile("Train the full model$")).press("Enter")
    page.get_by_text(re.compile("^Training: ")).first.wait_for()
    hands.holds()
    page.get_by_text("Trained.", exact=True).wait_for(timeout=JOB_MS)
    hands.holds()

    # a run towards it, with settings of its own
    hands.open("Fine-tune")
    hands.tab_to("radio", re.compile("^Balanced")).press("ArrowUp")
    hands.holds()
    hands.tab_to("combobox", re.compile("What it learns from")).choose("reward-0001")
    hands.tab_to("DisclosureTriangle", re.compile("All settings$")).press("Enter")
    for label, text in ASKED.items():
        hands.tab_to("textbox" if label.startswith("Name") else "spinbutton", label).type(text)
    hands.tab_to("textbox", re.compile("^Other settings of PPO")).type(OTHERS)
    hands.tab_to("button", re.compile("Start$")).press("Enter")
    page.get_by_text(re.compile("Starting, for")).wait_for(timeout=JOB_MS)
    assert hands.holds()[1].endswith("Start")
    page.wait_for_url("**run=by-keys**", timeout=JOB_MS)
    job = find_job(store, "by-keys")
    assert job.is_live

    # watched, heard and stopped
    page.get_by_text(re.compile(r"update [1-9]\d* of 500")).wait_for(timeout=JOB_MS)
    page.get_by_role("button", name=re.compile("^Play Update .*, melody 1$")).wait_for(
        timeout=JOB_MS
    )
    hands.tab_to("button", re.compile("Stop the run$")).press("Enter")
    stopped = page.get_by_text("stopped; it can go on").first
    expect(stopped).to_be_visible(timeout=JOB_MS)
    hands.holds()
    assert find_job(store, "by-keys").state == "stopped"
    before = find_job(store, "by-keys").id

    # resumed: the page shows it before the process runs
    hands.tab_to("button", re.compile("Go on$")).press("Enter")
    page.get_by_text(re.compile("waits for its turn|^runs")).first.wait_for()
    assert find_job(store, "by-keys").resumes == before
    hands.holds()
    expect(page.get_by_role("button", name="Stop the run")).to_be_enabled(timeout=JOB_MS)
    hands.tab_to("button", re.compile("Stop the run$")).press("Enter")
    expect(stopped).to_be_visible(timeout=JOB_MS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_organiser_has_a_blind_test_written(hands, server, store, workshop, tiny_policy):
    older = copy.deepcopy(tiny_policy)
    for weights in older.parameters():
        weights.data.mul_(1.01)
    runs = server.folder / "checkpoints" / "runs"
    save_policy(older, new_run("ppo", {}, root=runs, name="older").path / "policy")
    olga = store.add_rater("Organiser")
    page = visit(hands, f"{server.address}/blind-test", olga)
    page.get_by_role("button", name="Write the melodies").wait_for()

    # a mistake first: a policy compared with itself
    hands.tab_to("combobox", re.compile("The other policy")).choose("base")
    hands.tab_to("textbox", re.compile("^Name")).type("Written by keys")
    hands.tab_to("spinbutton", "Votes wanted").type("10")
    hands.tab_to("combobox", re.compile("Metre")).choose("2/4")
    hands.tab_to("combobox", re.compile("Bars")).choose("4")
    hands.tab_to("button", "Write the melodies").press("Enter")
    page.get_by_text("base cannot be compared with itself").wait_for()
    assert hands.holds() == ("button", "Write the melodies"), "and what was typed is kept"
    expect(page.get_by_label("Name, as raters see it")).to_have_value("Written by keys")

    hands.tab_to("combobox", re.compile("The other policy"), back=True).choose("older")
    hands.tab_to("button", "Write the melodies").press("Enter")
    page.get_by_text(re.compile("^Writing the melodies")).first.wait_for()
    hands.holds()
    page.get_by_text("Written by keys", exact=True).wait_for(timeout=JOB_MS)
    hands.holds()
    (made,) = [test for test in list_tests(store) if test.name == "Written by keys"]
    assert (made.votes, made.votes_wanted) == (0, 10)
    assert policies_of(store, made.id) == ("base", "older")
