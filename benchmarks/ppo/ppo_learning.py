"""What PPO learns for its nats and its seconds, beside best-of-n, DPO, RLOO and TRL's PPO.

    python benchmarks/ppo/ppo_learning.py --out checkpoints/runs/learning

Four simulated tastes, five seeds each, a taste profile from 200 noisy votes; the judge is the true
utility (`learning_task`). What is in --out already is not done again. Takes an hour and a half on
two cores, one process a core; `--tastes calm --seeds 1` takes some minutes, and what is near the
base by itself, `--methods ours_near ours_nearer dpo rloo`, 45. The last line is one JSON object, of
the methods that all runs have.

How methods are compared:
  - at equal KL: a method's result against our PPO at that method's KL, run by run. Ours is run at
    three distances: `ours_nearer` and `ours_near`, with a fixed KL coefficient at which PPO comes
    to rest at some third of a nat and at one, and `ours`, as shipped. Between the base and these
    two the line is straight; beyond them it is the shipped one's curve;
  - in seconds: when our curve, the mean over a taste's seeds, first reaches the mean utility that
    TRL's PPO ends at, against the seconds that TRL spent.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # for second_environment

import numpy as np
from learning_plot import plot
from learning_task import METHODS, NEAR, START, Budgets, run_task

TASTES = ("calm", "arches", "dance", "form")


def main() -> None:
    """Run what is missing, print the tables, write the plot, end with a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tastes", nargs="+", default=list(TASTES), choices=[*TASTES, "contrast"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
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
        folder = given.out / f"{taste}-{seed}"
        run_task(taste, int(seed), folder, environment, budgets, given.methods)
        return
    # The hardest part of the second environment first, once, before workers ask for it.
    from second_environment import described, second_environment

    made_with = ""
    if "trl_ppo" in given.methods:
        made_with = f", TRL {described(second_environment(environment))['trl']} for PPO"
    jobs = [(taste, seed) for seed in range(given.seeds) for taste in given.tastes]

    def work(job: tuple[str, int]) -> None:
        folder = given.out / f"{job[0]}-{job[1]}"
        folder.mkdir(parents=True, exist_ok=True)
        done = _read(folder)["methods"] if (folder / "result.json").is_file() else {}
        missing = [name for name in given.methods if name not in done]
        if not missing:
            return
        command = [
            sys.executable, __file__, "--out", str(given.out), "--environment", str(environment),
            "--trl-updates", str(given.trl_updates), "--methods", *missing,
            "--only", job[0], str(job[1]),
        ]  # fmt: skip
        with (folder / "log.txt").open("w") as log:
            ended = subprocess.run(
                command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=log, stderr=log
            )
        if ended.returncode:
            raise SystemExit(f"{job[0]}, seed {job[1]} failed; see {folder / 'log.txt'}")
        print(f"{job[0]}, seed {job[1]}: {_brief(_read(folder))}", flush=True)

    with ThreadPoolExecutor(given.workers) as pool:
        list(pool.map(work, jobs))
    results = [_read(given.out / f"{taste}-{seed}") for taste, seed in jobs]
    print(
        f"\n{platform.machine()}, {os.cpu_count()} cores, one thread a process; "
        f"torch {version('torch')}, TRL {version('trl')}{made_with}\n"
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
    """True utility of our PPO at a KL, straight between what was measured; its end beyond it."""
    methods = result["methods"]
    points = [START, *(methods[name] for name in NEAR if name in methods)]
    furthest = max(point["kl_nats"] for point in points)
    curve = methods["ours"]["points"] if "ours" in methods else []
    points += [point for point in curve if point["kl_nats"] > furthest]
    points.sort(key=lambda point: point["kl_nats"])
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
    names = [name for name in METHODS if all(name in result["methods"] for result in results)]
    ours = {"ours", *NEAR} & set(names)
    for name in names:
        runs = [result["methods"][name] for result in results]
        figures = {
            key: float(np.mean([run[key] for run in runs]))
            for key in ("true_utility", "kl_nats", "vendi", "seconds")
        }
        if ours and name not in ours:
            lead = np.array(
                [
                    our_utility_at(result, result["methods"][name]["kl_nats"])
                    - result["methods"][name]["true_utility"]
                    for result in results
                ]
            )
            figures["ours_minus_it_at_equal_kl"] = float(lead.mean())
            figures["standard_error"] = float(lead.std(ddof=1) / np.sqrt(len(lead)))
        summary["methods"][name] = figures
    ratios: list[float] = []
    for taste in sorted({result["taste"] for result in results}):
        mine = [result for result in results if result["taste"] == taste]
        means = {
            key: {
                name: float(np.mean([result["methods"][name][key] for result in mine]))
                for name in names
            }
            for key in ("true_utility", "seconds")
        }
        summary["tastes"][taste] = means["true_utility"]
        if {"ours", "trl_ppo"} <= set(names):
            ended = means["true_utility"]["trl_ppo"]
            ratios.append(means["seconds"]["trl_ppo"] / our_seconds_to(mine, ended))
            summary["tastes"][taste]["seconds_ratio_vs_trl"] = ratios[-1]
    if ratios:
        summary["seconds_ratio_vs_trl"] = float(np.exp(np.mean(np.log(ratios))))
    if {"ours", "best_of_n"} <= set(names):
        ends = summary["methods"]
        summary["ours_over_best_of_n"] = (
            ends["ours"]["true_utility"] / ends["best_of_n"]["true_utility"]
        )
    summary["runs"] = len(results)
    return summary


def print_tables(summary: dict[str, Any]) -> None:
    """The figures for people, in Markdown."""
    print("| method | true utility | KL, nats | Vendi | CPU seconds | ours − it at equal KL |")
    print("|---|---|---|---|---|---|")
    for name, m in summary["methods"].items():
        lead = ""
        if "ours_minus_it_at_equal_kl" in m:
            lead = f"{m['ours_minus_it_at_equal_kl']:+.2f} ± {m['standard_error']:.2f}"
        print(
            f"| {name} | {m['true_utility']:+.2f} | {m['kl_nats']:.2f} | {m['vendi']:.1f} | "
            f"{m['seconds']:.0f} | {lead} |"
        )
    names = list(summary["methods"])
    print("\n| taste | " + " | ".join(names) + " | TRL's seconds over ours |")
    print("|---" * (len(names) + 2) + "|")
    for taste, figures in summary["tastes"].items():
        cells = " | ".join(f"{figures[name]:+.2f}" for name in names)
        ratio = figures.get("seconds_ratio_vs_trl")
        print(f"| {taste} | {cells} | {'' if ratio is None else f'{ratio:.1f}'} |")
    print()


if __name__ == "__main__":
    main()
