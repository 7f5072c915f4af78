"""Reading tunes from the files of other programs: ABC, MIDI and MusicXML.

read: one function for every format, `read_tunes`
tune: a tune that was read, what was refused of it, and what was decided for it
melodies: the strains of a tune as melodies
bad_bars: bars of a strain that no melody holds
strains: cutting a section into strains
metres: metres that no melody has, read in one that it has
motif: the first tune of a file as the motif of `compose`
abc_book: reads the tunes of an ABC file
abc_tunes: the text of each tune of an ABC file
abc_voices: takes one voice out of an ABC tune
musicxml_part: reads one part of a MusicXML score
musicxml_bar: reads one measure of it
xml_document: XML of unknown origin, plain or in a zip file, within limits
midi_song: reads the notes of a MIDI file
midi_grid: puts them on the grid, or finds that they were played without a beat
midi_voice: makes one voice in bars of them
file_kinds: what a file is that does not hold what its name says
part_names: names of parts that have the melody
bars: bars of wrong length, repaired or refused
key_finder: the key of notes whose file does not name it
"""

from music.readers.melodies import melodies_of
from music.readers.read import read_tunes
from music.readers.tune import REASONS, Notice, Refusal, Section, Tune

__all__ = ["REASONS", "Notice", "Refusal", "Section", "Tune", "melodies_of", "read_tunes"]
