"""Diffusion on a moved mesh as diffusion with another coefficient on the mesh as it was."""

from __future__ import annotations

from typing import Any

from firedrake import Function, Identity, det, grad, inv


def pulled_back_coefficient(positions: Function, coefficient: Any = 1.0) -> Any:
    r"""Return the coefficient on the reference mesh that gives the stiffness matrix of the moved mesh.

    .. math:: \hat\kappa = \det(J)\, J^{-1} \kappa J^{-T},\qquad J = \nabla_{\hat x} x(\hat x)

    so that for functions of equal degrees of freedom

    .. math:: \int_{\hat\Omega} \hat\kappa \hat\nabla u \cdot \hat\nabla v
              = \int_\Omega \kappa \nabla u \cdot \nabla v

    On triangles with straight edges it is constant in each cell: every moved
    mesh is a sample of an anisotropic coefficient on one mesh.

    Parameters
    ----------
    positions
        Places x of the vertices after the move, in the space of the reference mesh's coordinates [m].
    coefficient
        kappa, a number, scalar or tensor, as a function on the reference mesh: its value where a point has come from.

    Returns
    -------
    ufl.core.expr.Expr
        A symmetric tensor if kappa is; positive definite if that is, and no cell is inverted.
    """
    jacobian = grad(positions)
    kappa = coefficient if getattr(coefficient, "ufl_shape", ()) else coefficient * Identity(jacobian.ufl_shape[0])
    return det(jacobian) * inv(jacobian) * kappa * inv(jacobian).T


def pulled_back_source(positions: Function, source: Any) -> Any:
    r"""Return the source on the reference mesh that gives the load vector of the moved mesh.

    .. math:: \hat f = \det(J) f

    Parameters
    ----------
    positions
        As in ``pulled_back_coefficient``.
    source
        f as a function on the reference mesh: its value where a point has come from.
    """
    return det(grad(positions)) * source
