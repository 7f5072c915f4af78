"""Parts of a taste profile as JSON: written so that they read back equal, and checked when read.

Letters: F features.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from music.json_text import number, whole_number
from reward.profile.bradley_terry import Gaussian
from reward.profile.feature_scale import FeatureScale
from reward.profile.reason_trust import ReasonTrust

LARGEST = 1e9
"""size of a number in a file: what is computed from larger ones could become infinite"""
LEAST_STD = 1e-12
"""of a feature that varies at all; `FeatureScale.of` calls what is below 1e-9 constant"""


def to_json(value: FeatureScale | Gaussian) -> dict[str, Any]:
    """Fields as JSON has them; floats are written so that they read back equal."""
    fields = {name: getattr(value, name) for name in value.__slots__}
    return {
        name: x.tolist() if isinstance(x, np.ndarray) else float(x) for name, x in fields.items()
    }


def read_array(value: object, shape: tuple[int, ...], name: str) -> np.ndarray:
    """An array of that shape, of numbers within `LARGEST`, or ValueError."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":  # numpy would take text such as "1.5" for a number
        raise ValueError(f"{name} has values that are no numbers; it is an array of {shape}")
    array = array.astype(np.float64)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; it has {shape}")
    if not (np.abs(array) <= LARGEST).all():  # NaN is not
        raise ValueError(f"{name} has numbers beyond {LARGEST:g}, which no profile has")
    return array


def _covariance(value: object, size: int, name: str) -> np.ndarray:
    """A covariance matrix, or ValueError."""
    array = read_array(value, (size, size), name)
    rounding = 1e-8 * max(1.0, float(np.trace(array)))
    if not np.allclose(array, array.T) or np.linalg.eigvalsh(array)[0] < -rounding:
        raise ValueError(f"{name} is not symmetric and positive")
    return array


def read_scale(body: dict[str, Any], size: int) -> FeatureScale:
    """The scale of `size` features, or ValueError, KeyError or TypeError."""
    std_F = read_array(body["std_F"], (size,), "std_F")
    if not ((std_F == 0) | (std_F >= LEAST_STD)).all():
        raise ValueError(f"std_F is negative, or below {LEAST_STD:g} without being 0, somewhere")
    return FeatureScale(
        mean_F=read_array(body["mean_F"], (size,), "mean_F"),
        std_F=std_F,
        centre_F=read_array(body["centre_F"], (size,), "centre_F"),
        covariance_FF=_covariance(body["covariance_FF"], size, "covariance_FF"),
    )


def read_gaussian(body: dict[str, Any], size: int) -> Gaussian:
    """A taste of `size` features, or ValueError, KeyError or TypeError."""
    stds = {
        name: number(body[name], name, low=0.0, high=LARGEST)
        for name in ("side_std", "scale_std", "melody_std")
    }
    others = {
        name: number(body[name], name, low=-LARGEST, high=LARGEST)
        for name in ("side", "log_tie", "scale")
    }
    return Gaussian(
        weights_F=read_array(body["weights_F"], (size,), "weights_F"),
        covariance_FF=_covariance(body["covariance_FF"], size, "covariance_FF"),
        listens=number(body["listens"], "listens", low=-1e-9, high=1 + 1e-9),
        **stds,
        **others,
    )


def read_trust(body: dict[str, Any]) -> ReasonTrust:
    """How far one rater's reasons were trusted, or ValueError, KeyError or TypeError."""
    share, by_chance = (
        number(body[name], name, low=-1e-9, high=1 + 1e-9) for name in ("share", "by_chance")
    )
    count = whole_number(body["reasons"], "reasons", low=1, high=int(LARGEST))
    return ReasonTrust(count, share, by_chance)
