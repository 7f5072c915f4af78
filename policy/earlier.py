"""Policies of version 0.1.0, in the vocabulary of today.

Such a policy had 709 tokens and 160 positions in the bar (`music.earlier_tokens`). Each row of its
tables gets the place of its meaning. The rows between are never used: its scope says what it was
trained on, and the mask offers no more. So it writes what it wrote before.

Letters: D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from music.earlier_tokens import EARLIER_VOCABULARY, TODAY_OF_EARLIER
from music.styles import SHIPPED_STYLES
from music.tokens import MAX_LENGTH, VOCABULARY
from policy.configuration import BAR_POSITIONS, EARLIER_BAR_POSITIONS
from policy.scope import TrainedOn

if TYPE_CHECKING:
    from torch import Tensor

_EARLIER_PICKUP_ROWS = 48
"""the last rows were those of pickups of up to so many ticks"""
_TABLES = ("embed_tokens.weight", "lm_head.weight", "embed_bar_position.weight")
_OPTIMIZER = "optimizer."
_SEEN = TrainedOn(
    ("4/4", "2/4", "3/4", "6/8", "9/8"),
    ("major", "minor", "dorian", "mixolydian"),
    (4, 8, 16),
    (0, 6, 12, 18, 24, 36, 48),
)
_POSITION_TODAY = np.arange(EARLIER_BAR_POSITIONS)
_POSITION_TODAY[-_EARLIER_PICKUP_ROWS:] += BAR_POSITIONS - EARLIER_BAR_POSITIONS


def fields_today(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration of version 0.1.0, as `checked_fields` gave them, for today."""
    return {
        **fields,
        "vocab_size": len(VOCABULARY),
        "bar_positions": BAR_POSITIONS,
        "max_position_embeddings": max(MAX_LENGTH, fields["max_position_embeddings"]),
        "styles": list(SHIPPED_STYLES.labels),
        "corpora": ["books"],
        "base_corpora": [],
        "plain": True,
        "trained_on": _SEEN.json(),
    }


def tensors_today(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a model of version 0.1.0, with the rows of its tables where they are today.

    The rows that it did not have are 0.
    """
    return {
        name: _moved(tensor) if name.endswith(_TABLES) else tensor
        for name, tensor in tensors.items()
    }


def step_today(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a training step, those of version 0.1.0 with their rows where they are today.

    Those are known by their tables. An optimiser's moments have the shape of what they are of.

    Raises:
        ValueError: when a matrix of that model has as many rows as a table, so that its moments
            cannot be told from the table's.
    """
    tables = {name for name in tensors if name.endswith(_TABLES)}
    shapes = {tuple(tensors[name].shape) for name in tables}
    if not any(shape[:1] == (len(EARLIER_VOCABULARY),) for shape in shapes):
        return dict(tensors)
    moments = {name for name in tensors if name.startswith(_OPTIMIZER)}
    for name in sorted(tensors.keys() - tables - moments):
        if tuple(tensors[name].shape) in shapes:
            raise ValueError(f"{name} has the shape of a table, {tuple(tensors[name].shape)}")
    return {
        name: _moved(tensor) if tuple(tensor.shape) in shapes else tensor
        for name, tensor in tensors.items()
    }


def _moved(rows_XD: Tensor) -> Tensor:
    is_tokens = len(rows_XD) == len(EARLIER_VOCABULARY)
    place = TODAY_OF_EARLIER if is_tokens else _POSITION_TODAY
    moved = rows_XD.new_zeros(len(VOCABULARY) if is_tokens else BAR_POSITIONS, rows_XD.shape[1])
    moved[place.tolist()] = rows_XD
    return moved
