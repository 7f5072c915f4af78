"""The melody language model: Llama's layers, plus the position in the bar as one more input.

Importing this module registers the classes, so `AutoModelForCausalLM.from_pretrained`,
`AutoModelForSequenceClassification.from_pretrained` and `AutoTokenizer.from_pretrained` load a
checkpoint folder of ours, and so do trainers that take a path (docs/trl.md).

The position in the bar of a token is where the *next* thing sounds: ticks since the last barline,
this token's duration included. It is a function of the ids alone, so any trainer that passes only
`input_ids` (TRL's do) trains the same model. Where it comes from: equal compute, 3.35 -> 2.65 bits
a note against learned positions, 2.88 -> 2.65 against rotary positions alone (docs/decisions/0002).

Letters: B melodies, T tokens (right-padded), D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaModel,
    PreTrainedTokenizerFast,
)
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from music.melody import PICKUPS_TICKS
from music.tokens import (
    BOS,
    DURATION_OF_ID,
    EOS,
    FIRST_BAR,
    FIRST_REST,
    ID,
    MAX_LENGTH,
    PAD,
    VOCABULARY,
    WORD,
)

BAR_POSITIONS = 160
"""size of the position-in-bar table: ticks from the barline; a pickup of k counts from 160 - k"""

_RESET = np.zeros(len(VOCABULARY), bool)
_RESET[FIRST_BAR:FIRST_REST] = True
_START = np.zeros(len(VOCABULARY), np.int64)
for _ticks in PICKUPS_TICKS:
    _RESET[ID[f"PICKUP_{_ticks}"]] = True
    _START[ID[f"PICKUP_{_ticks}"]] = (BAR_POSITIONS - _ticks) % BAR_POSITIONS


class MelodyConfig(LlamaConfig):
    """Llama's configuration and the two numbers that ours adds."""

    model_type = "melody_llama"
    bar_positions: int = BAR_POSITIONS
    residual_dropout: float = 0.0
    """dropout on the embedding and on what each attention and MLP block adds, in training only"""
    # TRL reads it of every class that transformers does not ship. Empty: no code to download.
    auto_map = {}  # noqa: RUF012 (an annotation would make it a field, which is written to files)


class _DropoutLinear(nn.Linear):
    """A linear layer whose output is dropped in training: Llama has no residual dropout.

    The dropout is a module, so that a trainer's `disable_dropout` finds it.
    """

    def __init__(self, inside: nn.Linear, probability: float) -> None:
        super().__init__(inside.in_features, inside.out_features, bias=inside.bias is not None)
        self.dropout = nn.Dropout(probability)

    def forward(self, input: Tensor) -> Tensor:
        return self.dropout(super().forward(input))


def cached_length(arguments: Mapping[str, Any]) -> int:
    """Tokens in the cache among the arguments of a `forward`, 0 without one.

    It is called `cache` since transformers 5.24 and was `past_key_values` before.
    """
    caches = (arguments.get(name) for name in ("cache", "past_key_values"))
    return max((cache.get_seq_length() for cache in caches if cache is not None), default=0)


class MelodyModel(LlamaModel):
    """The trunk: ids -> hidden states (B, T, D)."""

    config_class = MelodyConfig

    def __init__(self, config: MelodyConfig) -> None:
        super().__init__(config)
        self.embed_bar_position = nn.Embedding(config.bar_positions, config.hidden_size)
        self.embed_dropout = nn.Dropout(config.residual_dropout)
        if config.residual_dropout:
            for layer in (cast(LlamaDecoderLayer, layer) for layer in self.layers):
                attention, mlp = layer.self_attn, layer.mlp
                attention.o_proj = _DropoutLinear(attention.o_proj, config.residual_dropout)
                mlp.down_proj = _DropoutLinear(mlp.down_proj, config.residual_dropout)
        self.post_init()

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        input_ids: Tensor | None = None,
        *args: Any,  # noqa: ANN401 (Llama's own arguments, passed on)
        bar_position: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Llama's forward; `bar_position` (B, T) is computed from the ids unless passed.

        Raises:
            ValueError: for a cache without `bar_position`: a new id does not tell where it stands.
        """
        if inputs_embeds is None:
            if input_ids is None:
                raise ValueError(
                    "the melody model needs input_ids or inputs_embeds; it got neither"
                )
            if bar_position is None:
                if cached_length(kwargs) > 0:
                    raise ValueError(
                        "with a cache the position in the bar cannot be read off the new ids "
                        "alone; pass bar_position=bar_positions(all_ids)[:, -1:]"
                    )
                bar_position = bar_positions(input_ids)
            inputs_embeds = self.embed_tokens(input_ids) + self.embed_bar_position(bar_position)
            inputs_embeds = self.embed_dropout(inputs_embeds)
        return super().forward(None, *args, inputs_embeds=inputs_embeds, **kwargs)


class MelodyForCausalLM(LlamaForCausalLM):
    """The policy: ids -> logits (B, T, V)."""

    config_class = MelodyConfig

    def __init__(self, config: MelodyConfig) -> None:
        super().__init__(config)
        self.model = MelodyModel(config)
        self.post_init()

    def prepare_inputs_for_generation(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        input_ids: Tensor,
        **kwargs: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        """Generation passes only the newest ids on; the position in the bar needs them all."""
        parent = cast(Any, super())  # the mixin's type does not show the method that it has
        inputs = parent.prepare_inputs_for_generation(input_ids, **kwargs)
        inputs["bar_position"] = bar_positions(input_ids)[:, -inputs["input_ids"].shape[1] :]
        return inputs


class MelodyForSequenceClassification(LlamaForSequenceClassification):
    """The trunk and a linear head on the last token before EOS: ids -> logits (B, num_labels).

    Made from a policy's folder, its head is drawn anew: that is where TRL's RewardTrainer begins.
    """

    config_class = MelodyConfig

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        input_ids: Tensor,
        *args: Any,  # noqa: ANN401 (Llama's own arguments, passed on)
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Llama's forward, with the same score for a melody with its EOS and without.

        RewardTrainer learns from melodies with EOS. GRPOTrainer and RLOOTrainer take it off before
        they ask for the reward.
        """
        without_end = input_ids.masked_fill(input_ids == EOS, PAD)
        return super().forward(cast(Any, without_end), *args, **kwargs)


AutoConfig.register(MelodyConfig.model_type, MelodyConfig)
AutoModel.register(MelodyConfig, MelodyModel)
AutoModelForCausalLM.register(MelodyConfig, MelodyForCausalLM)
AutoModelForSequenceClassification.register(MelodyConfig, MelodyForSequenceClassification)


@lru_cache(maxsize=8)
def _tables(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    # Constants of the vocabulary, not buffers: a non-persistent buffer comes back from
    # `from_pretrained` as uninitialised memory.
    return (
        torch.from_numpy(DURATION_OF_ID).to(device),
        torch.from_numpy(_RESET).to(device),
        torch.from_numpy(_START).to(device),
    )


def bar_positions(ids: Tensor) -> Tensor:
    """Position in the bar after each token, in ticks; int64 (B, T) from ids (B, T)."""
    duration, reset, start = _tables(ids.device)
    ticks = duration[ids].cumsum(1)
    index = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    anchor = torch.where(reset[ids], index, 0).cummax(1).values
    position = ticks - ticks.gather(1, anchor) + start[ids].gather(1, anchor)
    return position.clamp(max=BAR_POSITIONS - 1)


def melody_config(
    *,
    hidden_size: int = 192,
    num_layers: int = 4,
    num_heads: int = 4,
    num_key_value_heads: int = 2,
    intermediate_size: int = 512,
    residual_dropout: float = 0.0,
) -> MelodyConfig:
    """The configuration of a model over our vocabulary, about 2 M parameters by default."""
    return MelodyConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=hidden_size,
        intermediate_size=intermediate_size,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        num_key_value_heads=num_key_value_heads,
        max_position_embeddings=MAX_LENGTH,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        residual_dropout=residual_dropout,
    )


def melody_tokenizer() -> PreTrainedTokenizerFast:
    """The vocabulary as a tokenizer: the names of `music.tokens`, separated by spaces or not.

    It has no token for unknown words and raises an error at one ("Missing [UNK] token");
    `music.tokens.from_text` says which word it is.
    """
    words = Tokenizer(models.WordLevel({name: i for i, name in enumerate(VOCABULARY)}))
    split = pre_tokenizers.Split(Regex(WORD), "removed", invert=True)
    words.pre_tokenizer = split  # pyright: ignore[reportAttributeAccessIssue]
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="PAD",
        bos_token="BOS",
        eos_token="EOS",
        model_max_length=MAX_LENGTH,
    )


def right_pad(rows: list[np.ndarray], multiple: int = 1) -> Tensor:
    """Token rows -> int64 (B, T), padded with PAD at the end."""
    longest = max(len(row) for row in rows)
    padded = np.full((len(rows), -(-longest // multiple) * multiple), PAD, np.int64)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    return torch.from_numpy(padded)
