"""Actor and critic on one trunk: the melody policy, and a value head on its hidden states.

Letters: B melodies, T tokens, D width, V vocabulary, N places where the policy had a choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from policy.logprobs import hidden_before, masked_log_softmax
from policy.model import MelodyForCausalLM


@dataclass(frozen=True, slots=True)
class Judged:
    """What actor and critic say of the choices in a batch, each of shape (N,)."""

    logprob: Tensor
    """log-probability in nats of what was chosen"""
    entropy: Tensor
    """entropy in nats of the masked policy there"""
    value: Tensor
    """expected return"""


class ActorCritic(nn.Module):
    """A policy with a value head that starts at zero: the first advantages are the rewards'."""

    def __init__(self, policy: MelodyForCausalLM) -> None:
        super().__init__()
        self.policy = policy
        self.value_head = nn.Linear(policy.config.hidden_size, 1)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)

    def value(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., D) -> values (...)."""
        return self.value_head(hidden)[..., 0]

    def forward(self, ids_BT: Tensor, mask_row_BT: Tensor, acted_BT: Tensor) -> Judged:
        """Judge the choices at `acted_BT`; forced tokens cost no logits."""
        hidden_ND = hidden_before(self.policy.model, ids_BT)[acted_BT]
        logps_NV = masked_log_softmax(self.policy.lm_head(hidden_ND), mask_row_BT[acted_BT])
        logprob = logps_NV.gather(1, ids_BT[acted_BT][:, None])[:, 0]
        with torch.no_grad():  # for the log only
            # 0 log 0 is 0: masked tokens have probability 0 and log-probability -inf.
            entropy = -(logps_NV.exp() * logps_NV.clamp(min=-1e4)).sum(-1)
        return Judged(logprob, entropy, self.value(hidden_ND))
