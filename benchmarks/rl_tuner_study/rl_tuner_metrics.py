"""The figures of RL Tuner's study: its metrics on our melodies, beside what was published.

A metric is a ratio of two sums over all melodies (resolved leaps over all that were resolved or
doubled, say), so that it can be pooled and resampled by melody. Published figures are of 100,000
compositions of a note LSTM before, and of the best of three fine-tuned models after (Jaques et al.,
ICLR 2017 submission; the metrics are those of its public code).

Differs from the study:
  - "A note" is a note here. There it is one of 32 sixteenths, held ones and rests among them; only
    motifs keep that count, see `music.descriptors.motifs`.
  - Not in key: of the header's mode, where theirs is C major.
  - Excessively repeated: more than four of the same pitch before, see `music.descriptors.contour`.
    Their test also counts each sixteenth beyond the fifth of one held note.
  - Autocorrelation: of the notes' pitches. Theirs is of event numbers, where a held note is 1, a
    rest 0 and a pitch 2 to 37, so that its sign tells notes from holds and not high from low.
`AS_CODED` has the last two by the letter of their code.

Letters: N melodies. Measures give two float64 (N,): top and bottom of the ratio.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from music.descriptors import contour, form, key
from music.descriptors.motifs import STEP_TICKS, WINDOW_STEPS, motif_steps
from music.melody import PITCH_MIN
from music.note_table import NoteTable, divide

Ratio = tuple[np.ndarray, np.ndarray]
THEIR_STEPS = 32
"""sixteenths of one of their compositions"""
_HOLD, _REST, _FIRST_PITCH = 1, 0, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One row of the study's table."""

    name: str
    label: str
    measure: Callable[[NoteTable], Ratio]
    better: Literal["more", "less", "nearer 0"]
    published: tuple[float, float]
    """before and after, as a share or a correlation"""
    ceiling: Callable[[int], float] | None = None
    """the most that a melody of so many sixteenths can have, where that is below 1"""

    @property
    def is_share(self) -> bool:
        """Whether it is a share (of notes, leaps or melodies) and not a correlation."""
        return self.better != "nearer 0"

    @property
    def was_improved(self) -> bool:
        """Whether its authors improved it."""
        before, after = self.published
        if self.better == "more":
            return after > before
        return abs(after) < abs(before)


def _by_note(share: Callable[[NoteTable], np.ndarray]) -> Callable[[NoteTable], Ratio]:
    return lambda t: (share(t) * t.count, t.count.astype(np.float64))


def _by_melody(value: Callable[[NoteTable], np.ndarray]) -> Callable[[NoteTable], Ratio]:
    return lambda t: (value(t), np.ones(len(t)))


def _leaps(t: NoteTable) -> Ratio:
    resolved, doubled = contour.leap_outcomes(t)
    return resolved, resolved + doubled


def _motif(t: NoteTable) -> Ratio:
    found = motif_steps(t)
    return found.motif, found.steps


def _repeated_motif(t: NoteTable) -> Ratio:
    found = motif_steps(t)
    return found.repeated, found.steps


def _windows(steps: int) -> float:
    """Share of sixteenths that end a window."""
    return (steps - WINDOW_STEPS + 1) / steps


def _second_windows(steps: int) -> float:
    """Share of sixteenths that end a window with another one wholly before it."""
    return (steps - 2 * WINDOW_STEPS + 1) / steps


METRICS = (
    Metric(
        name="excessively_repeated",
        label="notes excessively repeated",
        measure=_by_note(contour.excessive_repeat_share),
        better="less",
        published=(0.633, 0.0),
    ),
    Metric(
        name="not_in_key",
        label="notes not in key",
        measure=_by_note(lambda t: 1 - key.in_key_share(t)),
        better="less",
        published=(0.001, 0.006),
    ),
    Metric(
        name="starts_on_tonic",
        label="melodies that start on the tonic",
        measure=_by_melody(form.starts_on_tonic),
        better="more",
        published=(0.009, 0.288),
    ),
    Metric(
        name="leaps_resolved",
        label="leaps resolved",
        measure=_leaps,
        better="more",
        published=(0.772, 0.911),
    ),
    Metric(
        name="unique_maximum",
        label="highest note stands once",
        measure=_by_melody(contour.unique_maximum),
        better="more",
        published=(0.647, 0.594),
    ),
    Metric(
        name="unique_minimum",
        label="lowest note stands once",
        measure=_by_melody(contour.unique_minimum),
        better="more",
        published=(0.494, 0.583),
    ),
    Metric(
        name="in_motif",
        label="sixteenths in a motif",
        measure=_motif,
        better="more",
        published=(0.059, 0.757),
        ceiling=_windows,
    ),
    Metric(
        name="in_repeated_motif",
        label="sixteenths in a repeated motif",
        measure=_repeated_motif,
        better="more",
        published=(0.00007, 0.0011),
        ceiling=_second_windows,
    ),
    *(
        Metric(
            name=f"autocorrelation_{lag}",
            label=f"autocorrelation, lag {lag}",
            measure=_by_melody(partial(contour.autocorrelation, lag=lag)),
            better="nearer 0",
            published=published,
        )
        for lag, published in ((1, (-0.16, -0.11)), (2, (0.14, 0.03)), (3, (-0.13, 0.03)))
    ),
)


def events(t: NoteTable) -> list[list[int]]:
    """Each melody as their events, one a sixteenth: a pitch (from 2), 1 to hold it, 0 for a rest.

    Of two notes that begin in one sixteenth the second stands.
    """
    steps = t.total_ticks // STEP_TICKS
    rows = np.full((len(t), int(steps.max()) + 1), _HOLD)
    start = t.pickup_ticks[t.of]
    rows[t.of, (t.end + start) // STEP_TICKS] = _REST
    rows[t.of, (t.onset + start) // STEP_TICKS] = t.pitch - PITCH_MIN + _FIRST_PITCH
    return [row[:length].tolist() for row, length in zip(rows, steps.tolist(), strict=True)]


def event_autocorrelation(t: NoteTable, lag: int) -> np.ndarray:
    """Autocorrelation of the event numbers at a lag in sixteenths, 0 for a constant; (N,)."""
    centred = [np.array(row) - np.mean(row) for row in events(t)]
    covariance = np.array([(row[lag:] * row[:-lag]).sum() for row in centred])
    return np.nan_to_num(divide(covariance, np.array([(row**2).sum() for row in centred])))


def repeated_events(t: NoteTable) -> Ratio:
    """Events that their code calls excessively repeated, and all of them.

    It looks back from an event past holds and rests to the last other note and counts events equal
    to this one: more than four are too many, more than six where holds or rests were passed. A
    hold is an event too, so a long note repeats itself. A third rest in one gap is too many.
    """
    rows = events(t)
    return (
        np.array([_repeats(row) for row in rows], np.float64),
        np.array([len(row) for row in rows], np.float64),
    )


def _repeats(row: list[int]) -> int:
    too_many = 0
    for place, event in enumerate(row):
        equal = 0
        passed = False
        for earlier in reversed(row[:place]):
            if earlier == event:
                equal += 1
            elif earlier in (_HOLD, _REST):
                passed = True
            else:
                break
        too_many += equal > (1 if event == _REST else 6 if passed else 4)
    return too_many


AS_CODED = (
    Metric(
        name="events_repeated",
        label="events excessively repeated",
        measure=repeated_events,
        better="less",
        published=(0.633, 0.0),
    ),
    *(
        Metric(
            name=f"event_autocorrelation_{lag}",
            label=f"autocorrelation of events, lag {lag}",
            measure=_by_melody(partial(event_autocorrelation, lag=lag)),
            better="nearer 0",
            published=published,
        )
        for lag, published in ((1, (-0.16, -0.11)), (2, (0.14, 0.03)), (3, (-0.13, 0.03)))
    ),
)
