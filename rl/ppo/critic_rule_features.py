"""What the rules of music theory count so far, note by note: beginning, variety, leaps, motifs.

The counts are those of `music.descriptors.contour` and `music.descriptors.motifs`, but up to each
note, and motifs by time and not by sixteenths. A feature is between some tenths and some
units in size.

Letters: B melodies, N notes of the longest, F features.
"""

from __future__ import annotations

import numpy as np

from music.descriptors.contour import LEAP_BACK_TICKS, LEAP_SEMITONES
from music.descriptors.motifs import STEP_TICKS, WINDOW_STEPS

RULE_FEATURES = 11
"""how many there are: see `rule_features`"""
LAGS = (1, 2, 3)
"""notes from one to the other that autocorrelation compares"""
_NEVER, _NO_PITCH = -10_000, -1_000
_WINDOW_TICKS = WINDOW_STEPS * STEP_TICKS


def rule_features(pitch_BN: np.ndarray, onset_BN: np.ndarray, whole_B: np.ndarray) -> np.ndarray:
    """Features of each melody up to and with each note's beginning; float64 (B, N, F).

    In order: whether it began on the tonic; autocorrelation at each of `LAGS`; whether a leap is
    open, how far it is from home in octaves, leaps resolved and doubled (thirds); the share of the
    whole in which three pitches began within a window's length, be a window over or not; the root
    of the share that ended windows without a motif; how long ago the third latest pitch began, in
    windows, at most two.

    Args:
        pitch_BN: semitones above the tonic, right-padded with anything.
        onset_BN: ticks from the beginning.
        whole_B: ticks of the whole melodies.
    """
    tonic_BN = np.broadcast_to(pitch_BN[:, :1] % 12 == 0, pitch_BN.shape)
    return np.stack(
        [
            tonic_BN,
            *autocorrelations(pitch_BN),
            *_leaps(pitch_BN, onset_BN),
            *_motifs(pitch_BN, onset_BN, whole_B),
        ],
        axis=-1,
        dtype=np.float64,
    )


def autocorrelations(pitch_BN: np.ndarray) -> list[np.ndarray]:
    """Autocorrelation of the pitches so far at each of `LAGS`, 0 for a constant; (B, N) each."""
    pitch_BN = pitch_BN.astype(np.float64)
    count_N = np.arange(1.0, pitch_BN.shape[1] + 1)
    mean_BN = pitch_BN.cumsum(1) / count_N
    power_BN = (pitch_BN**2).cumsum(1) - count_N * mean_BN**2
    some_BN = power_BN > 1e-6  # below it is rounding
    found: list[np.ndarray] = []
    for lag in LAGS:
        product_BN, sum_BN = np.zeros_like(pitch_BN), np.zeros_like(pitch_BN)
        product_BN[:, lag:] = (pitch_BN[:, lag:] * pitch_BN[:, :-lag]).cumsum(1)
        sum_BN[:, lag:] = (pitch_BN[:, lag:] + pitch_BN[:, :-lag]).cumsum(1)
        pairs_N = (count_N - lag).clip(min=0)
        covariance_BN = product_BN - mean_BN * sum_BN + pairs_N * mean_BN**2
        found.append(np.where(some_BN, covariance_BN / np.where(some_BN, power_BN, 1), 0))
    return found


def _leaps(pitch_BN: np.ndarray, onset_BN: np.ndarray) -> list[np.ndarray]:
    """Open, distance from home in octaves, resolved and doubled; (B, N) each."""
    shape = pitch_BN.shape
    way_B, home_B, since_B = (np.zeros(shape[0], np.int64) for _ in range(3))
    resolved_B, doubled_B = np.zeros(shape[0]), np.zeros(shape[0])
    is_open, far, resolved, doubled = (np.zeros(shape) for _ in range(4))
    for note in range(1, shape[1]):
        now_B, before_B = pitch_BN[:, note], pitch_BN[:, note - 1]
        step_B = now_B - before_B
        leap_B = np.sign(step_B) * (abs(step_B) >= LEAP_SEMITONES)
        opens_B = (leap_B != 0) & (way_B == 0)
        doubles_B = (leap_B != 0) & (leap_B == way_B)
        back_B = (leap_B != 0) & (leap_B == -way_B)
        home_again_B = (leap_B == 0) & (way_B != 0) & ((now_B - home_B) * way_B <= 0)
        late_B = onset_BN[:, note] - since_B >= LEAP_BACK_TICKS
        resolved_B = resolved_B + ((back_B & late_B) | home_again_B)
        doubled_B = doubled_B + doubles_B
        way_B = np.where(opens_B, leap_B, np.where(back_B | home_again_B, 0, way_B))
        home_B = np.where(opens_B, before_B, home_B)
        since_B = np.where(leap_B != 0, onset_BN[:, note], since_B)
        is_open[:, note] = way_B != 0
        far[:, note] = np.where(way_B != 0, abs(now_B - home_B), 0) / 12
        resolved[:, note], doubled[:, note] = resolved_B / 3, doubled_B / 3
    return [is_open, far, resolved, doubled]


def _motifs(pitch_BN: np.ndarray, onset_BN: np.ndarray, whole_B: np.ndarray) -> list[np.ndarray]:
    """Share that ended motifs, root of what ended none, the third pitch's age; (B, N) each."""
    shape = pitch_BN.shape
    latest_B, second_B = (np.full(shape[0], _NO_PITCH) for _ in range(2))
    latest_onset_B, second_onset_B, third_onset_B = (np.full(shape[0], _NEVER) for _ in range(3))
    earned_B, missed_B = np.zeros(shape[0]), np.zeros(shape[0])
    share, root, age = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for note in range(shape[1]):
        now_B, pitch_B = onset_BN[:, note], pitch_BN[:, note]
        if note:
            before_B, end_B = onset_BN[:, note - 1], third_onset_B + _WINDOW_TICKS
            earned_B = earned_B + (np.minimum(end_B, now_B) - before_B).clip(min=0)
            # No window has ended before the first has.
            begin_B = np.maximum(np.maximum(before_B, end_B), _WINDOW_TICKS)
            missed_B = missed_B + (now_B - begin_B).clip(min=0)
        again_B = pitch_B == latest_B
        third_onset_B = np.where(again_B | (pitch_B == second_B), third_onset_B, second_onset_B)
        second_onset_B = np.where(again_B, second_onset_B, latest_onset_B)
        second_B = np.where(again_B, second_B, latest_B)
        latest_B, latest_onset_B = pitch_B, now_B
        share[:, note] = earned_B / whole_B
        root[:, note] = np.sqrt(missed_B / whole_B)
        age[:, note] = ((now_B - third_onset_B) / _WINDOW_TICKS).clip(max=2)
    return [share, root, age]
