"""Simulated listeners.

simulated: a rater of known taste and reliability, and their votes in a store
tastes: what simulated listeners like, by name
"""
