"""MusicXML: music21, which is not ours, reads the same notes back."""

import warnings
import xml.etree.ElementTree as ElementTree
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.formats.midi import default_tempo_bpm
from music.formats.musicxml import to_musicxml
from music.formats.spelling import key_of
from music.melody import TICKS_PER_QUARTER

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
    return score


def test_real_tunes_come_back(real_melodies):
    for melody in real_melodies[::25]:
        score = expect_the_same(melody)
        (signature,) = score.recurse().getElementsByClass("KeySignature")
        assert signature.sharps == key_of(melody.tonic_midi, melody.header.mode).signature_fifths
        assert score.recurse().getElementsByClass("TimeSignature")[0].ratioString == (
            melody.header.meter
        )
        assert score.recurse().getElementsByClass("MetronomeMark")[0].number == pytest.approx(
            default_tempo_bpm(melody.header), abs=0.5
        )


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_melody_comes_back(any_melody, data):
    expect_the_same(data.draw(any_melody))


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
