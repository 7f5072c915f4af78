"""Diversity of a set of melodies: the Vendi score.

The Vendi score is exp of the entropy of the eigenvalues of K / n, where K_ij is the similarity of
two of the n melodies and K_ii = 1. It is 1 for n copies, and n for n melodies that have nothing in
common.

For the similarity, each note becomes a symbol: the interval that leads to it and its exact duration
(for the first note, its height above the tonic instead of the interval). The n-gram counts of each
order 1, 2 and 3 are a vector of length 1; the similarity is the mean of the three cosines. A mean
of inner products is positive semidefinite, as the score requires. The key does not matter.

Limits: the score grows with n, so compare scores at one sample size only (`vendi_at`). The time is
cubic in n: milliseconds for 256 melodies, seconds for 2000.

Letters: n melodies, G different n-grams.
Literature: Friedman and Dieng, The Vendi Score: A Diversity Evaluation Metric for Machine Learning,
TMLR 2023, arXiv:2210.02410.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from music.melody import Melody
from music.note_table import Melodies, interval_duration_symbols, note_table

ORDERS = (1, 2, 3)
SAMPLE_SIZE = 256
"""melodies of a score in tables and logs"""
_SYMBOL_BITS = 21


def similarity_matrix(melodies: Melodies) -> np.ndarray:
    """Similarity of each pair of melodies, 0 to 1, 1 on the diagonal; float64 (n, n).

    Raises:
        ValueError: for no melodies.
    """
    table = note_table(melodies)
    symbols = interval_duration_symbols(table)
    total = np.zeros((len(table), len(table)))
    orders = np.zeros(len(table))
    for order in ORDERS:
        grams = np.zeros(max(len(symbols) - order + 1, 0), np.int64)
        for offset in range(order):
            grams = grams << _SYMBOL_BITS | symbols[offset : offset + len(grams)]
        whole = table.of[: len(grams)] == table.of[order - 1 :]
        unit = _unit_counts(table.of[: len(grams)][whole], grams[whole], len(table))
        total += (unit @ unit.T).toarray()
        orders += table.count >= order
    # Melodies of one or two notes lack the higher orders: scaled to similarity 1 with themselves.
    return total / np.sqrt(np.outer(orders, orders))


def vendi_of_similarity(similarity: np.ndarray) -> float:
    """Vendi score of a positive semidefinite matrix with ones on its diagonal; (n, n) -> 1 to n."""
    shares = np.linalg.eigvalsh(similarity / len(similarity))
    shares = shares[shares > 0]  # rounding leaves eigenvalues of about -1e-17, which count as 0
    return float(np.exp(-np.sum(shares * np.log(shares))))


def vendi_score(melodies: Melodies) -> float:
    """Vendi score of all the melodies, 1 to n; compare it at equal n only.

    Raises:
        ValueError: for no melodies.
    """
    return vendi_of_similarity(similarity_matrix(melodies))


def vendi_at(
    melodies: Sequence[Melody], size: int = SAMPLE_SIZE, *, draws: int = 8, seed: int = 0
) -> tuple[float, float]:
    """Mean Vendi score of random subsets of one size, and its standard deviation over the draws.

    With exactly `size` melodies there is one subset, and the deviation is 0.

    Args:
        melodies: at least `size`.
        size: melodies in a subset, drawn without replacement.
        draws: number of subsets.
        seed: of the draws.

    Raises:
        ValueError: for fewer melodies than `size`, or a size or number of draws below 1.
    """
    if size < 1 or draws < 1:
        raise ValueError(f"size={size} and draws={draws} must both be at least 1")
    if len(melodies) < size:
        raise ValueError(
            f"there are {len(melodies)} melodies for a Vendi score at {size}; "
            "sample more, or compare all sets at a smaller size"
        )
    if len(melodies) == size:
        return vendi_score(melodies), 0.0
    similarity = similarity_matrix(melodies)
    rng = np.random.default_rng(seed)
    subsets = [rng.choice(len(melodies), size, replace=False) for _ in range(draws)]
    scores = [vendi_of_similarity(similarity[np.ix_(subset, subset)]) for subset in subsets]
    return float(np.mean(scores)), float(np.std(scores))


def _unit_counts(of: np.ndarray, grams: np.ndarray, size: int) -> sparse.csr_array:
    """Counts of each melody's n-grams, scaled to length 1 (0 where it has none); (size, G)."""
    kinds, column = np.unique(grams, return_inverse=True)
    # Duplicates are summed when the rows are compressed.
    counts = sparse.csr_array((np.ones(len(of)), (of, column)), shape=(size, max(len(kinds), 1)))
    length = np.sqrt(counts.multiply(counts).sum(axis=1))
    scale = 1 / np.where(length > 0, length, 1.0)
    return sparse.csr_array(sparse.diags_array(scale) @ counts)
