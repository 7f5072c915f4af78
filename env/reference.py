"""The reference: the pretrained policy that the game is played against, frozen.

It chooses the header fields that nobody asked for, and says how likely it would have written what
the learner wrote. It is never stepped beside the learner: melodies are scored whole, many at once.

Letters: B melodies, T tokens, V vocabulary.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from env.prompt import state_after
from music.grammar import mask_rows
from music.tokens import HEADER_LENGTH
from policy.checkpoint import load_policy
from policy.logprobs import chosen_logprobs, masked_log_softmax
from policy.model import MelodyForCausalLM
from policy.shipped import shipped_policy

_MELODIES_PER_FORWARD = 128


class Reference:
    """A policy that no longer changes: a copy, without dropout and without gradients."""

    def __init__(self, policy: MelodyForCausalLM | Path | str | None = None) -> None:
        """Load or copy the policy.

        Args:
            policy: a policy, the folder of one, or None for the base that comes with the project.

        Raises:
            TypeError: when it is something else.
            policy.checkpoint.CheckpointError: when the folder cannot be read.
        """
        if policy is None or isinstance(policy, str | Path):
            model = load_policy(shipped_policy() if policy is None else policy)
        elif isinstance(policy, MelodyForCausalLM):
            # A copy, because the learner may go on to train this very object: a reference that
            # moves along with it would always report a KL divergence of nothing.
            model = deepcopy(policy)
        else:
            raise TypeError(
                f"policy is a {type(policy).__name__}; give a policy.model.MelodyForCausalLM, the "
                "folder of one, or None for the base"
            )
        self.model = model.eval().requires_grad_(False)
        self._next_field: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = {}

    def with_header(self, given: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`given` (P,) with each -1 of the header sampled from the policy, in order; int64 (P,)."""
        ids = given.copy()
        for place in range(HEADER_LENGTH):
            if ids[place] < 0:
                choices, cumulative = self._field(tuple(ids[:place].tolist()))
                ids[place] = choices[np.searchsorted(cumulative, rng.random(), side="right")]
        return ids

    def _field(self, before: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        # There are a few hundred headers in all. Each is computed once, and alone, so that one
        # environment and a batch of them draw from the same numbers to the last bit.
        if before not in self._next_field:
            rows = mask_rows(state_after(before))
            if not before:
                logits = torch.zeros(1, self.model.config.vocab_size)  # BOS is the only choice
            else:
                with torch.no_grad():
                    logits = self.model(input_ids=self._tensor(np.array([before]))).logits[:, -1]
            logps = masked_log_softmax(logits, torch.from_numpy(rows).to(logits.device))
            weights = logps[0].double().exp().cpu().numpy()
            choices = np.flatnonzero(weights)
            cumulative = weights[choices].cumsum()
            self._next_field[before] = choices, cumulative / cumulative[-1]
        return self._next_field[before]

    @torch.no_grad()
    def logprobs(
        self, ids_BT: np.ndarray, mask_row_BT: np.ndarray, acted_BT: np.ndarray
    ) -> np.ndarray:
        """Log-probability in nats of each id where `acted_BT`, 0 elsewhere; float32 (B, T).

        Args:
            ids_BT: int64, right-padded.
            mask_row_BT: int64, the row of `music.grammar.MASK_TABLE` that was legal for each id.
            acted_BT: bool, which ids were chosen rather than given or forced.
        """
        out = np.zeros(ids_BT.shape, np.float32)
        for start in range(0, len(ids_BT), _MELODIES_PER_FORWARD):
            some = slice(start, start + _MELODIES_PER_FORWARD)
            logps = chosen_logprobs(
                self.model,
                self._tensor(ids_BT[some]),
                self._tensor(mask_row_BT[some]),
                self._tensor(acted_BT[some]),
            )
            out[some] = logps.float().cpu().numpy()
        return out

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.model.lm_head.weight.device)
