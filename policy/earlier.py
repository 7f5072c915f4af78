"""Policies of version 0.1.0, in the vocabulary of today.

Such a policy had 709 tokens and 160 positions in the bar (`music.earlier_tokens`). Each row of its
tables gets the place of its meaning. The rows between are never used: its scope says what it was
trained on, and the mask offers no more. So it writes what it wrote before.

Letters: D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from music.earlier_tokens import EARLIER_VOCABULARY, TODAY_OF_EARLIER
from music.styles import SHIPPED_STYLES
from music.tokens import MAX_LENGTH, VOCABULARY
from policy.configuration import BAR_POSITIONS
from policy.scope import TrainedOn

EARLIER_BAR_POSITIONS = 160
_EARLIER_PICKUP_ROWS = 48
"""the last rows were those of pickups of up to so many ticks"""
_TOKENS, _POSITIONS = ("embed_tokens.weight", "lm_head.weight"), ("embed_bar_position.weight",)
_SEEN = TrainedOn(
    ("4/4", "2/4", "3/4", "6/8", "9/8"),
    ("major", "minor", "dorian", "mixolydian"),
    (4, 8, 16),
    (0, 6, 12, 18, 24, 36, 48),
)
_POSITION_TODAY = np.arange(EARLIER_BAR_POSITIONS)
_POSITION_TODAY[-_EARLIER_PICKUP_ROWS:] += BAR_POSITIONS - EARLIER_BAR_POSITIONS


def is_earlier(fields: Mapping[str, Any]) -> bool:
    """Whether a configuration is one of version 0.1.0."""
    sizes = fields["vocab_size"], fields["bar_positions"]
    return sizes == (len(EARLIER_VOCABULARY), EARLIER_BAR_POSITIONS)


def fields_today(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration of version 0.1.0, as `checked_fields` gave them, for today."""
    return {
        **fields,
        "vocab_size": len(VOCABULARY),
        "bar_positions": BAR_POSITIONS,
        "max_position_embeddings": max(MAX_LENGTH, fields["max_position_embeddings"]),
        "styles": list(SHIPPED_STYLES.labels),
        "corpora": ["books"],
        "plain": True,
        "trained_on": _SEEN.json(),
    }


def tensors_today(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a model of version 0.1.0, with the rows of its tables where they are today.

    The rows that it did not have are 0.
    """
    tied: dict[int, Tensor] = {}  # one tensor under two names stays one

    def moved(name: str, tensor: Tensor) -> Tensor:
        if name.endswith(_TOKENS):
            size, place = len(VOCABULARY), TODAY_OF_EARLIER.astype(np.int64)
        elif name.endswith(_POSITIONS):
            size, place = BAR_POSITIONS, _POSITION_TODAY
        else:
            return tensor
        if id(tensor) not in tied:
            rows = tensor.new_zeros(size, tensor.shape[1])
            rows[torch.from_numpy(place).to(tensor.device)] = tensor
            tied[id(tensor)] = rows
        return tied[id(tensor)]

    return {name: moved(name, tensor) for name, tensor in tensors.items()}
