"""The melody language model: Llama with the position in the bar as an additional input.

Importing this module registers the classes, so `AutoModelForCausalLM.from_pretrained`,
`AutoModelForSequenceClassification.from_pretrained` and `AutoTokenizer.from_pretrained` load our
checkpoint folders, and so do trainers that take a path (docs/trl.md).

A token's position in the bar is where the *next* note or rest starts: the ticks since the last
barline, including this token's duration. It depends on the ids alone, so any trainer that passes
only `input_ids` (as TRL's do) trains the same model. At equal compute it lowers the bits per note
from 3.35 to 2.65 against learned positions, and from 2.88 to 2.65 against rotary positions alone
(docs/decisions/0002).

Letters: B melodies, T tokens (right-padded), D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

from music.styles import SHIPPED_STYLES, Styles
from music.tokens import (
    ALL_PICKUPS_TICKS,
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
from policy.configuration import BAR_POSITIONS, ConfigurationError, checked_fields, is_earlier
from policy.folder import MODEL_TYPE
from policy.scope import TrainedOn, scope_of

_RESET = np.zeros(len(VOCABULARY), bool)
_RESET[FIRST_BAR:FIRST_REST] = True
_START = np.zeros(len(VOCABULARY), np.int64)
for _ticks in ALL_PICKUPS_TICKS:
    _RESET[ID[f"PICKUP_{_ticks}"]] = True
    _START[ID[f"PICKUP_{_ticks}"]] = (BAR_POSITIONS - _ticks) % BAR_POSITIONS


class MelodyConfig(LlamaConfig):
    """Llama's configuration with the position in the bar, and what the policy was trained on."""

    model_type = MODEL_TYPE
    bar_positions: int = BAR_POSITIONS
    residual_dropout: float = 0.0
    """dropout on the embedding and on each attention and MLP output, in training only"""
    styles: list[str] | None = None
    """what the style tokens stand for, from slot 0; None is ["other"]"""
    corpora: list[str] | None = None
    """names of the corpora that it was trained on"""
    base_corpora: list[str] | None = None
    """names of those of the policy that it was started from"""
    trained_on: dict[str, Any] | None = None
    """the header values that it was trained on (`policy.scope.TrainedOn`); None is all"""
    plain: bool = False
    """whether it never saw durations of several tokens and rests over barlines, as in 0.1.0"""
    # TRL reads it from every class outside transformers. Empty: there is no code to download.
    auto_map = {}  # noqa: RUF012 (an annotation would make it a field, which is written to files)


class _DropoutLinear(nn.Linear):
    """A linear layer with dropout on its output, because Llama has no residual dropout.

    The dropout is a module, so that a trainer's `disable_dropout` finds it.
    """

    def __init__(self, inside: nn.Linear, probability: float) -> None:
        super().__init__(inside.in_features, inside.out_features, bias=inside.bias is not None)
        self.dropout = nn.Dropout(probability)

    def forward(self, input: Tensor) -> Tensor:
        return self.dropout(super().forward(input))


class _EarlierHead(nn.Linear):
    """The head of a policy of version 0.1.0: tokens that it did not have get no probability.

    So its unmasked distribution is what it was.
    """

    def __init__(self, config: MelodyConfig) -> None:
        super().__init__(config.hidden_size, config.vocab_size, bias=False)
        self.config = config

    def forward(self, input: Tensor) -> Tensor:
        known = torch.from_numpy(scope_of(self.config).known).to(input.device)
        return super().forward(input).masked_fill(~known, torch.finfo(torch.float16).min)


def _check(config: MelodyConfig) -> None:
    """Refuse a configuration that no policy of today has, before anything is allocated."""
    if is_earlier(checked_fields(config.to_dict())):
        raise ConfigurationError(
            "this is a policy of version 0.1.0, which had another vocabulary; save it in today's: "
            "policy.checkpoint.save_policy(policy.checkpoint.load_policy(FOLDER), NEW_FOLDER)"
        )


def cached_length(arguments: Mapping[str, Any]) -> int:
    """Number of tokens in the cache that is among the arguments of a `forward`, 0 without one.

    The argument is `cache` since transformers 5.24, and `past_key_values` before.
    """
    caches = (arguments.get(name) for name in ("cache", "past_key_values"))
    return max((cache.get_seq_length() for cache in caches if cache is not None), default=0)


class MelodyModel(LlamaModel):
    """The trunk: ids -> hidden states (B, T, D)."""

    config_class = MelodyConfig

    def __init__(self, config: MelodyConfig) -> None:
        """A trunk with new weights.

        Raises:
            ConfigurationError: for a configuration that no policy has; nothing is allocated.
        """
        _check(config)
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
            ValueError: for a cache without `bar_position`: the new ids do not determine it.
        """
        if inputs_embeds is None:
            if input_ids is None:
                raise ValueError(
                    "the melody model needs input_ids or inputs_embeds; it got neither"
                )
            if bar_position is None:
                if cached_length(kwargs) > 0:
                    raise ValueError(
                        "with a cache the position in the bar cannot be computed from the new "
                        "ids alone; pass bar_position=bar_positions(all_ids)[:, -1:]"
                    )
                bar_position = bar_positions(input_ids)
            inputs_embeds = self.embed_tokens(input_ids) + self.embed_bar_position(bar_position)
            inputs_embeds = self.embed_dropout(inputs_embeds)
        return super().forward(None, *args, inputs_embeds=inputs_embeds, **kwargs)


class MelodyForCausalLM(LlamaForCausalLM):
    """The policy: ids -> logits (B, T, V)."""

    config_class = MelodyConfig

    def __init__(self, config: MelodyConfig) -> None:
        _check(config)  # first: Llama's own layers are made before ours
        super().__init__(config)
        self.model = MelodyModel(config)
        if config.plain:
            self.lm_head = _EarlierHead(config)
        self.post_init()

    def prepare_inputs_for_generation(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        input_ids: Tensor,
        **kwargs: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        """Add the position in the bar, computed from all ids; `forward` gets only the newest."""
        parent = cast(Any, super())  # the mixin's type does not show the method that it has
        inputs = parent.prepare_inputs_for_generation(input_ids, **kwargs)
        inputs["bar_position"] = bar_positions(input_ids)[:, -inputs["input_ids"].shape[1] :]
        return inputs


class MelodyForSequenceClassification(LlamaForSequenceClassification):
    """The trunk and a linear head on the last token before EOS: ids -> logits (B, num_labels).

    Loaded from a policy's folder, it has a new random head, as TRL's RewardTrainer expects.
    """

    config_class = MelodyConfig

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        input_ids: Tensor,
        *args: Any,  # noqa: ANN401 (Llama's own arguments, passed on)
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Llama's forward, with the same score for a melody with and without EOS.

        RewardTrainer learns from melodies with EOS. GRPOTrainer and RLOOTrainer remove it before
        they score a melody.
        """
        without_end = input_ids.masked_fill(input_ids == EOS, PAD)
        return super().forward(cast(Any, without_end), *args, **kwargs)


AutoConfig.register(MelodyConfig.model_type, MelodyConfig)
AutoModel.register(MelodyConfig, MelodyModel)
AutoModelForCausalLM.register(MelodyConfig, MelodyForCausalLM)
AutoModelForSequenceClassification.register(MelodyConfig, MelodyForSequenceClassification)


@lru_cache(maxsize=8)
def _tables(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    # Constants, not buffers: `from_pretrained` returns non-persistent buffers as uninitialised
    # memory.
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
    styles: Styles = SHIPPED_STYLES,
    corpora: Sequence[str] = (),
    base_corpora: Sequence[str] = (),
    trained_on: TrainedOn | None = None,
) -> MelodyConfig:
    """The configuration of a model for our vocabulary; about 2 M parameters by default.

    Args:
        hidden_size: width.
        num_layers: blocks.
        num_heads: query heads.
        num_key_value_heads: key-value heads.
        intermediate_size: width inside the MLP.
        residual_dropout: dropout, in training only.
        styles: the labels of its style tokens.
        corpora: names of the corpora that it is trained on.
        base_corpora: names of those of the policy that it is started from.
        trained_on: the header values that they have; None is all.
    """
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
        styles=list(styles.labels),
        corpora=list(corpora),
        base_corpora=list(base_corpora),
        trained_on=None if trained_on is None else trained_on.json(),
    )


def melody_tokenizer() -> PreTrainedTokenizerFast:
    """The vocabulary as a tokenizer: the names of `music.tokens`, with or without spaces between.

    It has no token for unknown words and raises an error for them ("Missing [UNK] token");
    `music.tokens.from_text` names the word.
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
