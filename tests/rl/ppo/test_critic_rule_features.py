"""What rules have seen so far: as the whole melody has it at its end, without a look ahead."""

import numpy as np
import pytest

from music.descriptors import contour
from music.descriptors.motifs import motif_steps
from music.note_table import note_table
from rl.ppo.critic_rule_features import LAGS, RULE_FEATURES, rule_features

TONIC, OPEN, FAR, RESOLVED, DOUBLED, MOTIF, NO_MOTIF, AGE = 0, 4, 5, 6, 7, 8, 9, 10


def arrays(melodies):
    """Pitches, onsets from the beginning, ticks of the whole and the number of each last note."""
    most = max(len(m.notes) for m in melodies)
    pitch, onset = (np.zeros((len(melodies), most), np.int64) for _ in range(2))
    t = note_table(melodies)
    for row, (first, count) in enumerate(zip(t.first.tolist(), t.count.tolist(), strict=True)):
        pitch[row, :count] = t.pitch[first : first + count]
        onset[row, :count] = t.onset[first : first + count] + t.pickup_ticks[row]
    return pitch, onset, t.total_ticks.astype(float), t.count - 1


def at_the_end(melodies):
    *given, last = arrays(melodies)
    return rule_features(*given)[np.arange(len(melodies)), last]


def test_at_the_end_they_are_the_yardsticks(random_melodies):
    melodies = random_melodies(60, seed=5)
    found, t = at_the_end(melodies), note_table(melodies)
    assert found.shape == (60, RULE_FEATURES)
    for place, lag in enumerate(LAGS, start=1):
        np.testing.assert_allclose(found[:, place], contour.autocorrelation(t, lag), atol=1e-9)
    resolved, doubled = contour.leap_outcomes(t)
    assert resolved.any()
    assert doubled.any()
    np.testing.assert_allclose(found[:, [RESOLVED, DOUBLED]].T * 3, [resolved, doubled])


def test_motifs_are_counted_until_the_last_note(tune):
    """Eighths c d e d c d e d: the window has three pitches from the third note on, to the end."""
    *given, _ = arrays([tune(*[(pitch, 12) for pitch in (0, 2, 4, 2) * 4])])
    share = rule_features(*given)[0, :, MOTIF]
    np.testing.assert_allclose(share[:4] * 192, [0, 0, 0, 12])
    assert share[-1] * 192 == pytest.approx(13 * 12)


def test_windows_without_a_motif_are_counted_once_one_has_ended(tune):
    """Eighths c d c d ... are in none; a window is 48 ticks, and none ends in the first 48."""
    *given, _ = arrays([tune(*[(pitch, 12) for pitch in (0, 2) * 8])])
    root = rule_features(*given)[0, :, NO_MOTIF]
    np.testing.assert_allclose(root[:6] ** 2 * 192, [0, 0, 0, 0, 0, 12], atol=1e-9)
    *given, _ = arrays([tune(*[(pitch, 12) for pitch in (0, 2, 4, 2) * 3], (0, 48))])
    assert not rule_features(*given)[0, :, NO_MOTIF].any()


def test_a_motif_lasts_as_long_as_its_third_latest_pitch(tune):
    """Quarters c d e e e e e e: the third latest pitch, c at 0, leaves the window at 48."""
    *given, _ = arrays([tune(*[(pitch, 24) for pitch in (0, 2, 4, 4, 4, 4, 4, 4)])])
    root = rule_features(*given)[0, :, NO_MOTIF]
    np.testing.assert_allclose(root**2 * 192, [0, 0, 0, 24, 48, 72, 96, 120], atol=1e-9)


def test_motifs_by_time_are_nearly_those_by_sixteenths(real_melodies):
    """They differ by the last note's and by windows that end within a sixteenth."""
    found = motif_steps(real_melodies)
    by_time = at_the_end(real_melodies)[:, MOTIF]
    assert np.corrcoef(by_time, found.motif / found.steps)[0, 1] > 0.97


def test_a_leap_by_hand(tune):
    """Up an octave and on (doubled), back late (resolved); down an octave and back too soon."""
    pitches = (0, 12, 24, 23, 12, 0, 12, 12)
    *given, _ = arrays([tune(*[(pitch, 24) for pitch in pitches])])
    features = rule_features(*given)[0]
    assert features[:, OPEN].tolist() == [0, 1, 1, 1, 0, 1, 0, 0]
    np.testing.assert_allclose(features[:, FAR] * 12, [0, 12, 24, 23, 0, 12, 0, 0])
    np.testing.assert_allclose(features[:, DOUBLED] * 3, [0, 0, 1, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(features[:, RESOLVED] * 3, [0, 0, 0, 0, 1, 1, 1, 1])


@pytest.mark.parametrize(("first", "share"), [(0, 1), (12, 1), (-12, 1), (7, 0)])
def test_the_first_note_is_remembered(tune, first, share):
    *given, _ = arrays([tune((first, 24), *[(2, 24)] * 7)])
    assert rule_features(*given)[0, :, TONIC].tolist() == [share] * 8


def test_the_third_latest_pitch_gets_older(tune):
    *given, _ = arrays([tune(*[(pitch, 24) for pitch in (0, 2, 4, 4, 4, 4, 4, 4)])])
    assert rule_features(*given)[0, :, AGE].tolist() == [2, 2, 1, 1.5, 2, 2, 2, 2]


def test_what_comes_later_is_not_known(random_melodies):
    pitch, onset, whole, _ = arrays(random_melodies(20, seed=6))
    later = pitch.copy()
    later[:, 8:] = later[:, 8:][:, ::-1]
    one, two = rule_features(pitch, onset, whole), rule_features(later, onset, whole)
    np.testing.assert_array_equal(one[:, :8], two[:, :8])
    assert not np.array_equal(one, two)
