"""Blind tests of two policies.

make: writes the pairs of a blind test into the store
stopping_rule: who wins, how sure that is, and when the test may end
"""
