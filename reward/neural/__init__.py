"""The neural reward: small networks on the hidden states of the policy.

model: the network and its scores
training: training by a subclass of TRL's RewardTrainer
blend: a weighted mean of profile and neural reward
"""
