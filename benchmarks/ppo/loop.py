"""The whole loop over several seeds: what 200 votes of a simulated listener buy.

    python benchmarks/ppo/loop.py --taste calm --seeds 3 --out checkpoints/runs/loop

Each seed is a listener, a pool, a reward model and a PPO run of its own, on the shipped base. The
judge is the listener's true utility, which neither reward model nor PPO sees. The last line is one
JSON object with means over the seeds. Needs nothing but the package; about 6 minutes a seed on two
cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from policy.shipped import shipped_policy
from reward.listeners.tastes import TASTES
from rl.loop import LoopConfig, run_loop
from rl.ppo.config import PPOConfig

FIGURES = (
    "true_win_rate", "kl_nats", "agreement", "agreement_ceiling", "model_win_rate", "notes_base",
    "notes_tuned", "vendi_base", "vendi_tuned", "originality_base", "originality_tuned",
    "originality_held_out_humans",
)  # fmt: skip


def main() -> None:
    """Run the loop for each seed and print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--taste", choices=list(TASTES), default=LoopConfig().taste)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--votes", type=int, default=200)
    parser.add_argument("--out", type=Path, required=True, help="folder for the reports")
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, taste {given.taste}, {given.votes} votes")
    results: list[dict[str, Any]] = []
    for seed in range(given.seeds):
        config = LoopConfig(
            taste=given.taste, votes=given.votes, seed=seed, ppo=replace(PPOConfig(), seed=seed)
        )
        out = given.out / f"{given.taste}-{seed}"
        result = run_loop(config, shipped_policy(), out).report()
        results.append(result)
        best = result["best_of_n"]
        print(
            f"seed {seed}: true win rate {result['true_win_rate']:.3f} at {result['kl_nats']:.2f} "
            f"nats; best of {best['n']:.0f} {best['true_win_rate']:.3f} at {best['kl_nats']:.2f}; "
            f"{result['seconds']['total']:.0f} s",
            flush=True,
        )
    print(f"{'mean over seeds':28s} {'mean':>8s} {'± s.e.':>8s}")
    means: dict[str, float] = {}
    for name in FIGURES:
        values = np.array([result[name] for result in results], float)
        means[name] = float(values.mean())
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        print(f"{name:28s} {means[name]:8.3f} {error:8.3f}")
    best_of = [result["best_of_n"]["true_win_rate"] for result in results]
    means["best_of_n_true_win_rate"] = float(np.mean(best_of))
    means["seconds_total"] = float(np.mean([result["seconds"]["total"] for result in results]))
    print(json.dumps({"taste": given.taste, "seeds": given.seeds, **means}))


if __name__ == "__main__":
    main()
