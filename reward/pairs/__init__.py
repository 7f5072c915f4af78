"""Which pairs of melodies are asked.

round: writes melodies into the pool and pairs them for a round
random_pairs: pairs at random, and hidden repeats
informative: pairs that teach the taste profile most
committee: several posteriors as one, to choose pairs by
traps: pairs with a known answer, for attention checks
"""
