"""Over-optimisation, shown and stopped: a long run without guards, and the same with the defaults.

    python benchmarks/ppo/over_optimisation.py --out checkpoints/runs/over --plot
    docs/images/over_optimisation.svg

The listener is one whose taste (`form`) a linear profile from 200 noisy votes reaches only in part:
the reward model is wrong somewhere, and a policy that is pushed finds out where. Without guards:
lambda 0, no saturation, a KL coefficient near 0, no floors, every update kept. The judge is the
true utility, in standard deviations of the base's melodies. About 10 minutes a seed on one core.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # for second_environment

import numpy as np
from learning_task import listen, ours
from matplotlib.figure import Figure

from rl.ppo.config import PPOConfig

UNGUARDED: dict[str, Any] = {
    "std_penalty": 0.0,
    "saturation_point": None,
    "kl_coefficient": 1e-3,
    "kl_target_nats": 1e3,
    "kl_limit_nats": 1e6,
    "diversity_floor": 0.0,
    "originality_floor": 0.0,
    "disagreement_limit": 1e6,
}
LAST = 5
"""updates at the end that count as where a run ended"""


def main() -> None:
    """Run both, print the curves and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--taste", default="form")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--plot", type=Path, help="SVG file to write")
    given = parser.parse_args()
    curves: dict[str, list[dict[str, Any]]] = {"unguarded": [], "default": []}
    for seed in given.seeds:
        folder = given.out / f"{given.taste}-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        listened = listen(given.taste, seed, folder)
        config = replace(listened.task.config, updates=given.updates)
        for name, changed in (("unguarded", replace(config, **UNGUARDED)), ("default", config)):
            result = ours(listened, changed)
            curves[name].append(result)
            for update, point in enumerate(result["points"]):
                if update % 5 == 0:
                    broken = ", ".join(point["guards_broken"])
                    print(
                        f"{name:10s} seed {seed} update {update:3d}: score {point['score']:+.2f}  "
                        f"true {point['true_utility']:+.2f}  KL {point['kl_nats']:6.2f}  {broken}",
                        flush=True,
                    )
    summary: dict[str, Any] = {name: _summary(results) for name, results in curves.items()}
    print(f"{platform.machine()}, {os.cpu_count()} cores, one thread, {PPOConfig().std_penalty=}")
    if given.plot:
        _plot(curves, given.plot)
    print(json.dumps({"taste": given.taste, "seeds": given.seeds, **summary}))


def _summary(results: list[dict[str, Any]]) -> dict[str, float]:
    """Where the mean curves peak and end; `kept` is the policy that the run would give."""
    true, score = (
        np.mean([[point[key] for point in result["points"]] for result in results], 0)
        for key in ("true_utility", "score")
    )
    smooth = np.convolve(true, np.ones(LAST) / LAST, "valid")
    return {
        "true_utility_at_its_best": float(smooth.max()),
        "true_utility_at_the_end": float(smooth[-1]),
        "score_at_the_true_best": float(score[int(smooth.argmax()) + LAST // 2]),
        "score_at_the_end": float(score[-LAST:].mean()),
        "kl_nats_at_the_end": float(np.mean([r["points"][-1]["kl_nats"] for r in results])),
        "kept_true_utility": float(np.mean([result["true_utility"] for result in results])),
        "kept_kl_nats": float(np.mean([result["kl_nats"] for result in results])),
    }


def _plot(curves: dict[str, list[dict[str, Any]]], path: Path) -> None:
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    both = figure.subplots(1, 2, sharey=True)
    for axes, (name, results) in zip(both, curves.items(), strict=True):
        for key, colour in (("score", "#d55e00"), ("true_utility", "#0072b2")):
            for result in results:
                axes.plot([point[key] for point in result["points"]], color=colour, lw=1.4)
        axes.set_title({"unguarded": "no guards, λ = 0", "default": "defaults"}[name], fontsize=9)
        axes.set_xlabel("update")
        axes.grid(alpha=0.25)
    both[0].set_ylabel("base s.d.")
    both[0].plot([], color="#d55e00", label="reward model")
    both[0].plot([], color="#0072b2", label="true utility")
    both[0].legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
