"""Tempo: usual ones by style and metre, and one tempo for both melodies of a pair."""

from itertools import combinations_with_replacement

import pytest

from music.melody import Header
from music.metre import METERS
from music.styles import OTHER
from music.tempo import (
    STYLE_TEMPO_BPM,
    TEMPO_MAX_BPM,
    TEMPO_MIN_BPM,
    default_tempo_bpm,
    duration_seconds,
    pair_tempos_bpm,
    quarter_microseconds,
)

HEADERS = [Header(meter, style=style) for style, meter in STYLE_TEMPO_BPM]
HEADERS += [Header(meter, style=OTHER) for meter in METERS]


def test_a_quarter_lasts_as_long_in_both_melodies_of_any_pair():
    for one, other in combinations_with_replacement(HEADERS, 2):
        tempos = pair_tempos_bpm(one, other)
        assert all(TEMPO_MIN_BPM <= tempo <= TEMPO_MAX_BPM for tempo in tempos)
        quarters = [
            quarter_microseconds(header, tempo)
            for header, tempo in zip((one, other), tempos, strict=True)
        ]
        assert quarters[0] == quarters[1]
        assert pair_tempos_bpm(other, one) == tempos[::-1]


def test_melodies_of_one_usual_tempo_keep_it():
    for header in HEADERS:
        tempo, same = pair_tempos_bpm(header, header)
        assert tempo == same == pytest.approx(default_tempo_bpm(header), rel=1e-5)
        assert quarter_microseconds(header, tempo) == quarter_microseconds(header), "same sound"


def test_both_are_equally_far_from_their_usual_tempos():
    """A waltz at 138 quarters a minute beside a reel at 200: both at the geometric mean, 166.1."""
    waltz, reel = Header("3/4", style="waltz"), Header("4/4", style="reel")
    assert pair_tempos_bpm(waltz, reel) == pytest.approx((166.13, 166.13), abs=0.01)


def test_a_tune_written_in_halves_is_heard_as_the_same_in_quarters():
    """Two bars of 2/2 last as long as two of 4/4, where one beat is a half and the other none."""
    alla_breve, common = Header("2/2"), Header("4/4")
    slow, fast = pair_tempos_bpm(alla_breve, common)
    assert fast == pytest.approx(2 * slow)
    assert duration_seconds(alla_breve, slow) == duration_seconds(common, fast)
