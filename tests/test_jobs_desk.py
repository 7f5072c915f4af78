"""The jobs desk on run folders that the program's own code writes; a real job in the browser."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from feedback_ui.chart_colours import Colours
from feedback_ui.jobs_desk import PRESETS, JobsDesk, expected_minutes
from feedback_ui.own_command import CommandError, environment, refusal, run_command
from feedback_ui.run_charts import curve_chart, curves_of
from reward.ratings import RatingsStore
from rl.job import JobError, JobSettings
from rl.jobs import queue_job
from rl.runs import new_run

ROW = {
    "score_mean": 0.1, "score_std": 0.5, "kl_nats": 1.0, "vendi": 60.0, "originality": 0.9,
    "notes": 55.0, "reward": 0.1, "guards_broken": [],
}  # fmt: skip
SETTINGS = {
    "updates": 8, "kl_target_nats": 3.0, "kl_limit_nats": 4.0, "diversity_floor": 0.5,
    "originality_floor": 0.5, "processes": 1,
}  # fmt: skip
COLOURS = Colours("#0f766e", "#1f2933")


@pytest.fixture
def store(tmp_path):
    with RatingsStore(tmp_path / "ratings.db") as store:
        yield store


@pytest.fixture
def desk(store, tmp_path):
    return JobsDesk(store, str(tmp_path / "ratings.db"), runs=tmp_path / "runs")


def a_run(tmp_path, name, updates=3):
    run = new_run("ppo", SETTINGS, root=tmp_path / "runs", name=name)
    for update in range(updates):
        run.log({**ROW, "update": update, "seconds": 2.0 + update})
    return run


def test_progress_tells_how_far_and_how_long(desk, store, tmp_path):
    run = a_run(tmp_path, "one")
    job = queue_job(store, folder=run.path, settings=JobSettings())
    found = desk.progress(job)
    assert (found.done, found.updates) == (2, 8)
    assert found.seconds_left == 6 * (2 + 3 + 4) / 3
    empty = queue_job(store, folder=a_run(tmp_path, "two", 0).path, settings=JobSettings())
    assert desk.progress(empty).seconds_left is None
    assert [job.run_id for job in desk.jobs()] == ["two", "one"]


def test_a_live_job_can_be_asked_to_stop_and_is_not_resumed(desk, store, tmp_path):
    job = queue_job(store, folder=a_run(tmp_path, "one").path, settings=JobSettings())
    desk.stop(job)
    assert desk.look_again(job).cancel_requested
    with pytest.raises(JobError, match="already"):
        desk.resume(job)


def test_a_dead_job_is_told_as_such(desk, store, tmp_path):
    queue_job(
        store,
        folder=a_run(tmp_path, "one").path,
        settings=JobSettings(),
        now=datetime.now(UTC) - timedelta(hours=1),
    )
    (job,) = desk.jobs()
    assert job.state == "failed"
    assert "process died" in job.message


def test_samples_are_read_newest_first(desk, store, tmp_path):
    run = a_run(tmp_path, "one")
    for update in ("0000", "0006"):
        folder = run.path / "samples" / update
        folder.mkdir(parents=True)
        (folder / "melodies.txt").write_text(f"melody-001  D major, of {update}\n")
        (folder / "melody-001.abc").write_text("X:1\n")
    (run.path / "samples" / "tmp-0012").mkdir()
    job = queue_job(store, folder=run.path, settings=JobSettings())
    found = desk.samples(job)
    assert list(found) == [6, 0]
    assert found[6][0].title == "D major, of 0006"
    assert found[6][0].wav == run.path / "samples/0006/melody-001.wav"


def test_what_can_be_chosen_is_what_is_finished(desk, tmp_path):
    finished = a_run(tmp_path, "done-1")
    (finished.path / "policy").mkdir()
    a_run(tmp_path, "half")
    reward = new_run("reward", {}, root=tmp_path / "runs", name="reward-0001")
    (reward.path / "taste.json").write_text("{}")
    damaged = tmp_path / "runs" / "damaged" / "policy"
    damaged.mkdir(parents=True)
    assert desk.policies() == ["base", "done-1"]
    assert desk.rewards() == ["reward-0001"]


def test_presets_are_the_commands_own_options_and_say_how_long(tmp_path):
    from rl.ppo_config import PPOConfig

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


def test_an_update_that_breaks_a_guard_is_no_plain_point():
    rows = [{**ROW, "update": 0}, {**ROW, "update": 1, "guards_broken": ["kl"]}]
    chart = curve_chart(curves_of(SETTINGS, rows)[0], rows, 8, COLOURS).to_dict()
    (shown,) = [data for data in chart["datasets"].values() if "guards" in data[0]]
    assert [row["guards"] for row in shown] == ["held", "broken"]
    assert [(row["low"], row["high"]) for row in shown] == [(-0.4, 0.6)] * 2
    assert "cross" in str(chart)


def test_a_command_is_refused_in_its_own_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError) as told:
        run_command(["ppo", "--policy=nobody", "--detach"], str(tmp_path / "r.db"))
    assert "nobody" in str(told.value)
    assert "\n" not in str(told.value)
    assert not str(told.value).startswith(("Error", "tastemaker:"))


def test_runs_are_compared_as_text(desk, store, tmp_path):
    for name, reward in (("one", "**mine**:liking"), ("two", "<b>yours</b>")):
        run = new_run("ppo", {**SETTINGS, "reward": reward}, root=tmp_path / "runs", name=name)
        queue_job(store, folder=run.path, settings=JobSettings())

    def page(desk):
        from feedback_ui.fine_tuning import compare

        compare(desk)

    app = AppTest.from_function(page, kwargs={"desk": desk}, default_timeout=60).run()
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


def test_the_page_loads_no_torch(tmp_path):
    code = """
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file(sys.argv[1], default_timeout=60)
sys.argv = ["studio.py", "--database=" + sys.argv[2]]
app.run()
assert not app.selectbox, "nobody but an organiser"
app.query_params["organiser"] = "k"
app.run()
assert not app.exception, app.exception
print([box.label for box in app.selectbox], "torch" in sys.modules)
"""
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code,
         str(root / "feedback_ui/app_pages/finetune.py"), str(tmp_path / "r.db")],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(root), "TASTEMAKER_ORGANISER_KEY": "k"},
    )  # fmt: skip
    assert done.stdout.strip() == "['What it learns from', 'Where it starts'] False", done.stderr
