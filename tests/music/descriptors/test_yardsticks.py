"""Yardsticks: by hand, against plain Python, against music21, and what must not matter."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from music21 import analysis, note, stream

from music.descriptors import contour, form, key, rhythm
from music.descriptors.yardsticks import (
    YARDSTICKS,
    yardstick_means,
    yardstick_standard_errors,
    yardstick_values,
)
from music.melody import MODE_SCALES, TONIC_MIDI_MAX, TONIC_MIDI_MIN, Melody, Note
from music.metre import BAR_TICKS
from music.note_table import note_table

# Bars of 2/4: 0 0 | 7 7 | 9 9 | 7 -
TWINKLE = ((0, 24), (0, 24), (7, 24), (7, 24), (9, 24), (9, 24), (7, 48))


def bits(*counts):
    shares = np.array(counts) / sum(counts)
    return -(shares * np.log2(shares)).sum()


TWINKLE_BY_HAND = {
    "in_key_share": 1,
    "tonic_share": 48 / 192,
    "triad_share": 144 / 192,
    "mean_pitch": (0 * 48 + 7 * 48 + 9 * 48 + 7 * 48) / 192,
    "range_semitones": 9,
    "distinct_pitches": 3,
    "mean_interval": 7 / 6,
    "mean_absolute_interval": 11 / 6,
    "largest_interval": 7,
    "repeated_note_share": 3 / 6,
    "step_share": 2 / 6,
    "third_share": 0,
    "leap_share": 0,
    "rising_share": 2 / 3,
    "turn_share": 1 / 2,
    "longest_scale_run": 2,
    "excessive_repeat_share": 0,
    "leaps_resolved": np.nan,
    "interval_entropy": bits(3, 1, 1, 1),
    "pitch_class_entropy": bits(2, 3, 2),
    "unique_maximum": 0,
    "unique_minimum": 0,
    "climax_position": 0.5,
    "notes_per_beat": 7 / 8,
    "rest_share": 0,
    "offbeat_share": 0,
    "syncopation_share": 0,
    "offbeat_accent_share": 0,
    "long_note_share": 1,
    "triplet_share": 0,
    "rhythm_entropy": bits(6, 1),
    "npvi": 200 * (24 / 72) / 6,
    "density_spread": np.std([2, 2, 2, 1]) / 1.75,
    "repeated_bar_share": 0,
    "repeated_rhythm_share": 2 / 4,
    "repeated_contour_share": 2 / 4,
    "motif_share": 0,
    "repeated_motif_share": 0,
    "halves_alike": 2 / 7,
    "halves_rhythm_alike": 6 / 7,
    "opening_returns": 0,
    "endings_rhyme": 2 / 3,
    "starts_on_tonic": 1,
    "ends_on_tonic": 0,
    "final_note_beats": 2,
    "ends_by_step": 1,
    "final_height": 7 - 39 / 7,
    "open_middle": 1,
    "downbeat_triad_share": 3 / 4,
}


@pytest.mark.parametrize("name", TWINKLE_BY_HAND)
def test_a_tune_by_hand(name, tune):
    got = YARDSTICKS[name].measure(tune(*TWINKLE))
    assert got.shape == (1,)
    assert got.dtype == np.float64
    assert got[0] == pytest.approx(TWINKLE_BY_HAND[name], nan_ok=True)


def test_leap_answered_by_return_or_late_leap_back(tune):
    returned = tune((0, 24), (7, 24), (5, 24), (0, 120))
    doubled = tune((0, 24), (7, 24), (14, 24), (12, 120))
    at_once = tune((0, 24), (12, 24), (4, 144))
    late = tune((0, 24), (12, 24), (11, 24), (4, 120))
    melodies = [returned, doubled, at_once, late]
    resolved, doubles = contour.leap_outcomes(melodies)
    assert resolved.tolist() == [1, 0, 0, 1]
    assert doubles.tolist() == [0, 1, 0, 0]
    assert np.array_equal(contour.leaps_resolved(melodies), [1, 0, np.nan, 1], equal_nan=True)
    assert yardstick_means(melodies)["leaps_resolved"] == pytest.approx(2 / 3)


def test_falling_leap_is_resolved_upwards(tune):
    resolved, doubled = contour.leap_outcomes(tune((7, 24), (0, 24), (4, 24), (7, 120)))
    assert (resolved[0], doubled[0]) == (1, 0)


@pytest.mark.parametrize(("repeats", "excessive"), [(5, 0), (6, 1), (8, 3)])
def test_the_sixth_equal_note_is_one_too_many(repeats, excessive, tune):
    melody = tune(*[(4, 12)] * repeats, (5, 192 - 12 * repeats))
    assert contour.excessive_repeat_share(melody)[0] == pytest.approx(excessive / (repeats + 1))


def test_scale_run_counts_notes_and_stops_at_the_next_melody(tune):
    rising = tune(*[(pitch, 24) for pitch in (0, 2, 4, 5, 7, 7, 9, 11)])
    assert contour.longest_scale_run([rising, rising]).tolist() == [5, 5]


def test_slope_and_arch_of_lines_and_parabolas(tune):
    line = tune(*[(pitch, 24) for pitch in range(8)])
    parabola = tune(*[(pitch, 24) for pitch in (0, 3, 5, 6, 6, 5, 3, 0)])
    valley = tune(*[(-pitch, 24) for pitch in (0, 3, 5, 6, 6, 5, 3, 0)])
    assert contour.slope([line, parabola]) == pytest.approx([1, 0], abs=1e-12)
    assert contour.arch([line, parabola, valley]) == pytest.approx([0, 1, -1], abs=1e-12)


def test_two_equal_notes_or_one_pitch_have_no_shape(tune):
    flat, pair = tune(*[(11, 24)] * 12, meter="3/4"), tune((0, 96), (7, 96))
    assert contour.arch([flat, pair]).tolist() == [0, 0]
    assert contour.slope([flat, pair]) == pytest.approx([0, 1])
    assert contour.autocorrelation([flat, pair], 1) == pytest.approx([0, -0.5])


def test_autocorrelation_of_an_alternation(tune):
    melody = tune(*[(pitch, 24) for pitch in (0, 4) * 4])
    assert contour.autocorrelation(melody, 1)[0] == pytest.approx(-7 / 8)
    assert contour.autocorrelation(melody, 2)[0] == pytest.approx(6 / 8)
    with pytest.raises(ValueError, match="lag=0"):
        contour.autocorrelation(melody, 0)


def test_syncopation_and_snap(tune):
    melody = tune((0, 12), (2, 24), (4, 12), (5, 6), (7, 18), (9, 24), (0, 96))
    # begins off the beat: 2 at 12, 4 at 36, 7 at 54; only 2 sounds on through a beat
    assert rhythm.offbeat_share(melody)[0] == pytest.approx(3 / 7)
    assert rhythm.syncopation_share(melody)[0] == pytest.approx(1 / 7)
    assert rhythm.offbeat_accent_share(melody)[0] == pytest.approx(2 / 7)


def test_beat_of_a_jig_is_a_dotted_quarter(tune):
    melody = tune(*[(0, 12)] * 24, meter="6/8")
    assert rhythm.notes_per_beat(melody)[0] == 3
    assert rhythm.offbeat_share(melody)[0] == pytest.approx(2 / 3)


def test_triplets_and_rests(tune):
    melody = tune((0, 8), (2, 8), (4, 8), (None, 24), (5, 9), (4, 3), (5, 132))
    assert rhythm.triplet_share(melody)[0] == pytest.approx(3 / 6)
    assert rhythm.rest_share(melody)[0] == pytest.approx(24 / 192)


def test_a_repeated_bar_is_exact(tune):
    first = ((0, 24), (4, 24))
    again = tune(*first, (7, 48), *first, (7, 48))
    transposed = tune(*first, (7, 48), (2, 24), (5, 24), (9, 48))
    other_rhythm = tune(*first, (7, 48), (0, 30), (4, 18), (7, 48))
    held_over = tune(*first, (7, 72), (4, 24), (7, 48))
    melodies = [again, transposed, other_rhythm, held_over]
    assert form.repeated_bar_share(melodies).tolist() == [0.5, 0, 0.25, 0.25]
    assert form.repeated_rhythm_share(melodies).tolist() == [0.5, 0.5, 0.25, 0.25]
    assert form.repeated_contour_share(melodies).tolist() == [0.5, 0.5, 0.25, 0.25]


def test_motifs_have_three_pitches(tune):
    motif = ((0, 12), (2, 12), (4, 24))
    melody = tune(*motif, (7, 24), (7, 24), *motif, (0, 48))
    assert form.motif_share(melody)[0] == pytest.approx(6 / 9)
    assert form.repeated_motif_share(melody)[0] == pytest.approx(3 / 9)


def test_pickup_is_no_bar_and_halves_begin_on_downbeats(tune):
    half = ((0, 24), (4, 24), (7, 24), (4, 24))
    melody = tune((7, 24), *half, *half[:3], pickup_ticks=24)
    # The last bar is a beat short, so it is not the second bar again.
    assert form.repeated_bar_share(melody)[0] == 0.25
    assert form.halves_alike(melody)[0] == pytest.approx(6 / 7)
    assert form.opening_returns(melody)[0] == 1
    upbeat = tune((5, 24), (0, 12), (2, 12), (4, 24), (0, 48), (0, 48), (0, 24), pickup_ticks=24)
    assert form.motif_share(upbeat)[0] == pytest.approx(3 / 7)


def test_open_middle_looks_at_the_last_note_of_the_first_half(tune):
    opened = tune((0, 48), (0, 24), (11, 24), (0, 96))
    closed = tune((7, 48), (7, 24), (0, 24), (7, 96))
    assert form.open_middle([opened, closed]).tolist() == [1, 0]


def test_key_of_scales(tune):
    major = tune(*[(p, 24) for p in (0, 4, 7, 12, 5, 2, 7, 0)])
    minor_third_up = replace(tune(*[(p + 9, 24) for p in (0, 3, 7, 12, 8, 2, 7, 0)]), tonic_midi=65)
    assert key.key_correlations([major, minor_third_up]).argmax(axis=1).tolist() == [0, 12 + 9]
    assert key.found_key_is_home([major, minor_third_up]).tolist() == [1, 0]
    assert key.in_found_key_share([major, minor_third_up]).tolist() == [1, 1]


def test_one_note_has_no_intervals_but_a_key(tune):
    got = {name: values[0] for name, values in yardstick_values(tune((0, 192))).items()}
    undefined = {name for name, value in got.items() if np.isnan(value)}
    assert undefined == {
        "mean_interval", "mean_absolute_interval", "repeated_note_share", "step_share",
        "third_share", "leap_share", "rising_share", "turn_share", "leaps_resolved",
        "interval_entropy", "npvi", "ends_by_step", "endings_rhyme",
    }  # fmt: skip
    assert got["key_clarity"] > 0.6


def test_no_melodies_is_said(tune):
    with pytest.raises(ValueError, match="no melodies"):
        yardstick_means([])


def test_many_at_once_equal_one_by_one(random_melodies):
    melodies = random_melodies(60)
    together = yardstick_values(melodies)
    for number, melody in enumerate(melodies):
        for name, values in yardstick_values(melody).items():
            assert values[0] == pytest.approx(together[name][number], abs=1e-12, nan_ok=True), name


def test_values_stay_within_their_units(random_melodies, real_melodies):
    values = yardstick_values(random_melodies(400) + real_melodies)
    for name, yardstick in YARDSTICKS.items():
        known = values[name][~np.isnan(values[name])]
        low, high = {"share": (0, 1), "yes": (0, 1), "r": (-1, 1), "0 to 200": (0, 200)}.get(
            yardstick.unit, (-40, 80)
        )
        assert known.min() >= low - 1e-12, name
        assert known.max() <= high + 1e-12, name
        assert len(np.unique(known)) > 1, name
        if yardstick.unit == "yes":
            assert set(known) == {0, 1}, name


def test_tonic_does_not_matter(random_melodies):
    melodies = random_melodies(40)
    for tonic in (TONIC_MIDI_MIN, TONIC_MIDI_MAX):
        moved = yardstick_values([replace(melody, tonic_midi=tonic) for melody in melodies])
        for name, values in yardstick_values(melodies).items():
            assert np.array_equal(values, moved[name], equal_nan=True), name


def test_octave_changes_the_register_only(tune):
    melody = tune(*TWINKLE)
    moved = yardstick_values(
        Melody(
            melody.header,
            tuple(replace(n, pitch=n.pitch + 12) for n in melody.notes),
            melody.tonic_midi,
        )
    )
    for name, values in yardstick_values(melody).items():
        shift = 12 if name == "mean_pitch" else 0
        assert moved[name][0] == pytest.approx(values[0] + shift, nan_ok=True), name


def plain_repeated_bars(melody):
    bars = [[] for _ in range(melody.header.bars)]
    at = melody.header.start_ticks
    for segment in melody.segments():
        if segment.bar >= 0 and segment.pitch is not None:
            content = (at % melody.header.bar_ticks, segment.duration_ticks, segment.pitch)
            bars[segment.bar].append((*content, segment.held))
        at += segment.duration_ticks
    return sum(bar in bars[:place] for place, bar in enumerate(bars)) / len(bars)


def plain_halves_alike(melody):
    half = melody.header.bars * melody.header.bar_ticks // 2
    first = {(n.onset_ticks, n.pitch) for n in melody.notes if 0 <= n.onset_ticks < half}
    second = {(n.onset_ticks - half, n.pitch) for n in melody.notes if n.onset_ticks >= half}
    if not first and not second:
        return np.nan
    return 2 * len(first & second) / (len(first) + len(second))


def plain_turns(melody):
    moves = [b.pitch - a.pitch for a, b in pairwise(melody.notes) if a.pitch != b.pitch]
    turns = [a * b < 0 for a, b in pairwise(moves)]
    return np.mean(turns) if turns else np.nan


def plain_autocorrelation(melody):
    pitch = np.array([n.pitch for n in melody.notes], float)
    pitch -= pitch.mean()
    return (pitch[2:] * pitch[:-2]).sum() / (pitch**2).sum() if pitch.any() else 0


def plain_scale_run(melody):
    longest = run = 1
    way = 0
    for a, b in pairwise(melody.notes):
        step = b.pitch - a.pitch
        now = int(np.sign(step)) if abs(step) in (1, 2) else 0
        run = (run + 1 if now == way else 2) if now else 1
        way = now
        longest = max(longest, run)
    return longest


def plain_in_key(melody):
    scale = MODE_SCALES[melody.header.mode]
    return np.mean([n.pitch % 12 in scale for n in melody.notes])


def plain_slope(melody):
    middle = [n.onset_ticks + n.duration_ticks / 2 for n in melody.notes]
    pitch = [n.pitch for n in melody.notes]
    if len(set(pitch)) == 1:
        return 0
    ticks = [n.duration_ticks for n in melody.notes]
    covariance = np.cov(middle, pitch, aweights=ticks, bias=True)
    return covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("repeated_bar_share", plain_repeated_bars),
        ("halves_alike", plain_halves_alike),
        ("turn_share", plain_turns),
        ("autocorrelation_2", plain_autocorrelation),
        ("longest_scale_run", plain_scale_run),
        ("in_key_share", plain_in_key),
        ("slope", plain_slope),
    ],
)
def test_arrays_agree_with_plain_python(name, plain, random_melodies, real_melodies):
    melodies = random_melodies(200) + real_melodies[:150]
    expected = [plain(melody) for melody in melodies]
    assert YARDSTICKS[name].measure(melodies) == pytest.approx(expected, nan_ok=True, abs=1e-9)


def test_cells_are_the_segments_of_the_melody(random_melodies):
    melodies = random_melodies(100)
    cells = note_table(melodies).cells
    expected = [
        (number, segment.bar, segment.pitch, segment.duration_ticks, segment.held)
        for number, melody in enumerate(melodies)
        for segment in melody.segments()
        if segment.pitch is not None
    ]
    ticks, held = cells.rhythm >> 1 & 127, cells.rhythm & 1
    got = zip(cells.of, cells.bar, cells.pitch, ticks, held, strict=True)
    assert list(got) == expected


def as_stream(melody):
    return stream.Stream(
        [
            note.Note(melody.tonic_midi + n.pitch, quarterLength=n.duration_ticks / 24)
            for n in melody.notes
        ]
    )


def test_music21_finds_the_same_keys_ranges_and_intervals(real_melodies):
    melodies = real_melodies[::12]
    finder = analysis.discrete.KrumhanslSchmuckler()
    correlations = key.key_correlations(melodies)
    ranges = contour.range_semitones(melodies)
    sizes = contour.mean_absolute_interval(melodies)
    assert len(melodies) > 25
    for melody, mine, span, size in zip(melodies, correlations, ranges, sizes, strict=True):
        score = as_stream(melody)
        theirs = finder.getSolution(score)
        mode, tonic_class = divmod(int(mine.argmax()), 12)
        pitch_class = (melody.tonic_midi + tonic_class) % 12
        assert (pitch_class, key.PROFILE_MODES[mode]) == (theirs.tonic.pitchClass, theirs.mode)
        assert mine.max() == pytest.approx(theirs.correlationCoefficient)
        assert span == analysis.discrete.Ambitus().getSolution(score).semitones
        steps = [abs(step.semitones) for step in score.melodicIntervals()]
        assert size == pytest.approx(np.mean(steps))


def test_means_leave_out_what_is_undefined(tune):
    melodies = [tune((0, 192)), tune(*TWINKLE), tune(*[(p, 24) for p in range(8)])]
    means, errors = yardstick_means(melodies), yardstick_standard_errors(melodies)
    assert list(means) == list(errors) == list(YARDSTICKS)
    assert means["step_share"] == pytest.approx((2 / 6 + 1) / 2)
    assert errors["step_share"] == pytest.approx(np.std([2 / 6, 1], ddof=1) / np.sqrt(2))
    assert np.isnan(means["leaps_resolved"])
    assert np.isnan(yardstick_standard_errors(tune((0, 192)))["range_semitones"])


def test_real_tunes_repeat_close_and_keep_their_key(real_melodies):
    means = yardstick_means(
        [m for m in real_melodies if m.header.bars == 8 and m.header.meter == "4/4"]
    )
    assert means["in_key_share"] > 0.97
    assert 0.15 < means["repeated_bar_share"] < 0.3
    assert 0.7 < means["ends_on_tonic"] < 0.9
    assert 15 < means["range_semitones"] < 18


def test_notes_of_the_fixture_are_the_hand_made_ones(tune):
    assert tune(*TWINKLE).notes[-1] == Note(144, 48, 7)


@pytest.mark.parametrize(
    ("mode", "pitches", "in_key", "in_triad"),
    [
        ("lydian", (0, 4, 6, 7), 1.0, 0.75),
        ("phrygian", (0, 1, 3, 7), 1.0, 0.75),
        ("locrian", (0, 3, 6, 7), 0.75, 0.75),  # its fifth is diminished
    ],
)
def test_every_mode_has_its_own_scale_and_triad(tune, mode, pitches, in_key, in_triad):
    melody = tune(*((pitch, 48) for pitch in pitches), mode=mode)
    assert YARDSTICKS["in_key_share"].measure(melody)[0] == in_key
    assert YARDSTICKS["triad_share"].measure(melody)[0] == in_triad


@pytest.mark.parametrize(
    ("meter", "beats_a_bar"), [("2/2", 2), ("6/4", 2), ("3/8", 1), ("7/8", 7), ("5/4", 5)]
)
def test_beats_are_those_of_the_metre(tune, meter, beats_a_bar):
    bar_ticks = BAR_TICKS[meter]
    melody = tune((0, bar_ticks), (4, bar_ticks), meter=meter, bars=2)
    assert YARDSTICKS["final_note_beats"].measure(melody)[0] == beats_a_bar
    assert YARDSTICKS["notes_per_beat"].measure(melody)[0] == pytest.approx(1 / beats_a_bar)
