"""Real choices: strains that several editors kept, beside strains that one editor alone printed.

    python benchmarks/votes/real_choices.py
    python benchmarks/votes/real_choices.py --fast

Strains of O'Neill 1903 of which Ryan 1883 or Aird (1782-1803) has a near-duplicate, in whatever
key, were "kept by several editors". Each is matched with a strain of O'Neill, of the same metre,
style and number of bars, of a tune that shares nothing with those two books. In a pair of a kept
and another strain of one metre, style and length, the kept one wins. Nobody here made these
choices.

The taste profile learns from N such pairs, in which melodies recur, and predicts pairs of melodies
that it has not heard: five folds of melodies, those of one tune in one fold. Beside it, on the
same features and pairs: logistic regression, gradient-boosted trees on differences (each pair in
both orders, so that sides do not matter) and a kernel machine (logistic regression on the Nyström
feature map of a Gaussian kernel).

Which strains are matched with the kept ones is drawn several times. Figures are means over these
draws and, for few pairs, over several draws of pairs; intervals are bootstraps of melodies. The
three books are read from music21's package. The last line is one JSON object: `agreement_N`, with
`_interval`, of the profile; `logistic_all`, `trees_all`, `kernel_all`; and `ece_recurring`, the
worst calibration error at 100, 400 and 2,000 pairs.
"""

from __future__ import annotations

import os

# One process a core: threads of the linear algebra would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.kernel_approximation import Nystroem

from music.corpora.books import find_books, read_books
from music.corpora.corpus_file import BOOKS
from music.corpora.file_reading import read_file
from music.corpora.near_duplicates import overlaps
from music.melody import Melody
from music.tokens import encode
from reward.comparisons.preferences import Preferences
from reward.profile.feature_scale import FeatureScale
from reward.profile.features import FEATURE_NAMES, feature_matrix
from reward.profile.profile import TasteProfile
from reward.validation.held_out_figures import Drawn, HeldOut, HeldOutFigures, Interval
from reward.validation.logistic import predict_logistic
from reward.validation.melody_folds import FOLDS, assign_melodies

KEPT_IN, AIRD = next(iter(BOOKS)), "airdsAirs"
SIZES: dict[int | str, int] = {100: 4, 400: 2, 2000: 1, "all": 1}
"""pairs that are learnt from, and how many draws of them"""
RECURRING = (100, 400, 2000)
MATCHINGS = 2
SCALE_MELODIES = 2000
COMPONENTS = 200
"""of the kernel's feature map; some 380 melodies are learnt from"""

Predictor = Callable[[Preferences, Preferences], np.ndarray]
"""(train, test) -> P(left is better) of each test comparison"""


@dataclass(frozen=True, eq=False)
class Choices:
    """The strains of O'Neill, and which of them several editors kept."""

    melodies: Sequence[Melody]
    tune_M: np.ndarray
    stratum_M: np.ndarray
    """metre, style and bars, as text"""
    kept_M: np.ndarray
    """near a strain of another book, and no copy of an earlier strain"""
    other_M: np.ndarray
    """of a tune that shares nothing with other books, and no copy of an earlier strain"""


def read_choices(folder: Path) -> Choices:
    """Read the three books in `folder` and find what they share."""
    tunes = read_books(folder, Counter())
    elsewhere = [encode(m) for tune in tunes if tune.book != KEPT_IN for m in tune.melodies]
    for file in sorted((folder / AIRD).glob("*.abc")):
        elsewhere += [row for tune in read_file(file, file.name, None).tunes for row in tune.rows]
    found = [(place, m) for place, t in enumerate(tunes) if t.book == KEPT_IN for m in t.melodies]
    tune_M, melodies = np.array([place for place, _ in found]), [m for _, m in found]
    return sort_choices(melodies, tune_M, elsewhere)


def sort_choices(
    melodies: Sequence[Melody], tune_M: np.ndarray, elsewhere: Sequence[np.ndarray]
) -> Choices:
    """Which melodies are kept and which are not, by the tokens of strains of other books."""
    near, shared = np.zeros(len(melodies), bool), np.zeros(len(melodies), bool)
    before = len(elsewhere)
    rows = [encode(melody) for melody in melodies]
    for place, overlap in enumerate(overlaps([*elsewhere, *rows]), start=-before):
        if place >= 0:  # of an exact copy, overlaps are told of the first of its kind only
            near[place] = any(o < before or near[o - before] for o in overlap.near())
            shared[place] = any(o < before or shared[o - before] for o in overlap.held_in())
    copies = np.array([len(overlap.held_in()) > 0 for overlap in overlaps(rows)])
    headers = [melody.header for melody in melodies]
    return Choices(
        melodies,
        tune_M,
        np.array([f"{header.meter} {header.style} {header.bars}" for header in headers]),
        near & ~copies,
        ~np.isin(tune_M, tune_M[shared]) & ~copies,
    )


def match(choices: Choices, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """As many kept melodies as others, as rows, stratum by stratum."""
    kept: list[int] = []
    others: list[int] = []
    for stratum in np.unique(choices.stratum_M[choices.kept_M]):
        inside = choices.stratum_M == stratum
        these, those = (
            rng.permutation(np.flatnonzero(inside & wanted))
            for wanted in (choices.kept_M, choices.other_M)
        )
        count = min(len(these), len(those))
        kept += these[:count].tolist()
        others += those[:count].tolist()
    return np.array(kept), np.array(others)


def pairs_of(
    choices: Choices, kept: np.ndarray, others: np.ndarray, rng: np.random.Generator
) -> Preferences:
    """All pairs of a kept and another melody of one stratum, in random order and sides."""
    same = choices.stratum_M[kept][:, None] == choices.stratum_M[others][None]
    row, column = rng.permutation(np.argwhere(same)).T
    better, worse = kept[row], others[column]
    outcome = np.where(rng.random(len(better)) < 0.5, 1, -1)
    left, right = np.where(outcome > 0, [better, worse], [worse, better])
    return Preferences.of(left, right, outcome)


def predictors(
    features_MF: np.ndarray, scale: FeatureScale, tune_M: np.ndarray
) -> dict[str, Predictor]:
    """The profile and its rivals by name."""
    standard_MF = scale.standardise(features_MF)

    def profile(train: Preferences, test: Preferences) -> np.ndarray:
        fitted = TasteProfile.fit(train, features_MF, scale)
        return fitted.win_probability(features_MF[test.left], features_MF[test.right])

    def logistic(train: Preferences, test: Preferences) -> np.ndarray:
        return predict_logistic(train, test, standard_MF, tune_M)

    def trees(train: Preferences, test: Preferences) -> np.ndarray:
        learnt_NF = standard_MF[train.left] - standard_MF[train.right]
        asked_NF = standard_MF[test.left] - standard_MF[test.right]
        model = HistGradientBoostingClassifier(
            learning_rate=0.05, max_leaf_nodes=8, l2_regularization=10.0, random_state=0
        )
        model.fit(np.concatenate([learnt_NF, -learnt_NF]), np.tile(train.outcome, 2) *
                  np.repeat([1, -1], len(train)))  # fmt: skip
        one, other = (model.predict_proba(sign * asked_NF)[:, 1] for sign in (1, -1))
        return (one + 1 - other) / 2

    def kernel(train: Preferences, test: Preferences) -> np.ndarray:
        learnt = np.unique(np.concatenate([train.left, train.right]))
        feature_map = Nystroem(
            gamma=0.5 / float(np.var(standard_MF[learnt], axis=0).sum()),
            n_components=min(COMPONENTS, len(learnt)),
            random_state=0,
        ).fit(standard_MF[learnt])
        mapped_MC = np.asarray(feature_map.transform(standard_MF))
        return predict_logistic(train, test, mapped_MC, tune_M, independent=1)

    return {"profile": profile, "logistic": logistic, "trees": trees, "kernel": kernel}


@dataclass(frozen=True, eq=False)
class Study:
    """What was predicted of the pairs of unseen melodies."""

    held_out: HeldOut
    figures: Mapping[tuple[str, int | str], HeldOutFigures]
    """by model and size"""
    learnt: Mapping[int | str, float]
    """pairs that were learnt from, on average"""
    recurrence: Mapping[int | str, float]
    """pairs in which a melody stood, on average of the melodies"""
    seconds: Mapping[str, float]
    """processor time of all fits of a model"""


def study(
    choices: Choices, scale: FeatureScale, *, matchings: int, seed: int, models: Sequence[str]
) -> Study:
    """Cross-validate by melody, at all sizes."""
    features_MF = feature_matrix(choices.melodies)
    ways = predictors(features_MF, scale, choices.tune_M)
    tested: list[Preferences] = []
    predicted: dict[tuple[str, int | str], list[np.ndarray]] = {}
    learnt: dict[int | str, list[int]] = {size: [] for size in SIZES}
    recurrence: dict[int | str, list[float]] = {size: [] for size in SIZES}
    seconds = dict.fromkeys(models, 0.0)
    for matching in range(matchings):
        rng = np.random.default_rng([seed, matching])
        kept, others = match(choices, rng)
        both = np.concatenate([kept, others])
        fold_M = np.full(len(choices.melodies), -1)
        fold_M[both] = assign_melodies(choices.tune_M[both], seed=seed + matching)
        for fold in range(FOLDS):
            inside, outside = (
                (kept[fold_M[kept] == fold], others[fold_M[others] == fold]),
                (kept[fold_M[kept] != fold], others[fold_M[others] != fold]),
            )
            test, train = (pairs_of(choices, *some, rng) for some in (inside, outside))
            tested.append(test)
            for size, repeats in SIZES.items():
                count = len(train) if size == "all" else min(int(size), len(train))
                asked = [train[repeat * count : (repeat + 1) * count] for repeat in range(repeats)]
                learnt[size] += map(len, asked)
                for some in asked:
                    heard = np.unique(np.concatenate([some.left, some.right]))
                    recurrence[size].append(2 * len(some) / len(heard))
                for name in models:
                    begun = time.process_time()
                    rows = [ways[name](some, test) for some in asked]
                    seconds[name] += time.process_time() - begun
                    predicted.setdefault((name, size), []).append(np.array(rows))
    held_out = HeldOut(Preferences.joined(tested), choices.tune_M)
    return Study(
        held_out,
        {key: held_out.figures(np.concatenate(rows, axis=1)) for key, rows in predicted.items()},
        {size: float(np.mean(counts)) for size, counts in learnt.items()},
        {size: float(np.mean(shares)) for size, shares in recurrence.items()},
        seconds,
    )


def summary(done: Study, models: Sequence[str]) -> dict[str, Any]:
    """All figures as JSON."""
    found: dict[str, Any] = {}

    def note(name: str, interval: Interval) -> None:
        found[name] = interval.value
        found[f"{name}_interval"] = [interval.low, interval.high]

    for name in models:
        for size in SIZES:
            figures = done.figures[name, size]
            front = "" if name == "profile" else f"{name}_"
            ending = f"agreement_{size}" if name == "profile" else str(size)
            note(f"{front}{ending}", figures.agreement.interval)
            note(f"{front}log_loss_{size}", figures.log_loss.interval)
            note(f"{front}ece_{size}", figures.ece.interval)
        if name != "profile":
            ours, theirs = done.figures["profile", "all"], done.figures[name, "all"]
            note(f"ahead_of_{name}_all", ours.agreement.above(theirs.agreement))
    worst = max(RECURRING, key=lambda size: done.figures["profile", size].ece.value)
    note("ece_recurring", done.figures["profile", worst].ece.interval)
    sizes = list(SIZES)
    for fewer, more in [*pairwise(sizes), (100, "all")]:
        gain: Drawn = done.figures["profile", fewer].agreement
        note(f"gain_{fewer}_to_{more}", done.figures["profile", more].agreement.above(gain))
    found["falls"] = [  # beyond the interval
        name for name in found if name.startswith("gain_") and name.endswith("_interval")
        and found[name][1] < 0
    ]  # fmt: skip
    return found


def show(done: Study, models: Sequence[str]) -> None:
    """The table in the terminal."""
    print(f"{'pairs':>6}{'of each':>9}  {'model':10}{'agreement':>22}{'log loss':>22}{'ECE':>22}")
    for size in SIZES:
        for name in models:
            f = done.figures[name, size]
            cells = "".join(f"{d.interval!s:>22}" for d in (f.agreement, f.log_loss, f.ece))
            pairs, each = round(done.learnt[size]), done.recurrence[size]
            print(f"{pairs:>6}{each:>9.1f}  {name:10}{cells}")


def main() -> None:
    """Run the study; the last line is JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--matchings", type=int, default=MATCHINGS, help="draws of other strains")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fast", action="store_true", help="one matching, and no trees or kernel")
    given = parser.parse_args()
    if given.matchings < 1:
        parser.error(f"--matchings {given.matchings} is below 1; give a positive number")
    if given.seed < 0:
        parser.error(f"--seed {given.seed} is below 0; give 0 or more")
    try:
        folder = find_books()
    except FileNotFoundError as error:
        parser.error(str(error))
    begun = time.process_time()
    choices = read_choices(folder)
    rng = np.random.default_rng(given.seed)
    some = rng.permutation(len(choices.melodies))[:SCALE_MELODIES]
    scale = FeatureScale.of([choices.melodies[row] for row in some])
    models = ("profile", "logistic") if given.fast else ("profile", "logistic", "trees", "kernel")
    matchings = 1 if given.fast else given.matchings
    print(f"books read in {time.process_time() - begun:.0f} s", file=sys.stderr)
    done = study(choices, scale, matchings=matchings, seed=given.seed, models=models)
    show(done, models)
    found = summary(done, models)
    found |= {
        "kept": int(choices.kept_M.sum()),
        "others_to_choose_from": int(choices.other_M.sum()),
        "pairs_of_unseen_melodies": len(done.held_out.preferences),
        "pairs_learnt_all": done.learnt["all"],
        "matchings": matchings,
        "seed": given.seed,
        "features": len(FEATURE_NAMES),
        "machine": platform.machine(),
        "fit_seconds": done.seconds,
        "seconds": time.process_time() - begun,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
