"""Contour: how a melody moves in pitch.

Conventions: an interval is the signed distance in semitones from a note to the next; rests between
them are ignored. A step is 1 or 2 semitones. A leap, as in RL Tuner, is 7 or more, but `leap_share`
counts only intervals *over* a fifth, more than 7. Shares of intervals are NaN for a single note.
Correlations are 0 where the pitch never changes. Yardsticks return float64 (N,).

Literature: Jaques et al., Tuning Recurrent Neural Networks with Reinforcement Learning (RL Tuner),
ICLR 2017 submission, and its public code; Huron, The melodic arch in Western folksongs, Computing
in Musicology 10 (1996); Müllensiefen, FANTASTIC, 2009 (entropies of intervals and pitches).
"""

from __future__ import annotations

import numpy as np

from music.note_table import Melodies, NoteTable, divide, entropy_bits, note_table

LEAP_SEMITONES = 7
LEAP_BACK_TICKS = 48
"""eight sixteenths: RL Tuner waits for more than six between two leaps"""
EXCESSIVE_REPEATS = 4
USUAL_RESOLVED_SHARE = 0.86
"""of the leaps in real tunes, half of which have none that was resolved or doubled"""


def mean_pitch(melodies: Melodies) -> np.ndarray:
    """Mean pitch in semitones above the tonic, weighted by duration."""
    t = note_table(melodies)
    return t.sums(t.pitch * t.duration) / t.sums(t.duration)


def range_semitones(melodies: Melodies) -> np.ndarray:
    """Highest minus lowest pitch (ambitus)."""
    t = note_table(melodies)
    high, low = _extremes(t)
    return (high - low).astype(np.float64)


def distinct_pitches(melodies: Melodies) -> np.ndarray:
    """How many different pitches there are."""
    t = note_table(melodies)
    kinds = np.unique(t.of * 64 + t.pitch + 12)
    return np.bincount(kinds // 64, minlength=len(t)).astype(np.float64)


def mean_interval(melodies: Melodies) -> np.ndarray:
    """Mean interval in semitones, falls counting down."""
    t = note_table(melodies)
    return t.interval_means(t.interval)


def mean_absolute_interval(melodies: Melodies) -> np.ndarray:
    """Mean size of the intervals in semitones."""
    t = note_table(melodies)
    return t.interval_means(abs(t.interval))


def largest_interval(melodies: Melodies) -> np.ndarray:
    """Size of the largest interval in semitones, 0 for a single note."""
    t = note_table(melodies)
    sizes = np.zeros(len(t))
    np.maximum.at(sizes, t.interval_of, abs(t.interval).astype(np.float64))
    return sizes


def repeated_note_share(melodies: Melodies) -> np.ndarray:
    """Share of intervals that stay on the same pitch."""
    t = note_table(melodies)
    return t.interval_means(t.interval == 0)


def step_share(melodies: Melodies) -> np.ndarray:
    """Share of intervals that are steps, 1 or 2 semitones."""
    t = note_table(melodies)
    return t.interval_means(_is_step(t))


def third_share(melodies: Melodies) -> np.ndarray:
    """Share of intervals that are thirds, 3 or 4 semitones."""
    t = note_table(melodies)
    return t.interval_means((abs(t.interval) == 3) | (abs(t.interval) == 4))


def leap_share(melodies: Melodies) -> np.ndarray:
    """Share of intervals over a fifth, more than 7 semitones."""
    t = note_table(melodies)
    return t.interval_means(abs(t.interval) > LEAP_SEMITONES)


def rising_share(melodies: Melodies) -> np.ndarray:
    """Share of the moving intervals that go up, NaN where none moves (descents are the rest)."""
    t = note_table(melodies)
    up = np.bincount(t.interval_of, t.interval > 0, len(t))
    return divide(up, np.bincount(t.interval_of, t.interval != 0, len(t)))


def turn_share(melodies: Melodies) -> np.ndarray:
    """Share of neighbouring moving intervals that change direction; repeated notes are skipped."""
    t = note_table(melodies)
    moving = t.interval != 0
    sign, of = np.sign(t.interval[moving]), t.interval_of[moving]
    same = of[1:] == of[:-1]
    owner = of[1:][same]
    turns = np.bincount(owner, (sign[1:] != sign[:-1])[same], len(t))
    return divide(turns, np.bincount(owner, minlength=len(t)))


def longest_scale_run(melodies: Melodies) -> np.ndarray:
    """Notes of the longest run of steps in one direction, 1 where there is no step."""
    t = note_table(melodies)
    longest = np.ones(len(t))
    kind = np.where(_is_step(t), np.sign(t.interval), 0)
    if len(kind) == 0:
        return longest
    changes = (np.diff(kind) != 0) | (np.diff(t.interval_of) != 0)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    lengths = np.diff(starts, append=len(kind)) + 1.0
    steps = kind[starts] != 0
    np.maximum.at(longest, t.interval_of[starts][steps], lengths[steps])
    return longest


def excessive_repeat_share(melodies: Melodies) -> np.ndarray:
    """Share of notes after more than four of the same pitch (RL Tuner: excessively repeated).

    Differs: RL Tuner allows more where rests or held notes lie between; here they make no
    difference.
    """
    t = note_table(melodies)
    place = np.arange(len(t.pitch))
    new = np.diff(t.pitch, prepend=t.pitch[0]) != 0
    new[t.first] = True
    before = place - np.maximum.accumulate(np.where(new, place, 0))
    return t.shares(before > EXCESSIVE_REPEATS)


def leaps_resolved(melodies: Melodies) -> np.ndarray:
    """Resolved / (resolved + doubled) leaps (RL Tuner), NaN without any; see `leap_outcomes`."""
    resolved, doubled = leap_outcomes(melodies)
    return divide(resolved, resolved + doubled)


def shrunk_resolved_share(melodies: Melodies, *, prior_leaps: float) -> np.ndarray:
    """The share of resolved leaps, shrunk towards the usual rate by `prior_leaps` added leaps.

    Few melodies have more than two leaps, so the plain share is mostly chance.
    """
    resolved, doubled = leap_outcomes(melodies)
    usual = prior_leaps * USUAL_RESOLVED_SHARE
    return (resolved + usual) / (resolved + doubled + prior_leaps)


def leap_outcomes(melodies: Melodies) -> tuple[np.ndarray, np.ndarray]:
    """Leaps resolved and leaps doubled in each melody; two float64 (N,).

    As in RL Tuner's code, a leap stays open until the melody returns to the note before the leap
    (resolved) or leaps back. A leap back resolves it after eight sixteenths or more; before that it
    only closes it. Another leap in the same direction doubles it, and it stays open.
    """
    t = note_table(melodies)
    pitches, onsets = t.pitch.tolist(), t.onset.tolist()
    resolved, doubled = np.zeros(len(t)), np.zeros(len(t))
    leaping = np.bincount(t.interval_of, abs(t.interval) >= LEAP_SEMITONES, len(t)) > 0
    for number in np.flatnonzero(leaping).tolist():
        direction = left = since = 0
        first = int(t.first[number])
        for place in range(first + 1, first + int(t.count[number])):
            interval = pitches[place] - pitches[place - 1]
            if abs(interval) >= LEAP_SEMITONES:
                way = 1 if interval > 0 else -1
                if direction == way:
                    doubled[number] += 1
                elif direction:
                    resolved[number] += onsets[place] - since >= LEAP_BACK_TICKS
                    direction = 0
                else:
                    direction, left = way, pitches[place - 1]
                since = onsets[place]
            elif direction and (pitches[place] - left) * direction <= 0:
                resolved[number] += 1
                direction = 0
    return resolved, doubled


def interval_entropy(melodies: Melodies) -> np.ndarray:
    """Entropy of the signed intervals in bits."""
    t = note_table(melodies)
    return entropy_bits(t.interval_of, t.interval, len(t))


def pitch_class_entropy(melodies: Melodies) -> np.ndarray:
    """Entropy of the notes' pitch classes in bits, at most log2(12)."""
    t = note_table(melodies)
    return entropy_bits(t.of, t.pitch % 12, len(t))


def autocorrelation(melodies: Melodies, lag: int) -> np.ndarray:
    """Autocorrelation of the sequence of pitches at a lag in notes (RL Tuner), -1 to 1.

    Differs: RL Tuner's sequence is one event a sixteenth, so that a held note counts again.

    Raises:
        ValueError: for a lag below 1.
    """
    if lag < 1:
        raise ValueError(f"lag={lag} is not a distance between two notes; choose 1 or more")
    t = note_table(melodies)
    centred = t.pitch - (t.sums(t.pitch) / t.count)[t.of]
    pairs = t.of[lag:] == t.of[:-lag]
    products = (centred[lag:] * centred[:-lag])[pairs]
    covariance = np.bincount(t.of[lag:][pairs], products, len(t))
    return np.nan_to_num(divide(covariance, t.sums(centred**2)))


def slope(melodies: Melodies) -> np.ndarray:
    """Correlation of pitch with time, weighted by duration: 1 rises all along, -1 falls."""
    t = note_table(melodies)
    return _pitch_correlation(t, _time(t))


def arch(melodies: Melodies) -> np.ndarray:
    """How much pitch is highest in the middle (Huron 1996): 1 is an arch, -1 a valley.

    The correlation of pitch with minus the second Legendre polynomial of time, weighted by
    duration.
    """
    t = note_table(melodies)
    return _pitch_correlation(t, -1.5 * _time(t) ** 2)


def unique_maximum(melodies: Melodies) -> np.ndarray:
    """1 where the highest pitch stands once (RL Tuner), else 0."""
    t = note_table(melodies)
    return (t.sums(t.pitch == _extremes(t)[0][t.of]) == 1).astype(np.float64)


def unique_minimum(melodies: Melodies) -> np.ndarray:
    """1 where the lowest pitch stands once (RL Tuner), else 0."""
    t = note_table(melodies)
    return (t.sums(t.pitch == _extremes(t)[1][t.of]) == 1).astype(np.float64)


def climax_position(melodies: Melodies) -> np.ndarray:
    """Where the highest pitch is first reached: 0 the start, 1 the end."""
    t = note_table(melodies)
    highest = np.flatnonzero(t.pitch == _extremes(t)[0][t.of])
    _, first = np.unique(t.of[highest], return_index=True)
    return (t.onset[highest[first]] + t.pickup_ticks) / t.total_ticks


def _is_step(t: NoteTable) -> np.ndarray:
    return (abs(t.interval) == 1) | (abs(t.interval) == 2)


def _extremes(t: NoteTable) -> tuple[np.ndarray, np.ndarray]:
    return np.maximum.reduceat(t.pitch, t.first), np.minimum.reduceat(t.pitch, t.first)


def _time(t: NoteTable) -> np.ndarray:
    """The middle of each note in the melody's time, -1 to 1; (M,)."""
    middle = t.onset + t.duration / 2 + t.pickup_ticks[t.of]
    return 2 * middle / t.total_ticks[t.of] - 1


def _pitch_correlation(t: NoteTable, other: np.ndarray) -> np.ndarray:
    """Correlation of pitch with another note value, weighted by duration; (M,) -> float64 (N,)."""
    weight = t.duration / t.sums(t.duration)[t.of]
    pitch = t.pitch - t.sums(weight * t.pitch)[t.of]
    other = other - t.sums(weight * other)[t.of]
    power = t.sums(weight * pitch**2) * t.sums(weight * other**2)
    # Below this it is rounding: one pitch, or two notes around the middle, where Legendre is even.
    power = np.where(power > 1e-12, power, 0.0)
    return np.nan_to_num(divide(t.sums(weight * pitch * other), np.sqrt(power)))
