"""What reasons are worth: agreement from votes of which some have a reason, by family of listeners.

    python benchmarks/votes/reasons.py
    python benchmarks/votes/reasons.py --families sparse rhythmic --first-seed 10 --seeds 5

Every listener answers as in `label_efficiency.py`, on random pairs, and half of the decided votes
have a reason. A reason names the domain of features that truly decided with a probability of .7,
and otherwise another domain, each alike (`reward.listeners.reasons`). Ways, with 100 votes unless
said:

  - plain: without reasons;
  - reasons: with such reasons;
  - plain_200: 200 votes without reasons, of which the 100 are the first;
  - reasons_200: 200 votes, half with a reason;
  - random: reasons that are named whatever decided, all domains alike;
  - habit: always the same domain, one that is drawn for each listener;
  - unsure: reasons of which 40 % are right.

Judged as there, on random pairs of fresh melodies; calibration too. Trust is the share of reasons
that the profile believes not to be named by chance, whose true value is .625 for `reasons` (.7 of
them right and .075 each other domain), .25 for `unsure` and 0 for `random`. The last line is one
JSON object.
"""

from __future__ import annotations

import os

# One process a core: threads of the linear algebra would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from label_efficiency import calibration_error
from listener_families import FAMILIES, family_parts, family_taste
from panel import BASE, POOL, agreement, mean_of, panel, voter

from music.melody import Melody
from music.note_table import note_table
from reward.comparisons.preferences import Preferences
from reward.listeners.reasons import BY_CHANCE, ReasonGiver
from reward.listeners.simulated import SimulatedListener
from reward.profile.profile import TasteProfile
from reward.profile.reasons import DOMAINS, speaks_of

VOTES, MORE_VOTES = 100, 200
SHARE, RIGHT, UNSURE = 0.5, 0.7, 0.4


def parts_by_domain(family: str, seed: int, melodies: Sequence[Melody]) -> np.ndarray:
    """What each domain adds to a member's utility; float (N, D).

    A part that is about several features is shared out among them; what no feature measures is in
    no domain, and is never named.
    """
    table = note_table(melodies)
    found = np.zeros((len(table), len(DOMAINS)))
    for part in family_parts(family, seed, melodies):
        for column, domain in enumerate(DOMAINS):
            if part.about:
                share = speaks_of(domain, part.about).mean()
                if share:
                    found[:, column] += share * part.weight * part.measure(table)
    return found


def study(job: tuple[str, int, Path]) -> dict[str, Any]:
    """One listener, all ways."""
    family, seed, base = job
    m = panel(base)
    person = SimulatedListener(family_taste(family, seed, m.pool), seed=seed).calibrate(m.pool)
    truth, known = person.true_utility(m.fresh), person.true_utility(m.pool)
    parts = parts_by_domain(family, seed, m.pool)

    rng = np.random.default_rng([seed, 21])
    rows = rng.integers(POOL, size=(4 * MORE_VOTES, 2))
    left, right = rows[rows[:, 0] != rows[:, 1]][:MORE_VOTES].T
    outcome = voter(known, seed).choose(left, right)

    def named(share_right: float) -> np.ndarray:
        giver = ReasonGiver(lambda rows: parts[rows], share=SHARE, right=share_right, seed=seed)
        return giver.name(left, right, outcome)

    given = named(RIGHT)
    always = np.eye(len(DOMAINS), dtype=bool)[rng.integers(len(DOMAINS))]
    ways: dict[str, tuple[int, np.ndarray | None]] = {
        "plain": (VOTES, None),
        "reasons": (VOTES, given),
        "plain_200": (MORE_VOTES, None),
        "reasons_200": (MORE_VOTES, given),
        "random": (VOTES, named(BY_CHANCE)),
        "habit": (VOTES, np.outer(given.any(axis=1), always)),
        "unsure": (VOTES, named(UNSURE)),
    }
    found: dict[str, Any] = {
        "family": family,
        "seed": seed,
        "agreement": {},
        "ece": {},
        "trust": {},
    }
    for way, (votes, reasons) in ways.items():
        asked = Preferences.of(left, right, outcome)
        if reasons is not None:
            asked = Preferences.of(
                left, right, outcome, reasons=reasons, reason_names=tuple(DOMAINS)
            )
        profile = TasteProfile.fit(asked[:votes], m.features_pool, m.scale)
        found["agreement"][way] = agreement(profile.score(m.features_fresh)[0], truth)
        log_odds, pairs = truth / person.temperature, np.random.default_rng([seed, 22])
        found["ece"][way] = calibration_error(profile, m, log_odds, pairs)
        trust = profile.reasons.get(asked.rater_ids[0])
        if trust is not None:
            found["trust"][way] = trust.share
    return found


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over all listeners, and the paired differences that the issue asks for."""
    ways = list(runs[0]["agreement"])

    def mean(of: str, way: str, some: Sequence[dict[str, Any]] = runs) -> dict[str, float | None]:
        return mean_of([run[of][way] for run in some])

    def ahead(way: str, other: str) -> dict[str, float | None]:
        return mean_of([run["agreement"][way] - run["agreement"][other] for run in runs])

    families = dict.fromkeys(run["family"] for run in runs)
    return {
        "agreement": {way: mean("agreement", way) for way in ways},
        "gain_of_reasons": ahead("reasons", "plain"),
        "ahead_of_200_plain": ahead("reasons", "plain_200"),
        "cost_of_random_reasons": ahead("plain", "random"),
        "cost_of_one_reason_always": ahead("plain", "habit"),
        "gain_of_unsure_reasons": ahead("unsure", "plain"),
        "ece": {way: mean("ece", way) for way in ways},
        "trust": {way: mean("trust", way) for way in ways if way in runs[0]["trust"]},
        "families": {
            family: {
                way: mean("agreement", way, [run for run in runs if run["family"] == family])
                for way in ways
            }
            for family in families
        },
    }


def show(found: dict[str, Any]) -> None:
    """The table in the terminal."""

    def cell(c: dict[str, float | None]) -> str:
        return f"{c['mean']:.3f} ± {c['plus_minus'] or 0:.3f}"

    ways = found["agreement"]
    print(f"{'listener':14}" + "".join(f"{way:>16}" for way in ways))
    for family, cells in (*found["families"].items(), ("all", ways)):
        print(f"{family:14}" + "".join(f"{cell(cells[way]):>16}" for way in ways))
    for of in ("ece", "trust"):
        print(
            f"{of:14}"
            + "".join(f"{cell(found[of][w]) if w in found[of] else '':>16}" for w in ways)
        )


def main() -> None:
    """Run all listeners; the last line is JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--base", type=Path, default=BASE)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    if given.seeds < 1:
        parser.error(f"--seeds {given.seeds} is below 1; give a positive number")
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    jobs = [(family, seed, given.base) for family in given.families for seed in seeds]
    with ProcessPoolExecutor(given.workers) as workers:
        found = summary(list(workers.map(study, jobs)))
    show(found)
    print(json.dumps(found | {"seeds": given.seeds, "first_seed": given.first_seed}))


if __name__ == "__main__":
    main()
