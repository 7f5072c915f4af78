"""Weights that follow the table: which way they go, and what is remembered."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from policy.checkpoint import save_policy
from reward.music_theory import RULES
from reward.rl_tuner_metrics import METRICS

WEIGHT = {rule.name: rule.weight for rule in RULES}


@pytest.fixture
def weights(script):
    return script("rl_tuner_weights")


@pytest.fixture
def bound(script):
    return script("rl_tuner_bound")


def asked(bound, melodies, steps=32):
    return bound.bounds_of(bound.Counts.of(melodies), steps)


def test_each_steered_rule_has_a_row_that_was_improved_or_must_not_get_worse(weights):
    assert set(weights.ROW_OF_RULE) <= WEIGHT.keys()
    assert set(weights.ROW_OF_RULE.values()) <= {metric.name for metric in METRICS}
    assert weights.BEYOND.keys() == set(weights.ROW_OF_RULE.values())


def test_what_is_asked_for_is_further_on_the_asked_side(weights, bound, random_melodies):
    for one in asked(bound, random_melodies(40, seed=2)):
        more = weights.further(one)
        assert (more.at - one.at) * one.sign >= 0
        assert (more.at != one.at) == (one.metric.name in weights.BEYOND)


@pytest.mark.parametrize("short", [True, False])
def test_a_weight_rises_while_its_row_is_short_and_falls_while_it_is_beyond(
    weights, bound, random_melodies, short
):
    melodies = random_melodies(60, seed=3)
    bounds = asked(bound, melodies)
    at = 0.99 if short else 0.01
    bounds = [
        replace(one, at=at) if one.metric.name == "starts_on_tonic" else one for one in bounds
    ]
    steered = weights.Steered(bounds)
    before = dict(steered.weight)
    for _ in range(3):
        steered.score(melodies)
        steered.steer()
    assert (steered.weight["first note"] > before["first note"]) == short
    assert all(weight >= 0 for weight in steered.weight.values())
    others = WEIGHT.keys() - weights.ROW_OF_RULE.keys()
    assert {name: steered.weight[name] for name in others} == {n: WEIGHT[n] for n in others}


def test_the_score_is_the_rules_weighted_sum(weights, bound, random_melodies):
    from reward.music_theory import music_theory_score

    melodies = random_melodies(20, seed=4)
    score, doubt = weights.Steered(asked(bound, melodies)).score(melodies)
    np.testing.assert_allclose(score, music_theory_score(melodies))
    assert not doubt.any()


def test_only_the_last_batches_count(weights, bound, random_melodies):
    melodies = random_melodies(30, seed=5)
    steered = weights.Steered(asked(bound, melodies))
    for batch in range(weights.BATCHES + 2):
        steered.score(melodies[batch : batch + 3])
    counts = steered.counts()
    assert counts.tops.shape == (len(METRICS), 3 * weights.BATCHES)
    np.testing.assert_allclose(counts.tops[:, :3], bound.Counts.of(melodies[2:5]).tops)


def test_the_script_on_a_tiny_base(weights, monkeypatch, capsys, tmp_path, tiny_policy):
    save_policy(tiny_policy, tmp_path / "base")
    monkeypatch.setattr(weights, "BASE", tmp_path / "base")
    monkeypatch.setattr(weights, "FIRST_STEPS", 1)
    was = weights.config_of
    monkeypatch.setattr(
        weights,
        "config_of",
        lambda *args, **more: replace(was(*args, **more), melodies_per_update=8, minibatch=8),
    )
    given = ["rl_tuner_weights.py", "--updates", "5", "--base-melodies", "64"]
    monkeypatch.setattr(sys, "argv", given)
    weights.main()
    lines = capsys.readouterr().out.splitlines()
    found = json.loads(lines[-1])
    assert found["weights"].keys() == weights.ROW_OF_RULE.keys()
    assert found["weights"] != {name: WEIGHT[name] for name in weights.ROW_OF_RULE}
    assert set(found["short"]) <= {metric.name for metric in METRICS}
    assert "short: " in lines[-2]
