"""Families of simulated listeners that are hard on purpose, each member with a taste of its own.

`reward.listeners.tastes` has a few tastes with names, for the demo; a family has one taste for each
seed, for studies of how well and how soon tastes are learnt. None of them is written in terms of a
model's features: they are utilities of yardsticks, of bars, and of what is common in a corpus.

  - linear: a weight for every yardstick;
  - sparse: three yardsticks, and nothing else matters;
  - threshold: hates any leap over an octave, and three more limits that are passed or not;
  - interaction: two pairs of yardsticks that are liked together or not at all;
  - structural: wants bar 5 to repeat bar 1, and a question that is answered;
  - rhythmic: syncopation, dotted rhythms, a number of different lengths that is just right;
  - novelty: what is rare in the training tunes.

Spammers, people who press left, drift and ties are parameters of `SimulatedListener`; two camps are
a taste and `opposite` of it.

Letters: N melodies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from music.corpora.corpus import load_corpus
from music.descriptors.phrases import bars_alike, first_bar_returns, question_answered
from music.descriptors.yardsticks import YARDSTICKS
from music.melody import Melody
from music.note_table import NoteTable, interval_duration_symbols, note_table
from reward.listeners.simulated import ListenerError, Utility

VALUES_OF_A_MEASURE = 20
"""a yardstick with fewer different values among the melodies is a yes or no, not a measure"""
LEAST_SPREAD = 1e-6


class Scale:
    """Yardsticks in deviations of some melodies of reference, 0 where undefined."""

    def __init__(self, reference: Sequence[Melody]) -> None:
        table = note_table(reference)
        self.measured: dict[str, np.ndarray] = {}
        self.mean, self.std = dict[str, float](), dict[str, float]()
        for name, yardstick in YARDSTICKS.items():
            values = yardstick.measure(table)
            values = values[np.isfinite(values)]
            if len(values) == 0 or values.std() < LEAST_SPREAD:
                continue
            self.mean[name], self.std[name] = float(values.mean()), float(values.std())
            if len(np.unique(values)) > VALUES_OF_A_MEASURE:
                self.measured[name] = values

    @property
    def names(self) -> list[str]:
        """Yardsticks that vary."""
        return list(self.mean)

    def __call__(self, name: str, table: NoteTable) -> np.ndarray:
        """One yardstick of some melodies; (N,)."""
        values = (YARDSTICKS[name].measure(table) - self.mean[name]) / self.std[name]
        return np.nan_to_num(values, nan=0.0)

    def some_measures(self, count: int, rng: np.random.Generator) -> list[str]:
        """Names of different yardsticks that measure something, at random."""
        return [str(name) for name in rng.choice(list(self.measured), count, replace=False)]


Parts = list[tuple[float, Callable[[NoteTable], np.ndarray]]]


def _linear(scale: Scale, rng: np.random.Generator) -> Parts:
    weights = rng.normal(size=len(scale.names))
    return [
        (float(weight), lambda table, name=name: scale(name, table))
        for weight, name in zip(weights, scale.names, strict=True)
    ]


def _sparse(scale: Scale, rng: np.random.Generator) -> Parts:
    return [
        (float(rng.choice([-1, 1]) * rng.uniform(0.6, 1.4)), lambda t, name=name: scale(name, t))
        for name in rng.choice(scale.names, 3, replace=False)
    ]


def _threshold(scale: Scale, rng: np.random.Generator) -> Parts:
    def beyond(name: str, limit: float) -> Callable[[NoteTable], np.ndarray]:
        return lambda table: (YARDSTICKS[name].measure(table) > limit).astype(np.float64)

    parts: Parts = [(-2.0, beyond("largest_interval", 12.0))]
    for name in scale.some_measures(3, rng):
        limit = float(np.quantile(scale.measured[name], rng.uniform(0.25, 0.75)))
        parts.append((float(rng.choice([-1.0, 1.0])), beyond(name, limit)))
    return parts


def _interaction(scale: Scale, rng: np.random.Generator) -> Parts:
    def together(one: str, other: str) -> Callable[[NoteTable], np.ndarray]:
        return lambda table: np.tanh(scale(one, table)) * np.tanh(scale(other, table))

    first, second, third, fourth = scale.some_measures(4, rng)
    return [
        (1.0, together(first, second)),
        (1.0, together(third, fourth)),
        (0.5, lambda table: scale(first, table)),
        (0.5, lambda table: scale(third, table)),
    ]


def _structural(_: Scale, rng: np.random.Generator) -> Parts:
    lag = int(rng.choice([1, 2, 4]))
    return [
        (2.0, lambda table: np.nan_to_num(first_bar_returns(table))),
        (1.0, lambda table: np.nan_to_num(first_bar_returns(table, with_pitch=False))),
        (1.0, question_answered),
        (1.0, lambda table: np.nan_to_num(bars_alike(table, bars_apart=lag))),
    ]


def _rhythmic(scale: Scale, rng: np.random.Generator) -> Parts:
    centre = float(rng.uniform(-0.7, 0.7))
    return [
        (1.0, lambda table: np.tanh(scale("syncopation_share", table))),
        (float(rng.choice([-0.8, 0.8])), lambda table: np.tanh(scale("npvi", table))),
        (-0.7, lambda table: abs(scale("rhythm_entropy", table) - centre)),
        (0.6, lambda table: scale("repeated_rhythm_share", table)),
        (0.4, lambda table: scale("density_spread", table)),
    ]


def _novelty(scale: Scale, rng: np.random.Generator) -> Parts:
    return [
        (1.0, rarity_bits),
        (float(rng.uniform(0.0, 0.5)), lambda table: scale("interval_entropy", table)),
    ]


FAMILIES: dict[str, Callable[[Scale, np.random.Generator], Parts]] = {
    "linear": _linear,
    "sparse": _sparse,
    "threshold": _threshold,
    "interaction": _interaction,
    "structural": _structural,
    "rhythmic": _rhythmic,
    "novelty": _novelty,
}


def family_taste(family: str, seed: int, reference: Sequence[Melody]) -> Utility:
    """The taste of one member of a family.

    Args:
        family: a name in `FAMILIES`.
        seed: which member.
        reference: melodies of the base policy, by which yardsticks are put on one scale.

    Raises:
        ListenerError: for an unknown family.
    """
    if family not in FAMILIES:
        raise ListenerError(f"family={family!r} is not known; choose one of {list(FAMILIES)}")
    parts = FAMILIES[family](Scale(reference), np.random.default_rng(seed))

    def utility(melodies: Sequence[Melody]) -> np.ndarray:
        table = note_table(melodies)
        return np.sum([weight * part(table) for weight, part in parts], axis=0)

    utility.__name__ = f"{family}_{seed}"
    return utility


def opposite(taste: Utility) -> Utility:
    """The taste of the other camp."""

    def utility(melodies: Sequence[Melody]) -> np.ndarray:
        return -np.asarray(taste(melodies))

    utility.__name__ = f"not_{getattr(taste, '__name__', 'function')}"
    return utility


def rarity_bits(table: NoteTable) -> np.ndarray:
    """Mean -log2 of how common a melody's steps (interval and duration) are in the corpus; (N,)."""
    seen, total = _corpus_symbols()
    kinds, place = np.unique(interval_duration_symbols(table), return_inverse=True)
    counts = np.array([seen.get(int(kind), 0) + 0.5 for kind in kinds])
    return table.sums(-np.log2(counts / total)[place]) / table.count


@cache
def _corpus_symbols() -> tuple[Counter[int], int]:
    strains = [strain.melody for strain in load_corpus("train")]
    symbols = Counter(interval_duration_symbols(note_table(strains)).tolist())
    return symbols, symbols.total()
