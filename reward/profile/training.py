"""Training a taste profile: from comparisons to what it is worth on votes held out.

Everything that is said of the model comes from one cross-validation: agreement, the learning curve,
calibration. Each of its models learns the shape of its prior from its own votes only. With several
raters, who follows the group how and the spreads of the prior are found once a fold, from all that
is not held out: to search them for each size of the curve would take most of the time.

Letters: N comparisons, M items, F features.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.special import expit, logit

from reward.comparisons.agreement import Agreement, AgreementError, Ceiling, ceiling
from reward.comparisons.calibration import (
    Bin,
    calibration_floor,
    expected_calibration_error,
    reliability_bins,
)
from reward.comparisons.preferences import Preferences
from reward.profile.feature_scale import FeatureScale
from reward.profile.learning_curve import (
    FittedCurve,
    Forecast,
    LearningCurve,
    fit_curve,
    learning_curve,
)
from reward.profile.profile import TasteProfile

FORECAST_VOTES = 60
"""a listening session of a quarter of an hour"""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether held-out votes came as often as they were predicted."""

    ece: float
    """expected calibration error, in probability"""
    floor: float
    """what it would be on average, for so many votes, were each prediction exactly right"""
    bins: list[Bin]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedReward:
    """A taste profile and its figures on votes that it did not see."""

    profile: TasteProfile
    curve: LearningCurve | None
    """None with fewer different decided pairs than folds"""
    fitted_curve: FittedCurve | None
    """None where there is too little to say what more votes would bring"""
    calibration: Calibration | None
    ceiling: Ceiling | None
    """from hidden repeats; None without them"""

    @property
    def agreement(self) -> Agreement | None:
        """Held out, by cross-validation."""
        return self.curve.agreement if self.curve else None

    def forecast(self, more_votes: int = FORECAST_VOTES) -> Forecast | None:
        """What so many further votes are worth; None where that cannot be said."""
        return self.fitted_curve.forecast(more_votes) if self.fitted_curve else None

    def figures(self) -> dict[str, Any]:
        """What a run's record keeps, as JSON."""
        forecast = self.forecast()
        curve = zip(self.curve.votes_K, self.curve.agreements, strict=True) if self.curve else ()
        return {
            "agreement": asdict(self.agreement) if self.agreement else None,
            "ceiling": asdict(self.ceiling) if self.ceiling else None,
            "learning_curve": [
                {"votes": float(votes), "agreement": asdict(agreement)}
                for votes, agreement in curve
            ],
            "forecast": asdict(forecast) if forecast else None,
            "ece": self.calibration.ece if self.calibration else None,
            "ece_floor": self.calibration.floor if self.calibration else None,
        }


def train_reward(
    preferences: Preferences, features_MF: np.ndarray, scale: FeatureScale, *, seed: int = 0
) -> TrainedReward:
    """Fit a taste profile to all comparisons, and cross-validate it.

    Args:
        preferences: comparisons of the rows of `features_MF`, of one kind of rater.
        features_MF: raw features of every melody that was compared.
        scale: of the base policy's melodies.
        seed: of folds, subsets and bootstraps.

    Raises:
        TasteError: when comparisons and features do not go together.
    """
    profile = TasteProfile.fit(preferences, features_MF, scale)
    pair_ids = preferences.pair_ids
    of_folds: dict[bytes, TasteProfile] = {}

    def like(test: Preferences) -> TasteProfile:
        """A profile of all votes on other pairs than these."""
        held_out = np.isin(pair_ids, test.pair_ids)
        key = held_out.tobytes()
        if key not in of_folds:
            of_folds[key] = TasteProfile.fit(preferences[~held_out], features_MF, scale)
        return of_folds[key]

    def predict(train: Preferences, test: Preferences) -> np.ndarray:
        """Log-odds (N,) that left is better, by the group's taste, sides aside."""
        if len(train.rater_ids) == 1:
            fitted = TasteProfile.fit(train, features_MF, scale)
        else:
            pooled = Preferences.of(
                train.left, train.right, train.outcome, weight=train.weight,
                reasons=train.reasons, reason_names=train.reason_names,
            )  # fmt: skip
            others = like(test)
            shape = TasteProfile.fit(pooled, features_MF, scale, weight_std=others.weight_std)
            prior = replace(others, shape_F=shape.shape_F)
            fitted = TasteProfile.fit(train, features_MF, scale, like=prior)
        return logit(fitted.win_probability(features_MF[test.left], features_MF[test.right]))

    repeats = ceiling(preferences, seed=seed)
    try:
        curve = learning_curve(preferences, predict, seed=seed)
    except AgreementError:
        curve = None
    return TrainedReward(
        profile=profile,
        curve=curve,
        fitted_curve=fit_curve(curve, repeats) if curve else None,
        calibration=_calibration(preferences, curve, seed) if curve else None,
        ceiling=repeats,
    )


def forecast_in_words(trained: TrainedReward, more_votes: int = FORECAST_VOTES) -> str:
    """What more votes are worth, or that it cannot be said yet; without a full stop."""
    forecast = trained.forecast(more_votes)
    return str(forecast) if forecast else "too few votes to say what more would bring"


def _calibration(preferences: Preferences, curve: LearningCurve, seed: int) -> Calibration:
    predicted = expit(curve.held_out_N[preferences.decided])
    outcome = preferences.outcome[preferences.decided]
    return Calibration(
        ece=expected_calibration_error(predicted, outcome),
        floor=calibration_floor(predicted, seed=seed),
        bins=reliability_bins(predicted, outcome),
    )
