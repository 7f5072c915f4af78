"""Log-probabilities of whole melodies under the masked policy.

Letters: B melodies, T tokens, D width, V vocabulary, N positions where the policy had a choice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from music.grammar import initial_state
from music.tokens import FIRST_REST, HEADER_LENGTH, PAD
from policy.model import MelodyForCausalLM, right_pad
from policy.scope import Scope, scope_of
from policy.trunk import hidden_at_choices

CHUNK = 64
"""melodies of similar length in one forward pass"""


def mask_rows_of(ids_BT: np.ndarray, scope: Scope) -> np.ndarray:
    """Row of a policy's mask table that was legal for each id, int64 (B, T).

    Raises:
        ValueError: when an id is illegal at its position.
    """
    state = initial_state(len(ids_BT))
    rows = np.zeros(ids_BT.shape, np.int64)
    for at in range(ids_BT.shape[1]):
        rows[:, at] = scope.mask_rows(state)
        state = scope.advance_checked(state, ids_BT[:, at])
    return rows


def masked_log_softmax(logits_NW: Tensor, mask_row_N: Tensor, table_RV: Tensor) -> Tensor:
    """Log-probabilities (N, W) over the legal tokens, -inf for illegal ones, in float32.

    Args:
        logits_NW: of the last W tokens of the vocabulary, outside of which none is legal.
        mask_row_N: row of the mask table for each.
        table_RV: the policy's mask table, `policy.scope.Scope.table_on`.
    """
    legal_NW = table_RV[mask_row_N][:, -logits_NW.shape[1] :]
    return logits_NW.float().masked_fill(~legal_NW, -torch.inf).log_softmax(-1)


def note_logps(model: MelodyForCausalLM, hidden_ND: Tensor, mask_row_N: Tensor) -> Tensor:
    """Log-probabilities (N, V - FIRST_REST) of what comes next between barlines.

    There only the rests, holds and notes may come, which are the last ids. So the others' logits
    are not computed. Id `i` is in column `i - FIRST_REST`.
    """
    table = scope_of(model).table_on(hidden_ND.device)
    logits_NW = functional.linear(hidden_ND, model.lm_head.weight[FIRST_REST:])
    return masked_log_softmax(logits_NW, mask_row_N, table)


def kl_nats(logps_NV: Tensor, reference_NV: Tensor) -> Tensor:
    """KL in nats from each masked distribution to its reference; (N,), exact, differentiable."""
    # Illegal tokens are -inf in both. With a finite number their terms are 0 instead of NaN.
    own_NV, other_NV = logps_NV.clamp(min=-1e4), reference_NV.clamp(min=-1e4)
    return (own_NV.exp() * (own_NV - other_NV)).sum(-1)


def chosen_logprobs(
    model: MelodyForCausalLM,
    ids_BT: Tensor,
    mask_row_BT: Tensor,
    decision_BT: Tensor,
    *,
    states_BTD: Tensor | None = None,
    first: int = 0,
) -> Tensor:
    """Log-probability in nats of each id where the policy had a choice, else 0; float32 (B, T).

    Args:
        model: the policy.
        ids_BT: the melodies.
        mask_row_BT: rows of its mask table that were legal.
        decision_BT: where the policy had a choice.
        states_BTD: stored hidden states before layer `first`, if there are any.
        first: the first layer to run.
    """
    chosen = torch.zeros(ids_BT.shape, device=ids_BT.device)
    table_RV = scope_of(model).table_on(ids_BT.device)
    order = (ids_BT != PAD).sum(1).argsort()
    for rows in order.split(CHUNK):
        decision = decision_BT[rows]
        hidden_ND = hidden_at_choices(
            model.model,
            ids_BT[rows],
            decision,
            states_BTD=None if states_BTD is None else states_BTD[rows],
            first=first,
        )
        mask_row_N, ids_N = mask_row_BT[rows][decision], ids_BT[rows][decision]
        if decision[:, :HEADER_LENGTH].any():
            logps_NV = masked_log_softmax(model.lm_head(hidden_ND), mask_row_N, table_RV)
        else:
            logps_NV, ids_N = note_logps(model, hidden_ND, mask_row_N), ids_N - FIRST_REST
        chosen_N = logps_NV.gather(1, ids_N[:, None])[:, 0]
        chosen[rows] = chosen[rows].masked_scatter(decision, chosen_N)
    return chosen


@torch.no_grad()
def melody_nats(
    model: MelodyForCausalLM,
    rows: Sequence[np.ndarray],
    prompt_tokens: int = HEADER_LENGTH,
    size: int = 128,
) -> np.ndarray:
    """Log-probability in nats of what follows the first tokens of whole melodies; float64 (B,)."""
    out = np.zeros(len(rows))
    order = np.argsort([len(row) for row in rows], kind="stable")
    scope = scope_of(model)
    for start in range(0, len(rows), size):
        some = order[start : start + size]
        ids = right_pad([rows[i] for i in some])
        legal = mask_rows_of(ids.numpy(), scope)
        decision = (scope.choices[legal] > 1) & (ids.numpy() != PAD)
        decision[:, :prompt_tokens] = False
        device = model.lm_head.weight.device
        logps = chosen_logprobs(
            model,
            ids.to(device),
            torch.from_numpy(legal).to(device),
            torch.from_numpy(decision).to(device),
        )
        out[some] = logps.sum(1).double().cpu().numpy()
    return out
