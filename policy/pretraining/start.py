"""What a training run begins with: its policy, and checks of its corpora.

The policy has new weights, or those of another policy.

A policy that is started from another one keeps its styles in their slots, and gets slots for the
styles of its corpora after them. The rows of tokens that the other one was not trained on (a new
style; for a policy of version 0.1.0 also its new metres, modes, bars and pickups) begin as the mean
of its rows of the same kind.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from music.corpora.catalogue import (
    SHIPPED,
    corpora_named,
    melodies_of_corpora,
    open_corpus,
    styles_of_corpora,
)
from music.corpora.corpus_file import Corpus, CorpusError
from music.styles import Styles
from music.tokens import FIRST_REST, VOCABULARY
from policy.checkpoint import CheckpointError, TrainingStep, load_policy
from policy.model import MelodyConfig, MelodyForCausalLM, melody_config
from policy.pretraining.config import PretrainConfig
from policy.pretraining.held_out import HeldOut, held_out
from policy.scope import TrainedOn, scope_of, styles_of


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """What a training run begins with; all of it has been checked."""

    corpora: Sequence[Corpus]
    model: MelodyForCausalLM
    """at step 0"""
    train: Sequence[np.ndarray]
    """token ids of the training strains"""
    validation: HeldOut
    test: HeldOut


def begin(config: PretrainConfig, run: Path, saved: TrainingStep | None = None) -> Start:
    """What the run of these settings begins with; nothing is written.

    Args:
        config: its settings.
        run: its folder, which errors name.
        saved: its newest step, if it goes on.

    Raises:
        CheckpointError: when the run was started with another configuration or by version 0.1.0,
            or `start_from` is not a policy of this shape.
        CorpusError: for a corpus that is not there, has no validation tunes, or was built anew
            since the run was started.
    """
    corpora = corpora_named(config.corpora)
    if saved is not None:
        check_same(config, corpora, saved, run)
    torch.manual_seed(config.seed)
    model = starting_policy(config, corpora)
    train = held_out(corpora, "train", styles_of(model)).rows
    validation = held_out(corpora, "validation", styles_of(model))
    test = held_out(corpora, "test", styles_of(model))
    _check_enough(corpora, train, validation)
    return Start(corpora, model, train, validation, test)


def starting_policy(config: PretrainConfig, corpora: Sequence[Corpus]) -> MelodyForCausalLM:
    """The policy at step 0; random weights depend on torch's random state.

    Raises:
        CheckpointError: when `start_from` is not a policy, or has another shape.
    """
    trained_on = TrainedOn.of(
        melody.header for melody in melodies_of_corpora(corpora, "train", "validation")
    )
    names = tuple(corpus.name for corpus in corpora)
    if config.start_from is None:
        return MelodyForCausalLM(
            _configuration(config, styles_of_corpora(corpora), names, (), trained_on)
        )
    base = load_policy(config.start_from)
    scope = scope_of(base)
    earlier = [*base.config.corpora, *base.config.base_corpora]
    configuration = _configuration(
        config,
        styles_of_corpora(corpora, scope.styles),
        names,
        tuple(name for name in dict.fromkeys(earlier) if name not in names),
        trained_on | scope.trained_on,
    )
    model = MelodyForCausalLM(configuration)
    try:
        model.load_state_dict(base.state_dict())
    except RuntimeError as error:
        raise CheckpointError(
            f"start_from={config.start_from} has another shape than this configuration; give "
            "its hidden_size, num_layers, num_heads, num_key_value_heads, intermediate_size"
        ) from error
    _fill_rows(model, base)
    return model


def _configuration(
    config: PretrainConfig,
    styles: Styles,
    corpora: tuple[str, ...],
    base_corpora: tuple[str, ...],
    trained_on: TrainedOn,
) -> MelodyConfig:
    return melody_config(
        hidden_size=config.hidden_size,
        num_layers=config.num_layers,
        num_heads=config.num_heads,
        num_key_value_heads=config.num_key_value_heads,
        intermediate_size=config.intermediate_size,
        residual_dropout=config.dropout,
        styles=styles,
        corpora=corpora,
        base_corpora=base_corpora,
        trained_on=trained_on,
    )


@torch.no_grad()
def _fill_rows(model: MelodyForCausalLM, base: MelodyForCausalLM) -> None:
    """Give header and bar tokens that the base does not know the mean row of those it does."""
    known, wanted = scope_of(base).known, scope_of(model).known
    kinds: defaultdict[str, list[int]] = defaultdict(list)
    for token, name in enumerate(VOCABULARY[:FIRST_REST]):
        kinds[name.split("_")[0]].append(token)
    for tables in {
        id(t): t for t in (model.model.embed_tokens.weight, model.lm_head.weight)
    }.values():
        for tokens in kinds.values():
            mean = tables[[token for token in tokens if known[token]]].mean(0)
            new = [token for token in tokens if wanted[token] and not known[token]]
            tables[new] = mean


def corpus_hashes(corpora: Sequence[Corpus]) -> dict[str, str]:
    """A hash of the strains of each corpus, and of their sides of the split."""
    return {
        corpus.name: hashlib.sha256(
            b"".join(corpus.columns[name].tobytes() for name in ("tokens", "splits"))
        ).hexdigest()[:16]
        for corpus in corpora
    }


def check_same(
    config: PretrainConfig, corpora: Sequence[Corpus], saved: TrainingStep, run: Path
) -> None:
    """Refuse to go on with a run of other settings, other corpora or version 0.1.0.

    Raises:
        CheckpointError: for other settings, and for a run of version 0.1.0.
        CorpusError: for a corpus that has changed.
    """
    if "corpora" not in saved.state:
        raise CheckpointError(
            f"{run} was begun by version 0.1.0 and cannot go on here; start a new run "
            f"(--start-from {run.name} begins with its best policy)"
        )
    if saved.state["config"] != config.json():
        raise CheckpointError(f"{run} was started with another configuration; choose a new run")
    for name, now in corpus_hashes(corpora).items():
        if saved.state["corpora"].get(name) != now:
            raise CorpusError(
                f"the corpus {name!r} was built anew since {run} was started; choose a new run"
            )


def has_ended_in_0_1_0(saved: TrainingStep) -> bool:
    """Whether a run of version 0.1.0 is at its last step, so that nothing is left to train."""
    config = saved.state["config"]
    if "corpora" in saved.state:
        return False
    strains = len(open_corpus(SHIPPED).token_rows("train", earlier=True))
    return saved.step >= -(-strains // config["strains_per_step"]) * config["epochs"]


def _check_enough(
    corpora: Sequence[Corpus], train: Sequence[np.ndarray], validation: HeldOut
) -> None:
    """Refuse corpora without a strain to learn from, or without one to validate on.

    Raises:
        CorpusError: with the part that is empty.
    """
    named = ", ".join(corpus.name for corpus in corpora)
    for part, count in (("training", len(train)), ("validation", len(validation.rows))):
        if not count:
            raise CorpusError(
                f"the corpora {named} have no {part} strain; build a corpus of more tunes, or add "
                "--corpus books"
            )
