"""Our reading of scores of one part, against music21's."""

import logging
from fractions import Fraction
from pathlib import Path

import pytest

from music.readers import read_tunes

music21 = pytest.importorskip("music21")
CORPUS = Path(music21.__file__).parent / "corpus"


def reading_of_music21(file):
    """(pitch, ticks) of each note, ties joined; None for a score of several parts or voices."""
    score = music21.converter.parse(file, forceSource=True)
    parts = list(score.parts)
    if len(parts) != 1 or list(score.recurse().getElementsByClass("Chord")):
        return None
    if list(score.recurse().getElementsByClass("Voice")):
        return None
    part = parts[0].toSoundingPitch().stripTies()
    return [
        (n.pitch.midi, Fraction(n.quarterLength) * 24)
        for n in part.recurse().notes
        if not n.duration.isGrace and hasattr(n, "pitch")
    ]


def our_reading(file):
    tunes, refusals = read_tunes(file)
    assert refusals == []
    found, tied = [], False
    for section in tunes[0].sections:
        for note in (note for bar in section.bars for note in bar.notes):
            if note.midi is not None and tied and found[-1][0] == note.midi:
                found[-1] = (note.midi, found[-1][1] + note.duration_ticks)
            elif note.midi is not None:
                found.append((note.midi, note.duration_ticks))
            tied = note.tied
    return found


FILES = sorted(file for kind in ("*.xml", "*.musicxml", "*.mxl") for file in CORPUS.rglob(kind))
