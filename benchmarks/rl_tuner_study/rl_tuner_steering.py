"""Weights of music theory's rules that are steered while PPO runs, until RL Tuner's table holds.

A rule of the table is a constraint on the mean over melodies, and its weight the constraint's price
(a constrained Markov decision process; Tessler et al. 2018, Reward Constrained Policy Optimization,
arXiv:1805.11074). After each update the weight of a rule goes up while its row is short of what it
is to reach, and down while it is beyond; a term for the shortfall itself (Stooke et al. 2020,
arXiv:2007.03964) keeps weights from swinging, because a policy takes some thirty updates to follow
them. Were the policy the base tilted by its reward, a row's mean would grow with a weight by the
covariance of row and rule: by that each step is divided.

Weights start from `rl.rewards.music_theory` and are in nats. With fixed ones near those that they
come to a policy settles with some row short (docs/log.md): it has several ways to be good.

Letters: B melodies.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rl_tuner_bound import Bound, Counts

from music.files import write_whole
from music.melody import Melody
from music.note_table import note_table
from rl.ppo.rollout import Rollout
from rl.ppo.trainer import Callback
from rl.rewards.music_theory import RULES, rules_sha256

ROW_OF_RULE = {
    "first note": "starts_on_tonic",
    **{f"variety at lag {lag}": f"autocorrelation_{lag}" for lag in (1, 2, 3)},
    "motif": "in_motif",
    "leaps": "leaps_resolved",
    "highest note": "unique_maximum",
    "lowest note": "unique_minimum",
}
"""rules whose weights are steered, and by which row; the others keep theirs"""
BEYOND = {
    "starts_on_tonic": 0.04, "leaps_resolved": 0.008, "unique_maximum": 0.03,
    "unique_minimum": 0.03, "in_motif": 0.001, "autocorrelation_1": 0.02,
    "autocorrelation_2": 0.02, "autocorrelation_3": 0.012,
}  # fmt: skip
"""by how much a row is to be beyond what the table asks, for a policy goes to and fro"""
GAIN, SHORTFALL_GAIN = 0.1, 1.5
KEPT, SHORTFALL_KEPT = 7 / 8, 0.7
"""of what is remembered of batches before, of moments and of shortfalls"""
FIRST_STEPS = 15
"""updates before the weights are steered, while the policy has hardly followed them yet"""
LEAST_CORRELATION = 0.02
"""of a row and its rule, or one step would be too far"""
_FILES_KEPT = 3


@dataclass(frozen=True, slots=True)
class Batch:
    """What the melodies of one update say of rows and rules."""

    slack: dict[str, np.ndarray]
    """of each steered rule's row; (B,)"""
    measure: dict[str, np.ndarray]
    """of each rule; (B,)"""
    counts: Counts


def steering_sha256(melodies: int) -> str:
    """By which a run remembers how it is steered; `melodies` of the base say what is asked."""
    how = (
        rules_sha256(), ROW_OF_RULE, BEYOND, GAIN, SHORTFALL_GAIN, KEPT, SHORTFALL_KEPT,
        FIRST_STEPS, LEAST_CORRELATION, melodies,
    )  # fmt: skip
    return hashlib.sha256(repr(how).encode()).hexdigest()


class Steered:
    """The rules, with weights that follow the table: a reward for PPO, in nats."""

    def __init__(self, asked: Sequence[Bound]) -> None:
        self.asked = list(asked)
        self.row = {
            rule: further(next(b for b in asked if b.metric.name == row and _near_side(b)))
            for rule, row in ROW_OF_RULE.items()
        }
        self.weight = {rule.name: rule.weight for rule in RULES}
        self.middle = {rule: self.weight[rule] for rule in ROW_OF_RULE}
        """weights without the shortfall's own term"""
        self.shortfall = dict.fromkeys(ROW_OF_RULE, 0.0)
        self.moments: dict[str, list[float]] = {}
        """means of row, rule, their squares and product, older batches forgotten"""
        self.sums: list[list[float]] = []
        """tops and bottoms of the table's ratios, likewise"""
        self.batch: Batch | None = None
        """the latest"""

    def score(self, melodies: Sequence[Melody]) -> tuple[np.ndarray, np.ndarray]:
        """The weighted sum (B,), without doubt; remembers what it saw."""
        table = note_table(melodies)
        counts = Counts.of(table)
        measure = {rule.name: rule.measure(table) for rule in RULES}
        slack = {rule: bound.slack(counts) for rule, bound in self.row.items()}
        self.batch = Batch(slack, measure, counts)
        score = np.sum([self.weight[name] * values for name, values in measure.items()], axis=0)
        return score, np.zeros(len(melodies))

    def steer(self, *, weights: bool = True) -> None:
        """Take the latest batch into account, and move the weights unless told not to."""
        assert self.batch is not None  # `score` comes first
        counts = self.batch.counts
        sums = [counts.tops.mean(1).tolist(), counts.bottoms.mean(1).tolist()]
        self.sums = [_remembered(*pair) for pair in zip(self.sums or sums, sums, strict=True)]
        for rule in ROW_OF_RULE:
            slack, measure = self.batch.slack[rule], self.batch.measure[rule]
            products = (slack, measure, slack**2, measure**2, slack * measure)
            now = [float(values.mean()) for values in products]
            self.moments[rule] = _remembered(self.moments.get(rule, now), now)
            if weights:
                self._move(rule, now[0])

    def _move(self, rule: str, slack: float) -> None:
        row, measure, row_square, measure_square, product = self.moments[rule]
        variances = max(0.0, row_square - row**2) * max(0.0, measure_square - measure**2)
        spread = variances**0.5 + 1e-12
        step = GAIN * slack / max(product - row * measure, LEAST_CORRELATION * spread)
        self.middle[rule] = max(0.0, self.middle[rule] - step)
        kept = SHORTFALL_KEPT * self.shortfall[rule]
        self.shortfall[rule] = kept - (1 - SHORTFALL_KEPT) * slack / spread
        self.weight[rule] = max(0.0, self.middle[rule] + SHORTFALL_GAIN * self.shortfall[rule])

    def short(self) -> list[str]:
        """Rows that the last batches together do not hold."""
        tops, bottoms = (np.array(values)[:, None] for values in self.sums)
        figures = Counts(tops=tops, bottoms=bottoms).figures()
        missed = {b.metric.name for b in self.asked if not b.sign * (figures[b.row] - b.at) >= 0}
        return sorted(missed)

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs, as JSON."""
        names = ("weight", "middle", "shortfall", "moments", "sums")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        for name, value in state.items():
            setattr(self, name, value)


class Steering(Callback):
    """Steers after each update of a run, and says how far it is every few."""

    def __init__(self, steered: Steered, folder: Path, update: int) -> None:
        """Go on in a folder of weights with those that `update` starts with, if it has begun."""
        self.steered, self.folder = steered, folder
        folder.mkdir(exist_ok=True)
        if update:
            self.back_to(update)

    def back_to(self, update: int) -> None:
        """Take the weights that an update of the last few starts with."""
        self.steered.restore(json.loads(self._file(update).read_text()))

    def logged(self, row: dict[str, Any], rollout: Rollout) -> None:
        """Steer; what the next update starts with is on disk before its step is."""
        self.steered.steer(weights=row["update"] >= FIRST_STEPS)
        write_whole(self._file(row["update"] + 1), json.dumps(self.steered.state()))
        self._file(row["update"] + 1 - _FILES_KEPT).unlink(missing_ok=True)
        if row["update"] % 5 == 0:
            weights = ", ".join(f"{r} {self.steered.weight[r]:.1f}" for r in ROW_OF_RULE)
            print(
                f"update {row['update']:3d}  KL {row['kl_nats']:.1f} nats  Vendi "
                f"{row['vendi']:.0f}  notes {row['notes']:.0f}  {row['seconds']:.1f} s  short: "
                f"{', '.join(self.steered.short()) or 'nothing'}\n            {weights}",
                flush=True,
            )

    def _file(self, update: int) -> Path:
        return self.folder / f"{update}.json"


def further(bound: Bound) -> Bound:
    """What the table asks for and a little more."""
    return replace(bound, at=bound.at + bound.sign * BEYOND.get(bound.metric.name, 0.0))


def _near_side(bound: Bound) -> bool:
    """Whether the base comes to it first: of an autocorrelation's two that from above."""
    return bound.metric.is_share or bound.sign < 0


def _remembered(before: list[float], now: list[float]) -> list[float]:
    return [KEPT * b + (1 - KEPT) * n for b, n in zip(before, now, strict=True)]
