"""Machines whose clocks differ, and a clock that is set: no healthy job is taken for dead."""

import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from reward.store.database import Database
from rl.jobs.lease import JobLease
from rl.jobs.queue import (
    STARTING,
    list_jobs,
    queue_job,
    read_job,
    reap_dead_jobs,
    time_of,
    wait_for_end,
)
from rl.jobs.record import LEASE, JobError, JobSettings, WorkerProcess
from tests.support.clocks import another_clock, another_machine
from tests.support.project import PROJECT

AWAY = """
import sys, time
from contextlib import closing
from uuid import UUID
from reward.store.database import Database
import rl.jobs.lease, rl.jobs.queue, rl.jobs.worker
from tests.support.clocks import another_machine

rl.jobs.lease.BEAT_S = rl.jobs.lease.TURN_S = 0.05

def body(lease):
    print("runs", flush=True)
    sys.stdin.readline()
    return "kept update 0"

with another_machine("away", {seconds}), closing(Database({database!r})) as store:
    sys.exit(rl.jobs.worker.run_job(store, UUID({job!r}), body))
"""
"""a job's process on another machine, whose clock differs; it works until it is told a line"""
postgresql = pytest.mark.parametrize(
    "ratings_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)
SKEWS = [-90, 90]
"""seconds; a lease is 60"""


@pytest.fixture
def store(ratings_url):
    with closing(Database(ratings_url)) as database:
        yield database


def queued(store, tmp_path, name="ppo-0001", **given):
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    return queue_job(store, folder=folder, settings=JobSettings(), **given)


@postgresql
@pytest.mark.parametrize("seconds", SKEWS)
def test_a_job_of_a_machine_with_another_clock_lives_to_its_end(
    store, ratings_url, tmp_path, seconds
):
    job = queued(store, tmp_path)
    code = AWAY.format(seconds=seconds, database=ratings_url, job=str(job.id))
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "runs\n"
        for _ in range(5):
            assert reap_dead_jobs(store) == []
            time.sleep(0.05)
        running = read_job(store, job.id)
        assert (running.state, running.host) == ("running", "away")
        assert abs(running.heartbeat_at - datetime.now(UTC)) < timedelta(seconds=30)
        process.communicate("end\n", timeout=100)
        assert process.returncode == 0
        assert wait_for_end(store, job).message == "kept update 0"
    finally:
        process.kill()
        process.wait()


@postgresql
@pytest.mark.parametrize("seconds", SKEWS)
def test_an_observer_with_another_clock_sees_what_all_see(store, tmp_path, seconds):
    job = queued(store, tmp_path)
    lease = JobLease.claim(store, job.id, WorkerProcess("away", 7, 0.0))
    with another_machine("observer", seconds):
        assert reap_dead_jobs(store) == []
        assert lease.take_turn()
        assert abs(time_of(store) - datetime.now(UTC)) < timedelta(seconds=30)
        (seen,) = list_jobs(store)
        assert seen.state == "running"
        with pytest.raises(JobError, match="is running already"):
            queued(store, tmp_path)
    # And a lease that has run out has for all of them.
    (dead,) = reap_dead_jobs(store, now=time_of(store) + 1.1 * LEASE)
    assert dead.id == job.id


@postgresql
def test_a_job_that_is_being_started_elsewhere_is_left_to_start(store, tmp_path):
    with another_machine("away", -3600):
        job = queued(store, tmp_path)
    assert reap_dead_jobs(store) == []
    begun = read_job(store, job.id).created_at
    assert reap_dead_jobs(store, now=begun + 1.1 * STARTING) != []


@postgresql
def test_the_queue_is_in_the_order_in_which_jobs_came_whatever_the_clocks(store, tmp_path):
    jobs = []
    for number, seconds in enumerate((90, -90, 0)):
        with another_clock(seconds):
            jobs.append(queued(store, tmp_path, f"run-{number}"))
    assert [job.id for job in list_jobs(store)] == [job.id for job in jobs]


def test_a_clock_that_is_set_ends_no_job_of_this_machine(store, tmp_path):
    """An hour on: the lease has run out, and the kernel tells other creation times."""
    job = queued(store, tmp_path)
    command = [sys.executable, "-c", "import time; time.sleep(1000)", str(job.id)]
    process = subprocess.Popen(command)
    try:
        created_s = psutil.Process(process.pid).create_time()
        me = WorkerProcess(WorkerProcess.this().host, process.pid, created_s - 3600)
        lease = JobLease.claim(store, job.id, me)
        assert reap_dead_jobs(store, now=time_of(store) + timedelta(hours=1)) == []
        assert read_job(store, lease.job.id).state == "queued"
    finally:
        process.kill()
        process.wait()
    assert len(reap_dead_jobs(store)) == 1, "and without its process it is dead at once"
