"""Weights of music theory's rules, steered until RL Tuner's table holds.

    python benchmarks/rl_tuner_weights.py

PPO as the study runs it, towards the weighted sum of the rules, in nats. After each update the
weight of a rule that has a row in the table goes up while the row is short of what it is to reach,
and down while it is beyond: dual ascent (Tessler et al. 2018, Reward Constrained Policy
Optimization, arXiv:1805.11074) with a term for the shortfall itself (Stooke et al. 2020,
arXiv:2007.03964), or the weights would swing, because a policy takes some thirty updates to follow
them. Were the policy the base tilted by its reward, a row's mean would grow with a weight by the
covariance of row and rule: by that each step is divided.

It starts from the weights in `reward.music_theory` and prints where they go, with the table's rows
over the last batches. The last line is one JSON object: the mean weights of the last quarter. 120
updates take a quarter of an hour with one thread.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from rl_tuner import BASE, config_of, write_side
from rl_tuner_bound import Bound, Counts, bounds_of

from music.diversity import vendi_score
from music.melody import Melody
from music.note_table import note_table
from music.tokens import decode
from policy.checkpoint import load_policy
from reward.music_theory import RULES
from rl.ppo import PPO

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
"""by how much a row is to be beyond what the table asks, for another seed may reach less"""
GAIN, SHORTFALL_GAIN = 0.06, 1.0
BATCHES = 8
"""of which figures and covariances are taken"""
FIRST_STEPS = 8
"""updates before the weights are steered, while the policy has hardly followed them yet"""
LEAST_CORRELATION = 0.02
"""of a row and its rule, or one step would be too far"""
BASE_MELODIES = 10_000


@dataclass(frozen=True, slots=True)
class Seen:
    """What one batch says of rows and rules."""

    counts: Counts
    rules: dict[str, np.ndarray]
    """each rule's measure; (melodies,)"""


class Steered:
    """The rules with weights that follow the table: a reward for PPO."""

    def __init__(self, bounds: Sequence[Bound]) -> None:
        self.row = {
            rule: next(b for b in bounds if b.metric.name == row and _asks_for_progress(b))
            for rule, row in ROW_OF_RULE.items()
        }
        self.weight = {rule.name: rule.weight for rule in RULES}
        self.middle = dict(self.weight)
        """weights without the shortfall's own term"""
        self.shortfall = dict.fromkeys(ROW_OF_RULE, 0.0)
        self.seen: deque[Seen] = deque(maxlen=BATCHES)

    def score(self, melodies: Sequence[Melody]) -> tuple[np.ndarray, np.ndarray]:
        """The weighted sum in nats, without doubt; remembers what it saw."""
        table = note_table(melodies)
        measured = {rule.name: rule.measure(table) for rule in RULES}
        self.seen.append(Seen(Counts.of(melodies), measured))
        score = np.sum([self.weight[name] * values for name, values in measured.items()], axis=0)
        return score, np.zeros(len(melodies))

    def steer(self) -> None:
        """Move each weight by its row in the last batch."""
        for rule, bound in self.row.items():
            slack = np.concatenate([bound.slack(batch.counts) for batch in self.seen])
            measure = np.concatenate([batch.rules[rule] for batch in self.seen])
            spread = slack.std() * measure.std() + 1e-12
            covariance = float(np.cov(slack, measure, bias=True)[0, 1])
            now = float(bound.slack(self.seen[-1].counts).mean())
            step = GAIN * now / max(covariance, LEAST_CORRELATION * spread)
            self.middle[rule] = max(0.0, self.middle[rule] - step)
            self.shortfall[rule] = 0.7 * self.shortfall[rule] - 0.3 * now / spread
            self.weight[rule] = max(0.0, self.middle[rule] + SHORTFALL_GAIN * self.shortfall[rule])

    def counts(self) -> Counts:
        """Of the last batches together."""
        return Counts(
            tops=np.concatenate([batch.counts.tops for batch in self.seen], axis=1),
            bottoms=np.concatenate([batch.counts.bottoms for batch in self.seen], axis=1),
        )


def _asks_for_progress(bound: Bound) -> bool:
    """Whether the base has to move to keep it: not so for the far side of an autocorrelation."""
    return bound.metric.is_share or bound.sign < 0


def further(bound: Bound) -> Bound:
    """What the table asks for and a little more."""
    return replace(bound, at=bound.at + bound.sign * BEYOND.get(bound.metric.name, 0.0))


def missed(bounds: Sequence[Bound], counts: Counts) -> list[str]:
    """Names of the rows that some melodies do not hold."""
    figures = counts.figures()
    return sorted(
        {b.metric.name for b in bounds if not b.sign * (figures[b.row] - b.at) >= 0}  # or NaN
    )


def main() -> None:
    """Steer, print where weights and rows go; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=120)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--base-melodies", type=int, default=BASE_MELODIES)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    base = load_policy(BASE)
    config = config_of(given.updates, given.threads, given.seed, nats_a_deviation=1.0)
    seed = given.seed + 4_000_037  # melodies that no stage else draws
    rows = write_side(base, base, config.asked, given.base_melodies, seed)
    before = [decode(row) for row in rows]
    steps = int(note_table(before[:1]).total_ticks[0]) // 6
    asked = bounds_of(Counts.of(before), steps)
    steered = Steered([further(bound) for bound in asked])
    ppo = PPO(config, base, steered.score)
    kept: list[dict[str, float]] = []
    for update in range(given.updates):
        rollout = ppo.roll_out()
        ppo.learn(rollout)
        if update >= FIRST_STEPS:
            steered.steer()
        kept.append({rule: steered.middle[rule] for rule in ROW_OF_RULE})
        if update % 5 == 4:
            weights = ", ".join(f"{rule} {steered.weight[rule]:.1f}" for rule in ROW_OF_RULE)
            print(
                f"update {update + 1:3d}  KL {float(rollout.kl_nats.mean()):4.1f} nats  "
                f"Vendi {vendi_score(rollout.melodies):2.0f}  {weights}\n"
                f"            short: {', '.join(missed(asked, steered.counts())) or 'nothing'}",
                flush=True,
            )
    last = kept[-(-len(kept) * 3 // 4) :]
    found = {rule: float(np.mean([weights[rule] for weights in last])) for rule in ROW_OF_RULE}
    print(json.dumps({"weights": found, "short": missed(asked, steered.counts())}))


if __name__ == "__main__":
    main()
