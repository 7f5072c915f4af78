"""What reasons speak of, their likelihood, and how far they are trusted."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from feedback_ui.services.answers import REASONS as ASKED_FOR
from reward.comparisons.preferences import Preferences
from reward.listeners.reasons import ReasonGiver
from reward.listeners.simulated import ListenerError
from reward.profile.features import FEATURE_NAMES
from reward.profile.reason_likelihood import StatedReasons, stated_reasons
from reward.profile.reasons import (
    DOMAINS,
    JUDGEMENTS,
    REASONS,
    UNSPOKEN,
    UNUSUAL,
    alternatives,
    domain_features,
    speaks_of,
)

NAMES = ("npvi", "unusual_npvi", "slope", "ends_on_tonic", "halves_alike", "tonic_share", "other")
"""two of rhythm, one each of the other domains, and one of none"""
MEASURES = {name.removeprefix(UNUSUAL) for name in FEATURE_NAMES}

# What reasons speak of


def test_the_studio_asks_for_the_reasons_that_are_understood():
    assert set(ASKED_FOR) == set(REASONS)


def test_every_feature_is_of_one_domain_or_said_to_be_of_none():
    of_domains = [measure for measures in DOMAINS.values() for measure in measures]
    assert len(of_domains) == len(set(of_domains))
    assert not set(of_domains) & set(UNSPOKEN)
    assert set(of_domains) | set(UNSPOKEN) == MEASURES
    spoken_of = np.sum([speaks_of(domain, FEATURE_NAMES) for domain in DOMAINS], axis=0)
    unspoken = [name.removeprefix(UNUSUAL) in UNSPOKEN for name in FEATURE_NAMES]
    np.testing.assert_array_equal(spoken_of, 1 - np.array(unspoken))


def test_judgements_are_of_measures_that_there_are():
    assert all(set(measures) <= MEASURES and measures for measures in JUDGEMENTS.values())


def test_a_distance_is_spoken_of_like_its_measure():
    assert speaks_of("rhythm", NAMES).tolist() == [True, True, *[False] * 5]
    assert not speaks_of("no such reason", NAMES).any()


def test_the_alternatives_of_a_domain_are_the_domains():
    for number, domain in enumerate(DOMAINS):
        found, row = alternatives(domain, FEATURE_NAMES)
        np.testing.assert_array_equal(found, domain_features(FEATURE_NAMES))
        assert row == number


def test_the_alternatives_of_a_judgement_share_no_feature_with_it():
    found, row = alternatives("dull", FEATURE_NAMES)
    np.testing.assert_array_equal(found[row], speaks_of("dull", FEATURE_NAMES))
    assert len(found) == 1 + len(DOMAINS)
    assert (found.sum(axis=0) <= 1).all()
    assert found.any(axis=1).all()


def test_reasons_that_name_no_feature_or_all_have_no_alternatives():
    assert alternatives("no such reason", FEATURE_NAMES) is None
    assert alternatives("rhythm", ("slope", "arch")) is None
    assert alternatives("rhythm", ("npvi", "syncopated", "unknown")) is None
    (whole, row) = alternatives("rhythm", ("npvi", "slope"))
    assert (whole.tolist(), row) == ([[True, False], [False, True]], 0)


# Their likelihood


def some_votes(**changes) -> tuple[Preferences, np.ndarray]:
    rng = np.random.default_rng(0)
    given = {
        "reasons": np.array([[1, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]], bool),
        "reason_names": ("rhythm", "restless", "my own words"),
        "rater": np.array([0, 1, 0, 0]),
        "rater_ids": ("a", "b"),
    }
    votes = Preferences.of(np.zeros(4, int), np.ones(4, int), [1, -1, 0, -1], **(given | changes))
    return votes, rng.normal(size=(4, len(NAMES)))


def test_reasons_of_decided_votes_are_used_and_those_that_speak_of_nothing_are_not():
    votes, difference = some_votes()
    of_a, of_b = stated_reasons(votes, difference, NAMES)
    # Of a: vote 0; vote 2 is a tie, and in vote 3 only words of their own were given.
    assert [len(own.weight_N) for own in of_a] == [1]
    np.testing.assert_array_equal(of_a[0].toward_NF, difference[:1])
    # Of b: vote 1, whose right melody was chosen.
    np.testing.assert_array_equal(of_b[0].toward_NF, -difference[1:2])
    assert [own[0].named_N.tolist() for own in (of_a, of_b)] == [[0], [0]]
    assert stated_reasons(votes, difference, ["x"] * len(NAMES)) == [(), ()]


def test_reasons_with_the_same_alternatives_stand_together():
    votes, difference = some_votes(
        reasons=np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]], bool),
        reason_names=("ending", "rhythm", "dull"), rater=np.zeros(4, int), rater_ids=("a",),
    )  # fmt: skip
    ((together,),) = stated_reasons(votes, difference, NAMES)  # the one that is dull is a tie
    assert [tuple(DOMAINS)[row] for row in together.named_N] == ["rhythm", "ending", "rhythm"]
    np.testing.assert_array_equal(together.toward_NF, difference[[0, 1, 3]] * [[1], [-1], [-1]])


def test_reasons_of_one_vote_share_its_weight():
    votes, difference = some_votes(
        reasons=np.ones((4, 3), bool), reason_names=("rhythm", "ending", "my own words"),
        weight=np.array([1.5, 1.0, 1.0, 0.5]),
    )  # fmt: skip
    of_a = stated_reasons(votes, difference, NAMES)[0]
    assert [own.weight_N.tolist() for own in of_a] == [[0.75, 0.75, 0.25, 0.25]]


def test_the_likelihood_is_the_softmax_of_what_each_alternative_carries():
    by_hand = StatedReasons(
        np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]), np.array([1]), np.array([[1.0, 2.0, -1.0]]),
        np.array([0.5]), np.array([0.8]),
    )  # fmt: skip
    # Carried: 0.4 and 2 x 0.3 - 0.2 = 0.4, so both are named alike.
    assert by_hand.log_likelihood(np.array([0.4, 0.3, 0.2])) == pytest.approx(0.4 * np.log(0.5))


@pytest.mark.parametrize("reason", ["rhythm", "restless"])
def test_gradient_and_curvature_are_the_likelihoods(reason):
    rng = np.random.default_rng(1)
    alternatives_AF = alternatives(reason, FEATURE_NAMES)[0][:, ::5].astype(float)
    count, features = 7, alternatives_AF.shape[1]
    stated = StatedReasons(
        alternatives_AF, rng.integers(len(alternatives_AF), size=count),
        rng.normal(size=(count, features)),
        rng.uniform(0.2, 2, count), rng.uniform(size=count),
    )  # fmt: skip
    weights = rng.normal(size=features) / 3
    gradient, curvature = stated.gradient_and_curvature(weights)
    np.testing.assert_allclose(
        -approx_fprime(weights, stated.log_likelihood, 1e-6), gradient, atol=1e-4
    )
    by_differences = [
        approx_fprime(weights, lambda w, f=f: stated.gradient_and_curvature(w)[0][f], 1e-6)
        for f in range(features)
    ]
    np.testing.assert_allclose(by_differences, curvature, atol=1e-4)
    assert np.linalg.eigvalsh(curvature)[0] > -1e-9  # log-concave


# Simulated listeners who say why


def rows(matrix):
    return lambda items: matrix[items]


def test_a_listener_names_what_decided_as_often_as_asked():
    parts = np.random.default_rng(2).normal(size=(400, len(DOMAINS)))
    left, right = np.random.default_rng(3).integers(400, size=(2, 20_000))
    outcome = np.where(np.arange(20_000) % 2, 1, -1)
    giver = ReasonGiver(rows(parts), share=0.5, right=0.7, seed=4)
    named = giver.name(left, right, outcome)
    said = named.any(axis=1)
    assert (named.sum(axis=1) <= 1).all()
    assert said.mean() == pytest.approx(0.5, abs=0.01)
    truly = giver.decided(left, right, outcome)
    wins = (outcome[:, None] * (parts[left] - parts[right])).argmax(axis=1)
    np.testing.assert_array_equal(truly, wins)
    assert named[np.arange(20_000), truly][said].mean() == pytest.approx(0.7, abs=0.015)
    # Those who are wrong name each other domain alike.
    after = (named[said].argmax(axis=1) - truly[said]) % len(DOMAINS)
    assert np.bincount(after)[1:] / said.sum() == pytest.approx(0.075, abs=0.01)


def test_ties_have_no_reason_and_shares_are_shares():
    giver = ReasonGiver(rows(np.eye(5)), share=1.0)
    assert not giver.name(np.arange(4), np.arange(1, 5), np.zeros(4, int)).any()
    with pytest.raises(ListenerError, match=r"right=1.5 is not within 0..1"):
        ReasonGiver(rows(np.eye(5)), right=1.5)
