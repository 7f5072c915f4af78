"""Simulated listeners: raters whose true taste is known, as unreliable as people.

They are for tests, benchmarks and the demo; their votes are never mixed with people's unmarked.
What they like is one of `reward.listeners.tastes.TASTES`, or any function of the items that they
compare.

A listener answers as Bradley-Terry-Davidson: log-odds of left over right = utility difference /
temperature + side bias. The temperature is solved for, so that over random pairs of a pool, sides
at random, the asked share of decided answers is the noise-free choice; utilities are standardised
on that pool.

Letters: M melodies of the pool, N comparisons or items.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import brentq

from music.progress import Progress, no_progress
from policy.runs import RunError
from reward.comparisons.intervals import RELIABILITY
from reward.comparisons.preferences import LEFT, RIGHT, TIE
from reward.listeners.tastes import TASTES
from reward.pairs.traps import CORRUPTED
from reward.store.schema import ROUND_PURPOSES
from reward.store.store import RatingsStore
from reward.store.votes import Answer

CALIBRATION_PAIRS, CALIBRATION_QUANTILES = 20_000, 1_000
DRIFT_LIMIT_RADIANS = np.pi / 2

Utility = Callable[[Any], np.ndarray]
"""items -> float (N,), on any scale"""


class ListenerError(ValueError):
    """A listener that cannot be; the message gives the value, the rule and the remedy."""


@dataclass(slots=True)
class _Calibration:
    """What the pool fixes."""

    mean: float
    std: float
    drift_mean: float = 0.0
    drift_std: float = 1.0
    correlation: float = 0.0
    """between the taste and the one it drifts to, over the pool"""
    log_tie: float = -np.inf
    inverse_temperature: float = np.inf


@dataclass(slots=True)
class SimulatedListener:
    """A rater with a known taste; call `calibrate` first. Deterministic under `seed`.

    Raises:
        ListenerError: for an unknown taste or a number out of its range.
    """

    taste: str | Utility
    """a name in `TASTES`, or any function of items, which then need not be melodies"""
    reliability: float = RELIABILITY
    """share of decided answers that are the noise-free choice, over random pairs; 1 is no noise"""
    side_bias: float = 0.0
    """log-odds that being on the left adds"""
    tie_rate: float = 0.0
    """share of ties over random pairs"""
    drift: float = 0.0
    """radians per 100 votes by which the taste turns to `drift_taste`, up to a right angle"""
    seed: int = 0
    drift_taste: str | Utility | None = None
    """by default the next of `TASTES`; needed for a function that drifts"""
    votes: int = field(default=0, init=False)
    """comparisons answered so far"""
    _random: np.random.Generator = field(init=False, repr=False)
    _calibration: _Calibration | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the fields."""
        for name, value, low, high in (
            ("reliability", self.reliability, 0.5, 1.0),
            ("tie_rate", self.tie_rate, 0.0, 0.95),
            ("side_bias", self.side_bias, -5.0, 5.0),
            ("drift", self.drift, 0.0, DRIFT_LIMIT_RADIANS),
        ):
            if not low <= value <= high or (name == "reliability" and value == low):
                raise ListenerError(
                    f"{name}={value} is not within {low}..{high}; choose one that is"
                )
        if self.reliability == 1.0 and (self.tie_rate or self.side_bias):
            raise ListenerError(
                "a listener of reliability=1 has no ties and no side bias; lower it a little"
            )
        for taste in (self.taste, self.drift_taste):
            if isinstance(taste, str) and taste not in TASTES:
                raise ListenerError(f"taste={taste!r} is not known; choose one of {list(TASTES)}")
        if self.drift and self.drift_taste is None:
            if callable(self.taste):
                raise ListenerError(
                    f"drift={self.drift} of a function leads nowhere; give drift_taste"
                )
            names = list(TASTES)
            self.drift_taste = names[(names.index(self.taste) + 1) % len(names)]
        self._random = np.random.default_rng(self.seed)

    @property
    def name(self) -> str:
        """How to mark this listener's votes: always begins with 'simulated'."""
        taste = self.taste
        if not isinstance(taste, str):
            taste = getattr(taste, "__name__", "function")
        return f"simulated-{taste}-{self.reliability:.2f}-{self.seed}"

    def calibrate(self, melodies: Any) -> SimulatedListener:  # noqa: ANN401  whatever the taste takes
        """Standardise the utility on a pool, solve for temperature and ν; returns itself.

        Raises:
            ListenerError: for a pool on which all utilities are equal or not finite.
        """
        utility_M, mean, std = _standardised(_resolve(self.taste), melodies)
        found = _Calibration(mean, std)
        if self.drift_taste is not None:
            drift_M, found.drift_mean, found.drift_std = _standardised(
                _resolve(self.drift_taste), melodies
            )
            found.correlation = float(np.mean(utility_M * drift_M))
            if abs(found.correlation) > 0.999:
                raise ListenerError(
                    "drift_taste ranks this pool as taste does; drift to another taste"
                )
        if self.reliability < 1.0:
            self._solve(found, _random_differences(utility_M))
        self._calibration = found
        return self

    def true_utility(self, melodies: Any, at_vote: int | None = None) -> np.ndarray:  # noqa: ANN401
        """Utility (N,), mean 0 and std 1 over the pool, at present or at another vote."""
        return self._utility(melodies, np.array(self.votes if at_vote is None else at_vote))

    @property
    def temperature(self) -> float:
        """Utility difference, in standard deviations over the pool, that is worth 1 in log-odds."""
        return 1.0 / self._calibrated.inverse_temperature

    def choose(self, left: Any, right: Any) -> np.ndarray:  # noqa: ANN401
        """Answers to N comparisons in order: `LEFT`, `TIE` or `RIGHT`; int64 (N,).

        One draw a comparison: how a sequence is cut into batches makes no difference.
        """
        at = self.votes + np.arange(len(left))
        gap_N = self._utility(left, at) - self._utility(right, at)
        p_left, p_tie, _ = self._probabilities(self._calibrated, gap_N)
        draw = self._random.random(len(left))
        self.votes += len(left)
        return np.where(draw < p_left, LEFT, np.where(draw < p_left + p_tie, TIE, RIGHT))

    def ceiling(self, left: Any, right: Any) -> float:  # noqa: ANN401
        """Expected share of decided answers to these comparisons that are the noise-free choice."""
        gap_N = self.true_utility(left) - self.true_utility(right)
        return self._reliability_on(self._calibrated, gap_N[gap_N != 0])

    @property
    def _calibrated(self) -> _Calibration:
        if self._calibration is None:
            raise ListenerError(
                "the listener has no scale yet; call calibrate(pool of melodies) first"
            )
        return self._calibration

    def _utility(self, melodies: Any, at_vote: np.ndarray) -> np.ndarray:  # noqa: ANN401
        found = self._calibrated
        utility = (np.asarray(_resolve(self.taste)(melodies)) - found.mean) / found.std
        if self.drift_taste is None or not self.drift:
            return utility
        toward = np.asarray(_resolve(self.drift_taste)(melodies))
        toward = (toward - found.drift_mean) / found.drift_std
        # Turn within the plane of both tastes, so that the pool's std stays 1 all the way.
        across = (toward - found.correlation * utility) / np.sqrt(1 - found.correlation**2)
        angle = np.minimum(self.drift * at_vote / 100, DRIFT_LIMIT_RADIANS)
        return np.cos(angle) * utility + np.sin(angle) * across

    def _probabilities(self, found: _Calibration, difference_N: np.ndarray) -> np.ndarray:
        """P(left), P(tie), P(right); shape (3, N)."""
        if np.isinf(found.inverse_temperature):
            left = (1 + np.sign(difference_N)) / 2
            return np.stack([left, 0 * left, 1 - left])
        half = (found.inverse_temperature * difference_N + self.side_bias) / 2
        logits = np.stack([half, np.full_like(half, found.log_tie), -half])
        return np.exp(logits - np.logaddexp.reduce(logits, axis=0))

    def _reliability_on(self, found: _Calibration, difference_N: np.ndarray) -> float:
        """Share of decided answers that are right, each pair shown both ways round."""
        both = np.concatenate([abs(difference_N), -abs(difference_N)])
        p_left, _, p_right = self._probabilities(found, both)
        half = len(difference_N)
        right = p_left[:half].sum() + p_right[half:].sum()
        return float(right / (p_left + p_right).sum())

    def _solve(self, found: _Calibration, difference_N: np.ndarray) -> None:
        """Set temperature and ν, so that reliability and tie rate on these pairs are as asked."""
        both = np.concatenate([difference_N, -difference_N])

        def excess_ties(log_tie: float) -> float:
            found.log_tie = log_tie
            return float(self._probabilities(found, both)[1].mean()) - self.tie_rate

        def excess_reliability(log_inverse_temperature: float) -> float:
            found.inverse_temperature = float(np.exp(log_inverse_temperature))
            if self.tie_rate:
                # ν grows like exp(gap / 2), so the bracket covers the largest gap.
                reach = 10 + found.inverse_temperature * abs(difference_N).max()
                found.log_tie = float(brentq(excess_ties, -reach, reach, xtol=1e-6))  # type: ignore[arg-type]
            return self._reliability_on(found, difference_N) - self.reliability

        low, high = np.log(1e-4), np.log(1e4)
        if excess_reliability(high) < 0:
            raise ListenerError(
                f"reliability={self.reliability} is out of reach; choose 1.0 for no noise"
            )
        if excess_reliability(low) > 0:
            raise ListenerError(
                f"reliability={self.reliability} is too near 0.5; choose 0.51 or more"
            )
        excess_reliability(float(brentq(excess_reliability, low, high, xtol=1e-6)))  # type: ignore[arg-type]


def _resolve(taste: str | Utility) -> Utility:
    return TASTES[taste] if isinstance(taste, str) else taste


def _standardised(utility: Utility, items: Any) -> tuple[np.ndarray, float, float]:  # noqa: ANN401
    """Utility of mean 0 and std 1 over the items, with the mean and std that it had."""
    raw = np.asarray(utility(items), np.float64)
    mean, std = float(raw.mean()), float(raw.std())
    if not np.isfinite(std) or std <= 1e-9 * (1 + abs(mean)):
        raise ListenerError(
            f"utilities over the pool of {len(raw)} have a std of {std}; "
            "calibrate on melodies that differ"
        )
    return (raw - mean) / std, mean, std


def _random_differences(utility_M: np.ndarray) -> np.ndarray:
    """Evenly spaced quantiles of the utility differences of random pairs; equals are left out."""
    count = len(utility_M)
    if count * (count - 1) // 2 <= CALIBRATION_PAIRS:
        one, other = np.triu_indices(count, 1)
    else:
        # Fixed seed: the pool's own figure, not a part of the listener's noise.
        one, other = np.random.default_rng(0).integers(count, size=(2, CALIBRATION_PAIRS))
    size = abs(utility_M[one] - utility_M[other])
    # A thousand quantiles stand for all pairs to 1e-4, at a twentieth of the time.
    places = (np.arange(CALIBRATION_QUANTILES) + 0.5) / CALIBRATION_QUANTILES
    return np.quantile(size[size > 0], places)


def simulate_votes(
    store: RatingsStore,
    listener: SimulatedListener,
    count: int,
    *,
    progress: Progress = no_progress,
) -> int:
    """Let a simulated listener answer up to `count` waiting pairs; how many they answered.

    Not those of blind tests, which are for people.

    Raises:
        RunError: when there is nothing to rate.
    """
    frame = store.melodies_frame()
    # The listener's own yardstick is what a policy writes, not what was corrupted for traps.
    sealed = frame["melody_id"].isin(list(store.sealed_melody_ids()))
    frame = frame.loc[(frame["policy_id"] != CORRUPTED) & ~sealed]
    if frame.empty:
        raise RunError("there are no melodies to rate; write and pair some first: tastemaker pairs")
    pool = [stored.melody for stored in store.melodies(frame["melody_id"].tolist())]
    listener.calibrate(pool)
    rater = store.rater_named(listener.name, kind="simulated")
    waiting = min(count, store.counts()["comparisons"])
    for answered in range(count):
        progress(min(answered, waiting), waiting)
        issued = store.issue(rater.id, purposes=ROUND_PURPOSES)
        if issued is None:
            return answered
        said = int(listener.choose([issued.left.melody], [issued.right.melody])[0])
        outcome = "left" if said == LEFT else "tie" if said == TIE else "right"
        store.vote(
            issued.assignment_id,
            Answer(outcome=outcome, nonce=uuid.uuid4().hex, renderer="simulated"),
        )
    return count
