"""Melodies being written, a token at a time: the one loop that follows the grammar.

A batch says which melodies have ended, where the writer has a choice, which tokens are legal there,
and what is written where there is no choice. `policy.decode` samples a batch to its end. The core
of the environment (`env.core`) is such a batch with a reference policy and a reward.

Letters: N melodies, M some of them, T places, P places of a prompt.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from music.grammar import GrammarState, advance, initial_state
from music.tokens import PAD
from policy.scope import Scope


class EpisodeBatch:
    """N melodies, each of them legal as far as it is written.

    A prompt has the tokens that are set beforehand, and -1 where the writer chooses. Up to its
    first -1 it is written when the melody begins; what comes later is written at its place.
    """

    def __init__(self, count: int, scope: Scope, room: int | None = None) -> None:
        """No melody has begun yet.

        Args:
            count: number of melodies.
            scope: of the policy that writes them.
            room: tokens that the longest of them may have; None is what the scope allows.
        """
        self.scope = scope
        self.state = initial_state(count)
        self.mask_row = scope.mask_rows(self.state)
        """(N,) the row of the scope's mask table that is legal now"""
        self.length = np.zeros(count, np.int64)
        """(N,) tokens written so far"""
        shape = (count, scope.longest() if room is None else room)
        self.tokens_NT = np.full(shape, PAD, np.int64)
        """BOS to EOS, then PAD"""
        self.mask_row_NT = np.zeros(shape, np.int64)
        """the row of the mask table that was legal for each token"""
        self.decision_NT = np.zeros(shape, bool)
        """where the writer had a choice: not set by the prompt, and more than one legal token"""
        self._prompt_NT = np.full(shape, -1, np.int64)

    @classmethod
    def prompted(cls, prompts_NP: np.ndarray, scope: Scope) -> Self:
        """A batch with a melody for each prompt, of a policy with this scope.

        Raises:
            ValueError: when a token of a prompt is not legal at its place.
        """
        batch = cls(len(prompts_NP), scope, scope.room_for(prompts_NP))
        for number, prompt in enumerate(prompts_NP):
            batch.begin(number, prompt)
        return batch

    def __len__(self) -> int:
        """Number of melodies."""
        return len(self.length)

    @property
    def ended(self) -> np.ndarray:
        """Which melodies are whole; bool (N,)."""
        return self.state.done

    def begin(self, number: int, prompt_P: np.ndarray) -> None:
        """Begin melody `number` anew.

        Raises:
            ValueError: when a token of the prompt is not legal at its place.
        """
        is_open = prompt_P < 0
        known = int(is_open.argmax()) if is_open.any() else len(prompt_P)
        try:
            state, rows = self.scope.state_after(tuple(prompt_P[:known].tolist()))
        except ValueError as error:
            raise ValueError(f"prompt of melody {number}, {error}") from error
        for name in GrammarState.__slots__:
            getattr(self.state, name)[number] = getattr(state, name)[0]
        self.mask_row[number] = self.scope.mask_rows(state)[0]
        self.length[number] = known
        self.tokens_NT[number, :known] = prompt_P[:known]
        self.tokens_NT[number, known:] = PAD
        self.mask_row_NT[number, :known] = rows
        self.decision_NT[number] = False
        self._prompt_NT[number] = -1
        self._prompt_NT[number, known : len(prompt_P)] = prompt_P[known:]

    def forced(self, numbers_M: np.ndarray) -> np.ndarray:
        """What comes next in some melodies where the writer has no choice, -1 elsewhere; (M,).

        Raises:
            ValueError: when the prompt's token is not legal.
        """
        set_M = self._prompt_NT[numbers_M, self.length[numbers_M]]
        rows_M = self.mask_row[numbers_M]
        for place in np.flatnonzero((set_M >= 0) & (set_M != self.scope.only_token[rows_M])):
            number = numbers_M[place]
            try:
                self.scope.advance_checked(
                    self.state[number : number + 1], set_M[place : place + 1]
                )
            except ValueError as error:
                raise ValueError(
                    f"prompt of melody {number}, place {self.length[number]}: {error}"
                ) from error
        return np.where(set_M >= 0, set_M, self.scope.only_token[rows_M])

    def write(self, numbers_M: np.ndarray, chosen_M: np.ndarray) -> np.ndarray:
        """Write one more token to some melodies that have not ended; returns the tokens (M,).

        Args:
            numbers_M: which melodies.
            chosen_M: the writer's choices, which must be legal. They count only where there is a
                choice.
        """
        forced_M = self.forced(numbers_M)
        tokens_M = np.where(forced_M < 0, chosen_M, forced_M)
        at_M = self.length[numbers_M]
        self.tokens_NT[numbers_M, at_M] = tokens_M
        self.mask_row_NT[numbers_M, at_M] = self.mask_row[numbers_M]
        self.decision_NT[numbers_M, at_M] = forced_M < 0
        self.length[numbers_M] += 1
        state = advance(self.state[numbers_M], tokens_M)
        for name in GrammarState.__slots__:
            getattr(self.state, name)[numbers_M] = getattr(state, name)
        self.mask_row[numbers_M] = self.scope.mask_rows(state)
        return tokens_M
