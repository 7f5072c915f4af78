"""Fine-tuning a policy against a reward: PPO, its jobs, baselines and evaluation.

ppo: the algorithm
rewards: from a reward specification to scores
evaluation: measuring a tuned policy beside its base
runs: fine-tuning runs, and comparing them
jobs: runs in processes of their own
baselines: other methods on the same reward
loop: the whole loop with a simulated listener
composing: composed melodies as files
"""
