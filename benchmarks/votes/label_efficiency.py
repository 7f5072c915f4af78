"""How many votes a taste costs: agreement by votes, for families of listeners and ways to learn.

    python benchmarks/votes/label_efficiency.py
    python benchmarks/votes/label_efficiency.py --listener my_listeners:likes_waltzes --seeds 3

Every listener is right about themselves 72 % of the time over random pairs. Judged is the share of
random pairs of *fresh* melodies (of the base policy, or of `--tuned`) on which a model agrees with
the listener's noise-free preference. Ways:

  - ours: the taste profile as it ships, on pairs chosen by information for a committee of
    profiles, ten at a time;
  - random: the same profile on random pairs;
  - logistic: logistic regression on the yardsticks (Bradley-Terry with a Gaussian prior, its width
    by evidence) on the same random pairs.

Calibration is of the probabilities of `ours` against the listener's true ones, in ten bins, on
random fresh pairs. Coverage is of the 90 % intervals of the weights, for listeners whose utility is
linear in the profile's own features, after 200 random pairs. Camps: eight raters, four of either of
two opposite tastes, 60 votes each. The last line is one JSON object.
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

import camps
import numpy as np
from listener_families import FAMILIES, family_taste
from panel import BASE, POOL, Panel, agreement, logistic, mean_of, panel, random_votes, voter
from scipy.special import expit

from music.melody import Melody
from reward.comparisons.intervals import Z_90
from reward.comparisons.preferences import Preferences
from reward.listeners.simulated import SimulatedListener, Utility
from reward.pairs.committee import committee
from reward.pairs.informative import informative_pairs
from reward.profile.features import FEATURE_NAMES, FEATURE_PRIORS
from reward.profile.profile import DEGREES_OF_FREEDOM, TasteProfile
from reward.scorer import RewardError
from rl.rewards.sources import named_function

BUDGETS = (50, 100, 200, 400)
STEPS = tuple(range(20, 401, 20))
"""votes at which `ours` is judged, to find where it passes `random` at its last budget"""
BATCH = 10
EASY, HARD = ("linear", "sparse", "threshold"), ("structural", "rhythmic", "interaction")


def resolve(listener: str, seed: int, pool: Sequence[Melody]) -> Utility:
    """A family's member, or a function by `module:name`."""
    if ":" not in listener:
        return family_taste(listener, seed, pool)
    given = named_function(listener)[0]
    return lambda melodies: np.array([float(given(melody)) for melody in melodies])


def study(job: tuple[str, int, Path, Path | None]) -> dict[str, Any]:
    """One listener, all ways and budgets."""
    listener, seed, base, tuned = job
    m = panel(base, tuned)
    taste = resolve(listener, seed, m.pool)
    person = SimulatedListener(taste, seed=seed).calibrate(m.pool)
    truth, known = person.true_utility(m.fresh), person.true_utility(m.pool)

    rng = np.random.default_rng([seed, 5])
    at_random = random_votes(known, max(BUDGETS), rng, seed=seed)
    found: dict[str, Any] = {"listener": listener, "seed": seed, "random": {}, "logistic": {}}
    for votes in BUDGETS:
        asked = at_random[:votes]
        profile = TasteProfile.fit(asked, m.features_pool, m.scale)
        found["random"][votes] = agreement(profile.score(m.features_fresh)[0], truth)
        plain = logistic(asked, m)
        found["logistic"][votes] = agreement(plain.score(m.yardsticks_fresh)[0], truth)
    found["ours"] = {}
    person_by_row, standard = voter(known, seed + 1000), m.scale.standardise(m.features_pool)
    chosen, answers = list[tuple[int, int]](), list[int]()
    posterior = committee(Preferences.none(), m.features_pool, m.scale)
    while len(answers) < max(STEPS):
        batch = informative_pairs(posterior, standard, BATCH, rng, taken=chosen)
        chosen += batch
        answers += person_by_row.choose(*np.array(batch).T).tolist()
        votes_so_far = Preferences.of(*np.array(chosen).T, np.array(answers))
        posterior = committee(votes_so_far, m.features_pool, m.scale)
        if len(answers) in {*STEPS, *BUDGETS}:
            profile = TasteProfile.fit(votes_so_far, m.features_pool, m.scale)
            found["ours"][len(answers)] = agreement(profile.score(m.features_fresh)[0], truth)
            if len(answers) == 200:
                found["ece"] = calibration_error(profile, m, truth / person.temperature, rng)
    return found


def calibration_error(
    profile: TasteProfile, m: Panel, log_odds: np.ndarray, rng: np.random.Generator
) -> float:
    """Mean over ten bins of |predicted - true probability|, weighted by their pairs."""
    one, other = rng.integers(len(log_odds), size=(2, 4000))
    said = profile.win_probability(m.features_fresh[one], m.features_fresh[other])
    true = expit(log_odds[one] - log_odds[other])
    of = np.minimum((said * 10).astype(int), 9)
    gap = np.bincount(of, said - true, 10)
    return float(abs(gap).sum() / len(said))


def coverage(job: tuple[int, Path]) -> float:
    """Share of weights inside their 90 % interval, for a listener linear in the features."""
    seed, base = job
    m = panel(base, None)
    rng = np.random.default_rng([seed, 9])
    standard = m.scale.standardise(m.features_pool)
    weights = rng.standard_t(DEGREES_OF_FREEDOM, size=standard.shape[1]) * FEATURE_PRIORS
    utility = standard @ weights
    person = voter(utility, seed)
    left, right = rng.integers(POOL, size=(2, 200))
    left, right = left[left != right], right[left != right]
    said = person.choose(left, right)
    profile = TasteProfile.fit(Preferences.of(left, right, said), m.features_pool, m.scale)
    true = weights / utility.std() / person.temperature
    std = np.sqrt(np.diag(profile.group.covariance_FF))
    return float((abs(profile.group.weights_F - true) <= Z_90 * std).mean())


def summary(runs: list[dict[str, Any]], listeners: Sequence[str]) -> dict[str, Any]:
    """Tables as numbers, and what the issue asks for."""
    table: dict[str, Any] = {}
    for listener in listeners:
        own = [run for run in runs if run["listener"] == listener]
        table[listener] = {
            way: {votes: mean_of([run[way][votes] for run in own]) for votes in BUDGETS}
            for way in ("ours", "random", "logistic")
        }

    def over(names: Sequence[str], way: str) -> float | None:
        inside = [name for name in names if name in table]
        values = [table[name][way][200]["mean"] for name in inside]
        return float(np.mean(values)) if inside and len(inside) == len(names) else None

    curve = [np.mean([run["ours"][votes] for run in runs]) for votes in STEPS]
    target = float(np.mean([run["random"][400] for run in runs]))
    reached = np.flatnonzero(np.array(curve) >= target)
    active: float | None = None
    if len(reached):
        at = int(reached[0])
        active = float(STEPS[at])
        if at:  # linear between the two steps
            share = (target - curve[at - 1]) / (curve[at] - curve[at - 1])
            active = float(STEPS[at - 1] + share * (STEPS[at] - STEPS[at - 1]))
    return {
        "agreement_200_easy": over(EASY, "ours"),
        "agreement_200_hard": over(HARD, "ours"),
        "agreement_200_easy_random_pairs": over(EASY, "random"),
        "agreement_200_hard_random_pairs": over(HARD, "random"),
        "agreement_200_easy_logistic": over(EASY, "logistic"),
        "agreement_200_hard_logistic": over(HARD, "logistic"),
        "ahead_of_logistic": {  # on the same random pairs, listener by listener
            votes: mean_of([run["random"][votes] - run["logistic"][votes] for run in runs])
            for votes in BUDGETS
        },
        "active_votes_for_random_400": active,
        "random_400": target,
        "ece": float(np.mean([run["ece"] for run in runs])),
        "listeners": table,
    }


def show(found: dict[str, Any]) -> None:
    """The tables in the terminal."""

    def cell(c: dict[str, float | None], sign: str = "") -> str:
        return f"{c['mean']:{sign}.3f} ± {c['plus_minus'] or 0:.3f}"

    print(f"{'listener':14}{'way':10}" + "".join(f"{votes:>14}" for votes in BUDGETS))
    for listener, ways in found["listeners"].items():
        for way, by_votes in ways.items():
            print(f"{listener:14}{way:10}" + "".join(f"{cell(c):>14}" for c in by_votes.values()))
    ahead = found["ahead_of_logistic"].values()
    print(f"{'ahead of logistic':24}" + "".join(f"{cell(c, '+'):>14}" for c in ahead))


def main() -> None:
    """Run all listeners; the last line is JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument(
        "--listener",
        action="append",
        default=[],
        metavar="MODULE:FUNCTION",
        help="another listener: a function of one melody that gives its utility",
    )
    parser.add_argument("--tuned", type=Path, help="policy whose fresh melodies are judged")
    parser.add_argument("--base", type=Path, default=BASE)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    if given.seeds < 1:
        parser.error(f"--seeds {given.seeds} is below 1; give a positive number")
    for listener in given.listener:
        if ":" not in listener:
            parser.error(f"--listener {listener} names no function; write module:function")
        try:
            named_function(listener)
        except RewardError as error:
            parser.error(f"--listener {listener} names no function that can be had: {error}")
    listeners = [*([] if given.listener and given.families == list(FAMILIES) else given.families)]
    listeners += given.listener
    seeds = range(given.seeds)
    jobs = [(listener, seed, given.base, given.tuned) for listener in listeners for seed in seeds]
    with ProcessPoolExecutor(given.workers) as workers:
        runs = list(workers.map(study, jobs))
        covered = list(workers.map(coverage, [(seed, given.base) for seed in seeds]))
        camp = list(workers.map(camps.study, [("camps", seed, given.base) for seed in seeds]))
    found = summary(runs, listeners)
    found["coverage_90"] = float(np.mean(covered))
    found["camps"] = {name: mean_of([c[name] for c in camp]) for name in camp[0]}
    found |= {"seeds": given.seeds, "features": len(FEATURE_NAMES), "machine": platform.machine()}
    show(found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
