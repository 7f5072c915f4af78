"""Reliability of raters: the side they lean to, how often they are right, whether they listen.

Nobody knows which melody of a pair is truly better, so raters are judged by each other and by
themselves, in one model (Dawid & Skene, Applied Statistics 28, 1979, with one reliability a rater):
each pair has one truth, and a rater's decided vote names it with probability r, whatever the pair.
A rater of r = ½ answers by chance, one below ½ likes what the others dislike. EM gives everyone's
r; a rater's own posterior is then computed on a grid with the others held fast. Repeats need no
rule of their own: two votes on one pair share its truth.

Flags are sequential tests of a rater as good as people are (r = 0.72) against one who does not
listen. By Ville's inequality the likelihood ratio of the two exceeds `CHANCE_ODDS` at any time for
at most one in so many who are as good, if the model holds. Measured after every sixth of 66 shared
pairs (`tests/reward/comparisons/test_reliability.py` repeats a part): 1.3 % of 720 good raters were
ever flagged; of those who answer by chance 40 % beside four good raters and 63 % beside eight, and
all who press left.

Limits: pairs that nobody else rated, and were not repeated, say nothing. Someone whose taste has
nothing to do with the others' looks like chance until repeats tell; someone of opposite taste does
not. Two raters who disagree cannot be told which of them is the better.

Letters: N decided votes, R raters, U pairs, G grid points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from reward.comparisons.intervals import RELIABILITY, Share, wilson
from reward.comparisons.krippendorff import first_verdicts
from reward.comparisons.preferences import LEFT, RIGHT, TIE, Preferences

PRIOR_VOTES = 10.0
"""votes that the prior on a reliability is worth; its mean is `RELIABILITY`"""
CHANCE_ODDS = 30.0
"""how much more likely chance must have made the votes than a rater of `RELIABILITY`"""
ALWAYS_SHARE, ALWAYS_Z = 0.7, 3.0
"""who gives one answer more often than this, by so many standard deviations, gives it always"""
GRID_G = np.linspace(0.005, 0.995, 199)
EM_STEPS, EM_TOLERANCE = 200, 1e-6


@dataclass(frozen=True, slots=True)
class RaterReliability:
    """How often a rater names the better melody, as far as others and repeats tell."""

    reliability: float
    """posterior mean"""
    low: float
    high: float
    """the middle 95 % of the posterior"""
    votes: int
    """decided votes on pairs that were rated more than once"""
    chance_odds: float
    """likelihood of these votes by chance, over that by one of reliability 0.72 (or 0.28)"""

    def __str__(self) -> str:
        """Such as "0.71 [0.55, 0.84]"."""
        return f"{self.reliability:.2f} [{self.low:.2f}, {self.high:.2f}]"


def side_bias(preferences: Preferences) -> list[Share | None]:
    """Share of each rater's decided votes that went left, with Wilson's interval.

    Sides are drawn by chance, so without a bias it is one half whatever the taste.
    """
    left = np.bincount(preferences.rater, preferences.outcome == LEFT, len(preferences.rater_ids))
    decided = np.bincount(preferences.rater[preferences.decided], minlength=len(left))
    return [wilson(k, int(n)) for k, n in zip(left, decided, strict=True)]


def self_agreement(preferences: Preferences) -> list[Share | None]:
    """Share of each rater's decided repeats that say what their first vote on the pair said."""
    kept = preferences[np.flatnonzero(preferences.decided)]
    rater, pair, verdict = first_verdicts(kept)
    first = dict(zip(zip(rater.tolist(), pair.tolist(), strict=True), verdict, strict=True))
    again, same = np.zeros((2, len(preferences.rater_ids)), np.int64)
    for who, which, said in zip(kept.rater, kept.pair, kept.verdict, strict=True):
        again[who] += 1
        same[who] += said == first[who, which]
    firsts = np.bincount(rater, minlength=len(again))
    return [wilson(k, int(n)) for k, n in zip(same - firsts, again - firsts, strict=True)]


def agreement_with_others(preferences: Preferences) -> list[Share | None]:
    """Mean over a rater's decided pairs of the share of other raters who say the same.

    The interval counts pairs, so it is a little wide where several others have rated each.
    """
    rater, pair, verdict = first_verdicts(preferences[np.flatnonzero(preferences.decided)])
    votes_U = np.bincount(pair)
    sum_U = np.bincount(pair, verdict)
    others = votes_U[pair] - 1
    # Of the others, those who agree minus those who do not are verdict · their sum.
    with_them = 0.5 + 0.5 * verdict * (sum_U[pair] - verdict) / np.maximum(others, 1)
    counts = others > 0
    total = np.bincount(rater[counts], minlength=len(preferences.rater_ids))
    same = np.bincount(rater[counts], with_them[counts], len(total))
    return [wilson(k, int(n)) for k, n in zip(same, total, strict=True)]


def rater_reliability(preferences: Preferences) -> list[RaterReliability]:
    """The reliability of each rater, in the order of `rater_ids`; the prior where nothing tells."""
    kept = preferences[np.flatnonzero(preferences.decided)]
    rater, pair, verdict = kept.rater, kept.pair, kept.verdict
    told = np.bincount(pair, minlength=1)[pair] > 1 if len(pair) else np.zeros(0, bool)
    rater, pair, verdict = rater[told], pair[told], verdict[told]
    pair = np.unique(pair, return_inverse=True)[1].reshape(-1)
    count = len(preferences.rater_ids)
    reliability_R = _fit(rater, pair, verdict, count)
    weight_N = verdict * logit(reliability_R)[rater]
    log_odds_U = np.bincount(pair, weight_N)
    found = []
    for who in range(count):
        own = rater == who
        others_U = log_odds_U - np.bincount(pair[own], weight_N[own], len(log_odds_U))
        mine, place = np.unique(pair[own], return_inverse=True)
        for_one = np.bincount(place.reshape(-1), verdict[own] == 1, len(mine))
        for_other = np.bincount(place.reshape(-1), verdict[own] == -1, len(mine))
        found.append(_posterior(others_U[mine], for_one, for_other))
    return found


def rater_flags(
    preferences: Preferences, reliabilities: Sequence[RaterReliability] | None = None
) -> list[tuple[str, ...]]:
    """What is wrong with each rater: 'always left', 'always right', 'always ties', 'by chance'.

    `reliabilities` are those of `rater_reliability`, for who has them already.
    """
    counts = {
        f"always {name}": np.bincount(
            preferences.rater, preferences.outcome == outcome, len(preferences.rater_ids)
        )
        for name, outcome in (("left", LEFT), ("right", RIGHT), ("ties", TIE))
    }
    votes = np.bincount(preferences.rater, minlength=len(preferences.rater_ids))
    flags: list[tuple[str, ...]] = []
    for who, reliability in enumerate(reliabilities or rater_reliability(preferences)):
        found = []
        for name, count in counts.items():
            share = wilson(count[who], int(votes[who]), z=ALWAYS_Z)
            if share is not None and share.low > ALWAYS_SHARE:
                found.append(name)
        if reliability.chance_odds > CHANCE_ODDS:
            found.append("by chance")
        flags.append(tuple(found))
    return flags


def chance_log_odds(preferences: Preferences) -> np.ndarray:
    """What speaks for each rater answering by chance, in nats, 0 or more; (R,).

    The taste's fit judges raters by whether others' tastes predict their votes; this adds what it
    does not see, namely repeats, votes on the very same pairs, and who always gives one answer.
    What speaks *for* a rater is left out: agreement with the others counts in the fit already.
    """
    reliabilities = rater_reliability(preferences)
    found = [max(0.0, float(np.log(one.chance_odds))) for one in reliabilities]
    for who, flags in enumerate(rater_flags(preferences, reliabilities)):
        if any(flag.startswith("always") for flag in flags):
            found[who] += float(np.log(CHANCE_ODDS))
    return np.array(found)


def _fit(rater: np.ndarray, pair: np.ndarray, verdict: np.ndarray, count: int) -> np.ndarray:
    """Everyone's reliability by EM, the mode of its posterior; (R,)."""
    right, wrong = PRIOR_VOTES * RELIABILITY, PRIOR_VOTES * (1 - RELIABILITY)
    votes_R = np.bincount(rater, minlength=count)
    reliability_R = np.full(count, RELIABILITY)
    for _ in range(EM_STEPS):
        log_odds_U = np.bincount(pair, verdict * logit(reliability_R)[rater])
        correct_N = expit(verdict * log_odds_U[pair])
        correct_R = np.bincount(rater, correct_N, count)
        updated_R = (right - 1 + correct_R) / (right + wrong - 2 + votes_R)
        done = abs(updated_R - reliability_R).max(initial=0.0) < EM_TOLERANCE
        reliability_R = np.clip(updated_R, GRID_G[0], GRID_G[-1])
        if done:
            break
    return reliability_R


def _posterior(
    others_U: np.ndarray, for_one: np.ndarray, for_other: np.ndarray
) -> RaterReliability:
    """A rater's reliability from their votes on U pairs and the others' log-odds on these."""

    def log_likelihood(r_G: np.ndarray) -> np.ndarray:
        right, wrong = np.log(r_G)[:, None], np.log(1 - r_G)[:, None]
        one = for_one * right + for_other * wrong - np.logaddexp(0, -others_U)
        other = for_other * right + for_one * wrong - np.logaddexp(0, others_U)
        return np.logaddexp(one, other).sum(axis=1)

    log_prior = (PRIOR_VOTES * RELIABILITY - 1) * np.log(GRID_G)
    log_prior += (PRIOR_VOTES * (1 - RELIABILITY) - 1) * np.log(1 - GRID_G)
    log_posterior = log_likelihood(GRID_G) + log_prior
    mass = np.exp(log_posterior - log_posterior.max())
    mass /= mass.sum()
    low, high = np.interp([0.025, 0.975], np.cumsum(mass), GRID_G)
    chance, alike, contrary = log_likelihood(np.array([0.5, RELIABILITY, 1 - RELIABILITY]))
    return RaterReliability(
        reliability=float(mass @ GRID_G),
        low=float(low),
        high=float(high),
        votes=int(for_one.sum() + for_other.sum()),
        chance_odds=float(np.exp(np.clip(chance - max(alike, contrary), -700, 700))),
    )
