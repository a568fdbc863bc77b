"""Exact solves in a coarse space: few functions, fixed or made by a network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from learned.linear_solve import LinearSolve
from learned.operators.structure.data import (
    LinearMap,
    as_map,
    as_matrix,
    as_numbers,
    as_sparse,
    is_symmetric,
)
from learned.sparse import sparse_map

# Greatest relative change of solutions with A_c when right-hand sides change by their rounding.
_SOLVED = 1e-6
# Of columns made orthonormal: the least length, relative to the largest, of what the columns before do not hold.
_INDEPENDENT = 1e-12


class CoarseSpace:
    r"""Solve a problem in the span of the columns of a prolongation.

    .. math:: r \mapsto P A_c^{-1} P^T r,\qquad A_c = P^T A P

    Only the span of the columns matters: those of dense prolongations are first made orthonormal, so that untrained
    networks, whose columns are nearly parallel, do not spoil A_c. Guaranteed: zero at fixed degrees of freedom, where
    rows of P are set to zero; gradients to dense tensors; one factorisation of A_c.

    Parameters
    ----------
    stiffness
        A, sparse, shape (N, N), with the unknowns' rows at free degrees of freedom.
    prolongation
        P: sparse of scipy, shape (N, k), whose columns without entry at free degrees of freedom are left out; or a
        dense array or tensor of that shape, k <= N.
    fixed
        Numbers of degrees of freedom with boundary values, shape (n,), integers; none if None.

    Attributes
    ----------
    size
        N.
    basis
        P as a map, as it is used: masked, dense ones orthonormal.
    symmetric
        Whether A is.

    Raises
    ------
    ValueError
        For other shapes, columns that depend on each other, a singular A_c.
    """

    def __init__(self, stiffness, prolongation, fixed: np.ndarray | Tensor | None = None):
        matrix = as_sparse("stiffness", stiffness, (None, None))
        self.size = matrix.shape[0]
        if matrix.shape[1] != self.size:
            raise ValueError(f"stiffness: got shape {matrix.shape}, expected a square one; check its form's spaces")
        self.symmetric = is_symmetric(matrix)
        self._tested: Callable[[Tensor], Tensor]
        self._solve: Callable[[Tensor], Tensor]
        mask = np.ones(self.size)
        mask[as_numbers("fixed", np.zeros(0, int) if fixed is None else fixed, self.size).numpy()] = 0.0
        if sparse.issparse(prolongation):
            columns = as_sparse("prolongation", prolongation, (self.size, None))
            columns = sparse.csr_array(sparse.diags_array(mask) @ columns)
            columns = columns[:, np.flatnonzero(abs(columns).sum(axis=0))]
            if columns.shape[1] == 0:
                raise ValueError(
                    "prolongation: got no column with an entry at a free degree of freedom, expected one; refine it"
                )
            self.basis = as_map("prolongation", columns, self.size)
            tested = sparse.csr_array(columns.T @ matrix)
            self._tested = sparse_map(tested)
            solver = LinearSolve(tested @ columns)
            self._solve = lambda small: solver(small.T.contiguous()).T.contiguous()
            _check_solvable(self._solve, matrix, tested @ columns, columns)
        else:
            dense = as_matrix("prolongation", prolongation, self.size).to_dense()
            self._set_dense(torch.from_numpy(mask)[:, None] * dense, matrix)

    def _set_dense(self, columns: Tensor, matrix: sparse.csr_array) -> None:
        basis, triangle = torch.linalg.qr(columns)
        sizes = triangle.detach().diagonal().abs()
        if columns.shape[1] > len(columns) or not bool((sizes > _INDEPENDENT * sizes.max()).all()):
            raise ValueError(
                f"prolongation: got {columns.shape[1]} columns that depend on each other at free degrees of freedom, "
                "expected independent ones; predict fewer, or add fixed ones that differ"
            )
        # Zero at fixed degrees of freedom, as it is but for rounding.
        basis = torch.where((columns == 0).all(1, keepdim=True), 0.0, basis)
        tested = sparse_map(sparse.csr_array(matrix.T))(basis).T
        self.basis = LinearMap((self.size, basis.shape[1]), lambda x: basis @ x, lambda y: basis.T @ y)
        self._tested = lambda u: tested @ u
        coarse = tested @ basis
        factors = torch.linalg.lu_factor_ex(coarse)[:2]
        self._solve = lambda small: torch.linalg.lu_solve(*factors, small)
        _check_solvable(self._solve, matrix, coarse.detach().numpy(), basis.detach().numpy())

    def defect(self, u: Tensor, load: Tensor) -> Tensor:
        """Return P^T (b - A u), shape (k, m).

        With P^T A, which holds small differences where P is smooth: rounding is by some ten times less than with the
        residual at all degrees of freedom, where u is rough.

        Parameters
        ----------
        u, load
            u and b, shape (N, m), float64.
        """
        return self.basis.transposed(load) - self._tested(u)

    def correct(self, residual: Tensor) -> Tensor:
        """Return P A_c^-1 P^T r, shape (N, m), of residuals of that shape, float64."""
        return self.prolonged(self.basis.transposed(residual))

    def prolonged(self, small: Tensor) -> Tensor:
        """Return P A_c^-1 c, shape (N, m), of coarse residuals c, shape (k, m), float64."""
        return self.basis.apply(self._solve(small))


def _check_solvable(solve: Callable[[Tensor], Tensor], matrix, coarse, columns) -> None:
    """Refuse an A_c that is singular to rounding: whose solutions change when right-hand sides do by their last bits.

    Parameters
    ----------
    solve
        Solution of right-hand sides of shape (k, 1).
    matrix, coarse, columns
        A, A_c and P, of scipy or numpy.
    """
    expected = np.random.default_rng(0).normal(size=(columns.shape[1], 1))
    # What rounds when A_c times a vector is made of A and P.
    terms = abs(columns).T @ (abs(matrix) @ (abs(columns) @ abs(expected)))
    try:
        found = solve(torch.from_numpy(coarse @ expected + np.finfo(float).eps * terms)).detach().numpy()
        solved = np.linalg.norm(found - expected) <= _SOLVED * np.linalg.norm(expected)
    except ValueError:
        solved = False
    if not solved:
        raise ValueError(
            f"prolongation: got {len(expected)} columns with which P^T A P is singular, expected independent ones at "
            "free degrees of freedom; leave some out, fix some degrees of freedom"
        )
