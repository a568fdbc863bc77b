"""Symmetric positive definite operators: learnt solution operators that may precondition conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from learned.operators.structure.base import Structure
from learned.operators.structure.coarse_space import CoarseSpace
from learned.operators.structure.data import LinearMap, Matrix, Numbers, as_columns, as_map, as_numbers, relative


class SelfAdjoint(Structure):
    r"""Apply a symmetric positive definite operator to load vectors.

    .. math:: u = \chi \big(L L^T + D^2\big) \chi\, b \qquad\text{or}\qquad
              u = P A_c^{-1} P^T b + \chi D^2 \chi\, b,\quad A_c = P^T A P

    Raw is b, the load vector or a residual of the discrete equations; L or P, and the diagonal D, come from a network
    or are fixed; :math:`\chi` is 0 at fixed degrees of freedom. Of a load vector, not of nodal values of a source: else
    the operator is not symmetric, and a learned correction breaks conjugate gradients.

    Guaranteed, for any weights: symmetric to 1e-12, that is :math:`|b_i \cdot S b_j - b_j \cdot S b_i| \le 10^{-12}
    (|b_i|\,|S b_j| + |b_j|\,|S b_i|)`; positive definite on free degrees of freedom; zero at fixed ones.

    The residual is the largest such ratio over pairs of loads: of what any operator makes of ``loads``.

    Parameters
    ----------
    factor
        L: a matrix of shape (N, k), sparse of scipy, dense or a sparse COO tensor, or a ``LinearMap``; or a
        ``CoarseSpace`` with symmetric positive definite A, for the second form.
    diagonal
        D: a number, or shape (N,), no zeros; its sign has no meaning.
    fixed
        Numbers of degrees of freedom with boundary values, shape (n,), integers; none if None.
    loads
        Load vectors for the residual, shape (N, m), m > 1; four random ones if None.

    Attributes
    ----------
    loads
        The same; ``structure.residual(operator(structure.loads))`` for any operator.

    Raises
    ------
    ValueError
        For other shapes, zeros in the diagonal, fewer than two loads, a coarse space whose A is not symmetric.

    Notes
    -----
    Operators that act on load vectors: Melchers, Prins and Abdelmalik (2024), Neural Green's operators, arXiv
    2406.01857. P A_c^{-1} P^T + D^2, a smoother and a coarse solve added: Dryja and Widlund (1987), An additive variant
    of the Schwarz alternating method for the case of many subregions.
    """

    name = "self-adjoint"

    def __init__(
        self,
        factor: Matrix | LinearMap | CoarseSpace,
        diagonal: Numbers,
        *,
        fixed: np.ndarray | Tensor | None = None,
        loads: np.ndarray | Tensor | None = None,
    ):
        if isinstance(factor, CoarseSpace):
            size = factor.size
            if not factor.symmetric:
                raise ValueError("factor: got a coarse space of a matrix that is not symmetric, expected one that is")
            self._part: Callable[[Tensor], Tensor] = factor.correct
        else:
            size = int(factor.shape[0])
            half = as_map("factor", factor, size)
            self._part = lambda b: half.apply(half.transposed(b))
        mask = torch.ones(size, 1, dtype=torch.float64)
        mask[as_numbers("fixed", np.zeros(0, int) if fixed is None else fixed, size)] = 0.0
        self._mask = mask
        self._square = mask * as_columns("diagonal", diagonal, size).square()
        if self._square.shape[1] != 1 or bool((self._square + (1.0 - mask) == 0).any()):
            raise ValueError("diagonal: got zeros or several columns, expected (N,) without zeros; add a small number")
        probes = np.random.default_rng([size, 4]).normal(size=(size, 4)) if loads is None else loads
        self.loads = mask * as_columns("loads", probes, size)
        if self.loads.shape[1] < 2:
            raise ValueError("loads: got one column, expected two or more: symmetry is seen in pairs")
        super().__init__(raw_size=size, size=size)

    def _impose(self, raw: Tensor) -> Tensor:
        masked = self._mask * raw
        return self._mask * self._part(masked) + self._square * masked

    def _violation(self, u: Tensor) -> float:
        if u.shape != self.loads.shape:
            raise ValueError(
                f"u: got shape {tuple(u.shape)}, expected {tuple(self.loads.shape)}: what the operator makes of .loads"
            )
        products = self.loads.T @ u
        bounds = torch.outer(*(torch.linalg.vector_norm(part, dim=0) for part in (self.loads, u)))
        defect, scale = (products - products.T).abs(), bounds + bounds.T
        return relative(float(torch.where(defect == 0, 0.0, defect / scale).max()), 1.0)
