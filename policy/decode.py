"""Cached decoding of a batch, with the grammar's mask inside: every result is a whole melody.

It reads the weights of a `MelodyForCausalLM` and runs its forward one token at a time, with a
key-value cache that is allocated ahead and rows that are dropped once their melody has ended. Equal
to the Hugging Face forward to 1e-5 (tests/policy/test_decode.py), dropout aside: decoding has none.
Attention at query length 1 is two batched matrix products; scaled_dot_product_attention takes
longer than all other products together here.

Letters: B melodies, T tokens, D width, V vocabulary, K key-value heads, G queries per key-value
head, H width of a head, L layers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from music.grammar import MASK_TABLE, advance, initial_state, mask_rows
from music.progress import Progress, no_progress
from music.tokens import BOS, DURATION_OF_ID, HEADER_LENGTH, MAX_LENGTH, PAD, VOCABULARY
from policy.model import BAR_POSITIONS, MelodyForCausalLM, bar_positions

_CACHE_STEP = 64
_COMPACT_BELOW = 0.75
_CHOICES = MASK_TABLE.sum(1)


@dataclass(frozen=True, slots=True)
class Sampled:
    """A batch of decoded melodies; every tensor is (B, T), right-padded."""

    ids: Tensor
    """int64, BOS to EOS, then PAD"""
    logprob: Tensor
    """log-probability in nats of each sampled id under the masked policy at the temperature asked;
    0 where given, forced or PAD"""
    mask_row: Tensor
    """int64, row of `music.grammar.MASK_TABLE` that was legal for each id"""
    acted: Tensor
    """bool, where the policy had a choice and made it"""
    states: Tensor | None = None
    """(B, T, D) what enters layer `keep_states` at each id, if asked for; anything from EOS on"""
    hidden: Tensor | None = None
    """(B, T, D) the final hidden states there, from which the next id is chosen"""

    def rows(self) -> list[np.ndarray]:
        """The melodies as uint16 arrays without padding, for `music.tokens.decode`."""
        lengths = (self.ids != PAD).sum(1).tolist()
        return [
            ids[:n].astype(np.uint16)
            for ids, n in zip(self.ids.cpu().numpy(), lengths, strict=True)
        ]


class _Step:
    """One token further for every row: the weights laid out for decoding, and the cache."""

    def __init__(self, model: MelodyForCausalLM, batch: int) -> None:
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
        positions = torch.arange(MAX_LENGTH, device=device)[None]
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


@torch.no_grad()
def sample(
    model: MelodyForCausalLM,
    given: np.ndarray,
    *,
    generator: torch.Generator,
    temperature: float = 1.0,
    stop_at: int = MAX_LENGTH,
    keep_states: int | None = None,
    progress: Progress = no_progress,
) -> Sampled:
    """Decode one melody for each row of `given`.

    Args:
        model: the policy.
        given: int (B, P); ids that are set beforehand (BOS first), -1 where the policy chooses.
        generator: the only source of chance, on the model's device.
        temperature: 1 samples the policy itself; towards 0 it takes the likeliest.
        stop_at: decode no more than so many tokens: for headers alone.
        keep_states: store what enters this layer, for a learner whose layers below it are frozen
            (`policy.trunk.run_layers`), and the final hidden states.
        progress: is told how many melodies have ended.

    Raises:
        ValueError: when a given id may not stand where it is, naming ids that may.
    """
    if not temperature > 0:  # NaN too
        raise ValueError(
            f"temperature={temperature} is not positive; 1 samples the policy as it is"
        )
    batch = len(given)
    device = model.lm_head.weight.device
    table = torch.from_numpy(MASK_TABLE).to(device)
    step = _Step(model, batch)
    state = initial_state(batch)
    alive = np.arange(batch)
    columns: list[tuple[np.ndarray, Tensor, Tensor, np.ndarray, np.ndarray]] = []
    kept: list[tuple[np.ndarray, Tensor, Tensor]] = []
    hidden: Tensor | None = None
    position = np.zeros(batch, np.int64)
    for at in range(min(stop_at, MAX_LENGTH)):
        rows = mask_rows(state)
        fixed = given[alive, at] if at < given.shape[1] else np.full(len(alive), -1)
        _check_given(fixed, rows)
        choosing = (fixed < 0) & (_CHOICES[rows] > 1)
        forced = np.where(fixed >= 0, fixed, MASK_TABLE[rows].argmax(1))
        logprob = torch.zeros(len(alive), device=device)
        ids = torch.from_numpy(forced).to(device)
        if hidden is not None and choosing.any():
            who = torch.from_numpy(np.flatnonzero(choosing)).to(device)
            legal = table[torch.from_numpy(rows[choosing]).to(device)]
            logits = functional.linear(hidden[who], step.head).float()
            logits = logits.masked_fill(~legal, -torch.inf)
            if temperature != 1:  # from the likeliest down, or next to 0 all would be infinite
                below = logits - logits.amax(-1, keepdim=True)
                logits = below / max(temperature, torch.finfo(below.dtype).tiny)
            logps = logits.log_softmax(-1)
            drawn = _draw(logps.exp(), generator)
            ids[who] = drawn
            logprob[who] = logps.gather(1, drawn[:, None])[:, 0]
        columns.append((alive, ids, logprob, rows, choosing))
        taken = ids.cpu().numpy()
        position = _next_position(position, taken)
        state = advance(state, taken)
        done = state.done
        progress(batch - int((~done).sum()), batch)
        if done.all():
            break
        if (~done).sum() < _COMPACT_BELOW * len(alive):
            left = np.flatnonzero(~done)
            step.keep(torch.from_numpy(left).to(device))
            alive, state, position = alive[left], state[left], position[left]
            ids = ids[torch.from_numpy(left).to(device)]
        hidden = step(ids, torch.from_numpy(position).to(device), at, keep_states)
        if step.kept is not None:
            kept.append((alive, step.kept, hidden))
    sampled = _assemble(columns, batch, device)
    if keep_states is None:
        return sampled
    states, last = torch.zeros(2, *sampled.ids.shape, model.config.hidden_size, device=device)
    for at, (alive, entered, left) in enumerate(kept):
        who = torch.from_numpy(alive).to(device)
        states[who, at], last[who, at] = entered, left
    return replace(sampled, states=states, hidden=last)


def _draw(probability_NV: Tensor, generator: torch.Generator) -> Tensor:
    """One id a row, by the inverse of the distribution function; a third of multinomial's time."""
    reached = probability_NV.cumsum(1)
    total = reached[:, -1:]
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


def _check_given(fixed: np.ndarray, rows: np.ndarray) -> None:
    known = fixed >= 0
    inside = known & (fixed < len(VOCABULARY))
    bad = known & ~(inside & MASK_TABLE[rows, np.where(inside, fixed, 0)])
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        instead = [VOCABULARY[i] for i in np.flatnonzero(MASK_TABLE[rows[row]])[:6]]
        name = VOCABULARY[fixed[row]] if inside[row] else f"id {fixed[row]}"
        raise ValueError(
            f"given token {name} of melody {row} may not stand there; "
            f"among those that may: {instead}"
        )


def _assemble(
    columns: list[tuple[np.ndarray, Tensor, Tensor, np.ndarray, np.ndarray]],
    batch: int,
    device: torch.device,
) -> Sampled:
    shape = (batch, len(columns))
    ids = torch.full(shape, PAD, dtype=torch.int64, device=device)
    logprob = torch.zeros(shape, device=device)
    mask_row = torch.zeros(shape, dtype=torch.int64, device=device)
    acted = torch.zeros(shape, dtype=torch.bool, device=device)
    for at, (alive, new, logp, rows, choosing) in enumerate(columns):
        who = torch.from_numpy(alive).to(device)
        ids[who, at], logprob[who, at] = new, logp
        mask_row[who, at] = torch.from_numpy(rows).to(device)
        acted[who, at] = torch.from_numpy(choosing).to(device)
    return Sampled(ids, logprob, mask_row, acted)


def header_only(count: int, **tokens: int) -> np.ndarray:
    """`given` (count, 6) with BOS and those header ids that are named; -1 elsewhere."""
    given = np.full((count, HEADER_LENGTH), -1, np.int64)
    given[:, 0] = BOS
    for place, name in enumerate(("meter", "mode", "tune_type", "bars", "pickup_ticks"), start=1):
        if name in tokens:
            given[:, place] = tokens[name]
    return given
