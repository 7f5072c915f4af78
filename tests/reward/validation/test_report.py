"""What is said of a check: an agreement above chance, around it and below it."""

from pathlib import Path

import numpy as np
import pytest

from reward.comparisons.preferences import Preferences
from reward.profile.feature_scale import FeatureScale
from reward.profile.features import FEATURE_NAMES
from reward.profile.profile import TasteProfile
from reward.validation.check import Check, CheckedSize
from reward.validation.held_out_figures import Drawn, HeldOutFigures
from reward.validation.judged_melodies import JudgedMelodies
from reward.validation.report import in_words


def checked(low, high):
    """A check of which the agreement has about this interval."""
    features_MF = np.random.default_rng(0).normal(size=(12, len(FEATURE_NAMES)))
    drawn = Drawn((low + high) / 2, np.linspace(low, high, 1000))
    figures = HeldOutFigures(drawn, drawn, drawn)
    rows, ones = np.arange(12), np.ones(12, np.int64)
    return Check(
        table=Path("table.csv"),
        form="choices",
        judgements=40,
        refused=[],
        melodies=JudgedMelodies({}, features_MF, rows, {}, ones, ones),
        raters=0,
        pairs=40,
        ties=0,
        tested=60,
        sizes=[CheckedSize(32.0, figures, figures)],
        people=None,
        profile=TasteProfile.fit(Preferences.none(), features_MF, FeatureScale.of(features_MF)),
    )


@pytest.mark.parametrize(
    ("low", "high", "luck", "worse"),
    [(0.6, 0.8, False, False), (0.4, 0.7, True, False), (0.2, 0.4, False, True)],
)
def test_what_is_said_of_chance(low, high, luck, worse):
    said = in_words(checked(low, high))
    assert ("so this may be luck" in said) is luck
    assert ("is below chance (0.50): the profile is worse than guessing" in said) is worse


def test_predictions_are_counted_not_pairs():
    """A pair that was judged twice, or is tested in two divisions, is predicted as often."""
    assert "Agreement of 60 predictions of melodies that the model has not heard" in in_words(
        checked(0.6, 0.8)
    )
