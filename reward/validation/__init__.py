"""Whether the taste profile holds on judgements from elsewhere: melodies that it has not heard.

judgement_table: reads a table of scores, or of choices between two melodies
judged_melodies: reads the files of melodies that a table names
judged_pairs: scores and choices as pairs, and what people agree on among themselves
melody_folds: folds of melodies, so that no melody is learnt from and predicted
held_out_figures: agreement, log loss and calibration, with intervals over melodies
logistic: logistic regression on the same features, to compare the profile with
check: the whole check of a table
report: what came of it, in words and as JSON
"""
