"""Tastes: what simulated listeners truly like, by name.

A taste is a bounded utility of a melody, in natural units of the yardsticks: sums of terms that
saturate (`more`, `less`) or have a best value (`near`), and a common dislike of melodies that no
one wants (out of key, stuck on a note, mostly silence, frantic). So who optimises hard finds a
tune that is as good as it gets in this taste, not a degenerate one. They are no model's features:
terms bend, and `contrast` has products of terms that no linear model reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from music.descriptors.yardsticks import YARDSTICKS
from music.melody import Melody
from music.note_table import NoteTable, note_table


@dataclass(frozen=True, slots=True)
class Term:
    """A bounded liking, -1 to 1, of one yardstick; 0 where the yardstick is undefined."""

    yardstick: str
    kind: str
    """'more', 'less' or 'near'"""
    centre: float
    width: float

    def __call__(self, table: NoteTable) -> np.ndarray:
        """Liking of each melody; (N,)."""
        away = (YARDSTICKS[self.yardstick].measure(table) - self.centre) / self.width
        if self.kind == "near":
            liking = 2 * np.exp(-0.5 * away**2) - 1
        else:
            liking = np.tanh(away if self.kind == "more" else -away)
        return np.nan_to_num(liking, nan=0.0)


@dataclass(frozen=True, slots=True)
class Taste:
    """Weighted terms and products of two terms."""

    name: str
    sentence: str
    """what this listener would say of themselves"""
    terms: tuple[tuple[float, Term], ...]
    products: tuple[tuple[float, Term, Term], ...] = ()

    def __call__(self, melodies: Sequence[Melody]) -> np.ndarray:
        """Utility of each melody, before standardising; (N,)."""
        table = note_table(melodies)
        utility = np.zeros(len(table))
        for weight, term in (*self.terms, *_DECENCY):
            utility += weight * term(table)
        for weight, one, other in self.products:
            utility += weight * one(table) * other(table)
        return utility


# What nobody wants. Ordinary tunes are content by far, so these matter at the edges only.
_DECENCY = (
    (0.5, Term("in_key_share", "more", 0.90, 0.05)),
    (0.5, Term("excessive_repeat_share", "less", 0.08, 0.04)),
    (0.5, Term("rest_share", "less", 0.25, 0.08)),
    (0.5, Term("notes_per_beat", "less", 4.5, 0.5)),
    (0.5, Term("distinct_pitches", "more", 3.5, 1.0)),
)
_RANGE = Term("range_semitones", "more", 15.0, 4.0)
_ENDS_HOME = Term("ends_on_tonic", "more", 0.5, 0.5)
_BUSY = Term("notes_per_beat", "more", 1.9, 0.5)
_RETURNS = Term("repeated_contour_share", "more", 0.25, 0.15)
_STEPS = Term("step_share", "more", 0.5, 0.12)
TASTES: dict[str, Taste] = {
    taste.name: taste
    for taste in (
        Taste(
            "arches",
            "I like a tune that climbs to one high point in the middle and comes down again",
            (
                (1.0, Term("arch", "more", 0.05, 0.25)),
                (0.6, Term("climax_position", "near", 0.5, 0.15)),
                (0.5, Term("unique_maximum", "more", 0.5, 0.5)),
                (0.5, Term("final_height", "less", -3.0, 3.0)),
                (0.4, Term("largest_interval", "less", 9.0, 3.0)),
            ),
        ),
        Taste(
            "calm",
            "I like few notes, small steps and long endings",
            (
                (1.0, Term("notes_per_beat", "near", 1.2, 0.4)),
                (0.8, _STEPS),
                (0.5, Term("largest_interval", "less", 9.0, 3.0)),
                (0.5, Term("final_note_beats", "more", 1.2, 0.5)),
                (0.5, Term("turn_share", "less", 0.5, 0.12)),
            ),
        ),
        Taste(
            "dance",
            "I like many notes, lively rhythms and a wide range",
            (
                (1.0, Term("notes_per_beat", "near", 2.6, 0.6)),
                (0.7, Term("npvi", "more", 35.0, 20.0)),
                (0.6, _RANGE),
                (0.5, Term("offbeat_share", "more", 0.5, 0.12)),
                (0.5, Term("rhythm_entropy", "near", 1.8, 0.5)),
            ),
        ),
        Taste(
            "form",
            "I like to hear an idea again, changed a little, and a close at home",
            (
                (1.0, Term("repeated_bar_share", "near", 0.3, 0.15)),
                (0.8, Term("opening_returns", "more", 0.5, 0.25)),
                (0.8, _ENDS_HOME),
                (0.5, Term("endings_rhyme", "near", 0.5, 0.25)),
                (0.4, Term("repeated_rhythm_share", "more", 0.4, 0.2)),
            ),
        ),
        Taste(
            "contrast",
            "I like busy tunes that repeat and plain ones that wander, and a wide range in steps",
            (
                (0.6, _ENDS_HOME),
                (0.6, Term("arch", "more", 0.05, 0.25)),
            ),
            (
                (1.4, _BUSY, _RETURNS),
                (1.2, _RANGE, _STEPS),
            ),
        ),
    )
}
