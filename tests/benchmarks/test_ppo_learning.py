"""How methods are compared at equal KL and in seconds: worked by hand."""

from importlib import import_module

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def learning():
    return import_module("ppo_learning")


def point(kl_nats, utility, seconds=0.0):
    return {"kl_nats": kl_nats, "true_utility": utility, "seconds": seconds, "vendi": 60.0}


NEAR, NEARER = point(1.0, 0.6), point(0.5, 0.4)
FAR = point(6.0, 1.5, 100.0) | {
    "points": [
        point(0.0, 0.05, 2.0),
        point(0.8, 0.1, 5.0),
        point(2.0, 0.8, 8.0),
        point(6.0, 1.6, 20),
    ]
}


@pytest.mark.parametrize(
    ("names", "kl_nats", "utility"),
    [
        (("ours", "ours_near", "ours_nearer"), 0.25, 0.2),  # straight from the base
        (("ours", "ours_near", "ours_nearer"), 0.75, 0.5),
        (("ours", "ours_near", "ours_nearer"), 1.5, 0.7),  # on to the curve beyond the near ones
        (("ours", "ours_near", "ours_nearer"), 9.0, 1.6),  # its end
        (("ours",), 0.4, 0.05),  # the base, (0, 0), stands before the curve's noise
        (("ours_near",), 3.0, 0.6),
    ],
)
def test_our_utility_at_a_kl(learning, names, kl_nats, utility):
    methods = {"ours": FAR, "ours_near": NEAR, "ours_nearer": NEARER}
    result = {"methods": {name: methods[name] for name in names}}
    assert learning.our_utility_at(result, kl_nats) == pytest.approx(utility)


def test_methods_that_not_all_runs_have_are_left_out(learning):
    runs = [
        {"taste": taste, "methods": {"ours_near": NEAR, "ours_nearer": NEARER, "rloo": rloo}}
        for taste, rloo in (("calm", point(0.5, 0.1)), ("form", point(1.0, 0.7)))
    ]
    runs[0]["methods"]["dpo"] = point(0.1, 0.0)
    summary = learning.summarise(runs)
    assert list(summary["methods"]) == ["ours_near", "ours_nearer", "rloo"]
    lead = summary["methods"]["rloo"]
    assert lead["ours_minus_it_at_equal_kl"] == pytest.approx((0.3 - 0.1) / 2)
    assert lead["standard_error"] == pytest.approx(0.2)
    assert summary["tastes"]["form"] == {"ours_near": 0.6, "ours_nearer": 0.4, "rloo": 0.7}
    assert "seconds_ratio_vs_trl" not in summary


def test_seconds_to_what_trls_ppo_ends_at(learning):
    """Our curve is at .8 after 8 s and 1.6 after 20: at 1.2 after 14; TRL's takes 70."""
    trl = point(2.0, 1.2, 70.0)
    run = {"taste": "calm", "methods": {"ours": FAR, "trl_ppo": trl}}
    assert learning.summarise([run, run])["seconds_ratio_vs_trl"] == pytest.approx(70 / 14)
