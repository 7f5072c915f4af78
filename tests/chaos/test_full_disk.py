"""A full disk: what was there stays whole, the message says what is wrong, and work goes on later.

The disk is a small file system in memory, and a file takes all its space.
"""

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from tests.support.job_runs import (
    compare,
    fork_job,
    lay_out,
    new_small_run,
    newest_job,
    run_to_end,
    use_small_index,
    wait_for,
)
from tests.support.project import PROJECT
from tests.support.scale import scaled, time_limit_s
from tests.support.small_disk import mounted

DISK_KB = 24_000
VOTES = scaled(60)
FULL_RUNS = scaled(1)


def on_a_small_disk(call, folder):
    """What a function of this file prints last, in a process whose folder is a small disk."""
    code = f"""
import sys
sys.path.insert(0, {str(PROJECT)!r})
from tests.chaos import test_full_disk
test_full_disk.{call}
"""
    with mounted(folder, DISK_KB):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    sys.stdout.write(f"{said}\n")
    return said


class Ballast:
    """A file that takes the disk's space."""

    def __init__(self):
        """Nothing is taken yet."""
        self.path = Path("ballast")

    def leave(self, free_bytes):
        """Take all space but this."""
        self.path.unlink(missing_ok=True)
        there = os.statvfs(".")
        size = max(0, there.f_bavail * there.f_frsize - free_bytes)
        with self.path.open("wb") as file, suppress(OSError):  # it may be full before
            os.posix_fallocate(file.fileno(), 0, max(1, size))

    def remove(self):
        """Give the space back."""
        self.path.unlink(missing_ok=True)


@pytest.mark.slow
@pytest.mark.timeout(time_limit_s(300))
def test_votes_on_a_full_disk(tmp_path, clips):
    said = on_a_small_disk(f"vote_on_a_full_disk({str(clips)!r})", tmp_path)
    assert said["refused"] >= 5, said
    assert said["saved"] >= VOTES // 3, said


def vote_on_a_full_disk(clips):
    """Vote while space comes and goes."""
    from feedback_ui.services.session import StudioSession
    from reward.exchange.export import export_ratings
    from reward.store.store import RatingsError, RatingsStore
    from tests.chaos.careless_raters import answer_payload
    from tests.chaos.stored_votes import check_sound, read_votes
    from tests.chaos.votes_to_record import fill

    chance, ballast = np.random.default_rng(0), Ballast()
    database, meant = Path("ratings.sqlite"), {}
    count = {"saved": 0, "refused": 0, "exports": 0, "refused_exports": 0}
    with RatingsStore(database) as store:
        fill(store)
        rater = store.add_rater("hand").id
        session = StudioSession(store, Path(clips), least_heard_ms=1)
        export_ratings(store, "export", formats=["csv", "jsonl"])
        for number in range(VOTES):
            ballast.remove()
            pair = session.current_pair(rater)
            outcome = ("left", "right", "tie")[number % 3]
            payload = answer_payload(pair.assignment_id, outcome, uuid4().hex, heard_ms=1)
            ballast.leave(int(chance.choice((0, 0, 4096, 16384, 200_000))))
            reply = session.answer(rater, payload)
            if not reply.done:
                count["refused"] += 1
                assert "full" in reply.message, reply
                ballast.remove()
                reply = session.answer(rater, payload)
            assert reply.done, reply
            meant[pair.assignment_id.hex] = outcome
            count["saved"] += 1
            if number % 5:
                continue
            before = {path.name: path.read_bytes() for path in Path("export").iterdir()}
            ballast.leave(int(chance.choice((0, 8192, 65536, 1_000_000))))
            said = ""
            try:
                export_ratings(store, "export", formats=["csv", "jsonl"])
            except RatingsError as error:
                said = str(error)
            assert not said or "space" in said, said
            count["refused_exports" if said else "exports"] += 1
            names = {path.name for path in Path("export").iterdir()}
            assert names == before.keys(), names
            for path in Path("export").glob("*.jsonl"):
                rows = [json.loads(line) for line in path.read_text().splitlines()]
                whole = path.read_bytes() == before[path.name] or path.stem != "votes"
                assert whole or len(rows) == len(meant), path
    check_sound(database)
    assert {v.assignment_id: v.outcome for v in read_votes(database)} == meant
    sys.stdout.write(json.dumps(count) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the thread that renders ahead is not waited for


@pytest.mark.slow
@pytest.mark.timeout(time_limit_s(600))
def test_a_job_on_a_full_disk(tmp_path, tiny_policy):
    said = on_a_small_disk("work_on_a_full_disk()", lay_out_beside(tmp_path, tiny_policy))
    assert said["failed"] >= FULL_RUNS // 2, said


def lay_out_beside(tmp_path, policy):
    """A folder for the disk, with what the jobs start from beside it."""
    lay_out(tmp_path / "beside", policy)
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk"


def work_on_a_full_disk():
    """Let runs meet a full disk, and resume them when there is space again."""
    shutil.copytree(Path("..") / "beside", ".", dirs_exist_ok=True)
    use_small_index()
    chance, ballast = np.random.default_rng(0), Ballast()
    count = {"runs": 0, "failed": 0}
    whole = new_small_run("whole", 0)
    run_to_end(whole)
    used_bytes = sum(path.stat().st_size for path in whole.path.rglob("*") if path.is_file())
    for number in range(FULL_RUNS):
        run = new_small_run(f"full-{number}", 0)
        ballast.leave(int(chance.uniform(0.2, 1.1) * used_bytes))
        wait_for(fork_job(run))
        state = newest_job(run).state
        ballast.remove()
        if state != "done":
            count["failed"] += 1
            run_to_end(run)
        compare(whole, run)
        shutil.rmtree(run.path)
        count["runs"] += 1
    sys.stdout.write(json.dumps(count) + "\n")
