"""Whether the taste profile holds on judgements from elsewhere: melodies that it has not heard.

melody_folds: folds of melodies, so that no melody is learnt from and predicted
held_out_figures: agreement, log loss and calibration, with intervals over melodies
logistic: logistic regression on the same features, to compare the profile with
"""
