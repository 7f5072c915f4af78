"""A reward: what scores melodies, the one type that every reward is.

A profile, a neural model, a rule or a mixture of them: PPO and the evaluation know no more of it.
They call it by `scores_of`, so that numbers which nothing can be learnt from are refused where they
enter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from music.melody import Melody

Reward = Callable[[Sequence[Melody]], tuple[np.ndarray, np.ndarray]]
"""melodies -> mean and standard deviation of their scores, (B,) each, in base deviations"""
LARGEST_SCORE = 1e12
"""size of a score that is still used: its square is finite in float32 too"""


class RewardError(ValueError):
    """A reward that cannot be used; the message says value, rule and remedy in one line."""


def scores_of(
    reward: Reward, melodies: Sequence[Melody], *, name: str = "the reward"
) -> tuple[np.ndarray, np.ndarray]:
    """What a reward says of melodies: mean and standard deviation, float64 (B,) each.

    Raises:
        RewardError: for another number of scores, scores that are not finite or beyond
            `LARGEST_SCORE`, and standard deviations below 0.
    """
    mean, std = reward(melodies)
    count = len(melodies)
    mean, std = (
        checked_scores(x, count, name=name, what=what)
        for x, what in ((mean, "scores"), (std, "standard deviations"))
    )
    if (std < 0).any():
        raise RewardError(f"{name} gives a standard deviation of {std.min():g}; give 0 or more")
    return mean, std


def checked_scores(said: object, count: int, *, name: str, what: str) -> np.ndarray:
    """Numbers of `count` melodies as float64 (count,).

    Raises:
        RewardError: for what are not so many numbers, finite and within `LARGEST_SCORE`.
    """
    try:
        numbers = np.asarray(said, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise RewardError(
            f"{name} gives {type(said).__name__} for its {what}; return {count} numbers, one for "
            "each melody"
        ) from None
    if numbers.shape != (count,):
        raise RewardError(
            f"{name} gives {what} of shape {numbers.shape} for {count} melodies; return "
            f"({count},), one number for each melody"
        )
    usable = np.abs(numbers) <= LARGEST_SCORE  # NaN is not
    if not usable.all():
        place = int(np.flatnonzero(~usable)[0])
        raise RewardError(
            f"{name} gives {numbers[place]:g} among its {what}, at melody {place} of {count}; "
            f"return finite numbers of at most {LARGEST_SCORE:g}, such as 0 where there is nothing "
            "to judge"
        )
    return numbers
