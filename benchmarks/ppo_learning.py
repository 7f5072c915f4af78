"""What PPO learns for its nats and its seconds, beside best-of-n, DPO, RLOO and TRL's PPO.

    python benchmarks/ppo_learning.py --out checkpoints/runs/learning

Four simulated tastes, five seeds each, a taste profile from 200 noisy votes; the judge is the true
utility (`learning_task`). Runs that are in --out already are not done again. Takes about an hour on
two cores, one process a core; `--tastes calm --seeds 1` takes some minutes. The last line is one
JSON object.

How methods are compared:
  - at equal KL: a method's result against our curve at that method's KL, run by run;
  - in seconds: when our curve, the mean over a taste's seeds, first reaches the mean utility that
    TRL's PPO ends at, against the seconds that TRL spent.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from learning_plot import plot
from learning_task import Budgets, run_task

TASTES = ("calm", "arches", "dance", "form")
METHODS = ("ours", "best_of_n", "dpo", "rloo", "trl_ppo")


def main() -> None:
    """Run what is missing, print the tables, write the plot, end with a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tastes", nargs="+", default=list(TASTES), choices=[*TASTES, "contrast"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--environment", type=Path, help="folder of the second environment")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 1)))
    parser.add_argument("--trl-updates", type=int, default=Budgets().trl_updates)
    parser.add_argument("--plot", type=Path, help="SVG file to write")
    parser.add_argument("--only", nargs=2, metavar=("TASTE", "SEED"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    environment = given.environment or given.out / "trl-1.12"
    budgets = replace(Budgets(), trl_updates=given.trl_updates)
    if given.only:
        taste, seed = given.only
        run_task(taste, int(seed), given.out / f"{taste}-{seed}", environment, budgets)
        return
    # The hardest part of the second environment first, once, before workers ask for it.
    from second_environment import described, second_environment

    made_with = described(second_environment(environment))
    jobs = [(taste, seed) for seed in range(given.seeds) for taste in given.tastes]

    def work(job: tuple[str, int]) -> None:
        folder = given.out / f"{job[0]}-{job[1]}"
        if (folder / "result.json").is_file():
            return
        shutil.rmtree(folder, ignore_errors=True)
        command = [
            sys.executable, __file__, "--out", str(given.out), "--environment", str(environment),
            "--trl-updates", str(given.trl_updates), "--only", job[0], str(job[1]),
        ]  # fmt: skip
        folder.mkdir(parents=True)
        with (folder / "log.txt").open("w") as log:
            done = subprocess.run(
                command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=log, stderr=log
            )
        if done.returncode:
            raise SystemExit(f"{job[0]}, seed {job[1]} failed; see {folder / 'log.txt'}")
        print(f"{job[0]}, seed {job[1]}: {_brief(_read(folder))}", flush=True)

    with ThreadPoolExecutor(given.workers) as pool:
        list(pool.map(work, jobs))
    results = [_read(given.out / f"{taste}-{seed}") for taste, seed in jobs]
    print(
        f"\n{platform.machine()}, {os.cpu_count()} cores, one thread a process; "
        f"torch {made_with['torch']}, TRL {made_with['trl']} for PPO\n"
    )
    summary = summarise(results)
    print_tables(summary)
    if given.plot:
        plot(results, given.plot)
    print(json.dumps(summary))


def _read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


def _brief(result: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {m['true_utility']:+.2f} at {m['kl_nats']:.1f} nats in {m['seconds']:.0f} s"
        for name, m in result["methods"].items()
    )


def our_utility_at(result: dict[str, Any], kl_nats: float) -> float:
    """Our curve's true utility at a KL, straight between its points; its end beyond it."""
    points = sorted(result["methods"]["ours"]["points"], key=lambda point: point["kl_nats"])
    return float(
        np.interp(kl_nats, [p["kl_nats"] for p in points], [p["true_utility"] for p in points])
    )


def our_seconds_to(results: list[dict[str, Any]], utility: float) -> float:
    """When the mean of our curves first reaches a utility; infinite if it does not."""
    curves = [result["methods"]["ours"]["points"] for result in results]
    longest = max(map(len, curves))  # a run whose guards stayed broken ends early, and stays there
    curves = [curve + curve[-1:] * (longest - len(curve)) for curve in curves]
    seconds = np.mean([[p["seconds"] for p in curve] for curve in curves], 0)
    height = np.mean([[p["true_utility"] for p in curve] for curve in curves], 0)
    reached = np.flatnonzero(height >= utility)
    if not len(reached):
        return float("inf")
    at = reached[0]
    if at == 0:
        return float(seconds[0])
    return float(np.interp(utility, height[at - 1 : at + 1], seconds[at - 1 : at + 1]))


def summarise(results: list[dict[str, Any]]) -> dict[str, Any]:
    """All figures: means over tastes and seeds, differences at equal KL, ratios of seconds."""
    summary: dict[str, Any] = {"methods": {}, "tastes": {}}
    for name in METHODS:
        runs = [result["methods"][name] for result in results]
        figures = {
            key: float(np.mean([run[key] for run in runs]))
            for key in ("true_utility", "kl_nats", "vendi", "seconds")
        }
        lead = np.array(
            [
                our_utility_at(result, result["methods"][name]["kl_nats"])
                - result["methods"][name]["true_utility"]
                for result in results
            ]
        )
        if name != "ours":
            figures["ours_minus_it_at_equal_kl"] = float(lead.mean())
            figures["standard_error"] = float(lead.std(ddof=1) / np.sqrt(len(lead)))
        summary["methods"][name] = figures
    ratios: list[float] = []
    for taste in sorted({result["taste"] for result in results}):
        mine = [result for result in results if result["taste"] == taste]
        end = float(np.mean([result["methods"]["trl_ppo"]["true_utility"] for result in mine]))
        spent = float(np.mean([result["methods"]["trl_ppo"]["seconds"] for result in mine]))
        ratios.append(spent / our_seconds_to(mine, end))
        summary["tastes"][taste] = {
            "seconds_ratio_vs_trl": ratios[-1],
            **{
                name: float(np.mean([result["methods"][name]["true_utility"] for result in mine]))
                for name in METHODS
            },
        }
    summary["seconds_ratio_vs_trl"] = float(np.exp(np.mean(np.log(ratios))))
    summary["ours_over_best_of_n"] = (
        summary["methods"]["ours"]["true_utility"] / summary["methods"]["best_of_n"]["true_utility"]
    )
    summary["runs"] = len(results)
    return summary


def print_tables(summary: dict[str, Any]) -> None:
    """The figures for people, in Markdown."""
    print("| method | true utility | KL, nats | Vendi | CPU seconds | ours − it at equal KL |")
    print("|---|---|---|---|---|---|")
    for name, m in summary["methods"].items():
        lead = ""
        if name != "ours":
            lead = f"{m['ours_minus_it_at_equal_kl']:+.2f} ± {m['standard_error']:.2f}"
        print(
            f"| {name} | {m['true_utility']:+.2f} | {m['kl_nats']:.2f} | {m['vendi']:.1f} | "
            f"{m['seconds']:.0f} | {lead} |"
        )
    print("\n| taste | " + " | ".join(METHODS) + " | TRL's seconds over ours |")
    print("|---" * (len(METHODS) + 2) + "|")
    for taste, figures in summary["tastes"].items():
        cells = " | ".join(f"{figures[name]:+.2f}" for name in METHODS)
        print(f"| {taste} | {cells} | {figures['seconds_ratio_vs_trl']:.1f} |")
    print()


if __name__ == "__main__":
    main()
