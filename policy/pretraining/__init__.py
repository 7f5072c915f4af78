"""Training a base policy on corpora, from nothing or from another policy.

config: its settings
plan: what its settings are where nobody gives any
start: what it begins with, and which corpora cannot be learnt from
train: the training itself
held_out: bits a note on held-out tunes, and how much of that is chance
"""
