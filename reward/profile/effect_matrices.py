"""Matrices of melodies' effects: which votes they act on, and their precision, factored.

Two melodies that met in a vote share an entry. With many melodies and few votes on each the graph
of meetings is nearly a forest, and its factor hardly fills: of 1,000 votes among 2,000 melodies a
sparse factor takes a tenth of the time of a dense one. With three meetings a melody it fills, and a
dense one is faster.

Letters: N comparisons of one rater, M melodies heard more than once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csc_array, csr_array
from scipy.sparse.linalg import SuperLU, splu

LEAST_SPARSE = 150
"""melodies from which a sparse factor pays"""
MOST_ENTRIES = 5.0
"""a melody, up to which a sparse factor pays"""


@dataclass(frozen=True, slots=True, eq=False)
class EffectsDesign:
    """Which melodies' effects act on which comparisons: +1 on the left, -1 on the right."""

    melodies: int
    """heard more than once"""
    rows_NM: csr_array
    columns_MN: csr_array
    """the transpose"""
    once_N: np.ndarray
    """how many of the two melodies are heard in this comparison only: 0, 1 or 2"""
    _pattern_MM: csc_array
    """where two melodies met, or a melody itself"""
    _votes_of_entries: csr_array
    """(entries, N): how each comparison enters each entry"""

    @classmethod
    def of(cls, left_N: np.ndarray, right_N: np.ndarray, melodies: int) -> EffectsDesign:
        """From the columns of the two melodies, -1 for one that is heard once."""
        ends_2N = np.stack([left_N, right_N])
        side, row = np.nonzero(ends_2N >= 0)
        sign = np.where(side == 0, 1.0, -1.0)
        shape = (len(left_N), melodies)
        rows_NM = csr_array((sign, (row, ends_2N[side, row])), shape=shape)
        # Each entry of the votes' products, two ends of one vote at a time.
        found = [
            (one_N[both], other_N[both], np.flatnonzero(both), np.full(both.sum(), product))
            for one_N, other_N, product in (
                (left_N, left_N, 1.0),
                (right_N, right_N, 1.0),
                (left_N, right_N, -1.0),
                (right_N, left_N, -1.0),
            )
            for both in [(one_N >= 0) & (other_N >= 0)]
        ]
        one, other, vote, product = (np.concatenate(part) for part in zip(*found, strict=True))
        code, entry = np.unique(other * max(melodies, 1) + one, return_inverse=True)
        column, index = np.divmod(code, max(melodies, 1))
        starts = np.concatenate([[0], np.cumsum(np.bincount(column, minlength=melodies))])
        pattern = csc_array((np.ones(len(code)), index, starts), shape=(melodies, melodies))
        entries = csr_array((product, (entry.reshape(-1), vote)), shape=(len(code), len(left_N)))
        once_N = (ends_2N < 0).sum(axis=0) * 1.0
        return cls(melodies, rows_NM, csr_array(rows_NM.T), once_N, pattern, entries)

    def gram(self, curvature_N: np.ndarray) -> csc_array:
        """Transpose times diagonal of curvatures times the design; (M, M)."""
        pattern = self._pattern_MM
        data = self._votes_of_entries @ curvature_N
        shape = (self.melodies, self.melodies)
        return csc_array((data, pattern.indices, pattern.indptr), shape=shape)


@dataclass(frozen=True, slots=True, eq=False)
class EffectsPrecision:
    """A symmetric positive definite matrix (M, M) that can be solved for."""

    size: int
    _factor: SuperLU | np.ndarray

    @classmethod
    def of(cls, precision_MM: csc_array | np.ndarray, size: int) -> EffectsPrecision:
        """Factor it; a sparse matrix becomes dense where that is faster."""
        if not isinstance(precision_MM, np.ndarray):
            if size >= LEAST_SPARSE and precision_MM.nnz <= MOST_ENTRIES * size:
                # Of a symmetric positive matrix the diagonal is always a good pivot.
                factor = splu(
                    precision_MM,
                    permc_spec="MMD_AT_PLUS_A",
                    diag_pivot_thresh=0.0,
                    options={"SymmetricMode": True},
                )
                return cls(size, factor)
            precision_MM = precision_MM.toarray()
        return cls(size, cho_factor(precision_MM, lower=True, check_finite=False)[0])

    def solve(self, right_side: np.ndarray) -> np.ndarray:
        """The matrix's inverse times (M,) or (M, columns)."""
        if not self.size:
            return np.zeros_like(right_side)
        if isinstance(self._factor, np.ndarray):
            return cho_solve((self._factor, True), right_side, check_finite=False)
        return self._factor.solve(right_side)

    @property
    def log_determinant(self) -> float:
        """Of the matrix."""
        if isinstance(self._factor, np.ndarray):
            return 2 * float(np.log(np.diag(self._factor)).sum())
        return float(np.log(abs(self._factor.U.diagonal())).sum())

    @property
    def variance_M(self) -> np.ndarray:
        """Diagonal of the inverse."""
        return np.diag(self.solve(np.eye(self.size))).copy()
