"""A blind test of two policies, A and B: how often B's melody wins, how sure that is, when to stop.

**Ties.** With two policies Davidson's model (JASA 65, 1970) has as many parameters as there are
outcomes to tell apart, so it says of B's strength just what the *decided* votes say, and ties tell
only how often people cannot tell. So B's share is that of decided votes, and ties are counted
beside it. Half a win for each tie would pull the share towards one half for people who often hear
no difference, and is no coin's toss, so that an interval for coins would be wrong.

**Interval.** Of B's share p the posterior under a uniform prior, Beta(1 + wins of B, 1 + wins of
A); the chance that B is better is its mass above one half.

**Stopping.** If neither is better, each decided vote is a fair coin, and
    e_n = 2^n B(a + wins of B, a + wins of A) / B(a, a),        a = 10,
the likelihood ratio of coins with p ~ Beta(a, a) against the fair one, is a martingale of mean 1.
By Ville's inequality (1939) it ever reaches 1/α with probability α at most, so one may look after
each vote and stop as soon as it does (Robbins, Ann. Math. Stat. 41, 1970; Howard et al., Ann.
Stat. 49, 2021, arXiv:1810.08240; Waudby-Smith & Ramdas 2023, arXiv:2010.09686). Looking at the
interval or the chance above after each vote, and stopping when it pleases, has no such bound.

`chance_of_claim` computes exactly what the rule does: a = 10 makes a wrong claim in 2.6 % of tests
of up to 400 decided votes, and finds a true share of .60 in 55 % of tests of 200 and 89 % of 400,
.65 in 59 % of 100 and 94 % of 200. a = 1 finds .60 in 48 % and 83 %, a = 30 in 50 % and 89 %.

Limits: the claim is about the people who voted and the melodies of these policies, not about
others. A share at which a test was stopped is on average too far from one half.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, log

import numpy as np
from scipy.special import betainc, betaincinv, betaln

ALPHA = 0.05
"""share of tests of equal policies in which the rule may claim that one is better"""
MIXTURE = 10.0
"""a of the rule: which differences it finds soonest"""
MOST_AHEAD = 10_000
"""decided votes beyond which "how many more" is no answer"""


class BlindTestError(ValueError):
    """No figure can be had from that; the message gives the value, the rule and the remedy."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Votes of a blind test that count."""

    wins_a: int = 0
    wins_b: int = 0
    ties: int = 0

    @property
    def decided(self) -> int:
        """Votes that name one as better."""
        return self.wins_a + self.wins_b

    @property
    def votes(self) -> int:
        """All of them."""
        return self.decided + self.ties

    @property
    def share_b(self) -> float | None:
        """Of the decided votes, those for B; None of none."""
        return self.wins_b / self.decided if self.decided else None

    @property
    def probability_b_better(self) -> float:
        """Posterior mass of B's share above one half, one half of none."""
        return float(1.0 - betainc(1 + self.wins_b, 1 + self.wins_a, 0.5))

    def interval(self, mass: float = 0.95) -> tuple[float, float]:
        """The middle `mass` of the posterior of B's share.

        Raises:
            BlindTestError: for a mass outside (0, 1).
        """
        if not 0 < mass < 1:
            raise BlindTestError(f"mass={mass} is not within (0, 1); 0.95 is usual")
        low, high = betaincinv(
            1 + self.wins_b, 1 + self.wins_a, [(1 - mass) / 2, (1 + mass) / 2]
        ).tolist()
        return low, high


def tally(outcomes: Iterable[str]) -> Tally:
    """Count outcomes.

    Raises:
        BlindTestError: for one that is not 'a', 'b' or 'tie'.
    """
    said = list(outcomes)
    unknown = sorted(set(said) - {"a", "b", "tie"})
    if unknown:
        raise BlindTestError(f"outcome={unknown[0]!r} is not 'a', 'b' or 'tie'; leave it out")
    return Tally(said.count("a"), said.count("b"), said.count("tie"))


def log_evidence(wins_a: float, wins_b: float) -> float:
    """Logarithm of e_n, in nats, after so many decided votes."""
    return float(
        (wins_a + wins_b) * log(2)
        + betaln(MIXTURE + wins_b, MIXTURE + wins_a)
        - betaln(MIXTURE, MIXTURE)
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """The rule's word: which policy is better."""

    better: str
    """'a' or 'b'"""
    at_vote: int
    """the vote after which the rule said so, ties counted; the first is 1"""


def first_claim(outcomes: Iterable[str], *, alpha: float = ALPHA) -> Claim | None:
    """What the rule claims first, in the order of the votes; None while it claims nothing.

    Raises:
        BlindTestError: for an unknown outcome, or an alpha outside (0, 1).
    """
    said = list(outcomes)
    tally(said)
    bound, wins = _bound(alpha), {"a": 0, "b": 0, "tie": 0}
    for place, outcome in enumerate(said, start=1):
        wins[outcome] += 1
        if outcome != "tie" and log_evidence(wins["a"], wins["b"]) >= bound:
            return Claim("b" if wins["b"] > wins["a"] else "a", place)
    return None


def more_votes(so_far: Tally, *, alpha: float = ALPHA) -> int | None:
    """How many more votes the rule needs if they go on in the same proportions.

    None when there are no decided votes yet, when both have as many, or when it would take over
    `MOST_AHEAD` decided votes. It tells how far apart the policies are, and not which is better.

    Raises:
        BlindTestError: for an alpha outside (0, 1).
    """
    bound = _bound(alpha)
    if so_far.share_b is None or so_far.wins_a == so_far.wins_b:
        return None

    def evidence(more: int) -> float:
        share = so_far.wins_b / so_far.decided
        return log_evidence(so_far.wins_a + more * (1 - share), so_far.wins_b + more * share)

    if evidence(MOST_AHEAD) < bound:
        return None
    # It only rises while the votes go on so, from its lowest point; bisect behind that.
    few, enough = -1, MOST_AHEAD
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if evidence(middle) >= bound else (middle, enough)
    return ceil(enough * so_far.votes / so_far.decided)


@dataclass(frozen=True, slots=True)
class ClaimChances:
    """How likely the rule is to claim each."""

    a: float
    b: float


def chance_of_claim(share_b: float, votes: int, *, alpha: float = ALPHA) -> ClaimChances:
    """What the rule does in tests of at most so many decided votes, looked at after each; exact.

    Args:
        share_b: how often people truly prefer B, where they prefer one.
        votes: decided votes at most.
        alpha: of the rule.

    Raises:
        BlindTestError: for a share outside [0, 1], a negative number, or an alpha outside (0, 1).
    """
    if not 0 <= share_b <= 1 or votes < 0:
        raise BlindTestError(
            f"share_b={share_b}, votes={votes}: a share is within 0..1 and votes are 0 or more"
        )
    bound, claims = _bound(alpha), [0.0, 0.0]
    going_on = np.ones(1)  # by wins of B, probability that nothing was claimed so far
    for count in range(1, votes + 1):
        after = np.zeros(count + 1)
        after[1:] += going_on * share_b
        after[:-1] += going_on * (1 - share_b)
        wins_b = np.arange(count + 1)
        evidence = count * log(2) + betaln(MIXTURE + wins_b, MIXTURE + count - wins_b)
        claimed = evidence - betaln(MIXTURE, MIXTURE) >= bound
        claims[0] += after[claimed & (2 * wins_b < count)].sum()
        claims[1] += after[claimed & (2 * wins_b > count)].sum()
        after[claimed] = 0
        going_on = after
    return ClaimChances(float(claims[0]), float(claims[1]))


def in_words(so_far: Tally, a: str, b: str, claim: Claim | None) -> str:
    """What came out, in a sentence for people; `a` and `b` are the policies' names."""
    if so_far.share_b is None:
        return "No vote said which is better."
    low, high = so_far.interval()
    if claim is not None:
        better, other = (b, a) if claim.better == "b" else (a, b)
        return f"{better} is liked better than {other}."
    if low <= 0.5 <= high:
        return f"These votes do not tell {a} and {b} apart."
    leans = b if low > 0.5 else a
    return f"These votes lean towards {leans}, but the test ended before its rule could say so."


def _bound(alpha: float) -> float:
    if not 0 < alpha < 1:
        raise BlindTestError(f"alpha={alpha} is not within (0, 1); 0.05 is usual")
    # A hair below: the product of the evidence is rounded, and 20 is to count as 20.
    return log(1 / alpha) - 1e-12
