"""Reading and writing melodies in the formats of other programs.

abc: a tune in ABC notation as data: bars of notes, with their barlines and endings
abc_text: the text of an ABC file, and where each tune begins
abc_tokens: the patterns of ABC's notes and lengths
abc_key: reads keys, clefs and shifts of pitch
abc_reader: reads ABC text into bars of notes
abc_melody: makes a melody of bars of ABC
abc_writer: writes the bars of a melody so that other programs read them alike
notation: a melody as ABC or as engraved SVG, and ABC as a melody
midi: writes MIDI files
musicxml: writes MusicXML
note_values: which printed notes, tied, last as long as a note of a melody
score: splits a melody into printed note values with ties, tuplets and beams
spelling: names keys, and chooses the letter and accidental of each pitch
"""
