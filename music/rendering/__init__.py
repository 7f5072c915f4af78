"""A melody as something to hear or look at.

sound: audio of a chosen instrument at one loudness
sound_process: a process of its own that renders clips
piano_roll: an SVG picture of pitch over time
"""
