"""Several linear constraints and boundary values together: the nearest field that has them all."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from learned.linear_solve import LinearSolve
from learned.operators.structure.base import Structure
from learned.operators.structure.data import Numbers, as_columns, as_numbers, as_sparse
from learned.operators.structure.dirichlet import Dirichlet

# Of constraints scaled to length one in the metric: the least eigenvalue of their products that is told from zero.
_INDEPENDENT = 1e-10


class AffineConstraints(Structure):
    r"""Project fields on those with given boundary values and given integrals, in the metric of a mass matrix.

    .. math:: u = N - Z (C Z)^{-1} (C N - d),\qquad Z = M^{-1} C^T

    N holds the raw values with the boundary values set, :math:`M^{-1}` is masked: the inverse of the rows and columns
    of free degrees of freedom, zero elsewhere. u is the field nearest to N in the norm of M among those with C u = d
    and the same boundary values. All constraints are solved together: one after the other would undo the first.

    Guaranteed: boundary values bit for bit, :math:`|C u - d| \le 10^{-13}\,|C|\,|u|` for each constraint (rounding).

    The residual is the largest of :math:`|C u - d|` over the larger of :math:`|C|\,|u|` and :math:`|d|`, constraint by
    constraint, and of the boundary values' residual.

    Parameters
    ----------
    metric
        M, sparse, shape (N, N), symmetric positive definite.
    constraints
        C: a row each, sparse of scipy or dense, shape (k, N); few, as Z is dense. For moments and fluxes the integrals
        of each basis function with a weight.
    targets
        d: a number, shape (k,) or (k, m).
    fixed
        Numbers of degrees of freedom with boundary values, shape (n,), integers; none if None.
    values
        Boundary values: a number, shape (n,) or (n, m). If None, the raw values at fixed degrees of freedom stay.

    Raises
    ------
    ValueError
        For other shapes, a metric that is not symmetric or not positive, constraints that depend on each other or on
        boundary values alone.

    Notes
    -----
    Orthogonal projection on an affine space: Nocedal and Wright (2006), Numerical Optimization, section 16.2.
    """

    name = "constraints"

    def __init__(
        self,
        metric,
        constraints,
        targets: Numbers,
        fixed: np.ndarray | Tensor | None = None,
        values: Numbers | None = None,
    ):
        mass = as_sparse("metric", metric, (None, None), symmetric=True)
        size = mass.shape[0]
        rows = constraints.toarray() if sparse.issparse(constraints) else np.array(constraints, dtype=float)
        if rows.ndim != 2 or rows.shape[1] != size:
            raise ValueError(f"constraints: got shape {rows.shape}, expected (k, {size}): a row for each constraint")
        self.fixed = as_numbers("fixed", np.zeros(0, int) if fixed is None else fixed, size)
        self.boundary = None if values is None else Dirichlet(self.fixed, values, size=size)
        self.constraints = torch.from_numpy(rows)
        self.targets = as_columns("targets", targets, len(rows))
        self._weights = torch.from_numpy(_projection(mass, rows, self.fixed.numpy()))
        data = (self.targets,) if self.boundary is None else (self.targets, self.boundary.values)
        super().__init__(raw_size=size, size=size, data=data)

    def _impose(self, raw: Tensor) -> Tensor:
        u = raw if self.boundary is None else self.boundary(raw)
        # The second time takes away what rounding has left of large raw values.
        for _ in range(2):
            u = u - self._weights @ (self.constraints @ u - self.targets)
        return u

    def _violation(self, u: Tensor) -> float:
        defect = (self.constraints @ u - self.targets).abs()
        scale = torch.maximum(self.constraints.abs() @ u.abs(), self.targets.abs())
        ratios = torch.where(defect == 0, 0.0, defect / scale)
        boundary = 0.0 if self.boundary is None else self.boundary.residual(u)
        return float(np.max([boundary, *ratios.reshape(-1).tolist()]))


def _projection(mass: sparse.csr_array, constraints: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Return Z (C Z)^-1, shape (N, k), zero at fixed degrees of freedom."""
    free = np.setdiff1d(np.arange(mass.shape[0]), fixed)
    masked = LinearSolve(mass[free][:, free])
    weights = np.zeros_like(constraints.T)
    weights[free] = masked(torch.from_numpy(np.ascontiguousarray(constraints[:, free]))).numpy().T
    products = constraints @ weights
    squares = np.diag(products).copy()
    if (squares <= 0).any():
        raise ValueError(
            "constraints: got one without weight at any free degree of freedom, or a metric that is not positive; "
            "expected weights and a positive definite metric: free some degrees of freedom, check the metric"
        )
    lengths = np.sqrt(squares)
    scaled = products / np.outer(lengths, lengths)
    if len(scaled) and np.linalg.eigvalsh(scaled)[0] < _INDEPENDENT:
        raise ValueError(
            f"constraints: got {len(scaled)} that depend on each other, expected independent ones; leave some out"
        )
    return np.linalg.solve(scaled, (weights / lengths).T).T / lengths
