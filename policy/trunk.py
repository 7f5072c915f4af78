"""The trunk's forward pass on whole melodies without padding, for scoring and learning.

Linear layers process only real tokens, in one flat batch; only attention is padded. The output of
the last layer is computed only at the wanted tokens. The pass can start at any layer, so a policy
with frozen lower layers learns from stored states (`policy.decode.sample_episodes` stores them). It
uses the weights of a `MelodyForCausalLM` and equals the Hugging Face forward to 1e-5
(tests/policy/test_trunk.py), except that it has no dropout.

Letters: B melodies, T tokens (right-padded), N real tokens, M wanted ones, D width, K key-value
heads, G queries per key-value head, H width of a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from music.tokens import PAD
from policy.model import MelodyModel, bar_positions


@dataclass(frozen=True, slots=True)
class Packed:
    """Positions of the real tokens in right-padded rows."""

    ids: Tensor
    """(B, T) the rows"""
    place: Tensor
    """(N,) index of each real token among the B * T"""
    number: Tensor
    """(B * T,) number of the real token at each index; 0 for PAD"""

    @classmethod
    def of(cls, ids_BT: Tensor) -> Packed:
        """The layout of `ids_BT`."""
        place = (ids_BT.reshape(-1) != PAD).nonzero()[:, 0]
        number = torch.zeros(ids_BT.numel(), dtype=torch.int64, device=ids_BT.device)
        number[place] = torch.arange(len(place), device=ids_BT.device)
        return cls(ids_BT, place, number)

    def before(self, decision_BT: Tensor) -> Tensor:
        """Numbers (M,) of the tokens just before those at `decision_BT`."""
        return self.number[decision_BT.reshape(-1).nonzero()[:, 0] - 1]

    def pick(self, values_BTX: Tensor) -> Tensor:
        """Select the values (N, X) of the real tokens from (B, T, X)."""
        return values_BTX.reshape(-1, values_BTX.shape[-1])[self.place]


def hidden_at_choices(
    trunk: MelodyModel,
    ids_BT: Tensor,
    decision_BT: Tensor,
    *,
    states_BTD: Tensor | None = None,
    first: int = 0,
) -> Tensor:
    """Hidden states (M, D) that predict the ids at `decision_BT`, in their order.

    Args:
        trunk: the model's trunk.
        ids_BT: the melodies.
        decision_BT: where a hidden state is wanted; never at BOS.
        states_BTD: stored hidden states before layer `first`, if there are any.
        first: the first layer to run.
    """
    packed = Packed.of(ids_BT)
    x_ND = embed(trunk, packed) if states_BTD is None else packed.pick(states_BTD)
    return run_layers(trunk, x_ND, packed, packed.before(decision_BT), first=first)


def embed(trunk: MelodyModel, packed: Packed) -> Tensor:
    """Input embeddings (N, D)."""
    position_N = bar_positions(packed.ids).reshape(-1)[packed.place]
    ids_N = packed.ids.reshape(-1)[packed.place]
    return trunk.embed_tokens(ids_N) + trunk.embed_bar_position(position_N)


def run_layers(
    trunk: MelodyModel, x_ND: Tensor, packed: Packed, wanted_M: Tensor, *, first: int = 0
) -> Tensor:
    """Final hidden states (M, D) of the tokens `wanted_M`, from the states before layer `first`.

    If `first` equals the number of layers, only the last norm is applied.
    """
    T = packed.ids.shape[1]
    cos_TH, sin_TH = (
        table[0] for table in trunk.rotary_emb(x_ND, position_ids=_places(T, x_ND.device)[None])
    )
    at_N = packed.place % T
    cos, sin = cos_TH[at_N, None], sin_TH[at_N, None]  # (N, 1, H)
    future_TT = torch.full((T, T), -torch.inf, device=x_ND.device).triu(1)
    layers = [cast(LlamaDecoderLayer, layer) for layer in trunk.layers]
    for depth, layer in enumerate(layers[first:], start=first):
        mixed_NK = _attend(layer, x_ND, packed, cos, sin, future_TT, trunk)
        if depth == len(layers) - 1:
            mixed_NK, x_ND = mixed_NK[wanted_M], x_ND[wanted_M]
        x_ND = x_ND + functional.linear(mixed_NK, layer.self_attn.o_proj.weight)
        gate, up = functional.linear(
            _norm(x_ND, layer.post_attention_layernorm.weight, trunk),
            torch.cat([layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight]),
        ).chunk(2, -1)
        x_ND = x_ND + functional.linear(functional.silu(gate) * up, layer.mlp.down_proj.weight)
    if first == len(layers):
        x_ND = x_ND[wanted_M]
    return _norm(x_ND, trunk.norm.weight, trunk)


def _attend(
    layer: LlamaDecoderLayer,
    x_ND: Tensor,
    packed: Packed,
    cos: Tensor,
    sin: Tensor,
    future_TT: Tensor,
    trunk: MelodyModel,
) -> Tensor:
    """Outputs of the attention heads, (N, heads * H), before the output projection."""
    # Llama's configuration always sets these two, although their types allow None.
    heads, K = trunk.config.num_attention_heads, cast(int, trunk.config.num_key_value_heads)
    H = cast(int, trunk.config.head_dim)
    (B, T), G = packed.ids.shape, heads // K
    attention = layer.self_attn
    qkv = functional.linear(
        _norm(x_ND, layer.input_layernorm.weight, trunk),
        torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]),
    ).view(-1, heads + 2 * K, H)
    turning = qkv[:, : heads + K]
    turned = torch.cat([-turning[..., H // 2 :], turning[..., : H // 2]], -1)
    qkv = torch.cat([turning * cos + turned * sin, qkv[:, heads + K :]], 1)
    # PAD comes after all real tokens, so the causal mask alone excludes it.
    padded = qkv[packed.number].view(B, T, heads + 2 * K, H).transpose(1, 2)
    query = padded[:, :heads].reshape(B * K, G * T, H)
    key = padded[:, heads : heads + K].reshape(B * K, T, H)
    value = padded[:, heads + K :].reshape(B * K, T, H)
    scores = (query * H**-0.5 @ key.transpose(1, 2)).view(B * K, G, T, T) + future_TT
    gathered = scores.softmax(-1).view(B * K, G * T, T) @ value
    return gathered.view(B, heads, T, H).transpose(1, 2).reshape(B * T, -1)[packed.place]


def _norm(x: Tensor, weight: Tensor, trunk: MelodyModel) -> Tensor:
    return functional.rms_norm(x, (x.shape[-1],), weight, trunk.config.rms_norm_eps)


def _places(count: int, device: torch.device) -> Tensor:
    return torch.arange(count, device=device)
