"""PPO's settings: a frozen configuration, checked when created, kept in a run's record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, get_args, get_type_hints

from music.messages import shortened
from policy.compose import Conditioning
from policy.runs import RunError

_COUNTS = {
    "updates": 1_000_000,
    "melodies_per_update": 100_000,
    "minibatch": 100_000,
    "epochs": 1_000,
    "threads": 1_024,
    "processes": 1_024,
    "patience": 1_000_000,
}
"""counts from 1, and what they are at most"""
_LARGEST = 1e6
"""of settings that are no count: more is a slip, and float32 would not hold what becomes of it"""
_POSITIVE: tuple[str, Callable[[Any], bool]] = (
    f"above 0 and at most {_LARGEST:g}",
    lambda v: 0 < v <= _LARGEST,
)
_NOT_NEGATIVE: tuple[str, Callable[[Any], bool]] = (
    f"from 0 to {_LARGEST:g}",
    lambda v: 0 <= v <= _LARGEST,
)
_KINDS = {int: "a whole number", float: "a number", bool: "yes or no", str: "text"}
_RANGES: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    ("learning_rate", *_POSITIVE),
    ("max_grad_norm", *_POSITIVE),
    ("kl_coefficient", *_POSITIVE),
    ("kl_limit_nats", *_POSITIVE),
    ("learning_rate_decay", "above 0 and not above 1", lambda v: 0 < v <= 1),
    ("momentum", "from 0 to below 1", lambda v: 0 <= v < 1),
    ("clip", "between 0 and 1", lambda v: 0 < v < 1),
    ("gae_lambda", "from 0 to 1", lambda v: 0 <= v <= 1),
    ("diversity_floor", "from 0 to 1", lambda v: 0 <= v <= 1),
    ("originality_floor", "from 0 to 1", lambda v: 0 <= v <= 1),
    ("disagreement_limit", *_POSITIVE),
    ("std_penalty", *_NOT_NEGATIVE),
    (
        "saturation_point",
        f"within ±{_LARGEST:g}, or none",
        lambda v: v is None or -_LARGEST <= v <= _LARGEST,
    ),
    ("seed", "from 0 to 2**62", lambda v: 0 <= v <= 2**62),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PPOConfig:
    """PPO's settings."""

    updates: int = 32
    """rounds of sampling and learning"""
    melodies_per_update: int = 256
    """melodies sampled before each update"""
    minibatch: int = 32
    """melodies per gradient step; divides `melodies_per_update`"""
    epochs: int = 1
    """passes over the melodies of an update"""
    layers_trained: int | None = 1
    """layers from the top that are trained, on stored states of those below; None trains all"""
    learning_rate: float = 0.45
    """step of stochastic gradient descent"""
    learning_rate_decay: float = 1.0
    """factor on the learning rate after each update"""
    momentum: float = 0.9
    """momentum of stochastic gradient descent"""
    clip: float = 0.2
    """how far a probability ratio may move before its gradient stops"""
    max_grad_norm: float = 1.0
    """gradient clipping"""
    gae_lambda: float = 0.95
    """how far advantages look ahead; 1 is the whole melody"""
    critic_knows_rules: bool = False
    """give the critic the state of the music-theory rules too (`rl.ppo.critic_rule_features`)"""
    kl_target_nats: float | None = 7.0
    """KL from the base policy, per melody, that the controller steers to; None keeps the KL
    coefficient fixed"""
    kl_limit_nats: float = 8.0
    """guard: the result is at most this far from the base policy"""
    diversity_floor: float = 0.5
    """guard: its Vendi score is at least this share of the base's"""
    originality_floor: float = 0.5
    """guard: its originality is at least this share of the base's"""
    disagreement_limit: float = 2.0
    """guard: the reward model is at most this many times as uncertain about its melodies"""
    patience: int = 6
    """the run ends after this many updates in a row with a broken guard"""
    kl_coefficient: float = 0.18
    """KL coefficient at the start, in reward per nat; fixed if there is no KL target"""
    std_penalty: float = 0.5
    """lambda: how many of the reward model's standard deviations are subtracted from its score"""
    saturation_point: float | None = 1.5
    """score above which more earns little, in base standard deviations; None: no saturation"""
    meter: str | None = "4/4"
    """metre of the melodies; None leaves it to the base policy"""
    mode: str | None = None
    """mode of the melodies"""
    style: str | None = None
    """style of the melodies: a label that the base policy knows"""
    bars: int | None = 8
    """bars of the melodies"""
    bf16: bool = False
    """learn in bfloat16 (weights stay float32) where the processor supports it; sampling uses
    float32, so ratios then start at 1 only to two digits"""
    seed: int = 0
    """seed of sampling and of the order of minibatches"""
    threads: int = 2
    """threads of torch in each process; results depend on them to the bit"""
    processes: int = 1
    """processes that share the melodies of an update; results depend on them to the bit"""

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            ValueError: with the value, the rule and the nearest that would do.
        """
        for name, kinds in setting_kinds().items():
            value = getattr(self, name)
            # A whole number is a number too, but yes and no are no numbers.
            wanted = (*kinds, int) if float in kinds else tuple(kinds)
            if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in kinds):
                either = " or ".join(_KINDS[kind] for kind in _KINDS if kind in kinds)
                raise ValueError(
                    f"{name}={shortened(value)} is not {either}; its default is {_default(name)}"
                )
        for name, most in _COUNTS.items():
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name}={value} is below 1; give a positive number")
            if value > most:
                raise ValueError(f"{name}={shortened(value)} is above {most}; give less")
        for name, rule, holds in _RANGES:
            value = getattr(self, name)
            if not holds(value):  # NaN holds nothing
                raise ValueError(
                    f"{name}={shortened(value)} is not {rule}; its default is {_default(name)}"
                )
        if self.melodies_per_update % self.minibatch:
            sizes = [
                d
                for d in range(1, self.melodies_per_update + 1)
                if self.melodies_per_update % d == 0
            ]
            nearest = sorted(sizes, key=lambda d: abs(d - self.minibatch))[:2]
            raise ValueError(
                f"minibatch={self.minibatch} does not divide melodies_per_update="
                f"{self.melodies_per_update}; the nearest that do are {nearest}"
            )
        if self.minibatch % self.processes:
            raise ValueError(
                f"processes={self.processes} does not divide minibatch={self.minibatch}; give each "
                "process the same share"
            )
        if self.layers_trained is not None and self.layers_trained < 1:
            raise ValueError(
                f"layers_trained={self.layers_trained} trains nothing; give 1 or more, or None"
            )
        target = self.kl_target_nats
        if target is not None and not 0 < target <= self.kl_limit_nats:
            raise ValueError(
                f"kl_target_nats={target}, kl_limit_nats={self.kl_limit_nats}: the target is "
                "positive and not above the limit, or none"
            )
        self.conditioning  # noqa: B018 (checks the header)

    @property
    def conditioning(self) -> Conditioning:
        """The header asked of every melody."""
        return Conditioning(meter=self.meter, mode=self.mode, style=self.style, bars=self.bars)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> PPOConfig:
        """The configuration that a run's record holds.

        Raises:
            RunError: when it was written by another version, or has values that it cannot have.
        """
        known = {field.name for field in fields(cls)}
        if set(record) != known:
            raise RunError(
                f"the run's configuration differs in {sorted(set(record) ^ known)}; it was made by "
                "another version: start a new run"
            )
        try:
            return cls(**record)
        except ValueError as error:
            raise RunError(f"the run's record is damaged: {error}") from error


@cache
def setting_kinds() -> dict[str, set[type]]:
    """The types that each setting may have."""
    hints = get_type_hints(PPOConfig)
    return {
        field.name: set(get_args(hints[field.name])) or {hints[field.name]}
        for field in fields(PPOConfig)
    }


def _default(name: str) -> object:
    return next(field.default for field in fields(PPOConfig) if field.name == name)


def config_record(config: PPOConfig) -> dict[str, Any]:
    """The configuration as it stands in a run's record."""
    return asdict(config)
