"""What a rater's reason speaks of: the features that decided, in their words.

Some reasons name a domain of music; the domains share out the features among them. Others judge a
melody ("dull", "restless") by features from several domains. A reason competes with what it does
not speak of: `alternatives` says with what, for `reward.profile.reason_likelihood`.

Letters: F features, A alternatives, D domains.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from reward.profile.features import UNUSUAL

DOMAINS: dict[str, tuple[str, ...]] = {
    "rhythm": (
        *("notes_per_beat", "rest_share", "offbeat_share", "syncopated", "offbeat_accent_share"),
        *("long_note_share", "triplet_share", "rhythm_entropy", "npvi", "density_spread"),
        *("short_note_share", "dotted_share", "busier_first_half", "beats_per_quarter"),
        *("phrase_end_length", "phrase_start_length", "answers_end_longer"),
        *("busier_answers", "phrases_slow_down", "answers_end_in_one_rhythm", "upbeat_share"),
        *("longest_note_position", "answers_in_rhythm"),
    ),
    "contour": (
        *("mean_pitch", "range_semitones", "mean_absolute_interval", "mean_interval"),
        *("largest_interval", "repeated_note_share", "step_share", "third_share", "leap_share"),
        *("leaps_resolved", "rising_share", "turn_share", "longest_scale_run", "interval_entropy"),
        *("autocorrelation_1", "autocorrelation_2", "autocorrelation_3", "slope", "arch"),
        *("unique_maximum", "unique_minimum", "climax_position", "distinct_pitches"),
        *("octave_leap", "height_1", "slope_1", "height_2", "slope_2"),
        *("height_3", "slope_3", "height_4", "slope_4"),
    ),
    "ending": (
        *("endings_rhyme", "ends_on_tonic", "final_note_beats", "ends_by_step", "final_height"),
        *("open_middle", "question_answered"),
    ),
    "repetition": (
        *("repeated_bar_share", "repeated_rhythm_share", "repeated_contour_share", "motif_share"),
        *("repeated_motif_share", "halves_alike", "halves_rhythm_alike", "opening_returns"),
        *("next_bar_alike", "next_rhythm_alike", "second_bar_alike", "second_rhythm_alike"),
        *("fourth_bar_alike", "first_bar_returns", "first_rhythm_returns"),
    ),
    "wrong_note": (
        *("out_of_key", "in_found_key_share", "found_key_is_home", "key_clarity"),
        *("home_correlation", "triad_share", "pitch_class_entropy", "starts_on_tonic"),
        *("downbeat_triad_share", "tonic_share", "minor_third_share", "brightness"),
        "five_note_share",
    ),
}
"""reasons that name a domain, and its measures; a measure is in one of them, and its distance from
what is usual with it"""
JUDGEMENTS: dict[str, tuple[str, ...]] = {
    "catchy": (
        *("repeated_contour_share", "motif_share", "repeated_motif_share", "opening_returns"),
        *("first_bar_returns", "first_rhythm_returns", "second_bar_alike", "endings_rhyme"),
    ),
    "surprising": (
        *("largest_interval", "octave_leap", "leap_share", "interval_entropy", "out_of_key"),
        *("pitch_class_entropy", "syncopated", "offbeat_accent_share", "rhythm_entropy"),
        *("density_spread", "open_middle"),
    ),
    "dull": (
        *("repeated_note_share", "range_semitones", "distinct_pitches", "interval_entropy"),
        *("pitch_class_entropy", "rhythm_entropy", "density_spread", "long_note_share"),
        *("repeated_bar_share", "repeated_rhythm_share", "next_bar_alike", "next_rhythm_alike"),
    ),
    "restless": (
        *("notes_per_beat", "short_note_share", "offbeat_share", "syncopated", "npvi"),
        *("density_spread", "turn_share", "mean_absolute_interval", "leap_share"),
    ),
}
"""reasons that judge, and the measures that they may mean"""
UNSPOKEN: tuple[str, ...] = ()
"""measures that no reason speaks of"""
REASONS: tuple[str, ...] = (*DOMAINS, *JUDGEMENTS)


def speaks_of(reason: str, feature_names: Sequence[str]) -> np.ndarray:
    """Which features a reason speaks of; bool (F,), none for a reason that is not known."""
    measures = {**DOMAINS, **JUDGEMENTS}.get(reason, ())
    return np.array([name.removeprefix(UNUSUAL) in measures for name in feature_names], bool)


@lru_cache(maxsize=32)
def domain_features(feature_names: tuple[str, ...]) -> np.ndarray:
    """Which features are of which domain; bool (D, F), in the order of `DOMAINS`, read-only."""
    found_DF = np.array([speaks_of(domain, feature_names) for domain in DOMAINS])
    found_DF.flags.writeable = False
    return found_DF


@lru_cache(maxsize=32)
def alternatives(reason: str, feature_names: tuple[str, ...]) -> tuple[np.ndarray, int] | None:
    """What may have decided, and which of it the reason names; None if it names no feature, or all.

    A domain is one of the domains. A judgement stands first, beside all domains without its
    features.

    Returns:
        bool (A, F), no feature in two rows and some in each, the same for all domains; and the row.
    """
    rows_AF = domain_features(feature_names)
    own_F = speaks_of(reason, feature_names)
    if reason not in DOMAINS:
        rows_AF = np.vstack([own_F, rows_AF & ~own_F])
    rows_AF = rows_AF[rows_AF.any(axis=1)]
    if not own_F.any() or len(rows_AF) < 2:
        return None
    rows_AF.flags.writeable = False
    return rows_AF, int(np.flatnonzero((rows_AF == own_F).all(axis=1))[0])
