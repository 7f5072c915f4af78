"""A reward: what scores melodies, the one type that every reward is.

A profile, a neural model, a rule or a mixture of them: PPO and the evaluation know no more of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from music.melody import Melody

Reward = Callable[[Sequence[Melody]], tuple[np.ndarray, np.ndarray]]
"""melodies -> mean and standard deviation of their scores, (B,) each, in base deviations"""
