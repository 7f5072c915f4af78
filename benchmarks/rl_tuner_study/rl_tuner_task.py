"""What RL Tuner's study is run on here: the shipped base, eight bars of 4/4, its melodies."""

from __future__ import annotations

import numpy as np
import torch

from env.reference import Reference, torch_chance
from policy.compose import Conditioning
from policy.decode import sample
from policy.model import MelodyForCausalLM
from policy.shipped import shipped_policy

BASE = shipped_policy().resolve()
CONDITIONING = Conditioning(meter="4/4", bars=8)
BATCH = 256


def write_side(
    policy: MelodyForCausalLM, base: MelodyForCausalLM, count: int, seed: int
) -> list[np.ndarray]:
    """Token rows of `count` melodies; with one seed every policy gets the same headers."""
    reference = Reference(base)
    rows: list[np.ndarray] = []
    for number, begin in enumerate(range(0, count, BATCH)):
        chance = torch.Generator().manual_seed(seed + number)
        prompts = CONDITIONING.prompt(min(BATCH, count - begin), reference.scope)
        headers = reference.with_headers(prompts, torch_chance(chance))
        rows += sample(policy, headers, generator=chance).rows()
    return rows
