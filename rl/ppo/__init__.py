"""Proximal policy optimisation of whole melodies.

config: the settings, checked
settings: settings as a person types them
actor: the policy that is trained
critic: expected returns, solved by ridge regression
critic_features: what is written so far, as numbers for the critic
critic_rule_features: what the rules of music theory have counted so far
rollout: melodies that the current policy writes in the environment's core
advantages: rewards, returns and advantages of each decision
objective: the score that is maximised: conservative and saturating
algorithm: one update: roll out, compute advantages, step, adapt the KL coefficient
distributed: several processes on one update
guards: limits that the resulting policy must keep
trainer: a run: updates, measurements, checkpoints, resuming
"""
