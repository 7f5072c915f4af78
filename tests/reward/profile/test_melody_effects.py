"""A melody's own effect: against a dense oracle, its variance, and what is known of heard ones."""

import numpy as np
import pytest
from scipy.special import expit

from reward.profile import effect_matrices
from reward.profile.bradley_terry import Fit, FitError, fit_bradley_terry
from reward.profile.laplace import LOG_TIE_MEAN

ITEMS, FEATURES = 14, 3


def votes(seed: int, count: int, raters: int = 1) -> dict[str, np.ndarray]:
    """Comparisons of few melodies, some of them heard once; with ties and weights."""
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(ITEMS + count, FEATURES))
    left, right = rng.integers(ITEMS, size=(2, count))
    left[::4] = ITEMS + np.arange(count)[::4]  # heard in this vote alone
    right[::8] = ITEMS + np.arange(count)[1::8]
    utility = items @ [1.0, -0.5, 0.2] + rng.normal(size=len(items))
    gap = utility[left] - utility[right] + 0.3
    noise = rng.logistic(size=count)
    outcome = np.where(abs(gap + noise) < 0.4, 0, np.sign(gap + noise)).astype(int)
    return {
        "difference_NF": items[left] - items[right],
        "outcome_N": outcome,
        "weight_N": rng.uniform(0.5, 1.5, size=count),
        "rater_N": np.arange(count) % raters,
        "left_N": left,
        "right_N": right,
    }


class Oracle:
    """The same model, dense: softmax of three logits, a column for every parameter and melody.

    Parameters: weights, side, log ν; then each rater's own of these; then one effect an item.
    """

    def __init__(self, given: dict[str, np.ndarray], fit: Fit, weight_std: float) -> None:
        raters = len(fit.raters)
        own = 0 if raters == 1 else raters
        self.group = FEATURES + 2
        self.effects = self.group * (1 + own)
        items = max(given["left_N"].max(), given["right_N"].max()) + 1
        std = [*(FEATURES * [weight_std]), 0.5, 2.0]
        std += own * [*(FEATURES * [fit.deviation_std]), 0.5, 1.0]
        std += items * [fit.melody_std]
        self.std, self.mean = np.array(std), np.zeros(len(std))
        self.mean[self.group - 1] = LOG_TIE_MEAN
        count = len(given["outcome_N"])
        self.logits = np.zeros((count, 3, len(std)))
        for n in range(count):
            rater, scale = given["rater_N"][n], fit.raters[given["rater_N"][n]].scale
            gap = np.zeros(len(std))
            gap[:FEATURES], gap[FEATURES] = scale * given["difference_NF"][n], 1.0
            gap[self.effects + given["left_N"][n]] += scale
            gap[self.effects + given["right_N"][n]] -= scale
            tie = np.zeros(len(std))
            tie[self.group - 1] = 1.0
            if own:
                at = self.group * (1 + rater)
                gap[at : at + FEATURES], gap[at + FEATURES] = given["difference_NF"][n], 1.0
                tie[at + self.group - 1] = 1.0
            self.logits[n] = gap / 2, tie, -gap / 2
        self.said = np.eye(3)[1 - given["outcome_N"]]
        listens = np.array([taste.listens for taste in fit.raters])
        self.weight = given["weight_N"] * listens[given["rater_N"]]

    def solve(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Mode, precision and log evidence."""
        at, precision, log_p = self.mean.copy(), np.diag(self.std**-2), np.zeros(0)
        for _ in range(40):
            logits = self.logits @ at
            log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
            p = np.exp(log_p)
            slope = np.einsum("n,nc,ncp->p", self.weight, p - self.said, self.logits)
            covariance = p[:, :, None] * np.eye(3) - p[:, :, None] * p[:, None]
            precision = np.diag(self.std**-2) + np.einsum(
                "n,ncp,ncd,ndq->pq", self.weight, self.logits, covariance, self.logits,
                optimize=True,
            )  # fmt: skip
            at = at - np.linalg.solve(precision, slope + (at - self.mean) / self.std**2)
        away = (at - self.mean) / self.std
        evidence = self.weight @ (log_p * self.said).sum(1) - 0.5 * away @ away
        evidence -= np.log(self.std).sum() + 0.5 * np.linalg.slogdet(precision)[1]
        return at, precision, float(evidence)


@pytest.mark.parametrize("raters", [1, 3])
def test_posterior_equals_the_same_model_written_flat(raters):
    given = votes(1, 40, raters)
    got = fit_bradley_terry(
        **given, raters=raters, weight_std=0.8, deviation_std=0.4, melody_std=0.9
    )
    oracle = Oracle(given, got, 0.8)
    mode, precision, evidence = oracle.solve()
    covariance = np.linalg.inv(precision)
    weights, moment = mode[:FEATURES], covariance[:FEATURES, :FEATURES]
    mean, std = got.group.scale, got.group.scale_std
    np.testing.assert_allclose(got.group.weights_F, mean * weights, atol=1e-5)
    expected = mean**2 * moment + std**2 * (np.outer(weights, weights) + moment)
    np.testing.assert_allclose(got.group.covariance_FF, expected, rtol=1e-3, atol=1e-5)
    assert got.log_evidence == pytest.approx(evidence, abs=1e-3)
    for rater, taste in enumerate(got.raters if raters > 1 else ()):
        to_own = np.zeros((FEATURES, len(mode)))
        to_own[:, :FEATURES] = taste.scale * np.eye(FEATURES)
        to_own[:, oracle.group * (1 + rater) :][:, :FEATURES] = np.eye(FEATURES)
        np.testing.assert_allclose(taste.weights_F, to_own @ mode, atol=1e-5)
        expected = to_own @ covariance @ to_own.T
        expected += taste.scale_std**2 * (np.outer(weights, weights) + moment)
        np.testing.assert_allclose(taste.covariance_FF, expected, rtol=1e-3, atol=1e-5)
    # What is known of the heard melodies, given the weights.
    heard = got.heard
    used = np.unique([given["left_N"], given["right_N"]])
    np.testing.assert_array_equal(heard.item_K, used)
    np.testing.assert_allclose(heard.mean_K, mode[oracle.effects + used], atol=1e-5)
    if raters == 1:
        given_weights = precision[oracle.effects :, oracle.effects :]
        given_all = np.linalg.inv(given_weights)
        lever = -given_all @ precision[oracle.effects :, :FEATURES]
        np.testing.assert_allclose(heard.lever_KF, lever[used], atol=1e-5)
        np.testing.assert_allclose(heard.variance_K, np.diag(given_all)[used], rtol=0.03)


def recurring(seed: int, count: int, effect_std: float, items: int = 50):
    """Votes on few melodies by a linear taste and their own effects; with what the truth is."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(items, 8))
    weights = rng.normal(size=8) / np.sqrt(8)
    utility = features @ weights + effect_std * rng.normal(size=items)
    left = rng.integers(items, size=count)
    right = (left + rng.integers(1, items, size=count)) % items
    likes_left = rng.random(count) < expit(utility[left] - utility[right])
    given = {
        "difference_NF": features[left] - features[right],
        "outcome_N": np.where(likes_left, 1, -1),
        "left_N": left,
        "right_N": right,
    }
    return given, weights


@pytest.mark.parametrize(("effect_std", "low", "high"), [(0.0, 0.0, 0.3), (1.0, 0.7, 1.25)])
def test_the_variance_is_found_where_there_is_one_and_near_0_where_there_is_none(
    effect_std, low, high
):
    found = [
        fit_bradley_terry(**recurring(seed, 1000, effect_std)[0]).melody_std for seed in range(3)
    ]
    assert low <= np.mean(found) <= high


def test_votes_on_few_melodies_do_not_make_the_weights_too_sure():
    """With the effects most 90 % intervals hold the truth; without them they are far too narrow."""
    inside = {None: [], 0.0: []}
    for seed in range(10):
        given, weights = recurring(100 + seed, 600, 1.0, items=30)
        for melody_std, held in inside.items():
            taste = fit_bradley_terry(**given, melody_std=melody_std).group
            std = np.sqrt(np.diag(taste.covariance_FF))
            held.append(abs(taste.weights_F - weights) <= 1.645 * std)
    assert np.mean(inside[None]) > 0.75
    assert np.mean(inside[0.0]) < 0.6


def test_more_votes_on_the_same_melodies_do_not_make_it_worse():
    """Log loss of fresh melodies, whose effects are new, goes down or stays from 100 votes on."""
    losses = []
    for seed in range(4):
        rng = np.random.default_rng([seed, 1])
        fresh = rng.normal(size=(2000, 8))
        for count in (100, 400, 2000):
            given, weights = recurring(200 + seed, count, 1.0)
            got = fit_bradley_terry(**given)
            truth = expit(fresh @ weights + np.sqrt(2) * rng.normal(size=2000))
            doubt = np.einsum("nf,fg,ng->n", fresh, got.group.covariance_FF, fresh)
            doubt += 2 * got.melody_std**2
            said = expit(fresh @ got.group.weights_F / np.sqrt(1 + np.pi / 8 * doubt))
            losses.append(-np.mean(truth * np.log(said) + (1 - truth) * np.log(1 - said)))
    of_100, of_400, of_2000 = np.reshape(losses, (4, 3)).mean(0)
    assert of_2000 <= of_400 + 0.003 <= of_100 + 0.006
    assert of_2000 < np.log(2)


def test_without_melodies_there_are_no_effects():
    given, _ = recurring(3, 200, 1.0)
    nameless = {name: given[name] for name in ("difference_NF", "outcome_N")}
    got, none = fit_bradley_terry(**nameless), fit_bradley_terry(**given, melody_std=0.0)
    assert got.melody_std == 0.0
    assert len(got.heard.item_K) == 0
    np.testing.assert_array_equal(got.group.weights_F, none.group.weights_F)


@pytest.mark.slow
def test_a_contrary_rater_follows_the_effects_the_other_way():
    """Turn one of three raters round: the effects stay what the others say, and so their size."""
    given, _ = recurring(4, 600, 1.0, items=20)
    rater = np.arange(600) % 3
    turned = given | {"outcome_N": np.where(rater == 2, -given["outcome_N"], given["outcome_N"])}
    before, after = (
        fit_bradley_terry(**each, rater_N=rater, raters=3, weight_std=0.4, deviation_std=0.1)
        for each in (given, turned)
    )
    assert after.raters[2].scale < -0.5
    assert after.melody_std == pytest.approx(before.melody_std, rel=0.25)
    assert np.corrcoef(before.heard.mean_K, after.heard.mean_K)[0, 1] > 0.95


def test_a_negative_std_is_named():
    with pytest.raises(FitError, match="melody_std=-1"):
        fit_bradley_terry(**recurring(5, 10, 1.0)[0], melody_std=-1)


@pytest.mark.parametrize("votes_a_melody", [0.5, 4])
def test_sparse_and_dense_factors_are_the_same(votes_a_melody, monkeypatch):
    given, _ = recurring(6, 600, 0.7, items=int(600 / votes_a_melody))
    got = fit_bradley_terry(**given, weight_std=0.3, melody_std=0.7)
    for least, most in ((10**9, 0.0), (0, 10.0**9)):
        monkeypatch.setattr(effect_matrices, "LEAST_SPARSE", least)
        monkeypatch.setattr(effect_matrices, "MOST_ENTRIES", most)
        other = fit_bradley_terry(**given, weight_std=0.3, melody_std=0.7)
        np.testing.assert_allclose(other.group.weights_F, got.group.weights_F, atol=1e-6)
        np.testing.assert_allclose(other.heard.variance_K, got.heard.variance_K, rtol=1e-6)
        assert other.log_evidence == pytest.approx(got.log_evidence, abs=1e-6)
