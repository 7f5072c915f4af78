"""Pairs worth asking: the information by quadrature, what is chosen, what is never chosen."""

from collections import Counter

import numpy as np
import pytest
from scipy.special import expit

from reward.comparisons.preferences import Preferences
from reward.listeners.simulated import SimulatedListener
from reward.pairs.informative import PoolTaste, duels, information_bits, informative_pairs
from reward.pairs.random_pairs import PairingError
from reward.profile.bradley_terry import Gaussian, fit_bradley_terry
from reward.profile.feature_scale import FeatureScale
from reward.profile.profile import TasteProfile


def taste(weights, covariance, melody_std=0.0):
    return Gaussian(
        weights_F=np.asarray(weights, float),
        covariance_FF=np.asarray(covariance, float),
        side=0.0,
        side_std=0.5,
        log_tie=-1.0,
        melody_std=melody_std,
    )


@pytest.mark.parametrize("gap", [0.0, 0.7, 2.5])
@pytest.mark.parametrize("variance", [0.01, 0.5, 4.0])
def test_information_is_that_of_the_logistic(gap, variance):
    """H(E p) - E H(p), integrated over the gap's posterior."""
    z = np.linspace(-8, 8, 4001)
    density = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    p = expit(gap + np.sqrt(variance) * z)

    def bits(q):
        return -(q * np.log2(q) + (1 - q) * np.log2(1 - q))

    exact = bits(density @ p) - density @ bits(p)
    assert information_bits(np.array(gap), np.array(variance)) == pytest.approx(exact, abs=0.012)


def test_information_about_the_weights_alone_is_less():
    """H(E p) - E H(p), where the inner p has the melodies' effects averaged over already."""
    gap, variance, noise = 0.5, 1.5, 0.8
    z = np.linspace(-8, 8, 801)
    density = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    p = expit(gap + np.sqrt(variance) * z[:, None] + np.sqrt(noise) * z) @ density

    def bits(q):
        return -(q * np.log2(q) + (1 - q) * np.log2(1 - q))

    exact = bits(density @ p) - density @ bits(p)
    got = information_bits(np.array(gap), np.array(variance), np.array(noise))
    assert got == pytest.approx(exact, abs=0.012)
    assert got < information_bits(np.array(gap), np.array(variance)) - 0.02


def test_the_second_pair_of_a_batch_is_the_best_given_the_first_answer():
    """Against the joint Gaussian of weights and effects, dense: 12 melodies, 3 features."""
    rng = np.random.default_rng(5)
    for _ in range(6):
        items = rng.normal(size=(12, 3))
        melody_std, weights = 0.9, np.zeros(3)
        pairs = informative_pairs(taste(weights, np.eye(3), melody_std), items, 2, rng)
        joint = np.diag([1.0] * 3 + [melody_std**2] * 12)
        columns = np.hstack([items, np.eye(12)])

        def information(one, other, joint, columns=columns):
            a = columns[one] - columns[other]
            effects = joint[3:, 3:] - joint[3:, :3] @ np.linalg.solve(joint[:3, :3], joint[:3, 3:])
            noise = a[3:] @ effects @ a[3:]
            return information_bits(np.array(0.0), a @ joint @ a - noise, noise)

        everything = [(one, other) for one in range(12) for other in range(one)]
        for pair in pairs:
            bits = {frozenset(each): information(*each, joint) for each in everything}
            assert bits[frozenset(pair)] == pytest.approx(max(bits.values()), rel=1e-4)
            everything.remove((max(pair), min(pair)))
            a = columns[pair[0]] - columns[pair[1]]
            along = joint @ a
            # The answer to a toss-up has a curvature of 1/4.
            joint = joint - np.outer(along, along) / (4 + a @ along)


def test_a_melody_heard_for_the_fifth_time_tells_less_of_its_features():
    """Of two melodies of equal features the one that was heard tells less beside a usual third."""
    items = np.array([[2.0], [2.0], [0.0], *([-0.5], [0.3], [0.1], [-0.2])])
    left, right = np.zeros(4, int), np.arange(3, 7)
    fit = fit_bradley_terry(
        items[left] - items[right], np.array([1, -1, 1, -1]), left_N=left, right_N=right,
        weight_std=1.0, melody_std=1.0,
    )  # fmt: skip
    pool = PoolTaste.of(fit.group, fit.heard, len(items))

    def bits(one, other):
        along = items[one] + pool.lever_BF[one] - items[other] - pool.lever_BF[other]
        noise = pool.effect_variance_B[one] + pool.effect_variance_B[other]
        return float(
            information_bits(np.array(0.0), along @ fit.group.covariance_FF @ along, noise)
        )

    heard, new, usual = 0, 1, 2
    assert pool.effect_variance_B[heard] < 0.7 * pool.effect_variance_B[new]
    assert bits(heard, usual) < 0.8 * bits(new, usual)
    chosen = informative_pairs(
        pool, items, 1, np.random.default_rng(0), kind_B=[0, 0, 0, 1, 2, 3, 4],
        taken=[(heard, new)],
    )  # fmt: skip
    assert set(chosen[0]) == {new, usual}


def test_a_heard_melody_is_better_known_where_raters_disagree():
    """A group of two minds has smaller effects than its raters, heard or not."""
    rng = np.random.default_rng(3)
    items, effects = rng.normal(size=(31, 2)), rng.normal(size=31)
    utility = 1.5 * items[:, 0] + effects
    left, right = rng.integers(0, 30, 150), rng.integers(0, 30, 150)  # the last is never heard
    left, right = left[left != right], right[left != right]
    rater = np.arange(len(left)) % 3
    follows = np.array([1.0, 1.0, -1.0])[rater]
    wins = rng.random(len(left)) < expit(follows * (utility[left] - utility[right]))
    fit = fit_bradley_terry(
        items[left] - items[right], np.where(wins, 1, -1), rater_N=rater, raters=3,
        left_N=left, right_N=right,
    )  # fmt: skip
    assert abs(fit.group.scale) < 0.6
    pool = PoolTaste.of(fit.group, fit.heard, len(items))
    unheard = pool.effect_variance_B[-1]
    assert unheard == pytest.approx(fit.group.melody_std**2)
    assert pool.effect_variance_B[:-1].mean() < 0.9 * unheard
    assert pool.effect_B.std() < 0.5 * fit.group.melody_std


def test_no_doubt_or_a_foregone_answer_tells_nothing():
    assert information_bits(np.array(1.0), np.array(0.0)) == pytest.approx(0.0, abs=1e-9)
    assert information_bits(np.array(30.0), np.array(1.0)) == pytest.approx(0.0, abs=1e-6)
    assert information_bits(np.array(0.0), np.array(1e6)) == pytest.approx(1.0, abs=1e-2)


@pytest.mark.parametrize("choose", [informative_pairs, duels])
def test_pairs_are_new_of_one_kind_and_never_twice(choose):
    items = np.random.default_rng(0).normal(size=(12, 3))
    kind = np.arange(12) % 2
    taken = [(0, 2), (5, 1), (4, 8)]
    left = 2 * 15 - len(taken)
    pairs = choose(
        taste(np.ones(3), np.eye(3)), items, left, np.random.default_rng(1),
        taken=taken, kind_B=kind,
    )  # fmt: skip
    assert len({frozenset(pair) for pair in pairs}) == left
    assert all(a != b and kind[a] == kind[b] for a, b in pairs)
    assert not {frozenset(pair) for pair in pairs} & {frozenset(pair) for pair in taken}
    with pytest.raises(PairingError, match=f"count={left + 1} is not within 0..{left}"):
        choose(
            taste(np.ones(3), np.eye(3)), items, left + 1, np.random.default_rng(1),
            taken=taken, kind_B=kind,
        )  # fmt: skip


def test_sides_are_by_chance():
    items = np.sort(np.random.default_rng(0).normal(size=(200, 1)), axis=0)
    pairs = informative_pairs(taste([3.0], [[1.0]]), items, 100, np.random.default_rng(2))
    assert 30 < sum(a > b for a, b in pairs) < 70


def test_the_direction_of_most_doubt_is_asked_first():
    items = np.random.default_rng(3).normal(size=(300, 2))
    pairs = informative_pairs(
        taste([0, 0], np.diag([1.0, 0.01])), items, 5, np.random.default_rng(0)
    )
    apart = abs(np.array([items[a] - items[b] for a, b in pairs])).mean(0)
    assert apart[0] > 3 * apart[1]


def test_a_batch_is_not_one_question_many_times():
    """Of two equal directions each gets about half; without the foretaste one could get all."""
    items = np.vstack([np.eye(2), -np.eye(2)]).repeat(20, axis=0) * 3
    pairs = informative_pairs(taste([0, 0], np.eye(2)), items, 20, np.random.default_rng(0))
    asked = Counter(int(abs(items[a] - items[b]).argmax()) for a, b in pairs if (a // 20 + b // 20))
    assert min(asked[0], asked[1]) >= 4


def test_duels_are_among_the_best():
    items = np.random.default_rng(4).normal(size=(500, 3))
    weights = np.array([1.0, -1.0, 0.5])
    sure = taste(weights, 1e-4 * np.eye(3))
    best = set(np.argsort(-(items @ weights))[:10].tolist())
    pairs = duels(sure, items, 8, np.random.default_rng(0))
    assert {row for pair in pairs for row in pair} <= best


@pytest.mark.slow
def test_fewer_votes_reach_what_random_pairs_reach():
    """Features that are correlated as melodies' are; agreement on fresh items, five tastes."""
    features, votes = 30, 120
    gained = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        spread = np.linalg.qr(rng.normal(size=(features, features)))[0]
        spread *= np.exp(-np.arange(features) / 14)
        items, fresh = (rng.normal(size=(1000, features)) @ spread.T for _ in range(2))
        scale, weights = FeatureScale.of(items), rng.standard_t(3, size=features)
        utility, truth = items @ weights, fresh @ weights
        names = [f"feature_{i}" for i in range(features)]
        shares = []
        for way in ("random", "information"):
            person = SimulatedListener(lambda rows, u=utility: u[rows], seed=seed)
            person.calibrate(np.arange(1000))
            nothing = np.zeros(0, np.int64)
            pairs, said = [], []
            profile = TasteProfile.fit(
                Preferences.of(nothing, nothing, nothing), items, scale, feature_names=names
            )
            while len(said) < votes:
                if way == "random":
                    batch = rng.choice(1000, size=(20, 2), replace=False).tolist()
                else:
                    standard = scale.standardise(items)
                    batch = informative_pairs(profile.group, standard, 20, rng, taken=pairs)
                pairs += [tuple(pair) for pair in batch]
                said += person.choose(*np.array(batch).T).tolist()
                profile = TasteProfile.fit(
                    Preferences.of(*np.array(pairs).T, np.array(said)), items, scale,
                    feature_names=names,
                )  # fmt: skip
            score = profile.score(fresh)[0]
            one, other = rng.integers(1000, size=(2, 8000))
            same = (score[one] > score[other]) == (truth[one] > truth[other])
            shares.append(same[one != other].mean())
        gained.append(shares[1] - shares[0])
    assert np.mean(gained) > 0.02
