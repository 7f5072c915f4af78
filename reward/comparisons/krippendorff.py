"""Krippendorff's alpha: how far raters agree beyond chance; 1 wholly, 0 by chance, below 0 against.

After K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): any number of raters,
any values missing. A unit that fewer than two have rated says nothing and is left out.

    alpha = 1 − Σ o·δ² / Σ e·δ²

o are the observed coincidences of two values within a unit, e those of values drawn from all units,
δ² how far two values are apart: 1 unless equal (nominal), or by the ranks between them (ordinal).

Letters: R raters, U units, K values, D bootstrap draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reward.comparisons.intervals import resamples
from reward.comparisons.preferences import LEFT, RIGHT, TIE, Preferences

LEVELS = ("nominal", "ordinal")


class AlphaError(ValueError):
    """Values that alpha cannot be computed of; the message gives value, rule and remedy."""


@dataclass(frozen=True, slots=True)
class Alpha:
    """Alpha with its 95 % bootstrap interval over units."""

    alpha: float
    low: float
    high: float
    units: int
    """how many at least two have rated"""

    def __str__(self) -> str:
        """Such as "0.31 [0.12, 0.47]"."""
        return f"{self.alpha:.2f} [{self.low:.2f}, {self.high:.2f}]"


def krippendorff_alpha(
    values_RU: np.ndarray, *, level: str = "nominal", draws: int = 1000, seed: int = 0
) -> Alpha | None:
    """Alpha of a table of values, NaN where missing; None when all values that count are equal.

    Raises:
        AlphaError: for another level, or a table that is not two-dimensional.
    """
    values_RU = np.asarray(values_RU, np.float64)
    if values_RU.ndim != 2:
        raise AlphaError(
            f"values have shape {values_RU.shape}; give a row a rater, a column a unit"
        )
    values_K = np.unique(values_RU[~np.isnan(values_RU)])
    return _alpha_with_interval(_coincidences(values_RU, values_K), level, draws, seed)


def preference_alpha(
    preferences: Preferences, *, level: str = "nominal", draws: int = 1000, seed: int = 0
) -> Alpha | None:
    """Alpha of raters on the pairs that several of them have heard; None when they say one thing.

    The values are "one", "tie" and "the other", in this order for `ordinal`. Which melody of a pair
    is the one is arbitrary, so coincidences are averaged over both namings. Of a rater's votes on a
    pair the first counts: repeats are for their agreement with themselves.

    Raises:
        AlphaError: for another level.
    """
    rater, pair, verdict = first_verdicts(preferences)
    values_RU = np.full((len(preferences.rater_ids), int(pair.max(initial=-1)) + 1), np.nan)
    values_RU[rater, pair] = verdict
    observed_UKK = _coincidences(values_RU, np.array([RIGHT, TIE, LEFT], np.float64))
    return _alpha_with_interval(
        (observed_UKK + observed_UKK[:, ::-1, ::-1]) / 2, level, draws, seed
    )


def first_verdicts(preferences: Preferences) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each rater's first word on each pair: rater, pair, and `Preferences.verdict`."""
    pair = preferences.pair
    key = preferences.rater * (int(pair.max(initial=0)) + 1) + pair
    first = np.sort(np.unique(key, return_index=True)[1])
    return preferences.rater[first], pair[first], preferences.verdict[first]


def _coincidences(values_RU: np.ndarray, values_K: np.ndarray) -> np.ndarray:
    """Coincidences of two raters' values, of the units that count; (U, K, K)."""
    count_UK = (values_RU[:, :, None] == values_K).sum(axis=0).astype(np.float64)
    count_UK = count_UK[count_UK.sum(axis=1) >= 2]
    pairs_UKK = count_UK[:, :, None] * count_UK[:, None, :]
    pairs_UKK -= count_UK[:, :, None] * np.eye(len(values_K))  # nobody is paired with themselves
    return pairs_UKK / (count_UK.sum(axis=1) - 1)[:, None, None]


def _alpha_with_interval(
    observed_UKK: np.ndarray, level: str, draws: int, seed: int
) -> Alpha | None:
    if level not in LEVELS:
        raise AlphaError(f"level={level!r} is not known; choose one of {LEVELS}")
    units = len(observed_UKK)
    found = _alpha(observed_UKK.sum(axis=0), level)
    if np.isnan(found):
        return None
    times_DU = resamples(units, draws, seed)
    drawn = np.array([_alpha(some, level) for some in np.tensordot(times_DU, observed_UKK, 1)])
    low, high = np.quantile(drawn[~np.isnan(drawn)], [0.025, 0.975])
    return Alpha(found, float(low), float(high), units)


def _alpha(observed_KK: np.ndarray, level: str) -> float:
    """Alpha of summed coincidences; NaN when there is but one value, or none."""
    count_K = observed_KK.sum(axis=1)
    total = count_K.sum()
    if total <= 1:
        return float("nan")
    expected_KK = (np.outer(count_K, count_K) - np.diag(count_K)) / (total - 1)
    apart_KK = 1.0 - np.eye(len(count_K))
    if level == "ordinal":
        middle_K = np.cumsum(count_K) - count_K / 2
        apart_KK = (middle_K[:, None] - middle_K) ** 2
    disagreement = float((expected_KK * apart_KK).sum())
    if disagreement == 0:
        return float("nan")
    return 1.0 - float((observed_KK * apart_KK).sum()) / disagreement
