"""`tastemaker/Melody-v0` for N melodies at once, equal to N single environments.

The rules are those of `env.melody_env.MelodyEnv`. The grammar advances as one batch. The melodies
that end in one step are rewarded, and read by the reference, in one batch.
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
    MelodyCore,
    Reward,
    action_space,
    checked_render_mode,
    observation_space,
)
from env.prompt import prompt_ids
from env.reference import Reference
from policy.model import MelodyForCausalLM


class MelodyVectorEnv(VectorEnv[dict[str, np.ndarray], np.ndarray, np.ndarray]):
    """N melodies, one token each a step.

    A melody that has ended begins anew in the step after (`AutoresetMode.NEXT_STEP`), with the
    options given to the constructor. That step's action for it is ignored, its reward is 0, and its
    `info` is that of a reset.

    `reset` takes one seed (melody k is seeded with it plus k), or one or None for each melody. Its
    options are those of the single environment, for all melodies, and two more:
    - `reset_mask`: bool (N,), to begin only some melodies anew.
    - `per_env`: N mappings, the options of each melody, on top of the others.

    For each key, `infos` has an array (N, ...) and, as `_key`, which melodies it is about.
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
        self.options = dict(options or {})
        reference = Reference(policy)
        self._prompt = prompt_ids(self.options, reference.scope)
        room = reference.scope.room_for(self._prompt[None])
        self._core = MelodyCore(
            num_envs, reference, reward=reward, illegal_penalty=illegal_penalty, room=room
        )
        self.num_envs = num_envs
        self.single_observation_space = observation_space(room)
        self.single_action_space = action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rngs: list[np.random.Generator | None] = [None] * num_envs
        self._seeds = [-1] * num_envs
        self._started = np.zeros(num_envs, bool)

    @property
    def reference(self) -> Reference:
        """The frozen policy that melodies are compared with."""
        return self._core.reference

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
        prompts = self._prompts(options)  # checked before any melody begins
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
            (info,) = self._core.start([number], prompts[number], rng.random)
            infos = self._add_info(infos, info, number)
        self._started[numbers] = True
        return self._core.observation(), infos

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
        over = self._core.ended
        step = self._core.step(actions)
        infos: dict[str, Any] = {}
        if not over.all():
            infos = {"token": step.tokens, "_token": ~over}
            infos |= {"illegal": step.illegal, "_illegal": ~over}
        for number, ending in step.endings.items():
            infos = self._add_info(infos, ending, number)
        for number in np.flatnonzero(over).tolist():
            (info,) = self._core.start([number], self._prompt, self._rng(number).random)
            infos = self._add_info(infos, info, number)
        truncated = np.zeros(self.num_envs, bool)
        return self._core.observation(), step.rewards, step.ended, truncated, infos

    def action_masks(self) -> np.ndarray:
        """Which tokens are legal now; bool (N, V)."""
        return self._core.masks()

    def render(self) -> tuple[str, ...] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Each melody so far as text; None without a render mode."""
        if self.render_mode is None:
            return None
        return tuple(self._core.text(number, self.render_mode) for number in range(self.num_envs))

    def _rng(self, number: int, seed: int | None = None) -> np.random.Generator:
        rng = self._rngs[number]
        if rng is None or seed is not None:
            rng, self._seeds[number] = seeding.np_random(seed)
            self._rngs[number] = rng
        return rng

    def _prompts(self, options: dict[str, Any]) -> list[np.ndarray]:
        """What a reset with these options sets in each melody."""
        own = options.pop("per_env", None)
        shared = {**self.options, **options}
        if own is None:
            return [self._core.prompt(shared) if options else self._prompt] * self.num_envs
        if (
            not isinstance(own, Sequence)
            or len(own) != self.num_envs
            or not all(isinstance(one, Mapping) for one in own)
        ):
            raise ValueError(
                f"per_env={str(own)[:60]} does not hold the options of each melody; give a list of "
                f"{self.num_envs} mappings, {{}} where a melody has no options of its own"
            )
        return [self._core.prompt({**shared, **one}) for one in own]

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
