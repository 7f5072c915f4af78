"""Yardsticks: named measures of a melody, for comparisons with real tunes.

`music.descriptors.key`, `contour`, `rhythm` and `form` define the measures. Each takes `Melodies`
(one melody, several, or a `NoteTable`) and returns float64 (N,), with NaN where it is undefined.
`YARDSTICKS` has them all by name, with their units. Means leave out NaN.

Units: "share" and "yes" are 0 to 1 ("yes" is 0 or 1 a melody), "r" is a correlation -1 to 1.
None depends on the tonic on which a melody is played.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from music.descriptors import contour, form, key, rhythm
from music.note_table import Melodies, note_table

Measure = Callable[[Melodies], np.ndarray]


@dataclass(frozen=True, slots=True)
class Yardstick:
    """A named measure of a melody."""

    name: str
    measure: Measure
    unit: str
    label: str
    """a table's row, in plain words"""


def _named(*rows: tuple[str, Measure, str, str]) -> dict[str, Yardstick]:
    return {row[0]: Yardstick(*row) for row in rows}


YARDSTICKS: dict[str, Yardstick] = _named(
    ("in_key_share", key.in_key_share, "share", "notes in key"),
    ("in_found_key_share", key.in_found_key_share, "share", "notes in the key found"),
    ("found_key_is_home", key.found_key_is_home, "yes", "key found has the tonic"),
    ("key_clarity", key.key_clarity, "r", "clarity of the key"),
    ("home_correlation", key.home_correlation, "r", "clarity of the tonic as home"),
    ("tonic_share", key.tonic_share, "share", "time on the tonic"),
    ("triad_share", key.triad_share, "share", "time on the tonic triad"),
    ("mean_pitch", contour.mean_pitch, "semitones", "mean pitch above the tonic"),
    ("range_semitones", contour.range_semitones, "semitones", "range"),
    ("distinct_pitches", contour.distinct_pitches, "pitches", "different pitches"),
    ("mean_interval", contour.mean_interval, "semitones", "mean interval"),
    ("mean_absolute_interval", contour.mean_absolute_interval, "semitones", "mean interval size"),
    ("largest_interval", contour.largest_interval, "semitones", "largest interval"),
    ("repeated_note_share", contour.repeated_note_share, "share", "intervals that stay"),
    ("step_share", contour.step_share, "share", "intervals that are steps"),
    ("third_share", contour.third_share, "share", "intervals that are thirds"),
    ("leap_share", contour.leap_share, "share", "leaps over a fifth"),
    ("rising_share", contour.rising_share, "share", "moves that go up"),
    ("turn_share", contour.turn_share, "share", "changes of direction"),
    ("longest_scale_run", contour.longest_scale_run, "notes", "longest scale run"),
    (
        "excessive_repeat_share",
        contour.excessive_repeat_share,
        "share",
        "excessively repeated notes",
    ),
    ("leaps_resolved", contour.leaps_resolved, "share", "leaps resolved"),
    ("interval_entropy", contour.interval_entropy, "bits", "variety of intervals"),
    ("pitch_class_entropy", contour.pitch_class_entropy, "bits", "variety of pitch classes"),
    ("autocorrelation_1", partial(contour.autocorrelation, lag=1), "r", "autocorrelation, lag 1"),
    ("autocorrelation_2", partial(contour.autocorrelation, lag=2), "r", "autocorrelation, lag 2"),
    ("autocorrelation_3", partial(contour.autocorrelation, lag=3), "r", "autocorrelation, lag 3"),
    ("slope", contour.slope, "r", "slope"),
    ("arch", contour.arch, "r", "arch"),
    ("unique_maximum", contour.unique_maximum, "yes", "highest note stands once"),
    ("unique_minimum", contour.unique_minimum, "yes", "lowest note stands once"),
    ("climax_position", contour.climax_position, "share", "where the highest note comes"),
    ("notes_per_beat", rhythm.notes_per_beat, "notes", "notes a beat"),
    ("rest_share", rhythm.rest_share, "share", "time in rests"),
    ("offbeat_share", rhythm.offbeat_share, "share", "notes off the beat"),
    ("syncopation_share", rhythm.syncopation_share, "share", "syncopated notes"),
    ("offbeat_accent_share", rhythm.offbeat_accent_share, "share", "long notes off the beat"),
    ("long_note_share", rhythm.long_note_share, "share", "notes of a beat or more"),
    ("triplet_share", rhythm.triplet_share, "share", "triplet notes"),
    ("rhythm_entropy", rhythm.rhythm_entropy, "bits", "variety of durations"),
    ("npvi", rhythm.npvi, "0 to 200", "contrast of neighbouring durations (nPVI)"),
    ("density_spread", rhythm.density_spread, "ratio", "difference in busyness of bars"),
    ("repeated_bar_share", form.repeated_bar_share, "share", "repeated bars"),
    ("repeated_rhythm_share", form.repeated_rhythm_share, "share", "repeated bar rhythms"),
    ("repeated_contour_share", form.repeated_contour_share, "share", "repeated bar shapes"),
    ("motif_share", form.motif_share, "share", "notes in a motif"),
    ("repeated_motif_share", form.repeated_motif_share, "share", "notes in a repeated motif"),
    ("halves_alike", form.halves_alike, "share", "likeness of the halves"),
    ("halves_rhythm_alike", form.halves_rhythm_alike, "share", "likeness of the halves' rhythms"),
    ("opening_returns", form.opening_returns, "share", "return of the opening"),
    ("endings_rhyme", form.endings_rhyme, "share", "likeness of the halves' endings"),
    ("starts_on_tonic", form.starts_on_tonic, "yes", "starts on the tonic"),
    ("ends_on_tonic", form.ends_on_tonic, "yes", "ends on the tonic"),
    ("final_note_beats", form.final_note_beats, "beats", "length of the last note"),
    ("ends_by_step", form.ends_by_step, "yes", "last interval is a step"),
    ("final_height", form.final_height, "semitones", "last pitch above the mean"),
    ("open_middle", form.open_middle, "yes", "half close on the dominant"),
    ("downbeat_triad_share", form.downbeat_triad_share, "share", "downbeats on the tonic triad"),
)


def yardstick_values(melodies: Melodies) -> dict[str, np.ndarray]:
    """Every yardstick of every melody by name; float64 (N,) each, NaN where undefined.

    Raises:
        ValueError: for no melodies.
    """
    table = note_table(melodies)
    return {name: yardstick.measure(table) for name, yardstick in YARDSTICKS.items()}


def yardstick_means(melodies: Melodies) -> dict[str, float]:
    """Mean of every yardstick over the melodies that have it; NaN where none has.

    The exception is `leaps_resolved`: its share is of the leaps of all melodies, as in RL Tuner.

    Raises:
        ValueError: for no melodies.
    """
    return {name: mean for name, (mean, _) in _means_and_errors(melodies).items()}


def yardstick_standard_errors(melodies: Melodies) -> dict[str, float]:
    """Standard error of each of `yardstick_means`; NaN below two values.

    Melodies are treated as independent. Strains of one tune are similar, so for real tunes this is
    somewhat too small.

    Raises:
        ValueError: for no melodies.
    """
    return {name: error for name, (_, error) in _means_and_errors(melodies).items()}


def _means_and_errors(melodies: Melodies) -> dict[str, tuple[float, float]]:
    table = note_table(melodies)
    values = yardstick_values(table)
    found = {name: _ratio(column[~np.isnan(column)]) for name, column in values.items()}
    resolved, doubled = contour.leap_outcomes(table)
    return found | {"leaps_resolved": _ratio(resolved, resolved + doubled)}


def _ratio(top: np.ndarray, bottom: np.ndarray | None = None) -> tuple[float, float]:
    """Sum over sum (of ones: the mean) and its standard error, linearised (Cochran 1977, ch. 6)."""
    bottom = np.ones(len(top)) if bottom is None else bottom
    total = bottom.sum()
    if total == 0:
        return np.nan, np.nan
    ratio = top.sum() / total
    if len(top) < 2:
        return float(ratio), np.nan
    spread = np.sqrt(np.sum((top - ratio * bottom) ** 2) * len(top) / (len(top) - 1))
    return float(ratio), float(spread / total)
