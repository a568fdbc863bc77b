"""Direct solves of exported problems."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu


def solve_free(stiffness: sparse.csr_array, loads: np.ndarray, values: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    r"""Solve for the free degrees of freedom.

    .. math:: A_{ff} u_f = b_f - A_{fg} g

    Parameters
    ----------
    stiffness
        A without boundary conditions, shape (N, N).
    loads
        b, shape (N, m).
    values
        g at fixed degrees of freedom, anything elsewhere, shape (N, m).
    fixed
        Which are given, N values of any shape, bool.

    Returns
    -------
    numpy.ndarray
        u, shape (N, m): bitwise ``values`` at fixed degrees of freedom.
    """
    given = fixed.ravel()
    free = np.flatnonzero(~given)
    reduction = sparse.csr_array((np.ones(len(free)), (free, np.arange(len(free)))), shape=(len(given), len(free)))
    return solve_reduced(stiffness, loads, np.where(given[:, None], values, 0.0), reduction)


def solve_reduced(
    stiffness: sparse.csr_array, loads: np.ndarray, values: np.ndarray, reduction: sparse.csr_array
) -> np.ndarray:
    r"""Solve where only some combinations of degrees of freedom are free.

    .. math:: u = g + T q,\qquad T^T A T q = T^T (b - A g)

    Parameters
    ----------
    stiffness
        A without boundary conditions, symmetric, shape (N, N).
    loads
        b, shape (N, m).
    values
        g, shape (N, m).
    reduction
        T, shape (N, N'); rows of fixed degrees of freedom are empty.

    Returns
    -------
    numpy.ndarray
        u, shape (N, m): bitwise ``values`` at fixed degrees of freedom.
    """
    matrix, right = reduction.T @ stiffness @ reduction, reduction.T @ (loads - stiffness @ values)
    # Symmetric: ordered for the pattern as it is, diagonal entries are pivots.
    factors = splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    return values + reduction @ factors.solve(right)
