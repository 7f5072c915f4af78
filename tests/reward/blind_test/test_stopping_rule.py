"""The figures of a blind test: by hand, exactly, and by simulation."""

from math import exp, sqrt

import numpy as np
import pytest

from reward.blind_test.stopping_rule import (
    BlindTestError,
    Tally,
    chance_of_claim,
    first_claim,
    in_words,
    log_evidence,
    more_votes,
    tally,
)


def test_a_tally_by_hand():
    found = tally(["b", "tie", "a", "b", "b", "tie"])
    assert found == Tally(wins_a=1, wins_b=3, ties=2)
    assert (found.decided, found.votes, found.share_b) == (4, 6, 0.75)
    assert Tally(ties=3).share_b is None


def test_the_posterior_by_hand():
    # One vote for B: Beta(2, 1), of density 2p and distribution p².
    one = Tally(wins_b=1)
    assert one.interval(0.9) == pytest.approx((sqrt(0.05), sqrt(0.95)))
    assert one.probability_b_better == pytest.approx(1 - 0.25)
    # Two for A: Beta(1, 3), distribution 1 - (1 - p)³.
    two = Tally(wins_a=2)
    assert two.interval(0.95)[1] == pytest.approx(1 - 0.025 ** (1 / 3))
    assert two.probability_b_better == pytest.approx(0.125)
    assert Tally().interval(0.5) == pytest.approx((0.25, 0.75))
    assert Tally().probability_b_better == 0.5


def test_ties_change_neither_share_nor_certainty():
    few, many = Tally(20, 30), Tally(20, 30, ties=100)
    assert few.share_b == many.share_b
    assert few.interval() == many.interval()
    assert few.probability_b_better == many.probability_b_better


def test_the_evidence_by_hand():
    # e_1 = 2 B(11, 10)/B(10, 10) = 1; a second for the same: times 2 · 11/21.
    assert exp(log_evidence(0, 1)) == pytest.approx(1)
    assert exp(log_evidence(0, 2)) == pytest.approx(22 / 21)
    assert exp(log_evidence(1, 1)) == pytest.approx(20 / 21)
    assert exp(log_evidence(0, 3)) == pytest.approx(22 / 21 * 24 / 22)


def unanimous(count):
    """e after so many for B and none for A: the product of 2 (10 + i) / (20 + i)."""
    return np.prod([2 * (10 + i) / (20 + i) for i in range(count)])


def test_fifteen_of_fifteen_are_enough_and_fourteen_are_not():
    assert unanimous(14) < 20 < unanimous(15)
    assert first_claim(["b"] * 14) is None
    claim = first_claim(["tie", *["b"] * 15, *["a"] * 40])
    assert (claim.better, claim.at_vote) == ("b", 16)
    assert first_claim(["a"] * 15).better == "a"


def test_how_many_more_by_hand():
    assert more_votes(Tally(wins_b=10)) == 5
    assert more_votes(Tally(wins_a=10)) == 5
    # A third of the votes are ties, so five decided ones take eight.
    assert more_votes(Tally(wins_b=10, ties=5)) == 8
    assert more_votes(Tally(wins_b=15)) == 0
    assert more_votes(Tally()) is None
    assert more_votes(Tally(20, 20, 3)) is None
    assert more_votes(Tally(1000, 1001)) is None


def test_how_many_more_is_where_the_rule_begins_to_claim():
    at = Tally(wins_a=12, wins_b=18)
    more = more_votes(at)
    share = at.share_b

    def claims(more):
        return log_evidence(12 + more * (1 - share), 18 + more * share) >= np.log(20)

    assert claims(more)
    assert not claims(more - 1)
    assert more == more_votes(Tally(wins_a=18, wins_b=12)), "the same whichever is better"


def test_the_chance_of_a_claim_is_exact():
    # Nothing can be claimed before the fifteenth; then only if all went one way.
    assert chance_of_claim(0.5, 14).b == 0
    both = chance_of_claim(0.8, 15)
    assert both.b == pytest.approx(0.8**15)
    assert both.a == pytest.approx(0.2**15)


def claimed(share, tests, votes, seed):
    """Shares of simulated tests, looked at after each vote, that claim A and B."""
    rng = np.random.default_rng(seed)
    wins_b = np.cumsum(rng.random((tests, votes)) < share, axis=1)
    count = np.arange(1, votes + 1)
    table = {(n, k): log_evidence(n - k, k) >= np.log(20) for n in count for k in range(n + 1)}
    said = np.array([[table[n, k] for n, k in zip(count, row, strict=True)] for row in wins_b])
    first = said.argmax(axis=1)
    for_b = 2 * wins_b[np.arange(tests), first] > count[first]
    return (said.any(axis=1) & ~for_b).mean(), (said.any(axis=1) & for_b).mean()


def test_looking_after_every_vote_claims_wrongly_in_less_than_alpha():
    exact = chance_of_claim(0.5, 400)
    assert exact.a == pytest.approx(exact.b)
    assert exact.a + exact.b < 0.05
    assert exact.a + exact.b == pytest.approx(0.0256, abs=5e-4)
    a, b = claimed(0.5, tests=2000, votes=400, seed=1)
    assert a + b <= 0.05
    # Simulation and arithmetic agree, within four standard errors.
    assert a + b == pytest.approx(0.0256, abs=4 * sqrt(0.0256 / 2000))


def test_looking_at_the_interval_instead_would_deceive():
    """What the rule is for: stopping when the 95 % interval leaves one half errs far more often."""
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(200):
        wins = np.cumsum(rng.random(400) < 0.5)
        looks = [Tally(int(n - wins[n - 1]), int(wins[n - 1])) for n in range(20, 401, 10)]
        wrong += any(not look.interval()[0] <= 0.5 <= look.interval()[1] for look in looks)
    assert wrong / 200 > 0.15


@pytest.mark.parametrize(
    ("share", "votes", "found"), [(0.6, 200, 0.55), (0.6, 400, 0.89), (0.65, 200, 0.94)]
)
def test_true_differences_are_found(share, votes, found):
    exact = chance_of_claim(share, votes)
    assert exact.b == pytest.approx(found, abs=0.006)
    assert exact.a < 0.001
    assert chance_of_claim(1 - share, votes).a == pytest.approx(exact.b)
    assert claimed(share, tests=400, votes=votes, seed=3)[1] == pytest.approx(found, abs=0.08)


def test_in_words():
    claim = first_claim(["b"] * 15)
    assert in_words(Tally(0, 15), "base", "ppo", claim) == "ppo is liked better than base."
    assert "do not tell" in in_words(Tally(10, 11), "base", "ppo", None)
    assert "lean towards base" in in_words(Tally(30, 12), "base", "ppo", None)
    assert "No vote" in in_words(Tally(ties=4), "base", "ppo", None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tally(["left"]), "'left'"),
        (lambda: first_claim(["skip"]), "'skip'"),
        (lambda: first_claim([], alpha=0), "alpha=0"),
        (lambda: more_votes(Tally(), alpha=1), "alpha=1"),
        (lambda: Tally().interval(1.0), "mass=1.0"),
        (lambda: chance_of_claim(1.1, 3), "share_b=1.1"),
        (lambda: chance_of_claim(0.5, -1), "votes=-1"),
    ],
)
def test_what_cannot_be(call, message):
    with pytest.raises(BlindTestError, match=message):
        call()
