import random
import time

import mido
import pytest

from music.formats.midi import to_midi
from music.melody import Header, Melody, Note
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
    assert "ticks" in str(refusals[0])


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


def test_grace_notes_are_dropped(tmp_path):
    graces = [(k - 0.06, k - 0.01, 79) for k in (3, 5, 9)]
    played = [(on, end - 0.06 if on + 1 in (3, 5, 9) else end, p) for on, end, p in scale()]
    tunes, _ = read(tmp_path, midi([*played, *graces], meta=[METER, KEY]))
    assert pitches(tunes) == [60, 62, 64, 65, 67, 65, 64, 62] * 2
    assert "grace notes dropped" in decisions(tunes)


def test_quintuplets_are_refused(tmp_path):
    fifth = [(k / 5, (k + 1) / 5, 60 + k % 3) for k in range(80)]
    tunes, refusals = read(tmp_path, midi(fifth, meta=[METER, KEY]))
    assert (tunes, [r.reason for r in refusals]) == ([], ["no beat"])


def test_of_two_voices_in_a_channel_the_higher_is_taken(tmp_path):
    low = [(4.0 * k, 4.0 * k + 4, 48) for k in range(4)]
    tunes, _ = read(tmp_path, midi([*scale(), *low], meta=[METER, KEY]))
    assert pitches(tunes) == [60, 62, 64, 65, 67, 65, 64, 62] * 2
    assert decisions(tunes) == ["top notes taken"]


def test_a_metre_that_changes_inside_a_bar_cuts_the_bar(tmp_path):
    waltz = (7.0, mido.MetaMessage("time_signature", numerator=3, denominator=4))
    tunes, refusals = read(tmp_path, midi(scale(16), meta=[METER, KEY, waltz]))
    found = [[bar.duration_ticks for bar in s.bars] for s in tunes[0].sections]
    assert (found, refusals) == ([[96, 72], [72, 72, 72]], [])
    assert len(pitches(tunes)) == 16


def test_a_file_without_a_metre_is_read_in_four_four_and_said(tmp_path):
    tunes, _ = read(tmp_path, midi(scale(), meta=[KEY]))
    assert (tunes[0].sections[0].meter, decisions(tunes)) == ("4/4", ["metre assumed"])


def test_a_metre_of_other_note_values_is_read_in_ours(tmp_path):
    meter = (0.0, mido.MetaMessage("time_signature", numerator=4, denominator=2))
    played = [(2 * on, 2 * end, pitch) for on, end, pitch in scale()]
    tunes, _ = read(tmp_path, midi(played, meta=[meter, KEY]))
    melodies, refused = melodies_of(tunes[0])
    assert (refused, decisions(tunes)) == ([], ["note values changed"])
    assert {n.duration_ticks for n in melodies[0].notes} == {24}


def test_a_metre_that_no_melody_has_is_refused(tmp_path):
    meter = (0.0, mido.MetaMessage("time_signature", numerator=11, denominator=8))
    tunes, _ = read(tmp_path, midi(scale(22), meta=[meter, KEY]))
    assert [r.reason for r in melodies_of(tunes[0])[1]] == ["metre or mode"]


def test_a_long_tune_is_cut_into_pieces_and_said(tmp_path):
    tunes, _ = read(tmp_path, midi(scale(160), meta=[METER, KEY]))
    assert [m.header.bars for m in melodies_of(tunes[0])[0]] == [32, 8]
    assert decisions(tunes) == ["cut"]


@pytest.mark.parametrize(
    ("name", "mode"), [("harmonic minor", "minor"), ("phrygian", "phrygian"), ("aeolian", "minor")]
)
def test_a_mode_that_a_text_names_is_read(tmp_path, name, mode):
    named = (0.0, mido.MetaMessage("text", text=f"Key: D {name}"))
    tunes, _ = read(tmp_path, midi(scale(), meta=[METER, KEY, named]))
    (section,) = tunes[0].sections
    assert (section.mode, section.tonic_class) == (mode, 2)


def test_the_same_metre_again_inside_the_first_bar_is_the_end_of_a_pickup(tmp_path):
    again = (1 / 3, mido.MetaMessage("time_signature", numerator=4, denominator=4))
    later = [(on + 1 / 3, end + 1 / 3, pitch) for on, end, pitch in scale(15)]
    file = midi([(0, 1 / 3, 67), *later], meta=[METER, KEY, again])
    melodies, _ = melodies_of(read(tmp_path, file)[0][0])
    assert (melodies[0].header.pickup_ticks, melodies[0].notes[1].onset_ticks) == (8, 0)


def test_too_many_bars_are_refused(tmp_path):
    meter = (0.0, mido.MetaMessage("time_signature", numerator=1, denominator=128))
    tunes, refusals = read(tmp_path, midi([(0, 2000, 60)], meta=[meter, KEY]))
    assert (tunes, [r.reason for r in refusals]) == ([], ["too large"])


@pytest.mark.parametrize("kind", ["metres", "keys", "texts"])
def test_very_many_changes_take_little_time(tmp_path, kind):
    """The time grew with the square of their number: minutes for a file within the limits."""
    message = {
        "metres": lambda k: mido.MetaMessage("time_signature", numerator=1 + k % 60),
        "keys": lambda k: mido.MetaMessage("key_signature", key="CD"[k % 2]),
        "texts": lambda k: mido.MetaMessage("text", text=f"Key: {'CD'[k % 2]} dorian"),
    }[kind]
    changes = [(k / 480, message(k)) for k in range(12_000)]
    started = time.process_time()
    read(tmp_path, midi(scale(80), meta=changes))
    assert time.process_time() - started < 20


def gated(gate, resolution, *, count=32):
    """Quarters down a scale, each held for so many of the file's ticks; an onset every quarter."""
    steps = (12, 11, 9, 7, 5, 4, 2, 0)
    return [(k, k + gate / resolution, 60 + steps[k % 8]) for k in range(count)]


@pytest.mark.parametrize(
    ("gate", "resolution"),
    [
        (480, 480), (490, 480), (500, 480), (540, 480), (100, 96), (25, 24), (28, 24), (460, 480),
        (456, 480), (470, 480), (920, 960), (184, 192), (92, 96), (220, 240), (19, 24),
    ],
)  # fmt: skip
def test_notes_held_into_the_next_and_notes_cut_short_are_read(tmp_path, gate, resolution):
    """Of the first half of them was left out, and the strain of the second was refused."""
    content = midi(gated(gate, resolution), meta=[METER, KEY], resolution=resolution)
    tunes, refusals = read(tmp_path, content)
    (melody,), refused = melodies_of(tunes[0])
    assert (refusals, refused) == ([], [])
    assert [n.pitch for n in melody.notes] == [12, 11, 9, 7, 5, 4, 2, 0] * 4
    assert [n.onset_ticks for n in melody.notes] == [24 * k for k in range(32)]
    assert {n.duration_ticks for n in melody.notes[:-1]} == {24}
    assert melody.header.bars == 8


@pytest.mark.parametrize("resolution", [24, 48, 480])
def test_a_file_of_a_coarse_clock_that_was_played_is_put_on_the_grid(tmp_path, resolution):
    """All its times were whole ticks, and so it was taken as written."""
    draw = random.Random(0)
    played = [(k + draw.choice((0, 0, 1)) / 24, k + 22 / 24, p) for k, _, p in scale(32)]
    tunes, _ = read(tmp_path, midi(played, meta=[METER, KEY], resolution=resolution))
    (melody,), refused = melodies_of(tunes[0])
    assert (refused, len(melody.notes)) == ([], 32)
    assert {n.duration_ticks for n in melody.notes} == {24}


def test_a_short_note_below_two_of_the_melody_accompanies_them(tmp_path):
    low = [(k + 0.75, k + 1.75, 40) for k in range(0, 16, 2)]
    tunes, _ = read(tmp_path, midi([*scale(), *low], meta=[METER, KEY]))
    assert pitches(tunes) == [60, 62, 64, 65, 67, 65, 64, 62] * 2


def test_drums_that_end_with_velocity_0_are_counted_once(tmp_path):
    drum = mido.Message("note_on", channel=9, note=40, velocity=64)
    hits = [(k / 2, drum.copy(velocity=64 * (k % 2 == 0))) for k in range(20)]
    tunes, _ = read(tmp_path, midi(scale(), meta=[METER, KEY, *hits]))
    assert "10 notes of drums" in str(tunes[0].notices[0])


@pytest.mark.parametrize("silent_quarters", [0, 1])
def test_notes_that_never_end_are_ended_and_said(tmp_path, silent_quarters):
    """They were left out, and nothing was said."""
    begun = [(k, mido.Message("note_on", note=p, velocity=64)) for k, p in ((4, 50), (16, 67))]
    end = (16 + silent_quarters, mido.MetaMessage("lyrics", text=""))
    notes = [note for note in scale() if note[0] != 4]
    tunes, _ = read(tmp_path, midi(notes, meta=[METER, KEY, *begun, end]))
    assert pitches(tunes) == [60, 62, 64, 65, 50, 65, 64, 62, 60, 62, 64, 65, 67, 65, 64, 62, 67]
    lengths = [n.duration_ticks for s in tunes[0].sections for bar in s.bars for n in bar.notes]
    assert lengths[:17] == [24] * 17
    assert decisions(tunes) == ["lengths rounded"]
    assert "2 notes" in str(tunes[0].notices[0])


def test_bars_of_rest_before_the_melody_are_left_out_and_said(tmp_path):
    """The melody began with them."""
    tunes, _ = read(tmp_path, midi(scale(start=16), meta=[METER, KEY]))
    (melody,), _ = melodies_of(tunes[0])
    assert (melody.header.bars, melody.notes[0].onset_ticks) == (4, 0)
    assert decisions(tunes) == ["cut"]
    assert "4 bars of rest" in str(tunes[0].notices[0])


def test_rests_in_the_first_bar_stay(tmp_path):
    tunes, _ = read(tmp_path, midi(scale(start=2), meta=[METER, KEY]))
    (melody,), _ = melodies_of(tunes[0])
    assert (melody.notes[0].onset_ticks, decisions(tunes)) == (48, [])


def test_our_own_files_keep_their_bars_of_rest(tmp_path):
    late = Melody(Header(bars=4), (Note(192, 96, 0), Note(288, 96, 2)))
    tunes, _ = read(tmp_path, to_midi(late))
    (melody,), _ = melodies_of(tunes[0])
    assert (melody.notes, melody.header.bars, decisions(tunes)) == (late.notes, 4, [])


NO_KEY = midi(scale(), meta=[KEY]).replace(b"\xff\x59\x02\x00", b"\xff\x59\x02\x63")


@pytest.mark.parametrize(
    ("content", "says"),
    [(midi(scale())[:60], "ends in the middle of a track"), (NO_KEY, "no MIDI file may hold")],
    ids=["cut", "key"],
)
def test_a_damaged_file_is_told_in_plain_words(tmp_path, content, says):
    """The refusal was the text of an exception, such as "EOFError"."""
    (refusal,) = read(tmp_path, content)[1]
    assert says in str(refusal)
    assert "Error" not in str(refusal)
