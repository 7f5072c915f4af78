"""How a base policy is trained: settings, and what they may be."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from policy.configuration import WHOLE_RANGES


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """How the base policy is trained."""

    corpora: tuple[str, ...] = ("books",)
    """names of the corpora that it learns from"""
    epochs: int = 40
    """passes over the training strains"""
    strains_per_step: int = 32
    """strains in a gradient step"""
    learning_rate: float = 2e-3
    """peak of the cosine"""
    warmup_steps: int = 200
    """steps of linear warm-up"""
    weight_decay: float = 0.1
    """decoupled weight decay, of matrices only"""
    dropout: float = 0.3
    """residual dropout"""
    average_decay: float = 0.99
    """of the running mean of the weights, which is what is validated and kept; 0 keeps the last"""
    hidden_size: int = 192
    """width"""
    num_layers: int = 4
    """blocks"""
    num_heads: int = 4
    """query heads"""
    num_key_value_heads: int = 2
    """key-value heads"""
    intermediate_size: int = 512
    """width inside the MLP"""
    seed: int = 0
    """seed of the weights, batches and dropout"""
    start_from: str | None = None
    """folder of a policy of the same shape to start from; None starts with random weights"""
    save_every_steps: int = 500
    """steps between validations, each with a checkpoint"""
    patience: int = 0
    """validations in a row without a new best after which training ends; 0 never ends it early"""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: for no corpora, counts below one, a rate that is not positive, a negative
                decay or patience, a dropout or decay outside [0, 1), or heads that do not divide.
        """
        object.__setattr__(self, "corpora", tuple(dict.fromkeys(self.corpora)))
        if not self.corpora:
            raise ValueError("corpora is empty; name one, such as books")
        for name in (
            "epochs", "strains_per_step", "warmup_steps", "hidden_size", "num_layers", "num_heads",
            "num_key_value_heads", "intermediate_size", "save_every_steps",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is below 1; give a positive number")
        if self.patience < 0:
            raise ValueError(f"patience={self.patience} is below 0; 0 turns early stopping off")
        if not 0 < self.learning_rate <= 1e3:
            raise ValueError(
                f"learning_rate={self.learning_rate} is not above 0 and at most 1000; 2e-3 is usual"
            )
        if not 0 <= self.weight_decay <= 1e3:
            raise ValueError(
                f"weight_decay={self.weight_decay} is not from 0 to 1000; 0 turns it off"
            )
        if self.hidden_size % (2 * self.num_heads):
            raise ValueError(
                f"hidden_size={self.hidden_size} (--width) does not give "
                f"num_heads={self.num_heads} heads of an even width (rotary "
                f"positions turn pairs); give a multiple of {2 * self.num_heads}"
            )
        if self.num_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_key_value_heads={self.num_key_value_heads} does not divide "
                f"num_heads={self.num_heads}; give a divisor"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} is not in [0, 1); 0.3 is the shipped base's")
        if not 0 <= self.average_decay < 1:
            raise ValueError(
                f"average_decay={self.average_decay} is not in [0, 1); 0 keeps the last weights"
            )
        for name, field in (
            ("hidden_size", "hidden_size"),
            ("num_layers", "num_hidden_layers"),
            ("intermediate_size", "intermediate_size"),
        ):
            most = WHOLE_RANGES[field][1]
            if getattr(self, name) > most:
                raise ValueError(f"{name}={getattr(self, name)} is above {most}; give less")

    def json(self) -> dict[str, Any]:
        """The settings as they come back from JSON."""
        return json.loads(json.dumps(asdict(self)))
