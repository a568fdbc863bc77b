"""Velocities without divergence, from a stream function."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from learned.operators.structure.base import Structure
from learned.operators.structure.data import Numbers, as_columns, as_numbers, as_sparse, largest, relative
from learned.operators.structure.dirichlet import Dirichlet
from learned.sparse import sparse_map


class DivergenceFree(Structure):
    r"""Take the rotation of a predicted stream function, constant on each impermeable part of the boundary.

    .. math:: u = R \psi,\qquad \operatorname{rot} \psi = (\partial_y \psi, -\partial_x \psi),\qquad D R = 0

    Raw is psi in CG_k, u in RT_k holds its rotation exactly. On each component of the boundary (a wall, a hole) psi is
    made constant: the mean of its raw values there, so that the flow around a hole is learnt, or a given value; flow
    rates are differences of given values.

    Guaranteed, in a plane domain with any number of holes: :math:`\max |\operatorname{div} u| \le 10^{-12} |u| / h`
    (rounding), no flow through the components, given flow rates.

    The residual is :math:`\max |D u|` over the largest sum :math:`|D|\,|u|` of sizes of terms that cancel in D u: |u|/h
    up to the shape of the cells, in any scaling of degrees of freedom.

    Parameters
    ----------
    rotation
        R, sparse, shape (N, n), from the n degrees of freedom of psi to the N of u [1/m].
    divergence
        D, sparse, shape (any, N): the divergence's degrees of freedom in DG_{k-1} [1/m].
    components
        For each component of the boundary the numbers of its degrees of freedom of psi, integers.
    values
        For each component psi: a number, or of shape (m,); None for the mean of raw values. None: all means [m^2/s].
    boundary
        Given psi at other degrees of freedom, as at an inlet with a given profile.

    Raises
    ------
    ValueError
        For other shapes, and degrees of freedom in two components, or given by a component and otherwise.

    Notes
    -----
    Girault and Raviart (1986), Finite Element Methods for Navier-Stokes Equations, theorem I.3.1: in a domain with
    holes, velocities without divergence or flow through the boundary are rotations of functions that are constant on
    each component of it. The discrete sequence CG_k, RT_k, DG_{k-1}: Arnold, Falk and Winther (2006), Acta Numerica 15.
    """

    name = "divergence-free"

    def __init__(
        self,
        rotation,
        divergence,
        components: Sequence[np.ndarray | Tensor] = (),
        values: Sequence[Numbers | None] | None = None,
        *,
        boundary: Dirichlet | None = None,
    ):
        matrix = as_sparse("rotation", rotation, (None, None))
        size, raw_size = matrix.shape
        rows = as_sparse("divergence", divergence, (None, size))
        self.boundary = boundary
        self._rotation, self._divergence = sparse_map(matrix), sparse_map(rows)
        self._size_of_terms = sparse_map(sparse.csr_array(abs(rows)))
        self.components = [as_numbers("components", part, raw_size) for part in components]
        given = [None] * len(self.components) if values is None else list(values)
        if len(given) != len(self.components):
            raise ValueError(
                f"values: got {len(given)}, expected {len(self.components)}: a number or None for each component"
            )
        self.values = [None if value is None else _row(value) for value in given]
        parts = [*self.components, *([] if boundary is None else [boundary.fixed])]
        together = torch.cat(parts) if parts else torch.zeros(0, dtype=torch.int64)
        if len(together.unique()) < len(together):
            raise ValueError(
                "components: got degrees of freedom in two of them, or also in boundary, expected each in one; "
                "join components that touch, leave the ends of an inlet to the walls"
            )
        data = [value for value in self.values if value is not None] + ([] if boundary is None else [boundary.values])
        super().__init__(raw_size=raw_size, size=size, data=data)

    def stream_function(self, raw: Tensor) -> Tensor:
        """Return psi, shape (n, m), of raw values of that shape, float64: constant, bit for bit, on each component."""
        psi = raw if self.boundary is None else self.boundary(raw)
        for part, value in zip(self.components, self.values, strict=True):
            constant = raw[part].mean(dim=0, keepdim=True) if value is None else value
            psi = psi.index_copy(0, part, constant.expand(len(part), psi.shape[1]))
        return psi

    def _impose(self, raw: Tensor) -> Tensor:
        return self._rotation(self.stream_function(raw))

    def _violation(self, u: Tensor) -> float:
        return relative(largest(self._divergence(u)), largest(self._size_of_terms(u.abs())))


def _row(value: Numbers) -> Tensor:
    """Return a number, or shape (m,), as (1, 1) or (1, m)."""
    row = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
    return as_columns("values", row if row.ndim == 0 else row[None], 1)
