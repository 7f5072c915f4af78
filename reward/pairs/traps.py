"""Traps: comparisons with a known answer, which tell who listens.

A trap is a melody against itself with wrong notes: the same rhythm, but a third of its notes moved
to pitches outside of its key. Someone who listens prefers the melody as it was (`melody_a` of a
trap, as in `reward.store.schema`), whatever their taste. Nothing is learnt from traps; a corrupted
melody is stored under the policy `CORRUPTED`, and is never paired otherwise.

The flag is a sequential test, as those of `reward.comparisons.reliability` are: a rater who passes
a trap with `PASS_SHARE` against one who passes every other. By Ville's inequality at most one in
`CHANCE_ODDS` of those who listen is ever flagged, if they pass that often. A tie on a trap is not
passed.

Limits: that wrong notes are worse is our assumption; somebody may like them. A simulated listener
minds them only as far as its taste does, so the flag says nothing about one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from music.melody import MODE_SCALES, PITCH_MAX, PITCH_MIN, Melody, Note
from reward.pairs.random_pairs import PairingError
from reward.store.pool import PlannedPair

if TYPE_CHECKING:
    pass

OCTAVE = 12
CORRUPTED = "spoiled"
"""stands for the policy of melodies that were written to be worse"""
WRONG_SHARE, LEAST_WRONG = 1 / 3, 4
"""share of the notes that are moved, and how many at least; a melody of fewer has all moved"""
REACH_SEMITONES = 5
"""how far a note is moved at most: the line keeps its shape"""


def in_key_share(melody: Melody) -> float:
    """Share of a melody's notes that are in its key: whether wrong notes will be heard as wrong."""
    scale = MODE_SCALES[melody.header.mode]
    return sum(note.pitch % OCTAVE in scale for note in melody.notes) / len(melody.notes)


def corrupted(melody: Melody, rng: np.random.Generator) -> Melody:
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
        traps: melody and corrupted melody of each, at most as many as there are pairs.
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
