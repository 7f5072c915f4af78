"""Simulated listeners.

simulated: a rater of known taste and reliability, and their votes in a store
tastes: what simulated listeners like, by name
note_tastes: likings written from the notes: by mode, by pace, and each melody's own
reasons: listeners who say why
"""
