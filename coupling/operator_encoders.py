"""Encoders: how a given function becomes degrees of freedom of a finite-element space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from firedrake import Function, TestFunction, TrialFunction, assemble, dx, inner
from scipy.sparse.linalg import splu

from coupling.bridge import to_tensor
from coupling.operator_matrices import csr
from coupling.operator_spaces import check_one_rank


class Encoder(ABC):
    """Turn a function into numbers, linearly.

    Parameters
    ----------
    space
        Space of any element, or a mixed one, on one rank.

    Attributes
    ----------
    conservative
        The integral of the function can be read off the numbers: in the space and in the function alike, to round-off
        of the quadrature.
    exact
        Functions of the space come back, to round-off.
    nested
        Numbers on a coarse space follow from those on a finer one that holds it, as the transposed prolongation of
        them: what a network is given on every level does not depend on how fine the finest one is.

    Raises
    ------
    ValueError
        On several ranks.
    """

    conservative: ClassVar[bool] = False
    exact: ClassVar[bool] = False
    nested: ClassVar[bool] = False

    def __init__(self, space):
        check_one_rank(space)
        self.space = space

    @abstractmethod
    def __call__(self, function: Any) -> np.ndarray:
        """Return the numbers.

        Parameters
        ----------
        function
            Function or UFL expression on the mesh of the space, of its value shape.

        Returns
        -------
        numpy.ndarray
            Shape (N,), float64, in the order of the degrees of freedom.
        """


class LoadVector(Encoder):
    r"""Integrate the function times every basis function.

    .. math:: b_i = \int f \cdot \phi_i

    What is right for right-hand sides and functionals; the sum of b is the integral of f where the basis functions add
    up to 1.

    Parameters
    ----------
    space
        See :class:`Encoder`.
    quadrature_degree
        Of the integral; exact for polynomials f of this degree less that of the space.
    """

    conservative: ClassVar[bool] = True
    nested: ClassVar[bool] = True

    def __init__(self, space, *, quadrature_degree: int = 8):
        super().__init__(space)
        self._degree = quadrature_degree

    def __call__(self, function: Any) -> np.ndarray:
        """See :class:`Encoder`."""
        form = inner(function, TestFunction(self.space)) * dx(degree=self._degree)
        return to_tensor(assemble(form)).numpy().ravel()


class L2Projection(Encoder):
    r"""Project in L2.

    .. math:: M u = b,\qquad M_{ij} = \int \phi_i \cdot \phi_j,\quad b_i = \int f \cdot \phi_i

    Best in L2, second order and higher for smooth functions, and also for functions without values at points. The mass
    matrix is factorised once.

    Parameters
    ----------
    space, quadrature_degree
        See :class:`LoadVector`.
    """

    conservative: ClassVar[bool] = True
    exact: ClassVar[bool] = True

    def __init__(self, space, *, quadrature_degree: int = 8):
        super().__init__(space)
        self._load = LoadVector(space, quadrature_degree=quadrature_degree)
        u, v = TrialFunction(space), TestFunction(space)
        self._factors = splu(csr(inner(u, v) * dx).tocsc())

    def __call__(self, function: Any) -> np.ndarray:
        """See :class:`Encoder`."""
        return self._factors.solve(self._load(function))


class Interpolation(Encoder):
    r"""Evaluate the functionals of the space: values at nodes for Lagrange elements, moments for others.

    .. math:: u_i = \ell_i(f)

    Exact in the nodes, as Dirichlet values must be. Between them the integral is not kept.
    """

    exact: ClassVar[bool] = True

    def __call__(self, function: Any) -> np.ndarray:
        """See :class:`Encoder`."""
        return to_tensor(Function(self.space).interpolate(function)).numpy().ravel()


ENCODERS: dict[str, type[Encoder]] = {
    "load-vector": LoadVector,
    "l2-projection": L2Projection,
    "interpolation": Interpolation,
}
