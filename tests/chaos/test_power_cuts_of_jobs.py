"""A PPO job that lost power at any moment resumes to the bits of the run that was never cut.

A job is recorded once, and power is cut at many moments of the recording. After each cut the run is
resumed from what is left of the folder: the database with the job's row, the base policy, the run.
Some resumed runs are recorded too, and power is cut again.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.chaos.disk import write_tree
from tests.chaos.recording import has_strace, record
from tests.support.job_runs import (
    DATABASE,
    compare,
    end_unclaimed_jobs,
    lay_out,
    new_small_run,
    newest_job,
    run_to_end,
    use_small_index,
)
from tests.support.project import PROJECT
from tests.support.scale import scaled, time_limit_s

CUTS = scaled(8)
CUTS_OF_A_RECORDING = 5
GENERATIONS = 3
"""recordings in a row, each of a run that lost power in the one before"""
NAME = "cut"


@pytest.mark.slow
@pytest.mark.timeout(time_limit_s(1200))
def test_a_job_that_lost_power_resumes_to_the_same_bits(tmp_path, tiny_policy):
    has_strace()
    for folder in ("whole", "lost"):
        lay_out(tmp_path / folder, tiny_policy)
    code = f"""
import sys
sys.path.insert(0, {str(PROJECT)!r})
from tests.chaos import test_power_cuts_of_jobs
test_power_cuts_of_jobs.cut_and_compare()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    sys.stdout.write(f"{said}\n")
    assert said["cuts"] == CUTS
    assert said["resumed_from_a_step"] >= CUTS // 5, said


def environment():
    """One thread a process, and the tests on the path."""
    return os.environ | {
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT),
    }  # fmt: skip


def cut_and_compare():
    """Runs that lose power and runs that do not, in a process and a folder of its own."""
    from policy.runs import RUNS, Run

    use_small_index()
    here = Path.cwd()
    whole_folder, lost = here / "whole", here / "lost"
    clean = here / "clean"
    shutil.copytree(lost, clean)
    chance = np.random.default_rng(int(os.environ.get("TASTEMAKER_CHAOS_SEED", "0")))
    count = {"cuts": 0, "before_the_start": 0, "resumed_from_a_step": 0, "after_the_end": 0}
    seed = 0
    while count["cuts"] < CUTS:
        os.chdir(whole_folder)
        whole = new_small_run(f"whole-{seed}", seed)
        run_to_end(whole)
        whole = Run(whole.path.resolve())
        shutil.rmtree(lost)
        shutil.copytree(clean, lost)
        for _ in range(GENERATIONS):
            os.chdir(lost)
            command = [sys.executable, "-m", "tests.chaos.job_to_record", NAME, str(seed)]
            recording = record(command, lost, environment=environment())
            if recording.code:
                raise AssertionError(f"{recording.said}\n{_log(lost / RUNS / NAME)}")
            compare(whole, Run((lost / RUNS / NAME).resolve()))
            for _ in range(min(CUTS_OF_A_RECORDING, CUTS - count["cuts"])):
                cut = recording.disk.draw_cut(chance)
                left = recording.disk.after_power_cut(cut, chance)
                write_tree(left, lost)
                where = f"seed {seed}, cut {cut} of {len(recording.disk.changes)}"
                try:
                    _resume_and_compare(recording.disk.marks(cut), whole, lost, count)
                except BaseException as error:
                    kept = here / "failed"
                    kept.mkdir()
                    write_tree(left, kept)
                    log = _log(lost / RUNS / NAME)
                    raise AssertionError(f"{where}, left in {kept}: {error}\n{log}") from error
            if count["cuts"] == CUTS:
                break
            # The last thing that was left is where the next recording begins.
            cut = recording.disk.draw_cut(chance)
            if "queued" not in recording.disk.marks(cut):
                cut = len(recording.disk.changes) // 2
            write_tree(recording.disk.after_power_cut(cut, chance), lost)
        seed += 1
    sys.stdout.write(json.dumps(count | {"runs": seed}) + "\n")


def _resume_and_compare(marks, whole, lost, count):
    from policy.checkpoint import newest_step
    from policy.runs import RunError, open_run

    count["cuts"] += 1
    try:
        run = open_run(NAME)
    except RunError:
        # What had been started must be there.
        assert "queued" not in marks, "the run is gone"
        count["before_the_start"] += 1
        return
    if "queued" in marks:
        job = newest_job(run)
        assert job.state in ("queued", "running", "done", "failed"), job
    if "done" in marks:
        count["after_the_end"] += 1
        assert newest_job(run).state == "done", newest_job(run)
        compare(whole, run)
        return
    saved = newest_step(run.path / "steps")
    count["resumed_from_a_step"] += saved is not None
    if (lost / DATABASE).exists():
        end_unclaimed_jobs()
    run_to_end(run)
    compare(whole, run)


def _log(path):
    log = path / "job.log"
    return log.read_text() if log.is_file() else "no log"
