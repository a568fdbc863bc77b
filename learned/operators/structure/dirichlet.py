"""Boundary values, exactly."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from learned.operators.structure.base import Structure
from learned.operators.structure.data import Numbers, as_columns, as_numbers, largest, relative


class Dirichlet(Structure):
    r"""Set constrained degrees of freedom to their values.

    .. math:: u = \ell + \chi N,\qquad \ell_i = g_i,\ \chi_i = 0 \text{ at constrained},\qquad
              \ell_i = 0,\ \chi_i = 1 \text{ at other degrees of freedom}

    with raw values N. Guaranteed: u equals g bit for bit at constrained degrees of freedom, and N elsewhere, also where
    N is not finite.

    The residual is the largest :math:`|u_i - g_i|` over the largest of :math:`|u|` and :math:`|g|`.

    Parameters
    ----------
    fixed
        Numbers of the constrained degrees of freedom, shape (n,), integers.
    values
        g: a number, shape (n,) or (n, m), of the unit of u.
    size
        Number of degrees of freedom, to check fields by; any if None.

    Raises
    ------
    ValueError
        For numbers out of range or given twice, and values of other shapes.

    Notes
    -----
    Bouziani and Boulle (2024), arXiv 2410.01065: boundary conditions of operator networks, exact by lifting.
    """

    name = "dirichlet"

    def __init__(self, fixed: np.ndarray | Tensor, values: Numbers = 0.0, *, size: int | None = None):
        self.fixed = as_numbers("fixed", fixed, size)
        self.values = as_columns("values", values, len(self.fixed))
        super().__init__(raw_size=size, size=size, data=(self.values,))

    def _impose(self, raw: Tensor) -> Tensor:
        self._check(raw)
        return raw.index_copy(0, self.fixed, self.values.expand(-1, raw.shape[1]))

    def _violation(self, u: Tensor) -> float:
        self._check(u)
        return relative(largest(u[self.fixed] - self.values), max(largest(u), largest(self.values)))

    def _check(self, field: Tensor) -> None:
        if len(self.fixed) and int(self.fixed.max()) >= len(field):
            raise ValueError(
                f"raw: got {len(field)} degrees of freedom, expected more than {int(self.fixed.max())}, which is fixed"
            )
