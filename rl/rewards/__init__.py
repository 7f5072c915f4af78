"""From a reward specification to scores of melodies.

spec: the text that names a reward or a mixture
sources: what a name in a specification stands for
scaled: rewards in one common unit
music_theory: RL Tuner's rules as a reward
"""
