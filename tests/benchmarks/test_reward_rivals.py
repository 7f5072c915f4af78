"""The benchmark of rivals: its arithmetic by hand."""

from importlib import import_module

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def module():
    return import_module("reward_rivals")


def test_rivals_are_compared_on_the_listeners_that_they_were_run_for(module):
    """By hand: .8 and .7 for the profile, of which TRL was run for the first only, with .6."""
    runs = [
        {"listener": "linear", "profile": {200: 0.8}, "logistic": {200: 0.7}, "weight": {200: 0.0},
         "trl_policy": {200: 0.6}},
        {"listener": "sparse", "profile": {200: 0.7}, "logistic": {200: 0.7}, "weight": {200: 0.2}},
    ]  # fmt: skip
    found = module.summary(runs, [200])
    assert found["agreement"]["profile"][200] == {"mean": pytest.approx(0.75), "runs": 2}
    assert found["agreement"]["trl_policy"][200] == {"mean": pytest.approx(0.6), "runs": 1}
    ahead = found["profile_ahead_of"]
    assert ahead["trl_policy"][200] == {"mean": pytest.approx(0.2), "plus_minus": None}
    assert ahead["logistic"][200]["mean"] == pytest.approx(0.05)
    assert ahead["logistic"][200]["plus_minus"] == pytest.approx(1.96 * 0.05)
    assert found["blend_weight"] == {200: pytest.approx(0.1)}
    assert found["families"]["trl_policy"] == {"linear": {200: pytest.approx(0.6)}}


def test_trls_trainer_scores_what_it_has_not_seen(module, tiny_policy, random_melodies):
    """As it comes it learns next to nothing of 200 votes; that it runs is what is tested here."""
    import numpy as np

    from music.tokens import encode
    from reward.comparisons.preferences import Preferences

    melodies = random_melodies(120, seed=4)
    rows = [encode(melody) for melody in melodies]
    height = np.array([np.mean([note.pitch for note in melody.notes]) for melody in melodies])
    left, right = np.random.default_rng(0).integers(80, size=(2, 200))
    keep = height[left] != height[right]
    said = np.where(height[left] > height[right], 1, -1)
    votes = Preferences.of(left[keep], right[keep], said[keep])
    score = module.trl_scores(votes, rows[:80], rows[80:], tiny_policy, pretrained=True, seed=0)
    assert score.shape == (40,)
    assert np.isfinite(score).all()
    assert score.std() > 0
