"""The pages of the studio.

rate: listen to two melodies and vote
library: find, hear and keep melodies
taste: what the votes say about a taste
blind_test: make blind tests, vote in them, read their results
fine_tune: start and watch PPO jobs
corpora: make a corpus of uploaded tunes, adapt a policy to it
people: a rater's own data, and all raters for an organiser
"""
