r"""Linear solves inside networks: factorised once, with gradients for right-hand sides and matrix entries."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor

from learned.checks import check_float64
from learned.csr import to_csr


class LinearSolve:
    r"""Solve linear systems with one matrix, or with matrices of one sparsity pattern.

    .. math:: A x = b,\qquad A^T \lambda = \frac{\partial L}{\partial x},\qquad
              \frac{\partial L}{\partial b} = \lambda,\qquad
              \frac{\partial L}{\partial A_{ij}} = -\lambda_i x_j \text{ where } A_{ij} \text{ is stored}

    Gradients are exact to rounding and can be differentiated again. Nothing is kept that a later call could change:
    each call's gradient belongs to the matrix of that call.

    Parameters
    ----------
    matrix
        Square sparse matrix of scipy, or a matrix assembled by Firedrake (``mat_type="aij"``, boundary conditions
        included) on one rank: rows and columns as ``to_tensor`` orders degrees of freedom, flattened.

    Attributes
    ----------
    matrix
        The matrix in CSR form, its entries ordered; a copy.
    values
        Its stored entries, shape (nnz,), float64: row after row, columns ascending. Entry k is in row ``rows[k]`` and
        column ``columns[k]``.
    rows, columns
        Place of each stored entry, shape (nnz,), int64.

    Raises
    ------
    ValueError
        For a matrix that is not square, sparse, real and finite, or is divided over several ranks.

    Notes
    -----
    Firedrake's matrices have the identity in rows and columns of Dirichlet conditions. There x is b, and what those
    values bring to other rows must have been subtracted from b: for a form ``a == L`` and a function ``lift`` with the
    boundary values, b is ``assemble(L - action(a, lift), bcs=bcs, zero_bc_nodes=False)``.
    """

    def __init__(self, matrix):
        self.matrix = to_csr(matrix, square=True)
        size = np.diff(self.matrix.indptr)
        self.rows = torch.from_numpy(np.repeat(np.arange(len(size)), size))
        self.columns = torch.from_numpy(self.matrix.indices.astype(np.int64))
        self.values = torch.from_numpy(self.matrix.data)
        self._factors: _Factors | None = None

    def __call__(self, right_sides: Tensor, values: Tensor | None = None) -> Tensor:
        """Return the solutions.

        Parameters
        ----------
        right_sides
            b, shape (..., n), float64 on the CPU: any number of right-hand sides.
        values
            Entries of the matrix in the order of ``self.values``, shape (nnz,), float64 on the CPU; ``self.values`` if
            None. The factorisation is kept for the next call with the same entries.

        Returns
        -------
        Tensor
            x, shape (..., n).

        Raises
        ------
        ValueError
            For other shapes, types or devices, values that are not finite, a singular matrix.
        """
        values = self.values if values is None else values
        n = self.matrix.shape[0]
        check_float64("right_sides", right_sides, right_sides.shape[-1:] == (n,), f"(..., {n})")
        check_float64("values", values, values.shape == self.values.shape, str(tuple(self.values.shape)))
        factors = self._factorised(values.detach().numpy())
        return _Solve.apply(right_sides, values, factors, (self.rows, self.columns), False)

    def _factorised(self, values: np.ndarray) -> _Factors:
        if self._factors is None or not np.array_equal(self._factors.values, values):
            self._factors = _Factors(self.matrix, values)
        return self._factors


class _Factors:
    """LU factors of a matrix, and the entries they belong to."""

    def __init__(self, pattern: sparse.csr_array, values: np.ndarray):
        if not np.isfinite(values).all():
            raise ValueError("values: got entries that are not finite, expected finite ones; check what computed them")
        # A copy: an optimiser changes its parameters in place.
        self.values = values.copy()
        matrix = sparse.csr_array((self.values, pattern.indices, pattern.indptr), shape=pattern.shape)
        try:
            self._lu = splu(matrix.tocsc())
        except RuntimeError as error:
            raise ValueError(
                f"matrix: got a singular one of shape {matrix.shape}, expected one that can be solved; "
                "assemble it with boundary conditions"
            ) from error

    def solve(self, right_sides: Tensor, transposed: bool) -> Tensor:
        """Return the solutions for right-hand sides of shape (..., n)."""
        columns = right_sides.detach().reshape(-1, right_sides.shape[-1]).numpy().T
        solutions = self._lu.solve(np.ascontiguousarray(columns), "T" if transposed else "N")
        return torch.from_numpy(np.ascontiguousarray(solutions.T)).reshape(right_sides.shape)


class _Solve(torch.autograd.Function):
    """Solve with a matrix or its transpose; the backward pass is a solve with the other one."""

    @staticmethod
    def forward(ctx: Any, right_sides, values, factors, place, transposed):
        solutions = factors.solve(right_sides, transposed)
        ctx.save_for_backward(values, solutions)
        ctx.state = factors, place, transposed
        return solutions

    @staticmethod
    def backward(ctx: Any, *gradients):
        values, solutions = ctx.saved_tensors
        factors, place, transposed = ctx.state
        adjoint = _Solve.apply(gradients[0], values, factors, place, not transposed)
        of_values = None
        if ctx.needs_input_grad[1]:
            rows, columns = reversed(place) if transposed else place
            flat_adjoint, flat = (tensor.reshape(-1, tensor.shape[-1]) for tensor in (adjoint, solutions))
            of_values = -(flat_adjoint[:, rows] * flat[:, columns]).sum(dim=0)
        return adjoint, of_values, None, None, None
