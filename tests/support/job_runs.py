"""Small PPO jobs for tests that interrupt them, and what must be the same in the end.

Torch is imported once, by a process that forks the jobs' processes, so that a resume after an
interruption does not import it again. All functions work in the current folder, which has
`checkpoints/` and `ratings.sqlite`.
"""

import os
import signal
import sys
from contextlib import closing, suppress
from pathlib import Path

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
SAMPLES_EVERY = 5
SAMPLED = (0, 5, 10, UPDATES)
DATABASE = "ratings.sqlite"


def lay_out(folder, policy):
    """The base policy and the reward of the jobs."""
    from policy.checkpoint import save_policy

    save_policy(policy, folder / "checkpoints" / "base")
    (folder / "liking.py").write_text(LIKING)


def use_small_index():
    """Compare with fifty tunes, not with all; it also imports what the jobs need."""
    import rl.runs.fine_tuning
    from music.corpora.corpus import load_corpus
    from music.corpora.originality import TrainingIndex

    index = TrainingIndex.from_melodies([s.melody for s in load_corpus("validation")][:50])
    rl.runs.fine_tuning.training_index = lambda policy: index
    assert "torch" in sys.modules, "imported before the forks"


def new_small_run(name, seed, **changes):
    """A run that has not begun."""
    from rl.runs.fine_tuning import start_run

    given = SMALL | {"seed": seed} | changes
    return start_run("liking:high", Path("checkpoints/base"), given, name=name).run


def queue(run):
    """The next job of a run, queued."""
    from reward.store.database import Database
    from rl.jobs.queue import queue_job
    from rl.jobs.record import JobSettings

    with closing(Database(DATABASE)) as store:
        settings = JobSettings(slots=1, samples_every=SAMPLES_EVERY)
        return queue_job(store, folder=run.path, settings=settings)


def end_unclaimed_jobs():
    """A job without a process counts as starting for two minutes; let that time be over."""
    from reward.store.database import Database
    from rl.jobs.queue import list_jobs, reap

    with closing(Database(DATABASE)) as store:
        for job in list_jobs(store, every=True):
            if job.is_live and job.pid is None:
                assert reap(store, job, "its process did not come up")


def work_on(job):
    """Run a queued job in this process; returns the exit code."""
    from reward.store.database import Database
    from rl.jobs.worker import fine_tune, run_job

    with closing(Database(DATABASE)) as store:
        return run_job(store, job.id, fine_tune)


def fork_job(run, prepare=None):
    """Queue the next job of the run and fork its process; return the pid."""
    job = queue(run)
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if prepare is not None:
            prepare()
        code = work_on(job)
    finally:
        sys.stderr.flush()
        os._exit(code)


def run_to_end(run):
    """Fork a job of the run and wait until it is done."""
    wait_for(fork_job(run))
    assert newest_job(run).state == "done", newest_job(run)


def wait_for(pid):
    """Wait for the end of a child, also where SIGCHLD is ignored."""
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def is_alive(pid):
    """Whether there is a process; one that ended is not, where SIGCHLD is ignored."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def newest_job(run):
    """The newest job of a run, on whichever host."""
    from reward.store.database import Database
    from rl.jobs.queue import list_jobs

    with closing(Database(DATABASE)) as store:
        return [job for job in list_jobs(store, every=True) if job.run_id == run.name][-1]


def newest_name(steps):
    """The highest number of a step, whole or not."""
    return max((int(path.name) for path in steps.glob("*") if path.name.isdigit()), default=0)


def compare(whole, interrupted):
    """Both runs have the same rows, policy, samples and last step, to the bit."""
    from policy.checkpoint import newest_step

    one, other = ([row | {"seconds": 0} for row in run.rows()] for run in (whole, interrupted))
    assert one == other, "the logs differ"
    assert len(one) == UPDATES + 1
    files = [path.relative_to(whole.path) for path in (whole.path / "policy").iterdir()]
    assert sorted(path.name for path in files) == sorted(
        path.name for path in (interrupted.path / "policy").iterdir()
    )
    for kind in ("*.abc", "*.mid", "*.wav"):
        found = sorted(
            path.relative_to(whole.path) for path in whole.path.glob(f"samples/*/{kind}")
        )
        assert len(found) == 4 * len(SAMPLED), found
        files += found
    for file in files:
        same = (whole.path / file).read_bytes() == (interrupted.path / file).read_bytes()
        assert same, f"{file} differs"
    assert sorted(p.name for p in (interrupted.path / "samples").iterdir()) == [
        f"{update:04d}" for update in SAMPLED
    ]
    mine, theirs = (newest_step(run.path / "steps") for run in (whole, interrupted))
    assert mine is not None
    assert theirs is not None
    assert mine.step == theirs.step == UPDATES
    assert mine.state == theirs.state
    assert mine.tensors.keys() == theirs.tensors.keys()
    for name, tensor in mine.tensors.items():
        assert tensor.numpy().tobytes() == theirs.tensors[name].numpy().tobytes(), name
