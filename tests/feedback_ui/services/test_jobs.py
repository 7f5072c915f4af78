"""The jobs service and the page Fine-tune, on run folders written by the program's own code."""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from streamlit import cache_resource
from streamlit.testing.v1 import AppTest

from feedback_ui.services.jobs import PRESETS, FineTuningJobs, expected_minutes
from feedback_ui.services.subcommand import CommandError, environment, refusal
from feedback_ui.views.chart_colours import Colours
from feedback_ui.views.fine_tune import _jobs
from feedback_ui.views.fine_tune_charts import curve_chart, curves_of
from policy.runs import new_run
from reward.store.store import RatingsStore
from rl.jobs.queue import queue_job
from rl.jobs.record import JobError, JobSettings
from tests.support.studio_pages import open_page, words

ROW = {
    "score_mean": 0.1, "score_std": 0.5, "kl_nats": 1.0, "vendi": 60.0, "originality": 0.9,
    "notes": 55.0, "reward": 0.1, "guards_broken": [],
}  # fmt: skip
SETTINGS = {
    "updates": 8, "kl_target_nats": 3.0, "kl_limit_nats": 4.0, "diversity_floor": 0.5,
    "originality_floor": 0.5, "processes": 1,
}  # fmt: skip
PATIENCE_S = 60
COLOURS = Colours("#0f766e", "#1f2933")


@pytest.fixture
def store(ratings_url):
    with RatingsStore(ratings_url) as store:
        yield store


@pytest.fixture
def jobs(store, ratings_url, tmp_path):
    jobs = FineTuningJobs(store, ratings_url, runs=tmp_path / "runs")
    yield jobs
    jobs.forget_start()


def a_run(tmp_path, name, updates=3):
    run = new_run("ppo", SETTINGS, root=tmp_path / "runs", name=name)
    for update in range(updates):
        run.log({**ROW, "update": update, "seconds": 2.0 + update})
    return run


def test_progress_tells_how_far_and_how_long(jobs, store, tmp_path):
    run = a_run(tmp_path, "one")
    job = queue_job(store, folder=run.path, settings=JobSettings())
    found = jobs.progress(job)
    assert (found.done, found.updates) == (2, 8)
    assert found.seconds_left == 6 * (2 + 3 + 4) / 3
    empty = queue_job(store, folder=a_run(tmp_path, "two", 0).path, settings=JobSettings())
    assert jobs.progress(empty).seconds_left is None
    assert [job.run_id for job in jobs.latest()] == ["two", "one"]


def test_a_live_job_can_be_asked_to_stop_and_is_not_resumed(jobs, store, tmp_path):
    job = queue_job(store, folder=a_run(tmp_path, "one").path, settings=JobSettings())
    jobs.stop(job)
    assert jobs.look_again(job).cancel_requested
    with pytest.raises(JobError, match="already"):
        jobs.resume(job)


def test_a_dead_job_is_told_as_such(jobs, store, tmp_path):
    queue_job(
        store,
        folder=a_run(tmp_path, "one").path,
        settings=JobSettings(),
        now=datetime.now(UTC) - timedelta(hours=1),
    )
    (job,) = jobs.latest()
    assert job.state == "failed"
    assert "process died" in job.message


def test_samples_are_read_newest_first(jobs, store, tmp_path):
    run = a_run(tmp_path, "one")
    for update in ("0000", "0006"):
        folder = run.path / "samples" / update
        folder.mkdir(parents=True)
        (folder / "melodies.txt").write_text(f"melody-001  D major, of {update}\n")
        (folder / "melody-001.abc").write_text("X:1\n")
    (run.path / "samples" / "tmp-0012").mkdir()
    job = queue_job(store, folder=run.path, settings=JobSettings())
    found = jobs.samples(job)
    assert list(found) == [6, 0]
    assert found[6][0].title == "D major, of 0006"
    assert found[6][0].wav == run.path / "samples/0006/melody-001.wav"


def test_what_can_be_chosen_is_what_is_finished(jobs, tmp_path):
    finished = a_run(tmp_path, "done-1")
    (finished.path / "policy").mkdir()
    a_run(tmp_path, "half")
    reward = new_run("reward", {}, root=tmp_path / "runs", name="reward-0001")
    (reward.path / "taste.json").write_text("{}")
    damaged = tmp_path / "runs" / "damaged" / "policy"
    damaged.mkdir(parents=True)
    assert jobs.policies() == ["base", "done-1"]
    assert jobs.rewards() == ["reward-0001"]


def test_presets_are_the_commands_own_options_and_say_how_long(tmp_path):
    from rl.ppo.config import PPOConfig

    usual = PPOConfig()
    balanced = next(preset for preset in PRESETS if preset.name == "Balanced")
    assert balanced.settings == {
        "updates": usual.updates,
        "melodies": usual.melodies_per_update,
        "kl-target": usual.kl_target_nats,
        "kl-limit": usual.kl_limit_nats,
        "std-penalty": usual.std_penalty,
    }
    assert balanced.minutes == expected_minutes(usual.updates, usual.melodies_per_update)


def test_charts_mark_what_must_not_be_passed():
    rows = [{**ROW, "update": update, "kl_nats": float(update)} for update in range(4)]
    curves = {curve.key: curve for curve in curves_of(SETTINGS, rows)}
    assert list(curves) == ["score_mean", "kl_nats", "vendi", "originality"]
    assert curves["kl_nats"].lines == {"aim": 3.0, "limit": 4.0}
    assert curves["vendi"].lines == {"floor": 30.0}
    assert curves["originality"].lines == {"floor": 0.45}
    for curve in curves.values():
        chart = curve_chart(curve, rows, 8, COLOURS).to_dict()
        (shown,) = [data for data in chart["datasets"].values() if "guards" in data[0]]
        assert [row["value"] for row in shown] == [row[curve.key] for row in rows]


def test_without_a_kl_target_there_is_a_limit_and_no_aim():
    row = {"score_mean": 0.0, "kl_nats": 0.0, "vendi": 60.0, "originality": 0.9}
    curves = {curve.key: curve for curve in curves_of({**SETTINGS, "kl_target_nats": None}, [row])}
    assert curves["kl_nats"].lines == {"limit": SETTINGS["kl_limit_nats"]}


def test_an_update_that_breaks_a_guard_is_no_plain_point():
    rows = [{**ROW, "update": 0}, {**ROW, "update": 1, "guards_broken": ["kl"]}]
    chart = curve_chart(curves_of(SETTINGS, rows)[0], rows, 8, COLOURS).to_dict()
    (shown,) = [data for data in chart["datasets"].values() if "guards" in data[0]]
    assert [row["guards"] for row in shown] == ["held", "broken"]
    assert [(row["low"], row["high"]) for row in shown] == [(-0.4, 0.6)] * 2
    assert "cross" in str(chart)


SAYS = """
import pathlib, sys, time
while not pathlib.Path("go").exists():
    time.sleep(0.05)
{then}
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Replaces `tastemaker ppo --detach`: waits for its release, then does what the test says."""
    monkeypatch.chdir(tmp_path)
    asked = []

    def be(then):
        def own_command(*arguments):
            asked.append(arguments)
            return [sys.executable, "-c", SAYS.format(then=then)]

        monkeypatch.setattr("feedback_ui.services.background_command.own_command", own_command)
        return asked

    yield be
    (tmp_path / "go").touch()


def let_go(jobs):
    Path("go").touch()
    until = time.monotonic() + PATIENCE_S
    while jobs.is_starting:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_starting_waits_beside_the_page_and_then_names_the_run(jobs, command):
    asked = command("print('run by-hand, job 1234, pid 5, log x')")
    assert (jobs.is_starting, jobs.started, jobs.refusal) == (False, None, None)
    jobs.start({"updates": 3, "name": None}, others=["bars=4"])
    assert (jobs.is_starting, jobs.started, jobs.refusal) == (True, None, None)
    with pytest.raises(CommandError, match="the start of a run is under way already"):
        jobs.start({"updates": 3})
    let_go(jobs)
    assert (jobs.started, jobs.refusal) == ("by-hand", None)
    assert asked == [("ppo", "--detach", "--updates=3", "--set=bars=4")]


@pytest.mark.parametrize(
    ("then", "told"),
    [
        ("sys.exit('Error: minibatch=3 does not divide it')", "minibatch=3 does not divide it"),
        ("print('nothing of a name')", "it is not said how the run is called"),
    ],
)
def test_a_start_that_came_to_nothing_is_told_in_a_line(jobs, command, then, told):
    command(then)
    jobs.start({})
    let_go(jobs)
    assert jobs.started is None
    assert jobs.refusal.startswith(told)
    assert "\n" not in jobs.refusal


def test_runs_are_compared_as_text(jobs, store, tmp_path):
    for name, reward in (("one", "**mine**:liking"), ("two", "<b>yours</b>")):
        run = new_run("ppo", {**SETTINGS, "reward": reward}, root=tmp_path / "runs", name=name)
        queue_job(store, folder=run.path, settings=JobSettings())

    def page(jobs):
        from feedback_ui.views.fine_tune import compare

        compare(jobs)

    app = AppTest.from_function(page, kwargs={"jobs": jobs}, default_timeout=60).run()
    assert not app.exception
    assert not app.table, "Streamlit's own would render markup"
    figures, differences = (json.loads(t.proto.json) for t in app.get("bidi_component"))
    assert figures["titles"] == ["Figure", "two", "one"]
    assert ["finished", "no", "no"] in figures["rows"]
    assert ["reward", "<b>yours</b>", "**mine**:liking"] in differences["rows"]


def test_a_refusal_is_the_last_line():
    assert refusal("Usage: x\n\nError: No such option --x\n") == "No such option --x"
    assert refusal("") == ""


def test_a_password_stays_out_of_the_process_list():
    url = "postgresql://me:secret@host/ratings"
    assert environment(url)["TASTEMAKER_DATABASE"] == url


@pytest.fixture
def page(store, ratings_url, tmp_path, monkeypatch):
    """Opens the page with this database and these runs; `params` are the query parameters."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("policy.runs.RUNS", tmp_path / "runs")
    database = ratings_url
    opened = partial(open_page, monkeypatch, "fine-tune", f"--database={database}")
    yield opened
    _jobs(None, str(database)).forget_start()
    cache_resource.clear()


def test_a_setting_is_the_same_field_whichever_way_is_chosen(page):
    # A browser keeps a field's text by its id; test_keyboard_alone.py tests that in a browser.
    app = page()
    before = {box.label: (box.proto.id, box.placeholder) for box in app.number_input}
    app.radio[0].set_value("A first listen").run()
    after = {box.label: (box.proto.id, box.placeholder) for box in app.number_input}
    assert [found[0] for found in before.values()] == [found[0] for found in after.values()]
    updates = [str(preset.settings["updates"]) for preset in PRESETS]
    assert [found["Updates"][1] for found in (after, before)] == updates[:2]


@pytest.mark.slow
def test_which_runs_are_compared_stands_in_the_address(page, store, tmp_path):
    for name in ("one", "two", "three"):
        queue_job(store, folder=a_run(tmp_path, name).path, settings=JobSettings())
    app = page()
    assert app.multiselect[0].value == ["three", "two"]
    assert "compare" not in app.query_params
    app.multiselect[0].set_value(["one", "three"]).run()
    assert app.query_params["compare"] == "one,three"
    again = page(compare="one,three,gone")
    assert again.multiselect[0].value == ["one", "three"]
    assert page(compare="").multiselect[0].value == [], "none at all is a choice too"


def test_the_page_comes_back_at_once_and_tells_how_the_start_gets_on(page, command):
    command("sys.exit('Error: minibatch=3 <b>does not divide</b> it')")
    app = page()
    begun = time.monotonic()
    next(b for b in app.button if b.label == "Start").click().run()
    assert "Starting" in words(app)
    assert time.monotonic() - begun < PATIENCE_S / 2, "the command has not even been let go"
    assert "not started" not in words(app)
    Path("go").touch()
    until = time.monotonic() + PATIENCE_S
    while "Starting" in words(app):
        assert time.monotonic() < until
        app.run()
    assert "The run was not started" in words(app)
    assert "minibatch=3 <b>does not divide</b> it" in [text.value for text in app.text]
    next(b for b in app.button if b.label == "Dismiss").click().run()
    assert "not started" not in words(app)


@pytest.mark.slow
def test_the_page_goes_to_the_run_that_it_has_started(page, command, store, tmp_path):
    for name in ("by-hand", "newer"):
        queue_job(store, folder=a_run(tmp_path, name).path, settings=JobSettings())
    command("print('run by-hand, job 1234, pid 5, log x')")
    app = page(run="newer")
    next(b for b in app.button if b.label == "Start").click().run()
    Path("go").touch()
    until = time.monotonic() + PATIENCE_S
    while app.query_params["run"] != "by-hand":
        assert time.monotonic() < until
        app.run()
    # only once: a user who then opens another run stays there
    app.query_params["run"] = "newer"
    app.run()
    assert app.query_params["run"] == "newer"
