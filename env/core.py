"""The rules of the game for N melodies at once: what the single and the vector environment share.

Letters: N melodies, T places (`MAX_LENGTH`), V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from env.nearest import nearest_legal
from env.prompt import given_ids, state_after
from env.reference import Reference
from music.formats.notation import to_abc
from music.grammar import MASK_TABLE, GrammarState, advance, initial_state, mask_rows
from music.melody import Melody
from music.tokens import (
    FIRST_BAR,
    FIRST_NOTE,
    FIRST_REST,
    MAX_LENGTH,
    PAD,
    VOCABULARY,
    decode,
)
from policy.model import MelodyForCausalLM

Reward = Callable[[Sequence[Melody]], Any]
"""melodies -> one finite number each, (N,)"""
RENDER_MODES = ("ansi", "abc")
_CHOICES = MASK_TABLE.sum(1)
_MASKS = MASK_TABLE.view(np.int8)


@dataclass(frozen=True, slots=True)
class Played:
    """What one token further did to each melody; arrays are (N,)."""

    tokens: np.ndarray
    """int64, what was written"""
    illegal: np.ndarray
    """bool, where that is not what was asked for, though there was a choice"""
    rewards: np.ndarray
    """float64"""
    ended: np.ndarray
    """bool, which melodies ended with this token"""
    endings: dict[int, dict[str, Any]]
    """the `info` of each that ended, by its number"""


class MelodyGame:
    """N melodies being written, the reference and the reward."""

    def __init__(
        self,
        count: int,
        *,
        policy: MelodyForCausalLM | Path | str | None,
        reward: Reward | None,
        options: Mapping[str, Any] | None,
        illegal_penalty: float,
    ) -> None:
        """See `env.melody_env.MelodyEnv` for the arguments; nothing is written before `start`."""
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
        self.options = dict(options or {})
        self._given = given_ids(self.options)
        self.reference = Reference(policy)
        self.reward = reward
        self.illegal_penalty = illegal_penalty
        self.state: GrammarState = initial_state(count)
        self._rows = mask_rows(self.state)
        self._tokens = np.full((count, MAX_LENGTH), PAD, np.int64)  # (N, T)
        self._mask_row = np.zeros((count, MAX_LENGTH), np.int64)  # (N, T)
        self._length = np.zeros(count, np.int64)
        self._given_length = np.zeros(count, np.int64)
        self._illegal_actions = np.zeros(count, np.int64)

    def given(self, options: Mapping[str, Any] | None) -> np.ndarray:
        """Ids set beforehand under these options, for `start`."""
        return given_ids({**self.options, **options}) if options else self._given

    def start(self, number: int, given: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
        """Begin melody `number` anew; returns the `info` of the reset."""
        opening = self.reference.with_header(given, rng)
        state = state_after(tuple(opening.tolist()))
        for name in GrammarState.__slots__:
            getattr(self.state, name)[number] = getattr(state, name)[0]
        self._rows[number] = mask_rows(state)[0]
        self._tokens[number] = PAD
        self._tokens[number, : len(opening)] = opening
        self._length[number] = self._given_length[number] = len(opening)
        self._illegal_actions[number] = 0
        return {"given_tokens": len(opening)}

    def play(self, actions: np.ndarray) -> Played:
        """Write one more token to each melody that has not ended; the others are left alone.

        Raises:
            ValueError: for an action that is no token, or a reward that breaks its contract.
        """
        actions = np.asarray(actions)
        if actions.shape != self._rows.shape or not np.issubdtype(actions.dtype, np.integer):
            raise ValueError(
                f"actions of shape {actions.shape} and type {actions.dtype}; give one integer "
                f"token id for each melody, shape {self._rows.shape}"
            )
        outside = (actions < 0) | (actions >= len(VOCABULARY))
        if outside.any():
            raise ValueError(
                f"action {actions[outside][0]} is no token; ids are 0..{len(VOCABULARY) - 1}"
            )
        playing = ~self.state.done
        legal = MASK_TABLE[self._rows, actions]
        taken = np.where(legal, actions, PAD)
        for number in np.flatnonzero(~legal & playing):
            taken[number] = nearest_legal(int(self._rows[number]))[actions[number]]
        # Where one token alone is legal there is nothing to get wrong.
        illegal = playing & ~legal & (_CHOICES[self._rows] > 1)
        taken[~playing] = PAD  # which is what stands after an end
        who = np.flatnonzero(playing)
        self._tokens[who, self._length[who]] = taken[who]
        self._mask_row[who, self._length[who]] = self._rows[who]
        self._length += playing
        self._illegal_actions += illegal
        self.state = advance(self.state, taken)
        self._rows = mask_rows(self.state)
        ended = playing & self.state.done
        rewards = np.where(illegal, -self.illegal_penalty, 0.0)
        endings: dict[int, dict[str, Any]] = {}
        if ended.any():
            numbers = np.flatnonzero(ended)
            scores, infos = self._judge(numbers)
            rewards[numbers] += scores
            endings = dict(zip(numbers.tolist(), infos, strict=True))
        return Played(taken, illegal, rewards, ended, endings)

    def _judge(self, numbers: np.ndarray) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Reward (E,) and `info` of E melodies that have just ended, in one batch."""
        longest = int(self._length[numbers].max())
        ids, rows = self._tokens[numbers, :longest], self._mask_row[numbers, :longest]
        written = np.arange(longest) >= self._given_length[numbers, None]
        acted = written & (ids != PAD) & (_CHOICES[rows] > 1)
        logprobs = np.zeros((len(numbers), MAX_LENGTH), np.float32)
        logprobs[:, :longest] = self.reference.logprobs(ids, rows, acted)
        melodies = [decode(row) for row in ids]
        if self.reward is None:
            notes_written = (written & (ids >= FIRST_NOTE)).sum(1)
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
        return {"action_mask": _MASKS[self._rows], "tokens": self._tokens.copy()}

    def masks(self) -> np.ndarray:
        """Which tokens are legal now; bool (N, V)."""
        return MASK_TABLE[self._rows]

    def text(self, number: int, render_mode: str) -> str:
        """A melody as text: its tokens, a bar a line; or its ABC, '' before it has ended."""
        ids = self._tokens[number, : self._length[number]]
        if render_mode == "abc":
            return to_abc(decode(ids)) if self.state.done[number] else ""
        return "".join(
            ("\n" if FIRST_BAR <= token < FIRST_REST else " " if place else "") + VOCABULARY[token]
            for place, token in enumerate(ids)
        )


def observation_space() -> spaces.Dict:
    """Of one melody."""
    return spaces.Dict(
        {
            "action_mask": spaces.MultiBinary(len(VOCABULARY)),
            "tokens": spaces.Box(0, len(VOCABULARY) - 1, (MAX_LENGTH,), np.int64),
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
