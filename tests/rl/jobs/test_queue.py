"""Jobs as rows and processes without real work. Real runs: tests/rl/jobs/test_kills.py."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psutil
import pytest

import rl.jobs.queue
from policy.runs import RunError
from reward.store.database import Database
from rl.jobs.lease import EXIT_NOT_OURS, JobLease
from rl.jobs.queue import (
    STARTING,
    absolute,
    ask_to_stop,
    begin_job,
    check_resumable,
    find_job,
    list_jobs,
    log_tail,
    open_jobs,
    queue_job,
    read_job,
    reap_dead_jobs,
    start_job,
    wait_for_end,
)
from rl.jobs.record import LEASE, JobError, JobLostError, JobSettings, WorkerProcess
from rl.jobs.worker import run_job
from tests.support.project import PROJECT

PROCESS = """
import logging, sys, time
from contextlib import closing
from uuid import UUID
from reward.store.database import Database
import rl.jobs.lease
from rl.jobs.worker import run_job

rl.jobs.lease.BEAT_S = rl.jobs.lease.TURN_S = 0.05
logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")

def body(lease):
    for update in range({updates}):
        time.sleep(0.05)
        lease.beat(message=f"update {{update}}", last_checkpoint=f"steps/{{update}}")
        if lease.stop_asked:
            return None
    return "kept update 0"

with closing(Database({database!r})) as store:
    sys.exit(run_job(store, UUID({job!r}), body))
"""
"""a job's process, with `updates` that do no work"""


@pytest.fixture
def store(ratings_url):
    with closing(Database(ratings_url)) as database:
        yield database


@pytest.fixture
def folder(tmp_path):
    """Makes folders of runs by name."""

    def make(name="ppo-0001", root="runs"):
        path = tmp_path / root / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    return make


@pytest.fixture
def processes():
    """Collects the processes of a test and ends those that still run."""
    kept = []
    yield kept
    for process in kept:
        if process.poll() is None:
            process.kill()
        process.communicate()


def queued(store, folder, *, slots=1, **given):
    return queue_job(store, folder=folder, settings=JobSettings(slots=slots), **given)


@pytest.fixture
def mortal():
    """A process that does nothing: its identity, and how to kill it."""
    process = subprocess.Popen(["sleep", "1000"])
    created_s = psutil.Process(process.pid).create_time()

    def kill():
        process.kill()
        process.wait()

    yield WorkerProcess(socket.gethostname(), process.pid, created_s), kill
    kill()


def script(job, database, updates=1000):
    return PROCESS.format(job=str(job.id), database=str(database), updates=updates)


def process_of(job, database, processes, **given):
    """A separate process for the job, whose output can be read."""
    process = subprocess.Popen(
        [sys.executable, "-c", script(job, database, **given)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    processes.append(process)
    return process


def until(condition, seconds=200):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


# --- One job of a run, one process of a job


def test_a_run_has_one_live_job(store, folder):
    first = queued(store, folder())
    with pytest.raises(JobError, match=f"ppo-0001 is queued already: job {first.short_id}"):
        queued(store, folder())
    queued(store, folder(root="elsewhere"))  # another run that happens to have the name
    JobLease.claim(store, first.id).end("stopped", "enough")
    second = queued(store, folder())
    assert second.resumes == first.id


def test_of_two_claimants_one_wins_and_the_other_says_so(store, folder, caplog):
    job = queued(store, folder())
    winner = WorkerProcess.this()
    JobLease.claim(store, job.id, winner)
    with pytest.raises(JobError, match=f"queued already, by pid {winner.pid} on"):
        JobLease.claim(store, job.id, WorkerProcess("another", 7, 0.0))
    assert read_job(store, job.id).pid == winner.pid
    assert run_job(store, job.id, lambda lease: pytest.fail("it ran twice")) == EXIT_NOT_OURS
    assert f"by pid {winner.pid}" in caplog.text


def test_two_processes_of_one_job(store, ratings_url, folder, processes):
    job = queued(store, folder())
    both = [process_of(job, ratings_url, processes, updates=4) for _ in range(2)]
    said = [process.communicate(timeout=200)[0] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, EXIT_NOT_OURS], said
    loser, winner = codes.index(EXIT_NOT_OURS), codes.index(0)
    assert f"by pid {both[winner].pid}" in said[loser]
    done = read_job(store, job.id)
    assert (done.state, done.exit_code, done.pid) == ("done", 0, both[winner].pid)
    assert (done.message, done.last_checkpoint) == ("kept update 0", "steps/3")


@pytest.mark.slow
def test_many_claimants_of_many_jobs_at_once(store, ratings_url, folder):
    jobs = [queued(store, folder(f"run-{n}")) for n in range(20)]
    code = f"""
from contextlib import closing
from uuid import UUID
from reward.store.database import Database
from rl.jobs.record import JobError
from rl.jobs.lease import JobLease
with closing(Database({ratings_url!r})) as store:
    for job in {[str(job.id) for job in jobs]!r}:
        try:
            JobLease.claim(store, UUID(job))
        except JobError:
            continue
        print(job)
"""
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE) for _ in range(2)]
    won = [process.communicate(timeout=200)[0].decode().split() for process in both]
    assert sorted(won[0] + won[1]) == sorted(str(job.id) for job in jobs)


def test_an_unknown_job_is_told(store):
    with pytest.raises(JobError, match="there is no job"):
        JobLease.claim(store, uuid4())


# --- The queue


def test_first_come_first_served_one_at_a_time(store, folder):
    jobs = [queued(store, folder(f"run-{n}")) for n in range(3)]
    first, second, third = (JobLease.claim(store, job.id) for job in jobs)
    assert not third.take_turn()
    assert "2 ahead: run-0, run-1" in read_job(store, jobs[2].id).message
    assert first.take_turn()
    assert not second.take_turn()
    assert "1 running, slots 1: run-0" in read_job(store, jobs[1].id).message
    assert not third.take_turn()
    first.end("done", "kept")
    assert not third.take_turn()
    assert second.take_turn()
    second.end("failed", "broken", exit_code=1)
    assert third.take_turn()
    assert [job.state for job in list_jobs(store)] == ["done", "failed", "running"]


def test_a_job_may_be_given_more_slots(store, folder):
    jobs = [queued(store, folder(f"run-{n}"), slots=slots) for n, slots in enumerate((1, 2, 2))]
    leases = [JobLease.claim(store, job.id) for job in jobs]
    assert [lease.take_turn() for lease in leases] == [True, True, False]


def test_another_machines_jobs_take_no_slot_here(store, folder):
    there, here = queued(store, folder("there")), queued(store, folder("here"))
    assert JobLease.claim(store, there.id, WorkerProcess("another", 7, 0.0)).take_turn()
    assert JobLease.claim(store, here.id).take_turn()


def test_a_crashed_holder_frees_its_slot(store, folder, mortal):
    who, kill = mortal
    crashed, waiting = queued(store, folder("crashed")), queued(store, folder("waiting"))
    assert JobLease.claim(store, crashed.id, who).take_turn()
    lease = JobLease.claim(store, waiting.id)
    assert not lease.take_turn()
    kill()
    assert lease.take_turn()
    assert read_job(store, crashed.id).state == "failed"


def test_who_waits_and_is_asked_to_stop_never_runs(store, folder):
    first, second = queued(store, folder("first")), queued(store, folder("second"))
    running = JobLease.claim(store, first.id)
    assert running.take_turn()
    ask_to_stop(store, second)
    assert run_job(store, second.id, lambda lease: pytest.fail("it ran")) == 0
    stopped = read_job(store, second.id)
    assert stopped.state == "stopped"
    assert stopped.message == "stopped at its start"
    assert stopped.started_at is None


def test_the_next_process_starts_when_a_slot_frees(store, ratings_url, folder, processes):
    first, second = queued(store, folder("first")), queued(store, folder("second"))
    holder = JobLease.claim(store, first.id)
    assert holder.take_turn()
    process = process_of(second, ratings_url, processes, updates=2)
    until(lambda: "slots 1: first" in read_job(store, second.id).message)
    holder.end("done", "kept")
    assert process.wait(200) == 0
    done = read_job(store, second.id)
    assert done.state == "done"
    assert done.started_at > read_job(store, first.id).finished_at


# --- Live and dead processes


def test_a_dead_process_is_noticed_and_the_remedy_told(store, folder, mortal):
    who, kill = mortal
    job = queued(store, folder())
    assert JobLease.claim(store, job.id, who).take_turn()
    kill()
    (found,) = list_jobs(store)
    assert found.state == "failed"
    assert found.message == "process died"
    assert found.was_interrupted
    assert found.finished_at is not None
    assert reap_dead_jobs(store) == []
    assert queued(store, folder()).resumes == job.id


def test_a_living_process_is_left_alone_however_late_its_beat(store, folder):
    job = queued(store, folder())
    assert JobLease.claim(store, job.id).take_turn()
    assert reap_dead_jobs(store, now=datetime.now(UTC) + 100 * LEASE) == []


def test_another_process_of_the_same_pid_is_no_sign_of_life(store, folder):
    job, me = queued(store, folder()), WorkerProcess.this()
    JobLease.claim(store, job.id, WorkerProcess(me.host, me.pid, me.created_s - 1000))
    # The machine's clock may have been set; with a valid lease the job is alive.
    assert reap_dead_jobs(store) == []
    assert reap_dead_jobs(store, now=datetime.now(UTC) + LEASE + timedelta(seconds=1)) != []


def test_a_process_that_nobody_has_waited_for_is_dead(store, folder):
    job = queued(store, folder())
    zombie = subprocess.Popen(["sleep", "1000"])
    created_s = psutil.Process(zombie.pid).create_time()
    JobLease.claim(store, job.id, WorkerProcess(socket.gethostname(), zombie.pid, created_s))
    assert reap_dead_jobs(store) == []
    zombie.kill()
    until(lambda: psutil.Process(zombie.pid).status() == psutil.STATUS_ZOMBIE)
    assert len(reap_dead_jobs(store)) == 1
    zombie.wait()


def test_another_machines_job_lives_as_long_as_its_lease(store, folder):
    job = queued(store, folder())
    JobLease.claim(store, job.id, WorkerProcess("another", os.getpid(), 0.0))
    assert reap_dead_jobs(store, now=datetime.now(UTC) + 0.9 * LEASE) == []
    (dead,) = reap_dead_jobs(store, now=datetime.now(UTC) + 1.1 * LEASE)
    assert dead.id == job.id


def test_a_starter_that_died_blocks_the_queue_for_a_while_only(store, folder):
    now = datetime.now(UTC)
    queued(store, folder("never"), now=now - 0.9 * STARTING)
    lease = JobLease.claim(store, queued(store, folder("next")).id)
    assert not lease.take_turn()
    assert reap_dead_jobs(store, now=now + 0.2 * STARTING)
    assert lease.take_turn()


def test_a_job_that_beats_in_time_is_not_reaped(store, folder, monkeypatch):
    # The process sends a heartbeat between the query and the update.
    lease = JobLease.claim(store, queued(store, folder()).id)
    reap = rl.jobs.queue.reap

    def late(*arguments):
        lease.beat()
        return reap(*arguments)

    monkeypatch.setattr("rl.jobs.queue.reap", late)
    monkeypatch.setattr("rl.jobs.record.Job.is_dead", lambda *_: True)
    assert reap_dead_jobs(store) == []
    assert read_job(store, lease.job.id).state == "queued"


def test_who_was_taken_for_dead_may_say_nothing_more(store, folder, mortal):
    who, kill = mortal
    lease = JobLease.claim(store, queued(store, folder()).id, who)
    kill()
    assert len(reap_dead_jobs(store)) == 1
    for say in (lease.beat, lease.take_turn, lambda: lease.end("done", "kept")):
        with pytest.raises(JobLostError, match="taken for dead"):
            say()
    assert read_job(store, lease.job.id).state == "failed"


def test_who_stood_still_asks_whether_the_job_is_theirs_before_writing(
    store, folder, mortal, monkeypatch
):
    me, kill = mortal
    lease = JobLease.claim(store, queued(store, folder()).id, me)
    lease.check()
    kill()
    reap_dead_jobs(store)
    lease.check()  # the last heartbeat was just now: the database is not asked
    stood_still_s = rl.jobs.lease._seconds() + LEASE.total_seconds()
    monkeypatch.setattr(rl.jobs.lease, "_seconds", lambda: stood_still_s)
    with pytest.raises(JobLostError, match="taken for dead"):
        lease.check()


def test_a_process_whose_job_was_taken_from_it_ends_at_once(store, ratings_url, folder, processes):
    job = queued(store, folder())
    process = process_of(job, ratings_url, processes, updates=10**6)
    until(lambda: read_job(store, job.id).state == "running")
    # as another machine would after this one slept; retried if a heartbeat came in between
    until(lambda: rl.jobs.queue.reap(store, read_job(store, job.id), "x"))
    assert process.wait(200) == EXIT_NOT_OURS
    assert read_job(store, job.id).message == "x"


# --- Stopping and failing


def test_stop_is_seen_at_the_next_beat(store, folder):
    lease = JobLease.claim(store, queued(store, folder()).id)
    lease.take_turn()
    lease.beat(message="update 1", last_checkpoint="steps/1")
    assert not lease.stop_asked
    ask_to_stop(store, lease.job)
    lease.beat()
    assert lease.stop_asked
    assert read_job(store, lease.job.id).message == "update 1"


@pytest.mark.parametrize("how", ["flag", "SIGTERM"])
def test_a_stopped_process_says_where_it_stands(store, ratings_url, folder, processes, how):
    job = queued(store, folder())
    process = process_of(job, ratings_url, processes)
    until(lambda: read_job(store, job.id).last_checkpoint is not None)
    if how == "flag":
        ask_to_stop(store, job)
    else:
        process.send_signal(signal.SIGTERM)
    ended = wait_for_end(store, job)
    assert process.wait(200) == 0
    assert (ended.state, ended.exit_code) == ("stopped", 0)
    assert ended.message == f"stopped at {ended.last_checkpoint}"
    with pytest.raises(JobError, match="is stopped already"):
        ask_to_stop(store, job)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("the reward\nhas changed; put it back"), "the reward has changed; put it back"),
        (KeyError("update"), "KeyError('update')"),
        (
            OSError(28, "No space left on device", "/ppo-0001/metrics.jsonl"),
            "/ppo-0001/metrics.jsonl: the disk at / is full (No space left on device); free some "
            "space on it and try again",
        ),
        (KeyboardInterrupt(), "KeyboardInterrupt()"),
    ],
)
def test_a_failure_is_one_line_in_the_row_and_goes_on_to_the_log(store, folder, error, message):
    job = queued(store, folder())

    def body(lease):
        raise error

    with pytest.raises(type(error)):
        run_job(store, job.id, body)
    failed = read_job(store, job.id)
    assert (failed.state, failed.exit_code, failed.message) == ("failed", 1, message)


def test_what_is_done_is_not_resumed(store, folder):
    lease = JobLease.claim(store, queued(store, folder()).id)
    check_resumable(read_job(store, lease.job.id))
    lease.end("done", "kept update 3")
    with pytest.raises(JobError, match=r"ppo-0001 is done.*evaluate base ppo-0001"):
        check_resumable(read_job(store, lease.job.id))


@pytest.mark.parametrize("given", [{"slots": 0}, {"samples_every": -1}])
def test_settings_that_make_no_sense(given):
    name, value = next(iter(given.items()))
    with pytest.raises(JobError, match=f"{name}={value}"):
        JobSettings(**given)


# --- Finding


def test_a_job_is_found_by_its_run_or_the_beginning_of_its_id(store, folder):
    first = queued(store, folder())
    JobLease.claim(store, first.id).end("stopped", "enough")
    second = queued(store, folder())
    other = queued(store, folder("ppo-0002"))
    assert find_job(store, "ppo-0001").id == second.id
    assert find_job(store, first.id.hex[:12]).id == first.id
    assert find_job(store, str(other.id)).id == other.id
    assert [job.id for job in list_jobs(store)] == [second.id, other.id]
    assert [job.id for job in list_jobs(store, every=True)] == [first.id, second.id, other.id]


def test_what_could_be_several_jobs_is_refused(store, folder, monkeypatch):
    numbers = iter((UUID("abcd0000000000000000000000000001"), UUID("abcd0000" + "f" * 24)))
    monkeypatch.setattr("rl.jobs.queue.uuid4", lambda: next(numbers))
    queued(store, folder())
    queued(store, folder(root="elsewhere"))
    with pytest.raises(JobError, match=r"several jobs.*abcd0000 \(ppo-0001\)"):
        find_job(store, "abcd")
    with pytest.raises(JobError, match=r"several folders.*elsewhere"):
        find_job(store, "ppo-0001")
    assert find_job(store, "abcd0000f").folder == folder(root="elsewhere")


@pytest.mark.parametrize("name", ["ppo-0007", "", "-", "zzz"])
def test_an_unknown_name_is_told_with_those_that_are_there(store, folder, name):
    with pytest.raises(JobError, match="none yet"):
        find_job(store, name)
    queued(store, folder())
    with pytest.raises(JobError, match=rf"no job or run '{name}'; there are: ppo-0001"):
        find_job(store, name)


def test_looking_for_jobs_makes_no_database(tmp_path):
    with pytest.raises(JobError, match="there are no jobs yet"):
        open_jobs(str(tmp_path / "sub" / "none.sqlite"))
    assert not (tmp_path / "sub").exists()


def test_the_log_has_a_tail(store, folder):
    job = queued(store, folder())
    with pytest.raises(JobError, match="has no log"):
        log_tail(job, 2)
    job.log_file.write_bytes(b"one\ntwo\nthr\xffee\n")
    assert log_tail(job, 2) == ["two", "thr\N{REPLACEMENT CHARACTER}ee"]


# --- Processes that outlive their starter


STARTER = """
import sys, time
from contextlib import closing
from pathlib import Path
from reward.store.database import Database
from rl.jobs import queue
from rl.jobs.record import JobSettings
queue.job_command = lambda job: [sys.executable, "-c", Path("process.py").read_text().replace("JOB", str(job.id))]
with closing(Database("ratings.sqlite")) as store:
    queue.start_job(store, "ratings.sqlite", folder=Path("ppo-0001"), settings=JobSettings())
    print("started", flush=True)
    time.sleep(600)
"""  # noqa: E501


@pytest.mark.slow
def test_kill_9_of_the_parent_leaves_the_job_running(tmp_path, processes):
    (tmp_path / "ppo-0001").mkdir()
    text = PROCESS.format(job="JOB", database=tmp_path / "ratings.sqlite", updates=10**6)
    (tmp_path / "process.py").write_text(text.replace("PosixPath", "str"))
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTER],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    processes.append(parent)
    assert parent.stdout.readline() == b"started\n"
    with closing(Database(tmp_path / "ratings.sqlite")) as store:
        job = find_job(store, "ppo-0001")
        assert os.getsid(job.pid) == job.pid != os.getsid(parent.pid)
        os.killpg(parent.pid, signal.SIGKILL)  # the terminal's whole session, as when it is closed
        parent.wait()
        before = read_job(store, job.id).last_checkpoint
        until(lambda: read_job(store, job.id).last_checkpoint not in (None, before))
        assert reap_dead_jobs(store) == []
        ask_to_stop(store, job)
        assert wait_for_end(store, job).state == "stopped"
    assert "stopped at steps/" in job.log_file.read_text()


def test_a_process_that_does_not_come_up_is_told(store, ratings_url, folder, monkeypatch):
    monkeypatch.setattr("rl.jobs.queue.job_command", lambda job: [sys.executable, "-c", "exit(7)"])
    with pytest.raises(JobError, match=r"exit code 7.*tastemaker jobs logs ppo-0001"):
        start_job(store, ratings_url, folder=folder(), settings=JobSettings())
    assert find_job(store, "ppo-0001").state == "failed"


def test_who_does_not_wait_for_a_process_reads_in_the_row_that_it_did_not_come_up(
    store, ratings_url, folder, monkeypatch, processes
):
    waits = "import sys, pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.05)"
    command = [sys.executable, "-c", f"{waits}\nsys.exit(7)"]
    monkeypatch.setattr("rl.jobs.queue.job_command", lambda job: command)
    here = folder()
    monkeypatch.chdir(here)
    job = begin_job(store, ratings_url, folder=here, settings=JobSettings())
    assert (job.state, job.message) == ("queued", "starting")
    assert read_job(store, job.id).is_live
    with pytest.raises(JobError, match="is queued already"):
        begin_job(store, ratings_url, folder=here, settings=JobSettings())
    (here / "go").touch()
    until(lambda: read_job(store, job.id).state == "failed")
    assert "exit code 7" in read_job(store, job.id).message


def test_a_folder_that_is_gone_is_told(store, ratings_url, folder):
    with pytest.raises(JobError, match=r"is gone.*--resume ppo-0009"):
        start_job(store, ratings_url, folder=folder().with_name("ppo-0009"), settings=JobSettings())
    assert find_job(store, "ppo-0009").message.startswith("was not started")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({}, "processes=None"),
        ({"processes": "two"}, "processes='two'"),
        ({"processes": 0}, "processes=0"),
        (None, "is not the record of a run"),
    ],
)
def test_a_run_with_a_bad_configuration_fails_at_once(store, ratings_url, folder, config, reason):
    record = {"kind": "ppo", "created_at": "2026-11-29", "parents": {}, "config": config}
    (folder() / "run.json").write_text(json.dumps(record))
    for start in (start_job, begin_job):  # the command line's, and the studio's
        with pytest.raises(RunError, match=reason):
            start(store, ratings_url, folder=folder(), settings=JobSettings())
        failed = find_job(store, "ppo-0001")
        assert failed.state == "failed"
        assert reason in failed.message
        assert failed.finished_at is not None
    record["config"] = {"processes": 1}
    (folder() / "run.json").write_text(json.dumps(record))
    assert queued(store, folder()).state == "queued", "put right, it may be started"


def test_whatever_keeps_a_process_from_starting_ends_its_job(
    store, ratings_url, folder, monkeypatch
):
    def fails(_):
        raise KeyError("a fault of the program")

    monkeypatch.setattr("rl.jobs.queue.job_command", fails)
    with pytest.raises(KeyError):
        start_job(store, ratings_url, folder=folder(), settings=JobSettings())
    failed = find_job(store, "ppo-0001")
    assert failed.state == "failed"
    assert failed.message == "was not started: KeyError('a fault of the program')"


def test_a_resumed_job_works_where_the_first_one_did(store, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = queued(store, folder())
    JobLease.claim(store, first.id).end("stopped", "enough")
    monkeypatch.chdir("/")
    assert queued(store, folder()).config["working_folder"] == str(tmp_path)


def test_the_command_line_of_a_job_names_the_job_and_no_database(store, folder):
    job = queued(store, folder())
    itself = ["-m", "rl.jobs.worker", str(job.id)]
    for processes, torchrun in ((1, False), (3, True)):
        record = {"kind": "ppo", "created_at": "2026-11-29", "parents": {}}
        record["config"] = {"processes": processes}
        (folder() / "run.json").write_text(json.dumps(record))
        command = rl.jobs.queue.job_command(job)
        assert command[0] == sys.executable
        assert command[-3:] == itself
        assert (command[1:-3] != []) == torchrun
        assert ("--nproc-per-node=3" in command) == torchrun


def test_an_address_holds_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("a/b.sqlite") == str(tmp_path / "a" / "b.sqlite")
    assert absolute("postgresql://user:word@host/db") == "postgresql://user:word@host/db"


@pytest.mark.parametrize(
    "settings",
    [
        {"slots": "1"}, {"slots": 1.5}, {"slots": True}, {"slots": 10**30}, {"samples_every": None},
        {"soundfont": 3}, {"unknown": 1}, [], None,
    ],
    ids=str,
)  # fmt: skip
def test_a_job_whose_row_was_written_by_hand_says_so(store, folder, settings):
    job = queued(store, folder())
    job = replace(job, config=job.config | {"settings": settings})
    with pytest.raises(JobError, match=r"settings of job .* cannot be read .*jobs resume") as told:
        _ = job.settings
    assert "\n" not in str(told.value)
