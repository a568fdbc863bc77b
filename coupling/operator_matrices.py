"""Operators between finite-element spaces as sparse matrices of scipy, on one rank."""

from __future__ import annotations

from firedrake import TrialFunction, as_vector, assemble, div, interpolate
from scipy import sparse
from ufl import BaseForm

from learned.csr import to_csr


def csr(form) -> sparse.csr_array:
    """Return a bilinear form or a matrix in compressed rows.

    Parameters
    ----------
    form
        Bilinear form, interpolation with a trial function, matrix of Firedrake or PETSc (type aij), or sparse matrix of
        scipy.

    Returns
    -------
    scipy.sparse.csr_array
        Shape (N, N'), float64: without boundary conditions for a form, the degrees of freedom in Firedrake's order,
        those of a node next to each other, those of mixed spaces part by part.

    Raises
    ------
    ValueError
        For what is divided over several ranks.
    """
    # A matrix is a form to UFL as well.
    if isinstance(form, BaseForm) and not hasattr(form, "petscmat"):
        form = assemble(form, mat_type="aij")
    return to_csr(form)


def rotation(stream, velocity) -> sparse.csr_array:
    r"""Return the matrix of the rotation of stream functions.

    .. math:: u = \operatorname{rot} \psi = (\partial_y \psi, -\partial_x \psi)

    Parameters
    ----------
    stream
        CG_k on triangles.
    velocity
        BDM_{k-1} or RT_k on the same mesh, which holds every such rotation.

    Returns
    -------
    scipy.sparse.csr_array
        R, shape (N, n): exact to rounding, hence without divergence.

    Raises
    ------
    ValueError
        For spaces in which rotations are not exact.
    """
    degree = stream.ufl_element().degree()
    family, order = velocity.ufl_element().family(), velocity.ufl_element().degree()
    least = {"Brezzi-Douglas-Marini": degree - 1, "Raviart-Thomas": degree}.get(family)
    if least is None or order < least or stream.ufl_element().family() not in ("Lagrange", "Q"):
        raise ValueError(
            f"velocity: got {velocity.ufl_element()} for {stream.ufl_element()}, expected BDM_{degree - 1} or "
            f"RT_{degree} for CG_{degree}"
        )
    psi = TrialFunction(stream)
    return csr(interpolate(as_vector([psi.dx(1), -psi.dx(0)]), velocity))


def divergence(velocity, space) -> sparse.csr_array:
    r"""Return the matrix of the divergence.

    .. math:: d = D u,\qquad \sum_i d_i \varphi_i = \operatorname{div} \sum_j u_j v_j

    Parameters
    ----------
    velocity
        RT_k or BDM_{k-1} on triangles or tetrahedra, or another space whose divergences lie in the other one.
    space
        DG_{k-1}, in the case of BDM_{k-1} DG_{k-2}.

    Returns
    -------
    scipy.sparse.csr_array
        D, shape (n, N) [1/m]: values of the divergence in the nodes of the space. Integrals over cells are the mass
        matrix of DG0 times it.
    """
    return csr(interpolate(div(TrialFunction(velocity)), space))
