"""The game: write a melody token by token, then hear what it is worth (Gymnasium).

Importing this package registers the environment: `gymnasium.make("env:tastemaker/Melody-v0")`.
"""

from gymnasium.envs.registration import register

register(
    id="tastemaker/Melody-v0",
    entry_point="env.melody_env:MelodyEnv",
    vector_entry_point="env.vector_env:MelodyVectorEnv",
)
