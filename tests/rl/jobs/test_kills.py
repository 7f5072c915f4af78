"""kill -9 of real jobs, fifty times: each resumes to the same bits, never from a torn checkpoint.

Torch is imported once, by a process that forks the jobs' processes, so that a resume after a kill
does not import it again.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tests.support.project import PROJECT

KILLS = 50
UPDATES = 12
LIKING = """
def high(melodies):
    return [sum(note.pitch >= 12 for note in m.notes) / len(m.notes) for m in melodies]
"""
SMALL = {
    "updates": UPDATES, "melodies_per_update": 16, "minibatch": 8, "epochs": 2, "bars": 4,
    "meter": "2/4", "kl_limit_nats": 50.0, "threads": 1, "saturation_point": 3.0,
    "patience": UPDATES + 1,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_fifty_kills(tmp_path, tiny_policy):
    from policy.checkpoint import save_policy

    save_policy(tiny_policy, tmp_path / "checkpoints" / "base")
    (tmp_path / "liking.py").write_text(LIKING)
    code = f"""
import sys
sys.path.insert(0, {str(PROJECT)!r})
from tests.rl.jobs import test_kills
test_kills.kill_and_compare()
"""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    sys.stdout.write(f"{said}\n")
    assert said["kills"] == KILLS
    # Otherwise no kill would hit while a checkpoint is written.
    assert said["torn_writes"] >= 5, said
    assert said["kills_in_mid_update"] >= 5, said
    assert said["resumed_from_a_step"] >= 20, said


def kill_and_compare():
    """Complete runs and killed runs, in a process and a folder of its own."""
    import rl.runs.fine_tuning
    from music.corpora.corpus import load_corpus
    from music.corpora.originality import TrainingIndex

    index = TrainingIndex.from_melodies([s.melody for s in load_corpus("validation")][:50])
    rl.runs.fine_tuning.training_index = lambda: index
    assert "torch" in sys.modules, "imported before the forks"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the killed leave no zombies
    chance = np.random.default_rng(0)
    count = {"kills": 0, "torn_writes": 0, "kills_in_mid_update": 0, "resumed_from_a_step": 0}
    seed = 0
    while count["kills"] < KILLS:
        whole, killed = (_new_run(f"{name}-{seed}", seed) for name in ("whole", "killed"))
        pid = _fork_job(whole)
        while _alive(pid):
            time.sleep(0.02)
        assert _newest_job(whole).state == "done", _newest_job(whole)
        update_s = float(np.median([row["seconds"] for row in whole.rows()]))
        while count["kills"] < KILLS and _kill_once(killed, chance, update_s, count):
            _check_it_is_told(killed)
        if _newest_job(killed).state != "done":
            pid = _fork_job(killed)
            while _alive(pid):
                time.sleep(0.02)
        assert _newest_job(killed).state == "done", _newest_job(killed)
        _compare(whole, killed)
        seed += 1
    sys.stdout.write(json.dumps(count | {"runs": seed}) + "\n")


def _new_run(name, seed):
    from rl.runs.fine_tuning import start_run

    return start_run("liking:high", Path("checkpoints/base"), SMALL | {"seed": seed}, name=name).run


def _fork_job(run):
    """Queue the next job of the run and fork its process; return the pid."""
    from reward.store.database import Database
    from rl.jobs.queue import queue_job
    from rl.jobs.record import JobSettings
    from rl.jobs.worker import fine_tune, run_job

    with closing(Database("ratings.sqlite")) as store:
        settings = JobSettings(slots=1, samples_every=5)
        job = queue_job(store, folder=run.path, settings=settings)
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with closing(Database("ratings.sqlite")) as store:
            code = run_job(store, job.id, fine_tune)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _kill_once(run, chance, update_s, count):
    """Let a job run for a random time and kill it; False if it had ended before."""
    from policy.checkpoint import newest_step

    steps = run.path / "steps"
    begun_at = _newest_name(steps)
    pid = _fork_job(run)
    kind, more = chance.integers(3), int(chance.integers(1, 3))
    if kind == 0:  # while it starts, or soon after
        time.sleep(chance.uniform(0, 3 * update_s))
    else:
        while _alive(pid) and _newest_name(steps) < begun_at + more:
            time.sleep(0.001)
        if kind == 1:  # somewhere in an update
            time.sleep(chance.uniform(0, update_s))
        else:  # while it writes the next step
            while _alive(pid) and not list(steps.glob("tmp-*")):
                time.sleep(0.0002)
            time.sleep(chance.uniform(0, 0.002))
    if not _alive(pid):
        return False
    os.kill(pid, signal.SIGKILL)
    while _alive(pid):
        time.sleep(0.001)
    if _newest_job(run).state == "done":  # it had said its end, and was about to leave
        return False
    count["kills"] += 1
    count["torn_writes"] += bool(list(steps.glob("tmp-*")))
    rows, saved = run.rows(), newest_step(steps)
    at = saved.step if saved is not None else 0
    assert at == _newest_name(steps), "the newest step is torn"
    assert len(rows) - at in (0, 1), f"{len(rows)} rows beside step {at}"
    count["kills_in_mid_update"] += len(rows) == at
    count["resumed_from_a_step"] += at > 0
    return True


def _check_it_is_told(run):
    """The row says that the process died, or that it did not start."""
    from reward.store.database import Database
    from rl.jobs.queue import reap

    job = _newest_job(run)
    if job.pid is None:
        with closing(Database("ratings.sqlite")) as store:
            assert reap(store, job, "its process did not come up")
    else:
        assert job.message == "process died", job
        assert job.state == "failed", job


def _newest_name(steps):
    return max((int(path.name) for path in steps.glob("*") if path.name.isdigit()), default=0)


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _newest_job(run):
    from reward.store.database import Database
    from rl.jobs.queue import find_job

    with closing(Database("ratings.sqlite")) as store:
        return find_job(store, run.name)


def _compare(whole, killed):
    from policy.checkpoint import newest_step

    one, other = ([row | {"seconds": 0} for row in run.rows()] for run in (whole, killed))
    assert one == other, "the logs differ"
    assert len(one) == UPDATES + 1
    files = ["policy/model.safetensors"]
    for kind in ("*.abc", "*.mid", "*.wav"):
        found = sorted(
            path.relative_to(whole.path) for path in whole.path.glob(f"samples/*/{kind}")
        )
        assert len(found) == 4 * 4, found  # updates 0, 5, 10 and the last
        files += found
    for file in files:
        same = (whole.path / file).read_bytes() == (killed.path / file).read_bytes()
        assert same, f"{file} differs"
    assert sorted(p.name for p in (killed.path / "samples").iterdir()) == [
        f"{update:04d}" for update in (0, 5, 10, UPDATES)
    ]
    mine, theirs = (newest_step(run.path / "steps") for run in (whole, killed))
    assert mine.step == theirs.step == UPDATES
    assert mine.state == theirs.state
    assert mine.tensors.keys() == theirs.tensors.keys()
    for name, tensor in mine.tensors.items():
        assert tensor.numpy().tobytes() == theirs.tensors[name].numpy().tobytes(), name
