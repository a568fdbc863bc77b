"""The exact answer in a coarse space, on top of a prediction."""

from __future__ import annotations

import torch
from torch import Tensor

from learned.operators.structure.base import Structure
from learned.operators.structure.coarse_space import CoarseSpace
from learned.operators.structure.data import Numbers, as_columns


class GalerkinCorrection(Structure):
    r"""Add the exact correction in a coarse space.

    .. math:: u = N + P A_c^{-1} P^T (b - A N),\qquad A_c = P^T A P

    with raw values N: u solves the problem in the coarse space, and a multigrid or Krylov method that starts from it
    has no coarse error left. Guaranteed: :math:`\|P^T (b - A u)\| \le 10^{-12} \|b\|`, and u = N at fixed degrees of
    freedom bit for bit; columns of P are of any size if sparse (about 1), orthonormal if dense. As A u is rounded, to
    1e-16 |A| |u|, this needs raw values of the size of the solution: for rough ones a thousand times as large on a fine
    mesh, where b is small, the bound is that rounding.

    The residual is :math:`\|P^T (b - A u)\| / \|b\|`.

    Parameters
    ----------
    coarse
        A, P, and which degrees of freedom are fixed.
    load
        b, shape (N,) or (N, m): that of the matrix A, so that A u = b at free degrees of freedom for the solution u.

    Raises
    ------
    ValueError
        For other shapes.

    Notes
    -----
    Coarse-grid correction: Hackbusch (1985), Multi-Grid Methods and Applications.
    """

    name = "galerkin"

    def __init__(self, coarse: CoarseSpace, load: Numbers):
        self.coarse = coarse
        self.load = as_columns("load", load, coarse.size)
        super().__init__(raw_size=coarse.size, size=coarse.size, data=(self.load,))

    def _impose(self, raw: Tensor) -> Tensor:
        u = raw
        # The second time takes away what rounding has left of large raw values.
        for _ in range(2):
            u = u + self.coarse.prolonged(self.coarse.defect(u, self.load))
        return u

    def _violation(self, u: Tensor) -> float:
        defect = torch.linalg.vector_norm(self.coarse.defect(u, self.load), dim=0)
        scale = torch.linalg.vector_norm(self.load, dim=0)
        return float(torch.where(defect == 0, 0.0, defect / scale).max())
