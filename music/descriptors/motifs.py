"""Motifs as RL Tuner counts them: a window of eight sixteenths that slides over the melody.

A motif is a window in which notes of at least three different pitches begin. It is repeated if an
earlier window that does not overlap it has the same notes and rests beginning at the same places.
Every sixteenth except the first seven ends one window. `music.descriptors.form` has a simpler count
by bars.

Literature: Jaques et al., Tuning Recurrent Neural Networks with Reinforcement Learning (RL Tuner),
ICLR 2017 submission, and its public code, where a bar is eight events. Differs: triplets and
thirty-seconds stand where they are and not on the nearest sixteenth.
Letters: N melodies. Results are float64 (N,).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from music.melody import PITCH_MIN
from music.note_table import Melodies, NoteTable, note_table

STEP_TICKS = 6
"""a sixteenth"""
WINDOW_STEPS = 8
LEAST_PITCHES = 3
_NOTHING, _REST, _FIRST_PITCH = 0, 1, 2


@dataclass(frozen=True, slots=True)
class MotifSteps:
    """How many of each melody's sixteenths end a motif; (N,) each."""

    motif: np.ndarray
    repeated: np.ndarray
    steps: np.ndarray
    """all of them"""


def motif_steps(melodies: Melodies) -> MotifSteps:
    """Count the sixteenths that end a motif, and those that end a repeated one."""
    t = note_table(melodies)
    width, step = WINDOW_STEPS * STEP_TICKS, STEP_TICKS
    counts: list[tuple[int, int]] = []
    for row, ticks in zip(_beginnings(t), t.total_ticks.tolist(), strict=True):
        ended: set[bytes] = set()
        motifs = repeats = 0
        for end in range(width, ticks + 1, step):
            if end >= 2 * width:
                ended.add(row[end - 2 * width : end - width])
            window = row[end - width : end]
            # Most windows contain rests or empty ticks too, which are no pitches.
            if len(set(window).difference((_NOTHING, _REST))) >= LEAST_PITCHES:
                motifs += 1
                repeats += window in ended
        counts.append((motifs, repeats))
    motif, repeated = np.array(counts, np.float64).T
    return MotifSteps(motif, repeated, t.total_ticks / step)


def _beginnings(t: NoteTable) -> list[bytes]:
    """What begins at each tick of each melody: a pitch, a rest or nothing; a byte each."""
    begins = np.full((len(t), int(t.total_ticks.max()) + 1), _NOTHING, np.uint8)
    start = t.pickup_ticks[t.of]
    begins[t.of, t.end + start] = _REST  # where the next note follows at once, that one stands
    begins[t.of, t.onset + start] = t.pitch - PITCH_MIN + _FIRST_PITCH
    return [row.tobytes() for row in begins]
