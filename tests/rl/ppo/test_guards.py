"""Guards: which log rows may be a run's result, and when a run ends."""

from dataclasses import replace

import pytest

from policy.runs import RunError
from rl.ppo.config import PPOConfig
from rl.ppo.guards import broken_guards, kept_row, out_of_patience

CONFIG = PPOConfig(
    kl_limit_nats=8.0, diversity_floor=0.5, originality_floor=0.5, disagreement_limit=2.0,
    patience=2,
)  # fmt: skip
FIRST = {"kl_nats": 0.0, "vendi": 60.0, "originality": 0.9, "score_std": 0.7}


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, []),
        ({"kl_nats": 8.0, "vendi": 30.0, "originality": 0.45, "score_std": 1.4}, []),
        ({"kl_nats": 8.1}, ["kl"]),
        ({"vendi": 29.0}, ["diversity"]),
        ({"originality": 0.4}, ["originality"]),
        ({"score_std": 1.5}, ["disagreement"]),
        ({"vendi": 1.0, "score_std": 9.0}, ["diversity", "disagreement"]),
        ({"originality": float("nan")}, ["finite", "originality"]),
        ({"reward": float("nan")}, ["finite"]),
        ({"gradient_norm": float("inf")}, ["finite"]),
    ],
)
def test_each_guard_holds_up_to_its_limit(changes, broken):
    assert broken_guards(FIRST | changes, FIRST, CONFIG) == broken


@pytest.mark.parametrize("name", ["kl_nats", "vendi", "originality", "score_std"])
def test_a_row_that_lacks_a_figure_is_told(name):
    row = {figure: value for figure, value in FIRST.items() if figure != name}
    with pytest.raises(RunError, match=f"update 3 .* has no {name}"):
        broken_guards({"update": 3, **row}, FIRST, CONFIG)


def rows(*given: tuple[float, list[str]]):
    return [{"reward": reward, "kl_nats": 1.0, "guards_broken": broken} for reward, broken in given]


def test_the_best_within_the_guards_is_kept_not_the_last_nor_the_highest():
    log = rows((0.0, []), (0.4, []), (0.9, ["kl"]), (0.3, []))
    assert kept_row(log, CONFIG) is log[1]
    assert kept_row(rows((1.0, ["diversity"])), CONFIG) is None


def test_a_row_that_is_not_finite_is_never_kept():
    """Logs of version 0.1.0 may have such a row without a broken guard."""
    log = rows((0.0, []), (float("nan"), []), (0.2, []))
    assert kept_row(log, CONFIG) is log[2]
    assert kept_row(rows((float("inf"), [])), CONFIG) is None


def test_at_a_fixed_coefficient_the_kl_is_taken_off():
    """.9 for 4 nats at .2 each leaves .1, .5 for 1 leaves .3."""
    log = [
        {"reward": reward, "kl_nats": nats, "guards_broken": []}
        for reward, nats in ((0.0, 0.0), (0.5, 1.0), (0.9, 4.0))
    ]
    fixed = replace(CONFIG, kl_target_nats=None, kl_coefficient=0.2)
    assert kept_row(log, fixed) is log[1]
    assert kept_row(log, CONFIG) is log[2]


def test_at_a_kl_target_the_kl_is_not_counted_at_all():
    """The target holds the KL where it is wanted; more of it is no merit and no fault."""
    log = [
        {"reward": reward, "kl_nats": nats, "guards_broken": []}
        for reward, nats in ((0.6, 1.0), (0.5, 4.0))
    ]
    assert kept_row(log, CONFIG) is log[0]
    assert kept_row(log, replace(CONFIG, kl_coefficient=0.2)) is log[0]


def test_the_run_ends_when_the_guards_stay_broken():
    assert not out_of_patience(rows((0.0, ["kl"])), CONFIG)
    assert not out_of_patience(rows((0.0, ["kl"]), (0.0, []), (0.0, ["kl"])), CONFIG)
    assert out_of_patience(rows((0.0, []), (0.0, ["kl"]), (0.0, ["diversity"])), CONFIG)
