import io
import zipfile

import pytest

from music.readers import melodies_of, read_tunes
from tests.music.readers.written import (
    BAR,
    DOUBLE,
    REPEAT,
    attributes,
    measure,
    note,
    notes,
    plain,
    score,
)


def read(tmp_path, content, *, name="score.musicxml", part=None):
    file = tmp_path / name
    file.write_bytes(content)
    return read_tunes(file, part=part)


def sounding(tunes):
    """(pitch, ticks) of the sections of one tune; None is a rest."""
    return [
        [(n.midi, n.duration_ticks) for bar in section.bars for n in bar.notes]
        for section in tunes[0].sections
    ]


def pitches(tunes):
    return [midi for section in sounding(tunes) for midi, _ in section if midi is not None]


def decisions(tunes):
    return [notice.reason for notice in tunes[0].notices]


def test_a_plain_score_is_a_melody(tmp_path):
    tunes, refusals = read(tmp_path, score(plain(BAR, BAR, BAR, "F4 E4 D4 C4")))
    melodies, refused = melodies_of(tunes[0])
    assert (refusals, refused) == ([], [])
    assert [n.pitch for n in melodies[0].notes] == [0, 2, 4, 5] * 3 + [5, 4, 2, 0]
    assert melodies[0].key == "C major"
    assert tunes[0].notices == ()


def test_a_bar_that_is_divided_by_a_double_bar_is_a_bar_and_a_pickup(tmp_path):
    bars = [*plain("G3", BAR, BAR, BAR), measure(notes("C4 D4 E4") + DOUBLE, 4)]
    bars += [measure(notes("G4"), 5), *(measure(notes(BAR), k) for k in (6, 7, 8))]
    bars += [measure(notes("E4 D4 C4"), 9)]
    tunes, refusals = read(tmp_path, score(bars))
    melodies, refused = melodies_of(tunes[0])
    assert (refusals, refused) == ([], [])
    assert [(m.header.bars, m.header.pickup_ticks) for m in melodies] == [(4, 24), (4, 24)]
    assert melodies[1].notes[0].pitch == 7


def test_of_two_endings_the_second_is_kept(tmp_path):
    def ending(number, kind, side):
        return f'<barline location="{side}"><ending number="{number}" type="{kind}"/></barline>'

    first = ending(1, "start", "left") + notes("C4 C4 C4 C4")
    first += REPEAT.replace("<repeat", '<ending number="1" type="stop"/><repeat')
    second = ending(2, "start", "left") + notes("G4 G4 G4 G4") + ending(2, "stop", "right")
    tunes, _ = read(tmp_path, score(plain(BAR, BAR, BAR, first, second)))
    melodies, refused = melodies_of(tunes[0])
    assert refused == []
    assert [n.pitch for n in melodies[0].notes][12:] == [7, 7, 7, 7]
    assert melodies[0].header.bars == 4


def test_the_part_of_the_melody_is_taken_and_said(tmp_path):
    low, high = plain("C3 C3 C3 C3"), plain("E5 E5 E5 E5")
    tunes, _ = read(tmp_path, score(low, high))
    assert (pitches(tunes), decisions(tunes)) == ([76] * 4, ["part taken"])
    tunes, _ = read(tmp_path, score(low, high, names=("Soprano", "Flute")))
    assert pitches(tunes) == [48] * 4


@pytest.mark.parametrize("part", ["tuba", "2", "P2"])
def test_the_part_that_is_named_is_taken(tmp_path, part):
    content = score(plain("E5 E5 E5 E5"), plain("C3 C3 C3 C3"))
    tunes, _ = read(tmp_path, content, part=part)
    assert pitches(tunes) == [48] * 4


def test_a_part_that_is_not_there_is_refused(tmp_path):
    tunes, refusals = read(tmp_path, score(plain(BAR)), part="oboe")
    assert tunes == []
    assert refusals[0].reason == "no such part"
    assert "Flute" in str(refusals[0])


def test_of_two_voices_of_a_staff_the_one_with_more_notes_is_taken(tmp_path):
    bar = notes(BAR) + "<backup><duration>48</duration></backup>"
    bar += note("C3", quarters=4, voice=2)
    tunes, refusals = read(tmp_path, score(plain(bar)))
    assert (pitches(tunes), refusals) == ([60, 62, 64, 65], [])
    assert decisions(tunes) == ["voice taken"]


def test_of_a_chord_the_top_note_is_taken(tmp_path):
    bar = note("C4") + note("G4", inside="<chord/>") + note("E4", inside="<chord/>")
    tunes, _ = read(tmp_path, score(plain(bar + notes("D4 E4 F4"))))
    assert (pitches(tunes), decisions(tunes)) == ([67, 62, 64, 65], ["top notes taken"])


def test_grace_notes_are_dropped(tmp_path):
    grace = "<note><grace/><pitch><step>A</step><octave>4</octave></pitch></note>"
    tunes, _ = read(tmp_path, score(plain(grace + notes(BAR))))
    assert (pitches(tunes), decisions(tunes)) == ([60, 62, 64, 65], ["grace notes dropped"])


def test_triplets_are_read_and_quintuplets_refused_by_passage(tmp_path):
    triplet = "".join(note(p, quarters=1 / 3) for p in ("C4", "D4", "E4"))
    good = plain(triplet + notes("D4 E4 F4"), BAR, BAR, BAR + "")
    good[-1] = good[-1].replace("</measure>", DOUBLE + "</measure>")
    attrs = "<attributes><divisions>5</divisions></attributes>"
    quintuplet = "".join(note(p, quarters=1 / 12) for p in ("C4", "D4", "E4", "D4", "E4"))
    rest = "<note><rest/><duration>15</duration></note>"
    bad = [measure(attrs + quintuplet + rest, 5)]
    bad += [measure("<note><rest/><duration>20</duration></note>", k) for k in (6, 7, 8)]
    tunes, refusals = read(tmp_path, score(good + bad))
    melodies, refused = melodies_of(tunes[0])
    assert refusals == []
    assert [n.duration_ticks for n in melodies[0].notes][:4] == [8, 8, 8, 24]
    assert [(r.reason, r.bar) for r in refused] == [("off the grid", "5")]


def test_changes_of_key_and_metre_cut(tmp_path):
    waltz = attributes(meter="3/4", fifths=None)
    minor = attributes(meter=None, fifths=0, mode="minor")
    bars = [*plain(BAR, BAR), measure(minor + notes(BAR), 3), measure(waltz + notes("C4 D4 E4"), 4)]
    tunes, refusals = read(tmp_path, score(bars))
    found = [(s.meter, s.mode, s.tonic_class, len(s.bars)) for s in tunes[0].sections]
    assert found == [("4/4", "major", 0, 2), ("4/4", "minor", 9, 1), ("3/4", "minor", 9, 1)]
    assert refusals == []
    assert decisions(tunes) == ["cut", "cut"]


def test_a_score_of_drums_is_refused(tmp_path):
    hit = "<note><unpitched/><duration>48</duration></note>"
    tunes, refusals = read(tmp_path, score(plain(hit)))
    assert (tunes, [r.reason for r in refusals]) == ([], ["only drums"])


def test_words_are_left_out(tmp_path):
    words = notes(BAR).replace("</note>", "<lyric><text>la</text></lyric></note>")
    tunes, refusals = read(tmp_path, score(plain(words)))
    assert (pitches(tunes), refusals, tunes[0].notices) == ([60, 62, 64, 65], [], ())


def test_a_bar_of_wrong_length_is_refused_and_the_rest_kept(tmp_path):
    tunes, refusals = read(tmp_path, score(plain(BAR, BAR, BAR, BAR, "C4 D4 E4", *[BAR] * 4)))
    assert [(r.reason, r.tune, r.bar) for r in refusals] == [("bar length", "1", "5")]
    assert [m.header.bars for m in melodies_of(tunes[0])[0]] == [4, 4]


@pytest.mark.parametrize(
    "bars",
    [
        (BAR, note("r", quarters=1), BAR, BAR),
        (BAR, "C4 D4", "E4 F4", BAR, BAR),
        (BAR, "C4 D4 E4 F4 r", BAR, BAR),
    ],
    ids=["a lone rest", "two halves of a bar", "a rest too many"],
)
def test_a_bar_with_one_reading_is_repaired(tmp_path, bars):
    tunes, refusals = read(tmp_path, score(plain(*bars)))
    assert refusals == []
    assert [bar.duration_ticks for bar in tunes[0].sections[0].bars] == [96] * 4
    assert decisions(tunes) == ["bars repaired"]


def test_a_transposing_instrument_is_read_as_it_sounds(tmp_path):
    clarinet = attributes(
        fifths=2, more="<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>"
    )
    tunes, _ = read(tmp_path, score(plain("D4 E4 D4 D4", first=clarinet)))
    assert pitches(tunes) == [60, 62, 60, 60]
    assert tunes[0].sections[0].tonic_class == 0


def test_a_tie_joins_notes_over_a_barline(tmp_path):
    tied = notes("C4 D4 E4") + note("F4").replace("<voice>", '<tie type="start"/><voice>')
    tunes, _ = read(tmp_path, score(plain(tied, "F4 E4 D4 C4", BAR, BAR)))
    melodies, _ = melodies_of(tunes[0])
    assert [n.duration_ticks for n in melodies[0].notes][:5] == [24, 24, 24, 48, 24]


def test_a_key_without_a_mode_is_found_and_said(tmp_path):
    head = attributes().replace("<mode>major</mode>", "")
    tunes, _ = read(tmp_path, score(plain("A4 B4 C4 A4", first=head)))
    assert (tunes[0].sections[0].mode, tunes[0].sections[0].tonic_class) == ("minor", 9)
    assert decisions(tunes) == ["key found"]


def packed(compression=zipfile.ZIP_DEFLATED, /, **members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name.replace("_", "."), content)
    return buffer.getvalue()


def test_a_packed_score_is_read(tmp_path):
    tunes, refusals = read(tmp_path, packed(score_xml=score(plain(BAR))), name="a.mxl")
    assert (pitches(tunes), refusals) == ([60, 62, 64, 65], [])


ENTITIES = (
    b'<!DOCTYPE a [<!ENTITY b "cccc"><!ENTITY d "&b;&b;">]><score-partwise>&d;</score-partwise>'
)


PACKED = packed(score_xml=b"<a/>")
PLACE = 2
"""bytes of a zip file after the place of its directory"""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "damaged"),
        (b"<score-partwise", "damaged"),
        (ENTITIES, "damaged"),
        (ENTITIES.decode().encode("utf-16"), "damaged"),
        (b"PK\x03\x04 no zip", "damaged"),
        (packed(readme_txt=b"nothing"), "damaged"),
        (PACKED[: -PLACE - 4] + b"\xd1" * 4 + PACKED[-PLACE:], "damaged"),
        (packed(zipfile.ZIP_LZMA, score_xml=b"<a/>"), "damaged"),
        (packed(bomb_xml=b" " * 30_000_000), "too large"),
        (b"<a>" * 100 + b"</a>" * 100, "too large"),
        (b"<html></html>", "unknown format"),
        (score(), "no notes"),
        (score(plain("r r r r")), "no notes"),
        (b" " * 30_000_000, "too large"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_file_that_is_no_score_is_refused(tmp_path, content, reason):
    tunes, refusals = read(tmp_path, content, name="score.mxl")
    assert (tunes, [r.reason for r in refusals]) == ([], [reason])
    assert "\n" not in str(refusals[0])
    assert "score.mxl" in str(refusals[0])


def test_a_value_that_cannot_be_read_costs_its_bar(tmp_path):
    bad = notes(BAR).replace("<octave>4</octave>", "<octave>many</octave>", 1)
    tunes, refusals = read(tmp_path, score(plain(BAR, bad, BAR)))
    assert [(r.reason, r.bar) for r in refusals] == [("damaged", "2")]
    assert len(pitches(tunes)) == 8


@pytest.mark.parametrize(
    ("good", "bad", "says"),
    [
        ("<octave>4<", "<octave>x<", "has octave 'x', which is no number"),
        ("<octave>4<", "<octave>4.5<", "has octave '4.5', which is no whole number"),
        ("<octave>4<", "<octave><", "has octave '', which is no number"),
        ("<step>C<", "<step>H<", "has a step 'H', which is none of A to G"),
        ("<duration>12<", "<duration>long<", "has duration 'long', which is no number"),
        ("<duration>12<", "<duration>1/0<", "has duration '1/0', which is no number"),
        ("<beats>4<", "<beats>four<", "has beats 'four', which is no number"),
        ("<fifths>0<", "<fifths>C<", "has fifths 'C', which is no number"),
        ("<divisions>12<", "<divisions>0<", "has divisions of '0'"),
    ],
)
def test_a_value_that_cannot_be_read_is_told_in_plain_words(tmp_path, good, bad, says):
    """The refusal was Python's: "invalid literal for int() with base 10: 'x'"."""
    content = score(plain(BAR, BAR, BAR)).decode().replace(good, bad, 1).encode()
    _, refusals = read(tmp_path, content)
    assert says in str(refusals[0])
    assert "literal" not in str(refusals[0])


def test_a_change_inside_a_measure_counts_from_its_place(tmp_path):
    """It counted from the beginning of the measure."""
    middle = notes("C4 D4") + attributes(meter=None, fifths=1) + notes("G4 A4")
    tunes, refusals = read(tmp_path, score(plain(BAR, BAR, middle, "G4 A4 B4 G4", "G4 A4")))
    found = [(s.tonic_class, [bar.duration_ticks for bar in s.bars]) for s in tunes[0].sections]
    assert (found, refusals) == ([(0, [96, 96, 48]), (7, [48, 96, 48])], [])
    melodies, _ = melodies_of(tunes[0])
    assert (melodies[-1].key, melodies[-1].header.pickup_ticks) == ("G major", 48)


def test_a_change_at_the_end_of_a_measure_counts_from_the_next(tmp_path):
    bar = notes(BAR) + attributes(meter="3/4", fifths=None)
    tunes, refusals = read(tmp_path, score(plain(BAR, bar, "C4 D4 E4", "C4 D4 E4")))
    found = [(s.meter, len(s.bars)) for s in tunes[0].sections]
    assert (found, refusals) == ([("4/4", 2), ("3/4", 2)], [])


def test_a_note_across_a_change_is_tied(tmp_path):
    """A second voice says where the change is."""
    bar = note("C4", quarters=4) + "<backup><duration>24</duration></backup>"
    bar += attributes(meter=None, fifths=1) + "<forward><duration>24</duration></forward>"
    tunes, _ = read(tmp_path, score(plain(BAR, bar, "G4 A4 B4 G4")))
    parts = [s.bars[-1 if place == 0 else 0].notes[0] for place, s in enumerate(tunes[0].sections)]
    assert [(n.midi, n.duration_ticks, n.tied) for n in parts] == [(60, 48, True), (60, 48, False)]


def test_too_many_changes_in_a_measure_cost_it(tmp_path):
    changes = "".join(note("C4") + attributes(meter=None, fifths=k % 2 + 1) for k in range(40))
    _, refusals = read(tmp_path, score(plain(BAR, BAR, changes, BAR, BAR)))
    assert [(r.reason, r.bar) for r in refusals] == [("damaged", "3")]


def test_overlaps_in_a_voice_are_cut_and_said(tmp_path):
    bar = note("C4", quarters=3) + "<backup><duration>24</duration></backup>" + notes("E4 F4 G4")
    tunes, _ = read(tmp_path, score(plain(bar, BAR)))
    assert sounding(tunes)[0][:4] == [(60, 24), (64, 24), (65, 24), (67, 24)]
    assert decisions(tunes) == ["overlaps cut"]


def test_missing_barlines_are_put_where_a_note_begins(tmp_path):
    tunes, refusals = read(tmp_path, score(plain(BAR, f"{BAR} {BAR}", BAR)))
    assert (refusals, decisions(tunes)) == ([], ["bars repaired"])
    assert [m.header.bars for m in melodies_of(tunes[0])[0]] == [4]


def test_a_short_bar_that_completes_the_pickup_ends_a_strain(tmp_path):
    """As in bar 19 of BWV 374 in music21's corpus."""
    bars = plain("G4", BAR, BAR, "C4 D4 E4", BAR, BAR)
    tunes, refusals = read(tmp_path, score(bars))
    assert (refusals, len(pitches(tunes))) == ([], 20)
    found = [(m.header.bars, m.header.pickup_ticks) for m in melodies_of(tunes[0])[0]]
    assert found == [(3, 24), (2, 0)]


@pytest.mark.parametrize(
    ("name", "mode", "tonic"),
    [("harmonic minor", "minor", 9), ("aeolian", "minor", 9), ("lydian", "lydian", 5)],
)
def test_a_mode_is_read_by_its_names(tmp_path, name, mode, tonic):
    tunes, _ = read(tmp_path, score(plain(BAR, BAR, first=attributes(mode=name))))
    assert (tunes[0].sections[0].mode, tunes[0].sections[0].tonic_class) == (mode, tonic)


def test_a_printed_accidental_without_a_pitch_of_its_own_sounds(tmp_path):
    bar = notes(BAR).replace("<voice>", "<accidental>sharp</accidental><voice>", 1)
    altered = notes(BAR).replace("<octave>", "<alter>-1</alter><octave>", 1)
    altered = altered.replace("<voice>", "<accidental>sharp</accidental><voice>", 1)
    tunes, _ = read(tmp_path, score(plain(bar, altered)))
    assert (pitches(tunes)[0], pitches(tunes)[4]) == (61, 59)


def test_a_long_strain_is_cut_into_pieces_and_said(tmp_path):
    tunes, _ = read(tmp_path, score(plain("G4", *[BAR] * 39, "C4 D4 E4")))
    found = [(m.header.bars, m.header.pickup_ticks) for m in melodies_of(tunes[0])[0]]
    assert (found, decisions(tunes)) == ([(32, 24), (8, 24)], ["cut"])
