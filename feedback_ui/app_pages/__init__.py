"""The pages of the studio.

rate: listen to two melodies and vote
library: find, hear and keep melodies
taste: what was learnt of a taste
blind_test: make, follow and read blind tests
finetune: start and watch PPO jobs
people: a rater's own data, and all raters for an organiser
"""
