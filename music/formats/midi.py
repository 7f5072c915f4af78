"""MIDI files of a melody: exact ticks, one track, no expression added.

The file has the melody's resolution, 24 ticks per quarter, so onsets are exact. Tick 0 of the file
is the start of the pickup. A pickup has a measure of its own length and its own time signature, so
that a sequencer's barlines are the melody's. MIDI has no signature for a pickup whose length is no
power of two of a whole note, such as one of a triplet: then the metre's own signature stands at
tick 0, and again where the first whole bar begins.

What MIDI has no message for stands in text events: a key that is neither major nor minor, and a
style that `music.formats.abc_melody.style_of_tune` would not guess.

Tempo is in *beats* a minute: see `music.tempo`. All notes have one velocity, so that melodies
differ by their notes alone.
"""

from __future__ import annotations

import io
from fractions import Fraction

import mido

from music.formats.abc_melody import style_without_name
from music.formats.spelling import key_of
from music.melody import TICKS_PER_QUARTER, Header, Melody
from music.tempo import quarter_microseconds

DEFAULT_PROGRAM = 0
"""General MIDI 1, acoustic grand piano, counted from 0"""
VELOCITY = 90
KEY_TEXT = "Key: "
"""of a text event with tonic and mode, such as 'Key: D dorian'"""
STYLE_TEXT = "Style: "
"""of a text event with the label of the style"""


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
        tempo_bpm: the metre's beats a minute; `music.tempo.default_tempo_bpm` if None.
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
