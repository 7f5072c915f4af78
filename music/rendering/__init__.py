"""A melody as something to hear or look at.

sound: audio of a chosen instrument at one loudness
soundfont_chunks: whether the chunks of a soundfont end inside the file
synthesiser: the synthesiser in a process of its own, for servers
piano_roll: an SVG picture of pitch over time
"""
