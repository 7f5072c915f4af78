"""Reading and writing melodies in the formats of other programs.

abc: reads ABC notation into bars of notes
abc_bars: makes a melody of bars of ABC
notation: writes ABC and engraved SVG, and reads a melody from ABC
midi: writes MIDI files
musicxml: writes MusicXML
score: splits a melody into printed note values with ties, tuplets and beams
spelling: names keys, and chooses the letter and accidental of each pitch
"""
