"""A job that stood still for longer than its lease; clocks that disagree; a database that crashes.

Another host takes the run over meanwhile. When the first process wakes up, it must end and write
nothing. Two hosts are two processes here. With `shared_locks` off, they do not see each other's
file locks, as on a network file system that has none, or has dropped those of a sleeper.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from datetime import timedelta

import numpy as np
import pytest

from reward.store.database import Database
from rl.jobs.queue import queue_job, read_job
from rl.jobs.record import JobSettings
from tests.support.clocks import another_machine
from tests.support.job_runs import (
    UPDATES,
    compare,
    lay_out,
    new_small_run,
    newest_job,
    newest_name,
    queue,
    run_to_end,
    use_small_index,
    work_on,
)
from tests.support.project import PROJECT
from tests.support.scale import scaled, time_limit_s

STOPS = scaled(1)
SHORT_LEASE_S, SHORT_BEAT_S = 2.0, 0.3
NOT_OURS = 2
"""exit code of a process that has lost its job"""
children = set()
"""pids of forked processes that nobody has waited for"""
TAKEN = "is being written by another process"
WORK = """
import sys, time
from contextlib import closing, suppress
from uuid import UUID
sys.path.insert(0, {project!r})
from reward.store.database import Database
import rl.jobs.lease
from rl.jobs.queue import list_jobs
from rl.jobs.worker import run_job
from reward.store.database import Database
from rl.jobs.queue import queue_job, read_job
from rl.jobs.record import JobSettings
from tests.support.clocks import another_machine

rl.jobs.lease.BEAT_S = rl.jobs.lease.TURN_S = 0.05
def body(lease):
    for update in range(20):
        time.sleep(0.1)
        lease.beat(message=f"update {{update}}")
        if {looks!r}:
            list_jobs(store)  # marks those that seem dead from here
    return "kept update 0"

with another_machine({host!r}, {ahead_s!r}), closing(Database({database!r})) as store:
    sys.exit(run_job(store, UUID({job!r}), body))
"""


@pytest.mark.slow
@pytest.mark.timeout(time_limit_s(900))
@pytest.mark.parametrize("shared_locks", [True, False])
def test_a_job_that_stood_still_does_not_write(tmp_path, tiny_policy, shared_locks):
    lay_out(tmp_path, tiny_policy)
    code = f"""
import sys
sys.path.insert(0, {str(PROJECT)!r})
from tests.chaos import test_stopped_jobs
test_stopped_jobs.stop_and_take_over({shared_locks})
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    sys.stdout.write(f"{said}\n")
    assert said["stops"] == STOPS


def stop_and_take_over(shared_locks):
    """Stop jobs at random moments, in a process and a folder of its own."""
    import rl.jobs.lease
    import rl.jobs.record

    use_small_index()
    rl.jobs.record.LEASE = rl.jobs.lease.LEASE = timedelta(seconds=SHORT_LEASE_S)
    rl.jobs.lease.BEAT_S = SHORT_BEAT_S
    chance = np.random.default_rng(3)
    whole = new_small_run("whole", 0)
    run_to_end(whole)
    update_s = float(np.median([row["seconds"] for row in whole.rows()]))
    count = {"stops": 0, "ended_before": 0, "in_the_middle_of_a_write": 0}
    while count["stops"] < STOPS:
        number = count["stops"] + count["ended_before"]
        run = new_small_run(f"stopped-{number}", 0)
        sleeper = in_child(lambda run=run: work_on(queue(run)), host="one")
        until_update = int(chance.integers(1, UPDATES - 2))
        while newest_name(run.path / "steps") < until_update:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 1.5 * update_s))
        os.kill(sleeper, signal.SIGSTOP)
        # In the middle of a write, it ends that one: the same bytes as the other process wrote.
        was_writing = len(run.rows()) != newest_name(run.path / "steps")
        if newest_job(run).state == "done":
            os.kill(sleeper, signal.SIGCONT)
            code_of(sleeper)
            count["ended_before"] += 1
            continue
        time.sleep(SHORT_LEASE_S + 0.5)
        taker = in_child(lambda run=run: take_over(run, shared_locks), host="two")
        code = code_of(taker)
        job = newest_job(run)
        if shared_locks:
            assert job.state == "failed", job
            assert TAKEN in job.message, job
            os.kill(sleeper, signal.SIGCONT)
            assert code_of(sleeper) == NOT_OURS
            run_to_end(run)
        else:
            assert code == 0, (code, job)
            before = contents(run.path)
            os.kill(sleeper, signal.SIGCONT)
            assert code_of(sleeper) == NOT_OURS
            after = contents(run.path)
            changed = [name for name in before | after if before.get(name) != after.get(name)]
            if not was_writing:
                assert not changed, f"the sleeper wrote {changed} after update {until_update}"
        compare(whole, run)
        count["stops"] += 1
        count["in_the_middle_of_a_write"] += was_writing
    sys.stdout.write(json.dumps(count) + "\n")


def take_over(run, shared_locks):
    """What another host does: it finds the job dead, and resumes its run."""
    import fcntl

    if not shared_locks:
        fcntl.flock = lambda *_: None
    return work_on(queue(run))


def in_child(work, host):
    """Do something in a forked process that believes to be on a host; its pid."""
    pid = os.fork()
    if pid:
        children.add(pid)
        return pid
    code = 1
    try:
        with another_machine(host, 0):
            code = work()
    finally:
        sys.stderr.flush()
        os._exit(code)


@atexit.register
def end_children():
    """Leave no process that stands still, where a test has failed."""
    for pid in children:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def code_of(pid):
    """The exit code of a child, when it has ended."""
    status = os.waitpid(pid, 0)[1]
    children.discard(pid)
    return os.waitstatus_to_exitcode(status)


def contents(folder):
    """What a run has written that a resume or a reader uses."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {"tensorboard", "best", "lock"}.intersection(path.parts)
    }


@pytest.mark.slow
@pytest.mark.postgres
def test_hosts_whose_clocks_disagree_leave_each_others_jobs_alone(tmp_path, postgres):
    hosts = {"one": 0.0, "two": 3600.0, "three": -3600.0}
    with closing(Database(postgres.url)) as store:
        jobs, processes = {}, []
        for host, ahead_s in hosts.items():
            (tmp_path / host).mkdir()
            jobs[host] = queue_job(
                store, folder=tmp_path / host, settings=JobSettings(slots=len(hosts))
            )
            processes.append(process_of(jobs[host], postgres.url, host, ahead_s, looks=True))
        codes = [process.wait(200) for process in processes]
        ended = {host: read_job(store, job.id).state for host, job in jobs.items()}
    assert ended == dict.fromkeys(hosts, "done")
    assert codes == [0, 0, 0]


@pytest.mark.slow
@pytest.mark.postgres
def test_a_job_goes_on_while_its_database_crashes(tmp_path, postgres):
    (tmp_path / "run").mkdir()
    with closing(Database(postgres.url)) as store:
        job = queue_job(store, folder=tmp_path / "run", settings=JobSettings())
        process = process_of(job, postgres.url, socket.gethostname(), 0.0, looks=False)
        while read_job(store, job.id).state == "queued":
            time.sleep(0.05)
    for _ in range(2):
        time.sleep(0.3)
        postgres.crash()
    assert process.wait(200) == 0
    with closing(Database(postgres.url)) as store:
        assert read_job(store, job.id).state == "done"


def process_of(job, database, host, ahead_s, *, looks):
    """The process of a job that does nothing for two seconds; `looks` at other jobs meanwhile."""
    code = WORK.format(
        project=str(PROJECT),
        host=host,
        ahead_s=ahead_s,
        looks=looks,
        database=database,
        job=str(job.id),
    )
    return subprocess.Popen([sys.executable, "-c", code], cwd=job.folder)
