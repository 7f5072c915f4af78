"""The neural reward: the policy's trunk, read by small networks that have learnt from comparisons.

The trunk is the policy's own layers but the last, with the policy's weights, and stays as it is:
some hundred votes of people who are right 72 % of the time do not teach a million parameters. Each
member reads all hidden states of a melody: a layer of a few units at every token, their mean over
the tokens, a weight for each unit. Members have learnt from different comparisons
(`reward.neural.training`); where they differ nobody knows.

A utility is in log-odds and means something as a difference only. A score is a utility less the
base policy's mean, in standard deviations over the base policy's melodies, as a taste profile's.

A file holds the trunk's layers, the members and the numbers, as safetensors: nothing is pickled.
One of version 0.1.0 is read too: its trunk gets the vocabulary of today, as its policy does.

Limit: a melody whose metre, mode or length the policy was not trained on gets a score that means
little, and `std` does not say so.

Letters: B melodies, T tokens (right-padded), N real tokens, D width, H units, M members.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from music.files import write_whole
from music.json_text import number, parse_json, whole_number
from music.melody import Melody
from music.messages import excerpt, shortened
from music.tokens import PAD, encode
from policy.configuration import checked_fields, is_earlier, other_vocabulary, trunk_shapes
from policy.earlier import fields_today, tensors_today
from policy.model import MelodyConfig, MelodyForCausalLM, MelodyModel, right_pad
from policy.scope import styles_of
from policy.trunk import Packed, embed, run_layers
from policy.weights import (
    FRACTIONS,
    Header,
    WeightsError,
    check_shapes,
    read_header,
    read_tensors,
)

FORMAT = "tastemaker neural reward"
FORMAT_VERSION = 1
CHUNK = 64
"""melodies of like length in one forward"""
MAX_MEMBERS, MAX_UNITS = 1_000, 65_536
"""of a file that is read; those that are trained have far fewer"""


class NeuralRewardError(ValueError):
    """A neural reward that cannot be made or read; the message says value, rule and remedy."""


class Readout(nn.Module):
    """One member: hidden states -> utility.

    Args:
        width: of the hidden states.
        units: of the one layer at each token.
    """

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.inward = nn.Linear(width, units)
        self.outward = nn.Linear(units, 1, bias=False)
        # Nothing is preferred before there is a reason.
        nn.init.normal_(self.outward.weight, std=0.01)

    def forward(self, states_BTD: Tensor, real_BT: Tensor) -> Tensor:
        """Utilities (B,) in log-odds; `real_BT` is 1 at tokens and 0 at padding."""
        units_BTH = nn.functional.silu(self.inward(states_BTD)) * real_BT[..., None]
        return self.outward(units_BTH.sum(1) / real_BT.sum(1, keepdim=True))[:, 0]


@dataclass(frozen=True, slots=True, eq=False)
class ReadTrunk:
    """A trunk cut before the last layer, and what is usual for its hidden states."""

    trunk: MelodyModel
    mean_D: Tensor
    std_D: Tensor

    @classmethod
    def of(cls, policy: MelodyForCausalLM, melodies: Sequence[Melody]) -> ReadTrunk:
        """The policy's layers but the last (one of one); the usual is that of `melodies`.

        Raises:
            NeuralRewardError: for fewer than two melodies.
        """
        if len(melodies) < 2:
            raise NeuralRewardError(
                f"{len(melodies)} base melodies have no spread; sample some hundreds"
            )
        fields = checked_fields(policy.config.to_dict())
        fields["num_hidden_layers"] = max(1, policy.config.num_hidden_layers - 1)
        _check_vocabulary(fields)
        trunk = _empty_trunk(fields)
        own = policy.model.state_dict()
        trunk.load_state_dict({name: own[name].clone() for name in trunk.state_dict()})
        width = policy.config.hidden_size
        plain = cls(trunk, torch.zeros(width), torch.ones(width))
        every_ND = torch.cat(plain.states(melodies))
        return cls(trunk, every_ND.mean(0), every_ND.std(0).clamp(min=1e-6))

    @torch.no_grad()
    def states(self, melodies: Sequence[Melody]) -> list[Tensor]:
        """Hidden states of each melody's tokens, standardised; a (T, D) tensor a melody."""
        styles = styles_of(self.trunk)
        rows = [encode(melody, styles).astype(np.int64) for melody in melodies]
        found: list[Tensor] = [torch.zeros(0)] * len(rows)
        order = np.argsort([len(row) for row in rows], kind="stable")
        for start in range(0, len(rows), CHUNK):
            some = order[start : start + CHUNK]
            packed = Packed.of(right_pad([rows[i] for i in some]))
            every = torch.arange(len(packed.place))
            hidden_ND = run_layers(self.trunk, embed(self.trunk, packed), packed, every)
            lengths = (packed.ids != PAD).sum(1).tolist()
            parts = ((hidden_ND - self.mean_D) / self.std_D).split(lengths)
            for place, states_TD in zip(some, parts, strict=True):
                found[place] = states_TD
        return found


def padded(states: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """States (B, T, D) of melodies, and which are real (B, T)."""
    real = [torch.ones(len(one)) for one in states]
    pad = nn.utils.rnn.pad_sequence
    return pad(list(states), batch_first=True), pad(real, batch_first=True)


@torch.no_grad()
def utilities(members: Sequence[Readout], states: Sequence[Tensor]) -> np.ndarray:
    """Utility of each melody by each member in log-odds; float64 (M, B)."""
    found = np.zeros((len(members), len(states)))
    order = np.argsort([len(one) for one in states], kind="stable")
    for start in range(0, len(states), CHUNK):
        some = order[start : start + CHUNK]
        states_BTD, real_BT = padded([states[i] for i in some])
        for row, member in enumerate(members):
            found[row, some] = member(states_BTD, real_BT).double().numpy()
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NeuralReward:
    """A trunk and what read it, ready to score melodies. Make one with `fit_neural`."""

    reader: ReadTrunk
    members: tuple[Readout, ...]
    mean_M: np.ndarray
    """each member's mean utility over the base's melodies, in log-odds"""
    utility_std: float
    """standard deviation of the mean member's utility over the base's melodies, in log-odds: the
    unit of a score"""
    votes: int
    """comparisons it was fitted to, ties included"""

    @classmethod
    def of(
        cls,
        reader: ReadTrunk,
        members: Sequence[Readout],
        base_states: Sequence[Tensor],
        *,
        votes: int,
    ) -> NeuralReward:
        """Fix mean and unit by hidden states of the base policy's melodies."""
        raw_MB = utilities(members, base_states)
        unit = float(raw_MB.mean(0).std())
        return cls(
            reader=reader,
            members=tuple(members),
            mean_M=raw_MB.mean(1),
            utility_std=unit if unit > 1e-9 else 1.0,
            votes=votes,
        )

    def score(self, melodies: Sequence[Melody]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and std of each melody's score, (B,) each, in base standard deviations.

        `std` is the jackknife's (Tukey 1958): each of the M members has been trained without one
        M-th of the comparisons, so their deviations about their mean, squared, summed and times
        (M - 1) / M, estimate the variance. What all of them have wrong is not in it.
        """
        return self.score_states(self.reader.states(melodies))

    def score_states(self, states: Sequence[Tensor]) -> tuple[np.ndarray, np.ndarray]:
        """As `score`, of melodies whose hidden states are known from `reader`."""
        raw_MB = utilities(self.members, states)
        score_MB = (raw_MB - self.mean_M[:, None]) / self.utility_std
        return score_MB.mean(0), score_MB.std(0) * np.sqrt(len(self.members) - 1)

    def save(self, path: Path) -> None:
        """Write one safetensors file, whole or not at all."""
        tensors = {f"trunk.{name}": t for name, t in self.reader.trunk.state_dict().items()}
        tensors |= {"mean_D": self.reader.mean_D, "std_D": self.reader.std_D}
        tensors["mean_M"] = torch.from_numpy(self.mean_M)
        for place, member in enumerate(self.members):
            tensors |= {f"member.{place}.{n}": t for n, t in member.state_dict().items()}
        metadata = {
            "format": FORMAT,
            "version": str(FORMAT_VERSION),
            "trunk": json.dumps(self.reader.trunk.config.to_dict()),
            "members": str(len(self.members)),
            "utility_std": repr(self.utility_std),
            "votes": str(self.votes),
        }
        kept = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        write_whole(path, save(kept, metadata=metadata))

    @classmethod
    def load(cls, path: Path) -> NeuralReward:
        """Read what `save` wrote.

        Raises:
            NeuralRewardError: for a file that is none, of another version, or broken.
        """
        remedy = "train it again from the ratings store"
        try:
            header = read_header(path)
        except (OSError, WeightsError) as error:
            raise NeuralRewardError(
                f"{path} is not a readable neural reward ({error}); {remedy}"
            ) from error
        metadata = header.metadata
        if metadata.get("format") != FORMAT:
            raise NeuralRewardError(f"{path} is safetensors but no neural reward; {remedy}")
        if metadata.get("version") != str(FORMAT_VERSION):
            raise NeuralRewardError(
                f"{path} has version {shortened(metadata.get('version'))}, this is "
                f"{FORMAT_VERSION}; {remedy}"
            )
        try:
            fields = checked_fields(parse_json(metadata["trunk"]))
            if not is_earlier(fields):
                _check_vocabulary(fields)
            units_M = _check_tensors(header, fields, int(metadata["members"]))
            unit = number(float(metadata["utility_std"]), "utility_std", low=1e-9, high=1e9)
            votes = whole_number(int(metadata["votes"]), "votes", low=0, high=10**12)
            tensors = read_tensors(path, header, types=(*FRACTIONS, "F64"))
            if not (tensors["std_D"] > 0).all():
                raise WeightsError("std_D is not positive everywhere")
        except NeuralRewardError:
            raise
        except (OSError, KeyError, ValueError) as error:
            reason = excerpt(f"{type(error).__name__}: {error}", 120)
            raise NeuralRewardError(f"{path} is broken ({reason}); {remedy}") from error
        if is_earlier(fields):
            fields, tensors = fields_today(fields), tensors_today(tensors)
        trunk = _empty_trunk(fields)
        trunk.load_state_dict(_under("trunk.", tensors))
        members = []
        for place, units in enumerate(units_M):
            member = Readout(fields["hidden_size"], units)
            member.load_state_dict(_under(f"member.{place}.", tensors))
            members.append(member.eval())
        return cls(
            reader=ReadTrunk(trunk, tensors["mean_D"], tensors["std_D"]),
            members=tuple(members),
            mean_M=tensors["mean_M"].numpy(),
            utility_std=unit,
            votes=votes,
        )


def _check_tensors(header: Header, fields: Mapping[str, Any], members: int) -> list[int]:
    """Refuse a file whose tensors do not go together; how many units each member has.

    Raises:
        WeightsError: with the first tensor that is missing or has another shape.
    """
    width = fields["hidden_size"]
    if not 2 <= members <= MAX_MEMBERS:
        raise WeightsError(f"it has {members} members, not 2 to {MAX_MEMBERS}")
    wanted = {f"trunk.{name}": shape for name, shape in trunk_shapes(fields).items()}
    wanted |= {"mean_D": (width,), "std_D": (width,), "mean_M": (members,)}
    units_M = []
    for place in range(members):
        units = header.shapes.get(f"member.{place}.inward.bias", (0,))[0]
        if not 1 <= units <= MAX_UNITS:
            raise WeightsError(f"member {place} has {units} units, not 1 to {MAX_UNITS}")
        units_M.append(units)
        wanted |= {
            f"member.{place}.inward.weight": (units, width),
            f"member.{place}.inward.bias": (units,),
            f"member.{place}.outward.weight": (1, units),
        }
    check_shapes(header, wanted)
    if wide := [n for n, kind in header.types.items() if kind == "F64" and n != "mean_M"]:
        raise WeightsError(f"{excerpt(wide[0])} has the type F64, which would be rounded")
    if others := header.shapes.keys() - wanted.keys():
        raise WeightsError(f"it has {excerpt(min(others))}, which no neural reward has")
    return units_M


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors below a prefix, by the rest of their names."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _check_vocabulary(fields: Mapping[str, Any]) -> None:
    if other := other_vocabulary(fields):
        raise NeuralRewardError(f"the trunk {other}")


def _empty_trunk(fields: Mapping[str, Any]) -> MelodyModel:
    """A trunk of that configuration, whose weights are yet to come."""
    with torch.random.fork_rng():  # the first weights are drawn, and overwritten
        return MelodyModel(MelodyConfig(**fields)).eval().requires_grad_(False)
