"""Our reading of scores, part by part, against music21's."""

from fractions import Fraction
from pathlib import Path

import pytest

from music.readers import read_tunes

music21 = pytest.importorskip("music21")
CORPUS = Path(music21.__file__).parent / "corpus"
SINGLE = [
    "ciconia/quod_jactatur.xml",
    "demos/multiple-verses.xml",
    "demos/nested_tuplet_finale_test.xml",
    "demos/nested_tuplet_finale_test2.xml",
]
CHORALES = sorted((CORPUS / "bach").glob("bwv*.mxl"))[::20]


def notes_of_music21(part):
    """(pitch, ticks) of each note, ties joined; None where there are chords or several voices."""
    if any(part.recurse().getElementsByClass(kind) for kind in ("Chord", "Voice")):
        return None
    return [
        (note.pitch.midi, Fraction(note.quarterLength) * 24)
        for note in part.toSoundingPitch().stripTies().recurse().notes
        if not note.duration.isGrace
    ]


def our_notes(file, part):
    """The same by our reader; None where it refuses a bar."""
    tunes, refusals = read_tunes(file, part=part)
    if refusals:
        return None
    found, tied = [], False
    for section in tunes[0].sections:
        for note in (note for bar in section.bars for note in bar.notes):
            if note.midi is not None and tied and found[-1][0] == note.midi:
                found[-1] = (note.midi, found[-1][1] + note.duration_ticks)
            elif note.midi is not None:
                found.append((note.midi, note.duration_ticks))
            tied = note.tied
    return found


@pytest.mark.slow
def test_scores_of_one_voice_are_read_as_music21_reads_them():
    for name in SINGLE:
        score = music21.converter.parse(CORPUS / name, forceSource=True)
        assert our_notes(CORPUS / name, None) == notes_of_music21(score.parts[0]), name


@pytest.mark.slow
def test_the_parts_of_chorales_are_read_as_music21_reads_them():
    compared = 0
    for file in CHORALES:
        score = music21.converter.parse(file, forceSource=True)
        for number, part in enumerate(score.parts, start=1):
            notes = notes_of_music21(part)
            ours = our_notes(file, str(number))
            if notes is not None and ours is not None:
                assert ours == notes, (file.name, number)
                compared += 1
    assert compared >= 70


@pytest.mark.slow
def test_midi_that_music21_writes_is_read_note_for_note(tmp_path):
    compared = 0
    for file in CHORALES[:6]:
        soprano = music21.converter.parse(file, forceSource=True).parts[0]
        notes = notes_of_music21(soprano)
        written = soprano.write("midi", tmp_path / "soprano.mid")
        if notes is not None:
            assert our_notes(Path(written), None) == notes, file.name
            compared += 1
    assert compared >= 4
