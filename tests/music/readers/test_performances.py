"""MIDI files of real melodies, played by code: with jitter, rubato, swing, or at another tempo.

The thresholds are those of docs/reading.md; a quarter is 500 ms at 120 a minute.
"""

import math
import random

import mido
import pytest

from music.readers import read_tunes
from tests.music.readers.written import KEY, midi


@pytest.fixture(scope="module")
def melodies(real_melodies):
    whole = [
        melody
        for melody in real_melodies
        if not melody.header.pickup_ticks
        and melody.header.meter == "4/4"
        and all(n.onset_ticks % 6 == 0 or n.onset_ticks % 8 == 0 for n in melody.notes)
    ]
    return random.Random(0).sample(whole, 12)


def played(melody, warp=lambda quarters: quarters, jitter_quarters=0.0, seed=0):
    """A file of it: onsets moved by `warp` and at random, notes detached."""
    draw = random.Random(seed)
    notes = []
    for note in melody.notes:
        onset, end = warp(note.onset_ticks / 24), warp(note.end_ticks / 24)
        length = (end - onset) * draw.uniform(0.7, 1.0)
        onset = max(0.0, onset + draw.gauss(0, jitter_quarters))
        notes.append((onset, onset + length, 62 + note.pitch))
    meter = (0.0, mido.MetaMessage("time_signature", numerator=4, denominator=4))
    return midi(sorted(notes), meta=[meter, KEY])


def shares(tmp_path, melodies, **how):
    """Of the files that are read, and of the onsets in them that are right."""
    read = right = onsets = 0
    file = tmp_path / "played.mid"
    for seed, melody in enumerate(melodies):
        file.write_bytes(played(melody, seed=seed, **how))
        tunes, refusals = read_tunes(file)
        if not tunes:
            assert [r.reason for r in refusals] == ["no beat"]
            continue
        read += 1
        found, at, tied = set(), 0, False
        for note in (n for s in tunes[0].sections for bar in s.bars for n in bar.notes):
            if note.midi is not None and not tied:
                found.add((at, note.midi))
            at, tied = at + note.duration_ticks, note.tied
        wanted = {(note.onset_ticks, 62 + note.pitch) for note in melody.notes}
        onsets += len(wanted)
        right += len(wanted & found)
    return read / len(melodies), right / max(1, onsets)


def rubato(depth):
    """The tempo swells and sinks over four bars, by this share."""
    return lambda at: at + depth * 16 / (2 * math.pi) * math.sin(2 * math.pi * at / 16)


def swing(share):
    """Of two eighths the first has this share of a quarter."""

    def warp(at):
        quarter, inside = divmod(at, 1)
        if inside < 0.5:
            return quarter + inside * 2 * share
        return quarter + share + (inside - 0.5) * 2 * (1 - share)

    return warp


@pytest.mark.parametrize(
    "how",
    [
        {"jitter_quarters": 0.01},
        {"jitter_quarters": 0.02},
        {"jitter_quarters": 0.03},
        {"warp": rubato(0.01)},
        {"warp": swing(0.55)},
    ],
    ids=["jitter 5 ms", "jitter 10 ms", "jitter 15 ms", "a little rubato", "a little swing"],
)
def test_a_performance_with_a_beat_is_read(tmp_path, melodies, how):
    read, right = shares(tmp_path, melodies, **how)
    assert read >= 0.95
    assert right >= 0.98


@pytest.mark.parametrize(
    "how",
    [
        {"jitter_quarters": 0.1},
        {"warp": rubato(0.05)},
        {"warp": lambda at: 1.07 * at},
        {"warp": lambda at: 0.93 * at},
        {"warp": lambda at: 1.31 * at},
        {"warp": lambda at: at * (1 + at / 320)},
    ],
    ids=["jitter 50 ms", "rubato", "slower", "faster", "much slower", "a tempo that sinks"],
)
def test_a_performance_without_a_beat_is_refused(tmp_path, melodies, how):
    assert shares(tmp_path, melodies, **how)[0] <= 0.05


def test_what_is_read_of_a_performance_at_the_limit_is_mostly_right(tmp_path, melodies):
    read, right = shares(tmp_path, melodies, jitter_quarters=0.04)
    assert read >= 0.3
    assert right >= 0.95


def test_swing_is_read_as_it_sounds(tmp_path, melodies):
    """Eighths of two to one are triplets."""
    file = tmp_path / "swung.mid"
    eighths = [
        melody for melody in melodies if {n.onset_ticks % 24 for n in melody.notes} == {0, 12}
    ]
    assert eighths
    for melody in eighths[:5]:
        file.write_bytes(played(melody, swing(2 / 3)))
        (tune,), _ = read_tunes(file)
        at, onsets = 0, set()
        for note in (n for s in tune.sections for bar in s.bars for n in bar.notes):
            if note.midi is not None:
                onsets.add(at % 24)
            at += note.duration_ticks
        assert 16 in onsets
        assert 12 not in onsets
