"""A committee: what a taste may be under several priors, as one posterior to choose pairs by.

A fitted profile takes as certain which features its votes have made it set aside, so it hardly
asks about them again. Members of the committee learn from the same votes under priors of fewer or
more important features, and set others aside; what they disagree on is doubted, and so asked
(query by committee: Seung, Opper and Sompolinsky 1992, COLT, p. 287). The mixture of their
posteriors, all alike likely, is given by its mean and covariance. docs/log.md has the votes that
it saves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from reward.comparisons.preferences import Preferences
from reward.pairs.informative import PoolTaste
from reward.profile.feature_scale import FeatureScale, Items, features_of
from reward.profile.features import FEATURE_NAMES
from reward.profile.profile import DEGREES_OF_FREEDOM, TasteProfile

FREEDOMS = (0.5, 1.0, DEGREES_OF_FREEDOM)
"""degrees of freedom of the members' priors; the last is the profile's own"""


def committee(
    preferences: Preferences,
    items: Items,
    scale: FeatureScale,
    *,
    feature_names: Sequence[str] = FEATURE_NAMES,
) -> PoolTaste:
    """The group's posterior over the weights, the members' disagreement in its covariance.

    Args:
        preferences: comparisons of rows of `items`; none at all gives the prior.
        items: every melody that was compared, or raw features, float (B, F).
        scale: of the features.
        feature_names: as many, in their order.

    Returns:
        Weights and covariance of the mixture, and the mean of what the members know of melodies'
        own effects; habits (side, ties) of the last member.

    Raises:
        TasteError: when rows, features, names and scale do not go together.
    """
    features_BF = features_of(items)
    own = TasteProfile.fit(preferences, features_BF, scale, feature_names=feature_names)
    # How much of a melody is beyond its features hardly depends on the prior of their weights.
    others = [
        TasteProfile.fit(
            preferences,
            features_BF,
            scale,
            feature_names=feature_names,
            freedom=freedom,
            melody_std=own.melody_std,
        )
        for freedom in FREEDOMS
        if freedom != DEGREES_OF_FREEDOM
    ]
    members = [PoolTaste.of(fit.group, fit.heard, len(features_BF)) for fit in (*others, own)]
    weights_KF = np.array([member.weights_F for member in members])
    apart_KF = weights_KF - weights_KF.mean(0)
    within_FF = np.mean([member.covariance_FF for member in members], axis=0)
    return replace(
        members[-1],
        weights_F=weights_KF.mean(0),
        covariance_FF=within_FF + apart_KF.T @ apart_KF / len(members),
        **{
            name: np.mean([getattr(member, name) for member in members], axis=0)
            for name in ("effect_B", "lever_BF", "effect_variance_B")
        },
    )
