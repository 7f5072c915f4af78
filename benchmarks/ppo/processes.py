"""One process on one core against two on two: episodes a second, and the same learning curve.

    python benchmarks/ppo/processes.py --updates 12 --seeds 3

Each run is `rl.ppo.trainer.fine_tune` on the shipped base with one thread a process, towards fewer
and longer notes, which needs no votes. The first update is warm-up. The last line is one JSON
object with `ratio_two_over_one` and the difference of the curves.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np


def long_notes(melodies: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Liking of few notes, in deviations of 12 notes about 55; certain of itself."""
    notes = np.array([len(melody.notes) for melody in melodies], float)
    return (55 - notes) / 12, np.zeros(len(notes))


def work(folder: Path) -> None:
    """What each process does: go on with the one run in the folder."""
    import torch

    from policy.checkpoint import load_policy
    from policy.runs import open_run
    from policy.shipped import shipped_policy
    from rl.evaluation.evaluate import training_index
    from rl.ppo.config import PPOConfig
    from rl.ppo.trainer import fine_tune

    torch.set_num_threads(1)
    run = open_run("ppo-0001", root=folder)
    config = PPOConfig.from_record(run.record["config"])
    base = load_policy(shipped_policy())
    fine_tune(run, config, base, long_notes, training_index(base))


def timed_run(processes: int, updates: int, seed: int) -> list[dict[str, Any]]:
    """The log of one run by so many processes."""
    from policy.runs import Run, new_run
    from rl.ppo.config import PPOConfig, config_record

    config = replace(PPOConfig(), updates=updates, seed=seed, threads=1, processes=processes)
    with tempfile.TemporaryDirectory() as folder:
        run = new_run("ppo", config_record(config), root=Path(folder))
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        done = subprocess.run(
            [sys.executable, *(torchrun if processes > 1 else []), __file__, "--work", folder],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{processes} processes failed: {done.stderr[-2000:]}")
        return Run(run.path).rows()


def main() -> None:
    """Interleave the runs, print both sides and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work)
        return
    curves: dict[int, list[list[float]]] = {1: [], 2: []}
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for seed in range(given.seeds):
        for processes in (1, 2):
            rows = timed_run(processes, given.updates, seed)
            # Without the first, which warms up, and the last, which learns nothing.
            seconds[processes] += [row["seconds"] for row in rows[1:-1]]
            curves[processes].append([row["score_mean"] for row in rows])
            print(
                f"seed {seed}, {processes} process(es): "
                f"{np.median(seconds[processes]):.2f} s an update, "
                f"score {rows[0]['score_mean']:+.2f} -> {rows[-1]['score_mean']:+.2f} at "
                f"{rows[-1]['kl_nats']:.1f} nats",
                flush=True,
            )
    one, two = (np.array(curves[n]) for n in (1, 2))
    gap = two.mean(0) - one.mean(0)
    spread = np.sqrt((one.var(0, ddof=1) + two.var(0, ddof=1)) / given.seeds)
    summary = {
        "ratio_two_over_one": float(np.median(seconds[1]) / np.median(seconds[2])),
        "largest_gap_in_standard_errors": float(np.max(np.abs(gap[1:]) / spread[1:])),
        "mean_gap": float(gap[1:].mean()),
        "updates": given.updates,
        "seeds": given.seeds,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
