"""The Gymnasium environment: a melody is written token by token, then scored.

core: N melodies being written, the reference and the reward; the environments and PPO use it
melody_env: the environment for one melody; its docstring is the rule book
vector_env: the environment for N melodies at once
prompt: the tokens that are set when an episode starts
reference: the frozen pretrained policy that a learner is compared with
nearest: the legal token that replaces an illegal action

Importing this package registers the environment: `gymnasium.make("env:tastemaker/Melody-v0")`.
"""

from gymnasium.envs.registration import register

register(
    id="tastemaker/Melody-v0",
    entry_point="env.melody_env:MelodyEnv",
    vector_entry_point="env.vector_env:MelodyVectorEnv",
)
