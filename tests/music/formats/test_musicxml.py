"""MusicXML: music21 and verovio, which are not ours, read the same melody back."""

import base64
import warnings
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from fractions import Fraction

import pytest
import verovio
from hypothesis import given, settings
from hypothesis import strategies as st

from music.formats.musicxml import to_musicxml
from music.formats.spelling import key_of
from music.melody import TICKS_PER_QUARTER
from music.metre import BAR_TICKS
from music.tempo import default_tempo_bpm
from tests.music.formats.test_abc_readers import (
    check,
    meter_and_key_of,
    meter_and_key_of_midi,
    notes_of_midi,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # music21's own imports
    from music21 import converter


def read_back(xml):
    """Onset and duration in ticks and MIDI pitch of each note, ties joined; and the score."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # music21 opens files of its cache without closing them
        score = converter.parseData(xml, format="musicxml")
    notes = []
    for note in score.recurse().notes:
        ticks = Fraction(note.duration.quarterLength) * TICKS_PER_QUARTER
        if note.tie is not None and note.tie.type in ("continue", "stop"):
            # By hand: music21's stripTies leaves apart what only the first has a natural sign for.
            onset, before, pitch = notes[-1]
            assert note.pitch.midi == pitch
            notes[-1] = (onset, before + ticks, pitch)
        else:
            onset = Fraction(note.getOffsetInHierarchy(score)) * TICKS_PER_QUARTER
            notes.append((onset, ticks, note.pitch.midi))
    return notes, score


def expect_the_same(melody):
    notes, score = read_back(to_musicxml(melody))
    start = melody.header.start_ticks
    assert notes == [
        (n.onset_ticks - start, n.duration_ticks, melody.tonic_midi + n.pitch) for n in melody.notes
    ]
    (key,) = score.recurse().getElementsByClass("KeySignature")
    (meter,) = score.recurse().getElementsByClass("TimeSignature")
    in_melody = key_of(melody.tonic_midi, melody.header.mode)
    assert (key.sharps, key.mode) == (in_melody.signature_fifths, melody.header.mode)
    assert meter.ratioString == melody.header.meter
    return score


def test_real_tunes_come_back(real_melodies):
    for melody in real_melodies[::25]:
        score = expect_the_same(melody)
        assert score.recurse().getElementsByClass("MetronomeMark")[0].number == pytest.approx(
            default_tempo_bpm(melody.header), abs=0.5
        )


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_melody_comes_back(any_melody, data):
    expect_the_same(data.draw(any_melody))


@pytest.mark.slow
def test_verovio_reads_the_same(random_melodies, real_melodies):
    toolkit = verovio.toolkit()
    toolkit.setOptions({"inputFrom": "musicxml"})
    odd = [replace(m, tonic_midi=60 + n % 12) for n, m in enumerate(random_melodies(40, seed=21))]
    for melody in [*odd, *real_melodies[::25]]:
        assert toolkit.loadData(to_musicxml(melody))
        midi = base64.b64decode(toolkit.renderToMIDI())
        check(melody, notes_of_midi(midi))
        assert meter_and_key_of_midi(midi) == meter_and_key_of(melody)


def test_no_beam_goes_over_an_end_of_a_triplet(tune):
    """Verovio would take the next note into it."""
    triplet = ((None, 4), (0, 8), (0, 4), (0, 4), (0, 4), (0, 12), (0, 12), (0, 48))
    root = ElementTree.fromstring(to_musicxml(tune(*triplet, bars=2)))
    beams = [[b.text for b in n.findall("beam")] for n in root.iter("note")]
    assert beams == [
        [], [], ["begin", "begin"], ["continue", "continue"], ["end", "end"], ["begin"], ["end"],
        [],
    ]  # fmt: skip


def test_the_style_is_named_where_the_metre_does_not_say_it(tune):
    melody = tune(*[(0, 108)] * 4, meter="9/8")
    for style, named in (("slipjig", None), ("other", "other"), ("slow air", "slow air")):
        other = replace(melody, header=replace(melody.header, style=style))
        root = ElementTree.fromstring(to_musicxml(other))
        assert root.findtext("identification/miscellaneous/miscellaneous-field") == named


@pytest.mark.parametrize(
    ("meter", "unit", "dots"),
    [("2/2", "half", 0), ("6/4", "half", 1), ("7/8", "eighth", 0), ("12/8", "quarter", 1)],
)
def test_the_tempo_is_of_the_beat(tune, meter, unit, dots):
    melody = tune(*[(0, BAR_TICKS[meter])] * 2, meter=meter, bars=2)
    metronome = ElementTree.fromstring(to_musicxml(melody)).find(".//metronome")
    assert metronome is not None
    assert (metronome.findtext("beat-unit"), len(metronome.findall("beat-unit-dot"))) == (
        unit,
        dots,
    )
    assert int(metronome.findtext("per-minute", "")) == default_tempo_bpm(melody.header)


def test_a_bar_by_hand(tune):
    melody = tune(
        *((0, 12), (1, 6), (2, 6), (4, 8), (5, 8), (7, 8)),
        (None, 48),
        (0, 60),
        (0, 36),
        tonic_midi=62,
    )
    xml = to_musicxml(melody, title="Up & <down>")
    root = ElementTree.fromstring(xml)
    assert root.findtext("work/work-title") == "Up & <down>"
    measures = root.findall("part/measure")
    assert [m.get("number") for m in measures] == ["1", "2", "3", "4"]
    assert {m.get("implicit") for m in measures} == {None}
    first = measures[0].findall("note")
    assert [n.findtext("pitch/step") + (n.findtext("pitch/alter") or "") for n in first] == [
        "D", "D1", "E", "F1", "G", "A"
    ]  # fmt: skip
    assert [n.findtext("accidental") for n in first] == [None, "sharp", *[None] * 4]
    assert [[b.text for b in n.findall("beam")] for n in first] == [
        ["begin"], ["continue", "begin"], ["end", "end"], ["begin"], ["continue"], ["end"],
    ]  # fmt: skip
    assert [n.find("time-modification") is not None for n in first] == [False] * 3 + [True] * 3
    assert [t.get("type") for t in root.iter("tuplet")] == ["start", "stop"]
    assert [t.get("type") for t in root.iter("tied")] == ["start", "stop"]
    assert measures[-1].findtext("barline/bar-style") == "light-heavy"


def test_a_pickup_is_a_measure_without_a_number_of_its_own(tune):
    melody = tune((7, 12), *[(0, 48)] * 3, (0, 36), pickup_ticks=12)
    measures = ElementTree.fromstring(to_musicxml(melody)).findall("part/measure")
    assert [(m.get("number"), m.get("implicit")) for m in measures] == [
        ("0", "yes"), ("1", None), ("2", None), ("3", None), ("4", "yes"),
    ]  # fmt: skip
