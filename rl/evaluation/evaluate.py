"""Evaluation of a tuned policy against its base policy: gains, KL, and what got worse.

Everything is measured on new melodies, with the same number and the same headers for both policies:
the reward model's score, the KL from the base, the win rate by a judge that training did not use
(if there is one), musical yardsticks compared with real tunes, diversity, and originality compared
with held-out tunes.

Letters: M melodies of a policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from env.reference import Reference, torch_chance
from music.corpora.catalogue import SHIPPED, corpora_named, melodies_of_corpora
from music.corpora.diversity import SAMPLE_SIZE, vendi_at
from music.corpora.originality import Originality, TrainingIndex, compare_originality, originality
from music.descriptors.yardsticks import yardstick_means, yardstick_standard_errors
from music.melody import Melody
from music.progress import Report, no_report
from music.tokens import HEADER_LENGTH, decode
from policy.compose import DEFAULT_TONIC_MIDI, Conditioning
from policy.decode import sample
from policy.logprobs import melody_nats
from policy.model import MelodyForCausalLM
from policy.scope import styles_of
from reward.scorer import Reward, scores_of
from rl.evaluation.best_of_n import BestOfN

LEAST_REAL = 20
"""least number of held-out tunes of the same kind; with fewer, all held-out tunes are used"""
Judge = Callable[[Sequence[Melody]], np.ndarray]
"""melodies -> utility (M,); used by the evaluation only"""


@dataclass(frozen=True, slots=True)
class Side:
    """One policy's melodies and their measurements."""

    melodies: list[Melody]
    score: np.ndarray
    """(M,) the reward model's mean"""
    score_std: np.ndarray
    """(M,) its standard deviation"""
    utility: np.ndarray | None
    """(M,) by the judge, if there is one"""
    yardsticks: dict[str, float]
    vendi: float
    """at `SAMPLE_SIZE` melodies"""
    originality: dict[str, float]
    copies: Originality
    """each melody's longest run of notes that is also in a training tune, and in which"""

    @property
    def notes(self) -> float:
        """Mean number of notes per melody."""
        return float(np.mean([len(melody.notes) for melody in self.melodies]))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Measurements of the base and the tuned policy, and of real tunes."""

    base: Side
    tuned: Side
    kl_nats: float
    kl_standard_error: float
    model_win_rate: float
    """share of tuned-base pairs in which the reward model prefers the tuned melody"""
    true_win_rate: float | None
    """the same by the judge, without noise"""
    best_of_n: dict[str, float] | None
    """n, KL and win rates of best-of-n, if it was measured"""
    real_yardsticks: dict[str, float]
    yardstick_errors: dict[str, float]
    """standard errors of the tuned side's yardsticks"""
    real_melodies: int
    real_of_this_kind: bool
    """False if all held-out tunes were used, because too few are of the same kind"""
    held_out_originality: dict[str, float]

    def summary(self) -> dict[str, Any]:
        """The figures, for JSON."""
        return {
            "melodies": len(self.tuned.melodies),
            "kl_nats": self.kl_nats,
            "kl_standard_error": self.kl_standard_error,
            "model_win_rate": self.model_win_rate,
            "true_win_rate": self.true_win_rate,
            "score_base": float(self.base.score.mean()),
            "score_tuned": float(self.tuned.score.mean()),
            "notes_base": self.base.notes,
            "notes_tuned": self.tuned.notes,
            "vendi_base": self.base.vendi,
            "vendi_tuned": self.tuned.vendi,
            "originality_base": self.base.originality["originality"],
            "originality_tuned": self.tuned.originality["originality"],
            "originality_held_out_humans": self.held_out_originality["originality"],
            "best_of_n": self.best_of_n,
        }


def win_rate(challenger: np.ndarray, other: np.ndarray) -> float:
    """Share of all pairs that the challenger wins; a tie counts as half a win."""
    gap = np.sign(challenger[:, None] - other[None, :])
    return float(0.5 + 0.5 * gap.mean())


def evaluate(
    base: MelodyForCausalLM,
    tuned: MelodyForCausalLM,
    reward: Reward,
    *,
    conditioning: Conditioning,
    count: int = 512,
    seed: int = 0,
    judge: Judge | None = None,
    best: BestOfN | None = None,
    index: TrainingIndex | None = None,
    report: Report = no_report,
) -> Evaluation:
    """Measure both policies on `count` new melodies each; the base chooses the headers of both.

    Originality is measured against the tunes that the base was trained on, and real tunes are those
    of its corpora that were held out.

    Raises:
        ValueError: when `count` is too small for a diversity score.
        CorpusError: when a corpus of the base is not in this folder.
    """
    if count < SAMPLE_SIZE:
        raise ValueError(f"count={count} is below {SAMPLE_SIZE}, which the diversity score needs")
    held_out = melodies_of_corpora(corpora_named(corpora_of(base)), "test")
    index = index or training_index(base)
    generator = torch.Generator().manual_seed(seed)
    reference = Reference(base)
    prompts = conditioning.prompt(count, reference.scope)
    headers = reference.with_headers(prompts, torch_chance(generator))
    sides: list[Side] = []
    rows: list[np.ndarray] = []
    for name, policy in (("base", base), ("tuned", tuned)):
        writing = partial(report, f"writing melodies of the {name} policy")
        rows = sample(policy, headers, generator=generator, progress=writing).rows()
        report(f"measuring melodies of the {name} policy", 0, 0)
        melodies = [decode(row, DEFAULT_TONIC_MIDI, styles_of(policy)) for row in rows]
        sides.append(_side(melodies, reward, judge, index))
    ratio = melody_nats(tuned, rows, HEADER_LENGTH) - melody_nats(base, rows, HEADER_LENGTH)
    base_side, tuned_side = sides
    alike = [melody for melody in held_out if _fits(melody, conditioning)]
    real = alike if len(alike) >= LEAST_REAL else held_out
    true = None
    if base_side.utility is not None and tuned_side.utility is not None:
        true = win_rate(tuned_side.utility, base_side.utility)
    compared = None
    if best is not None:
        compared = {
            "n": float(best.n),
            "kl_nats": best.kl_nats,
            "model_win_rate": win_rate(scores_of(reward, best.melodies)[0], base_side.score),
            "vendi_melodies": float(len(best.melodies)),
        }
        if judge is not None and base_side.utility is not None:
            compared["true_win_rate"] = win_rate(judge(best.melodies), base_side.utility)
    return Evaluation(
        base=base_side,
        tuned=tuned_side,
        kl_nats=float(ratio.mean()),
        kl_standard_error=float(ratio.std(ddof=1) / np.sqrt(len(ratio))),
        model_win_rate=win_rate(tuned_side.score, base_side.score),
        true_win_rate=true,
        best_of_n=compared,
        real_yardsticks=yardstick_means(real),
        yardstick_errors=yardstick_standard_errors(tuned_side.melodies),
        real_melodies=len(real),
        real_of_this_kind=real is alike,
        held_out_originality=compare_originality(real, real, index)["held_out"],
    )


def training_index(policy: MelodyForCausalLM) -> TrainingIndex:
    """The index of all tunes that a policy was trained on, corpus after corpus.

    They are those of its own corpora and, if it was started from another policy, of that one's.

    Raises:
        CorpusError: when one of its corpora is not in this folder.
    """
    corpora = corpora_named([*corpora_of(policy), *(policy.config.base_corpora or ())])
    return TrainingIndex.from_melodies(melodies_of_corpora(corpora, "train"))


def corpora_of(policy: MelodyForCausalLM) -> list[str]:
    """Names of the corpora of a policy; the shipped one if it does not say which."""
    return list(policy.config.corpora or ()) or [SHIPPED]


def corpora_in_words(policy: MelodyForCausalLM) -> str:
    """The corpora of a policy, for a report or a model card."""
    named = {SHIPPED: "O'Neill 1903 and Ryan 1883 (see NOTICE)"}
    said = " and ".join(named.get(name, f"the corpus {name}") for name in corpora_of(policy))
    before = [named.get(name, f"the corpus {name}") for name in policy.config.base_corpora or ()]
    return f"{said}, begun from a policy of {' and '.join(before)}" if before else said


def _side(
    melodies: list[Melody], reward: Reward, judge: Judge | None, index: TrainingIndex
) -> Side:
    mean, std = scores_of(reward, melodies)
    return Side(
        melodies=melodies,
        score=mean,
        score_std=std,
        utility=None if judge is None else judge(melodies),
        yardsticks=yardstick_means(melodies),
        vendi=vendi_at(melodies, SAMPLE_SIZE)[0],
        originality=compare_originality(melodies, melodies, index)["samples"],
        copies=originality(melodies, index),
    )


def _fits(melody: Melody, conditioning: Conditioning) -> bool:
    header = melody.header
    return all(
        value is None or getattr(header, name) == value
        for name, value in conditioning.fields().items()
    )
