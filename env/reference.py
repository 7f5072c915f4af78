"""The reference: the frozen pretrained policy that a learner is compared with.

It chooses the header fields that nobody asked for. It says how likely it would have written what
the learner wrote, and how far the learner's distribution is from its own. It is not run beside the
learner: it reads whole melodies, many at once.

Letters: B melodies, T tokens, D width, V vocabulary, P places of a prompt, N decisions.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from music.tokens import HEADER_LENGTH, PAD
from policy.checkpoint import load_policy
from policy.decode import Sampled
from policy.logprobs import CHUNK as MELODIES_PER_FORWARD
from policy.logprobs import chosen_logprobs, kl_nats, masked_log_softmax, note_logps
from policy.model import MelodyForCausalLM
from policy.scope import scope_of
from policy.shipped import shipped_policy
from policy.trunk import hidden_at_choices

DECISIONS_PER_FORWARD = 4096
"""logits of so many fit a processor's cache"""

Chance = Callable[[int], np.ndarray]
"""n -> n uniform numbers from 0 to below 1, such as `numpy.random.Generator.random`"""


def torch_chance(generator: torch.Generator) -> Chance:
    """Uniform numbers from torch's source of chance."""
    return lambda count: (
        torch.rand(count, 1, generator=generator, device=generator.device)[:, 0].cpu().numpy()
    )


class Reference:
    """A policy that no longer changes: a copy, without dropout and without gradients."""

    def __init__(
        self,
        policy: MelodyForCausalLM | Path | str | None = None,
        device: torch.device | None = None,
    ) -> None:
        """Load or copy the policy.

        Args:
            policy: a policy, the folder of one, or None for the base that comes with the project.
            device: where it is to run; None leaves it where it is.

        Raises:
            TypeError: when the policy is something else.
            policy.checkpoint.CheckpointError: when the folder cannot be read.
        """
        if policy is None or isinstance(policy, str | Path):
            model = load_policy(shipped_policy() if policy is None else policy)
        elif isinstance(policy, MelodyForCausalLM):
            # A copy, because the learner may go on to train this very object: the KL divergence
            # from a reference that moves along would always be 0.
            model = deepcopy(policy)
        else:
            raise TypeError(
                f"policy is a {type(policy).__name__}; give a policy.model.MelodyForCausalLM, the "
                "folder of one, or None for the base"
            )
        if device is not None:
            nn.Module.to(model, device)  # transformers' own has no usable type
        self.model = model.eval().requires_grad_(False)
        self.scope = scope_of(self.model)
        self._next_field: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = {}

    def with_headers(self, prompts_BP: np.ndarray, chance: Chance) -> np.ndarray:
        """The prompts with each -1 of their headers sampled from the reference; int64 (B, P).

        Field by field, each given those before it; within a field one number of `chance` for each
        melody where the field is open, in their order.
        """
        ids_BP = prompts_BP.copy()
        for place in range(HEADER_LENGTH):
            (rows,) = np.nonzero(ids_BP[:, place] < 0)
            for row, number in zip(rows, chance(len(rows)) if len(rows) else (), strict=True):
                tokens, cumulative = self._field(tuple(ids_BP[row, :place].tolist()))
                ids_BP[row, place] = tokens[np.searchsorted(cumulative, number, side="right")]
        return ids_BP

    def _field(self, before: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The tokens that may follow the first of a header, and their cumulative probability."""
        # There are a few hundred headers in all. Each is computed once, and alone, so that one
        # environment and a batch of them draw from the same numbers to the last bit.
        if before not in self._next_field:
            state, _ = self.scope.state_after(before)
            if not before:
                logits = torch.zeros(1, self.model.config.vocab_size)  # BOS is the only choice
            else:
                with torch.no_grad():
                    logits = self.model(input_ids=self._tensor(np.array([before]))).logits[:, -1]
            rows = torch.from_numpy(self.scope.mask_rows(state)).to(logits.device)
            table = self.scope.table_on(logits.device)
            weights = masked_log_softmax(logits, rows, table)[0].double().exp().cpu().numpy()
            order = self.scope.header_order
            tokens = order[weights[order] > 0]
            cumulative = weights[tokens].cumsum()
            self._next_field[before] = tokens, cumulative / cumulative[-1]
        return self._next_field[before]

    @torch.no_grad()
    def logprobs(
        self, ids_BT: np.ndarray, mask_row_BT: np.ndarray, decision_BT: np.ndarray
    ) -> np.ndarray:
        """Log-probability in nats of each id where the learner had a choice, 0 elsewhere; (B, T).

        Args:
            ids_BT: int64, right-padded.
            mask_row_BT: int64, the row of the mask table that was legal for each id.
            decision_BT: bool, where the learner had a choice.
        """
        logps_BT = chosen_logprobs(
            self.model, *(self._tensor(array) for array in (ids_BT, mask_row_BT, decision_BT))
        )
        return logps_BT.float().cpu().numpy()

    @torch.no_grad()
    def hidden(self, sampled: Sampled, first: int = 0) -> Tensor:
        """The reference's hidden states (N, D) from which it would have chosen at each decision.

        Args:
            sampled: melodies of the learner.
            first: the lowest layer in which the learner may differ from the reference. What enters
                that layer is equal in both, so that the stored states of `sampled` are used.
        """
        decision_BT = sampled.decision
        count = int(decision_BT.sum())
        number_BT = torch.zeros_like(sampled.ids).masked_scatter(
            decision_BT, torch.arange(count, device=sampled.ids.device)
        )
        hidden_ND = sampled.logprob.new_zeros(count, self.model.config.hidden_size)
        by_length = (sampled.ids != PAD).sum(1).argsort()
        for rows in by_length.split(MELODIES_PER_FORWARD):  # melodies of like length together
            states = sampled.states[rows] if sampled.states is not None and first else None
            hidden_ND[number_BT[rows][decision_BT[rows]]] = hidden_at_choices(
                self.model.model,
                sampled.ids[rows],
                decision_BT[rows],
                states_BTD=states,
                first=first,
            )
        return hidden_ND

    @torch.no_grad()
    def logps(self, hidden_ND: Tensor, mask_row_N: Tensor) -> Tensor:
        """Log-probabilities in nats of what comes next between barlines; see `note_logps`."""
        return note_logps(self.model, hidden_ND, mask_row_N)

    @torch.no_grad()
    def kl_nats(
        self,
        learner: MelodyForCausalLM,
        learner_hidden_ND: Tensor,
        hidden_ND: Tensor,
        mask_row_N: Tensor,
    ) -> Tensor:
        """KL (N,) in nats of the learner's distribution from the reference's at each decision.

        It is exact: the expectation of the log-ratio over all legal tokens, not the log-ratio of
        the token that was chosen.
        """
        parts = (
            tensor.split(DECISIONS_PER_FORWARD)
            for tensor in (learner_hidden_ND, hidden_ND, mask_row_N)
        )
        kl_N = torch.cat(
            [
                kl_nats(note_logps(learner, own, rows), self.logps(other, rows))
                for own, other, rows in zip(*parts, strict=True)
            ]
        )
        return kl_N.clamp(min=0)  # between equals, rounding puts it some 1e-7 below 0

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.model.lm_head.weight.device)
