"""What `tastemaker pretrain` does with the options that were given, and without them.

A policy that starts from another one is *adapted*. Its defaults were found by trials on songs of
one region and reported on another one (docs/log.md, benchmarks/corpora/adaptation.py). This module
needs no torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from music.corpora.catalogue import styles_of_corpora
from music.corpora.corpus_file import Corpus
from music.corpora.data_card import quantity
from music.styles import OTHER, STYLE_SLOTS
from policy.folder import configuration_of, read_policy_folder
from policy.pretraining.config import PretrainConfig

FEW_TUNES = 500
"""with fewer training tunes the base is adapted, unless somebody asks for something else"""
EPOCHS_FROM_NOTHING = 36
LEAST_STEPS_FROM_NOTHING = 600
"""with few strains, 36 passes are too few steps to learn anything; early stopping ends them"""
PATIENCE_FROM_NOTHING = 4
ADAPTING: dict[str, Any] = {
    "epochs": 10,
    "learning_rate": 1e-3,
    "warmup_steps": 10,
    "weight_decay": 1.0,
    "strains_per_step": 32,
}
SMALL_STRAINS = 300
ADAPTING_TO_SMALL: dict[str, Any] = {
    "learning_rate": 5e-4,
    "strains_per_step": 16,
    "dropout": 0.1,
}
"""where the training strains are fewer than `SMALL_STRAINS`: 80 are learnt by heart in 60 steps"""
SHAPE = {"hidden_size": "--width", "num_layers": "--layers"}
"""fields of the shape that have an option"""
VALIDATIONS = 10
"""of adapting, spread over its steps; twice as many from nothing"""
NAMED_STYLES = 6
"""at most, of those that are joined as `other`"""
PATIENCE = 4
"""validations without a new best after which adapting ends"""


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings, and what to tell whoever gave the options."""

    config: PretrainConfig
    said: tuple[str, ...]


def planned(
    corpora: Sequence[Corpus],
    *,
    names: Sequence[str] | None = None,
    start_from: Path | None,
    base: Path | None,
    asked: Mapping[str, Any],
) -> Plan:
    """The settings of a training run.

    Args:
        corpora: that it learns from.
        names: names or paths by which they are opened again; by default their names.
        start_from: folder of the policy to start from.
        base: folder of the policy to adapt where the tunes are few; None never does so.
        asked: fields of `PretrainConfig` that somebody gave; None for those that nobody did.

    Raises:
        ValueError: for a value that a field cannot have, and for another shape than that of the
            policy to start from.
        CheckpointError: when the policy to start from is missing or damaged.
    """
    train = [corpus.columns["splits"] == 0 for corpus in corpora]
    tunes = sum(
        len(set(corpus.columns["tunes"][of].tolist()))
        for corpus, of in zip(corpora, train, strict=True)
    )
    strains = int(sum(of.sum() for of in train))
    said: list[str] = []
    given = {name: value for name, value in asked.items() if value is not None}
    shaped = [option for name, option in SHAPE.items() if name in given]
    few = f"few training tunes ({tunes}, under {FEW_TUNES})"
    if start_from is None and base is not None and tunes < FEW_TUNES:
        if shaped:
            said.append(
                f"{few} are better learnt by adapting the base; {' and '.join(shaped)} asks for "
                "another shape, so training begins with nothing"
            )
        else:
            start_from = base
            said.append(f"{few}, so the base is adapted to them; --from-nothing trains without it")
    fields: dict[str, Any] = _from_nothing(strains)
    if start_from is not None:
        small = ADAPTING_TO_SMALL if strains < SMALL_STRAINS else {}
        shape = _shape(start_from)
        for name, option in SHAPE.items():
            if given.get(name, shape[name]) != shape[name]:
                raise ValueError(
                    f"{option}={given[name]} is not that of the policy to start from, which is "
                    f"{shape[name]}; leave {option} out, or begin with nothing: --from-nothing"
                )
        fields = {**ADAPTING, **small, "start_from": str(start_from), **shape}
        size, epochs = fields["strains_per_step"], given.get("epochs", fields["epochs"])
        steps = -(-strains // size) * epochs
        fields |= {"save_every_steps": max(1, steps // VALIDATIONS), "patience": PATIENCE}
    said += _joined(corpora, start_from)
    names = names or [corpus.name for corpus in corpora]
    return Plan(PretrainConfig(corpora=tuple(names), **{**fields, **given}), tuple(said))


def _from_nothing(strains: int) -> dict[str, Any]:
    """Settings without a policy to start from; those of the base of 0.1.0 where strains suffice."""
    per_epoch = max(1, -(-strains // PretrainConfig().strains_per_step))
    epochs = max(EPOCHS_FROM_NOTHING, -(-LEAST_STEPS_FROM_NOTHING // per_epoch))
    if epochs == EPOCHS_FROM_NOTHING:
        return {"epochs": epochs}
    every = epochs * per_epoch // (2 * VALIDATIONS)
    return {
        "epochs": epochs,
        "warmup_steps": epochs * per_epoch // 10,
        "save_every_steps": every,
        "patience": PATIENCE_FROM_NOTHING,
    }


def _joined(corpora: Sequence[Corpus], start_from: Path | None) -> list[str]:
    """What to say of styles for which the policy has no slot left; nothing if there are none."""
    known = None if start_from is None else read_policy_folder(start_from).scope.styles
    styles = styles_of_corpora(corpora, known).labels
    counts: Counter[str] = Counter()
    for corpus in corpora:
        counts.update(corpus.styles)
    joined = [(label, count) for label, count in counts.most_common() if label not in styles]
    if not joined:
        return []
    named = ", ".join(label for label, _ in joined[:NAMED_STYLES])
    return [
        f"a policy has at most {STYLE_SLOTS} styles, so the rarest of the corpora are joined as "
        f"{OTHER!r}: {named}{', …' if len(joined) > NAMED_STYLES else ''} "
        f"({quantity(len(joined), 'style')} of {quantity(sum(n for _, n in joined), 'strain')})"
    ]


def _shape(folder: Path) -> dict[str, int]:
    """The fields of `PretrainConfig` that say the shape of a policy."""
    fields = configuration_of(folder)
    return {
        "hidden_size": fields["hidden_size"],
        "num_layers": fields["num_hidden_layers"],
        "num_heads": fields["num_attention_heads"],
        "num_key_value_heads": fields["num_key_value_heads"],
        "intermediate_size": fields["intermediate_size"],
    }
