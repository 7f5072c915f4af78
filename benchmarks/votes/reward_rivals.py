"""Our rewards beside other people's, on the same votes: agreement by votes, listener and way.

    python benchmarks/votes/reward_rivals.py --environment SOME/FOLDER
    python benchmarks/votes/reward_rivals.py --seeds 2 --families linear structural --budgets 200
    400

The listeners, votes on random pairs and fresh melodies are those of `label_efficiency.py`. Ways:

  - profile, neural, blend: ours;
  - logistic: logistic regression on the yardsticks;
  - trl_policy, trl_scratch: TRL's RewardTrainer as it comes, from the policy's weights or from
    drawn ones;
  - imitation_features, imitation_tokens: `imitation`'s preference comparison, on our standardised
    features and on tokens, in its own environment (made in `--environment`, once).

TRL and imitation cost the most, so they are run for the first `--slow-seeds` of each family only,
and compared with ours on those. All is judged on the first 500 fresh melodies. A difference's
interval is over listeners, families within (paired). The last line is one JSON object.
"""

from __future__ import annotations

import os

# One process a core: threads of the linear algebra would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # for second_environment

import numpy as np
import torch
from datasets.utils import disable_progress_bars
from imitation_environment import imitation_environment
from label_efficiency import BUDGETS, resolve
from listener_families import FAMILIES
from panel import BASE, Panel, agreement, logistic, mean_of, panel, random_votes
from second_environment import process_variables
from torch import Tensor
from trl_rewards import trl_scores

from music.tokens import VOCABULARY, encode
from policy.checkpoint import load_policy
from policy.model import right_pad
from policy.scope import styles_of
from reward.comparisons.preferences import Preferences
from reward.listeners.simulated import SimulatedListener
from reward.neural.blend import choose_weight
from reward.neural.model import ReadTrunk
from reward.neural.training import fit_read
from reward.profile.profile import TasteProfile
from reward.profile.training import train_reward
from reward.training.models import profile_shrinkage

OURS, FAST = ("profile", "neural", "blend"), ("logistic",)
SLOW = ("trl_policy", "trl_scratch", "imitation_features", "imitation_tokens")
JUDGED, READ = 500, 300
"""fresh melodies that are judged; melodies that fix what is usual for the neural reward"""
IMITATION_EPOCHS = 12
"""3, its default, times 4, as its tutorial's first training"""
IMITATION_DRIVER = Path(__file__).resolve().with_name("imitation_rewards.py")


@cache
def read(base: Path) -> tuple[ReadTrunk, list[Tensor], list[Tensor]]:
    """The trunk, and hidden states of the pool and of the judged melodies."""
    m = panel(base)
    reader = ReadTrunk.of(load_policy(base), m.pool[:READ])
    return reader, reader.states(m.pool), reader.states(m.fresh[:JUDGED])


def study(job: tuple[str, int, tuple[int, ...], Path, Path | None]) -> dict[str, Any]:
    """One listener by all ways and budgets; the slow ones if there is a Python for `imitation`."""
    listener, seed, budgets, base, python = job
    torch.set_num_threads(1)
    disable_progress_bars()
    warnings.filterwarnings("ignore", ".is_gradient_checkpointing. is", FutureWarning)
    m = panel(base)
    person = SimulatedListener(resolve(listener, seed, m.pool), seed=seed).calibrate(m.pool)
    everything = random_votes(
        person.true_utility(m.pool), max(BUDGETS), np.random.default_rng([seed, 5]), seed=seed
    )
    truth = person.true_utility(m.fresh[:JUDGED])
    found: dict[str, Any] = {"listener": listener, "seed": seed, "seconds": {}, "weight": {}}

    def note(way: str, votes: int, score: Callable[[], np.ndarray]) -> np.ndarray:
        begun = time.process_time()
        score_B = score()
        found.setdefault(way, {})[votes] = agreement(score_B, truth)
        found["seconds"].setdefault(way, {})[votes] = time.process_time() - begun
        return score_B

    for votes in budgets:
        asked = everything[:votes]
        _ours(asked, votes, note, found, m, base, seed)
        note(
            "logistic", votes,
            lambda asked=asked: logistic(asked, m).score(m.yardsticks_fresh[:JUDGED])[0],
        )  # fmt: skip
        if python is not None:
            for way in ("trl_policy", "trl_scratch"):
                note(
                    way, votes,
                    lambda asked=asked, way=way: trl_scores(
                        asked, *rows_of(base), load_policy(base),
                        pretrained=way == "trl_policy", seed=seed,
                    ),
                )  # fmt: skip
    if python is not None:
        begun = time.monotonic()
        for kind, rows in _imitation(everything, budgets, m, base, python, seed).items():
            found[f"imitation_{kind}"] = {
                votes: agreement(row, truth) for votes, row in zip(budgets, rows, strict=True)
            }
        found["seconds"]["imitation"] = time.monotonic() - begun
    return found


@cache
def rows_of(base: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Token rows of the pool and of the judged melodies."""
    m, styles = panel(base), styles_of(load_policy(base))
    pool, fresh = (
        [encode(melody, styles) for melody in some] for some in (m.pool, m.fresh[:JUDGED])
    )
    return pool, fresh


def _ours(
    asked: Preferences,
    votes: int,
    note: Callable[[str, int, Callable[[], np.ndarray]], np.ndarray],
    found: dict[str, Any],
    m: Panel,
    base: Path,
    seed: int,
) -> None:
    reader, states, judged = read(base)
    profile = TasteProfile.fit(asked, m.features_pool, m.scale)
    one_B = note("profile", votes, lambda: profile.score(m.features_fresh[:JUDGED])[0])
    fitted = []

    def by_neural() -> np.ndarray:
        fitted.append(fit_read(asked, reader, states, states[:READ], seed=seed))
        return fitted[0].reward.score_states(judged)[0]

    other_B = note("neural", votes, by_neural)

    def by_blend() -> np.ndarray:
        fit = fitted[0]
        curve = train_reward(asked, m.features_pool, m.scale, seed=seed).curve  # by the same folds
        assert curve is not None
        choice = choose_weight(
            asked, curve.held_out_N, fit.held_out_gap_N,
            side=profile.group.side, log_tie=profile.group.log_tie,
        )  # fmt: skip
        found["weight"][votes] = choice.weight
        unit = profile.utility_std() * profile_shrinkage(profile, asked, m.features_pool)
        return (1 - choice.weight) * unit * one_B + choice.weight * fit.reward.utility_std * other_B

    note("blend", votes, by_blend)


def _imitation(
    everything: Preferences,
    budgets: Sequence[int],
    m: Panel,
    base: Path,
    python: Path,
    seed: int,
) -> dict[str, np.ndarray]:
    """Scores (budgets, B) by features and by tokens."""
    pool, fresh = rows_of(base)
    ids = right_pad([row.astype(np.int64) for row in [*pool, *fresh]]).numpy()
    with tempfile.TemporaryDirectory(prefix="tastemaker-") as folder:
        job, answer = Path(folder) / "job.npz", Path(folder) / "scores.npz"
        np.savez(
            job,
            states_pool=m.scale.standardise(m.features_pool),
            states_fresh=m.scale.standardise(m.features_fresh[:JUDGED]),
            tokens_pool=ids[: len(pool)],
            tokens_fresh=ids[len(pool) :],
            left=everything.left,
            right=everything.right,
            outcome=everything.outcome,
            budgets=np.array(budgets),
            epochs=np.array(IMITATION_EPOCHS),
            seed=np.array(seed),
            vocabulary=np.array(len(VOCABULARY)),
        )
        done = subprocess.run(
            [python, "-W", "ignore", IMITATION_DRIVER, job, answer],
            capture_output=True,
            text=True,
            env=process_variables(1),
        )
        if done.returncode:
            raise RuntimeError(f"imitation failed: {' '.join(done.stderr.split())[-400:]}")
        with np.load(answer) as scores:
            return {kind: scores[kind] for kind in scores.files}


def summary(runs: Sequence[dict[str, Any]], budgets: Sequence[int]) -> dict[str, Any]:
    """Mean agreement a way and budget, and how far ours are ahead of each way, with intervals."""
    ways = [way for way in (*OURS, *FAST, *SLOW) if any(way in run for run in runs)]
    found: dict[str, Any] = {"agreement": {}, "profile_ahead_of": {}, "families": {}}
    for way in ways:
        own = [run for run in runs if way in run]
        found["agreement"][way] = {
            votes: {"mean": float(np.mean([run[way][votes] for run in own])), "runs": len(own)}
            for votes in budgets
        }
        found["families"][way] = {
            family: {
                votes: float(np.mean([run[way][votes] for run in own if run["listener"] == family]))
                for votes in budgets
            }
            for family in sorted({run["listener"] for run in own})
        }
        if way != "profile":
            found["profile_ahead_of"][way] = {
                votes: mean_of([run["profile"][votes] - run[way][votes] for run in own])
                for votes in budgets
            }
    found["blend_weight"] = {
        votes: float(np.mean([run["weight"][votes] for run in runs])) for votes in budgets
    }
    return found


def show(found: dict[str, Any], budgets: Sequence[int]) -> None:
    """The table in the terminal."""
    print(
        f"{'way':20}{'runs':>5}" + "".join(f"{votes:>8}{'behind profile':>18}" for votes in budgets)
    )
    for way, by_votes in found["agreement"].items():
        cells = []
        for votes in budgets:
            behind = found["profile_ahead_of"].get(way, {}).get(votes)
            text = (
                "" if behind is None else f"{behind['mean']:.3f} ± {behind['plus_minus'] or 0:.3f}"
            )
            cells.append(f"{by_votes[votes]['mean']:8.3f}{text:>18}")
        print(f"{way:20}{by_votes[budgets[0]]['runs']:>5}" + "".join(cells))


def main() -> None:
    """Run all listeners; the last line is JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--slow-seeds", type=int, default=2, help="seeds for TRL and imitation")
    parser.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--budgets", nargs="*", type=int, default=list(BUDGETS))
    parser.add_argument("--base", type=Path, default=BASE)
    parser.add_argument("--environment", type=Path, help="folder of imitation's environment")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    if given.seeds < 1 or not 0 <= given.slow_seeds <= given.seeds:
        parser.error(
            f"--seeds {given.seeds} --slow-seeds {given.slow_seeds}; give at least one seed, and "
            "no more slow ones than seeds"
        )
    if not given.families:
        parser.error("--families names none; name some, or leave it out")
    least, most = min(given.budgets, default=0), max(given.budgets, default=0)
    if least < 20 or most > max(BUDGETS):
        parser.error(f"--budgets {given.budgets} are not all within 20..{max(BUDGETS)}; mend them")
    python = None
    if given.slow_seeds:
        if given.environment is None:
            parser.error("--environment is missing; name a folder, or --slow-seeds 0")
        python = imitation_environment(given.environment)
    budgets = tuple(sorted(set(given.budgets)))
    jobs = [
        (family, seed, budgets, given.base, python if seed < given.slow_seeds else None)
        for seed in range(given.seeds)
        for family in given.families
    ]
    begun = time.monotonic()
    runs = []
    with ProcessPoolExecutor(given.workers) as workers:
        for run in workers.map(study, jobs):
            runs.append(run)
            print(json.dumps(run), flush=True)
    found = summary(runs, budgets)
    show(found, budgets)
    found |= {"seeds": given.seeds, "slow_seeds": given.slow_seeds, "machine": platform.machine()}
    found["minutes"] = (time.monotonic() - begun) / 60
    print(json.dumps(found))


if __name__ == "__main__":
    main()
