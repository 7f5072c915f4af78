"""Decoding with a key-value cache: a policy writes a batch of episodes to its end.

What may come next, what is forced and when a melody ends is the batch's to say
(`policy.episodes`). This module reads the weights of a `MelodyForCausalLM` and runs its forward one
token at a time. The cache is allocated ahead, and melodies that have ended leave it. The result is
equal to the Hugging Face forward to 1e-5 (tests/policy/test_decode.py), except that there is no
dropout. Attention at query length 1 is two batched matrix products: scaled_dot_product_attention
takes longer here than all other products together.

Letters: B melodies, T tokens, D width, V vocabulary, K key-value heads, G queries per key-value
head, H width of a head, L layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from music.progress import Progress, no_progress
from music.tokens import DURATION_OF_ID, FIRST_REST, HEADER_LENGTH, PAD
from policy.configuration import BAR_POSITIONS
from policy.episodes import EpisodeBatch
from policy.model import MelodyForCausalLM, bar_positions
from policy.scope import scope_of

_CACHE_STEP = 64
_COMPACT_BELOW = 0.75


class NotFiniteError(ValueError):
    """A policy whose weights give no probabilities."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A batch of decoded melodies; every tensor is (B, T), right-padded."""

    ids: Tensor
    """int64, BOS to EOS, then PAD"""
    logprob: Tensor
    """log-probability in nats of each id under the masked policy, at the temperature asked for; 0
    where the policy had no choice"""
    mask_row: Tensor
    """int64, row of the policy's mask table (`policy.scope`) that was legal for each id"""
    decision: Tensor
    """bool, where the policy had a choice"""
    states: Tensor | None = None
    """(B, T, D) what enters layer `keep_states` at each id, if asked for; undefined from EOS on"""
    hidden: Tensor | None = None
    """(B, T, D) the final hidden states there, from which the next id is chosen"""

    def rows(self) -> list[np.ndarray]:
        """The melodies as uint16 arrays without padding, for `music.tokens.decode`."""
        lengths = (self.ids != PAD).sum(1).tolist()
        return [
            ids[:n].astype(np.uint16)
            for ids, n in zip(self.ids.cpu().numpy(), lengths, strict=True)
        ]


class _Decoder:
    """The policy's forward, one token at a time: weights laid out for it, and the cache."""

    def __init__(self, model: MelodyForCausalLM, batch: int, longest: int) -> None:
        config, trunk = model.config, model.model
        self.trunk, self.head = trunk, model.lm_head.weight
        self.eps = config.rms_norm_eps
        self.heads = config.num_attention_heads
        # Llama's configuration fills in these two at birth; its types still allow None.
        self.kv_heads = cast(int, config.num_key_value_heads)
        self.width = cast(int, config.head_dim)
        layers = [cast(LlamaDecoderLayer, layer) for layer in trunk.layers]
        device = self.head.device
        self.layers = [self._laid_out(layer) for layer in layers]
        # Halves of a head side by side: a rotation is then one complex product.
        positions = torch.arange(longest, device=device)[None]
        cos, sin = trunk.rotary_emb(self.head.float(), position_ids=positions)
        half = self.width // 2
        self.turn = torch.complex(cos[0, :, :half], sin[0, :, :half])  # (T, H / 2)
        self.cache = self._room(batch, _CACHE_STEP)  # (L, 2, B, K, T, H), keys and values
        self.kept: Tensor | None = None

    def _laid_out(self, layer: LlamaDecoderLayer) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A layer's four products: norms' weights and attention's scale are in them already."""
        attention, mlp = layer.self_attn, layer.mlp
        turned = torch.cat([attention.q_proj.weight * self.width**-0.5, attention.k_proj.weight])
        # (heads, 2, H / 2, D) -> (heads, H / 2, 2, D)
        turned = turned.view(-1, 2, self.width // 2, turned.shape[1]).transpose(1, 2)
        qkv = torch.cat([turned.reshape(-1, turned.shape[3]), attention.v_proj.weight])
        gate_up = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])
        return (
            qkv * layer.input_layernorm.weight,
            attention.o_proj.weight.t(),
            gate_up * layer.post_attention_layernorm.weight,
            mlp.down_proj.weight.t(),
        )

    def _room(self, batch: int, length: int) -> Tensor:
        shape = (len(self.layers), 2, batch, self.kv_heads, length, self.width)
        return torch.empty(shape, device=self.head.device, dtype=self.head.dtype)

    def keep(self, rows: Tensor) -> None:
        """Drop the cache of all other rows."""
        self.cache = self.cache.index_select(2, rows)

    def __call__(
        self, ids_B: Tensor, bar_position_B: Tensor, at: int, keep_states: int | None = None
    ) -> Tensor:
        """Hidden states (B, D) after the token at place `at`; `kept` are those after a layer."""
        if at >= self.cache.shape[4]:
            room = self._room(len(ids_B), at + _CACHE_STEP)
            room[..., :at, :] = self.cache
            self.cache = room
        batch, K = len(ids_B), self.kv_heads
        trunk = self.trunk
        x = trunk.embed_tokens(ids_B) + trunk.embed_bar_position(bar_position_B)
        for number, (qkv, out, gate_up, down) in enumerate(self.layers):
            if number == keep_states:
                self.kept = x
            mixed = functional.linear(self._norm(x), qkv)
            mixed = mixed.view(batch, self.heads + 2 * K, self.width)
            turning = mixed[:, : self.heads + K].unflatten(2, (-1, 2))
            torch.view_as_complex(turning).mul_(self.turn[at])
            new = mixed[:, self.heads :].view(batch, 2, K, self.width)
            self.cache[number, :, :, :, at] = new.transpose(0, 1)
            query = mixed[:, : self.heads].view(batch, K, -1, self.width)  # (B, K, G, H)
            keys, values = self.cache[number, :, :, :, : at + 1]
            weights = (query @ keys.transpose(2, 3)).softmax(-1)
            x = torch.addmm(x, (weights @ values).view(batch, -1), out)
            gate, up = functional.linear(self._norm(x), gate_up).chunk(2, -1)
            x = torch.addmm(x, functional.silu(gate).mul_(up), down)
        return self._norm(x) * trunk.norm.weight

    def _norm(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), eps=self.eps)


def sample(
    model: MelodyForCausalLM,
    prompts_BP: np.ndarray,
    *,
    generator: torch.Generator,
    temperature: float = 1.0,
    allowed_BV: np.ndarray | None = None,
    progress: Progress = no_progress,
) -> Sampled:
    """Decode one melody for each prompt.

    Args:
        model: the policy.
        prompts_BP: int, the tokens that are set beforehand (BOS first); -1 where the policy
            chooses.
        generator: the only source of chance, on the model's device.
        temperature: 1 samples the policy itself; towards 0 it takes the likeliest token.
        allowed_BV: as in `sample_episodes`.
        progress: is told how many melodies have ended.

    Raises:
        ValueError: for a temperature that is not positive and finite, or when a token of a prompt
            is not legal at its place, naming some that are.
    """
    return sample_episodes(
        model,
        EpisodeBatch.prompted(prompts_BP, scope_of(model)),
        generator=generator,
        temperature=temperature,
        allowed_BV=allowed_BV,
        progress=progress,
    )


@torch.no_grad()
def sample_episodes(
    model: MelodyForCausalLM,
    episodes: EpisodeBatch,
    *,
    generator: torch.Generator,
    temperature: float = 1.0,
    keep_states: int | None = None,
    allowed_BV: np.ndarray | None = None,
    progress: Progress = no_progress,
) -> Sampled:
    """Write all melodies of a batch to their end.

    Args:
        model: the policy.
        episodes: melodies that have begun; they are whole afterwards.
        generator: the only source of chance, on the model's device.
        temperature: as in `sample`.
        keep_states: store what enters this layer, for a learner whose layers below it are frozen
            (`policy.trunk.run_layers`), and the final hidden states.
        allowed_BV: bool, the tokens that each melody may have, beyond what the grammar says; some
            token that the grammar allows must always be left, such as a note of each duration.
            `logprob` is then among those left, while `mask_row` is still the grammar's alone: such
            a batch is for listening, not for a learner. None allows all.
        progress: is told how many melodies have ended.

    Raises:
        NotFiniteError: when the policy gives no probabilities.
        ValueError: for a temperature that is not positive and finite, or when a token of a prompt
            is not legal at its place, naming some that are.
    """
    if not 0 < temperature < math.inf:  # NaN too
        raise ValueError(
            f"temperature={temperature} is not a positive, finite number; 1 samples the policy as "
            "it is"
        )
    batch, longest = episodes.tokens_NT.shape
    device = model.lm_head.weight.device
    table = episodes.scope.table_on(device)
    header_order = torch.from_numpy(episodes.scope.header_order).to(device)
    from_rest = slice(FIRST_REST, None)  # between barlines only these may come, the last ids
    every_id = torch.arange(table.shape[1], device=device)
    allowed = None if allowed_BV is None else torch.from_numpy(allowed_BV).to(device)
    decoder = _Decoder(model, batch, longest)
    alive = np.arange(batch)
    logprob_BT = torch.zeros(batch, longest, device=device)
    kept: list[tuple[np.ndarray, Tensor, Tensor]] = []
    hidden: Tensor | None = None
    position = np.zeros(batch, np.int64)
    for at in range(longest):
        (waiting,) = np.nonzero(episodes.length[alive] == at)  # others are still in their prompt
        if len(waiting):
            numbers = alive[waiting]
            tokens = episodes.forced(numbers)
            choosing = tokens < 0
            if choosing.any():
                assert hidden is not None  # BOS is forced
                who = torch.from_numpy(waiting[choosing]).to(device)
                legal = table[torch.from_numpy(episodes.mask_row[numbers[choosing]]).to(device)]
                if allowed is not None:
                    legal = legal & allowed[torch.from_numpy(numbers[choosing]).to(device)]
                ids = header_order if at < HEADER_LENGTH else from_rest
                logits = functional.linear(hidden[who], decoder.head[ids]).float()
                drawn, logprob = _choose(logits, legal[:, ids], temperature, generator)
                tokens[choosing] = every_id[ids][drawn].cpu().numpy()
                logprob_BT[torch.from_numpy(numbers[choosing]).to(device), at] = logprob
            episodes.write(numbers, tokens)
            progress(int(episodes.ended.sum()), batch)
        left = ~episodes.ended[alive] | (episodes.length[alive] > at + 1)
        if not left.any():
            break
        taken = episodes.tokens_NT[alive, at]
        position = _next_position(position, taken)
        if left.sum() < _COMPACT_BELOW * len(alive):
            decoder.keep(torch.from_numpy(np.flatnonzero(left)).to(device))
            alive, taken, position = alive[left], taken[left], position[left]
        hidden = decoder(
            torch.from_numpy(taken).to(device),
            torch.from_numpy(position).to(device),
            at,
            keep_states,
        )
        if decoder.kept is not None:
            kept.append((alive, decoder.kept, hidden))
    length = int(episodes.length.max(initial=0))
    ids, mask_row, decision = (
        torch.from_numpy(whole[:, :length].copy()).to(device)
        for whole in (episodes.tokens_NT, episodes.mask_row_NT, episodes.decision_NT)
    )
    sampled = Sampled(ids, logprob_BT[:, :length].clone(), mask_row, decision)
    if keep_states is None:
        return sampled
    states, last = torch.zeros(2, *ids.shape, model.config.hidden_size, device=device)
    for at, (alive, entered, left) in enumerate(kept):
        who = torch.from_numpy(alive).to(device)
        states[who, at], last[who, at] = entered, left
    return replace(sampled, states=states, hidden=last)


def _choose(
    logits_NV: Tensor, legal_NV: Tensor, temperature: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """One legal id a row, and its log-probability in nats."""
    logits_NV = logits_NV.masked_fill(~legal_NV, -torch.inf)
    if temperature != 1:  # from the likeliest down, or next to 0 all would be infinite
        below = logits_NV - logits_NV.amax(-1, keepdim=True)
        logits_NV = below / max(temperature, torch.finfo(below.dtype).tiny)
    logps_NV = logits_NV.log_softmax(-1)
    drawn_N = _draw(logps_NV.exp(), generator)
    return drawn_N, logps_NV.gather(1, drawn_N[:, None])[:, 0]


def _draw(probability_NV: Tensor, generator: torch.Generator) -> Tensor:
    """One id a row, by the inverse of the distribution function; a third of multinomial's time."""
    reached = probability_NV.cumsum(1)
    total = reached[:, -1:]
    if not torch.isfinite(total).all():
        raise NotFiniteError(
            "the policy's probabilities are not finite: its weights are damaged, or too large; "
            "restore it, or train it anew with a lower learning rate"
        )
    chance = total * torch.rand(len(reached), 1, generator=generator, device=reached.device)
    # Rounding may put the chance at the very end, where there is no id.
    chance = chance.minimum(total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(reached, chance, right=True)[:, 0]


def _next_position(position: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Position in the bar after `ids`, as `policy.model.bar_positions` has it for the whole row."""
    inside = np.minimum(position + DURATION_OF_ID[ids], BAR_POSITIONS - 1)
    # Alone in its row, a barline or header token gives the position that it resets to.
    alone = bar_positions(torch.from_numpy(ids)[:, None])[:, 0].numpy()
    return np.where(DURATION_OF_ID[ids] > 0, inside, alone)
