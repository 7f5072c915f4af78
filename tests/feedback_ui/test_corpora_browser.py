"""A corpus in a real browser, by keyboard: files are uploaded, refused, read, and learnt from."""

import re
import time

import pytest
from playwright.sync_api import expect

from feedback_ui.services.corpora.recorded_command import RecordedCommand
from music.corpora.corpus import load_corpus
from music.formats.notation import to_abc
from music.limits import MIDI_BYTES
from reward.store.store import RatingsStore
from tests.support.keyboard_driver import Hands
from tests.support.small_corpus import make_corpus
from tests.support.studio_server import PATIENCE_MS, StudioServer, settled, tall_page

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1200)]
JOB_MS = 10 * 60_000
"""for a process that loads torch on a busy machine"""
LETTER = {"name": "letter.abc", "mimeType": "text/plain", "buffer": b"Dear Ada,\nno tune here.\n"}
LARGE = {"name": "large.mid", "mimeType": "audio/midi", "buffer": b"M" * (MIDI_BYTES + 1)}


@pytest.fixture(scope="module")
def book():
    """Thirty tunes in one ABC file with a name that is no name for us."""
    tunes = [
        to_abc(strain.melody).replace("X:1", f"X:{number}", 1)
        for number, strain in enumerate(load_corpus("test")[:30], start=1)
    ]
    return {
        "name": "../My *Book*.abc",
        "mimeType": "text/plain",
        "buffer": "\n".join(tunes).encode(),
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = StudioServer(tmp_path_factory.mktemp("studio"))
    RatingsStore(server.database).close()
    server.start()
    yield server
    for record in server.folder.glob("checkpoints/corpora/jobs/*.json"):
        command = RecordedCommand(record.parent, record.stem, record.stem)
        if command.is_live:
            command.stop()
    server.kill()


@pytest.fixture
def page(server):
    with tall_page() as page:
        yield page


def upload(hands, *files):
    """Choose files; Enter opens the browser's own dialogue, which no test can work by keys."""
    choosers = []

    def keep(chooser):
        choosers.append(chooser)

    hands.page.on("filechooser", keep)
    until = time.monotonic() + PATIENCE_MS / 1000
    while not choosers and time.monotonic() < until:
        # A key is lost when the page draws the button anew at that moment.
        hands.tab_to("button", re.compile("Upload")).press("Enter")
        hands.page.wait_for_timeout(3000)
    hands.page.remove_listener("filechooser", keep)
    choosers[0].set_files(files)
    for file in files:
        hands.page.get_by_text(file["name"].split("/")[-1]).first.wait_for()
    settled(hands.page)
    return hands


def open_corpora(page, server, **params):
    query = "&".join(f"{name}={value}" for name, value in params.items())
    page.goto(f"{server.address}/corpora?{query}")
    page.get_by_role("heading", level=1, name="Corpora").wait_for()
    settled(page)
    return Hands(page)


def test_a_book_is_uploaded_and_becomes_a_corpus(server, page, book):
    hands = open_corpora(page, server)
    upload(hands, LETTER)
    hands.tab_to("textbox", re.compile("^Name of the corpus")).type("My Tunes")
    hands.tab_to("button", re.compile("Make the corpus$")).press("Enter")
    page.get_by_text("'My Tunes' is not the name of a corpus").wait_for()
    assert hands.holds()[1].endswith("Make the corpus")
    expect(page.get_by_role("textbox", name="Name of the corpus")).to_have_value("My Tunes")
    assert not (server.folder / "checkpoints" / "corpora").exists()

    # a text that is no tune
    hands.tab_to("textbox", re.compile("^Name of the corpus"), back=True).type("mine")
    hands.tab_to("textbox", re.compile("^Licence")).type("my own <b>tunes</b>")
    hands.tab_to("button", re.compile("Make the corpus$")).press("Enter")
    page.get_by_text("The corpus mine was not made").wait_for(timeout=JOB_MS)
    expect(page.get_by_text("no strain of 1 file can be used")).to_be_visible()
    hands.holds()
    assert "corpus=mine" in page.url

    # a file that is too large beside one that is not
    hands.tab_to("DisclosureTriangle", re.compile("Files of this corpus$")).press("Enter")
    hands.holds()
    page.keyboard.press("Tab")
    upload(hands, LARGE, book)
    hands.tab_to("button", re.compile("Add them and read again$")).press("Enter")
    page.get_by_text("A file was left out").wait_for()
    expect(
        page.get_by_text("large.mid: it is larger than 512 KiB, the most for .mid")
    ).to_be_visible()
    page.get_by_text(re.compile(r"files with \d+ tunes were read")).wait_for(timeout=JOB_MS)
    hands.holds()
    expect(page.get_by_text("my own <b>tunes</b>").first).to_be_visible()
    expect(
        page.get_by_text("2 files with 30 tunes were read. 30 of 30 can be used")
    ).to_be_visible()
    stored = [path.name for path in server.folder.rglob("uploads/mine/files/*")]
    assert sorted(stored) == ["0001-letter.abc", "0002-my-book.abc"]

    # and it is heard
    page.get_by_role("button", name=re.compile(r"^Play .*My \*Book\*.abc")).first.wait_for()


def steps(page):
    """How many steps the page says that were learnt."""
    said = page.get_by_text(re.compile(r"training steps: \d+ of \d+")).first.inner_text()
    return int(re.search(r"(\d+) of", said)[1])


def test_a_policy_learns_beside_the_page_is_stopped_and_goes_on(server, page):
    make_corpus("airs", root=server.folder / "checkpoints" / "corpora", count=60)
    hands = open_corpora(page, server, corpus="airs")
    hands.tab_to("button", re.compile("Adapt it$")).press("Enter")
    page.get_by_text("airs-base is learning").wait_for()
    hands.holds()
    page.get_by_text(re.compile(r"training steps: \d+ of")).wait_for(timeout=JOB_MS)

    # the page and its tab may be closed meanwhile
    address = page.url
    page.goto("about:blank")
    learning = RecordedCommand(
        server.folder / "checkpoints" / "corpora" / "jobs", "adapt-airs-base", "it"
    )
    assert learning.state == "running"
    page.goto(address)
    page.get_by_text(re.compile(r"training steps: \d+ of")).wait_for()
    hands.tab_to("button", re.compile("Stop learning$")).press("Enter")
    page.get_by_text("stopped; it can go on where it was").wait_for(timeout=JOB_MS)
    hands.holds()
    assert learning.state == "stopped"
    run = server.folder / "checkpoints" / "runs" / "airs-base"
    saved = max(int(step.name) for step in (run / "steps").iterdir() if step.name.isdigit())

    # and goes on from the newest step
    hands.tab_to("button", re.compile("Go on$")).press("Enter")
    page.get_by_text(re.compile(r"training steps: \d+ of")).wait_for(timeout=JOB_MS)
    assert steps(page) > saved or saved == 0
    hands.holds()
    page.get_by_text(re.compile("its surprise went from")).wait_for(timeout=JOB_MS)
    assert (run / "policy" / "model.safetensors").is_file()
    hands.tab_to("button", re.compile("Listen to what it writes$")).press("Enter")
    page.get_by_role("button", name=re.compile("^Play Melody 4 by airs-base")).wait_for(
        timeout=JOB_MS
    )
    hands.holds()
