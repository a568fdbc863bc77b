"""Total mass, or zero mean."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from torch import Tensor

from learned.operators.structure.affine import AffineConstraints
from learned.operators.structure.data import Numbers, as_sparse


class Mass(AffineConstraints):
    r"""Give a field its total, each component of a vector field its own.

    .. math:: u = N - M^{-1} c\,\frac{c \cdot N - m}{c \cdot M^{-1} c},\qquad c = M 1

    with raw values N: without boundary values a constant is added, and zero mean is the total 0. With boundary values
    :math:`M^{-1}` is masked, and they stay. Guaranteed: :math:`|c \cdot u - m| \le 10^{-13}\,|c| \cdot |u|`; for
    the residual see ``AffineConstraints``, of which this is the case of k = 1, or of one for each component.

    Parameters
    ----------
    mass
        Mass matrix of the scalar space, sparse, shape (n, n), symmetric positive definite; M has it for each component.
    total
        m: a number, or for each component, shape (components,) or (components, m), of the unit of u times that of M.
    fixed, values
        Boundary values, as in ``AffineConstraints``.
    components
        Number of components of a node, N = n components.

    Raises
    ------
    ValueError
        As ``AffineConstraints``.
    """

    name = "mass"

    def __init__(
        self,
        mass,
        total: Numbers = 0.0,
        fixed: np.ndarray | Tensor | None = None,
        values: Numbers | None = None,
        *,
        components: int = 1,
    ):
        scalar = as_sparse("mass", mass, (None, None), symmetric=True)
        each = sparse.eye_array(components)
        matrix = scalar if components == 1 else sparse.csr_array(sparse.kron(scalar, each))
        integrals = np.kron(scalar.sum(axis=1), each.toarray())
        super().__init__(matrix, integrals, total, fixed, values)
