"""`tastemaker/Melody-v0`: one melody, one token a step. The class docstring is the rule book."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded

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


class MelodyEnv(gym.Env[dict[str, Any], np.int64]):
    """Write a melody, note by note, and be rewarded at its end.

    ## Description
    The learner continues a prompt (a header, and first notes if they are asked for) until the
    melody has as many bars as its header says. At each step a grammar says which tokens may come
    next. Whatever the learner does, the result is one whole melody of that metre, pickup and
    length. A pretrained policy, the **reference**, chooses the header fields that are left open. It
    also says how likely it would have written the same, so that a learner can stay close to it (RL
    Tuner: Jaques et al. 2017, arXiv:1611.02796).

        import gymnasium
        env = gymnasium.make("env:tastemaker/Melody-v0", reward=lambda melodies: [...])
        observation, info = env.reset(seed=0, options={"meter": "6/8", "bars": 8})

    ## Action space
    `Discrete(918)`: the id of the next token in `music.tokens.VOCABULARY`. A note is one token,
    pitch and duration together; so are a rest, a barline and the end. A hold continues a note: over
    a barline, or where its duration is not one that a token has.

    An **illegal** action does not break the melody. The nearest legal token is written instead: the
    same kind (note, rest or hold) if any such is legal, else a note; of those the nearest pitch,
    then the nearest duration. `info["illegal"]` is then True, `info["token"]` is what was written,
    and `illegal_penalty` is taken off the reward. Where one token alone is legal (barlines and the
    end) it is written whatever the action, and that is not counted as illegal. Learners that know
    masks (`action_masks()` for sb3-contrib's MaskablePPO, `observation["action_mask"]` for
    `action_space.sample(mask)`) never meet this. An action that is no token at all is a ValueError.

    ## Observation space
    `Dict`, the same for every reset:
    - `tokens`: `Box(0, 917, (T,), int64)`, the ids so far, from BOS; after them PAD, which is 0. T
      is the length of the longest melody that the reference can write under the environment's own
      `options`: 1575 tokens if it knows every metre and 32 bars, 271 with `{"meter": "4/4", "bars":
      8}`. A reset that asks for a header with longer melodies is a ValueError.
    - `action_mask`: `MultiBinary(918)`, 1 for each token that may come next. Header values that the
      reference was not trained on are not among them.

    The numbers of `tokens` are names, not amounts: give a learner that is to read them an embedding
    (in stable-baselines3, `policy_kwargs={"features_extractor_class": ...}`).

    ## Rewards
    0 until the melody ends, then `reward([melody])[0]`; less `illegal_penalty` at each illegal
    action. Without `reward` it is the mean log-probability in nats per note that the learner wrote,
    under the reference: something to learn before there is a single rating. It is a mean because a
    sum pays for writing fewer notes. It is no taste: what is likeliest is a dull melody.

    ## Starting state
    BOS and the five header fields are written, and the prefix if there is one;
    `info["given_tokens"]` counts them. Header fields that nobody asked for are sampled from the
    reference at each reset, each after those before it. They are not left to the learner, because a
    learner that chooses the length finds that short melodies are the easy ones.

    ## Episode end
    Termination after EOS, which is forced when the last bar is full. There is no truncation: the
    grammar ends every melody, and a learner must not bootstrap a value beyond it.

    ## Info
    - of every step: `token` (int), what was written; `illegal` (bool), see above.
    - of the last step also: `melody`, a `music.melody.Melody` (its tokens are the observation; its
      tonic is D); `notes` (int), to see a learner that games their number; `reference_logprobs`,
      float32 (T,), the log-probability in nats of each of `tokens` under the reference and the
      mask, 0 where the learner had no choice (the learner's own minus these, summed, is its
      sample of the KL divergence); `illegal_actions` (int), how many of the episode's were.
    - of `reset`: `given_tokens` (int).

    ## Arguments
    - `policy`: the reference: a `policy.model.MelodyForCausalLM` (copied, so that it may be trained
      on), the folder of one, or None for the base that comes with the project.
    - `reward`: any function of a sequence of N melodies that returns N finite numbers, or None.
    - `options`: options of every reset, those too that learners and vector environments do by
      themselves; what `reset(options=...)` gives comes on top.
    - `illegal_penalty`: from 0, default 0.01.
    - `render_mode`: `"ansi"`, the tokens, a bar a line; `"abc"`, the melody in ABC notation once it
      has ended, and an empty text before.

    `reset(options=...)` takes, None being the same as nothing:
    - `meter`, `mode`, `style`, `bars`, `pickup_ticks`: header fields, values as in `music.melody`,
      of those that the reference was trained on; styles are its own labels. A pickup without a
      metre must fit every metre that the reference knows.
    - `prefix`: notes (`music.melody.Note`, onset 0 the first downbeat; needs `meter`, `bars` and
      `pickup_ticks`), or token ids from BOS, header included (then no header fields beside it).

    The seed decides the sampled header fields and nothing else; the rest is the learner's.

    ## Version history
    - v0: the first. Since version 0.2.0 of Tastemaker it has 918 tokens instead of 709, `style`
      instead of `tune_type`, and observations as long as the reference and the options ask for
      instead of 640.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": list(RENDER_MODES), "render_fps": 4}  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self,
        policy: MelodyForCausalLM | Path | str | None = None,
        reward: Reward | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        illegal_penalty: float = 0.01,
        render_mode: str | None = None,
    ) -> None:
        """Load the reference and check the arguments.

        Raises:
            TypeError: when `policy` or `reward` is of another kind.
            ValueError: for options, a penalty or a render mode that cannot be.
            policy.checkpoint.CheckpointError: when the policy's folder cannot be read.
        """
        self.render_mode = checked_render_mode(render_mode)
        self.options = dict(options or {})
        reference = Reference(policy)
        self._prompt = prompt_ids(self.options, reference.scope)
        room = reference.scope.room_for(self._prompt[None])
        self._core = MelodyCore(
            1, reference, reward=reward, illegal_penalty=illegal_penalty, room=room
        )
        self.observation_space = observation_space(room)
        self.action_space = action_space()
        self._started = False

    @property
    def reference(self) -> Reference:
        """The frozen policy that melodies are compared with."""
        return self._core.reference

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Begin a new melody.

        Raises:
            ValueError: for options that are not known or do not go together.
        """
        super().reset(seed=seed)
        prompt = self._core.prompt({**self.options, **options}) if options else self._prompt
        (info,) = self._core.start([0], prompt, self.np_random.random)
        self._started = True
        return self._observation(), info

    def step(
        self, action: np.int64 | int
    ) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Write one more token.

        Raises:
            ResetNeeded: before the first reset, and after a melody has ended.
            ValueError: for an action that is no token, or a reward that breaks its contract.
        """
        if not self._started or self._core.ended[0]:
            why = "the melody has ended" if self._started else "no melody has been begun"
            raise ResetNeeded(f"{why}; call reset() before step()")
        step = self._core.step(np.asarray(action)[None])
        info = {"token": int(step.tokens[0]), "illegal": bool(step.illegal[0])}
        info |= step.endings.get(0, {})
        return self._observation(), float(step.rewards[0]), bool(step.ended[0]), False, info

    def action_masks(self) -> np.ndarray:
        """Which tokens are legal now, bool (V,): what sb3-contrib's MaskablePPO asks for."""
        return self._core.masks()[0]

    def render(self) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The melody so far as text; None without a render mode."""
        return None if self.render_mode is None else self._core.text(0, self.render_mode)

    def _observation(self) -> dict[str, np.ndarray]:
        return {name: array[0] for name, array in self._core.observation().items()}
