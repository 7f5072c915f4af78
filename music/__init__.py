"""What a melody is: its notes, its tokens, and everything that is known without a model. No torch.

metre: metres, and how long their bars and beats are
durations: the values that one token has, and how other durations are split
tempo: how fast melodies are played, and one tempo for a pair
styles: which label each style token stands for
melody: a melody of one voice, with its header; it cannot be built wrong
tokens: a melody as token ids, and back
earlier_tokens: the tokens of version 0.1.0, and what they are today
key_choice: the key and compass that melodies are written in, and one key for a pair
grammar: which tokens may come next, for a whole batch at once
note_table: the notes of many melodies in arrays
progress: how far a piece of work is
messages: the text of an error, with long values cut
disk: the disk under a path, and its errors in plain words
files: files that are written whole or not at all, and synced
json_text: JSON of unknown origin, with bounded depth and finite numbers
limits: how much is read of a file from outside
formats: reading and writing ABC, MIDI, MusicXML and printed scores
readers: tunes from the files of other programs
descriptors: what is measured on a melody
corpora: the tunes that policies are trained on, and comparisons with them
rendering: a melody as sound and as a picture
"""
