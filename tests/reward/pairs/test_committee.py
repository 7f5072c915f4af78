"""Several priors, one posterior: its moments, and the doubt about what one profile set aside."""

import numpy as np
import pytest

from reward.comparisons.preferences import LEFT, RIGHT, Preferences
from reward.pairs.committee import FREEDOMS, committee
from reward.pairs.informative import informative_pairs
from reward.profile.feature_scale import FeatureScale
from reward.profile.profile import TasteError, TasteProfile

NAMES = [f"feature_{number}" for number in range(12)]


def items(seed=0, size=800):
    return np.random.default_rng(seed).normal(size=(size, len(NAMES)))


def votes_for(utility, count, seed):
    rng = np.random.default_rng(seed)
    left, right = rng.integers(len(utility), size=(2, count))
    likes_left = rng.random(count) < 1 / (1 + np.exp(utility[right] - utility[left]))
    return Preferences.of(left, right, np.where(likes_left, LEFT, RIGHT))


def test_mean_and_spread_are_those_of_draws_from_the_members():
    pool = items()
    scale = FeatureScale.of(pool)
    votes = votes_for(1.5 * pool[:, 0] + 0.5 * pool[:, 1], 80, 1)
    got = committee(votes, pool, scale, feature_names=NAMES)
    rng = np.random.default_rng(2)
    own = TasteProfile.fit(votes, pool, scale, feature_names=NAMES)
    members = [
        TasteProfile.fit(
            votes, pool, scale, feature_names=NAMES, freedom=freedom, melody_std=own.melody_std
        )
        for freedom in FREEDOMS[:-1]
    ]
    draws = np.concatenate([
        rng.multivariate_normal(member.group.weights_F, member.group.covariance_FF, 40_000)
        for member in (*members, own)
    ])  # fmt: skip
    np.testing.assert_allclose(got.weights_F, draws.mean(0), atol=0.01)
    np.testing.assert_allclose(got.covariance_FF, np.cov(draws.T), atol=0.01)
    assert np.linalg.eigvalsh(got.covariance_FF)[0] > 0
    heard = np.unique([votes.left, votes.right])
    variances = [member.heard.variance_K for member in (*members, own)]
    np.testing.assert_allclose(got.effect_variance_B[heard], np.mean(variances, axis=0))
    unheard = np.setdiff1d(np.arange(len(pool)), heard)
    np.testing.assert_allclose(got.effect_variance_B[unheard], own.melody_std**2)
    assert not got.lever_BF[unheard].any()


def test_what_one_profile_has_set_aside_is_doubted_more():
    """A taste of one feature: the rest is doubted as the most open of the members does, or more."""
    pool = items()
    scale = FeatureScale.of(pool)
    votes = votes_for(2 * pool[:, 0], 150, 3)

    def doubt(posterior):
        return float(np.diag(posterior.covariance_FF)[1:].mean())

    own = TasteProfile.fit(votes, pool, scale, feature_names=NAMES).melody_std
    alone = [
        doubt(
            TasteProfile.fit(
                votes, pool, scale, feature_names=NAMES, freedom=freedom, melody_std=own
            ).group
        )
        for freedom in FREEDOMS
    ]
    assert doubt(committee(votes, pool, scale, feature_names=NAMES)) > np.mean(alone)


def test_before_any_vote_nothing_is_preferred_and_pairs_can_be_chosen():
    pool = items()
    scale = FeatureScale.of(pool)
    got = committee(Preferences.none(), pool, scale, feature_names=NAMES)
    np.testing.assert_allclose(got.weights_F, 0, atol=1e-9)
    rng = np.random.default_rng(0)
    pairs = informative_pairs(got, scale.standardise(pool), 10, rng)
    gaps = [np.linalg.norm(pool[one] - pool[other]) for one, other in pairs]
    usual = np.linalg.norm(pool[rng.permutation(800)] - pool, axis=1)
    assert np.mean(gaps) > np.quantile(usual, 0.95), "pairs that differ"


def test_names_of_other_features_are_refused():
    pool = items()
    with pytest.raises(TasteError, match="11 names"):
        committee(votes_for(pool[:, 0], 5, 0), pool, FeatureScale.of(pool), feature_names=NAMES[1:])
