"""`tastemaker/Melody-v0` for N melodies at once, equal to N single ones.

The rules are those of `env.melody_env.MelodyEnv`. The grammar advances as one batch, and all
melodies that end in a step are rewarded and scored by the reference in one batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from env.core import (
    RENDER_MODES,
    MelodyGame,
    Reward,
    action_space,
    checked_render_mode,
    observation_space,
)
from env.reference import Reference
from policy.model import MelodyForCausalLM


class MelodyVectorEnv(VectorEnv[dict[str, np.ndarray], np.ndarray, np.ndarray]):
    """N melodies, one token each a step.

    A melody that has ended is begun anew in the step after (`AutoresetMode.NEXT_STEP`): that step's
    action for it is of no consequence, its reward is 0 and its `info` is that of a reset, with the
    options given to the constructor.

    `reset` takes one seed (melody k is seeded with it plus k), or one or None for each; and beside
    the options of the single environment `reset_mask`, bool (N,), to begin only some anew.

    `infos` hold for each key an array (N, ...) and, as `_key`, which melodies it is about.
    """

    metadata: ClassVar[dict[str, Any]] = {  # pyright: ignore[reportIncompatibleVariableOverride]
        "render_modes": list(RENDER_MODES),
        "render_fps": 4,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        policy: MelodyForCausalLM | Path | str | None = None,
        reward: Reward | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        illegal_penalty: float = 0.01,
        render_mode: str | None = None,
    ) -> None:
        """As the single environment, for `num_envs` melodies; it raises the same."""
        self.render_mode = checked_render_mode(render_mode)
        self._game = MelodyGame(
            num_envs, policy=policy, reward=reward, options=options, illegal_penalty=illegal_penalty
        )
        self.num_envs = num_envs
        self.single_observation_space = observation_space()
        self.single_action_space = action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rngs: list[np.random.Generator | None] = [None] * num_envs
        self._seeds = [-1] * num_envs
        self._started = np.zeros(num_envs, bool)

    @property
    def reference(self) -> Reference:
        """The frozen policy that melodies are compared with."""
        return self._game.reference

    @property
    def np_random(self) -> tuple[np.random.Generator, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The source of chance of each melody."""
        return tuple(self._rng(number) for number in range(self.num_envs))

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The seed of each melody's source of chance."""
        for number in range(self.num_envs):
            self._rng(number)
        return tuple(self._seeds)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Begin all melodies anew, or those of `options["reset_mask"]`.

        Raises:
            ValueError: for options that are not known or do not go together, or too few seeds.
        """
        options = dict(options or {})
        numbers = np.flatnonzero(self._checked_reset_mask(options.pop("reset_mask", None)))
        given = self._game.given(options)  # checked before anything is begun
        if seed is None or isinstance(seed, int | np.integer):
            seeds = [
                None if seed is None else int(seed) + number for number in range(self.num_envs)
            ]
        else:
            seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(
                f"{len(seeds)} seeds for {self.num_envs} melodies; give one, or one for each"
            )
        infos: dict[str, Any] = {}
        for number in numbers.tolist():
            rng = self._rng(number, seeds[number])
            infos = self._add_info(infos, self._game.start(number, given, rng), number)
        self._started[numbers] = True
        return self._game.observation(), infos

    def step(
        self, actions: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Write one more token to each melody, and begin those anew that ended a step before.

        Raises:
            ResetNeeded: before every melody has been begun.
            ValueError: for an action that is no token, or a reward that breaks its contract.
        """
        if not self._started.all():
            number = int(np.flatnonzero(~self._started)[0])
            raise ResetNeeded(f"melody {number} has not been begun; call reset() before step()")
        over = self._game.state.done
        played = self._game.play(actions)
        infos: dict[str, Any] = {}
        if not over.all():
            infos = {"token": played.tokens, "_token": ~over}
            infos |= {"illegal": played.illegal, "_illegal": ~over}
        for number, ending in played.endings.items():
            infos = self._add_info(infos, ending, number)
        for number in np.flatnonzero(over).tolist():
            given = self._game.given(None)
            infos = self._add_info(
                infos, self._game.start(number, given, self._rng(number)), number
            )
        truncated = np.zeros(self.num_envs, bool)
        return self._game.observation(), played.rewards, played.ended, truncated, infos

    def action_masks(self) -> np.ndarray:
        """Which tokens are legal now; bool (N, V)."""
        return self._game.masks()

    def render(self) -> tuple[str, ...] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Each melody so far as text; None without a render mode."""
        if self.render_mode is None:
            return None
        return tuple(self._game.text(number, self.render_mode) for number in range(self.num_envs))

    def _rng(self, number: int, seed: int | None = None) -> np.random.Generator:
        rng = self._rngs[number]
        if rng is None or seed is not None:
            rng, self._seeds[number] = seeding.np_random(seed)
            self._rngs[number] = rng
        return rng

    def _checked_reset_mask(self, mask: object) -> np.ndarray:
        if mask is None:
            return np.ones(self.num_envs, bool)
        chosen = np.asarray(mask)
        if chosen.shape != (self.num_envs,) or chosen.dtype != bool or not chosen.any():
            raise ValueError(
                f"reset_mask={mask} does not say which melodies to begin anew; give a bool array "
                f"of shape ({self.num_envs},) with at least one True"
            )
        return chosen
