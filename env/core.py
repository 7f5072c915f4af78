"""The core of the environment: N melodies being written, their reference and their reward.

The single and the vector environment are thin layers over it, and PPO's rollouts run in it.

Letters: N melodies, T places, V vocabulary, P places of a prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from env.nearest import nearest_legal
from env.prompt import prompt_ids
from env.reference import Chance, Reference
from music.formats.notation import to_abc
from music.melody import Melody
from music.tokens import FIRST_BAR, FIRST_NOTE, FIRST_REST, PAD, VOCABULARY, decode
from policy.episodes import EpisodeBatch

Reward = Callable[[Sequence[Melody]], Any]
"""melodies -> one finite number each, (N,)"""
RENDER_MODES = ("ansi", "abc")


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did to each melody; arrays are (N,)."""

    tokens: np.ndarray
    """int64, what was written; PAD where the melody had ended before"""
    illegal: np.ndarray
    """bool, where that is not what was asked for, though there was a choice"""
    rewards: np.ndarray
    """float64"""
    ended: np.ndarray
    """bool, which melodies ended with this token"""
    endings: dict[int, dict[str, Any]]
    """the `info` of each that ended, by its number"""


class MelodyCore(EpisodeBatch):
    """N melodies being written, the reference and the reward.

    The environments call `step`, which takes any action and rewards a melody when it ends. PPO has
    the core sampled to its end (`policy.decode.sample_episodes`) and scores all melodies at once.
    """

    def __init__(
        self,
        count: int,
        reference: Reference,
        *,
        reward: Reward | None = None,
        illegal_penalty: float = 0.0,
        room: int | None = None,
    ) -> None:
        """See `env.melody_env.MelodyEnv` for the arguments; no melody has begun yet.

        `room` is the most tokens that a melody may have; None is what the reference can write.
        """
        if count < 1:
            raise ValueError(f"num_envs={count} is below 1; give a positive number")
        if not 0 <= illegal_penalty < np.inf:
            raise ValueError(
                f"illegal_penalty={illegal_penalty} is not a finite number from 0; it is taken off "
                "the reward for each illegal action, and 0 takes nothing off"
            )
        if reward is not None and not callable(reward):
            raise TypeError(
                f"reward is a {type(reward).__name__}; give a function of a sequence of melodies, "
                "or None for the reference's log-probability per note"
            )
        super().__init__(count, reference.scope, room)
        self.reference = reference
        self.reward = reward
        self.illegal_penalty = illegal_penalty
        self._illegal_actions = np.zeros(count, np.int64)

    def prompt(self, options: Mapping[str, Any]) -> np.ndarray:
        """The prompt that options ask for; int64 (P,), -1 where a field is open.

        Raises:
            ValueError: as `env.prompt.prompt_ids`, and for one whose melodies may have more tokens
                than there is room for.
        """
        prompt_P = prompt_ids(options, self.scope)
        longest, room = self.scope.room_for(prompt_P[None]), self.tokens_NT.shape[1]
        if longest > room:
            raise ValueError(
                f"a melody with these options may have {longest} tokens, and the observations of "
                f"this environment have {room}, because it was made for shorter ones; make it with "
                "options that leave bars and meter open"
            )
        return prompt_P

    def start(
        self, numbers: Sequence[int], prompt_P: np.ndarray, chance: Chance
    ) -> list[dict[str, Any]]:
        """Begin some melodies anew under one prompt; returns the `info` of each reset.

        The reference chooses each melody's header fields that the prompt leaves open.
        """
        prompts = self.reference.with_headers(np.tile(prompt_P, (len(numbers), 1)), chance)
        for number, prompt in zip(numbers, prompts, strict=True):
            self.begin(number, prompt)
            self._illegal_actions[number] = 0
        return [{"given_tokens": len(prompt)} for prompt in prompts]

    def step(self, actions: np.ndarray) -> Step:
        """Write one more token to each melody that has not ended; the others are left alone.

        Raises:
            ValueError: for an action that is no token, or a reward that breaks its contract.
        """
        actions = np.asarray(actions)
        if actions.shape != self.length.shape or not np.issubdtype(actions.dtype, np.integer):
            raise ValueError(
                f"actions of shape {actions.shape} and type {actions.dtype}; give one integer "
                f"token id for each melody, shape {self.length.shape}"
            )
        outside = (actions < 0) | (actions >= len(VOCABULARY))
        if outside.any():
            raise ValueError(
                f"action {actions[outside][0]} is no token; ids are 0..{len(VOCABULARY) - 1}"
            )
        (playing,) = np.nonzero(~self.ended)
        chosen = actions[playing].astype(np.int64)
        rows = self.mask_row[playing]
        # Where one token alone is legal there is nothing to get wrong.
        wrong = ~self.scope.table[rows, chosen] & (self.forced(playing) < 0)
        for place in np.flatnonzero(wrong):
            chosen[place] = nearest_legal(self.scope.table[rows[place]])[chosen[place]]
        tokens = np.full(len(self), PAD)
        tokens[playing] = self.write(playing, chosen)
        illegal = np.zeros(len(self), bool)
        illegal[playing] = wrong
        self._illegal_actions += illegal
        ended = np.zeros(len(self), bool)
        ended[playing] = self.ended[playing]
        rewards = np.where(illegal, -self.illegal_penalty, 0.0)
        endings: dict[int, dict[str, Any]] = {}
        if ended.any():
            numbers = np.flatnonzero(ended)
            scores, infos = self._judge(numbers)
            rewards[numbers] += scores
            endings = dict(zip(numbers.tolist(), infos, strict=True))
        return Step(tokens, illegal, rewards, ended, endings)

    def melodies(self, numbers: Sequence[int] | np.ndarray) -> list[Melody]:
        """Some melodies that have ended."""
        return [
            decode(self.tokens_NT[number, : self.length[number]], styles=self.scope.styles)
            for number in numbers
        ]

    def _judge(self, numbers: np.ndarray) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Reward (E,) and `info` of E melodies that have just ended, in one batch."""
        longest = int(self.length[numbers].max())
        ids, rows, decision = (
            whole[numbers, :longest]
            for whole in (self.tokens_NT, self.mask_row_NT, self.decision_NT)
        )
        logprobs = np.zeros((len(numbers), self.tokens_NT.shape[1]), np.float32)
        logprobs[:, :longest] = self.reference.logprobs(ids, rows, decision)
        melodies = self.melodies(numbers)
        if self.reward is None:
            notes_written = (decision & (ids >= FIRST_NOTE)).sum(1)
            scores = logprobs.sum(1, dtype=np.float64) / np.maximum(notes_written, 1)
        else:
            scores = _checked_scores(self.reward(melodies), len(melodies))
        infos = [
            {
                "melody": melody,
                "notes": len(melody.notes),
                "reference_logprobs": logprobs[place],
                "illegal_actions": int(self._illegal_actions[number]),
            }
            for place, (number, melody) in enumerate(zip(numbers, melodies, strict=True))
        ]
        return scores, infos

    def observation(self) -> dict[str, np.ndarray]:
        """`tokens` int64 (N, T) and `action_mask` int8 (N, V); both are the caller's to keep."""
        return {"action_mask": self.masks().view(np.int8), "tokens": self.tokens_NT.copy()}

    def masks(self) -> np.ndarray:
        """Which tokens are legal now; bool (N, V)."""
        return self.scope.table[self.mask_row]

    def text(self, number: int, render_mode: str) -> str:
        """A melody as text: its tokens, a bar a line; or its ABC, '' before it has ended."""
        ids = self.tokens_NT[number, : self.length[number]]
        if render_mode == "abc":
            return to_abc(decode(ids, styles=self.scope.styles)) if self.ended[number] else ""
        return "".join(
            ("\n" if FIRST_BAR <= token < FIRST_REST else " " if place else "") + VOCABULARY[token]
            for place, token in enumerate(ids)
        )


def observation_space(room: int) -> spaces.Dict:
    """Of one melody of at most so many tokens."""
    return spaces.Dict(
        {
            "action_mask": spaces.MultiBinary(len(VOCABULARY)),
            "tokens": spaces.Box(0, len(VOCABULARY) - 1, (room,), np.int64),
        }
    )


def action_space() -> spaces.Discrete:
    """Of one melody."""
    return spaces.Discrete(len(VOCABULARY))


def checked_render_mode(render_mode: str | None) -> str | None:
    """The render mode, if there is such a one.

    Raises:
        ValueError: when there is not.
    """
    if render_mode not in (None, *RENDER_MODES):
        raise ValueError(
            f"render_mode={render_mode!r} is not known; choose one of {list(RENDER_MODES)}"
        )
    return render_mode


def _checked_scores(scores: Any, count: int) -> np.ndarray:  # noqa: ANN401 (what a user's function returns)
    scores = np.asarray(scores, np.float64)
    if scores.shape != (count,) or not np.isfinite(scores).all():
        raise ValueError(
            f"reward returned {np.array2string(scores, threshold=6)} of shape {scores.shape} for "
            f"{count} melodies; it must return one finite number for each, shape ({count},)"
        )
    return scores
