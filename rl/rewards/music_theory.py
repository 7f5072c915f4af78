"""Music theory as a reward: RL Tuner's rules, for melodies of notes in bars.

Jaques, Gu, Bahdanau, Hernández-Lobato, Turner and Eck, Tuning Recurrent Neural Networks with
Reinforcement Learning (ICLR 2017 submission; Sequence Tutor, arXiv:1611.02796), who took the rules
from Gauldin's A Practical Approach to Eighteenth-Century Counterpoint. `RULES` has each rule with
its weight; the score is their weighted sum.

Differs from the paper and its public code:
  - A whole melody is scored once, not each note while it is written. Rules use shares instead of
    counts, so that a melody earns nothing by having more notes.
  - Their melodies are 32 sixteenths in C major; ours have bars, a metre and a mode, in
    semitones above the tonic. Our rules ask for the tonic as the first and the last note; theirs as
    the first note and held over the last four sixteenths.
  - Autocorrelation is computed on the notes' pitches. Its positive part is a cost, with a weight
    for each lag. Negative values earn nothing: the study's table reports a mean, which a few
    melodies of broken chords could otherwise improve. Theirs is computed on event numbers, in which
    a held note is 1 and a rest 0, and costs when it is beyond 0.15 of either sign.
  - Motifs earn nothing extra for more than three pitches. The rule takes the square root of the
    share of windows without a motif, so that the last few such windows weigh most.
  - Leaps are scored by the share that is resolved. Scoring their number would reward leaping. Two
    prior leaps, resolved at the base policy's rate, are added to each melody, so that a single leap
    changes the share only a little.
  - Preferred intervals follow the paper's text. Their code decides by the note that an interval
    *leaves* whether it belongs to the tonic triad (so C down to F, or to A flat, counts). It knows
    major intervals only (a minor second, third or sixth is worth nothing). Its evaluation compares
    with the result of an `or`, so that thirds are never counted.
  - The weights are ours, in nats, for a KL coefficient of 1. The study starts from them and adjusts
    them until its table is reached (benchmarks/rl_tuner_study).

Letters: N melodies, I intervals. Rules return float64 (N,); higher is better.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from music.descriptors import contour, form, key
from music.descriptors.motifs import WINDOW_STEPS, motif_steps
from music.melody import MODE_SCALES, MODES
from music.note_table import Melodies, NoteTable, note_table

REVISION = 3
"""increase it when the value of any rule changes, so that no resumed run mixes two rewards"""

INTERVAL_WORTH = {
    0: 0.0, 1: 0.08, 2: 0.08, 3: 0.09, 4: 0.09, 5: 0.07, 6: 0.0, 7: 0.02, 8: 0.05, 9: 0.05,
    10: -0.3, 11: -0.3, 12: 0.0,
}  # fmt: skip
"""worth of an interval by its size in semitones: as in the paper; minor like major intervals"""
BEYOND_OCTAVE_WORTH = -1.0
TONIC_THIRD_WORTH, TONIC_FIFTH_WORTH = 0.15, 0.1
"""worth of the third and the fifth from a tonic up to a note of its triad"""
PRIOR_LEAPS = 2.0
"""prior leaps added to each melody, resolved at the base policy's rate"""
_LARGEST = 36
_WORTH = np.array([INTERVAL_WORTH.get(k, BEYOND_OCTAVE_WORTH) for k in range(_LARGEST + 1)])
_THIRD = np.array([3 if 3 in MODE_SCALES[mode] else 4 for mode in MODES])


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the study."""

    name: str
    weight: float
    measure: Callable[[NoteTable], np.ndarray]
    says: str
    """what is measured, in words"""


def interval_worth(melodies: Melodies) -> np.ndarray:
    """Mean worth of a melody's intervals, 0 for a single note."""
    t = note_table(melodies)
    size: np.ndarray = abs(t.interval)
    inner = np.flatnonzero(t.of[1:] == t.of[:-1])
    lower = np.minimum(t.pitch[inner], t.pitch[inner + 1])
    from_tonic = lower % 12 == 0
    worth = np.where(from_tonic & (size == 7), TONIC_FIFTH_WORTH, _WORTH[size])
    third = _THIRD[t.mode][t.interval_of]
    worth = np.where(from_tonic & (size == third), TONIC_THIRD_WORTH, worth)
    return np.nan_to_num(t.interval_means(worth))


def shrunk_resolved_share(melodies: Melodies) -> np.ndarray:
    """Share of the leaps that are resolved, counting the prior ones."""
    return contour.shrunk_resolved_share(melodies, prior_leaps=PRIOR_LEAPS)


def root_without_motif(t: NoteTable) -> np.ndarray:
    """Square root of the share of windows without a motif."""
    found = motif_steps(t)
    windows = np.maximum(found.steps - WINDOW_STEPS + 1, 1)
    return np.sqrt(np.maximum(windows - found.motif, 0) / windows)


def repeated_motif_share(t: NoteTable) -> np.ndarray:
    """Share of the sixteenths at which a motif ends that also occurs earlier."""
    found = motif_steps(t)
    return found.repeated / found.steps


RULES = (
    Rule("key", 15.0, key.in_key_share, "share of notes in key"),
    Rule("first note", 2.1, form.starts_on_tonic, "1 if it is the tonic"),
    Rule("last note", 0.3, form.ends_on_tonic, "1 if it is the tonic"),
    Rule(
        "repetition",
        20.0,
        lambda t: -contour.excessive_repeat_share(t),
        "minus the share of notes after more than four of the same pitch",
    ),
    *(
        Rule(
            f"variety at lag {lag}",
            weight,
            lambda t, lag=lag: -np.maximum(contour.autocorrelation(t, lag), 0.0),
            "minus the autocorrelation, where it is above 0",
        )
        for lag, weight in ((1, 1.5), (2, 7.5), (3, 0.5))
    ),
    Rule(
        "motif",
        61.0,
        lambda t: -root_without_motif(t),
        "minus the square root of the share of windows without a motif",
    ),
    Rule("repeated motif", 0.5, repeated_motif_share, "share that end a motif heard before"),
    Rule("intervals", 8.0, interval_worth, "mean worth of the intervals"),
    Rule("leaps", 46.0, shrunk_resolved_share, "share resolved, with two prior leaps"),
    Rule("highest note", 6.6, contour.unique_maximum, "1 if it occurs once"),
    Rule("lowest note", 5.2, contour.unique_minimum, "1 if it occurs once"),
)


def music_theory_score(melodies: Melodies) -> np.ndarray:
    """The weighted sum of the rules in nats, see the module; float64 (N,)."""
    t = note_table(melodies)
    return np.sum([rule.weight * rule.measure(t) for rule in RULES], axis=0)


def rules_sha256() -> str:
    """Hash of the revision, rules, weights and interval worths, stored in a run's record."""
    worth = [*INTERVAL_WORTH.items(), BEYOND_OCTAVE_WORTH, TONIC_THIRD_WORTH, TONIC_FIFTH_WORTH]
    rules = [(rule.name, rule.weight) for rule in RULES]
    return hashlib.sha256(f"{REVISION} {rules} {worth}".encode()).hexdigest()
