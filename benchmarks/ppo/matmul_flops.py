"""Useful matrix-product FLOPs of a rollout and of an update, and what the machine can do at most.

Useful is what the result needs, no more: padding, melodies that have ended but are still in the
batch, the upper half of the attention square, logits of forced tokens and the last layer's output
where nobody chooses are not counted, whether or not they are computed. A product of (m, k) and
(k, n) is 2mkn.

One forward of a melody whose first n tokens are fed and which has c choices, D wide, I in the MLP,
Q query heads and K key-value heads of width H, L layers of which `first`..L-1 are run, W words
that may come between barlines (of the others no logits are needed):

    a layer   n 2D(Q + 2K)H  +  n(n + 1) 2QH  +  n' (2QHD + 6DI)     n' is c in the last, else n
    the head  c 2DW

Learning is three times that: each product has two gradients of its own size. One is not there when
the lower layers are frozen: that of the word embeddings, which are the head's weights. The critic's
normal equations, a few hundredths of an update, are not counted.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig

from music.tokens import FIRST_REST, VOCABULARY

NOTE_WORDS = len(VOCABULARY) - FIRST_REST
"""words that may come between barlines"""


def forward_flops(
    config: LlamaConfig, fed_B: np.ndarray, choices_B: np.ndarray, *, first: int = 0
) -> int:
    """FLOPs of one forward, the word head included.

    Args:
        config: the model's sizes.
        fed_B: tokens of each melody that enter the trunk: all but the last.
        choices_B: how many tokens of each were chosen.
        first: lowest layer that is run.
    """
    n, c = np.asarray(fed_B, np.int64), np.asarray(choices_B, np.int64)
    projection, rest, attention = _layer(config)
    layers = config.num_hidden_layers - first
    total = 2 * config.hidden_size * NOTE_WORDS * c
    if layers:
        total = total + layers * (n * projection + n * (n + 1) * attention)
        total = total + ((layers - 1) * n + c) * rest
    return int(total.sum())


def learning_flops(
    config: LlamaConfig, fed_B: np.ndarray, choices_B: np.ndarray, *, first: int = 0
) -> int:
    """FLOPs of one epoch's forwards and backwards."""
    total = 3 * forward_flops(config, fed_B, choices_B, first=first)
    if first:
        total -= 2 * config.hidden_size * NOTE_WORDS * int(np.sum(choices_B))
    return total


def _layer(config: LlamaConfig) -> tuple[int, int, int]:
    """FLOPs of a layer: projections into the heads a token, the rest a token, attention."""
    heads, width = config.num_attention_heads, config.head_dim
    keys = config.num_key_value_heads
    assert width is not None
    assert keys is not None
    return (
        2 * config.hidden_size * (heads + 2 * keys) * width,
        2 * heads * width * config.hidden_size + 6 * config.hidden_size * config.intermediate_size,
        2 * heads * width,
    )


def peak_gflops(dtype: torch.dtype, *, seconds: float = 1.0) -> float:
    """Best GFLOP/s of square matrix products, at the number of threads that torch is set to."""
    best = 0.0
    for size in (512, 1024, 2048):
        a, b = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
        out = torch.empty(size, size, dtype=dtype)
        torch.mm(a, b, out=out)
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            started = time.perf_counter()
            torch.mm(a, b, out=out)
            best = max(best, 2 * size**3 / (time.perf_counter() - started) / 1e9)
    return best


def has_bf16_products() -> bool:
    """Whether the processor multiplies bf16 itself; elsewhere torch emulates it, slower than fp32.

    Read from the kernel's list of flags; without one the answer is no.
    """
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})
