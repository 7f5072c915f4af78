"""The tunes that policies are trained on, and how melodies compare with them.

catalogue: corpora by their names: the shipped one, and those of one's own
corpus: the shipped corpus
corpus_file: a corpus as a file of numbers: strains of tunes, split by tune
corpus_checks: what such a file has to be
books: builds the shipped corpus from two books of tunes
build: builds a corpus of one's own from files of tunes
build_options: what it is to be called, its styles and licence
sources: the files that a corpus is built from
file_reading: reads these files, each into its strains as tokens
near_duplicates: which strains are alike, and which tunes belong together
remark_tables: what was refused and decided, passage by passage
sides: which tunes are held out
data_card: what was read and refused, what is in a corpus, and whose work it is
originality: how much of a melody stands in the training tunes
diversity: how many different melodies a set is worth (Vendi score)
tune_search: finds melodies by a few of their notes
"""
