"""The tunes that policies are trained on, and how melodies compare with them.

corpus: the shipped corpus: strains of two tune books, split by tune
strains: cuts the tunes of a book into strains
originality: how much of a melody stands in the training tunes
diversity: how many different melodies a set is worth (Vendi score)
tune_search: finds melodies by a few of their notes
"""
