"""Velocities in nodes: what a network that knows of no stream function predicts."""

from __future__ import annotations

from firedrake import FunctionSpace, TestFunction, TrialFunction, VectorFunctionSpace, div, dx, inner, interpolate
from scipy import sparse

from coupling.operator_matrices import csr


def nodal_velocity(stream, velocity) -> sparse.csr_array:
    """Return the matrix from discontinuous velocities to means in the nodes of continuous ones.

    Parameters
    ----------
    stream
        CG_k of scalars, in whose nodes means are taken over the cells around, n of them.
    velocity
        Space of velocities on the same mesh, of N degrees of freedom, of degree at most k.

    Returns
    -------
    scipy.sparse.csr_array
        Shape (2 n, N), the components of a node next to each other. Continuous velocities are kept.
    """
    mesh, degree = stream.mesh(), stream.ufl_element().degree()
    # With nodes at corners and edges, each of a cell is one of the mesh: ones and zeros.
    variant = {"degree": degree, "variant": "equispaced"}
    copies = csr(interpolate(TrialFunction(stream), FunctionSpace(mesh, "DG", **variant)))
    copies.data = copies.data.round()
    copies.eliminate_zeros()
    means = sparse.diags_array(1.0 / copies.sum(axis=0)) @ copies.T
    broken = csr(interpolate(TrialFunction(velocity), VectorFunctionSpace(mesh, "DG", **variant)))
    return sparse.csr_array(sparse.kron(means, sparse.eye_array(2)) @ broken)


def nodal_forces(stream, forces) -> sparse.csr_array:
    """Return the matrix from body forces to load vectors of velocities in the nodes of CG_k, shape (2 n, N)."""
    velocities = VectorFunctionSpace(stream.mesh(), "CG", stream.ufl_element().degree())
    return csr(inner(TrialFunction(forces), TestFunction(velocities)) * dx)


def nodal_divergence(stream) -> sparse.csr_array:
    """Return the matrix from velocities in the nodes of CG_k, shape (2 n,), to their divergence in DG_(k-1)."""
    mesh, degree = stream.mesh(), stream.ufl_element().degree()
    velocities = TrialFunction(VectorFunctionSpace(mesh, "CG", degree))
    return csr(interpolate(div(velocities), FunctionSpace(mesh, "DG", degree - 1)))
