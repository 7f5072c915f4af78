"""The scale of features: what is usual for the base policy's melodies, and what goes together.

Features have all kinds of units; a linear model needs them in one. Here it is the spread over
melodies that the base policy samples, bent by the logarithm: each further step from the usual
counts for less than the one before, as for most that is sensed (Fechner 1860). It keeps a feature
that is nearly always 0 from deciding by its rare large values, and a policy that is tuned to a
taste from being drawn ever further to where nobody has voted (docs/log.md has what it is worth).

Letters: B melodies, F features, K base melodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from music.melody import Melody
from reward.profile.features import feature_matrix

Items = Sequence[Melody] | np.ndarray
"""melodies, or their raw features as float (B, F)"""


class FeatureScaleError(ValueError):
    """Features that cannot be used; the message gives the value, the rule and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureScale:
    """Mean and spread of the base policy's features, and how they vary together once bent."""

    mean_F: np.ndarray
    std_F: np.ndarray
    """0 where the base never varies; such a feature is left out"""
    centre_F: np.ndarray
    """mean of the bent features"""
    covariance_FF: np.ndarray
    """of the bent features"""

    @property
    def spread_F(self) -> np.ndarray:
        """Standard deviation of each bent feature over the base's melodies."""
        return np.sqrt(np.diag(self.covariance_FF))

    @classmethod
    def of(cls, base_items: Items) -> FeatureScale:
        """The scale of melodies sampled from the base policy, or of their features (K, F).

        Raises:
            FeatureScaleError: for fewer than two melodies, or features that are not finite.
        """
        features_KF = features_of(base_items)
        if len(features_KF) < 2:
            raise FeatureScaleError(
                f"{len(features_KF)} base melodies have no spread; sample some hundreds"
            )
        mean, std = features_KF.mean(0), features_KF.std(0)
        # The mean of a constant column is rounded, so its std is some 1e-17, not 0.
        std = np.where(std > 1e-9 * (1 + np.abs(mean)), std, 0.0)
        bent_KF = _signed_log(features_KF, mean, std)
        centre = bent_KF.mean(0)
        covariance_FF = (bent_KF - centre).T @ (bent_KF - centre) / len(bent_KF)
        return cls(mean_F=mean, std_F=std, centre_F=centre, covariance_FF=covariance_FF)

    def standardise(self, features_BF: np.ndarray) -> np.ndarray:
        """Features from the base mean, bent: ± log(1 + base standard deviations), centred.

        0 where the base never varies.

        Raises:
            FeatureScaleError: for another number of features.
        """
        if features_BF.shape[-1] != len(self.mean_F):
            raise FeatureScaleError(
                f"{features_BF.shape[-1]} features do not fit a scale of {len(self.mean_F)}; "
                "compute them with the features that the scale was made of"
            )
        return _signed_log(features_BF, self.mean_F, self.std_F) - self.centre_F


def _signed_log(features_BF: np.ndarray, mean_F: np.ndarray, std_F: np.ndarray) -> np.ndarray:
    away = (features_BF - mean_F) / np.where(std_F > 0, std_F, np.inf)
    return np.sign(away) * np.log1p(np.abs(away))


def features_of(items: Items) -> np.ndarray:
    """Raw features of melodies, or a matrix of them as it is; float64 (B, F).

    Raises:
        FeatureScaleError: for a matrix of another shape, or with values that are not finite.
    """
    is_matrix = isinstance(items, np.ndarray)
    features = np.asarray(items, np.float64) if is_matrix else feature_matrix(items)
    if features.ndim != 2 or not np.isfinite(features).all():
        raise FeatureScaleError(
            f"features have shape {features.shape} and {np.count_nonzero(~np.isfinite(features))} "
            "values that are not finite; give a finite matrix, one row a melody"
        )
    return features
