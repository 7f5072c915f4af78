"""Tempo: how fast a melody is played by default, and at which tempos a pair is heard.

Tempo is in *beats* a minute, the beat being the metre's: see `music.metre.BEAT_TICKS`.

The melodies of a pair are at one tempo, because a tempo is no property of a melody: whoever likes
fast tunes would vote for a metre or a style. Where they have different metres, one tempo means
equal *written* notes: an eighth lasts as long in both. Of what could be equal this leaves melodies
nearest to their usual tempos: over pairs of training strains of different metres, each is played
1 % off its own at the median and 13 % at the 90th percentile. With equal beats both would be 22 %,
with equal bars 16 %.
"""

from __future__ import annotations

import math

from music.melody import TICKS_PER_QUARTER, Header

TEMPO_MIN_BPM, TEMPO_MAX_BPM = 20.0, 400.0
METER_TEMPO_BPM = {
    "2/2": 92.0, "3/2": 88.0, "2/4": 112.0, "3/4": 126.0, "4/4": 160.0, "5/4": 150.0, "6/4": 60.0,
    "3/8": 60.0, "6/8": 108.0, "7/8": 260.0, "9/8": 108.0, "12/8": 116.0,
}  # fmt: skip
"""beats a minute where the style says nothing"""
STYLE_TEMPO_BPM = {
    ("reel", "4/4"): 200.0,  # a little under two half notes a second, a dancing tempo
    ("reel", "2/2"): 100.0,
    ("reel", "2/4"): 120.0,
    ("hornpipe", "4/4"): 152.0,  # slower than a reel because of its dotted rhythms
    ("hornpipe", "2/2"): 76.0,
    ("hornpipe", "2/4"): 92.0,
    ("strathspey", "4/4"): 126.0,
    ("strathspey", "2/2"): 63.0,
    ("march", "4/4"): 116.0,  # walking pace
    ("march", "2/2"): 58.0,
    ("march", "2/4"): 104.0,
    ("march", "6/8"): 100.0,
    ("jig", "6/8"): 114.0,
    ("jig", "9/8"): 112.0,
    ("jig", "12/8"): 114.0,
    ("slipjig", "9/8"): 112.0,
    ("waltz", "3/4"): 138.0,
}
"""beats a minute by style and metre; slower than musicians play them in a session"""
US_PER_MINUTE = 60_000_000


def default_tempo_bpm(header: Header) -> float:
    """Beats (of `header.beat_ticks`) a minute that suit the style in its metre."""
    fallback = METER_TEMPO_BPM[header.meter]
    return STYLE_TEMPO_BPM.get((header.style, header.meter), fallback)


def quarter_microseconds(header: Header, tempo_bpm: float | None = None) -> int:
    """Length of a quarter note in µs, the unit of MIDI's tempo, for a tempo in beats a minute.

    Raises:
        ValueError: for a tempo outside `TEMPO_MIN_BPM`..`TEMPO_MAX_BPM`.
    """
    tempo = default_tempo_bpm(header) if tempo_bpm is None else tempo_bpm
    if not (math.isfinite(tempo) and TEMPO_MIN_BPM <= tempo <= TEMPO_MAX_BPM):
        raise ValueError(
            f"tempo_bpm={tempo!r} is not within {TEMPO_MIN_BPM:g}..{TEMPO_MAX_BPM:g} beats a "
            f"minute; {default_tempo_bpm(header):g} is usual for this tune"
        )
    return round(US_PER_MINUTE / tempo * TICKS_PER_QUARTER / header.beat_ticks)


def duration_seconds(header: Header, tempo_bpm: float | None = None) -> float:
    """Time from the start of the pickup to the end of the last bar, as `to_midi` plays it."""
    ticks = header.end_ticks - header.start_ticks
    return ticks / TICKS_PER_QUARTER * quarter_microseconds(header, tempo_bpm) / 1e6


def pair_tempos_bpm(one: Header, other: Header) -> tuple[float, float]:
    """Beats a minute at which two melodies that are compared are played: equal quarter notes.

    A quarter lasts the geometric mean of what is usual for each, in whole µs, so that both are
    equally far from it. It makes no difference which melody comes first.
    """
    usual = quarter_microseconds(one), quarter_microseconds(other)
    quarter_us = round(math.sqrt(usual[0] * usual[1]))
    return _tempo_of_quarter(one, quarter_us), _tempo_of_quarter(other, quarter_us)


def _tempo_of_quarter(header: Header, quarter_us: int) -> float:
    """The tempo at which a quarter note lasts so long: `quarter_microseconds` gives it back."""
    return US_PER_MINUTE / quarter_us * TICKS_PER_QUARTER / header.beat_ticks
