"""The blend: the weight that held-out comparisons speak for; the profile while they are mute."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from reward.comparisons.preferences import Preferences
from reward.neural.blend import (
    WEIGHTS,
    Blend,
    BlendError,
    WeightChoice,
    choose_weight,
)
from reward.profile.feature_scale import FeatureScale
from reward.profile.features import feature_matrix
from reward.profile.profile import TasteProfile


class Scorer:
    """A neural reward of known scores, a column of features of the melodies."""

    utility_std = 2.0

    def __init__(self, scale, column):
        self.scale, self.column = scale, column
        self.asked = 0

    def score(self, melodies):
        self.asked += 1
        seen = self.scale.standardise(feature_matrix(melodies))[:, self.column]
        return seen / self.scale.spread_F[self.column], np.full(len(melodies), 0.5)

    def save(self, path):
        raise AssertionError("not saved here")


def voted(gap, seed=0, **more):
    """Comparisons of different pairs whose log-odds of left are `gap`."""
    rng = np.random.default_rng(seed)
    said = np.where(rng.random(len(gap)) < 1 / (1 + np.exp(-gap)), 1, -1)
    rows = np.arange(len(gap))
    return Preferences.of(2 * rows, 2 * rows + 1, said, **more)


@pytest.fixture(scope="module")
def melodies(random_melodies):
    return random_melodies(120, seed=3)


@pytest.fixture(scope="module")
def scale(melodies):
    return FeatureScale.of(melodies)


@pytest.fixture(scope="module")
def preferences(melodies, scale):
    standard = scale.standardise(feature_matrix(melodies))
    utility = standard[:, scale.std_F > 0][:, :2].sum(1)
    left, right = np.random.default_rng(1).integers(len(melodies), size=(2, 150))
    left, right = left[left != right], right[left != right]
    noise = np.random.default_rng(2).logistic(size=len(left))
    said = np.where(utility[left] - utility[right] + noise > 0, 1, -1)
    return Preferences.of(left, right, said)


@pytest.fixture(scope="module")
def profile(preferences, melodies, scale):
    return TasteProfile.fit(preferences, melodies, scale)


def choice_of(weight):
    return WeightChoice(
        weight=weight, nats=(0.0,) * len(WEIGHTS), best=weight, gain_nats=0.1, gain_error_nats=0.01
    )


def test_the_one_that_knows_gets_the_weight():
    rng = np.random.default_rng(0)
    truth, noise = rng.normal(size=(2, 600)) * 1.5
    preferences = voted(truth)
    assert choose_weight(preferences, noise, truth).weight >= 0.7
    assert choose_weight(preferences, truth, noise).weight == 0
    # Each knows a half.
    one, other = 2 * np.where(np.arange(600) % 2, [truth, 0 * truth], [0 * truth, truth])
    half = choose_weight(preferences, one, other)
    assert half.weight == pytest.approx(0.5, abs=0.21)
    assert half.gain_nats > half.gain_error_nats > 0
    assert half.nats[WEIGHTS.index(half.best)] == max(half.nats)


def test_the_profile_is_kept_while_nothing_tells_them_apart():
    rng = np.random.default_rng(4)
    for seed in range(10):
        truth = rng.normal(size=60)
        profile, neural = truth + rng.normal(size=(2, 60))
        choice = choose_weight(voted(truth, seed), profile, neural)
        assert choice.gain_nats >= 0
        if choice.gain_nats <= choice.gain_error_nats:
            assert choice.weight == 0
    alike = choose_weight(voted(truth), truth, truth)
    assert (alike.weight, alike.gain_nats, alike.gain_error_nats) == (0, 0, 0)


def test_the_likelihood_by_hand():
    """One decided left at log-odds log 3, one tie between equals with nu = 2."""
    preferences = Preferences.of([0, 2], [1, 3], np.array([1, 0]))
    found = choose_weight(
        preferences, np.array([np.log(3.0), 0.0]), np.zeros(2), log_tie=float(np.log(2))
    )
    root = np.sqrt(3)
    first = np.log(root / (root + 2 + 1 / root))
    assert found.nats[0] == pytest.approx((first + np.log(2 / 4)) / 2)
    assert found.nats[-1] == pytest.approx((np.log(1 / 4) + np.log(2 / 4)) / 2)


def test_repeats_of_one_pair_are_one_witness():
    """100 votes on one pair cannot say more than how that pair goes."""
    same = np.zeros(100, int)
    preferences = Preferences.of(same, same + 1, np.ones(100, int))
    choice = choose_weight(preferences, np.zeros(100), np.ones(100))
    # A single pair has no spread between pairs: the error is 0 and the best is taken.
    assert (choice.weight, choice.gain_error_nats) == (1.0, 0.0)
    pairs = np.repeat(np.arange(10), 10)
    said = np.where(pairs < 6, 1, -1)
    clustered = choose_weight(
        Preferences.of(2 * pairs, 2 * pairs + 1, said), 0.0 * pairs, 1.0 + 0 * pairs
    )
    spread = choose_weight(
        Preferences.of(2 * np.arange(100), 2 * np.arange(100) + 1, said),
        0.0 * pairs,
        1.0 + 0 * pairs,
    )
    assert clustered.gain_error_nats > 2 * spread.gain_error_nats


def test_scores_have_the_base_s_unit_and_the_doubt_of_both(melodies, scale, profile):
    column = int(np.flatnonzero(scale.std_F > 0)[4])
    neural = Scorer(scale, column)
    blend = Blend.of(profile, neural, choice_of(0.4), melodies)
    mean, std = blend.score(melodies)
    assert mean.mean() == pytest.approx(0, abs=1e-9)
    assert mean.std() == pytest.approx(1, abs=1e-6)
    utility = (
        0.6 * profile.utility_std() * profile.score(melodies)[0]
        + 0.4 * 2.0 * neural.score(melodies)[0]
    )
    np.testing.assert_allclose(mean, utility / utility.std(), atol=1e-6)
    expected = (0.6 * profile.utility_std() * profile.score(melodies)[1] + 0.4) / utility.std()
    np.testing.assert_allclose(std, expected, atol=1e-6)


def test_without_weight_it_is_the_profile_and_the_trunk_rests(melodies, scale, profile):
    neural = Scorer(scale, 0)
    blend = Blend.of(profile, neural, choice_of(0.0), melodies)
    asked = neural.asked
    for ours, its in zip(blend.score(melodies[:9]), profile.score(melodies[:9]), strict=True):
        np.testing.assert_array_equal(ours, its)
    assert neural.asked == asked


def test_what_is_wrong_is_told(profile, scale):
    preferences = voted(np.zeros(4))
    with pytest.raises(BlendError, match=r"neural_gap_N has shape \(3,\) for 4 comparisons"):
        choose_weight(preferences, np.zeros(4), np.zeros(3))
    with pytest.raises(BlendError, match="profile_gap_N"):
        choose_weight(preferences, np.full(4, np.nan), np.zeros(4))
    with pytest.raises(BlendError, match="0 comparisons"):
        choose_weight(preferences[:0], np.zeros(0), np.zeros(0))
    with pytest.raises(BlendError, match="1 base melodies"):
        Blend.of(profile, Scorer(scale, 0), choice_of(0.5), [None])


def test_a_saved_blend_is_whole(tmp_path, melodies, profile, tiny_policy, preferences):
    from reward.neural.model import NeuralReward, Readout, ReadTrunk

    reader = ReadTrunk.of(tiny_policy, melodies)
    members = [Readout(32, 3), Readout(32, 3)]
    neural = NeuralReward.of(reader, members, reader.states(melodies), votes=9)
    blend = Blend.of(profile, neural, choice_of(0.3), melodies)
    folder = tmp_path / "run"
    folder.mkdir()
    blend.save(folder)
    again = Blend.load(folder)
    assert again.choice == blend.choice
    for one, other in zip(again.score(melodies), blend.score(melodies), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
    assert sorted(path.name for path in folder.iterdir()) == [
        "blend.json", "neural.safetensors", "taste.json",
    ]  # fmt: skip
    for name in ("blend.json", "neural.safetensors", "taste.json"):
        broken = tmp_path / f"without {name}"
        shutil.copytree(folder, broken)
        (broken / name).unlink()
        with pytest.raises(BlendError, match="train it again"):
            Blend.load(broken)
    body = json.loads((folder / "blend.json").read_text())
    for change in ({"version": 99}, {"weight": 1.5}, {"weight": None}, {"format": "other"}):
        (folder / "blend.json").write_text(json.dumps(body | change))
        with pytest.raises(BlendError, match="no whole blend"):
            Blend.load(folder)
    (folder / "blend.json").write_text(json.dumps(body))
    TasteProfile.fit(preferences[:50], melodies, profile.scale).save(folder / "taste.json")
    with pytest.raises(BlendError, match="is not the one that was blended"):
        Blend.load(folder)


def test_a_blend_is_known_without_torch():
    code = (
        "import sys, reward.neural.blend, reward.profile.profile; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_shrinkage_takes_from_the_profile_only(melodies, scale, profile):
    """Half and half: the profile's utility counts for half of its half."""
    neural = Scorer(scale, int(np.flatnonzero(scale.std_F > 0)[4]))
    blend = Blend.of(profile, neural, choice_of(0.5), melodies, shrinkage=0.5)
    one, other = blend.parts()
    assert one / other == pytest.approx(0.5 * profile.utility_std() / neural.utility_std)
