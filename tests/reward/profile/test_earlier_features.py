"""Profiles of fewer features: read as they were, and refused in a line where they cannot be."""

import json

import numpy as np
import pytest

from reward.comparisons.preferences import LEFT, RIGHT, Preferences
from reward.profile.feature_scale import FeatureScale
from reward.profile.features import (
    FEATURE_NAMES,
    LATER_MEASURES,
    NAMES_OF_REVISION,
    REVISION,
    feature_matrix,
)
from reward.profile.profile import TasteError, TasteProfile

THEN = NAMES_OF_REVISION[3]


@pytest.fixture(scope="module")
def features(real_melodies):
    return feature_matrix(real_melodies[:120])


@pytest.fixture(scope="module")
def earlier(features):
    """A profile of two raters, fitted to the features of revision 3."""
    rng = np.random.default_rng(0)
    left, right = rng.permutation(len(features)).reshape(2, -1)
    gap = features[left, 13] - features[right, 13]
    votes = Preferences.of(
        left,
        right,
        np.where(gap > 0, LEFT, RIGHT),
        rater=np.arange(len(gap)) % 2,
        rater_ids=("ann", "bob"),
    )
    plain = features[:, : len(THEN)]
    return TasteProfile.fit(votes, plain, FeatureScale.of(plain), feature_names=THEN)


@pytest.fixture
def file(earlier, tmp_path):
    path = tmp_path / "taste.json"
    earlier.save(path)
    set_revision(path, 3)
    return path


def set_revision(path, revision):
    body = json.loads(path.read_text())
    body["features_revision"] = revision
    path.write_text(json.dumps(body))


def test_it_says_what_it_said(earlier, features, file):
    read = TasteProfile.load(file)
    assert read.feature_names == FEATURE_NAMES
    for rater in (None, "ann", "bob"):
        for now, then in zip(
            read.score(features, rater), earlier.score(features[:, : len(THEN)], rater), strict=True
        ):
            np.testing.assert_allclose(now, then, rtol=1e-9, atol=1e-12)
        assert [reason.feature for reason in read.explain(9, rater)] == [
            reason.feature for reason in earlier.explain(9, rater)
        ]
    later = {measure.name for measure in LATER_MEASURES}
    assert {reason.feature for reason in read.explain(len(FEATURE_NAMES))}.isdisjoint(later)
    assert read.in_words()


def test_what_it_never_measured_is_as_uncertain_as_the_prior(earlier, file):
    read = TasteProfile.load(file)
    for taste in (read.group, *read.raters.values()):
        assert not taste.weights_F[len(THEN) :].any()
        np.testing.assert_array_equal(
            taste.covariance_FF[len(THEN) :],
            earlier.weight_std**2 * np.eye(len(FEATURE_NAMES))[len(THEN) :],
        )


def test_it_is_saved_as_one_of_today(features, file):
    read = TasteProfile.load(file)
    again = file.with_name("again.json")
    read.save(again)
    assert json.loads(again.read_text())["features_revision"] == REVISION
    np.testing.assert_array_equal(TasteProfile.load(again).score(features), read.score(features))


@pytest.mark.parametrize("revision", [2, REVISION + 1, "3", None, True])
def test_another_revision_is_refused_in_a_line(file, revision):
    set_revision(file, revision)
    with pytest.raises(TasteError, match=r"to revision .*; fit the profile again") as refused:
        TasteProfile.load(file)
    assert "\n" not in str(refused.value)


def test_a_file_that_claims_a_revision_has_its_features(file):
    set_revision(file, REVISION)
    with pytest.raises(TasteError, match="was fitted to other features"):
        TasteProfile.load(file)
