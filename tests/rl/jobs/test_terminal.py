"""What a person sees of jobs in the terminal."""

import io
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from policy.runs import new_run
from reward.store.database import Database
from rl.jobs.lease import JobLease
from rl.jobs.queue import queue_job, read_job
from rl.jobs.record import JobSettings
from rl.jobs.terminal import (
    comparison_table,
    duration,
    job_view,
    jobs_table,
    make_console,
    update_line,
    watch,
)


def row(update):
    return {
        "update": update, "reward": -1.5, "score_mean": 0.25, "score_std": 0.125, "kl_nats": 3.5,
        "vendi": 40.25, "originality": 0.75, "notes": 47.5, "seconds": 2.0,
    }  # fmt: skip


@pytest.fixture
def store(tmp_path):
    with closing(Database(tmp_path / "ratings.sqlite")) as database:
        yield database


@pytest.fixture
def running(store, tmp_path):
    """The lease on a running job whose run has done two of ten updates."""
    run = new_run("ppo", {"updates": 10}, root=tmp_path)
    run.log(row(0))
    run.log(row(1) | {"guards_broken": ["originality"]})
    lease = JobLease.claim(store, queue_job(store, folder=run.path, settings=JobSettings()).id)
    lease.take_turn()
    lease.beat(message="update 1 of 10", last_checkpoint="steps/2")
    return lease


def shown(*things):
    console = make_console()
    with console.capture() as captured:
        for thing in things:
            console.print(thing)
    return captured.get()


def test_an_update_in_a_line():
    assert update_line(row(3), 12) == (
        "update   3 of 12   score +0.25 ± 0.12   KL  3.50 nats   diversity  40.2   originality "
        "0.75   notes 47.5   2.0 s"
    )
    beyond = update_line(row(3) | {"guards_broken": ["kl", "diversity"]})
    assert beyond.startswith("update   3   score")
    assert beyond.endswith("2.0 s   broken: kl, diversity")


def test_a_job_in_the_list(store, running):
    job = read_job(store, running.job.id)
    lines = shown(jobs_table([job], job.started_at + timedelta(seconds=75))).splitlines()
    assert len(lines) == 2
    for word in ("ppo-0001", job.short_id, "running", "1 min 15 s", str(job.pid), "update 1 of 10"):
        assert word in lines[1]


def test_a_job_that_is_watched(store, running):
    job = read_job(store, running.job.id)
    text = shown(job_view(job, job.heartbeat_at + timedelta(seconds=3)))
    for word in (
        "running",
        "beat 3 s ago",
        "1/10",
        "about 18 s left",
        "3.50",
        "steps/2",
        "40.2",
        " originality │",
    ):
        assert word in text
    assert "asked to stop" not in text


BRACKETS = "[/data/list.csv] is [bold]not[/bold] there :warning:"


def test_what_people_and_libraries_say_is_no_markup(store, tmp_path):
    """Brackets were read as markup: words in them vanished, and a closing tag was an error."""
    run = new_run("ppo", {"updates": 10}, root=tmp_path)
    run.log(row(0) | {"guards_broken": ["[b]kl[/b]"]})
    job = queue_job(store, folder=run.path, settings=JobSettings())
    job = replace(job, message=BRACKETS, host="[/host]", pid=12)
    now = datetime.now(UTC)
    assert BRACKETS in shown(jobs_table([job], now))
    view = shown(job_view(job, now))
    for said in (BRACKETS, "12@[/host]", "[b]kl[/b]"):
        assert said in view
    table = comparison_table("figures", ["[one]"], {"[/clip]": [BRACKETS]})
    lines = shown(table).splitlines()
    assert lines[1].split() == ["[one]"]
    assert lines[2].split(maxsplit=1) == ["[/clip]", BRACKETS]


def test_a_message_in_brackets_is_told_in_a_line(store, tmp_path, monkeypatch):
    run = new_run("ppo", {"updates": 10}, root=tmp_path)
    job = queue_job(store, folder=run.path, settings=JobSettings())
    monkeypatch.setattr("rl.jobs.terminal._look", lambda *_: replace(job, message=BRACKETS))
    monkeypatch.setattr("rl.jobs.terminal.time.sleep", lambda _: monkeypatch.setattr(
        "rl.jobs.terminal._look", lambda *_: replace(job, state="stopped")))  # fmt: skip
    console = make_console()
    with console.capture() as captured:
        watch(store, job, console)
    assert captured.get().splitlines() == [BRACKETS]


def test_a_job_on_another_machine_shows_what_its_row_says(store, tmp_path):
    job = queue_job(store, folder=tmp_path / "elsewhere", settings=JobSettings())
    text = shown(job_view(job, datetime.now(UTC)))
    assert "queued" in text
    assert "starting" in text


@pytest.mark.parametrize("terminal", [False, True])
def test_watching_ends_with_the_job(store, running, monkeypatch, terminal):
    def work(_seconds):
        """Between two polls the job makes an update, and then ends."""
        from policy.runs import Run

        run = Run(running.job.folder)
        if len(run.rows()) == 2:
            run.log(row(2))
        else:
            running.end("done", "kept update 2")

    monkeypatch.setattr("rl.jobs.terminal.time.sleep", work)
    text = io.StringIO()
    console = Console(file=text, width=160, force_terminal=terminal)
    ended = watch(store, running.job, console, after=0)
    assert (ended.state, ended.message) == ("done", "kept update 2")
    said = text.getvalue()
    if terminal:
        assert "2/10" in said
        assert "done" in said
    else:
        first, second = said.splitlines()
        assert first == update_line(row(1), 10) + "   broken: originality"
        assert second == update_line(row(2), 10)


def test_a_watched_job_that_dies_is_noticed(store, running, monkeypatch):
    monkeypatch.setattr("rl.jobs.record.Job.is_dead", lambda *_: True)
    ended = watch(store, running.job, Console(file=io.StringIO()))
    assert (ended.state, ended.message[:12]) == ("failed", "process died")


def test_a_comparison_is_a_column_a_run():
    table = comparison_table("figures", ["one", "two"], {"clip": [0.2, None], "meter": ["4/4", 1]})
    lines = [line.split() for line in shown(table).splitlines()]
    assert lines[1:] == [["one", "two"], ["clip", "0.2", "–"], ["meter", "4/4", "1"]]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3661, "1 h 1 min"), (-5, "0 s")],
)
def test_durations(seconds, said):
    assert duration(timedelta(seconds=seconds)) == said
