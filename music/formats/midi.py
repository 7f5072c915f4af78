"""MIDI files of a melody: exact ticks, one track, no expression added.

The file has the melody's resolution, 24 ticks per quarter, so onsets are exact. Tick 0 of the file
is the start of the pickup. A pickup has a measure of its own length and its own time signature, so
that a sequencer's barlines are the melody's. MIDI has no signature for a pickup whose length is no
power of two of a whole note, such as one of a triplet: then the metre's own signature stands at
tick 0, and again where the first whole bar begins.

What MIDI has no message for stands in text events: a key that is neither major nor minor, and a
style that `music.formats.abc_melody.style_of_tune` would not guess.

Tempo is in *beats* a minute, the beat being the metre's: see `music.metre.BEAT_TICKS`. All notes
have one velocity, so that melodies differ by their notes alone.
"""

from __future__ import annotations

import io
import math
from fractions import Fraction

import mido

from music.formats.abc_melody import style_without_name
from music.formats.spelling import key_of
from music.melody import TICKS_PER_QUARTER, Header, Melody

DEFAULT_PROGRAM = 0
"""General MIDI 1, acoustic grand piano, counted from 0"""
VELOCITY = 90
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
KEY_TEXT = "Key: "
"""of a text event with tonic and mode, such as 'Key: D dorian'"""
STYLE_TEXT = "Style: "
"""of a text event with the label of the style"""
_US_PER_MINUTE = 60_000_000


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
    return round(_US_PER_MINUTE / tempo * TICKS_PER_QUARTER / header.beat_ticks)


def duration_seconds(header: Header, tempo_bpm: float | None = None) -> float:
    """Time from the start of the pickup to the end of the last bar, as `to_midi` plays it."""
    ticks = header.end_ticks - header.start_ticks
    return ticks / TICKS_PER_QUARTER * quarter_microseconds(header, tempo_bpm) / 1e6


def pitches_midi(melody: Melody) -> tuple[int, ...]:
    """MIDI number of each note, in order."""
    return tuple(melody.tonic_midi + note.pitch for note in melody.notes)


def to_midi(
    melody: Melody,
    *,
    tempo_bpm: float | None = None,
    program: int = DEFAULT_PROGRAM,
    tail_ticks: int = 0,
) -> bytes:
    """Melody -> Standard MIDI File of format 0.

    Args:
        melody: what to write, in its own key.
        tempo_bpm: beats (see the module's docstring) a minute; `default_tempo_bpm` if None.
        program: General MIDI program, 0..127.
        tail_ticks: silence after the last bar, for a synthesizer to let the last note ring in.

    Raises:
        ValueError: for a tempo, program or tail out of range.
    """
    if not 0 <= program <= 127:
        raise ValueError(f"program={program!r} is not a General MIDI program; choose one of 0..127")
    if tail_ticks < 0:
        raise ValueError(f"tail_ticks={tail_ticks} is negative; 0 ends the file with the last bar")
    header = melody.header
    count, unit = map(int, header.meter.split("/"))
    timed: list[tuple[int, mido.Message | mido.MetaMessage]] = [
        (0, mido.MetaMessage("set_tempo", tempo=quarter_microseconds(header, tempo_bpm))),
        (0, mido.MetaMessage("key_signature", key=_key_name(melody))),
        *_texts(melody),
        (0, mido.Message("program_change", program=program)),
    ]
    if header.pickup_ticks:
        part = Fraction(header.pickup_ticks, 4 * TICKS_PER_QUARTER)
        is_signature = part.denominator & (part.denominator - 1) == 0
        first = (part.numerator, part.denominator) if is_signature else (count, unit)
        timed.append((0, _time_signature(*first, header)))
    timed.append((header.pickup_ticks, _time_signature(count, unit, header)))
    for note, pitch in zip(melody.notes, pitches_midi(melody), strict=True):
        onset, end = note.onset_ticks + header.pickup_ticks, note.end_ticks + header.pickup_ticks
        timed.append((onset, mido.Message("note_on", note=pitch, velocity=VELOCITY)))
        timed.append((end, mido.Message("note_off", note=pitch, velocity=0)))
    # A stable sort: at one tick, the end of a note stays before the start of the next.
    timed.sort(key=lambda item: item[0])
    end_ticks = header.end_ticks - header.start_ticks + tail_ticks
    timed.append((end_ticks, mido.MetaMessage("end_of_track")))
    track = mido.MidiTrack()
    at = 0
    for ticks, message in timed:
        track.append(message.copy(time=ticks - at))
        at = ticks
    buffer = io.BytesIO()
    mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_QUARTER, tracks=[track]).save(file=buffer)
    return buffer.getvalue()


def _time_signature(count: int, unit: int, header: Header) -> mido.MetaMessage:
    """A time signature whose metronome clicks on the beats (24 MIDI clocks are a quarter)."""
    return mido.MetaMessage(
        "time_signature",
        numerator=count,
        denominator=unit,
        clocks_per_click=header.beat_ticks * 24 // TICKS_PER_QUARTER,
        notated_32nd_notes_per_beat=8,
    )


def _texts(melody: Melody) -> list[tuple[int, mido.MetaMessage]]:
    """Texts with the key and the style, where they are needed."""
    header = melody.header
    texts = [] if header.mode in ("major", "minor") else [f"{KEY_TEXT}{melody.key}"]
    if header.style != style_without_name(header.meter):
        texts.append(f"{STYLE_TEXT}{header.style}")
    return [(0, mido.MetaMessage("text", text=text)) for text in texts]


def _key_name(melody: Melody) -> str:
    """MIDI knows major and minor only; other modes get the major key of the same signature."""
    key = key_of(melody.tonic_midi, melody.header.mode)
    if key.mode == "minor":
        return key.tonic_name + "m"
    return key.relative_major.tonic_name
