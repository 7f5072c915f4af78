import json
import sys
from importlib import import_module

import numpy as np
import pytest
from rl_tuner_metrics import METRICS

from policy.checkpoint import save_policy

pytestmark = pytest.mark.slow

ROW = {metric.name: number for number, metric in enumerate(METRICS)}


@pytest.fixture
def bound():
    return import_module("rl_tuner_bound")


def counts_with(bound, name, top, bottom=None):
    """Melodies whose other rows are all 1 of 1."""
    tops = np.ones((len(METRICS), len(top)))
    bottoms = tops.copy()
    tops[ROW[name]] = top
    if bottom is not None:
        bottoms[ROW[name]] = bottom
    return bound.Counts(tops=tops, bottoms=bottoms)


def one(bound, name, sign, at):
    return bound.Bound(METRICS[ROW[name]], ROW[name], sign, at)


def test_a_share_of_a_quarter_raised_to_a_half(bound):
    """KL((1/2, 1/2) || (1/4, 3/4)) = ln 2 - ln(3)/2; odds rise threefold, at a price of ln 3."""
    counts = counts_with(bound, "starts_on_tonic", np.repeat([1.0, 0.0, 0.0, 0.0], 25))
    asked = [one(bound, "starts_on_tonic", 1, 0.5)]
    price, kl = bound.nearest(asked, counts)
    assert price == pytest.approx([np.log(3)], rel=1e-4)
    assert kl == pytest.approx(np.log(2) - np.log(3) / 2, abs=1e-6)
    chances = bound.chances_at(price, asked, counts)
    assert counts.figures(chances)[ROW["starts_on_tonic"]] == pytest.approx(0.5, abs=1e-4)
    assert bound.kl_nats(chances) == pytest.approx(kl, abs=1e-4)


def test_a_ratio_is_of_sums_over_all_melodies(bound):
    """One melody of ten leaps counts ten times as much as one of a single leap."""
    counts = counts_with(bound, "leaps_resolved", np.array([10.0, 0.0]), np.array([10.0, 1.0]))
    assert counts.figures()[ROW["leaps_resolved"]] == pytest.approx(10 / 11)
    price, kl = bound.nearest([one(bound, "leaps_resolved", 1, 10 / 11)], counts)
    assert kl == pytest.approx(0, abs=1e-9)
    assert price == pytest.approx([0], abs=1e-4)


def test_what_is_held_already_costs_nothing_and_either_side_can_bind(bound):
    values = np.linspace(-0.4, 1.2, 400)
    counts = counts_with(bound, "autocorrelation_1", values)
    both = [
        one(bound, "autocorrelation_1", -1, 0.1),
        one(bound, "autocorrelation_1", 1, -0.1),
    ]
    price, kl = bound.nearest(both, counts)
    assert price[0] > 0.1
    assert price[1] == 0
    assert 0 < kl < 1
    mirrored = counts_with(bound, "autocorrelation_1", -values)
    assert bound.nearest(both, mirrored)[0] == pytest.approx(price[::-1], abs=1e-3)
    lax = [one(bound, "autocorrelation_1", -1, 0.9)]
    assert bound.nearest(lax, counts) == (pytest.approx([0]), 0)


def test_no_weighting_gives_what_no_melody_has(bound):
    counts = counts_with(bound, "in_motif", np.linspace(0.5, 0.9, 50))
    with pytest.raises(ValueError, match=r"no mixture of these 50 melodies holds in_motif; ask"):
        bound.nearest([one(bound, "in_motif", 1, 0.95)], counts)


def test_the_script_on_a_tiny_base(bound, monkeypatch, capsys, tmp_path, tiny_policy):
    save_policy(tiny_policy, tmp_path / "base")
    monkeypatch.setattr(bound, "BASE", tmp_path / "base")
    # The tiny base writes noise: what it has before is all that is asked of it.
    monkeypatch.setattr(bound, "wanted", lambda metric, before, *_: ("rate", abs(before)))
    monkeypatch.setattr(sys, "argv", ["rl_tuner_bound.py", "--melodies", "64"])
    bound.main()
    lines = capsys.readouterr().out.splitlines()
    found = json.loads(lines[-1])
    assert found["rows"].keys() == ROW.keys()
    assert found["kl_nats"] == pytest.approx(0, abs=1e-6)
    assert found["rests_on_melodies"] == pytest.approx(64, rel=1e-3)
    assert sum(any(metric.label in line for metric in METRICS) for line in lines) == len(METRICS)
