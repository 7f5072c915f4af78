"""MIDI files: exact ticks, tempo by the beat, pickups."""

import io
import warnings
from dataclasses import replace
from typing import Any

import mido
import pytest

from music.formats.midi import pitches_midi, to_midi
from music.melody import Header
from music.metre import BAR_TICKS, METERS
from music.styles import SHIPPED_STYLES
from music.tempo import default_tempo_bpm, duration_seconds
from tests.music.formats.test_abc_readers import check, meter_and_key_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # music21's own imports
    from music21 import midi


def parse(content: bytes) -> list[tuple[int, Any]]:
    """(tick, message) of a file's only track; a message's attributes go by its type."""
    (track,) = mido.MidiFile(file=io.BytesIO(content)).tracks
    at, timed = 0, []
    for message in track:
        at += message.time
        timed.append((at, message))
    return timed


def sounding(content: bytes) -> list[tuple[int, int, int]]:
    """(onset, duration, MIDI number) of the notes, by pairing note_on with the next note_off."""
    notes, open_at = [], {}
    for at, message in parse(content):
        if message.type == "note_on":
            assert not open_at, "two notes at once"
            open_at[message.note] = at
        elif message.type == "note_off":
            onset = open_at.pop(message.note)
            notes.append((onset, at - onset, message.note))
    assert not open_at
    return notes


def test_a_file_by_hand(tune):
    melody = tune((0, 48), (7, 48), (None, 48), (0, 48))  # D A - D, half notes in 2/4
    track = bytes.fromhex(
        "00 FF 51 03 07 A1 20"  # 500,000 µs a quarter: 120 a minute
        "00 FF 59 02 02 00"  # two sharps, major
        "00 C0 05"
        "00 FF 58 04 02 02 18 08"  # 2 / 2^2, a click every 24 MIDI clocks
        "00 90 3E 5A  30 80 3E 00"
        "00 90 45 5A  30 80 45 00"
        "30 90 3E 5A  30 80 3E 00"
        "00 FF 2F 00"
    )
    file = b"MThd" + bytes.fromhex("00000006 0000 0001 0018") + b"MTrk" + len(track).to_bytes(4)
    assert to_midi(melody, tempo_bpm=120, program=5) == file + track


def test_notes_have_the_ticks_and_pitches_of_the_melody(real_melodies, random_melodies):
    for melody in [*real_melodies[::8], *random_melodies(50)]:
        start = melody.header.start_ticks
        expected = [
            (note.onset_ticks - start, note.duration_ticks, melody.tonic_midi + note.pitch)
            for note in melody.notes
        ]
        assert sounding(to_midi(melody)) == expected
        assert list(pitches_midi(melody)) == [pitch for _, _, pitch in expected]


def test_a_pickup_is_a_measure_of_its_own(tune):
    melody = tune((7, 12), *[(0, 24)] * 7, (0, 12), pickup_ticks=12)
    signatures = [
        (at, message.numerator, message.denominator)
        for at, message in parse(to_midi(melody))
        if message.type == "time_signature"
    ]
    assert signatures == [(0, 1, 8), (12, 2, 4)]


def test_a_pickup_that_no_signature_has_repeats_that_of_the_metre(tune):
    """A triplet eighth is 1/12 of a whole note; MIDI divides by powers of two."""
    melody = tune((7, 8), *[(0, 24)] * 7, (0, 16), pickup_ticks=8)
    signatures = [
        (at, message.numerator, message.denominator)
        for at, message in parse(to_midi(melody))
        if message.type == "time_signature"
    ]
    assert signatures == [(0, 2, 4), (8, 2, 4)]


@pytest.mark.parametrize(("meter", "clocks"), [("2/2", 48), ("6/4", 72), ("7/8", 12), ("3/8", 36)])
def test_the_click_is_the_beat(tune, meter, clocks):
    melody = tune(*[(0, BAR_TICKS[meter])] * 2, meter=meter, bars=2)
    (signature,) = [m for _, m in parse(to_midi(melody)) if m.type == "time_signature"]
    assert f"{signature.numerator}/{signature.denominator}" == meter
    assert signature.clocks_per_click == clocks


def test_texts_say_what_midi_has_no_message_for(tune):
    melody = tune(*[(0, 108)] * 4, meter="9/8", mode="lydian", tonic_midi=65)
    for style, texts in (
        ("slipjig", ["Key: F lydian"]),
        ("slow air", ["Key: F lydian", "Style: slow air"]),
    ):
        other = replace(melody, header=replace(melody.header, style=style))
        assert [m.text for _, m in parse(to_midi(other)) if m.type == "text"] == texts


@pytest.mark.slow
def test_music21_reads_the_same(random_melodies):
    for number, melody in enumerate(random_melodies(12, seed=31)):
        there = replace(melody, tonic_midi=60 + number % 12)
        file = midi.MidiFile()
        file.openFileLike(io.BytesIO(to_midi(there)))
        file.read()
        score = midi.translate.midiFileToStream(file, quantizePost=False).stripTies()
        check(
            there,
            [
                (float(n.offset) * 24, n.pitch.midi, float(n.quarterLength) * 24)
                for n in score.flatten().notes
            ],
        )
        key = score.recurse().getElementsByClass("KeySignature")[0]
        meter = list(score.recurse().getElementsByClass("TimeSignature"))[-1]
        assert (meter.ratioString, key.sharps) == meter_and_key_of(there)


def test_tempo_counts_the_beats_of_the_metre(tune):
    quarters = tune(*[(0, 48)] * 4)
    dotted = tune(*[(0, 72)] * 4, meter="6/8")
    assert duration_seconds(quarters.header, 60) == 8.0  # 4 bars of 2 beats
    assert duration_seconds(dotted.header, 60) == pytest.approx(8.0, abs=1e-5)
    for melody in (quarters, dotted):
        file = mido.MidiFile(file=io.BytesIO(to_midi(melody, tempo_bpm=90)))
        assert file.length == pytest.approx(duration_seconds(melody.header, 90))


def test_a_tail_is_silence_after_the_last_bar(tune):
    melody = tune(*[(0, 48)] * 4)
    ends = [parse(to_midi(melody, tail_ticks=tail))[-1] for tail in (0, 30)]
    assert [(at, message.type) for at, message in ends] == [
        (192, "end_of_track"),
        (222, "end_of_track"),
    ]


@pytest.mark.parametrize(
    ("mode", "tonic_midi", "key"),
    [
        ("minor", 61, "C#m"),
        ("dorian", 62, "C"),
        ("mixolydian", 69, "D"),
        ("major", 66, "F#"),
        ("dorian", 68, "Gb"),  # six flats
        ("lydian", 66, "Db"),
        ("phrygian", 64, "C"),
        ("locrian", 71, "C"),
    ],
)
def test_modes_that_midi_lacks_get_their_signature(tune, mode, tonic_midi, key):
    melody = tune(*[(0, 48)] * 4, mode=mode, tonic_midi=tonic_midi)
    (found,) = [m.key for _, m in parse(to_midi(melody)) if m.type == "key_signature"]
    assert found == key


def test_default_tempos_suit_the_dance():
    slow_to_fast = ["strathspey", "hornpipe", "reel"]
    tempos = [default_tempo_bpm(Header("4/4", "major", kind)) for kind in slow_to_fast]
    assert tempos == sorted(set(tempos))
    for meter in METERS:
        for kind in SHIPPED_STYLES.labels:
            header = Header(meter, "major", kind)
            # Eight bars are long enough to judge and short enough to hear many.
            assert 5 <= duration_seconds(header) <= 17, (meter, kind)


def test_values_out_of_range_are_refused(tune):
    melody = tune(*[(0, 48)] * 4)
    for tempo in (0, -5, 1000, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"tempo_bpm=.* is not within 20..400 beats a minute"):
            to_midi(melody, tempo_bpm=tempo)
    for program in (-1, 128):
        with pytest.raises(ValueError, match=f"program={program} is not a General MIDI program"):
            to_midi(melody, program=program)
    with pytest.raises(ValueError, match="tail_ticks=-1 is negative"):
        to_midi(melody, tail_ticks=-1)


def test_another_key_moves_every_note_alike(real_melodies):
    melody = real_melodies[0]
    there = replace(melody, tonic_midi=60)
    shift = melody.tonic_midi - 60
    moved = [(at, ticks, pitch + shift) for at, ticks, pitch in sounding(to_midi(there))]
    assert moved == sounding(to_midi(melody))
