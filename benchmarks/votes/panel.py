"""A panel: melodies to be rated and fresh ones to be judged on, simulated listeners, agreement.

What the benchmarks of votes share. Everything is deterministic and the same in every process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from music.descriptors.yardsticks import yardstick_values
from music.melody import Melody
from policy.checkpoint import load_policy
from policy.compose import Conditioning, compose
from policy.shipped import shipped_policy
from reward.comparisons.preferences import Preferences
from reward.listeners.simulated import SimulatedListener
from reward.profile.feature_scale import FeatureScale
from reward.profile.features import feature_matrix
from reward.profile.profile import TasteProfile

BASE = shipped_policy().resolve()
POOL, FRESH, SCALE = 2000, 1500, 1000
JUDGED_PAIRS = 20_000


@dataclass(frozen=True)
class Panel:
    """Melodies and their features."""

    pool: Sequence[Melody]
    fresh: Sequence[Melody]
    features_pool: np.ndarray
    features_fresh: np.ndarray
    yardsticks_pool: np.ndarray
    yardsticks_fresh: np.ndarray
    scale: FeatureScale


@cache
def panel(base: Path, tuned: Path | None = None) -> Panel:
    """Melodies of 4/4 and 8 bars: a pool, fresh ones, by `tuned` if given, and the scale's."""
    policy, conditioning = load_policy(base), Conditioning(meter="4/4", bars=8)
    judged = policy if tuned is None else load_policy(tuned)
    pool, fresh, usual = (
        compose(by, count, conditioning=conditioning, seed=seed)
        for by, count, seed in ((policy, POOL, 11), (judged, FRESH, 12), (policy, SCALE, 13))
    )
    plain, plain_fresh = (
        np.nan_to_num(np.stack(list(yardstick_values(some).values()), axis=1))
        for some in (pool, fresh)
    )
    return Panel(
        pool,
        fresh,
        feature_matrix(pool),
        feature_matrix(fresh),
        plain,
        plain_fresh,
        FeatureScale.of(usual),
    )


def voter(utility: np.ndarray, seed: int) -> SimulatedListener:
    """A listener whose items are rows of the pool, of known utility (POOL,)."""
    return SimulatedListener(lambda rows: utility[rows], seed=seed).calibrate(np.arange(POOL))


def random_votes(
    utility: np.ndarray, count: int, rng: np.random.Generator, *, seed: int
) -> Preferences:
    """Votes of one listener of known utility (POOL,) on random pairs drawn from `rng`."""
    rows = rng.integers(POOL, size=(4 * count, 2))
    left, right = rows[rows[:, 0] != rows[:, 1]][:count].T
    return Preferences.of(left, right, voter(utility, seed).choose(left, right))


def agreement(score: np.ndarray, utility: np.ndarray) -> float:
    """Share of random pairs, equals left out, that both order alike."""
    one, other = np.random.default_rng(1).integers(len(score), size=(2, JUDGED_PAIRS))
    apart = utility[one] != utility[other]
    same = np.sign(score[one] - score[other]) == np.sign(utility[one] - utility[other])
    return float(same[apart].mean())


def logistic(votes: Preferences, m: Panel) -> TasteProfile:
    """Logistic regression on the yardsticks of the pool, of which votes name rows.

    Bradley-Terry with a Gaussian prior, its width by evidence.
    """
    names = [f"yardstick_{i}" for i in range(m.yardsticks_pool.shape[1])]
    scale = FeatureScale.of(m.yardsticks_pool)
    return TasteProfile.fit(votes, m.yardsticks_pool, scale, feature_names=names, freedom=None)


def mean_of(values: Sequence[float]) -> dict[str, float | None]:
    """Mean with its 95 % interval over independent runs; one run has none."""
    count = len(values)
    error = float(np.std(values, ddof=1) / np.sqrt(count)) if count > 1 else None
    return {"mean": float(np.mean(values)), "plus_minus": None if error is None else 1.96 * error}
