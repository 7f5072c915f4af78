"""Raters who differ: what personal profiles gain where a group disagrees, or does not listen.

    python benchmarks/votes/camps.py
    python benchmarks/votes/camps.py --seeds 3 --groups camps

Groups of raters, 60 votes each on random pairs of their own, who are right about themselves 72 % of
the time; their common taste is a weight for every yardstick:

  - camps: eight raters, four of either of two opposite tastes;
  - minority: six and two;
  - one taste: four raters;
  - spammer: four raters of one taste and one who answers by chance;
  - left-presser: the same, and one who presses left 95 % of the time;
  - spammer on shared pairs: as above, all on the same 60 pairs, sides by chance.

Judged is the share of random pairs of fresh melodies on which a profile agrees with the rater's
noise-free preference, mean over those who listen: personal profiles (fitted together), one shared
by all, and each rater's votes alone. The weight of a rater's vote in the group's taste is the
probability that they listen, times the square of their scale; shown is the bad rater's over a good
one's. The last line is one JSON object.
"""

from __future__ import annotations

import os

# One process a core: threads of the linear algebra would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import platform
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from listener_families import family_taste, opposite
from panel import BASE, POOL, agreement, mean_of, panel, voter

from reward.comparisons.preferences import LEFT, RIGHT, Preferences
from reward.listeners.simulated import SimulatedListener
from reward.profile.profile import TasteProfile

VOTES = 60
LEFT_SHARE = 0.95
"""of the answers of who presses left"""
FAMILY, FIRST_TASTE = "linear", 500
GROUPS: dict[str, tuple[str, ...]] = {
    "camps": ("for", "against") * 4,
    "minority": ("for",) * 6 + ("against",) * 2,
    "one taste": ("for",) * 4,
    "spammer": ("for",) * 4 + ("chance",),
    "left-presser": ("for",) * 4 + ("left",),
    "spammer on shared pairs": ("for",) * 4 + ("chance",),
}
LISTENING = ("for", "against")


def votes_of(
    kinds: Sequence[str], seed: int, base: Path, *, shared_pairs: bool
) -> tuple[Preferences, list[np.ndarray | None]]:
    """Everyone's votes, and each listener's utility of the fresh melodies (None: none)."""
    m = panel(base)
    taste = family_taste(FAMILY, FIRST_TASTE + seed, m.pool)
    rng = np.random.default_rng([seed, 7])
    left, right = rng.integers(POOL, size=(2, len(kinds) * VOTES))
    if shared_pairs:
        left, right = np.tile(left[:VOTES], len(kinds)), np.tile(right[:VOTES], len(kinds))
        turned = rng.random(len(left)) < 0.5
        left, right = np.where(turned, right, left), np.where(turned, left, right)
    right = np.where(left == right, (right + 1) % POOL, right)
    rater = np.repeat(np.arange(len(kinds)), VOTES)
    said, truths = np.zeros(len(rater), np.int64), list[np.ndarray | None]()
    for number, kind in enumerate(kinds):
        mine = rater == number
        if kind not in LISTENING:
            share = LEFT_SHARE if kind == "left" else 0.5
            said[mine] = rng.choice([LEFT, RIGHT], VOTES, p=[share, 1 - share])
            truths.append(None)
            continue
        own = taste if kind == "for" else opposite(taste)
        person = SimulatedListener(own, seed=0).calibrate(m.pool)
        by_row = voter(person.true_utility(m.pool), 100 * seed + number)
        said[mine] = by_row.choose(left[mine], right[mine])
        truths.append(person.true_utility(m.fresh))
    names = tuple(f"rater {number}" for number in range(len(kinds)))
    return Preferences.of(left, right, said, rater=rater, rater_ids=names), truths


def study(job: tuple[str, int, Path]) -> dict[str, float]:
    """One group: agreement by way, and the bad rater's weight if there is one."""
    group, seed, base = job
    kinds = GROUPS[group]
    m = panel(base)
    votes, truths = votes_of(kinds, seed, base, shared_pairs="shared" in group)

    def of_one(some: Preferences) -> TasteProfile:
        return TasteProfile.fit(
            Preferences.of(some.left, some.right, some.outcome), m.features_pool, m.scale
        )

    together, shared = TasteProfile.fit(votes, m.features_pool, m.scale), of_one(votes)
    ways: dict[str, list[float]] = {"personal": [], "shared": [], "separate": []}
    for number, truth in enumerate(truths):
        if truth is None:
            continue
        alone = of_one(votes[votes.rater == number])
        for way, profile, who in (
            ("personal", together, votes.rater_ids[number]),
            ("shared", shared, None),
            ("separate", alone, None),
        ):
            ways[way].append(agreement(profile.score(m.features_fresh, who)[0], truth))
    found = {way: float(np.mean(values)) for way, values in ways.items()}
    tastes = [together.taste(name) for name in votes.rater_ids]
    weights = [taste.listens * taste.scale**2 for taste in tastes]
    good = np.mean([w for w, kind in zip(weights, kinds, strict=True) if kind in LISTENING])
    bad = [w for w, kind in zip(weights, kinds, strict=True) if kind not in LISTENING]
    return found | ({"weight": float(np.mean(bad) / good)} if bad else {})


def summary(runs: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Mean and 95 % interval over seeds; of weights the share below a tenth and the median too."""
    table: dict[str, Any] = {}
    for name in runs[0]:
        values = [run[name] for run in runs]
        table[name] = mean_of(values)
        if name == "weight":
            table[name] |= {
                "median": float(np.median(values)),
                "below_a_tenth": float(np.mean(np.array(values) < 0.1)),
            }
    return table


def show(group: str, table: dict[str, Any]) -> None:
    """One line of a group, for the terminal."""
    cells = [f"{name} {c['mean']:.3f} ± {c['plus_minus'] or 0:.3f}" for name, c in table.items()]
    if "weight" in table:
        weight = table["weight"]
        cells.append(f"median {weight['median']:.3f}, {weight['below_a_tenth']:.0%} below 0.1")
    print(f"{group:25}" + "   ".join(cells), flush=True)


def main() -> None:
    """Run all groups; the last line is JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--groups", nargs="*", default=list(GROUPS), choices=list(GROUPS))
    parser.add_argument("--base", type=Path, default=BASE)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    if given.seeds < 1:
        parser.error(f"--seeds {given.seeds} is below 1; give a positive number")
    found: dict[str, Any] = {}
    with ProcessPoolExecutor(given.workers) as workers:
        for group in given.groups:
            jobs = [(group, seed, given.base) for seed in range(given.seeds)]
            found[group] = summary(list(workers.map(study, jobs)))
            show(group, found[group])
    print(json.dumps(found | {"seeds": given.seeds, "machine": platform.machine()}))


if __name__ == "__main__":
    main()
