"""The actor: the policy as PPO trains it, its lower layers frozen or not.

Letters: B melodies, T tokens, D width, N decisions, W tokens that may come between barlines.
"""

from __future__ import annotations

from torch import Tensor, nn

from policy.logprobs import note_logps
from policy.model import MelodyForCausalLM
from policy.trunk import hidden_at_choices


class Actor(nn.Module):
    """A policy of which the top layers are trained.

    All below layer `first` is frozen, and with it the embeddings and the head that is tied to them.
    What enters layer `first` is then known from sampling, and equal in the reference: an update
    runs the top layers only.
    """

    def __init__(self, policy: MelodyForCausalLM, layers_trained: int | None = None) -> None:
        super().__init__()
        self.policy = policy
        layers = policy.model.layers
        self.first = 0 if layers_trained is None else max(0, len(layers) - layers_trained)
        """lowest layer that is trained; 0 when all are"""
        # What the policy came with does not count: it may be a copy of a frozen reference.
        policy.requires_grad_(self.first == 0)
        if self.first:
            layers[self.first :].requires_grad_(True)
            policy.model.norm.requires_grad_(True)

    @property
    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that are trained, by name."""
        return {name: p for name, p in self.policy.named_parameters() if p.requires_grad}

    def forward(
        self,
        ids_BT: Tensor,
        mask_row_BT: Tensor,
        decision_BT: Tensor,
        states_BTD: Tensor | None = None,
    ) -> Tensor:
        """Log-probabilities (N, W) in nats at the decisions; forced tokens need no logits.

        All decisions stand after the header. Id `i` is in column `i - FIRST_REST`.

        `states_BTD` is what enters layer `first`. It is used if it is stored and that layer is not
        the lowest.
        """
        if self.first == 0:
            states_BTD = None  # the embeddings are trained, so they are looked up again
        hidden_ND = hidden_at_choices(
            self.policy.model,
            ids_BT,
            decision_BT,
            states_BTD=states_BTD,
            first=0 if states_BTD is None else self.first,
        )
        return note_logps(self.policy, hidden_ND, mask_row_BT[decision_BT])
