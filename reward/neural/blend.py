"""The blend of a taste profile and a neural reward, by a weight that held-out comparisons choose.

    utility = (1 - weight) * the profile's + weight * the neural's       in log-odds

The weight is the smallest whose held-out log-likelihood is not beaten, by more than one standard
error, by any other's (Breiman et al. 1984, the one-standard-error rule): while there is nothing to
tell them apart it is 0, and the profile, which says what it has learnt, is the reward.

This module needs no torch: the neural reward is any scorer, read from its file when a blend is.

Letters: N comparisons, B melodies, W weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from music.files import write_whole
from music.json_text import number, read_json
from music.melody import Melody
from music.messages import excerpt
from reward.comparisons.preferences import Preferences
from reward.profile.davidson import outcome_log_probabilities
from reward.profile.profile import TasteProfile

WEIGHTS = tuple(round(step / 10, 1) for step in range(11))
PROFILE_FILE, NEURAL_FILE, BLEND_FILE = "taste.json", "neural.safetensors", "blend.json"
FORMAT, FORMAT_VERSION = "tastemaker blended reward", 1
MAX_BLEND_BYTES = 1 << 20
"""of the file that seals a blend, which has some 900"""


class BlendError(ValueError):
    """A blend that cannot be made or read; the message says value, rule and remedy."""


class NeuralScorer(Protocol):
    """What a blend asks of a neural reward: `reward.neural.model.NeuralReward` is one."""

    @property
    def utility_std(self) -> float:
        """Log-odds that a score of 1 is worth."""
        ...

    def score(self, melodies: Sequence[Melody]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and std (B,), in base standard deviations."""
        ...

    def save(self, path: Path) -> None:
        """Write one file."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightChoice:
    """How the weight was chosen."""

    weight: float
    """the neural reward's share"""
    nats: tuple[float, ...]
    """mean held-out log-likelihood at each of `WEIGHTS`"""
    best: float
    """the weight of the highest"""
    gain_nats: float
    """what `best` has over the profile alone"""
    gain_error_nats: float
    """standard error of that, over pairs"""


def choose_weight(
    preferences: Preferences,
    profile_gap_N: np.ndarray,
    neural_gap_N: np.ndarray,
    *,
    side: float = 0.0,
    log_tie: float = -np.inf,
) -> WeightChoice:
    """The neural reward's share by held-out comparisons.

    Args:
        preferences: what was said.
        profile_gap_N: held-out log-odds of left over right by the profile, sides aside.
        neural_gap_N: the same by the neural reward, from the same folds.
        side: log-odds of being on the left.
        log_tie: Davidson's log nu; -inf without ties.

    Raises:
        BlendError: for gaps of another length, or that are not finite.
    """
    count = len(preferences)
    for name, gap in (("profile_gap_N", profile_gap_N), ("neural_gap_N", neural_gap_N)):
        if gap.shape != (count,) or not np.isfinite(gap).all():
            raise BlendError(
                f"{name} has shape {gap.shape} for {count} comparisons, or gaps in it; give one "
                "finite number a comparison"
            )
    if not count:
        raise BlendError("there are 0 comparisons to choose a weight by; collect some votes")
    nats_WN = np.stack(
        [
            _nats(preferences, (1 - weight) * profile_gap_N + weight * neural_gap_N, side, log_tie)
            for weight in WEIGHTS
        ]
    )
    total_W = nats_WN.sum(1)
    best = int(total_W.argmax())
    error_W = np.array([_error(preferences, nats_WN[best] - nats_N) for nats_N in nats_WN])
    near = (total_W[best] - total_W <= error_W) & (np.arange(len(WEIGHTS)) <= best)
    votes = float(preferences.weight.sum())
    return WeightChoice(
        weight=WEIGHTS[int(np.flatnonzero(near)[0])],
        nats=tuple(float(total) for total in total_W / votes),
        best=WEIGHTS[best],
        gain_nats=float(total_W[best] - total_W[0]) / votes,
        gain_error_nats=float(error_W[0]) / votes,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blend:
    """A profile and a neural reward, ready to score melodies. Make one with `Blend.of`."""

    profile: TasteProfile
    neural: NeuralScorer
    choice: WeightChoice
    correlation: float
    """between both scores over the base policy's melodies"""
    shrinkage: float = 1.0
    """what the profile's utility is multiplied by before it is added"""

    @classmethod
    def of(
        cls,
        profile: TasteProfile,
        neural: NeuralScorer,
        choice: WeightChoice,
        base_melodies: Sequence[Melody],
        *,
        shrinkage: float = 1.0,
    ) -> Blend:
        """Fix the unit by the base policy's melodies.

        Raises:
            BlendError: for fewer than two melodies.
        """
        if len(base_melodies) < 2:
            raise BlendError(
                f"{len(base_melodies)} base melodies have no spread; sample some hundreds"
            )
        one, _ = profile.score(base_melodies)
        other, _ = neural.score(base_melodies)
        spread = float(one.std() * other.std())
        covariance = float(np.mean((one - one.mean()) * (other - other.mean())))
        return cls(
            profile=profile,
            neural=neural,
            choice=choice,
            correlation=covariance / spread if spread > 1e-12 else 0.0,
            shrinkage=shrinkage,
        )

    def parts(self, rater: str | None = None) -> tuple[float, float]:
        """What a score of 1 of the profile, and one of the neural reward, add to the blend's.

        The unit is the blended utility's standard deviation over the base's melodies, from both
        units and their correlation (that of the group, for a rater too).
        """
        share = self.choice.weight
        one = (1 - share) * self.shrinkage * self.profile.utility_std(rater)
        other = share * self.neural.utility_std
        unit = np.sqrt(max(one**2 + other**2 + 2 * one * other * self.correlation, 0.0)) or 1.0
        return float(one / unit), float(other / unit)

    def score(
        self, melodies: Sequence[Melody], rater: str | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and std of each melody's score, (B,) each, in base standard deviations.

        Both were fitted to the same votes, so their doubts are added as if they always went
        together: no correlation makes the sum's standard deviation larger.
        """
        one, other = self.parts(rater)
        mean_B, std_B = self.profile.score(melodies, rater)
        if not other:  # the trunk need not run
            return mean_B, std_B
        neural_mean_B, neural_std_B = self.neural.score(melodies)
        return one * mean_B + other * neural_mean_B, one * std_B + other * neural_std_B

    def save(self, folder: Path) -> None:
        """Write the profile, the neural reward, and last the file that seals them."""
        self.profile.save(folder / PROFILE_FILE)
        self.neural.save(folder / NEURAL_FILE)
        body = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "weight": self.choice.weight,
            "nats": list(self.choice.nats),
            "best": self.choice.best,
            "gain_nats": self.choice.gain_nats,
            "gain_error_nats": self.choice.gain_error_nats,
            "correlation": self.correlation,
            "shrinkage": self.shrinkage,
            "sha256": {name: _sha256(folder / name) for name in (PROFILE_FILE, NEURAL_FILE)},
        }
        write_whole(folder / BLEND_FILE, json.dumps(body, allow_nan=False) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Blend:
        """Read what `save` wrote.

        Raises:
            BlendError: when the seal is missing or broken, or one of the files is another.
            TasteError: for a profile of other features.
            NeuralRewardError: for a neural reward of another version.
        """
        from reward.neural.model import (
            NeuralReward,  # torch, which who scores by a profile does not need
        )

        path, remedy = folder / BLEND_FILE, "train it again from the ratings store"
        try:
            body = read_json(path, max_bytes=MAX_BLEND_BYTES)
            if body["format"] != FORMAT or body["version"] != FORMAT_VERSION:
                raise ValueError(f"it is {body['format']!r}, version {body['version']!r}")
            choice = WeightChoice(
                weight=number(body["weight"], "weight", low=0.0, high=1.0),
                nats=tuple(number(nats, "nats", low=-1e9, high=1e9) for nats in body["nats"]),
                best=number(body["best"], "best", low=0.0, high=1.0),
                gain_nats=number(body["gain_nats"], "gain_nats", low=-1e9, high=1e9),
                gain_error_nats=number(
                    body["gain_error_nats"], "gain_error_nats", low=0.0, high=1e9
                ),
            )
            correlation = number(body["correlation"], "correlation", low=-1 - 1e-9, high=1 + 1e-9)
            shrinkage = number(body["shrinkage"], "shrinkage", low=1e-6, high=1e6)
            for name in (PROFILE_FILE, NEURAL_FILE):
                if _sha256(folder / name) != body["sha256"][name]:
                    raise ValueError(f"{name} is not the one that was blended")
        except (OSError, KeyError, TypeError, ValueError) as error:
            reason = excerpt(repr(error), 120)
            raise BlendError(f"{path} is no whole blend ({reason}); {remedy}") from error
        return cls(
            profile=TasteProfile.load(folder / PROFILE_FILE),
            neural=NeuralReward.load(folder / NEURAL_FILE),
            choice=choice,
            correlation=correlation,
            shrinkage=shrinkage,
        )


def _nats(preferences: Preferences, gap_N: np.ndarray, side: float, log_tie: float) -> np.ndarray:
    """Weighted log-likelihood of each comparison."""
    log_p = outcome_log_probabilities(gap_N + side, log_tie)
    return preferences.weight * log_p[1 - preferences.outcome, np.arange(len(gap_N))]


def _error(preferences: Preferences, gain_N: np.ndarray) -> float:
    """Standard error of the sum of gains; votes on one pair are not independent."""
    by_pair = np.bincount(preferences.pair, gain_N)
    return float(np.sqrt(len(by_pair)) * by_pair.std())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
