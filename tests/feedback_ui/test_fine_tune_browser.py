"""A job in a real browser: it is started, watched, stopped and resumed."""

import re

import psutil
import pytest
from playwright.sync_api import expect

from policy.checkpoint import save_policy
from reward.store.store import RatingsStore
from rl.jobs.queue import ask_to_stop, find_job, list_jobs, wait_for_end
from tests.support.studio_server import StudioServer, soon, tall_page

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]
JOB_MS = 10 * 60_000
"""for a process that loads torch on a busy machine"""
SMALL = {
    "Updates": "100000", "Melodies an update": "16", "Minibatch": "8", "Name of the run": "by-hand",
    "KL limit in nats": "1000",
}  # fmt: skip
OTHERS = "bars=4\nmeter=2/4\nthreads=1\ngood_enough=3\npatience=1000000"


@pytest.fixture(scope="module")
def server(tmp_path_factory, tiny_policy):
    server = StudioServer(tmp_path_factory.mktemp("studio"))
    save_policy(tiny_policy, server.folder / "checkpoints" / "base")
    RatingsStore(server.database).close()
    server.start()
    yield server
    with RatingsStore(server.database) as store:
        for job in list_jobs(store):
            if job.is_live:
                ask_to_stop(store, job)
                wait_for_end(store, job)
    server.kill()


@pytest.fixture
def page(server):
    with tall_page() as page:
        yield page


def update(page):
    """The number of the current update on the page."""
    said = page.get_by_text(re.compile(r"update \d+ of \d+")).first.inner_text()
    return int(re.search(r"update (\d+) of", said)[1])


def wait_for_update(page, least):
    """Wait until the page shows update `least` or later; return its number."""
    assert soon(lambda: update(page) >= least, JOB_MS / 1000), f"still at {update(page)}"
    return update(page)


def heard(page):
    """The update whose melodies the page plays."""
    player = page.get_by_role("button", name=re.compile(r"^Play Update \d+, melody 1$"))
    return int(re.search(r"\d+", player.get_attribute("aria-label", timeout=JOB_MS))[0])


def test_a_job_outlives_the_page_is_stopped_and_goes_on(server, page):
    page.goto(f"{server.address}/fine-tune")
    page.get_by_text("A first listen").click()
    # there are no votes, so the music-theory rules are the only choice
    expect(page.get_by_role("combobox", name="What it learns from")).to_have_value("music-theory")
    page.get_by_text("All settings").click()
    for label, text in SMALL.items():
        field = page.get_by_label(label, exact=True)
        expect(field).to_have_count(1)  # those of the way that was chosen before are gone
        field.fill(text)
    page.get_by_label("Other settings of PPO").fill(OTHERS)
    page.get_by_role("button", name="Start", exact=True).click()
    # the page shows new rows without a reload
    page.wait_for_url("**run=by-hand**", timeout=JOB_MS)
    first = wait_for_update(page, 1)
    assert wait_for_update(page, first + 2) > first
    # and new melodies
    first_heard = heard(page)
    assert soon(lambda: heard(page) > first_heard, JOB_MS / 1000), f"still plays {first_heard}"
    assert "in the address" not in page.inner_text("main"), "a docstring got onto the page"
    # it continues while the page is closed, and the address names the run
    address = page.url
    page.goto("about:blank")
    with RatingsStore(server.database) as store:
        job = find_job(store, "by-hand")
        assert job.is_live
        assert psutil.pid_exists(job.pid)
    page.goto(address)
    later = wait_for_update(page, first + 3)
    # stopped, with its checkpoint
    page.get_by_role("button", name="Stop the run").click()
    expect(page.get_by_text("stopped; it can go on").first).to_be_visible(timeout=JOB_MS)
    stopped_at = update(page)
    assert stopped_at >= later
    with RatingsStore(server.database) as store:
        checkpoint = find_job(store, "by-hand").last_checkpoint
        assert (find_job(store, "by-hand").folder / checkpoint / "manifest.json").is_file()
    # and resumed from there
    page.get_by_role("button", name="Go on").click()
    assert wait_for_update(page, stopped_at + 1) > stopped_at
    server_process = psutil.Process(server.process.pid)
    assert not any("libtorch" in m.path for m in server_process.memory_maps()), "torch came in"


def test_what_the_command_refuses_is_said_in_its_own_line(server, page):
    page.goto(f"{server.address}/fine-tune")
    page.get_by_text("Start a run").first.click()
    page.get_by_text("All settings").click()
    page.get_by_label("Melodies an update", exact=True).fill("10")
    page.get_by_label("Minibatch", exact=True).fill("3")
    page.get_by_label("Name of the run", exact=True).fill("wrong")
    page.get_by_role("button", name="Start", exact=True).click()
    said = page.get_by_text("minibatch=3 does not divide melodies_per_update=10")
    expect(said).to_be_visible(timeout=JOB_MS)
