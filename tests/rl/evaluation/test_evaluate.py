import math

import numpy as np
import pytest

from policy.compose import Conditioning
from rl.evaluation.best_of_n import best_of_n, best_of_n_kl_nats
from rl.evaluation.evaluate import evaluate, win_rate
from rl.evaluation.report import YardstickRow


def high_notes(melodies):
    share = [sum(note.pitch >= 12 for note in m.notes) / len(m.notes) for m in melodies]
    return np.array(share), np.zeros(len(melodies))


def test_win_rate_by_hand():
    # 3 beats all three, 1 beats one, ties one, loses one
    assert win_rate(np.array([3.0, 1.0]), np.array([0.0, 1.0, 2.0])) == pytest.approx(4.5 / 6)
    assert win_rate(np.ones(4), np.ones(3)) == 0.5


def test_kl_of_best_of_n_by_hand():
    assert best_of_n_kl_nats(1) == 0
    assert best_of_n_kl_nats(64) == pytest.approx(math.log(64) - 63 / 64)
    assert best_of_n_kl_nats(64) == pytest.approx(3.17, abs=0.01)


def test_best_of_n_picks_the_best_of_each_group(tiny_policy):
    conditioning = Conditioning(meter="2/4", bars=4)
    every = best_of_n(
        tiny_policy, high_notes, n=1, count=12, conditioning=conditioning, seed=3
    ).melodies
    best = best_of_n(
        tiny_policy, high_notes, n=4, count=3, conditioning=conditioning, seed=3
    ).melodies
    scores = high_notes(every)[0].reshape(3, 4)
    assert high_notes(best)[0].tolist() == scores.max(1).tolist()


@pytest.mark.slow
def test_a_policy_beside_itself_has_no_kl_and_wins_half(tiny_policy):
    got = evaluate(
        tiny_policy, tiny_policy, high_notes, conditioning=Conditioning(meter="2/4", bars=4),
        count=256, judge=lambda melodies: high_notes(melodies)[0],
    )  # fmt: skip
    assert got.kl_nats == pytest.approx(0, abs=1e-6)
    assert got.true_win_rate == pytest.approx(0.5, abs=0.08)
    assert got.tuned.vendi == pytest.approx(got.base.vendi, rel=0.5)
    assert got.real_melodies > 0
    assert {m.header.meter for m in got.tuned.melodies} == {"2/4"}


def test_too_few_melodies_for_a_diversity_score_are_refused(tiny_policy):
    with pytest.raises(ValueError, match="count=20 is below 256"):
        evaluate(tiny_policy, tiny_policy, high_notes, conditioning=Conditioning(), count=20)


@pytest.mark.parametrize(
    ("tuned", "verdict"),
    [(0.9, "nearer to real tunes"), (0.5, "further from real tunes"), (0.71, "")],
)
def test_a_yardstick_is_judged_beyond_its_noise(tuned, verdict):
    assert YardstickRow("in key", "share", 1.0, 0.7, tuned, 0.02).verdict == verdict
