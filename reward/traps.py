"""Traps: comparisons with a known answer, which tell who listens.

A trap is a melody against itself with wrong notes: the same rhythm, but a third of its notes moved
to pitches outside of its key. Someone who listens prefers the melody as it was (`melody_a` of a
trap, as in `reward.schema`), whatever their taste. Nothing is learnt from traps; a spoiled melody
is stored under the policy `SPOILED`, and is never paired otherwise.

The flag is a sequential test, as those of `reward.reliability` are: a rater who passes a trap with
`PASS_SHARE` against one who passes every other. By Ville's inequality at most one in `CHANCE_ODDS`
of those who listen is ever flagged, if they pass that often. A tie on a trap is not passed.

Limits: that wrong notes are worse is our assumption; somebody may like them. A simulated listener
minds them only as far as its taste does, so the flag says nothing about one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from music.melody import MODE_SCALES, PITCH_MAX, PITCH_MIN, Melody, Note
from reward.pairing import PairingError, PlannedPair
from reward.preferences import UNDECIDED_OUTCOMES
from reward.reliability import CHANCE_ODDS

if TYPE_CHECKING:
    import pandas as pd

OCTAVE = 12
SPOILED = "spoiled"
"""stands for the policy of melodies that were written to be worse"""
WRONG_SHARE, LEAST_WRONG = 1 / 3, 4
"""share of the notes that are moved, and how many at least; a melody of fewer has all moved"""
REACH_SEMITONES = 5
"""how far a note is moved at most: the line keeps its shape"""
PASS_SHARE = 0.95
"""of traps, how many someone who listens passes"""


@dataclass(frozen=True, slots=True)
class TrapScore:
    """How a rater did on traps."""

    passed: int
    count: int

    @property
    def flags(self) -> tuple[str, ...]:
        """'fails traps', or nothing."""
        failed = self.count - self.passed
        log_odds = self.count * np.log(0.5)
        log_odds -= self.passed * np.log(PASS_SHARE) + failed * np.log(1 - PASS_SHARE)
        return ("fails traps",) if log_odds > np.log(CHANCE_ODDS) else ()

    def __str__(self) -> str:
        """Such as "3 of 4"."""
        return f"{self.passed} of {self.count}" if self.count else "–"


def in_key_share(melody: Melody) -> float:
    """Share of a melody's notes that are in its key: whether wrong notes will be heard as wrong."""
    scale = MODE_SCALES[melody.header.mode]
    return sum(note.pitch % OCTAVE in scale for note in melody.notes) / len(melody.notes)


def spoil(melody: Melody, rng: np.random.Generator) -> Melody:
    """The melody with some of its notes moved out of its key; rhythm and header stay."""
    count = len(melody.notes)
    wrong = min(count, max(LEAST_WRONG, round(WRONG_SHARE * count)))
    moved = set(rng.choice(count, wrong, replace=False).tolist())
    scale = MODE_SCALES[melody.header.mode]
    return replace(
        melody,
        notes=tuple(
            replace(note, pitch=_wrong_pitch(note, scale, rng)) if place in moved else note
            for place, note in enumerate(melody.notes)
        ),
    )


def _wrong_pitch(note: Note, scale: Sequence[int], rng: np.random.Generator) -> int:
    """Another pitch near the note's, outside of the scale."""
    low, high = max(PITCH_MIN, note.pitch - REACH_SEMITONES), note.pitch + REACH_SEMITONES
    near = range(low, min(PITCH_MAX, high) + 1)
    return int(rng.choice([p for p in near if p != note.pitch and p % OCTAVE not in scale]))


def with_traps(
    plan: Sequence[PlannedPair], traps: Sequence[tuple[int, int]], *, rng: np.random.Generator
) -> list[PlannedPair]:
    """The plan with traps among its pairs, spread evenly but at no fixed distance.

    The first pair is never a trap, and repeats still name their originals.

    Args:
        plan: pairs and repeats.
        traps: melody and spoiled melody of each, at most as many as there are pairs.
        rng: draws their places.

    Raises:
        PairingError: for more traps than pairs.
    """
    if len(traps) > len(plan):
        raise PairingError(
            f"{len(traps)} traps among {len(plan)} pairs are more than one in two; ask for fewer"
        )
    edges = np.linspace(0, len(plan), len(traps) + 1).astype(int)
    after = [int(rng.integers(low, high)) for low, high in pairwise(edges)]
    trap_after = dict(zip(after, traps, strict=True))
    found: list[PlannedPair] = []
    place_of: list[int] = []
    for place, planned in enumerate(plan):
        place_of.append(len(found))
        if isinstance(planned.repeat_of, int):
            planned = replace(planned, repeat_of=place_of[planned.repeat_of])
        found.append(planned)
        if place in trap_after:
            found.append(PlannedPair(*trap_after[place], purpose="trap"))
    return found


def trap_scores(votes: pd.DataFrame) -> dict[str, TrapScore]:
    """Score of each rater (by id, as text) who decided on a trap, of the store's frame of votes."""
    said_nothing = votes["outcome_a"].isin(UNDECIDED_OUTCOMES)
    traps = votes.loc[(votes["purpose"] == "trap") & ~said_nothing]
    return {
        str(rater): TrapScore(passed=int((own["outcome_a"] == "a").sum()), count=len(own))
        for rater, own in traps.groupby("rater_id")
    }
