"""Features: finite, tame, independent of the key, pinned to their version, and as labelled."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from music.melody import TONIC_MIDI_MAX, TONIC_MIDI_MIN, Melody, Note
from music.tempo import duration_seconds, pair_tempos_bpm
from reward.profile.features import (
    FEATURE_LABELS,
    FEATURE_NAMES,
    FEATURE_PRIORS,
    LATER_MEASURES,
    NAMES_OF_REVISION,
    REVISION,
    feature_matrix,
)
from reward.store.store import RatingsStore
from tests.support.project import PROJECT


def test_names_and_labels_are_one_to_one():
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES) == len(FEATURE_PRIORS)
    assert tuple(FEATURE_LABELS) == FEATURE_NAMES
    assert len(set(FEATURE_LABELS.values())) == len(FEATURE_NAMES)
    assert all("_" not in label and label[0].islower() for label in FEATURE_LABELS.values())


def test_shape_and_order(real_melodies):
    matrix = feature_matrix(real_melodies[:5])
    assert matrix.shape == (5, len(FEATURE_NAMES))
    assert matrix.dtype == np.float64
    assert feature_matrix([]).shape == (0, len(FEATURE_NAMES))
    assert feature_matrix(real_melodies[:5][::-1]) == pytest.approx(matrix[::-1])


def test_odd_melodies_are_finite(tune, random_melodies):
    odd = [
        tune((0, 192)),
        tune((0, 96), (0, 96)),
        tune(*[(24, 3)] * 64),
        tune((0, 24), (None, 24), (12, 144)),
        tune((0, 24), (None, 48), (2, 120), pickup_ticks=24),
        tune((0, 216 * 4), meter="9/8", bars=8),
        tune((7, 192), pickup_ticks=24),
    ]
    assert np.isfinite(feature_matrix(odd + random_melodies(300))).all()


def test_tonic_does_not_matter(random_melodies):
    melodies = random_melodies(40)
    for tonic in (TONIC_MIDI_MIN, TONIC_MIDI_MAX):
        moved = [replace(melody, tonic_midi=tonic) for melody in melodies]
        assert np.array_equal(feature_matrix(moved), feature_matrix(melodies))


def test_real_tunes_have_no_outliers_and_no_idle_or_doubled_features(real_melodies):
    matrix = feature_matrix(real_melodies)
    deviation = matrix.std(axis=0)
    assert deviation.min() > 0.04
    standard = (matrix - matrix.mean(axis=0)) / deviation
    worst = dict(zip(FEATURE_NAMES, abs(standard).max(axis=0), strict=True))
    assert {name: z for name, z in worst.items() if z > 12} == {}  # a yes that one in 140 has
    alike = np.corrcoef(standard.T) - np.eye(len(FEATURE_NAMES))
    assert abs(alike).max() < 0.98
    later = [FEATURE_NAMES.index(measure.name) for measure in LATER_MEASURES]
    assert abs(alike[later]).max() < 0.95
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(standard.T))
    assert eigenvalues.sum() ** 2 / (eigenvalues**2).sum() > 14


# Quarters in 2/4, three melodies' worth of contrasts: (more of it, less of it).
UP, DOWN = (0, 2, 4, 5, 7, 9, 11, 12), (12, 11, 9, 7, 5, 4, 2, 0)
ARCH, VALLEY = (0, 4, 7, 9, 9, 7, 4, 0), (9, 7, 4, 0, 0, 4, 7, 9)
LABELLED = {
    "rising from start to end": (UP, DOWN),
    "arch shape": (ARCH, VALLEY),
    "a late highest note": (UP, DOWN),
    "big leaps": ((0, 12, 0, 12, 7, 5, 4, 0), UP),
    "notes outside the key": ((0, 1, 3, 6, 8, 1, 3, 0), UP),
    "repeated bars": ((0, 4, 0, 4, 0, 4, 0, 4), UP),
    "return of the opening": ((0, 4, 7, 9, 0, 4, 5, 2), UP),
    "phrases that end alike": ((0, 4, 7, 9, 2, 5, 7, 9), UP),
    "ending on the home note": (UP, (0, 2, 4, 5, 7, 9, 11, 7)),
    "starting on the home note": (UP, (2, 4, 5, 7, 9, 11, 12, 14)),
    "repeated notes": ((0, 0, 4, 4, 7, 7, 0, 0), UP),
    "moving by step": (UP, (0, 4, 7, 12, 7, 4, 0, 7)),
    "moving by thirds": ((0, 4, 7, 4, 0, 4, 7, 4), UP),
    "zigzag motion": ((0, 4, 2, 5, 4, 7, 5, 9), UP),
    "smooth lines": (UP, (0, 9, 0, 9, 0, 9, 0, 9)),
    "a wide range": (UP, (0, 2, 0, 2, 4, 2, 4, 0)),
    "a high register": ((12, 14, 12, 11, 12, 16, 14, 12), UP),
    "a clear home note": ((0, 4, 7, 0, 4, 7, 4, 0), (1, 6, 8, 10, 1, 6, 8, 10)),
    "an open ending in the middle": ((0, 2, 4, 7, 5, 4, 2, 0), (0, 2, 4, 0, 5, 4, 2, 0)),
    "leaps that are answered": ((0, 7, 5, 0, 7, 5, 0, 0), (0, 7, 14, 12, 11, 9, 7, 5)),
    "ending high": (UP, DOWN),
    "many different scale notes": (UP, (0, 4, 7, 0, 4, 7, 4, 0)),
    "a leap over an octave": ((0, 14, 12, 11, 9, 7, 5, 4), UP),
    "the first bar again at half-way": ((0, 4, 7, 9, 0, 4, 5, 2), UP),
    "each bar like the last": ((0, 4, 0, 4, 0, 4, 0, 4), UP),
    "an open question and an answer": ((0, 2, 4, 7, 5, 4, 2, 0), (0, 2, 4, 0, 5, 4, 2, 0)),
    "dwelling on the home note": ((0, 0, 0, 2, 0, 4, 0, 0), UP),
    "a high first phrase": (DOWN, UP),
    "a high last phrase": (UP, DOWN),
    "a rising first phrase": (UP, DOWN),
    "a rising last phrase": (UP, DOWN),
    "a minor sound": ((0, 3, 7, 3, 0, 3, 7, 0), (0, 4, 7, 4, 0, 4, 7, 0)),
    "a five-note scale": ((0, 2, 4, 7, 9, 7, 4, 0), (0, 5, 4, 11, 9, 5, 11, 0)),
    "a bright scale": ((0, 2, 6, 7, 9, 11, 7, 0), (0, 1, 5, 7, 8, 10, 7, 0)),
}
# Lengths of notes by bar, each of which is a phrase.
HALF, QUARTERS, EIGHTHS = (48,), (24, 24), (12, 12, 12, 12)
SLOWS, HURRIES = (12, 12, 24), (24, 12, 12)
LABELLED_RHYTHMS = {
    "long notes where phrases end": ([SLOWS] * 4, [HURRIES] * 4),
    "answers that end on a longer note": (
        [EIGHTHS, QUARTERS, EIGHTHS, QUARTERS],
        [QUARTERS, EIGHTHS, QUARTERS, EIGHTHS],
    ),
    "answers in the rhythm of questions": (
        [SLOWS, SLOWS, HURRIES, HURRIES],
        [SLOWS, HURRIES, SLOWS, HURRIES],
    ),
    "answers busier than questions": (
        [QUARTERS, EIGHTHS, QUARTERS, EIGHTHS],
        [EIGHTHS, QUARTERS, EIGHTHS, QUARTERS],
    ),
    "phrases that slow down": ([SLOWS] * 4, [HURRIES] * 4),
    "answers that end in one rhythm": (
        [QUARTERS, HURRIES, QUARTERS, HURRIES],
        [QUARTERS, HURRIES, QUARTERS, QUARTERS],
    ),
    "phrases that begin on a long note": ([HURRIES] * 4, [SLOWS] * 4),
    "notes that lead into phrases": ([HURRIES] * 4, [QUARTERS] * 4),
    "a late longest note": (
        [EIGHTHS, EIGHTHS, EIGHTHS, HALF],
        [HALF, EIGHTHS, EIGHTHS, EIGHTHS],
    ),
    "many notes a beat": ([EIGHTHS] * 4, [QUARTERS] * 4),
}


@pytest.mark.parametrize("label", LABELLED)
def test_a_feature_is_larger_where_there_is_more_of_what_its_label_says(label, tune):
    name = next(name for name, words in FEATURE_LABELS.items() if words == label)
    more, less = (tune(*[(pitch, 24) for pitch in pitches]) for pitches in LABELLED[label])
    values = feature_matrix([more, less])[:, FEATURE_NAMES.index(name)]
    assert values[0] > values[1] + 0.05


@pytest.mark.parametrize("label", LABELLED_RHYTHMS)
def test_a_rhythm_is_as_its_label_says(label, tune):
    name = next(name for name, words in FEATURE_LABELS.items() if words == label)
    more, less = (
        tune(*[(0, ticks) for bar in bars for ticks in bar]) for bars in LABELLED_RHYTHMS[label]
    )
    values = feature_matrix([more, less])[:, FEATURE_NAMES.index(name)]
    assert values[0] > values[1] + 0.05


def test_notes_a_second_within_a_pair_are_notes_a_beat_times_beats_a_quarter(tune):
    """At the pair's tempo; so the profile can tell a fast melody whatever the two metres are."""
    one = tune(*[(0, 24)] * 8)
    other = tune(*[(0, 12)] * 24, meter="6/8")
    tempos = pair_tempos_bpm(one.header, other.header)
    heard = [
        len(melody.notes) / duration_seconds(melody.header, tempo)
        for melody, tempo in zip((one, other), tempos, strict=True)
    ]
    both = feature_matrix([one, other])
    a_beat = 2 ** both[:, FEATURE_NAMES.index("notes_per_beat")] - 1
    a_quarter = a_beat * 2 ** both[:, FEATURE_NAMES.index("beats_per_quarter")]
    assert a_quarter[0] / a_quarter[1] == pytest.approx(heard[0] / heard[1])


PINNED = (
    4,
    {
        "out_of_key": [0.0, 0.4264],
        "in_found_key_share": [1.0, 0.9091],
        "found_key_is_home": [1.0, 1.0],
        "key_clarity": [0.6834, 0.8303],
        "home_correlation": [0.6834, 0.8303],
        "triad_share": [0.75, 0.7174],
        "pitch_class_entropy": [1.5567, 2.4131],
        "mean_pitch": [5.75, 4.1087],
        "range_semitones": [9.0, 15.0],
        "mean_absolute_interval": [1.5025, 2.2928],
        "mean_interval": [1.1667, -0.7],
        "largest_interval": [3.0, 3.3219],
        "repeated_note_share": [0.7071, 0.0],
        "step_share": [0.3333, 0.4],
        "third_share": [0.0, 0.3],
        "leap_share": [0.0, 0.4472],
        "leaps_resolved": [0.86, 0.93],
        "rising_share": [0.6667, 0.4],
        "turn_share": [0.5, 0.4444],
        "longest_scale_run": [1.585, 2.0],
        "interval_entropy": [1.7925, 3.1219],
        "autocorrelation_1": [0.5089, 0.2938],
        "autocorrelation_2": [-0.0134, -0.0051],
        "autocorrelation_3": [-0.2194, -0.192],
        "slope": [0.7385, -0.4782],
        "arch": [0.6214, 0.4644],
        "unique_maximum": [0.0, 1.0],
        "unique_minimum": [0.0, 0.0],
        "climax_position": [0.5, 0.2917],
        "notes_per_beat": [0.9069, 1.2479],
        "rest_share": [0.0, 0.2041],
        "offbeat_share": [0.0, 0.603],
        "syncopated": [0.0, 0.0],
        "offbeat_accent_share": [0.0, 0.3015],
        "long_note_share": [1.0, 0.603],
        "triplet_share": [0.0, 0.0],
        "rhythm_entropy": [0.5917, 2.4131],
        "npvi": [3.3333, 7.0475],
        "density_spread": [0.4974, 0.7746],
        "repeated_bar_share": [0.0, 0.0],
        "repeated_rhythm_share": [0.5, 0.0],
        "repeated_contour_share": [0.5, 0.0],
        "motif_share": [0.0, 0.4545],
        "repeated_motif_share": [0.0, 0.0],
        "halves_alike": [0.2857, 0.0],
        "halves_rhythm_alike": [0.8571, 0.6],
        "opening_returns": [0.0, 0.0],
        "endings_rhyme": [0.6667, 0.0],
        "starts_on_tonic": [1.0, 0.0],
        "ends_on_tonic": [0.0, 1.0],
        "final_note_beats": [1.585, 1.415],
        "ends_by_step": [1.0, 1.0],
        "final_height": [1.4286, -5.2727],
        "open_middle": [1.0, 0.0],
        "downbeat_triad_share": [0.75, 1.0],
        "tonic_share": [0.25, 0.3043],
        "distinct_pitches": [2.0, 3.0],
        "octave_leap": [0.0, 0.0],
        "short_note_share": [0.0, 0.3015],
        "dotted_share": [0.0, 0.603],
        "next_bar_alike": [0.0, 0.0],
        "next_rhythm_alike": [0.9091, 0.7143],
        "second_bar_alike": [0.2857, 0.0],
        "second_rhythm_alike": [0.8571, 0.6],
        "fourth_bar_alike": [0.0, 0.0],
        "first_bar_returns": [0.0, 0.0],
        "first_rhythm_returns": [1.0, 0.5714],
        "question_answered": [0.0, 0.0],
        "busier_first_half": [0.1429, 0.4545],
        "height_1": [-5.5714, -0.2727],
        "slope_1": [0.0, 0.9341],
        "height_2": [1.4286, 5.2273],
        "slope_2": [0.0, -1.0],
        "height_3": [3.4286, -2.7727],
        "slope_3": [0.0, -1.0],
        "height_4": [1.4286, -5.2727],
        "slope_4": [0.0, 0.0],
        "unusual_triad_share": [0.15, 0.1174],
        "unusual_pitch_class_entropy": [1.0433, 0.1869],
        "unusual_mean_pitch": [0.19, 1.8313],
        "unusual_range_semitones": [8.0, 2.0],
        "unusual_mean_absolute_interval": [0.3375, 0.4528],
        "unusual_step_share": [0.2037, 0.137],
        "unusual_third_share": [0.266, 0.034],
        "unusual_rising_share": [0.1857, 0.081],
        "unusual_turn_share": [0.0, 0.0556],
        "unusual_interval_entropy": [1.3175, 0.0119],
        "unusual_autocorrelation_1": [0.1171, 0.3322],
        "unusual_slope": [0.8209, 0.3958],
        "unusual_arch": [0.5599, 0.4029],
        "unusual_climax_position": [0.281, 0.0727],
        "unusual_notes_per_beat": [0.5831, 0.2421],
        "unusual_rhythm_entropy": [0.1753, 1.6461],
        "unusual_npvi": [0.3867, 3.3275],
        "unusual_density_spread": [0.1024, 0.3796],
        "unusual_repeated_bar_share": [0.125, 0.125],
        "unusual_repeated_rhythm_share": [0.0, 0.5],
        "unusual_final_height": [4.6186, 2.0827],
        "minor_third_share": [0.0, 1.0],
        "brightness": [1.25, 1.5],
        "five_note_share": [1.0, 0.7174],
        "beats_per_quarter": [0.0, -0.585],
        "phrase_end_length": [-0.1429, 0.216],
        "answers_end_longer": [0.5, 1.161],
        "answers_in_rhythm": [0.5714, 0.0],
        "busier_answers": [-0.1429, -0.4],
        "phrases_slow_down": [0.1429, 0.0],
        "answers_end_in_one_rhythm": [0.0, 0.0],
        "phrase_start_length": [0.1071, 0.7824],
        "upbeat_share": [0.0, 0.3333],
        "longest_note_position": [1.0, 1.0],
    },
)


def test_version_is_pinned_to_the_numbers(tune):
    """When this fails: mend the feature, or raise REVISION and write down the new numbers."""
    probes = [
        tune((0, 24), (0, 24), (7, 24), (7, 24), (9, 24), (9, 24), (7, 48)),
        tune(
            (7, 12), (0, 24), (3, 12), (7, 18), (8, 6), (7, 12), (15, 24), (None, 12), (6, 36),
            (3, 36), (2, 36), (0, 60), meter="6/8", mode="dorian", pickup_ticks=12,
        ),
    ]  # fmt: skip
    assert PINNED[0] == REVISION
    assert tuple(PINNED[1]) == FEATURE_NAMES, "profiles are stored by this order"
    assert dict(zip(FEATURE_NAMES, feature_matrix(probes).T.round(4).tolist(), strict=True)) == {
        name: pytest.approx(values, abs=2e-4) for name, values in PINNED[1].items()
    }


def test_features_of_the_melodies_of_version_0_1_0_are_what_they_were(tmp_path):
    """Profiles of that version are read, so its features must mean the same, in the same columns.

    The file has each feature's mean and deviation over the 98 melodies of the old database, and its
    value for the melody with id 42, as the code of that version computed them.
    """
    data = PROJECT / "tests" / "data"
    then = json.loads((data / "features_0_1_0.json").read_text())
    shutil.copy(data / "v0_1_0" / "ratings.sqlite", tmp_path)
    with RatingsStore(tmp_path / "ratings.sqlite") as store:
        melodies = [one.melody for one in store.melodies(range(1, 99))]
    names = NAMES_OF_REVISION[then["revision"]]
    assert tuple(then["features"]) == names == FEATURE_NAMES[: len(names)]
    matrix = feature_matrix(melodies)[:, : len(names)]
    now = np.stack([matrix.mean(0), matrix.std(0), matrix[41]], axis=1)
    np.testing.assert_allclose(now, list(then["features"].values()), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("meter", "of_half"), [("3/2", "3/4"), ("6/4", "6/8")])
def test_a_tune_in_notes_of_twice_the_length_has_the_same_features(real_melodies, meter, of_half):
    """Beats of twice the length, so nothing that is counted in beats or bars changes.

    Dotted notes, the time that a leap waits for its answer, and the beat beside what else is heard
    are counted in written lengths.
    """
    tunes = [melody for melody in real_melodies if melody.header.meter == of_half][:40]
    assert len(tunes) >= 10
    doubled = [
        Melody(
            replace(tune.header, meter=meter, pickup_ticks=2 * tune.header.pickup_ticks),
            tuple(Note(2 * n.onset_ticks, 2 * n.duration_ticks, n.pitch) for n in tune.notes),
            tune.tonic_midi,
        )
        for tune in tunes
    ]
    different = np.abs(feature_matrix(doubled) - feature_matrix(tunes)).max(0) > 1e-9
    by_written_length = {"dotted_share", "leaps_resolved", "beats_per_quarter"}
    assert {name for name, is_so in zip(FEATURE_NAMES, different, strict=True) if is_so} <= (
        by_written_length
    )
