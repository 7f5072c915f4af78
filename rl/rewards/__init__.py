"""From a reward specification to scores of melodies.

spec: the text that names a reward or a mixture
sources: finds the run, rules or function of a name
scaled: scales rewards to one unit, and mixes them
music_theory: RL Tuner's rules as a reward
"""
