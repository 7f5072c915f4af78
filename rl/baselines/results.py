"""What a baseline made: one kind of result for every method, its table and its JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from music.files import make_folder
from music.json_text import write_json
from music.melody import Melody
from policy.checkpoint import policy_hash, save_policy
from policy.model import MelodyForCausalLM


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a set of melodies of one policy is worth."""

    reward: float
    """mean of what PPO learns from: conservative and saturated"""
    score_mean: float
    """the reward model's mean"""
    score_std: float
    """and its uncertainty"""
    kl_nats: float
    """KL from the base, a melody"""
    true_utility: float | None
    """mean by a judge that no method saw"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """A policy on the way."""

    seconds: float
    melodies: int
    """sampled so far; for DPO shown"""
    measured: Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodResult:
    """What a method made, and what that is worth."""

    name: str
    melodies: list[Melody]
    """fresh ones of the tuned policy, or the winners"""
    policy: MelodyForCausalLM | None
    """None for best-of-n"""
    measured: Measured
    vendi: float
    """at `SAMPLE_SIZE` melodies"""
    seconds: float
    """of training; for best-of-n of writing all melodies"""
    melodies_sampled: int
    """in training; for DPO shown, for best-of-n written"""
    curve: list[CurvePoint]

    def record(self) -> dict[str, Any]:
        """The figures, for JSON."""
        return {
            "name": self.name,
            **asdict(self.measured),
            "vendi": self.vendi,
            "seconds": self.seconds,
            "melodies_sampled": self.melodies_sampled,
            "curve": [
                {"seconds": point.seconds, "melodies": point.melodies, **asdict(point.measured)}
                for point in self.curve
            ],
        }


def write_results(results: Sequence[MethodResult], out: Path, given: Mapping[str, Any]) -> Path:
    """Write `OUT/baselines.json` and each tuned policy as `OUT/<method>/`; the path of the first.

    Args:
        results: of the methods.
        out: the folder.
        given: what they were given, for the record.
    """
    make_folder(out)
    records = []
    for result in results:
        record = result.record()
        if result.policy is not None:
            save_policy(result.policy, out / result.name)
            record |= {"policy": result.name, "policy_hash": policy_hash(out / result.name)}
        records.append(record)
    write_json(out / "baselines.json", {**given, "methods": records})
    return out / "baselines.json"


def table(results: Sequence[MethodResult]) -> str:
    """The figures, a line a method."""
    judged = any(result.measured.true_utility is not None for result in results)
    names = ("reward", "score", "KL nats", "Vendi", "seconds", "melodies", *["utility"] * judged)
    lines = [f"{'method':12s}" + "".join(f"{name:>10s}" for name in names)]
    for result in results:
        measured = result.measured
        line = (
            f"{result.name:12s}{measured.reward:+10.3f}{measured.score_mean:+10.2f}"
            f"{measured.kl_nats:10.2f}{result.vendi:10.1f}{result.seconds:10.1f}"
            f"{result.melodies_sampled:10d}"
        )
        if measured.true_utility is not None:
            line += f"{measured.true_utility:+10.2f}"
        lines.append(line)
    return "\n".join(lines)
