"""Profiles that were fitted to fewer features than there are today.

New features come behind the old ones, which stay as they are. So such a profile is one of today in
which the new features do not vary: they add nothing to a score, and what is known of their weights
is the prior.

Letters: F features of today.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from reward.profile.bradley_terry import Gaussian
from reward.profile.feature_scale import FeatureScale

Parts = TypeVar("Parts", FeatureScale, Gaussian)


def scale_with_later(scale: FeatureScale, size: int) -> FeatureScale:
    """The scale of `size` features, of which the later ones do not vary."""
    return _padded(scale, size)


def taste_with_later(taste: Gaussian, size: int, weight_std: float) -> Gaussian:
    """The taste for `size` features; the later ones have weight 0, as uncertain as the prior."""
    later = np.arange(len(taste.weights_F), size)
    wider = _padded(taste, size)
    wider.covariance_FF[later, later] = weight_std**2
    return wider


def _padded(value: Parts, size: int) -> Parts:
    """The same with zeros at the end of each axis of its arrays, which are then of `size`."""
    fields = {name: getattr(value, name) for name in value.__slots__}
    arrays = {name: x for name, x in fields.items() if isinstance(x, np.ndarray)}
    return replace(value, **{name: np.pad(x, (0, size - x.shape[0])) for name, x in arrays.items()})
