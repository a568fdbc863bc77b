"""Residuals of linear equations in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
from scipy import sparse


def exact_residual(matrix: sparse.csr_array, right_sides: np.ndarray, unknowns: np.ndarray) -> np.ndarray:
    """Return b - A x in fractions, each number rounded once, shape (N, m)."""
    columns = [[Fraction(value) for value in column] for column in unknowns.T.tolist()]
    starts, numbers = matrix.indptr.tolist(), matrix.indices.tolist()
    entries = [Fraction(value) for value in matrix.data.tolist()]
    result = np.empty_like(right_sides, dtype=float)
    for row, (first, last) in enumerate(pairwise(starts)):
        for column, x in enumerate(columns):
            product = sum(entries[place] * x[numbers[place]] for place in range(first, last))
            result[row, column] = float(Fraction(float(right_sides[row, column])) - product)
    return result
