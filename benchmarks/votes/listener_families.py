"""Families of simulated listeners that are hard on purpose, each member with a taste of its own.

`reward.listeners.tastes` has a few tastes with names, for the demo; a family has one taste for each
seed, for studies of how well and how soon tastes are learnt. None of them is written in terms of a
model's features: they are utilities of yardsticks, of bars, of what is common in a corpus, and of
notes as they are heard (`reward.listeners.note_tastes`).

  - linear: a weight for every yardstick;
  - sparse: three yardsticks, and nothing else matters;
  - threshold: hates any leap over an octave, and three more limits that are passed or not;
  - interaction: two pairs of yardsticks that are liked together or not at all;
  - structural: wants bar 5 to repeat bar 1, and a question that is answered;
  - rhythmic: syncopation, dotted rhythms, a number of different lengths that is just right;
  - novelty: what is rare in the training tunes;
  - mode: dark or bright by the thirds, sixths and sevenths that ring, and one yardstick;
  - pace: fast, slow or just right by notes a second, and by the fastest passage;
  - unexplained: four yardsticks, and as much again that is each melody's own and that no feature
    tells. Of two unheard melodies nobody orders more than 75 % as this listener does
    (`reward.listeners.note_tastes.best_agreement`).

Spammers, people who press left, drift and ties are parameters of `SimulatedListener`; two camps are
a taste and `opposite` of it.

Letters: N melodies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from music.corpora.corpus import load_corpus
from music.descriptors.phrases import bars_alike, first_bar_returns, question_answered
from music.descriptors.yardsticks import YARDSTICKS
from music.melody import Melody
from music.note_table import NoteTable, interval_duration_symbols, note_table
from reward.listeners.note_tastes import darkness, fastest_passage, own_liking, pace
from reward.listeners.simulated import ListenerError, Utility

VALUES_OF_A_MEASURE = 20
"""a yardstick with fewer different values among the melodies is a yes or no, not a measure"""
LEAST_SPREAD = 1e-6
OWN_SHARE = 0.5
"""share of an `unexplained` utility's variance, over the reference, that is each melody's own"""


class Scale:
    """Yardsticks in deviations of some melodies of reference, 0 where undefined."""

    def __init__(self, reference: Sequence[Melody]) -> None:
        self.table = table = note_table(reference)
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

    def standard(self, liking: Callable[[NoteTable], np.ndarray]) -> Callable[..., np.ndarray]:
        """A liking in deviations of the reference."""
        values = liking(self.table)
        mean, std = values.mean(), values.std() or 1.0
        return lambda table: (liking(table) - mean) / std

    def some_measures(self, count: int, rng: np.random.Generator) -> list[str]:
        """Names of different yardsticks that measure something, at random."""
        return [str(name) for name in rng.choice(list(self.measured), count, replace=False)]


class Part(NamedTuple):
    """A summand of a utility."""

    weight: float
    measure: Callable[[NoteTable], np.ndarray]
    about: tuple[str, ...]
    """the profile's features that come nearest to what it is made of; none if no feature does"""


Parts = list[Part]
FEATURE_OF = {
    "in_key_share": "out_of_key",
    "syncopation_share": "syncopated",
    "excessive_repeat_share": "repeated_note_share",
}
"""the feature made of a yardstick, where it has another name"""


def _part(weight: float, measure: Callable[[NoteTable], np.ndarray], *yardsticks: str) -> Part:
    return Part(weight, measure, tuple(FEATURE_OF.get(name, name) for name in yardsticks))


def _linear(scale: Scale, rng: np.random.Generator) -> Parts:
    weights = rng.normal(size=len(scale.names))
    return [
        _part(float(weight), lambda table, name=name: scale(name, table), name)
        for weight, name in zip(weights, scale.names, strict=True)
    ]


def _sparse(scale: Scale, rng: np.random.Generator) -> Parts:
    return [
        _part(
            float(rng.choice([-1, 1]) * rng.uniform(0.6, 1.4)),
            lambda table, name=name: scale(name, table),
            str(name),
        )
        for name in rng.choice(scale.names, 3, replace=False)
    ]


def _threshold(scale: Scale, rng: np.random.Generator) -> Parts:
    def beyond(name: str, limit: float) -> Callable[[NoteTable], np.ndarray]:
        return lambda table: (YARDSTICKS[name].measure(table) > limit).astype(np.float64)

    parts: Parts = [_part(-2.0, beyond("largest_interval", 12.0), "largest_interval")]
    for name in scale.some_measures(3, rng):
        limit = float(np.quantile(scale.measured[name], rng.uniform(0.25, 0.75)))
        parts.append(_part(float(rng.choice([-1.0, 1.0])), beyond(name, limit), name))
    return parts


def _interaction(scale: Scale, rng: np.random.Generator) -> Parts:
    def together(one: str, other: str) -> Callable[[NoteTable], np.ndarray]:
        return lambda table: np.tanh(scale(one, table)) * np.tanh(scale(other, table))

    first, second, third, fourth = scale.some_measures(4, rng)
    return [
        _part(1.0, together(first, second), first, second),
        _part(1.0, together(third, fourth), third, fourth),
        _part(0.5, lambda table: scale(first, table), first),
        _part(0.5, lambda table: scale(third, table), third),
    ]


def _structural(_: Scale, rng: np.random.Generator) -> Parts:
    lag = int(rng.choice([1, 2, 4]))
    bars_apart = {1: "next_bar_alike", 2: "second_bar_alike", 4: "fourth_bar_alike"}[lag]
    return [
        _part(2.0, lambda table: np.nan_to_num(first_bar_returns(table)), "first_bar_returns"),
        _part(
            1.0,
            lambda table: np.nan_to_num(first_bar_returns(table, with_pitch=False)),
            "first_rhythm_returns",
        ),
        _part(1.0, question_answered, "question_answered"),
        _part(1.0, lambda table: np.nan_to_num(bars_alike(table, bars_apart=lag)), bars_apart),
    ]


def _rhythmic(scale: Scale, rng: np.random.Generator) -> Parts:
    centre = float(rng.uniform(-0.7, 0.7))
    return [
        _part(1.0, lambda t: np.tanh(scale("syncopation_share", t)), "syncopation_share"),
        _part(float(rng.choice([-0.8, 0.8])), lambda t: np.tanh(scale("npvi", t)), "npvi"),
        _part(-0.7, lambda t: abs(scale("rhythm_entropy", t) - centre), "rhythm_entropy"),
        _part(0.6, lambda t: scale("repeated_rhythm_share", t), "repeated_rhythm_share"),
        _part(0.4, lambda t: scale("density_spread", t), "density_spread"),
    ]


def _novelty(scale: Scale, rng: np.random.Generator) -> Parts:
    return [
        _part(1.0, rarity_bits, "interval_entropy", "rhythm_entropy"),  # of both together
        _part(
            float(rng.uniform(0.0, 0.5)),
            lambda table: scale("interval_entropy", table),
            "interval_entropy",
        ),
    ]


def _mode(scale: Scale, rng: np.random.Generator) -> Parts:
    (other,) = scale.some_measures(1, rng)
    return [
        Part(
            float(rng.choice([-1.0, 1.0])),
            scale.standard(darkness),
            ("minor_third_share", "brightness"),
        ),
        _part(float(rng.normal(0.0, 0.4)), lambda table: scale(other, table), other),
    ]


def _pace(scale: Scale, rng: np.random.Generator) -> Parts:
    of_pace = scale.standard(pace)
    wanted = rng.choice(["fast", "slow", "just right"])
    centre = float(rng.uniform(-0.5, 0.5))

    def liking(table: NoteTable) -> np.ndarray:
        away = of_pace(table)
        return -abs(away - centre) if wanted == "just right" else np.tanh(away)

    return [
        Part(-1.0 if wanted == "slow" else 1.0, liking, ("notes_per_beat",)),
        Part(
            float(rng.normal(0.0, 0.4)),
            scale.standard(fastest_passage),
            ("short_note_share", "density_spread"),
        ),
    ]


def _unexplained(scale: Scale, rng: np.random.Generator) -> Parts:
    known = [
        _part(float(weight), lambda table, name=name: scale(name, table), name)
        for name, weight in zip(scale.some_measures(4, rng), rng.normal(size=4), strict=True)
    ]
    size = float(np.std(np.sum([part.weight * part.measure(scale.table) for part in known], 0)))
    listener = int(rng.integers(2**31))
    return [
        *(part._replace(weight=part.weight / size * np.sqrt(1 - OWN_SHARE)) for part in known),
        Part(np.sqrt(OWN_SHARE), lambda table: own_liking(table, listener), ()),
    ]


FAMILIES: dict[str, Callable[[Scale, np.random.Generator], Parts]] = {
    "linear": _linear,
    "sparse": _sparse,
    "threshold": _threshold,
    "interaction": _interaction,
    "structural": _structural,
    "rhythmic": _rhythmic,
    "novelty": _novelty,
    "mode": _mode,
    "pace": _pace,
    "unexplained": _unexplained,
}


def family_parts(family: str, seed: int, reference: Sequence[Melody]) -> Parts:
    """The summands of one member's utility.

    Args:
        family: a name in `FAMILIES`.
        seed: which member.
        reference: melodies of the base policy, by which yardsticks are put on one scale.

    Raises:
        ListenerError: for an unknown family.
    """
    if family not in FAMILIES:
        raise ListenerError(f"family={family!r} is not known; choose one of {list(FAMILIES)}")
    return FAMILIES[family](Scale(reference), np.random.default_rng(seed))


def family_taste(family: str, seed: int, reference: Sequence[Melody]) -> Utility:
    """The taste of one member of a family: the sum of its `family_parts`, for the same arguments.

    Raises:
        ListenerError: for an unknown family.
    """
    parts = family_parts(family, seed, reference)

    def utility(melodies: Sequence[Melody]) -> np.ndarray:
        table = note_table(melodies)
        return np.sum([part.weight * part.measure(table) for part in parts], axis=0)

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
