"""What RL Tuner's study is run on here: the shipped base, eight bars of 4/4, its melodies."""

from __future__ import annotations

import numpy as np
import torch

from policy.compose import Conditioning
from policy.decode import sample
from policy.model import MelodyForCausalLM
from policy.shipped import shipped_policy
from rl.ppo.rollout import with_reference_header

BASE = shipped_policy().resolve()
CONDITIONING = Conditioning(meter="4/4", bars=8)
BATCH = 256


def write_side(
    policy: MelodyForCausalLM, base: MelodyForCausalLM, count: int, seed: int
) -> list[np.ndarray]:
    """Token rows of `count` melodies; with one seed every policy gets the same headers."""
    rows: list[np.ndarray] = []
    for number, begin in enumerate(range(0, count, BATCH)):
        chance = torch.Generator().manual_seed(seed + number)
        headers = with_reference_header(base, CONDITIONING.given(min(BATCH, count - begin)), chance)
        rows += sample(policy, headers, generator=chance).rows()
    return rows
