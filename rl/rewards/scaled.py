"""Rewards by name: reads what PPO should maximise, scales it to one unit, and records it.

    chosen = reward_of("0.7*reward-0004 + 0.3*music-theory where leap_share<=0.1", root=RUNS)
    chosen = chosen.standardised(base, asked)                       # a new run
    chosen = reward_of(record["spec"], root=RUNS).standardised_as(record)    # a resumed one
    mean, std = chosen.score(melodies)

Unit: standard deviations of the base policy's melodies; 0 is its average melody.
  - A reward run is in that unit already and is not scaled.
  - Rules and functions are standardised on `STANDARD_MELODIES` base melodies of the run's header.
  - A mixture is the weighted sum of standardised parts, standardised once more: only the ratio of
    its weights matters, and `PPOConfig.saturation_point` means the same for every reward.
  - The std of a mixture is the sum of |weight| * std, an upper bound. Two profiles learnt from the
    votes of one group make similar errors, so their uncertainties are not treated as independent.
  - A melody that breaks a constraint loses `BREAK_PENALTY`, plus `EXCESS_PENALTY` for each base
    standard deviation of that yardstick beyond the limit, up to `EXCESS_CAP` of them. Penalties are
    subtracted last, so they do not change the score of a melody that keeps every limit. A yardstick
    that is undefined for a melody (NaN) breaks no constraint.

Means and deviations are stored in `record`. A resumed run takes them from there, so its reward is
bit-identical on any number of processes.

Letters: B melodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from music.descriptors.yardsticks import YARDSTICKS
from music.json_text import JsonError, number
from music.melody import Melody
from music.messages import excerpt
from music.note_table import NoteTable, note_table
from music.progress import Progress, no_progress
from policy.compose import Conditioning, compose
from policy.model import MelodyForCausalLM
from policy.runs import RunError
from reward.profile.profile import TasteProfile
from reward.scorer import LARGEST_SCORE, RewardError, scores_of
from reward.training.models import newest_reward
from rl.rewards.sources import RewardPart, find_part
from rl.rewards.spec import Constraint, RewardSpec, read_spec

STANDARD_MELODIES = 512
"""base melodies that fix the unit of rules, functions, mixtures and constraints"""
STANDARD_SEED = 1_200_007
"""of those melodies; no other stage draws from it"""
BREAK_PENALTY = 1.0
"""cost of breaking a constraint, in base standard deviations of the reward"""
EXCESS_PENALTY = 1.0
"""additional cost for each base standard deviation of the yardstick beyond the limit"""
EXCESS_CAP = 3.0
"""largest excess that counts, in base standard deviations of the yardstick"""


@dataclass(frozen=True, slots=True)
class Unit:
    """Mean and standard deviation of a score over the base's melodies."""

    mean: float
    std: float

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Unit:
        """Read a unit from a run's record.

        Raises:
            JsonError: for numbers that no scores have.
            KeyError, TypeError: for a record of another form.
        """
        return cls(
            number(record["mean"], "mean", low=-LARGEST_SCORE, high=LARGEST_SCORE),
            number(record["std"], "std", low=1e-12, high=LARGEST_SCORE),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standard:
    """Units measured on base melodies, and which melodies these were."""

    melodies: int
    seed: int
    conditioning: dict[str, Any]
    parts: dict[str, Unit]
    """unit of each part whose scores are not in base deviations already"""
    mixture: Unit | None
    """unit of the weighted sum; None if there is no mixture"""
    yardsticks: dict[str, float]
    """standard deviation of each constrained yardstick"""

    @classmethod
    def from_record(cls, record: Any) -> Standard:  # noqa: ANN401 (of a JSON file)
        """Read the standard from a run's record.

        Raises:
            RewardError: when the record is of another version.
        """
        try:
            parts = {name: Unit.from_record(unit) for name, unit in record["parts"].items()}
            mixture = Unit.from_record(record["mixture"]) if record["mixture"] else None
            yardsticks = {
                name: number(std, name, low=0.0, high=LARGEST_SCORE)
                for name, std in record["yardsticks"].items()
            }
            return cls(**{**record, "parts": parts, "mixture": mixture, "yardsticks": yardsticks})
        except (KeyError, TypeError, AttributeError, JsonError) as error:
            raise RewardError(
                f"the run's record of its reward cannot be read ({excerpt(repr(error), 120)}); "
                "it is damaged, or was made by another version: start a new run"
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenReward:
    """A reward that can score melodies when its unit is known; make one with `reward_of`."""

    spec: RewardSpec
    parts: tuple[RewardPart, ...]
    """in the order of the spec's terms"""
    standard: Standard | None = None

    @property
    def name(self) -> str:
        """The spec as text; reading it gives an equal spec."""
        return str(self.spec)

    @property
    def conditioning(self) -> Conditioning | None:
        """The header of the (first) reward run; None without a run."""
        return next((part.conditioning for part in self.parts if part.conditioning), None)

    @property
    def profile(self) -> TasteProfile | None:
        """The taste profile of the (first) reward run; None without a run."""
        return next((part.profile for part in self.parts if part.profile), None)

    @property
    def needs_standard(self) -> bool:
        """Whether it needs `standardised` before it can score; False for a single reward run."""
        in_base_deviations = all(part.in_base_deviations for part in self.parts)
        return self.spec.is_mixture or bool(self.spec.constraints) or not in_base_deviations

    @property
    def record(self) -> dict[str, Any]:
        """Everything that identifies the reward, as JSON; see `same_reward`."""
        return {
            "spec": self.name,
            "parts": [
                {
                    "name": part.name,
                    "kind": part.kind,
                    "weight": term.weight,
                    "reads": part.reads,
                    "sha256": part.sha256,
                }
                for part, term in zip(self.parts, self.spec.terms, strict=True)
            ],
            "constraints": [str(constraint) for constraint in self.spec.constraints],
            "standard": asdict(self.standard) if self.standard else None,
        }

    def standardised(
        self,
        base: MelodyForCausalLM,
        conditioning: Conditioning,
        *,
        seed: int = STANDARD_SEED,
        progress: Progress = no_progress,
    ) -> ChosenReward:
        """The same reward in base standard deviations; `self` if it is already.

        `progress` is told how many of the melodies that it needs for this are written.

        Raises:
            RewardError: when all base melodies score the same, or a user's function fails.
        """
        if not self.needs_standard:
            return self
        melodies = compose(
            base, STANDARD_MELODIES, conditioning=conditioning, seed=seed, progress=progress
        )
        said = self._said(melodies)
        parts = {
            part.name: _unit(mean, part.name)
            for part, (mean, _) in zip(self.parts, said, strict=True)
            if not part.in_base_deviations
        }
        mixture = _unit(self._mixed(said, parts)[0], self.name) if self.spec.is_mixture else None
        table = note_table(melodies)
        yardsticks = {
            c.yardstick: _spread(YARDSTICKS[c.yardstick].measure(table))
            for c in self.spec.constraints
        }
        standard = Standard(
            melodies=STANDARD_MELODIES,
            seed=seed,
            conditioning=conditioning.fields(),
            parts=parts,
            mixture=mixture,
            yardsticks=yardsticks,
        )
        return replace(self, standard=standard)

    def standardised_as(self, record: dict[str, Any]) -> ChosenReward:
        """The same reward in the unit stored in a run's record.

        Raises:
            RewardError: when the record is of another version.
        """
        if not self.needs_standard:
            return self
        standard = Standard.from_record(record.get("standard"))
        scaled = {part.name for part in self.parts if not part.in_base_deviations}
        limited = {constraint.yardstick for constraint in self.spec.constraints}
        missing = {*(scaled - standard.parts.keys()), *(limited - standard.yardsticks.keys())}
        if missing or self.spec.is_mixture != (standard.mixture is not None):
            raise RewardError(
                f"the run's record of its reward has no unit of {min(missing, default=self.name)}; "
                "it is damaged, or was made by another version: start a new run"
            )
        return replace(self, standard=standard)

    def score(self, melodies: Sequence[Melody]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and std of each melody's score, float64 (B,) each, in base standard deviations.

        Raises:
            RewardError: when its unit is not known yet, or a user's function fails.
        """
        if not self.needs_standard:
            return self._said(melodies)[0]
        if self.standard is None:
            raise RewardError(f"{self.name} has no unit yet; call standardised(base, asked) first")
        said = self._said(melodies)
        mean, std = self._mixed(said, self.standard.parts)
        if self.standard.mixture is not None:
            mean, std = _standardised(mean, std, self.standard.mixture)
        if self.spec.constraints:
            mean = mean - self.penalty(note_table(melodies))
        return mean, std

    def penalty(self, table: NoteTable) -> np.ndarray:
        """Penalty of each melody for the constraints that it breaks; float64 (B,), 0 or more."""
        assert self.standard is not None
        paid = np.zeros(len(table))
        for constraint in self.spec.constraints:
            excess = excess_over(constraint, table)
            # If the base melodies do not vary, one unit of the yardstick counts as one deviation.
            deviations = excess / (self.standard.yardsticks[constraint.yardstick] or 1.0)
            paid += np.where(
                excess > 0, BREAK_PENALTY + EXCESS_PENALTY * np.minimum(deviations, EXCESS_CAP), 0.0
            )
        return paid

    def _said(self, melodies: Sequence[Melody]) -> list[tuple[np.ndarray, np.ndarray]]:
        """The scores of each part, checked."""
        return [scores_of(part.score, melodies, name=part.name) for part in self.parts]

    def _mixed(
        self, said: Sequence[tuple[np.ndarray, np.ndarray]], units: dict[str, Unit]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weighted sum of the parts' scaled scores, and of their stds by absolute weight."""
        total, doubt = 0.0, 0.0
        for term, (mean, std) in zip(self.spec.terms, said, strict=True):
            unit = units.get(term.name)
            if unit is not None:
                mean, std = _standardised(mean, std, unit)
            total, doubt = total + term.weight * mean, doubt + abs(term.weight) * std
        return np.asarray(total), np.asarray(doubt)


def reward_of(spec: str | None, *, root: Path) -> ChosenReward:
    """The reward of a spec (`rl.rewards.spec`); None means the newest reward run.

    Raises:
        RunError: for a run that does not exist, or when there is no reward run yet.
        TasteError, NeuralRewardError, BlendError: for a run whose model is damaged.
        RewardError: for anything else that is wrong with the spec or a function in it.
    """
    if spec is None:
        newest = newest_reward(root=root)
        if newest is None:
            raise RunError(
                "there is no reward model yet; make one from votes with: tastemaker reward"
            )
        spec = newest.name
    read = read_spec(spec)
    return ChosenReward(
        spec=read, parts=tuple(find_part(term.name, root=root) for term in read.terms)
    )


def are_parts(said: object) -> TypeGuard[list[dict[str, Any]]]:
    """Whether this can be what the record of a reward says of its parts."""
    return isinstance(said, list) and all(
        isinstance(part, dict) and isinstance(part.get("sha256"), str) for part in said
    )


def same_reward(record: dict[str, Any], chosen: ChosenReward) -> list[str]:
    """Differences between a run's recorded reward and `chosen`, in sentences; empty if none.

    The units are compared only if `chosen` has one.

    Raises:
        RewardError: when the record is damaged.
    """
    now = chosen.record
    parts = record.get("parts")
    if not are_parts(parts):
        raise RewardError(
            "the run's record of its reward does not say what its parts were; it is damaged, or "
            "was made by another version: start a new run"
        )
    if record.get("spec") != now["spec"]:
        return [f"the run was given {excerpt(str(record.get('spec')))}, this is {now['spec']}"]
    if len(parts) != len(now["parts"]):
        return [f"the run's reward had {len(parts)} parts, this one has {len(now['parts'])}"]
    changes = [
        f"{new['reads']} of {new['name']} has changed: it was {old['sha256'][:12]}, it is "
        f"{new['sha256'][:12]}"
        for old, new in zip(parts, now["parts"], strict=True)
        if old["sha256"] != new["sha256"]
    ]
    if chosen.standard is not None and record.get("standard") != now["standard"]:
        changes.append("its unit was measured on other base melodies; take the recorded one")
    return changes


def excess_over(constraint: Constraint, table: NoteTable) -> np.ndarray:
    """How far each melody is beyond the limit, in the yardstick's unit; 0 within the limit."""
    sign = 1 if constraint.operator == "<=" else -1
    beyond = sign * (YARDSTICKS[constraint.yardstick].measure(table) - constraint.limit)
    return np.maximum(np.nan_to_num(beyond), 0.0)


def _unit(score: np.ndarray, name: str) -> Unit:
    spread = float(score.std())
    if spread <= 1e-12 * max(1.0, float(abs(score).max())):
        raise RewardError(
            f"{name} gives all of {len(score)} base melodies the same score ({score[0]:g}), so it "
            "has no unit and nothing to learn from; reward something that differs among them"
        )
    return Unit(float(score.mean()), spread)


def _standardised(mean: np.ndarray, std: np.ndarray, unit: Unit) -> tuple[np.ndarray, np.ndarray]:
    return (mean - unit.mean) / unit.std, std / unit.std


def _spread(values: np.ndarray) -> float:
    """Standard deviation over the melodies for which the yardstick is defined, 0 if none."""
    known = values[~np.isnan(values)]
    return float(known.std()) if len(known) else 0.0
