"""RL Tuner's table: how far from the base any policy has to go that holds all of its rows.

    python benchmarks/rl_tuner_study/rl_tuner_bound.py --melodies 65536

Each row asks that a ratio of two sums be at least (or at most) w, that is E[top - w bottom] >= 0: a
linear constraint on the distribution of melodies. Of all distributions that keep such constraints
f, the one nearest the base is the base tilted by exp(price . f), and its KL is the dual optimum
max over price >= 0 of -log E_base[exp(price . f)] (Csiszar, I-divergence geometry, Annals of
Probability 1975, theorem 3.1). The expectation is estimated on melodies of the shipped base; the
prices are the weights, in nats, of the linear reward whose best policy that is.

What the prices of one half of the melodies give on the other half says how far to trust them.
The last line is one JSON object. 65,536 melodies take a quarter of an hour with one thread, and
the tilt then rests on some hundreds of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rl_tuner_metrics import METRICS, THEIR_STEPS, Metric
from rl_tuner_table import wanted
from rl_tuner_task import BASE, write_side
from scipy.optimize import linprog, minimize

from music.descriptors.motifs import STEP_TICKS
from music.melody import Melody
from music.note_table import Melodies, note_table
from music.tokens import decode
from policy.checkpoint import load_policy
from policy.scope import styles_of

OUT_OF_REACH = 1e-6
"""deviations of the base by which a row is missed, beyond what is rounding"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Tops and bottoms of the study's ratios, two float64 (metrics, melodies)."""

    tops: np.ndarray
    bottoms: np.ndarray

    @classmethod
    def of(cls, melodies: Melodies) -> Counts:
        """Those of some melodies."""
        table = note_table(melodies)
        both = [metric.measure(table) for metric in METRICS]
        return cls(tops=np.stack([t for t, _ in both]), bottoms=np.stack([b for _, b in both]))

    def halves(self) -> tuple[Counts, Counts]:
        """Those of the first and of the second half of the melodies."""
        middle = self.tops.shape[1] // 2
        first, second = slice(None, middle), slice(middle, None)
        return (
            Counts(tops=self.tops[:, first], bottoms=self.bottoms[:, first]),
            Counts(tops=self.tops[:, second], bottoms=self.bottoms[:, second]),
        )

    def figures(self, chances: np.ndarray | None = None) -> np.ndarray:
        """The ratios, of melodies that count alike or by `chances` (melodies,)."""
        weights = np.ones(self.tops.shape[1]) if chances is None else chances
        return (self.tops @ weights) / (self.bottoms @ weights)


@dataclass(frozen=True, slots=True)
class Bound:
    """One side of what a row asks for: sign * (figure - at) >= 0."""

    metric: Metric
    row: int
    sign: int
    at: float

    def slack(self, counts: Counts) -> np.ndarray:
        """What each melody gives to it, in its own unit; (melodies,)."""
        return self.sign * (counts.tops[self.row] - self.at * counts.bottoms[self.row])


def bounds_of(base: Counts, steps: int) -> list[Bound]:
    """What the table asks of a base with these counts; two bounds for an autocorrelation."""
    bounds: list[Bound] = []
    for row, (metric, before) in enumerate(zip(METRICS, base.figures(), strict=True)):
        ours, theirs = (
            metric.ceiling(count) if metric.ceiling else 1.0 for count in (steps, THEIR_STEPS)
        )
        asked = wanted(metric, float(before), ours, theirs)[1]
        if metric.better == "nearer 0":
            bounds += [Bound(metric, row, -1, asked), Bound(metric, row, 1, -asked)]
        else:
            bounds.append(Bound(metric, row, 1 if metric.better == "more" else -1, asked))
    return bounds


def sixteenths(melodies: Sequence[Melody]) -> int:
    """How many each of some melodies of one length has."""
    return int(note_table(melodies[:1]).total_ticks[0]) // STEP_TICKS


def nearest(bounds: Sequence[Bound], counts: Counts) -> tuple[np.ndarray, float]:
    """Prices in nats (one a bound) of the nearest distribution that keeps them, and its KL in nats.

    Raises:
        ValueError: when no distribution over these melodies keeps them all.
    """
    slack_BN = np.stack([bound.slack(counts) for bound in bounds])
    deviation_B = slack_BN.std(1)  # one scale for all, or the search is slow
    deviation_B[deviation_B == 0] = 1
    scaled_BN = slack_BN / deviation_B[:, None]
    missed_B = least_missed(scaled_BN) > OUT_OF_REACH
    if missed_B.any():
        names = {b.metric.name for b, is_missed in zip(bounds, missed_B, strict=True) if is_missed}
        raise ValueError(
            f"no mixture of these {slack_BN.shape[1]} melodies holds {', '.join(sorted(names))}; "
            "ask for more --melodies"
        )

    def dual(price_B: np.ndarray) -> tuple[float, np.ndarray]:
        chances, log_mean = tilted(price_B @ scaled_BN)
        return log_mean, scaled_BN @ chances

    found = minimize(
        dual,
        np.zeros(len(bounds)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * len(bounds),
        options={"maxiter": 5000},
    )
    return found.x / deviation_B, max(0.0, -float(found.fun))


def least_missed(slack_BN: np.ndarray) -> np.ndarray:
    """By how much each bound is missed by the mixture that misses them least in all; (bounds,).

    Without it the search for prices would have no end, and only rounding to stop it.

    Raises:
        ValueError: when the linear programme cannot be solved.
    """
    bounds, melodies = slack_BN.shape
    # Unknown are the chances, then what each bound is missed by.
    found = linprog(
        np.r_[np.zeros(melodies), np.ones(bounds)],
        A_ub=-np.c_[slack_BN, np.eye(bounds)],
        b_ub=np.zeros(bounds),
        A_eq=np.r_[np.ones(melodies), np.zeros(bounds)][None],
        b_eq=[1.0],
        method="highs",
    )
    if not found.success:
        raise ValueError(f"whether the rows can be held was not found out: {found.message}")
    return found.x[melodies:]


def tilted(log_weight_N: np.ndarray) -> tuple[np.ndarray, float]:
    """Chances in proportion to exp(log weight), and the log of the mean of that; (N,) and nats."""
    highest = log_weight_N.max()
    weight_N = np.exp(log_weight_N - highest)
    return weight_N / weight_N.sum(), float(highest + np.log(weight_N.mean()))


def kl_nats(chances_N: np.ndarray) -> float:
    """Nats from chances over N melodies to equal ones."""
    some = chances_N[chances_N > 0]
    return float(some @ np.log(some * len(chances_N)))


def report(bounds: Sequence[Bound], counts: Counts) -> dict[str, Any]:
    """Prices, KL and figures of the nearest distribution, on all melodies and across halves."""
    prices_B, least = nearest(bounds, counts)
    chances = chances_at(prices_B, bounds, counts)
    halves = counts.halves()
    across: list[tuple[float, np.ndarray]] = []
    for learnt, tried in (halves, halves[::-1]):
        unseen = chances_at(nearest(bounds, learnt)[0], bounds, tried)
        across.append((kl_nats(unseen), tried.figures(unseen)))
    before, after = counts.figures(), counts.figures(chances)
    rows: dict[str, dict[str, Any]] = {}
    for row, metric in enumerate(METRICS):
        own = [bound for bound in bounds if bound.row == row]
        prices = [p for p, bound in zip(prices_B, bounds, strict=True) if bound.row == row]
        rows[metric.name] = {
            "base": float(before[row]),
            "wanted": abs(own[0].at),
            "nearest": float(after[row]),
            "on_unseen_melodies": [float(figures[row]) for _, figures in across],
            "price_nats": float(sum(b.sign * p for b, p in zip(own, prices, strict=True))),
            "alone_kl_nats": nearest(own, counts)[1],
        }
    return {
        "kl_nats": least,
        "kl_nats_on_unseen_melodies": [kl for kl, _ in across],
        "rests_on_melodies": float(1 / (chances**2).sum()),
        "rows": rows,
    }


def chances_at(prices_B: np.ndarray, bounds: Sequence[Bound], counts: Counts) -> np.ndarray:
    """The chance of each melody in the base tilted by some prices; (melodies,)."""
    return tilted(prices_B @ np.stack([bound.slack(counts) for bound in bounds]))[0]


def as_table(found: dict[str, Any]) -> str:
    """What `report` gives, as Markdown."""
    lines = [
        "| metric | base | asked for | nearest | price in nats | alone, nats |",
        "|---|---|---|---|---|---|",
    ]
    for metric in METRICS:
        row = found["rows"][metric.name]
        cells = f"{row['base']:.4f} | {row['wanted']:.4f} | {row['nearest']:.4f}"
        lines.append(
            f"| {metric.label} | {cells} | {row['price_nats']:+.2f} | {row['alone_kl_nats']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Write melodies, find the nearest distribution, print it; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--melodies", type=int, default=65_536)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    base = load_policy(BASE)
    seed = given.seed + 3_000_017  # melodies that neither the study tunes on nor counts
    melodies = [
        decode(row, styles=styles_of(base)) for row in write_side(base, base, given.melodies, seed)
    ]
    counts = Counts.of(melodies)
    found = report(bounds_of(counts, sixteenths(melodies)), counts)
    print(as_table(found))
    print(
        f"{found['kl_nats']:.2f} nats from the base, resting on {found['rests_on_melodies']:.0f} "
        f"of {given.melodies} melodies"
    )
    print(json.dumps({"melodies": given.melodies, **found}))


if __name__ == "__main__":
    main()
