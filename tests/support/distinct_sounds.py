"""Melodies that sound the same beside any other, so that a sound tells which melody it is.

Both melodies of a pair are heard at one tonic and one tempo, and without their styles where those
differ.
"""

from dataclasses import replace

from music.corpora.corpus import load_corpus
from music.styles import OTHER

TONIC_MIDI = 62
METER = "4/4"


def distinct_melodies(count, *splits):
    """This many melodies of four bars from the shipped corpus, of one tonic and metre, no style."""
    found = {}
    for split in splits:
        for strain in load_corpus(split):
            header = replace(strain.melody.header, style=OTHER)
            if header.bars == 4 and header.meter == METER:
                melody = replace(strain.melody, header=header, tonic_midi=TONIC_MIDI)
                found.setdefault(melody.notes, melody)
    assert len(found) >= count
    return list(found.values())[:count]
