"""The command line.

__main__: all commands, and what is said when one fails
options: options that several commands share
melodies: compose, corpus, pretrain
rating: pairs, studio, rate, ratings
rewards: reward, taste
fine_tuning: ppo, jobs, baselines
judging: demo, evaluate, blind-test
"""
