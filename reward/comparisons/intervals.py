"""A share that was counted, with its interval; the draws of a bootstrap."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

RELIABILITY = 0.72
"""two people agree on 60 % of music pairs (MusicRL, arXiv:2402.04229), so each is right on 72 %"""

Z_90, Z_95 = 1.6448536269514722, 1.959963984540054
"""standard deviations on either side that hold 90 % and 95 % of a normal distribution"""


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many, and between which shares the truth lies."""

    share: float
    low: float
    high: float
    count: int
    """of how many"""

    def __str__(self) -> str:
        """Such as "0.71 [0.66, 0.76]"."""
        return f"{self.share:.2f} [{self.low:.2f}, {self.high:.2f}]"


def wilson(successes: float, count: int, *, z: float = Z_95) -> Share | None:
    """Wilson's score interval (JASA 22, 1927), 95 % unless told; None of none.

    Unlike the share ± z standard errors it stays within 0..1 and is no point at 0 and 1.
    """
    if count == 0:
        return None
    share, each = successes / count, z * z / count
    centre = (share + each / 2) / (1 + each)
    reach = z * sqrt(share * (1 - share) / count + each / (4 * count)) / (1 + each)
    return Share(share, max(0.0, centre - reach), min(1.0, centre + reach), count)


def resamples(count: int, draws: int, seed: int | np.random.Generator) -> np.ndarray:
    """How often each of `count` is in each of the samples of a bootstrap; int64 (draws, count)."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
