"""A melody as something to hear or look at.

sound: audio of a chosen instrument at one loudness
synthesiser: the synthesiser in a process of its own, for servers
piano_roll: an SVG picture of pitch over time
"""
