"""Votes as data, and what they say of those who gave them.

preferences: votes as arrays: who heard which two melodies, and the outcome
learnable: which votes a reward may learn from
agreement: how often a model's choice is the rater's, and the ceiling of that
calibration: whether predicted probabilities come true
reliability: a rater's side bias, consistency and attention
attention: how many traps each rater passed
krippendorff: Krippendorff's alpha
rater_statistics: figures of each rater and of all
intervals: counted shares with intervals, and the bootstrap
"""
