"""The base scale: sampled once for what it depends on, and never taken for another."""

from unittest.mock import Mock

import numpy as np
import pytest
import torch

from policy.compose import Conditioning, compose
from reward.training import base_scale as module
from reward.training.base_scale import SCALES, base_scale

CONDITIONING = Conditioning(meter="2/4", bars=4)


@pytest.fixture
def sampled(monkeypatch):
    """Counts how often melodies are sampled."""
    spy = Mock(side_effect=compose)
    monkeypatch.setattr(module, "compose", spy)
    return spy


def test_it_is_sampled_once(sampled, tmp_path, tiny_policy):
    one, other = (
        base_scale(tiny_policy, CONDITIONING, seed=1, root=tmp_path, count=40) for _ in range(2)
    )
    assert sampled.call_count == 1
    for name in ("mean_F", "std_F", "centre_F", "covariance_FF"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert [p.suffix for p in (tmp_path / SCALES).iterdir()] == [".npz"]


def test_anything_else_is_sampled_anew(sampled, tmp_path, tiny_policy):
    given = {"seed": 1, "root": tmp_path, "count": 40}
    base_scale(tiny_policy, CONDITIONING, **given)
    base_scale(tiny_policy, CONDITIONING, **{**given, "seed": 2})
    base_scale(tiny_policy, CONDITIONING, **{**given, "count": 41})
    base_scale(tiny_policy, Conditioning(meter="2/4", bars=4, mode="minor"), **given)
    with torch.no_grad():
        tiny_policy.model.norm.weight[0] += 0.5
    try:
        base_scale(tiny_policy, CONDITIONING, **given)
    finally:
        with torch.no_grad():
            tiny_policy.model.norm.weight[0] -= 0.5
    assert sampled.call_count == 5


def test_a_damaged_file_only_costs_time(sampled, tmp_path, tiny_policy):
    before = base_scale(tiny_policy, CONDITIONING, seed=1, root=tmp_path, count=40)
    (file,) = (tmp_path / SCALES).iterdir()
    for damage in (b"", file.read_bytes()[:500], b"not an archive"):
        file.write_bytes(damage)
        after = base_scale(tiny_policy, CONDITIONING, seed=1, root=tmp_path, count=40)
        np.testing.assert_array_equal(after.mean_F, before.mean_F)
    assert sampled.call_count == 4
