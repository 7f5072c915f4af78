"""Features: what a taste profile knows of a melody, numbers that have names.

They are yardsticks (`music.descriptors.yardsticks`), measures of the mode, and of phrases and their
rhythm (`music.descriptors.mode`, `phrases`, `phrase_rhythm`), made tame for a linear model on
standardised features: rare events by their square root, lengths by their logarithm, and everything
undefined (the intervals of a single note) filled with a constant, so that the matrix is always
finite. A second column of some measures is their distance from what is usual, in the melodies of
the base policy: a linear model of both can like the middle, or a little of something.

None depends on the tonic or the tempo at which a melody is played: both are equal within a pair.
Letters: N melodies, F features.
Limit: the features are far from independent (effective dimension about 15 to 20 in real tunes).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from music.descriptors import mode, phrase_rhythm, phrases
from music.descriptors.contour import shrunk_resolved_share
from music.descriptors.rhythm import beats_per_quarter, dotted_share, short_note_share
from music.descriptors.yardsticks import YARDSTICKS
from music.melody import Melody
from music.note_table import NoteTable, note_table

REVISION = 4
"""raise it when any feature of any melody changes, so that stored ones are computed again"""

OCTAVE = 12


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of the matrix that is computed from melodies."""

    name: str
    label: str
    """plain words that complete "you like …"; the feature is large where there is more of it"""
    compute: Callable[[NoteTable], np.ndarray]


def _plain(name: str) -> Callable[[NoteTable], np.ndarray]:
    return YARDSTICKS[name].measure


def _root(name: str) -> Callable[[NoteTable], np.ndarray]:
    """The square root, for shares that are mostly near 0."""
    measure = YARDSTICKS[name].measure
    return lambda table: np.sqrt(measure(table))


def _log(name: str) -> Callable[[NoteTable], np.ndarray]:
    """log2(1 + x), for lengths and sizes."""
    measure = YARDSTICKS[name].measure
    return lambda table: np.log2(1 + measure(table))


def _out_of_key(table: NoteTable) -> np.ndarray:
    return np.sqrt(1 - YARDSTICKS["in_key_share"].measure(table))


def _leaps_resolved(table: NoteTable) -> np.ndarray:
    return shrunk_resolved_share(table, prior_leaps=1.0)


def _over(name: str, limit: float) -> Callable[[NoteTable], np.ndarray]:
    """1 above a limit, else 0: of what nearly all melodies have none, how much says little more."""
    measure = YARDSTICKS[name].measure
    return lambda table: (measure(table) > limit).astype(np.float64)


def _alike(bars_apart: int, *, with_pitch: bool) -> Callable[[NoteTable], np.ndarray]:
    return lambda table: phrases.bars_alike(table, bars_apart=bars_apart, with_pitch=with_pitch)


def _first_rhythm_returns(table: NoteTable) -> np.ndarray:
    return phrases.first_bar_returns(table, with_pitch=False)


def _height(quarter: int) -> Callable[[NoteTable], np.ndarray]:
    return lambda table: phrases.quarter_height(table, quarter)


def _slope(quarter: int) -> Callable[[NoteTable], np.ndarray]:
    return lambda table: phrases.quarter_slope(table, quarter)


MEASURES: tuple[Measure, ...] = (
    Measure("out_of_key", "notes outside the key", _out_of_key),
    Measure("in_found_key_share", "notes of one key, whichever", _plain("in_found_key_share")),
    Measure("found_key_is_home", "sounding in its own key", _plain("found_key_is_home")),
    Measure("key_clarity", "a clear key", _plain("key_clarity")),
    Measure("home_correlation", "a clear home note", _plain("home_correlation")),
    Measure("triad_share", "staying on the home chord", _plain("triad_share")),
    Measure("pitch_class_entropy", "many different scale notes", _plain("pitch_class_entropy")),
    Measure("mean_pitch", "a high register", _plain("mean_pitch")),
    Measure("range_semitones", "a wide range", _plain("range_semitones")),
    Measure("mean_absolute_interval", "moving in wide intervals", _log("mean_absolute_interval")),
    Measure("mean_interval", "ending above the beginning", _plain("mean_interval")),
    Measure("largest_interval", "one very wide interval", _log("largest_interval")),
    Measure("repeated_note_share", "repeated notes", _root("repeated_note_share")),
    Measure("step_share", "moving by step", _plain("step_share")),
    Measure("third_share", "moving by thirds", _plain("third_share")),
    Measure("leap_share", "big leaps", _root("leap_share")),
    Measure("leaps_resolved", "leaps that are answered", _leaps_resolved),
    Measure("rising_share", "more moves up than down", _plain("rising_share")),
    Measure("turn_share", "zigzag motion", _plain("turn_share")),
    Measure("longest_scale_run", "long scale runs", _log("longest_scale_run")),
    Measure("interval_entropy", "a variety of intervals", _plain("interval_entropy")),
    Measure("autocorrelation_1", "smooth lines", _plain("autocorrelation_1")),
    Measure("autocorrelation_2", "returning to the note before last", _plain("autocorrelation_2")),
    Measure("autocorrelation_3", "slow waves of pitch", _plain("autocorrelation_3")),
    Measure("slope", "rising from start to end", _plain("slope")),
    Measure("arch", "arch shape", _plain("arch")),
    Measure("unique_maximum", "a single highest note", _plain("unique_maximum")),
    Measure("unique_minimum", "a single lowest note", _plain("unique_minimum")),
    Measure("climax_position", "a late highest note", _plain("climax_position")),
    Measure("notes_per_beat", "many notes a beat", _log("notes_per_beat")),
    Measure("rest_share", "rests", _root("rest_share")),
    Measure("offbeat_share", "notes off the beat", _root("offbeat_share")),
    Measure("syncopated", "syncopation", _over("syncopation_share", 0)),
    Measure("offbeat_accent_share", "long notes off the beat", _root("offbeat_accent_share")),
    Measure("long_note_share", "long notes", _root("long_note_share")),
    Measure("triplet_share", "triplets", _root("triplet_share")),
    Measure("rhythm_entropy", "a variety of note lengths", _plain("rhythm_entropy")),
    Measure("npvi", "dotted rhythms", _root("npvi")),
    Measure("density_spread", "busy bars beside calm ones", _root("density_spread")),
    Measure("repeated_bar_share", "repeated bars", _plain("repeated_bar_share")),
    Measure("repeated_rhythm_share", "repeated rhythms", _plain("repeated_rhythm_share")),
    Measure("repeated_contour_share", "figures that come again", _plain("repeated_contour_share")),
    Measure("motif_share", "bars of three and more pitches", _plain("motif_share")),
    Measure("repeated_motif_share", "such bars again", _root("repeated_motif_share")),
    Measure("halves_alike", "the second half like the first", _plain("halves_alike")),
    Measure("halves_rhythm_alike", "one rhythm in both halves", _plain("halves_rhythm_alike")),
    Measure("opening_returns", "return of the opening", _plain("opening_returns")),
    Measure("endings_rhyme", "phrases that end alike", _plain("endings_rhyme")),
    Measure("starts_on_tonic", "starting on the home note", _plain("starts_on_tonic")),
    Measure("ends_on_tonic", "ending on the home note", _plain("ends_on_tonic")),
    Measure("final_note_beats", "a long last note", _log("final_note_beats")),
    Measure("ends_by_step", "reaching the last note by step", _plain("ends_by_step")),
    Measure("final_height", "ending high", _plain("final_height")),
    Measure("open_middle", "an open ending in the middle", _plain("open_middle")),
    Measure("downbeat_triad_share", "home chord on the downbeats", _plain("downbeat_triad_share")),
    Measure("tonic_share", "dwelling on the home note", _plain("tonic_share")),
    Measure("distinct_pitches", "many different pitches", _log("distinct_pitches")),
    Measure("octave_leap", "a leap over an octave", _over("largest_interval", OCTAVE)),
    Measure("short_note_share", "very short notes", lambda t: np.sqrt(short_note_share(t))),
    Measure("dotted_share", "dotted notes", lambda t: np.sqrt(dotted_share(t))),
    Measure("next_bar_alike", "each bar like the last", _alike(1, with_pitch=True)),
    Measure("next_rhythm_alike", "one rhythm from bar to bar", _alike(1, with_pitch=False)),
    Measure("second_bar_alike", "every other bar alike", _alike(2, with_pitch=True)),
    Measure("second_rhythm_alike", "one rhythm every other bar", _alike(2, with_pitch=False)),
    Measure("fourth_bar_alike", "what was heard four bars ago", _alike(4, with_pitch=True)),
    Measure("first_bar_returns", "the first bar again at half-way", phrases.first_bar_returns),
    Measure("first_rhythm_returns", "the first rhythm again at half-way", _first_rhythm_returns),
    Measure("question_answered", "an open question and an answer", phrases.question_answered),
    Measure("busier_first_half", "a busier first half", phrases.busier_first_half),
    *(
        feature
        for quarter, ordinal in enumerate(("first", "second", "third", "last"))
        for feature in (
            Measure(f"height_{quarter + 1}", f"a high {ordinal} phrase", _height(quarter)),
            Measure(f"slope_{quarter + 1}", f"a rising {ordinal} phrase", _slope(quarter)),
        )
    ),
)
MODE_AND_TEMPO: tuple[Measure, ...] = (
    Measure("minor_third_share", "a minor sound", mode.minor_third_share),
    Measure("brightness", "a bright scale", mode.brightness),
    Measure("five_note_share", "a five-note scale", mode.five_note_share),
    Measure("beats_per_quarter", "a fast beat", lambda t: np.log2(beats_per_quarter(t))),
)
PHRASE_RHYTHM: tuple[Measure, ...] = tuple(
    Measure(measure.__name__, label, measure)
    for measure, label in (
        (phrase_rhythm.phrase_end_length, "long notes where phrases end"),
        (phrase_rhythm.answers_end_longer, "answers that end on a longer note"),
        (phrase_rhythm.answers_in_rhythm, "answers in the rhythm of questions"),
        (phrase_rhythm.busier_answers, "answers busier than questions"),
        (phrase_rhythm.phrases_slow_down, "phrases that slow down"),
        (phrase_rhythm.answers_end_in_one_rhythm, "answers that end in one rhythm"),
        (phrase_rhythm.phrase_start_length, "phrases that begin on a long note"),
        (phrase_rhythm.upbeat_share, "notes that lead into phrases"),
        (phrase_rhythm.longest_note_position, "a late longest note"),
    )
)
PHRASE_RHYTHM_PRIOR = 0.7
"""many measures of one thing; docs/log.md has what other priors are worth"""
LATER_MEASURES = (*MODE_AND_TEMPO, *PHRASE_RHYTHM)
"""since revision 4; behind the others, so that columns of earlier revisions stay where they were"""
USUAL: dict[str, float] = {
    "range_semitones": 17.0,
    "mean_pitch": 5.94,
    "mean_absolute_interval": 1.84,
    "step_share": 0.537,
    "third_share": 0.266,
    "turn_share": 0.5,
    "interval_entropy": 3.11,
    "pitch_class_entropy": 2.6,
    "rhythm_entropy": 0.767,
    "npvi": 3.72,
    "density_spread": 0.395,
    "repeated_bar_share": 0.125,
    "repeated_rhythm_share": 0.5,
    "climax_position": 0.219,
    "final_height": -3.19,
    "slope": -0.0824,
    "arch": 0.0615,
    "notes_per_beat": 1.49,
    "triad_share": 0.6,
    "autocorrelation_1": 0.626,
    "rising_share": 0.481,
}
"""median of measures over 3,000 melodies of the base policy (4/4, 8 bars); their distance from it
is a feature of its own. Fixed, so that a melody's features never change with a policy."""
UNUSUAL_PRIOR = 0.5
"""a distance is less often liked than the measure itself"""
_DISTANCES = tuple(measure for measure in MEASURES if measure.name in USUAL)
UNUSUAL, FAR_FROM_USUAL = "unusual_", "far from usual: "
"""before the name and the label of a measure: its distance from what is usual"""
FEATURE_LABELS: dict[str, str] = (
    {measure.name: measure.label for measure in MEASURES}
    | {UNUSUAL + measure.name: FAR_FROM_USUAL + measure.label for measure in _DISTANCES}
    | {measure.name: measure.label for measure in LATER_MEASURES}
)
FEATURE_NAMES: tuple[str, ...] = tuple(FEATURE_LABELS)
NAMES_OF_REVISION: dict[int, tuple[str, ...]] = {
    3: FEATURE_NAMES[: -len(LATER_MEASURES)],
    REVISION: FEATURE_NAMES,
}
"""the features of revisions whose profiles can be read: each means today what it meant then"""
FEATURE_PRIORS = np.array(
    [1.0] * len(MEASURES)
    + [UNUSUAL_PRIOR] * len(_DISTANCES)
    + [1.0] * len(MODE_AND_TEMPO)
    + [PHRASE_RHYTHM_PRIOR] * len(PHRASE_RHYTHM)
)
"""how large a weight is expected beside others', before any vote"""


def feature_matrix(melodies: Sequence[Melody]) -> np.ndarray:
    """Features of melodies, columns as in `FEATURE_NAMES`; float64 (N, F), always finite."""
    if len(melodies) == 0:
        return np.zeros((0, len(FEATURE_NAMES)))
    table = note_table(melodies)
    # Mostly undefined for melodies of a note or two, so any constant will do.
    columns, later = (
        {measure.name: np.nan_to_num(measure.compute(table), nan=0.0) for measure in measures}
        for measures in (MEASURES, LATER_MEASURES)
    )
    distances = [abs(columns[measure.name] - USUAL[measure.name]) for measure in _DISTANCES]
    return np.stack([*columns.values(), *distances, *later.values()], axis=1)
