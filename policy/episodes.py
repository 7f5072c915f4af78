"""Melodies being written, a token at a time: the one loop that follows the grammar.

A batch says which melodies have ended, where the writer has a choice, which tokens are legal there,
and what is written where there is no choice. `policy.decode` samples a batch to its end. The core
of the environment (`env.core`) is such a batch with a reference policy and a reward.

Letters: N melodies, M some of them, T places (`MAX_LENGTH`), P places of a prompt.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Self

import numpy as np

from music.grammar import (
    MASK_TABLE,
    GrammarState,
    advance,
    advance_checked,
    initial_state,
    mask_rows,
)
from music.tokens import MAX_LENGTH, PAD

_ONLY_TOKEN = np.where(MASK_TABLE.sum(1) == 1, MASK_TABLE.argmax(1), -1)
"""the one legal token of each row of the mask table; -1 where there are several"""


class EpisodeBatch:
    """N melodies, each of them legal as far as it is written.

    A prompt has the tokens that are set beforehand, and -1 where the writer chooses. Up to its
    first -1 it is written when the melody begins; what comes later is written at its place.
    """

    def __init__(self, count: int) -> None:
        self.state = initial_state(count)
        self.mask_row = mask_rows(self.state)
        """(N,) the row of `music.grammar.MASK_TABLE` that is legal now"""
        self.length = np.zeros(count, np.int64)
        """(N,) tokens written so far"""
        shape = (count, MAX_LENGTH)
        self.tokens_NT = np.full(shape, PAD, np.int64)
        """BOS to EOS, then PAD"""
        self.mask_row_NT = np.zeros(shape, np.int64)
        """the row of the mask table that was legal for each token"""
        self.decision_NT = np.zeros(shape, bool)
        """where the writer had a choice: not set by the prompt, and more than one legal token"""
        self._prompt_NT = np.full(shape, -1, np.int64)

    @classmethod
    def prompted(cls, prompts_NP: np.ndarray) -> Self:
        """A batch with a melody for each prompt.

        Raises:
            ValueError: when a token of a prompt is not legal at its place.
        """
        batch = cls(len(prompts_NP))
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
            state, rows = state_after(tuple(prompt_P[:known].tolist()))
        except ValueError as error:
            raise ValueError(f"prompt of melody {number}, {error}") from error
        for name in GrammarState.__slots__:
            getattr(self.state, name)[number] = getattr(state, name)[0]
        self.mask_row[number] = mask_rows(state)[0]
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
        for place in np.flatnonzero((set_M >= 0) & (set_M != _ONLY_TOKEN[rows_M])):
            number = numbers_M[place]
            try:
                advance_checked(self.state[number : number + 1], set_M[place : place + 1])
            except ValueError as error:
                raise ValueError(
                    f"prompt of melody {number}, place {self.length[number]}: {error}"
                ) from error
        return np.where(set_M >= 0, set_M, _ONLY_TOKEN[rows_M])

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
        self.mask_row[numbers_M] = mask_rows(state)
        return tokens_M


@lru_cache(maxsize=4096)  # most melodies begin with one of a few hundred headers
def state_after(ids: tuple[int, ...]) -> tuple[GrammarState, tuple[int, ...]]:
    """The grammar's state after some tokens, and the row of the mask table that each had.

    The state is a batch of one, to be read only.

    Raises:
        ValueError: naming the first token that is not legal, and some that are.
    """
    state = initial_state(1)
    rows: list[int] = []
    for place, token in enumerate(ids):
        rows.append(int(mask_rows(state)[0]))
        try:
            state = advance_checked(state, np.array([token]))
        except ValueError as error:
            raise ValueError(f"place {place}: {error}") from error
    return state, tuple(rows)
