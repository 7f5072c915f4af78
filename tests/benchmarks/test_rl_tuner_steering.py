"""Weights that follow the table: which way they go, what is remembered, and what a kill leaves."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from rl_tuner_metrics import METRICS

from rl.rewards.music_theory import RULES, music_theory_score

pytestmark = pytest.mark.slow

WEIGHT = {rule.name: rule.weight for rule in RULES}
ROW = {"kl_nats": 1.0, "vendi": 50.0, "notes": 50.0, "seconds": 1.0}


@pytest.fixture
def steering():
    return import_module("rl_tuner_steering")


@pytest.fixture
def asked(random_melodies):
    """What the table asks of noise in four bars of 2/4."""
    bound = import_module("rl_tuner_bound")
    return bound.bounds_of(bound.Counts.of(random_melodies(60, seed=3)), 32)


def test_each_steered_rule_has_a_row(steering):
    assert set(steering.ROW_OF_RULE) <= WEIGHT.keys()
    assert set(steering.ROW_OF_RULE.values()) <= {metric.name for metric in METRICS}
    assert steering.BEYOND.keys() == set(steering.ROW_OF_RULE.values())


def test_more_is_aimed_at_than_is_asked(steering, asked):
    for one in asked:
        more = steering.further(one)
        assert (more.at - one.at) * one.sign == pytest.approx(
            steering.BEYOND.get(one.metric.name, 0.0)
        )


@pytest.mark.parametrize("short", [True, False])
def test_a_weight_rises_while_its_row_is_short_and_falls_while_it_is_beyond(
    steering, asked, random_melodies, short
):
    at = 0.9 if short else 0.01
    asked = [replace(one, at=at) if one.metric.name == "starts_on_tonic" else one for one in asked]
    steered = steering.Steered(asked)
    steered.score(random_melodies(60, seed=3))
    steered.steer(weights=False)
    assert steered.weight == WEIGHT
    steered.steer()
    assert (steered.weight["first note"] > WEIGHT["first note"]) == short
    assert ("starts_on_tonic" in steered.short()) == short
    for name in WEIGHT.keys() - steering.ROW_OF_RULE.keys():
        assert steered.weight[name] == WEIGHT[name]


def test_no_weight_falls_below_0(steering, asked, random_melodies):
    steered = steering.Steered([replace(one, at=-9.0 * one.sign) for one in asked])
    for batch in range(40):
        steered.score(random_melodies(20, seed=batch))
        steered.steer()
    assert {steered.weight[rule] for rule in steering.ROW_OF_RULE} == {0.0}


def test_a_step_by_hand(steering, asked, random_melodies):
    """First note: row and rule are one measure, so that their covariance is its variance."""
    asked = [replace(one, at=0.5) if one.metric.name == "starts_on_tonic" else one for one in asked]
    steered = steering.Steered(asked)
    melodies = random_melodies(60, seed=3)
    steered.score(melodies)
    steered.steer()
    share = np.mean([melody.notes[0].pitch % 12 == 0 for melody in melodies])
    variance, beyond = share * (1 - share), steering.BEYOND["starts_on_tonic"]
    lack = 0.5 + beyond - share
    middle = WEIGHT["first note"] + steering.GAIN * lack / variance
    assert steered.middle["first note"] == pytest.approx(middle)
    weight = middle + steering.SHORTFALL_GAIN * (1 - steering.SHORTFALL_KEPT) * lack / variance
    assert steered.weight["first note"] == pytest.approx(weight)


def test_the_score_is_the_rules_weighted_sum(steering, asked, random_melodies):
    melodies = random_melodies(20, seed=4)
    score, doubt = steering.Steered(asked).score(melodies)
    np.testing.assert_allclose(score, music_theory_score(melodies))
    assert not doubt.any()


def test_a_killed_run_goes_on_with_the_weights_of_its_step(
    steering, asked, random_melodies, tmp_path, capsys
):
    batches = [random_melodies(20, seed=batch) for batch in range(20)]

    def updates(callback, numbers):
        for number in numbers:
            callback.steered.score(batches[number])
            callback.logged({"update": number, **ROW}, None)

    whole = steering.Steered(asked)
    updates(steering.Steering(whole, tmp_path / "whole", 0), range(20))
    killed = steering.Steered(asked)
    updates(steering.Steering(killed, tmp_path / "killed", 0), range(18))
    resumed = steering.Steered(asked)  # steps 18 and, were that torn, 17 are on disk
    updates(steering.Steering(resumed, tmp_path / "killed", 17), range(17, 20))
    assert resumed.state() == whole.state()
    assert whole.weight != WEIGHT
    assert len(list((tmp_path / "killed").iterdir())) == 3
    assert "update  15" in capsys.readouterr().out
