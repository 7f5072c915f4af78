"""The tunes that policies are trained on, and how melodies compare with them.

catalogue: corpora by their names: the shipped one, and those of one's own
corpus: the shipped corpus
corpus_file: a corpus as a file of numbers: strains of tunes, split by tune
books: builds the shipped corpus from two books of tunes
strains: cuts the tunes of a book into strains
near_duplicates: which strains are alike, and which tunes belong together
originality: how much of a melody stands in the training tunes
diversity: how many different melodies a set is worth (Vendi score)
tune_search: finds melodies by a few of their notes
"""
