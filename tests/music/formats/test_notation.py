"""ABC and SVG: what is written is what the melody is."""

import base64
import io
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import mido
import pytest

from music.corpora.corpus import load_corpus
from music.earlier_tokens import TODAY_OF_EARLIER
from music.formats import notation
from music.formats.abc import AbcError
from music.formats.midi import pitches_midi
from music.formats.musicxml import to_musicxml
from music.formats.notation import read_melody, to_abc, to_mei, to_svg
from music.formats.score import score_bars
from music.melody import MelodyError, Note
from music.tokens import decode
from tests.support.project import PROJECT

REEL = """T:by hand
R:reel
M:4/4
L:1/8
K:Ador
e|A2 AB cAGE|D2 DE GABd|eaaf gedB|BAGB A4|
A2 AB cAGE|D2 DE GABd|eaaf gedB|BAGB A3|]
"""


def body(text: str) -> str:
    """The music of an exported tune."""
    return text.split("K:")[1].split("\n", 1)[1]


def test_a_tune_by_hand(tune):
    melody = tune(
        *((7, 12), (5, 12), (4, 24), (6, 12), (6, 12), (5, 12), (6, 12)),
        *((None, 24), (-1, 18), (-2, 6), (0, 48)),
        tonic_midi=60,
    )
    assert to_abc(melody, title="Up & 50% down\nX:2") == (
        "%abc-2.1\nX:1\nT:Up & 50\\% down X:2\nR:other\nM:2/4\nL:1/8\nK:C\n"
        "GF E2 | ^F^F=F^F | z2 B,3/2_B,/ | C4 |]\n"
    )


def test_headers_by_hand(tune):
    melody = tune(*[(0, 108)] * 4, meter="9/8", mode="mixolydian", tonic_midi=69)
    melody = replace(melody, header=replace(melody.header, style="slipjig"))
    bars = " | ".join(["A6- A3"] * 4)
    assert to_abc(melody) == f"%abc-2.1\nX:1\nR:slip jig\nM:9/8\nL:1/8\nK:Amix\n{bars} |]\n"


def test_a_pickup_is_a_short_first_bar_and_lines_have_four(tune):
    melody = tune((7, 12), *[(0, 48)] * 7, (0, 36), pickup_ticks=12, bars=8, tonic_midi=60)
    assert body(to_abc(melody)) == "G | C4 | C4 | C4 | C4 |\nC4 | C4 | C4 | C3 |]\n"


@pytest.mark.parametrize(
    ("notes", "meter", "first_bar"),
    [
        # A triplet of eighths, of sixteenths; quarters in one are tied eighths
        # (`music.formats.abc_writer`).
        (((0, 8), (2, 8), (4, 8), (0, 24)), "2/4", "(3CDE C2"),
        (((0, 4), (2, 4), (4, 4), (0, 36)), "2/4", "(3C/D/E/ C3"),
        (((0, 16), (2, 16), (4, 16)), "2/4", "(3:2:6C-CD-DE-E"),
        (((0, 16), (2, 8), (4, 24)), "2/4", "(3C-CD E2"),
        # What fills no beat stands in brackets of its own: 3 + 4 + 9 + 32 ticks.
        (((0, 3), (2, 4), (4, 9), (0, 16), (2, 16)), "2/4", "C/4 (3:2:2D/4-D/4 E3/4 (3:2:4C-CD-D"),
        # Five eighths are a half and an eighth, the half on the beat; in 6/8 3 + 2.
        (((0, 60), (2, 12)), "3/4", "C4- CD"),
        (((2, 12), (0, 60)), "3/4", "DC- C4"),
        (((0, 60), (2, 12)), "6/8", "C3- C2D"),
        (((0, 30), (2, 18)), "2/4", "C2- C/D3/2"),
        (((0, 42), (2, 6)), "2/4", "C7/2 D/"),
        # Plain eighths are beamed by half bars, sixteenths by beats, 6/8 by dotted quarters.
        (tuple((0, 12) for _ in range(8)), "4/4", "CCCC CCCC"),
        (((0, 6), (0, 6), (0, 12), (0, 12), (0, 12), (0, 48)), "4/4", "C/C/C CC C4"),
        (tuple((0, 12) for _ in range(6)), "6/8", "CCC CCC"),
        (tuple((0, 12) for _ in range(6)), "3/4", "CC CC CC"),
    ],
)
def test_rhythms_by_hand(tune, notes, meter, first_bar):
    bar_ticks = sum(ticks for _, ticks in notes)
    rest = [(0, bar_ticks)] * 3
    written = body(to_abc(tune(*notes, *rest, meter=meter, tonic_midi=60)))
    # At a space the beam breaks; of what is not beamed anyway the spaces do not matter.
    assert written.split(" | ")[0] == first_bar


def test_ties_over_the_barline_carry_their_accidental(tune):
    melody = tune((0, 24), (6, 36), (6, 12), (5, 24), *[(0, 48)] * 2, tonic_midi=60)
    assert body(to_abc(melody)).startswith("C2 ^F2- | ^F^F =F2 |")
    assert read_melody(to_abc(melody)) == melody


@pytest.mark.parametrize(
    ("step", "count"), [(20, 332), pytest.param(1, 6635, marks=pytest.mark.slow)]
)
def test_strains_of_the_corpus_read_back_equal(step, count):
    strains = load_corpus()[::step]
    assert len(strains) == count
    for strain in strains:
        assert read_melody(to_abc(strain.melody)) == strain.melody, to_abc(strain.melody)


def test_exports_of_older_versions_read_back_equal():
    """They have no line with the version, and fewer accidentals."""
    lines = (PROJECT / "tests" / "data" / "abc_exports.jsonl").read_text().splitlines()
    assert len(lines) == 30
    for line in map(json.loads, lines):
        melody = decode(TODAY_OF_EARLIER[line["tokens"]], tonic_midi=line["tonic_midi"])
        assert read_melody(line["abc"]) == melody, line["abc"]
        assert not line["abc"].startswith("%abc")


def test_every_melody_of_the_grammar_reads_back_equal(random_melodies):
    melodies = random_melodies(150, seed=4)
    assert any(segment.duration_ticks == 9 for m in melodies for segment in m.segments())
    for index, melody in enumerate(melodies):
        moved = replace(melody, tonic_midi=60 + index % 12)
        assert read_melody(to_abc(moved, title=f"No. {index}")) == moved, to_abc(moved)


def test_what_a_person_writes_is_read():
    melody = read_melody(REEL)
    assert (melody.header.style, melody.header.meter) == ("reel", "4/4")
    assert (melody.header.bars, melody.header.pickup_ticks, melody.key) == (8, 12, "A dorian")
    assert melody.notes[:3] == (Note(-12, 12, 7), Note(0, 24, 0), Note(24, 12, 0))
    assert melody.notes[-1] == Note(8 * 96 - 48, 36, 0)
    assert read_melody(REEL, style="march").header.style == "march"


def test_a_first_ending_is_left_out():
    text = "L:1/4\nM:2/4\nK:C\n|:c d|e f|g a|1 b b:|2 c c|]"
    assert [note.pitch for note in read_melody(text).notes] == [12, 14, 16, 17, 19, 21, 12, 12]


def test_a_whole_tune_with_pickups_at_its_repeats_is_read():
    music = "L:1/4\nM:2/4\nK:C\nG|:c d|e f|g a|b:|\nd|e f|g a|[1 b c|G:|[2 c c|c|]"
    melody = read_melody(music)
    assert (melody.header.bars, melody.header.pickup_ticks) == (8, 24)
    assert [note.pitch for note in melody.notes][7:] == [23, 14, 16, 17, 19, 21, 12, 12, 12]


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("D2 DE GABd", "D2 DE GAB", MelodyError, "ticks=84 in bar 2 .* a bar of 4/4 has 96"),
        (
            "BAGB A3",
            "BAGB A4",
            MelodyError,
            "last bar ticks=96; .* it has 84",
        ),
        ("A3|]", "A3|]A8|", MelodyError, "ticks=84 in bar 8"),
        ("A2 AB cAGE|", "A2 AB cAGE|" * 30, MelodyError, r"bars=37 is not in 2..32; cut the"),
        ("M:4/4", "M:11/8", AbcError, "M:11/8 is not known; choose one of"),
        ("BAGB A4|", "BAGB A4|[K:D]", AbcError, "metre or key changes inside"),
        (
            "e|A2",
            "e|A,,,2",
            MelodyError,
            "pitch=-36 is not within .* shift the melody",
        ),
        ("e|A2", "e|(5AAAAA ", MelodyError, "length ticks=24/5 .* is off the grid"),
        ("T:by hand", "X:1\nT:a\nX:2", AbcError, r"the text has 2 tunes \(X: lines\); give one"),
        ("T:by hand", "N:" + "x" * 40_000, AbcError, "characters; one melody needs no more than"),
    ],
)
def test_what_is_no_melody_is_told(old, new, error, message):
    assert old in REEL
    with pytest.raises(error, match=message):
        read_melody(REEL.replace(old, new, 1))


def test_nothing_to_read_is_told():
    with pytest.raises(MelodyError, match="there is no note to read"):
        read_melody("K:C\n")
    with pytest.raises(MelodyError, match="at least one note"):
        read_melody("M:2/4\nL:1/4\nK:C\nz2|z2|z2|z2|")


def test_svg_has_the_notes_and_measures_of_the_melody(real_melodies, random_melodies):
    for melody in [*real_melodies[::25], *random_melodies(20, seed=7)]:
        svg = to_svg(melody)
        bars = score_bars(melody)
        signs = [sign for bar in bars for sign in bar.signs]
        begun = [sign for sign in signs if sign.pitch is not None and not sign.tie_in]
        assert len(begun) == len(melody.notes)
        assert len(bars) == melody.header.bars + (melody.header.pickup_ticks > 0)
        assert svg.count('class="measure"') == len(bars)
        assert svg.count('class="notehead"') == sum(sign.pitch is not None for sign in signs)
        assert svg.count('class="rest"') == sum(sign.pitch is None for sign in signs)


def test_verovio_plays_what_was_meant(real_melodies, random_melodies):
    """Its own reading of our MEI has the melody's pitches, onsets and durations."""
    toolkit = notation._toolkit()
    for melody in [*real_melodies[::25], *random_melodies(20, seed=8)]:
        assert toolkit.loadData(to_mei(melody))
        file = mido.MidiFile(file=io.BytesIO(base64.b64decode(toolkit.renderToMIDI())))
        scale = 24 / file.ticks_per_beat
        played, began, at = [], defaultdict(list), 0
        for message in (m for track in file.tracks[-1:] for m in track):
            at += message.time
            if message.type == "note_on" and message.velocity:
                began[message.note].append(at)
            elif message.type in ("note_on", "note_off"):
                onset = began[message.note].pop(0)  # it may begin a note before it ends one
                played.append((onset * scale, message.note, (at - onset) * scale))
        assert len(played) == len(melody.notes)
        for (onset, midi, duration), note in zip(sorted(played), melody.notes, strict=True):
            assert midi == melody.tonic_midi + note.pitch
            # It plays each note a little short, and rounds.
            assert abs(onset - (note.onset_ticks - melody.header.start_ticks)) < 0.5
            assert abs(duration - note.duration_ticks) < 0.6


def test_svg_is_one_clean_scalable_picture(tune):
    svg = to_svg(tune(*[(0, 48)] * 4, tonic_midi=63))
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == "4 bars of 2/4 in Eb major"
    assert "viewBox" in root.attrib
    assert not {"width", "height"} & root.attrib.keys()
    assert "black" not in svg  # it takes the colour of the page
    assert not re.search(r"Verovio|<script|<image|<text|https?://(?!www\.w3\.org/)", svg)


def test_svg_ids_do_not_clash_on_one_page(tune):
    first, second = (to_svg(tune(*[(pitch, 48)] * 4)) for pitch in (0, 2))
    found = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, second)]
    assert found[0]
    assert not found[0] & found[1]
    assert to_svg(tune(*[(0, 48)] * 4)) == first


def test_lines_have_four_bars(tune):
    melody = tune((7, 12), *[(0, 48)] * 15, (0, 36), pickup_ticks=12, bars=16)
    assert to_svg(melody).count('class="system"') == 4


def test_verovio_says_nothing():
    """Its log goes to the process's stderr, below Python's; so in a process of its own."""
    code = (
        "from music.corpora.corpus import load_corpus\n"
        "from music.formats.notation import to_svg\n"
        "for strain in load_corpus('validation')[:5]: to_svg(strain.melody)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.mark.parametrize("tonic", [24, 43, 50, 59, 72, 83])
def test_a_melody_of_a_low_or_high_tonic_sounds_the_same_when_it_is_read(tune, tonic):
    melody = tune((-5, 48), (0, 48), (17, 48), (4, 48), tonic_midi=tonic)
    again = read_melody(to_abc(melody))
    assert pitches_midi(again) == pitches_midi(melody)
    assert again.header == melody.header
    assert ("clef=bass" in to_abc(melody)) == (tonic < 54)
    assert ('clef.shape="F"' in to_mei(melody)) == (tonic < 54)
    assert ("<sign>F</sign><line>4</line>" in to_musicxml(melody)) == (tonic < 54)


@pytest.mark.parametrize(
    ("notes", "meter", "first_bar"),
    [
        # Groups of the metre: halves of a bar in 2/2, 3 + 2 quarters in 5/4, 3 + 2 + 2 in 7/8.
        (tuple((0, 12) for _ in range(8)), "2/2", "CCCC CCCC"),
        (tuple((0, 12) for _ in range(10)), "5/4", "CCCCCC CCCC"),
        (tuple((0, 12) for _ in range(7)), "7/8", "CCC CC CC"),
        (tuple((0, 12) for _ in range(12)), "6/4", "CCCCCC CCCCCC"),
        (tuple((0, 12) for _ in range(12)), "12/8", "CCC CCC CCC CCC"),
        # With something else than eighths, a long group is beamed by quarters.
        (((0, 6), (0, 6), *((0, 12) for _ in range(9))), "5/4", "C/C/C CC CC CCCC"),
        (((0, 84),), "7/8", "C3- C4"),
        (((None, 84),), "7/8", "z3 z4"),
        (((0, 144),), "12/8", "C12"),
        # What no note value has is tied, inside the bar as over a barline.
        (((0, 32), (2, 16)), "2/4", "C2- (3CD-D"),
        (((0, 7), (2, 41)), "2/4", "C/4- (3:2:2C/D- D3/4- D2"),
    ],
)
def test_groups_and_ties_by_hand(tune, notes, meter, first_bar):
    bar_ticks = sum(ticks for _, ticks in notes)
    melody = tune(*notes, (4, bar_ticks), meter=meter, bars=2, tonic_midi=60)
    written = body(to_abc(melody))
    assert " ".join(written.split(" | ")[0].split()).startswith(first_bar)
    assert read_melody(to_abc(melody)) == melody


def test_a_rest_over_the_barline_is_two_rests(tune):
    melody = tune((0, 24), (None, 36), (0, 36), tonic_midi=60, bars=2)
    assert body(to_abc(melody)) == "C2 z2 | zC3 |]\n"
    assert read_melody(to_abc(melody)) == melody


def test_a_thread_that_did_not_import_verovio_draws_too(real_melodies):
    """Its default path of fonts is set in the thread that imports it, and in no other."""
    import verovio  # noqa: F401 (here, in the main thread)

    notation._toolkit.cache_clear()
    try:
        with ThreadPoolExecutor(1) as other:
            drawn = other.submit(to_svg, real_melodies[0]).result()
    finally:
        notation._toolkit.cache_clear()
    assert drawn.startswith("<svg")
