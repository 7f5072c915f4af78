"""Our reading of scores, part by part, against music21's."""

from collections.abc import Sequence
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
CHORALES = [*sorted((CORPUS / "bach").glob("bwv*.mxl"))[::20], CORPUS / "bach" / "bwv374.mxl"]
Notes = list[tuple[int, Fraction]]


def notes_of_music21(part, without: Sequence[str] = ()) -> Notes | None:
    """(pitch, ticks) of each note as written; None where there are chords or several voices.

    Args:
        part: of a score.
        without: numbers of bars to leave out.
    """
    if any(part.recurse().getElementsByClass(kind) for kind in ("Chord", "Voice")):
        return None
    return [
        (note.pitch.midi, Fraction(note.quarterLength) * 24)
        for measure in part.toSoundingPitch().getElementsByClass("Measure")
        if f"{measure.measureNumber}{measure.numberSuffix or ''}" not in without
        for note in measure.recurse().notes
        if not note.duration.isGrace
    ]


def our_notes(file: Path, part: str | None) -> tuple[Notes, list[str]]:
    """The same by our reader, and the numbers of the bars that it refuses."""
    tunes, refusals = read_tunes(file, part=part)
    notes = [
        (note.midi, note.duration_ticks)
        for tune in tunes
        for section in tune.sections
        for bar in section.bars
        for note in bar.notes
        if note.midi is not None
    ]
    return notes, [refusal.bar for refusal in refusals]


@pytest.mark.slow
def test_scores_of_one_voice_are_read_as_music21_reads_them():
    for name in SINGLE:
        score = music21.converter.parse(CORPUS / name, forceSource=True)
        assert our_notes(CORPUS / name, None) == (notes_of_music21(score.parts[0]), []), name


@pytest.mark.slow
def test_the_parts_of_chorales_are_read_as_music21_reads_them():
    compared = 0
    for file in CHORALES:
        score = music21.converter.parse(file, forceSource=True)
        for number, part in enumerate(score.parts, start=1):
            ours, refused = our_notes(file, str(number))
            theirs = notes_of_music21(part, refused)
            if theirs is not None:
                assert ours == theirs, (file.name, number)
                compared += 1
    assert compared >= 80


def joined(notes: list[tuple[int, Fraction, bool]]) -> Notes:
    """Notes with ties -> notes as they sound."""
    found: Notes = []
    tied = False
    for midi, ticks, goes_on in notes:
        if tied and found[-1][0] == midi:
            found[-1] = (midi, found[-1][1] + ticks)
        else:
            found.append((midi, ticks))
        tied = goes_on
    return found


@pytest.mark.slow
def test_midi_that_music21_writes_is_read_note_for_note(tmp_path):
    compared = 0
    for file in CHORALES[:6]:
        soprano = music21.converter.parse(file, forceSource=True).parts[0]
        if notes_of_music21(soprano) is None:
            continue
        sounding = soprano.toSoundingPitch().stripTies().recurse().notes
        theirs = [(note.pitch.midi, Fraction(note.quarterLength) * 24) for note in sounding]
        (tune,), _ = read_tunes(Path(soprano.write("midi", tmp_path / "soprano.mid")))
        bars = [bar for section in tune.sections for bar in section.bars]
        ours = [(n.midi, n.duration_ticks, n.tied) for b in bars for n in b.notes if n.midi]
        assert joined(ours) == theirs, file.name
        compared += 1
    assert compared >= 4
