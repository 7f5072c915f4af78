"""The policy for other trainers: a causal LM that writes only complete melodies.

TRL's trainers use a model through `forward` and `generate`. Here both follow the grammar, with the
same log-probabilities as `policy.logprobs` and the same melodies as `policy.decode`:
  - `forward` on whole rows masks the logits of illegal tokens with a finite number, because a
    trainer's entropy would compute 0 * -inf, which is NaN;
  - `generate` adds a logits processor that advances the grammar one token at a time;
  - with `fused_lm_head=True`, which TRL 1.16 uses for log-probabilities, `forward` computes logits
    only where the policy has a choice. (TRL's own fused head uses the head's weights directly and
    ignores the mask: `with_own_head` removes it.)
It has no dropout, whatever its configuration says: the trainers call `train()`, and with dropout
the probability ratio of an unchanged policy would differ from 1.

Rows may be padded with PAD on the left (prompts) and on the right.

Letters: B melodies, T tokens, V vocabulary, N places where the policy had a choice.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.utils.generic import ModelOutput

from music.grammar import GrammarState, initial_state
from music.tokens import BOS, PAD
from policy.logprobs import masked_log_softmax
from policy.model import MelodyConfig, MelodyForCausalLM, cached_length
from policy.scope import Scope, scope_of

ILLEGAL_LOGIT = -1e9
"""logit of an illegal token: its probability is exactly 0 in float32 and bfloat16, and products
with it are finite"""
IGNORED = -100
"""label of a token to ignore, as everywhere in transformers"""
_BEGINNING = 0  # phase of a state before BOS


def rows_after(ids_BT: np.ndarray, scope: Scope) -> np.ndarray:
    """Row of the mask table that is legal after each id, int64 (B, T); before BOS that of BOS.

    `policy.logprobs.mask_rows_of` gives the row that was legal *for* each id, without left padding.

    Raises:
        ValueError: when an id is illegal at its position.
    """
    state = initial_state(len(ids_BT))
    rows = np.zeros(ids_BT.shape, np.int64)
    for at in range(ids_BT.shape[1]):
        state = _advance_padded(state, ids_BT[:, at], scope)
        rows[:, at] = scope.mask_rows(state)
    return rows


def _advance_padded(state: GrammarState, ids_B: np.ndarray, scope: Scope) -> GrammarState:
    """Like `advance_checked`, but PAD before BOS does not change the state."""
    waiting = (ids_B == PAD) & (state.phase == _BEGINNING)
    after = scope.advance_checked(state, np.where(waiting, BOS, ids_B))
    after.phase[waiting] = _BEGINNING  # BOS changes nothing else
    return after


def _masked(logits: Tensor, rows: np.ndarray, scope: Scope) -> Tensor:
    table = scope.table_on(logits.device)
    return logits.masked_fill(~table[torch.from_numpy(rows).to(logits.device)], ILLEGAL_LOGIT)


class GrammarMask(LogitsProcessor):
    """Masks the next token of a batch during `generate`; one object for each call."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.state: GrammarState | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (B, V) after input_ids (B, T), which repeat all earlier ids."""
        ids = input_ids.cpu().numpy()
        if self.state is None:
            self.state = initial_state(len(ids))
        else:
            ids = ids[:, -1:]
        for at in range(ids.shape[1]):
            self.state = _advance_padded(self.state, ids[:, at], self.scope)
        return _masked(scores, self.scope.mask_rows(self.state), self.scope)


@dataclass
class TokenLogProbs(ModelOutput):
    """What TRL expects from a fused head; all are (B, T - 1), and 0 at labels of -100."""

    loss: Tensor | None = None
    log_probs: Tensor | None = None
    """log-probability in nats of each label, 0 for a forced token"""
    entropy: Tensor | None = None
    """entropy of the masked policy in nats, without gradient"""
    mean_logits: Tensor | None = None
    """mean logit of the legal tokens, without gradient"""
    is_top1: Tensor | None = None
    """whether the label is the most likely token; true for a forced token"""


class MaskedMelodyForCausalLM(MelodyForCausalLM):
    """A `MelodyForCausalLM` that gives illegal tokens no probability; the weights are the same.

    Make one with `MaskedMelodyForCausalLM.from_pretrained("checkpoints/base")` or `of` a policy.
    """

    config_class = MelodyConfig

    def __init__(self, config: MelodyConfig) -> None:
        config = copy.deepcopy(config)  # another model may use the caller's configuration
        config.residual_dropout = 0.0  # set before the layers are made, because they read it
        super().__init__(config)

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        fused_lm_head: bool = False,
        **kwargs: Any,  # noqa: ANN401 (Llama's own arguments, passed on)
    ) -> CausalLMOutputWithPast | TokenLogProbs:
        """Masked logits (B, T, V); with `fused_lm_head`, the labels' log-probabilities instead.

        With a cache the logits are not masked, because the new ids alone do not determine the
        grammar's state; `generate` masks them.

        Raises:
            ValueError: for an id that is illegal at its position, or a fused head without labels.
        """
        if fused_lm_head:
            if labels is None:
                raise ValueError(
                    "fused_lm_head=True needs labels: the ids, -100 for tokens to ignore"
                )
            kwargs["use_cache"] = False
            return self._label_logprobs(input_ids, attention_mask, labels, **kwargs)
        outputs = cast(
            CausalLMOutputWithPast,
            super().forward(
                cast(Any, input_ids),
                attention_mask=attention_mask,
                logits_to_keep=logits_to_keep,
                **kwargs,
            ),
        )
        if input_ids.shape[1] < cached_length(kwargs):
            return outputs
        scope = scope_of(self)
        rows = rows_after(input_ids.cpu().numpy(), scope)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        assert outputs.logits is not None
        outputs.logits = _masked(outputs.logits, rows[:, kept], scope)
        if labels is not None:
            outputs.loss = self.loss_function(
                logits=outputs.logits, labels=labels, vocab_size=self.config.vocab_size
            )
        return outputs

    def _label_logprobs(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        labels: Tensor,
        **kwargs: Any,  # noqa: ANN401
    ) -> TokenLogProbs:
        hidden_BTD = self.model(input_ids, attention_mask=attention_mask, **kwargs)
        hidden_BTD = hidden_BTD.last_hidden_state[:, :-1]
        labels = labels[:, 1:]
        scope = scope_of(self)
        rows = rows_after(input_ids.cpu().numpy(), scope)[:, :-1]
        row_BT = torch.from_numpy(rows).to(labels.device)
        table = scope.table_on(labels.device)
        asked_BT = labels != IGNORED
        chosen_BT = asked_BT & torch.from_numpy(scope.choices[rows] > 1).to(labels.device)
        row_N, label_N = row_BT[chosen_BT], labels[chosen_BT][:, None]
        logits_NV = self.lm_head(hidden_BTD[chosen_BT]).float()
        logps_NV = masked_log_softmax(logits_NV, row_N, table)
        logprob_N = logps_NV.gather(1, label_N)[:, 0]
        with torch.no_grad():  # for TRL's logs
            legal_NV = table[row_N]
            finite_NV = logps_NV.clamp(min=ILLEGAL_LOGIT)
            entropy_N = -(finite_NV.exp() * finite_NV).sum(1)
            mean_N = logits_NV.masked_fill(~legal_NV, 0).sum(1) / legal_NV.sum(1)
            top_N = (logps_NV.argmax(1) == label_N[:, 0]).float()

        def spread(value_N: Tensor, elsewhere: float = 0.0) -> Tensor:
            whole = torch.zeros(labels.shape, device=labels.device).masked_fill(asked_BT, elsewhere)
            return whole.masked_scatter(chosen_BT, value_N)

        logprob_BT = spread(logprob_N)
        return TokenLogProbs(
            loss=-logprob_BT.sum() / asked_BT.sum().clamp(min=1),
            log_probs=logprob_BT,
            entropy=spread(entropy_N),
            mean_logits=spread(mean_N),
            is_top1=spread(top_N, elsewhere=1.0) > 0,
        )

    def generate(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        *args: Any,  # noqa: ANN401 (those of transformers' generate)
        logits_processor: LogitsProcessorList | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Transformers' generate with the grammar's mask: every row is one complete melody."""
        processors = LogitsProcessorList([*(logits_processor or ()), GrammarMask(scope_of(self))])
        return cast(Any, super()).generate(*args, logits_processor=processors, **kwargs)

    @classmethod
    def of(cls, policy: MelodyForCausalLM) -> MaskedMelodyForCausalLM:
        """A masked model with a copy of a policy's weights."""
        masked = cls(cast(MelodyConfig, policy.config))
        masked.load_state_dict(policy.state_dict())
        return masked.eval()

    def with_own_head(self) -> MaskedMelodyForCausalLM:
        """Remove a trainer's replacement of `forward` from this object; returns itself."""
        vars(self).pop("forward", None)
        return self

    def unmasked(self) -> MelodyForCausalLM:
        """A plain policy with a copy of the current weights."""
        plain = MelodyForCausalLM(cast(MelodyConfig, copy.deepcopy(self.config)))
        plain.load_state_dict(self.state_dict())
        return plain.eval()
