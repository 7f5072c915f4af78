"""Informative pairs: what a taste profile would learn most from, or decide the best by.

Information: the mutual information between the answer to a pair and the weights (Houlsby, Huszár,
Ghahramani and Lengyel 2011, arXiv:1112.5745, equation 3), under the Gaussian posterior and with the
logistic taken for a probit. It is high where the profile is unsure and the answer would not be a
toss-up. Several pairs are chosen as if each one before had been answered, which lowers the doubt
along it, so that a batch is not one pair many times. Before any vote the posterior is the prior:
the first pairs then lie along what varies most in the pool, which is the warm start.

Melodies' own effects (`reward.profile.melody_effects`) are no part of what is asked about. Given
the weights the effect of a melody that was heard is partly known, and its mean moves with them: the
utility that earlier votes have told does not depend on the weights. So a melody that was heard is
one of features nearer to the usual, x + lever, and one that was not adds the variance of its effect
to the noise. The fifth vote on one melody tells little of its features, but makes it a yardstick
for others.

Duels: both melodies are the best of the pool, each by its own draw of the weights from the
posterior (double Thompson sampling, Wu and Liu 2016, arXiv:1604.07101), for the late phase, when it
matters which of the best is better.

Letters: B melodies of the pool, F features, C candidate pairs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtr

from reward.pairs.random_pairs import PairingError
from reward.profile.bradley_terry import Gaussian
from reward.profile.melody_effects import HeardMelodies

CANDIDATES = 10_000
"""pairs among which the best is chosen; more find hardly better ones"""
PROBIT_OF_LOGIT = 1.702
"""a logistic is a probit of this scale, to .01 in probability"""
DUEL_DRAWS = 50
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolTaste(Gaussian):
    """A taste, and what is known of the effects of the melodies of one pool, heard or not.

    E[effect | weights w] = mean + lever · (w - weights_F).
    """

    effect_B: np.ndarray
    """mean, in log-odds"""
    lever_BF: np.ndarray
    effect_variance_B: np.ndarray
    """given the weights"""

    @classmethod
    def of(cls, taste: Gaussian, heard: HeardMelodies | None, size: int) -> PoolTaste:
        """The taste over a pool of `size` melodies, of which `heard` names rows.

        The taste follows the effects as it follows the weights, by its scale; so the lever stays.
        """
        features = len(taste.weights_F)
        effect_B, lever_BF = np.zeros(size), np.zeros((size, features))
        variance_B = np.full(size, taste.melody_std**2)
        if heard is not None and len(heard.item_K):
            scale, doubt = taste.scale, taste.scale_std**2
            effect_B[heard.item_K] = scale * heard.mean_K
            lever_BF[heard.item_K] = heard.lever_KF
            variance_B[heard.item_K] = scale**2 * heard.variance_K + doubt * (
                heard.mean_K**2 + heard.variance_K
            )
        known = {name: getattr(taste, name) for name in Gaussian.__slots__}
        return cls(**known, effect_B=effect_B, lever_BF=lever_BF, effect_variance_B=variance_B)


def information_bits(
    gap: np.ndarray, variance: np.ndarray, noise: np.ndarray | float = 0.0
) -> np.ndarray:
    """Expected information of a comparison about the weights, in bits, 0 to 1.

    Args:
        gap: posterior mean of the log-odds, any shape.
        variance: posterior variance of the log-odds, from doubt about the weights.
        noise: the same from all else that is not known, which the answer tells as well.
    """
    scale = PROBIT_OF_LOGIT**2 + noise
    mean, variance = gap / np.sqrt(scale), variance / scale
    p = np.clip(ndtr(mean / np.sqrt(variance + 1)), 1e-12, 1 - 1e-12)
    whole = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    width = np.pi * np.log(2) / 2  # of the Gaussian that stands for a probit's entropy
    noise = np.sqrt(width / (variance + width)) * np.exp(-(mean**2) / (2 * (variance + width)))
    return np.maximum(whole - noise, 0.0)


def informative_pairs(
    taste: Gaussian,
    standard_BF: np.ndarray,
    count: int,
    rng: np.random.Generator,
    *,
    taken: Collection[Pair] = (),
    kind_B: Sequence[int] | np.ndarray | None = None,
    candidates: int = CANDIDATES,
) -> list[Pair]:
    """The most informative pairs of a pool, best first, as rows of it; no pair twice.

    Args:
        taste: the posterior, before or after votes; a `PoolTaste` of this pool knows which of its
            melodies were heard, any other takes none for heard.
        standard_BF: standardised features of the pool.
        count: how many pairs; as many as are worth asking before the profile is fitted again.
        rng: draws the candidates.
        taken: pairs of rows that were asked already, either way round.
        kind_B: only melodies of equal kind meet, say of one metre and length.
        candidates: pairs drawn, among which is chosen.

    Raises:
        PairingError: when there are fewer pairs left than are asked for.
    """
    one, other = _candidates(len(standard_BF), count, rng, taken, kind_B, candidates)
    pool = taste if isinstance(taste, PoolTaste) else PoolTaste.of(taste, None, len(standard_BF))
    root_FF = np.linalg.cholesky(_positive(taste.covariance_FF))
    # Float32 halves the time; the order of candidates does not need more.
    doubt_BF = ((standard_BF + pool.lever_BF) @ root_FF).astype(np.float32)
    noise_B = pool.effect_variance_B.copy()
    difference_CF = doubt_BF[one] - doubt_BF[other]
    utility_B = standard_BF @ taste.weights_F + pool.effect_B
    gap_C, noise_C = utility_B[one] - utility_B[other], noise_B[one] + noise_B[other]
    chosen: list[Pair] = []
    open_C = np.ones(len(one), bool)
    for _ in range(count):
        variance_C = np.einsum("cf,cf->c", difference_CF, difference_CF, dtype=np.float64)
        bits_C = information_bits(gap_C, variance_C, noise_C)
        best = int(np.where(open_C, bits_C, -1.0).argmax())
        open_C[best] = False
        pair = (int(one[best]), int(other[best]))
        chosen.append(pair if rng.random() < 0.5 else (pair[1], pair[0]))
        # As if it had been answered: more is known of both effects, given the weights ...
        x_F, variance, noise = difference_CF[best].copy(), float(variance_C[best]), noise_C[best]
        p = expit(gap_C[best] / np.sqrt(1 + np.pi / 8 * (variance + noise)))
        worth = 1 / (1 / (p * (1 - p)) + noise)
        for row, sign in zip(pair, (1.0, -1.0), strict=True):
            share = worth * noise_B[row]
            for ends_C, side in ((one, 1.0), (other, -1.0)):
                there = np.flatnonzero(ends_C == row)
                difference_CF[there] -= np.float32(side * sign * share) * x_F
                noise_C[there] -= share * noise_B[row]
            noise_B[row] *= 1 - share
        # ... and the covariance of the weights loses what one such answer takes off it.
        if variance > 0:
            left = 1 / (1 + worth * variance)
            along_C = difference_CF @ x_F * np.float32((1 - np.sqrt(left)) / variance)
            difference_CF -= along_C[:, None] * x_F
    return chosen


def duels(
    taste: Gaussian,
    standard_BF: np.ndarray,
    count: int,
    rng: np.random.Generator,
    *,
    taken: Collection[Pair] = (),
    kind_B: Sequence[int] | np.ndarray | None = None,
) -> list[Pair]:
    """Pairs of the likely best of the pool, as rows of it; no pair twice.

    Each melody is the best by one draw of the weights. Its own effect has no part in this, because
    the reward that PPO gets has none. Where a draw gives no new pair, the best pair that is new is
    taken. Arguments and errors as for `informative_pairs`.
    """
    left_over = _Left(len(standard_BF), taken, kind_B)
    left_over.check(count)
    factor_FF = np.linalg.cholesky(_positive(taste.covariance_FF))
    chosen: list[Pair] = []
    while len(chosen) < count:
        for draw in range(DUEL_DRAWS):
            noise = rng.normal(size=(len(taste.weights_F), 2))
            utility_B2 = standard_BF @ (taste.weights_F[:, None] + factor_FF @ noise)
            first = int(utility_B2[:, 0].argmax()) if draw < DUEL_DRAWS - 1 else left_over.any()
            rivals = left_over.rivals(first)
            if len(rivals):
                second = int(rivals[utility_B2[rivals, 1].argmax()])
                left_over.take(first, second)
                chosen.append((first, second) if rng.random() < 0.5 else (second, first))
                break
    return chosen


class _Left:
    """Which pairs of a pool can still be asked."""

    def __init__(
        self,
        size: int,
        taken: Collection[Pair],
        kind_B: Sequence[int] | np.ndarray | None,
    ) -> None:
        self.kind_B = np.zeros(size, np.int64) if kind_B is None else np.asarray(kind_B)
        self.taken = {_unordered(*pair) for pair in taken}

    def check(self, count: int) -> None:
        """Refuse more than there are."""
        sizes = np.unique(self.kind_B, return_counts=True)[1]
        left = int((sizes * (sizes - 1) // 2).sum()) - len(self.taken)
        if not 0 <= count <= left:
            raise PairingError(
                f"count={count} is not within 0..{left}, the pairs that are left of "
                f"{len(self.kind_B)} melodies; add melodies or ask for fewer"
            )

    def take(self, one: int, other: int) -> None:
        """A pair is asked."""
        self.taken.add(_unordered(one, other))

    def rivals(self, one: int) -> np.ndarray:
        """Rows that may still meet `one`."""
        alike = np.flatnonzero(self.kind_B == self.kind_B[one])
        free = [r for r in alike.tolist() if r != one and not self.is_taken(one, r)]
        return np.array(free, np.int64)

    def any(self) -> int:
        """A row that still has rivals."""
        return next(row for row in range(len(self.kind_B)) if len(self.rivals(row)))

    def is_taken(self, one: int, other: int) -> bool:
        """Whether the pair was asked, either way round."""
        return _unordered(one, other) in self.taken


def _unordered(one: int, other: int) -> Pair:
    return (one, other) if one < other else (other, one)


def _candidates(
    size: int,
    count: int,
    rng: np.random.Generator,
    taken: Collection[Pair],
    kind_B: Sequence[int] | np.ndarray | None,
    candidates: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Distinct pairs at random that may be asked, at least `count`; two (C,)."""
    left = _Left(size, taken, kind_B)
    left.check(count)
    one, other = rng.integers(size, size=(2, 2 * max(candidates, 2 * count)))
    found = _allowed(one, other, left)[: max(candidates, count)]
    if len(found) < count:  # a small pool, or one that is nearly used up
        one, other = np.triu_indices(size, 1)
        found = rng.permutation(_allowed(one, other, left))
    return found[:, 0], found[:, 1]


def _allowed(one: np.ndarray, other: np.ndarray, left: _Left) -> np.ndarray:
    """Those of the pairs that may be asked, once each, in the order of the draw; (C, 2)."""
    pairs = np.stack([np.minimum(one, other), np.maximum(one, other)], axis=1)
    pairs = pairs[(pairs[:, 0] != pairs[:, 1]) & (left.kind_B[one] == left.kind_B[other])]
    code = pairs[:, 0] * len(left.kind_B) + pairs[:, 1]
    asked = np.array([a * len(left.kind_B) + b for a, b in left.taken], np.int64)
    _, first = np.unique(code, return_index=True)
    first = np.sort(first)
    return pairs[first[~np.isin(code[first], asked)]]


def _positive(covariance_FF: np.ndarray) -> np.ndarray:
    """The covariance with a little on its diagonal, so that rounding leaves it positive."""
    return covariance_FF + 1e-9 * np.trace(covariance_FF) / len(covariance_FF) * np.eye(
        len(covariance_FF)
    )
