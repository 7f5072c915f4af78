"""A profile learns from reasons, as far as each rater's can be trusted."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from reward.comparisons.preferences import LEFT, RIGHT, TIE, Preferences
from reward.listeners.reasons import BY_CHANCE, ReasonGiver
from reward.profile.bradley_terry import Gaussian, fit_bradley_terry
from reward.profile.feature_scale import FeatureScale
from reward.profile.features import FEATURE_NAMES, FEATURE_PRIORS
from reward.profile.profile import DEGREES_OF_FREEDOM, TasteError, TasteProfile
from reward.profile.profile_json import read_trust
from reward.profile.reason_likelihood import StatedReasons, stated_reasons
from reward.profile.reason_trust import (
    PRIOR_T,
    SHARE_T,
    ReasonTrust,
    _predicted,
    _weigh,
    reasons_in_words,
)
from reward.profile.reasons import DOMAINS, domain_features

NAMES = tuple(measure for measures in DOMAINS.values() for measure in measures[:6])
"""six features of each domain"""
OF_DOMAIN = domain_features(NAMES)
RHYTHM = OF_DOMAIN[0]


class Taste:
    """A taste of items with 30 independent features, three of which in two domains matter."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.items = rng.normal(size=(600, len(NAMES)))
        self.scale = FeatureScale.of(self.items)
        self.weights = np.zeros(len(NAMES))
        self.weights[:3], self.weights[-3:] = [0.9, -0.9, 0.6], [0.3, -0.3, 0.2]
        self.parts = np.stack([self.items @ (self.weights * own) for own in OF_DOMAIN], axis=1)
        self.utility = self.parts.sum(axis=1)

    def votes(self, count: int, seed: int, *, right: float | None = None) -> Preferences:
        """Votes on random pairs, each with a reason if it is said how many are right."""
        rng = np.random.default_rng([seed, 1])
        left, right_ = rng.choice(len(self.items), size=(2, count), replace=False)
        better = expit(self.utility[left] - self.utility[right_])
        outcome = np.where(rng.random(count) < better, LEFT, RIGHT)
        asked = Preferences.of(left, right_, outcome)
        if right is None:
            return asked
        giver = ReasonGiver(lambda rows: self.parts[rows], share=1.0, right=right, seed=seed)
        return with_reasons(asked, giver.name(left, right_, outcome))

    def fit(self, votes: Preferences, **keywords) -> TasteProfile:
        return TasteProfile.fit(votes, self.items, self.scale, feature_names=NAMES, **keywords)

    def agreement(self, profile: TasteProfile) -> float:
        return np.corrcoef(profile.score(self.items)[0], self.utility)[0, 1]


def with_reasons(votes: Preferences, reasons: np.ndarray, names=tuple(DOMAINS)) -> Preferences:
    return replace(votes, reasons=reasons, reason_names=tuple(names))


def same(one: TasteProfile, other: TasteProfile) -> None:
    np.testing.assert_array_equal(one.group.weights_F, other.group.weights_F)
    np.testing.assert_array_equal(one.group.covariance_FF, other.group.covariance_FF)
    assert one.log_evidence == other.log_evidence
    assert one.weight_std == other.weight_std


@pytest.fixture(scope="module")
def taste() -> Taste:
    return Taste()


@pytest.fixture(scope="module")
def asked(taste) -> Preferences:
    return taste.votes(80, 2, right=0.7)


@pytest.fixture(scope="module")
def plain(taste) -> TasteProfile:
    return taste.fit(taste.votes(80, 2))


@pytest.fixture(scope="module")
def learnt(taste, asked) -> TasteProfile:
    return taste.fit(asked)


def test_without_reasons_the_fit_is_the_one_of_the_votes_alone(taste, asked, plain):
    difference = taste.scale.standardise(taste.items)
    by_votes = fit_bradley_terry(
        difference[asked.left] - difference[asked.right], asked.outcome,
        left_N=asked.left, right_N=asked.right, freedom=DEGREES_OF_FREEDOM,
    )  # fmt: skip
    np.testing.assert_array_equal(plain.group.weights_F, by_votes.group.weights_F)
    assert plain.log_evidence == by_votes.log_evidence
    assert plain.reasons == {}
    nothing = taste.fit(with_reasons(asked, np.zeros((80, 5), bool)))
    own_words = taste.fit(with_reasons(asked, np.ones((80, 1), bool), ["because"]))
    for profile in (nothing, own_words):
        same(profile, plain)
        assert profile.reasons == {}


def test_reasons_of_ties_say_nothing(taste, asked):
    tied = np.where(np.arange(80) % 4, asked.outcome, TIE)
    silent = asked.reasons & (tied != TIE)[:, None]
    one, other = (
        taste.fit(replace(asked, outcome=tied, reasons=given)) for given in (asked.reasons, silent)
    )
    same(one, other)
    assert one.reasons == other.reasons


def test_a_named_domain_gains_weight_and_the_others_lose(taste, asked, plain):
    rhythm = taste.fit(with_reasons(asked, np.tile(RHYTHM[::6], (80, 1))))
    before, after = (np.square(p.group.weights_F) for p in (plain, rhythm))
    assert after[RHYTHM].sum() > 1.3 * before[RHYTHM].sum()
    assert after[~RHYTHM].sum() < 0.7 * before[~RHYTHM].sum()


def test_good_reasons_are_trusted_and_help(taste, plain, learnt):
    (trust,) = learnt.reasons.values()
    assert trust.reasons == 80
    assert trust.share > 0.5
    assert trust.by_chance < 0.01
    assert taste.agreement(learnt) > taste.agreement(plain) + 0.03


def test_random_reasons_are_distrusted_and_cost_little(taste, plain):
    costs = []
    for seed in (2, 3):
        random = taste.fit(
            with_reasons(taste.votes(80, 2), taste.votes(80, seed, right=BY_CHANCE).reasons)
        )
        (trust,) = random.reasons.values()
        assert trust.share < 0.25
        assert trust.by_chance > 0.5
        costs.append(taste.agreement(plain) - taste.agreement(random))
    assert np.mean(costs) < 0.02


def test_reasons_that_are_always_wrong_are_not_believed(taste, asked, plain):
    # Contour has no part in the taste, and is named every time.
    wrong = taste.fit(with_reasons(asked, np.tile(OF_DOMAIN[1, ::6], (80, 1))))
    (trust,) = wrong.reasons.values()
    assert trust.share < 0.25
    assert taste.agreement(wrong) > taste.agreement(plain) - 0.02


@pytest.mark.slow
def test_each_rater_is_trusted_for_their_own_reasons(taste):
    good, bad = taste.votes(60, 4, right=0.8), taste.votes(60, 5, right=BY_CHANCE)
    silent = with_reasons(taste.votes(60, 6), np.zeros((60, 5), bool))
    three = Preferences.of(
        *(
            np.concatenate([getattr(votes, name) for votes in (good, bad, silent)])
            for name in ("left", "right", "outcome")
        ),
        rater=np.repeat([0, 1, 2], 60), rater_ids=("good", "bad", "silent"),
        reasons=np.concatenate([good.reasons, bad.reasons, silent.reasons]),
        reason_names=tuple(DOMAINS),
    )  # fmt: skip
    profile = taste.fit(three)
    assert set(profile.reasons) == {"good", "bad"}
    assert profile.reasons["good"].share > 0.5
    assert profile.reasons["bad"].share < 0.25
    again = taste.fit(three, like=profile)
    assert again.reasons["good"].share == pytest.approx(profile.reasons["good"].share, abs=0.1)
    assert again.reasons["bad"].share < 0.3


def test_a_refit_after_one_more_vote_takes_the_reasons_along(taste, learnt):
    more = taste.votes(80, 2, right=0.7)
    again = taste.fit(more, like=learnt)
    np.testing.assert_allclose(again.group.weights_F, learnt.group.weights_F, atol=0.1)
    assert again.reasons["rater"].share == pytest.approx(learnt.reasons["rater"].share, abs=0.05)
    assert again.shape_F is learnt.shape_F or np.allclose(again.shape_F, learnt.shape_F)


def test_trust_by_hand():
    # With nothing learnt both alternatives are as likely: reasons say nothing of the rater.
    stated = StatedReasons(
        np.eye(2), np.array([0, 1, 1, 0]), np.zeros((4, 2)), np.ones(4), np.ones(4)
    )
    taste = Gaussian(
        weights_F=np.ones(2), covariance_FF=np.eye(2), side=0.0, side_std=1.0, log_tie=0.0
    )
    (weighed,), trust = _weigh((stated,), taste)
    # So it is as likely as before that all are by chance, which is more likely than not.
    assert trust == ReasonTrust(4, 0.0, pytest.approx(PRIOR_T[0]))
    np.testing.assert_array_equal(weighed.trusted_N, 0.0)
    assert pytest.approx(1.0) == PRIOR_T.sum()
    # Where the named one carries all, those that name it are right: t follows from its prior alone.
    sure = replace(stated, named_N=np.zeros(4, int), toward_NF=np.tile([40.0, -40.0], (4, 1)))
    _, trust = _weigh((sure,), replace(taste, covariance_FF=np.zeros((2, 2))))
    log_p_T = np.log(PRIOR_T) + 4 * np.log(SHARE_T + (1 - SHARE_T) / 2)
    by_hand_T = np.exp(log_p_T) / np.exp(log_p_T).sum()
    assert trust == ReasonTrust(4, pytest.approx(SHARE_T @ by_hand_T), pytest.approx(by_hand_T[0]))


def test_a_reason_is_judged_without_itself(taste, asked, learnt):
    # The same reason twice as strong pulls more, and must not look better for it.
    standard = taste.scale.standardise(taste.items)
    difference = standard[asked.left] - standard[asked.right]
    (stated,) = stated_reasons(asked, difference, NAMES)
    rhythm = stated[0]
    given = learnt.group
    with_itself = _predicted(rhythm.trusted(np.zeros(len(rhythm.weight_N))), given)
    without = _predicted(rhythm.trusted(np.ones(len(rhythm.weight_N))), given)
    assert (without < with_itself + 1e-6).all()


# In words


def test_reasons_are_told_with_how_far_they_are_believed(taste, plain, learnt):
    two = {"a": ReasonTrust(30, 0.8, 0.0), "b": ReasonTrust(10, 0.2, 0.6)}
    assert reasons_in_words(two) == "reasons given: 40, of which 65 % are believed"
    assert reasons_in_words(two, "b") == "reasons given: 10, of which 20 % are believed"
    assert reasons_in_words(two, "silent") == reasons_in_words({}) == ""
    assert "reasons given: 80, of which " in learnt.in_words(rater="rater")
    assert "reasons" not in plain.in_words()


# Files


def real_profile() -> TasteProfile:
    rng = np.random.default_rng(7)
    items = rng.normal(size=(60, len(FEATURE_NAMES)))
    left, right = rng.choice(60, size=(2, 30), replace=False)
    votes = Preferences.of(
        left, right, np.where(items[left, 0] > items[right, 0], LEFT, RIGHT),
        reasons=np.ones((30, 1), bool), reason_names=("wrong_note",),
    )  # fmt: skip
    assert len(FEATURE_PRIORS) == len(FEATURE_NAMES)
    return TasteProfile.fit(votes, items, FeatureScale.of(items))


def test_a_file_keeps_what_reasons_were_worth_and_one_without_them_opens(tmp_path):
    profile = real_profile()
    path = tmp_path / "profile.json"
    profile.save(path)
    assert TasteProfile.load(path).reasons == profile.reasons != {}
    body = json.loads(path.read_text())
    del body["reasons"]
    path.write_text(json.dumps(body))
    assert TasteProfile.load(path).reasons == {}
    for broken in ({"rater": {"reasons": 3, "share": 2.0, "by_chance": 0.0}}, {"rater": 1}, [1]):
        path.write_text(json.dumps(body | {"reasons": broken}))
        with pytest.raises(TasteError, match="is broken"):
            TasteProfile.load(path)
    with pytest.raises(ValueError, match="reasons"):
        read_trust({"reasons": 0.5, "share": 0.5, "by_chance": 0.0})
