"""The plot of `ppo_learning`: true utility against KL and against seconds, a row a taste."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

NAMES = {
    "ours": "ours", "ours_near": "ours, near", "ours_nearer": "ours, nearer",
    "best_of_n": "best of n", "dpo": "DPO", "rloo": "RLOO", "trl_ppo": "TRL's PPO",
}  # fmt: skip
STYLES = {
    "ours": "-", "ours_near": "-", "ours_nearer": "-", "best_of_n": ":", "dpo": "--",
    "rloo": "-.", "trl_ppo": "--",
}  # fmt: skip
COLOURS = {
    "ours": "#0072b2", "ours_near": "#56b4e9", "ours_nearer": "#9ad0f0", "best_of_n": "#555555",
    "dpo": "#cc79a7", "rloo": "#009e73", "trl_ppo": "#d55e00",
}  # fmt: skip


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Write the SVG: a thin line a seed, a thick one for their mean."""
    tastes = sorted({result["taste"] for result in results})
    names = [name for name in NAMES if all(name in result["methods"] for result in results)]
    with mpl.rc_context({"svg.hashsalt": "learning", "font.size": 8}):
        figure = Figure(figsize=(7.5, 2.1 * len(tastes)), layout="constrained")
        grid = figure.subplots(len(tastes), 2, squeeze=False, sharey="row")
        for (left, right), taste in zip(grid, tastes, strict=True):
            mine = [result for result in results if result["taste"] == taste]
            for axes, key in ((left, "kl_nats"), (right, "seconds")):
                for name in names:
                    curves = [result["methods"][name]["points"] for result in mine]
                    style = {"color": COLOURS[name], "ls": STYLES[name]}
                    for curve in curves:
                        axes.plot(*_columns(curve, key), lw=0.5, alpha=0.35, **style)
                    shared = min(len(curve) for curve in curves)
                    mean = np.mean([_columns(curve[:shared], key) for curve in curves], 0)
                    axes.plot(*mean, lw=1.8, label=NAMES[name], **style)
                axes.grid(alpha=0.25)
            left.set_ylabel(f"{taste}\ntrue utility, base s.d.")
        grid[-1, 0].set_xlabel("KL from the base, nats a melody")
        grid[-1, 1].set_xlabel("CPU seconds of training, one thread")
        grid[0, 0].legend(loc="lower right", fontsize=7)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})


def _columns(curve: list[dict[str, Any]], key: str) -> tuple[list[float], list[float]]:
    return [point[key] for point in curve], [point["true_utility"] for point in curve]
