"""kill -9 of real jobs, twenty times: each resumes to the same bits, never from a torn checkpoint.

Jobs of one process are forked from one that has torch; those of two are started by torchrun, as
`tastemaker ppo --processes 2` does, and killed as a whole or one process of them.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress

import numpy as np
import psutil
import pytest

from tests.support.job_runs import (
    DATABASE,
    compare,
    fork_job,
    is_alive,
    lay_out,
    new_small_run,
    newest_job,
    newest_name,
    queue,
    run_to_end,
    use_small_index,
)
from tests.support.project import PROJECT
from tests.support.scale import scaled, time_limit_s

KILLS, KILLS_OF_TWO = scaled(20), scaled(2)
WAIT_S = 300


def in_its_own_process(call, folder):
    """What a function of this file prints last, called in a process and folder of its own."""
    code = f"""
import sys
sys.path.insert(0, {str(PROJECT)!r})
from tests.rl.jobs import test_kills
test_kills.{call}
"""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    sys.stdout.write(f"{said}\n")
    return said


@pytest.mark.slow
@pytest.mark.timeout(time_limit_s(3600))
def test_kills_at_any_moment(tmp_path, tiny_policy):
    lay_out(tmp_path, tiny_policy)
    said = in_its_own_process("kill_and_compare()", tmp_path)
    assert said["kills"] == KILLS
    # Otherwise no kill would hit while a checkpoint is written.
    assert said["torn_writes"] >= KILLS // 20, said
    assert said["kills_in_mid_update"] >= KILLS // 20, said
    assert said["resumed_from_a_step"] >= 2 * KILLS // 5, said


@pytest.mark.slow
@pytest.mark.timeout(time_limit_s(1800))
def test_kills_of_two_processes(tmp_path, tiny_policy):
    lay_out(tmp_path, tiny_policy)
    said = in_its_own_process("kill_two_and_compare()", tmp_path)
    assert said["kills"] == KILLS_OF_TWO
    assert said["resumed_from_a_step"] >= 1, said


def kill_and_compare():
    """Complete runs and killed runs, in a process and a folder of its own."""
    use_small_index()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the killed leave no zombies
    chance = np.random.default_rng(0)
    count = {"kills": 0, "torn_writes": 0, "kills_in_mid_update": 0, "resumed_from_a_step": 0}
    seed = 0
    while count["kills"] < KILLS:
        whole, killed = (new_small_run(f"{name}-{seed}", seed) for name in ("whole", "killed"))
        run_to_end(whole)
        update_s = float(np.median([row["seconds"] for row in whole.rows()]))
        while count["kills"] < KILLS and _kill_once(killed, chance, update_s, count):
            _check_it_is_told(killed)
        if newest_job(killed).state != "done":
            run_to_end(killed)
        compare(whole, killed)
        seed += 1
    sys.stdout.write(json.dumps(count | {"runs": seed}) + "\n")


def _kill_once(run, chance, update_s, count):
    """Let a job run for a random time and kill it; False if it had ended before."""
    steps = run.path / "steps"
    begun_at = newest_name(steps)
    pid = fork_job(run)
    kind, more = chance.integers(3), int(chance.integers(1, 3))
    if kind == 0:  # while it starts, or soon after
        time.sleep(chance.uniform(0, 3 * update_s))
    else:
        while is_alive(pid) and newest_name(steps) < begun_at + more:
            time.sleep(0.001)
        if kind == 1:  # somewhere in an update
            time.sleep(chance.uniform(0, update_s))
        else:  # while it writes the next step
            while is_alive(pid) and not list(steps.glob("tmp-*")):
                time.sleep(0.0002)
            time.sleep(chance.uniform(0, 0.002))
    if not is_alive(pid):
        return False
    os.kill(pid, signal.SIGKILL)
    while is_alive(pid):
        time.sleep(0.001)
    if newest_job(run).state == "done":  # it had said its end, and was about to leave
        return False
    count["kills"] += 1
    count["torn_writes"] += bool(list(steps.glob("tmp-*")))
    _count_what_is_left(run, count)
    return True


def _count_what_is_left(run, count):
    """After a kill, the newest step is whole, and no row is missing before it."""
    from policy.checkpoint import newest_step

    rows, saved = run.rows(), newest_step(run.path / "steps")
    at = saved.step if saved is not None else 0
    assert at == newest_name(run.path / "steps"), "the newest step is torn"
    assert len(rows) - at in (0, 1), f"{len(rows)} rows beside step {at}"
    if "kills_in_mid_update" in count:
        count["kills_in_mid_update"] += len(rows) == at
    count["resumed_from_a_step"] += at > 0


def _check_it_is_told(run):
    """The row says that the process died, or that it did not start."""
    from reward.store.database import Database
    from rl.jobs.queue import reap

    job = newest_job(run)
    if job.pid is None:
        with closing(Database(DATABASE)) as store:
            assert reap(store, job, "its process did not come up")
    else:
        assert job.message == "process died", job
        assert job.state == "failed", job


def kill_two_and_compare():
    """As `kill_and_compare`, for runs of two processes."""
    chance = np.random.default_rng(2)
    count = {"kills": 0, "resumed_from_a_step": 0}
    seed = 0
    while count["kills"] < KILLS_OF_TWO:
        whole, killed = (
            new_small_run(f"{name}-{seed}", seed, processes=2) for name in ("whole", "killed")
        )
        _two_to_end(whole)
        update_s = float(np.median([row["seconds"] for row in whole.rows()]))
        while count["kills"] < KILLS_OF_TWO and _kill_two_once(killed, chance, update_s, count):
            assert newest_job(killed).state == "failed", newest_job(killed)
        if newest_job(killed).state != "done":
            _two_to_end(killed)
        compare(whole, killed)
        seed += 1
    sys.stdout.write(json.dumps(count | {"runs": seed}) + "\n")


def _launch_two(run):
    from rl.jobs.queue import launch

    return psutil.Process(launch(DATABASE, queue(run)).pid)


def _two_to_end(run):
    torchrun = _launch_two(run)
    torchrun.wait(WAIT_S)
    log = (run.path / "job.log").read_text()
    assert newest_job(run).state == "done", (newest_job(run), log)


def _kill_two_once(run, chance, update_s, count):
    """Kill both processes and torchrun, or one process; False if the job had ended before."""
    steps = run.path / "steps"
    begun_at = newest_name(steps)
    torchrun = _launch_two(run)
    until = time.monotonic() + WAIT_S
    while torchrun.is_running() and newest_name(steps) <= begun_at:
        assert time.monotonic() < until, (run.path / "job.log").read_text()
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 3 * update_s))
    try:
        workers = [p for p in torchrun.children(recursive=True) if "rl.jobs.worker" in p.cmdline()]
    except psutil.NoSuchProcess:
        return False
    doomed = [torchrun, *workers] if chance.random() < 0.5 else [workers[chance.integers(2)]]
    for process in doomed:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    for process in (torchrun, *workers):  # torchrun ends the other one
        with suppress(psutil.NoSuchProcess):
            process.wait(WAIT_S)
    if newest_job(run).state == "done":
        return False
    count["kills"] += 1
    _count_what_is_left(run, count)
    return True
