import random

import mido
import pytest

from music.readers import melodies_of, read_tunes
from tests.music.readers.written import KEY, METER, midi, scale


def read(tmp_path, content, *, part=None):
    file = tmp_path / "song.mid"
    file.write_bytes(content)
    return read_tunes(file, part=part)


def pitches(tunes):
    return [
        note.midi
        for section in tunes[0].sections
        for bar in section.bars
        for note in bar.notes
        if note.midi is not None
    ]


def decisions(tunes):
    return [notice.reason for notice in tunes[0].notices]


def test_a_plain_file_is_a_melody(tmp_path):
    tunes, refusals = read(tmp_path, midi(scale(), meta=[METER, KEY]))
    melodies, refused = melodies_of(tunes[0])
    assert (refusals, refused, tunes[0].notices) == ([], [], ())
    assert [n.pitch for n in melodies[0].notes] == [0, 2, 4, 5, 7, 5, 4, 2] * 2
    assert (melodies[0].key, melodies[0].header.meter) == ("C major", "4/4")


def test_a_first_short_bar_is_a_pickup(tmp_path):
    short = (0.0, mido.MetaMessage("time_signature", numerator=1, denominator=4))
    later = (1.0, METER[1])
    tunes, _ = read(tmp_path, midi(scale(16), meta=[short, later, KEY]))
    melodies, refused = melodies_of(tunes[0])
    assert refused == []
    assert (melodies[0].header.bars, melodies[0].header.pickup_ticks) == (4, 24)


def test_the_part_of_the_melody_is_taken_and_said(tmp_path):
    content = midi(scale(pitch=40), scale(pitch=72), meta=[METER, KEY], names=("Bass", "Flute"))
    tunes, _ = read(tmp_path, content)
    assert (pitches(tunes)[0], decisions(tunes)) == (72, ["part taken"])
    assert pitches(read(tmp_path, content, part="bass")[0])[0] == 40
    assert pitches(read(tmp_path, content, part="1")[0])[0] == 40
    refusals = read(tmp_path, content, part="oboe")[1]
    assert [r.reason for r in refusals] == ["no such part"]


def test_of_a_chord_the_top_note_is_taken(tmp_path):
    content = midi([*scale(), *scale(pitch=55)], meta=[METER, KEY])
    tunes, _ = read(tmp_path, content)
    assert pitches(tunes)[:3] == [60, 62, 64]
    assert decisions(tunes) == ["top notes taken"]


def test_drums_are_left_out(tmp_path):
    content = midi(scale(), scale(pitch=80), meta=[METER, KEY], channels=(0, 9))
    tunes, refusals = read(tmp_path, content)
    assert (pitches(tunes)[0], decisions(tunes), refusals) == (60, ["drums left out"], [])


def test_a_file_of_drums_is_refused(tmp_path):
    tunes, refusals = read(tmp_path, midi(scale(), meta=[METER], channels=(9,)))
    assert (tunes, [r.reason for r in refusals]) == ([], ["only drums"])


def test_a_performance_without_a_beat_is_refused(tmp_path):
    draw = random.Random(0)
    onsets = sorted(draw.uniform(0, 60) for _ in range(100))
    played = [(on, on + 0.3, 60 + k % 7) for k, on in enumerate(onsets)]
    tunes, refusals = read(tmp_path, midi(played, meta=[METER, KEY]))
    assert (tunes, [r.reason for r in refusals]) == ([], ["no beat"])
    assert "%" in str(refusals[0])


def test_small_differences_from_the_beat_are_rounded(tmp_path):
    draw = random.Random(0)
    played = [(on + draw.uniform(0, 0.02), end - 0.07, p) for on, end, p in scale()]
    tunes, _ = read(tmp_path, midi(played, meta=[METER, KEY]))
    melodies, refused = melodies_of(tunes[0])
    assert refused == []
    assert [n.duration_ticks for n in melodies[0].notes] == [24] * 16
    assert decisions(tunes) == ["lengths rounded"]


def test_triplets_are_read(tmp_path):
    third = [(k / 3, (k + 1) / 3, 60 + k % 3) for k in range(48)]
    tunes, _ = read(tmp_path, midi(third, meta=[METER, KEY]))
    melodies, refused = melodies_of(tunes[0])
    assert refused == []
    assert {n.duration_ticks for n in melodies[0].notes} == {8}


def test_changes_of_key_and_metre_cut(tmp_path):
    waltz = (8.0, mido.MetaMessage("time_signature", numerator=3, denominator=4))
    minor = (4.0, mido.MetaMessage("key_signature", key="Am"))
    tunes, refusals = read(tmp_path, midi(scale(14), meta=[METER, KEY, minor, waltz]))
    found = [(s.meter, s.mode, s.tonic_class, len(s.bars)) for s in tunes[0].sections]
    assert found == [("4/4", "major", 0, 1), ("4/4", "minor", 9, 1), ("3/4", "minor", 9, 2)]
    assert refusals == []
    assert decisions(tunes) == ["cut"]


def test_a_key_that_is_not_named_is_found_and_said(tmp_path):
    tunes, _ = read(tmp_path, midi(scale(17, pitch=67), meta=[METER]))
    assert (tunes[0].sections[0].tonic_class, tunes[0].sections[0].mode) == (7, "major")
    assert decisions(tunes) == ["key found"]


def test_words_are_left_out(tmp_path):
    words = [(float(k), mido.MetaMessage("lyrics", text="la")) for k in range(16)]
    tunes, refusals = read(tmp_path, midi(scale(), meta=[METER, KEY, *words]))
    assert (len(pitches(tunes)), refusals, tunes[0].notices) == (16, [], ())


def smpte() -> bytes:
    content = bytearray(midi(scale(), meta=[METER]))
    content[12:14] = b"\xe7\x28"
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "damaged"),
        (b"MThd", "damaged"),
        (midi(scale())[:60], "damaged"),
        (smpte(), "no beat"),
        (midi([], meta=[METER]), "no notes"),
        (b"MThd" + b"\0" * 600_000, "too large"),
    ],
    ids=["empty", "cut", "cut later", "frames of film", "no notes", "large"],
)
def test_a_file_without_a_tune_is_refused(tmp_path, content, reason):
    tunes, refusals = read(tmp_path, content)
    assert (tunes, [r.reason for r in refusals]) == ([], [reason])
    assert "\n" not in str(refusals[0])
