"""A policy's configuration: what its values may be, and what it says of the weights.

`config.json` decides what weights compute: the same weights with two heads instead of four are
another policy. So it is checked before anything is allocated, and it is a part of what a policy is
known by (docs/decisions/0009).

Letters: V vocabulary, D width, I width inside the MLP, P positions in a bar, H width of a head.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from music.earlier_tokens import EARLIER_VOCABULARY
from music.json_text import JsonError, number, whole_number
from music.messages import excerpt, shortened
from music.styles import StyleError
from music.tokens import BOS, EOS, PAD, VOCABULARY
from policy.scope import ScopeError, checked_scope, unusual_scope

BAR_POSITIONS = 288
"""size of the position-in-bar table, in ticks; a pickup of k ticks starts at 288 - k"""
EARLIER_BAR_POSITIONS = 160
"""as many as in version 0.1.0; a pickup of k ticks started at 160 - k"""
RMS_NORM_EPS, ROPE_THETA = 1e-6, 10_000.0
"""of every policy that Tastemaker makes"""
WHOLE_RANGES = {
    "vocab_size": (1, 100_000),
    "bar_positions": (1, 100_000),
    "hidden_size": (2, 16_384),
    "intermediate_size": (1, 65_536),
    "num_hidden_layers": (1, 256),
    "num_attention_heads": (1, 1_024),
    "num_key_value_heads": (1, 1_024),
    "head_dim": (2, 4_096),
    "max_position_embeddings": (1, 10_000_000),
}
"""whole numbers of a configuration, and what they may be"""
RANGES = {
    "rms_norm_eps": (1e-12, 0.1),
    "residual_dropout": (0.0, 0.999),
    "attention_dropout": (0.0, 0.999),
    "initializer_range": (0.0, 1.0),
}
"""fractions of a configuration, and what they may be"""
_DEFAULTS: dict[str, Any] = {
    "bar_positions": BAR_POSITIONS,
    "max_position_embeddings": 2048,
    "rms_norm_eps": RMS_NORM_EPS,
    "residual_dropout": 0.0,
    "attention_dropout": 0.0,
    "initializer_range": 0.02,
}
_FIXED = {
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
}
"""`policy.decode` and `policy.trunk` compute no other activation and no biases"""
_OURS = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}
"""of the vocabulary, whatever a configuration says"""
_PASSED_ON = {"architectures": list, "use_cache": bool, "pretraining_tp": int}
"""fields that change nothing here, but that transformers writes and may want back, and their types;
of another type they are left out, because transformers refuses them"""


class ConfigurationError(ValueError):
    """A configuration that no policy has; the message says the field, its value and the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The fields that decide what weights compute and that their shapes do not tell."""

    num_attention_heads: int
    num_key_value_heads: int
    rms_norm_eps: float
    rope_theta: float
    tie_word_embeddings: bool
    scope: str | None = None
    """what it may write (`policy.scope`); None of what `melody_config` says unless told otherwise,
    and of policies of version 0.1.0, which are told by the shapes of their weights"""

    @property
    def is_usual(self) -> bool:
        """Whether no other policy of these weights is meant by their hash alone.

        So are the policies that `tastemaker pretrain` makes, which have 4 heads and 2 key-value
        heads, and all that are tuned from them. Weights tell how many query heads share a
        key-value head, not how many heads there are; where two do not share one, the usual policy
        has one key-value head.
        """
        return self == usual(self.num_attention_heads // self.num_key_value_heads)

    @property
    def differs_in_heads_only(self) -> bool:
        """Whether it is usual except for the number of heads."""
        other = asdict(usual(1)) | {
            name: getattr(self, name) for name in ("num_attention_heads", "num_key_value_heads")
        }
        return asdict(self) == other

    def text(self) -> str:
        """The fields as text, always the same for the same fields."""
        said = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(said, sort_keys=True)


def usual(heads_per_key_value_head: int) -> Identity:
    """The identity for which the hash of the weights stands alone; see `Identity.is_usual`."""
    key_value_heads = 2 if heads_per_key_value_head == 2 else 1
    return Identity(
        num_attention_heads=heads_per_key_value_head * key_value_heads,
        num_key_value_heads=key_value_heads,
        rms_norm_eps=RMS_NORM_EPS,
        rope_theta=ROPE_THETA,
        tie_word_embeddings=True,
    )


def checked_fields(given: object) -> dict[str, Any]:
    """Arguments for `MelodyConfig` from the JSON of a configuration, with defaults filled in.

    Fields that we do not know are left out: they change nothing of what we compute, but
    transformers may allocate for them.

    Raises:
        ConfigurationError: for a field that is missing, or has a value that it cannot have.
    """
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{shortened(given)} is not a JSON object")
    try:
        return _checked(given)
    except (JsonError, ScopeError, StyleError) as error:
        raise ConfigurationError(str(error)) from error


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: value for name, value in {**_DEFAULTS, **given}.items() if value is not None}
    if "num_attention_heads" in said and "hidden_size" in said:
        heads, width = (_whole(said, name) for name in ("num_attention_heads", "hidden_size"))
        if width % heads:
            raise ConfigurationError(
                f"hidden_size={width} is not a multiple of num_attention_heads={heads}"
            )
        said = {"num_key_value_heads": heads, "head_dim": width // heads} | said
    missing = [name for name in WHOLE_RANGES if name not in said]
    if missing:
        raise ConfigurationError(f"it has no {missing[0]}")
    fields: dict[str, Any] = {name: _whole(said, name) for name in WHOLE_RANGES}
    fields |= {
        name: number(said[name], name, low=low, high=high) for name, (low, high) in RANGES.items()
    }
    if fields["num_attention_heads"] % fields["num_key_value_heads"]:
        raise ConfigurationError(
            f"num_key_value_heads={fields['num_key_value_heads']} does not divide "
            f"num_attention_heads={fields['num_attention_heads']}"
        )
    if fields["head_dim"] % 2:
        raise ConfigurationError(f"head_dim={fields['head_dim']} is odd; positions turn pairs")
    for name, only in _FIXED.items():
        if said.get(name, only) != only:
            raise ConfigurationError(f"{name}={shortened(said[name])} is not {only}")
    tied = said.get("tie_word_embeddings", True)
    if not isinstance(tied, bool):
        raise ConfigurationError(f"tie_word_embeddings={shortened(tied)} is not true or false")
    theta = _rope_theta(said)
    passed_on = {
        name: said[name]
        for name, kind in _PASSED_ON.items()
        if type(said.get(name)) is kind and not _is_long(said[name])
    }
    return {
        **fields,
        **_FIXED,
        **_OURS,
        **passed_on,
        **checked_scope(said),
        "tie_word_embeddings": tied,
        "rope_parameters": {"rope_theta": theta, "rope_type": "default"},
    }


def _rope_theta(said: Mapping[str, Any]) -> float:
    """The base of the rotary positions; transformers 4 wrote it beside the other fields."""
    rope = said.get("rope_parameters", said.get("rope_scaling", {}))
    if not isinstance(rope, Mapping):
        raise ConfigurationError(f"rope_parameters={shortened(rope)} is not a JSON object")
    kind = rope.get("rope_type", rope.get("type", "default"))
    other = sorted(rope.keys() - {"rope_theta", "rope_type", "type"})
    if kind != "default" or other:
        what = f"rope_type={shortened(kind)}" if kind != "default" else excerpt(other[0])
        raise ConfigurationError(f"rope_parameters has {what}; only default ones are computed")
    theta = rope.get("rope_theta", said.get("rope_theta", ROPE_THETA))
    return number(theta, "rope_theta", low=1.0, high=1e12)


def _whole(said: Mapping[str, Any], name: str) -> int:
    low, high = WHOLE_RANGES[name]
    return whole_number(said[name], name, low=low, high=high)


def _is_long(value: object) -> bool:
    """Whether a field is a list of other things than a few names."""
    return isinstance(value, list) and not (
        len(value) <= 4 and all(isinstance(one, str) and len(one) < 100 for one in value)
    )


def is_earlier(fields: Mapping[str, Any]) -> bool:
    """Whether a configuration is one of version 0.1.0; `policy.earlier` brings it to today."""
    sizes = fields["vocab_size"], fields["bar_positions"]
    return sizes == (len(EARLIER_VOCABULARY), EARLIER_BAR_POSITIONS)


def other_vocabulary(fields: Mapping[str, Any]) -> str | None:
    """What to say of a configuration that is of another vocabulary than ours; None of ours."""
    sizes, ours = (fields["vocab_size"], fields["bar_positions"]), (len(VOCABULARY), BAR_POSITIONS)
    if sizes == ours:
        return None
    return (
        f"has another vocabulary: vocab_size, bar_positions={sizes}, here {ours}; use the release "
        "that it was made with"
    )


def identity(fields: Mapping[str, Any]) -> Identity:
    """What identifies a policy beside its weights, from what `checked_fields` returned."""
    return Identity(
        num_attention_heads=fields["num_attention_heads"],
        num_key_value_heads=fields["num_key_value_heads"],
        rms_norm_eps=fields["rms_norm_eps"],
        rope_theta=fields["rope_parameters"]["rope_theta"],
        tie_word_embeddings=fields["tie_word_embeddings"],
        scope=None if is_earlier(fields) else unusual_scope(fields),
    )


def trunk_shapes(fields: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor of a trunk, by its name in `MelodyModel.state_dict`."""
    D, inner, H = (fields[name] for name in ("hidden_size", "intermediate_size", "head_dim"))
    queries, keys = (fields[name] * H for name in ("num_attention_heads", "num_key_value_heads"))
    layer = {
        "self_attn.q_proj.weight": (queries, D),
        "self_attn.k_proj.weight": (keys, D),
        "self_attn.v_proj.weight": (keys, D),
        "self_attn.o_proj.weight": (D, queries),
        "mlp.gate_proj.weight": (inner, D),
        "mlp.up_proj.weight": (inner, D),
        "mlp.down_proj.weight": (D, inner),
        "input_layernorm.weight": (D,),
        "post_attention_layernorm.weight": (D,),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "embed_tokens.weight": (fields["vocab_size"], D),
        "embed_bar_position.weight": (fields["bar_positions"], D),
        "norm.weight": (D,),
    }
    for number_of_layer in range(fields["num_hidden_layers"]):
        shapes |= {f"layers.{number_of_layer}.{name}": shape for name, shape in layer.items()}
    return shapes
