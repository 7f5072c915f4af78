"""Scores and choices as pairs of melodies, and what people agree on among themselves.

Scores: the raters' scores are brought to one mean and spread each (a rater of one score only says
nothing and is left out), and of each melody their mean is taken. Of two melodies whose means
differ, the higher one is preferred. Each pair counts once, however large the difference.

Choices: each counts once. Raters are pooled, so it is the taste that they have in common which is
learnt and predicted. Sides are drawn at random, because a table may name the winner first, and a
model would take that for a preference of a side.

What people agree on: the raters are divided in halves at random, and of the pairs that both halves
decide the share is counted on which they agree. For scores a half decides by its mean scores, for
choices by the majority of its votes. Half of the raters say less than all of them, so it is less
than what all of them would agree on with as many others.

Letters: M melodies, N pairs, R raters, S scores or splits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from reward.comparisons.preferences import Preferences
from reward.validation.held_out_figures import HeldOut, Interval
from reward.validation.judgement_table import ChoiceRow, ScoreRow
from reward.validation.melody_folds import ValidationError

SPLITS = 20
MOST_JUDGED = 4000
"""pairs that halves are compared on"""
MOST_FOR_ALL_PAIRS = 1000
"""melodies of which all pairs are made; of more, pairs are drawn, because of memory"""
DRAWN_FOR_EACH = 4
"""pairs drawn for each that is wanted, as some are drawn twice"""
ALIKE = 1e-9
"""difference of mean scores from which on they differ"""


EACH_RATER = "let each rater score at least two melodies differently, or leave out the raters"


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores by one rater or several."""

    melody_S: np.ndarray
    """int64, the melody of each score"""
    rater_S: np.ndarray
    """int64, its rater"""
    score_S: np.ndarray
    """standardised within the rater"""
    melodies: int

    @classmethod
    def of(cls, rows: Sequence[ScoreRow], row_of: dict[str, int], melodies: int) -> Scores:
        """From the rows of a table, whose melodies are all read.

        Raters whose scores do not differ are left out: an average score would be said of melodies
        that nobody compared.
        """
        rater_S, score_S = _standardised(rows)
        kept = np.flatnonzero(~np.isnan(score_S))
        melody_S = np.array([row_of[row.melody] for row in rows], np.int64)
        rater_S = np.unique(rater_S[kept], return_inverse=True)[1].reshape(-1)
        return cls(melody_S[kept], rater_S, score_S[kept], melodies)

    def means(self, raters: np.ndarray | None = None) -> np.ndarray:
        """The mean score of each melody by these raters (all, if None); NaN without one; (M,)."""
        chosen = slice(None) if raters is None else np.isin(self.rater_S, raters)
        melody_S, score_S = self.melody_S[chosen], self.score_S[chosen]
        count_M = np.bincount(melody_S, minlength=self.melodies)
        total_M = np.bincount(melody_S, score_S, self.melodies)
        return np.where(count_M > 0, total_M / np.maximum(count_M, 1), np.nan)


def differing(rows: Sequence[ScoreRow]) -> np.ndarray:
    """Which rows are of raters whose scores differ; bool (S,)."""
    return ~np.isnan(_standardised(rows)[1])


def _standardised(rows: Sequence[ScoreRow]) -> tuple[np.ndarray, np.ndarray]:
    """The rater of each score, and the score as standardised within the rater; (S,) each.

    NaN where the scores of a rater do not differ.
    """
    raters = {name: number for number, name in enumerate(dict.fromkeys(r.rater for r in rows))}
    rater_S = np.array([raters[row.rater] for row in rows], np.int64)
    score_S = np.array([row.score for row in rows])
    count_R = np.bincount(rater_S)
    largest_R = np.zeros(len(count_R))
    np.maximum.at(largest_R, rater_S, abs(score_S))
    score_S = score_S / np.where(largest_R > 0, largest_R, 1.0)[rater_S]  # no overflow below
    away_S = score_S - (np.bincount(rater_S, score_S) / count_R)[rater_S]
    std_R = np.sqrt(np.bincount(rater_S, away_S**2) / count_R)
    std_R[std_R <= ALIKE] = np.nan
    return rater_S, away_S / std_R[rater_S]


def pairs_by_score(
    mean_M: np.ndarray, rows: np.ndarray, most: int, rng: np.random.Generator
) -> Preferences:
    """Pairs of these melodies whose means differ, at most so many, in random order and sides."""
    if len(rows) > MOST_FOR_ALL_PAIRS:
        left, right = _drawn_pairs(mean_M, rows, DRAWN_FOR_EACH * most, rng)
    else:
        one, other = np.triu_indices(len(rows), 1)
        left, right = rows[one], rows[other]
    apart = np.flatnonzero(abs(mean_M[left] - mean_M[right]) > ALIKE)  # not so with NaN
    chosen = rng.permutation(apart)[:most]
    left, right = left[chosen], right[chosen]
    swapped = rng.random(len(chosen)) < 0.5
    left, right = np.where(swapped, right, left), np.where(swapped, left, right)
    return Preferences.of(left, right, np.sign(mean_M[left] - mean_M[right]).astype(np.int64))


def _drawn_pairs(
    mean_M: np.ndarray, rows: np.ndarray, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Different pairs of these melodies, drawn from all pairs whose means differ.

    The first melody is drawn by how many others it differs from, and the second from these, so that
    each such pair is as likely, and they are found where most means are the same.
    """
    rows = rows[~np.isnan(mean_M[rows])]
    rows = rows[np.argsort(mean_M[rows])]
    new = np.diff(mean_M[rows], prepend=-np.inf) > ALIKE
    start = np.flatnonzero(new)
    same, group = np.diff(start, append=len(rows)), np.cumsum(new) - 1
    first, size = start[group], same[group]  # of the equal means around each row
    others = len(rows) - size
    if not others.any():
        return rows[:0], rows[:0]
    one = rng.choice(len(rows), draws, p=others / others.sum())
    other = rng.integers(others[one])
    other += np.where(other >= first[one], size[one], 0)
    pairs = np.unique(np.sort(np.stack([one, other]), axis=0), axis=1)
    return rows[pairs[0]], rows[pairs[1]]


def choices_of(rows: Sequence[ChoiceRow], row_of: dict[str, int]) -> Preferences:
    """Choices as comparisons, a on the left.

    The raters keep their names, so that they can be divided in halves.
    """
    raters = tuple(dict.fromkeys(row.rater for row in rows))
    number = {name: place for place, name in enumerate(raters)}
    return Preferences.of(
        np.array([row_of[row.melody_a] for row in rows], np.int64),
        np.array([row_of[row.melody_b] for row in rows], np.int64),
        np.array([row.outcome for row in rows], np.int64),
        rater=np.array([number[row.rater] for row in rows], np.int64),
        rater_ids=raters or ("rater",),
    )


def pooled(choices: Preferences, rng: np.random.Generator) -> Preferences:
    """The same comparisons as if one rater had made them, on random sides."""
    swapped = rng.random(len(choices)) < 0.5
    return Preferences.of(
        np.where(swapped, choices.right, choices.left),
        np.where(swapped, choices.left, choices.right),
        np.where(swapped, -choices.outcome, choices.outcome),
        weight=choices.weight,
    )


def scores_in_halves(scores: Scores, group_M: np.ndarray, *, seed: int = 0) -> Interval | None:
    """How far halves of the raters agree; None for one rater, or if they decide no common pair."""
    rng = np.random.default_rng(seed)
    every = pairs_by_score(scores.means(), np.arange(scores.melodies), MOST_JUDGED, rng)
    halves = _halves(len(np.unique(scores.rater_S)), rng)

    def signs(raters: np.ndarray) -> np.ndarray:
        mean_M = scores.means(raters)
        gap_N = np.nan_to_num(mean_M[every.left] - mean_M[every.right])
        return np.where(abs(gap_N) > ALIKE, np.sign(gap_N), 0.0)

    split = ((signs(half), signs(rest)) for half, rest in halves)
    return _agreement_of_halves(every, split, group_M, seed)


def choices_in_halves(
    choices: Preferences, group_M: np.ndarray, *, seed: int = 0
) -> Interval | None:
    """How far halves of the raters agree; None for one rater, or if they decide no common pair."""
    rng = np.random.default_rng(seed)
    verdict_N = choices.verdict
    count = int(choices.pair.max(initial=-1)) + 1
    first = np.unique(choices.pair, return_index=True)[1]
    every = Preferences.of(
        np.minimum(choices.left, choices.right)[first],
        np.maximum(choices.left, choices.right)[first],
        np.ones(count, np.int64),
    )
    pair_N = choices.pair

    def signs(raters: np.ndarray) -> np.ndarray:
        votes_N = np.where(np.isin(choices.rater, raters), verdict_N, 0)
        return np.sign(np.bincount(pair_N, votes_N, count))

    split = ((signs(half), signs(rest)) for half, rest in _halves(len(choices.rater_ids), rng))
    return _agreement_of_halves(every, split, group_M, seed)


def _halves(raters: int, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random halves of the raters; none for one rater."""
    if raters < 2:
        return []
    orders = (rng.permutation(raters) for _ in range(SPLITS))
    return [(order[: raters // 2], order[raters // 2 :]) for order in orders]


def _agreement_of_halves(
    every: Preferences,
    signs: Iterable[tuple[np.ndarray, np.ndarray]],
    group_M: np.ndarray,
    seed: int,
) -> Interval | None:
    """Of pairs that both halves decide, the share on which they agree, over all splits.

    Of more pairs than `MOST_JUDGED` so many are drawn, because of memory.
    """
    decided_N, agreed_N = np.zeros(len(every)), np.zeros(len(every))
    for one_N, other_N in signs:
        decided_N += (one_N != 0) & (other_N != 0)
        agreed_N += one_N * other_N > 0
    kept = np.flatnonzero(decided_N)
    if not len(kept):
        return None
    if len(kept) > MOST_JUDGED:
        kept = np.random.default_rng(seed).permutation(kept)[:MOST_JUDGED]
    pairs = every[kept]
    weighted = Preferences.of(pairs.left, pairs.right, pairs.outcome, weight=decided_N[kept])
    return HeldOut(weighted, group_M, seed=seed).mean(agreed_N[kept] / decided_N[kept]).interval


def check_decided(pairs: int, table: str, form: str) -> None:
    """Refuse judgements of which nothing can be learnt.

    Raises:
        ValidationError: for no pair at all.
    """
    if pairs:
        return
    what = "all choices are ties" if form == "choices" else "all melodies have the same score"
    raise ValidationError(
        f"{table}: {what}, so no melody is preferred; give judgements that differ"
    )


def check_raters(rows: Sequence[ScoreRow], table: str) -> None:
    """Refuse scores that differ for no rater.

    Raises:
        ValidationError: when no rater scores two melodies differently.
    """
    if differing(rows).any():
        return
    if len({row.rater for row in rows}) == 1:
        check_decided(0, table, "scores")
    raise ValidationError(
        f"{table}: no rater scores two melodies differently, and scores are compared within a "
        f"rater; {EACH_RATER}"
    )
