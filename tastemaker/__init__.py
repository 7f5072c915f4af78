"""The command line.

__main__: all commands, and what is said when one fails
options: options that several commands share
progress: how far a command is, on stderr
melodies: compose
pretraining: pretrain
corpora: build, list and show corpora
rating: pairs, studio, rate
ratings: export, import and statistics of ratings
rewards: reward, taste
fine_tuning: ppo, baselines
jobs: list, watch, stop, resume and compare PPO jobs
judging: demo, evaluate, blind-test
"""
