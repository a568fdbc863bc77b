"""Forces of a flow on a part of its boundary, and pressures at points."""

from __future__ import annotations

import numpy as np
from firedrake import (
    Constant,
    DirichletBC,
    FacetNormal,
    Function,
    SpatialCoordinate,
    VectorFunctionSpace,
    dot,
    ds,
    grad,
    split,
)
from firedrake.assemble import get_assembler
from mpi4py import MPI
from ufl.form import Form

from fem.problems.navier_stokes import NavierStokes


class BoundaryForce:
    r"""The force of a flow on a part of the boundary where the velocity is given, over the density, per metre.

    .. math:: F_i = -\int_S (\nu \partial_n u - p n)\cdot e_i = -R(u, p; \phi_i)

    n points out of the fluid; R is the residual with its derivative in time, and phi_i the velocity whose nodal values
    are e_i on S and 0 elsewhere: by integration by parts the two are the same for the exact flow. The second, by
    volume, converges as fast as the error of the flow tested with itself does, to order 4 for P2, where the first is of
    the order of derivatives on the boundary, and any other extension of phi_i gives the same, because the residual
    vanishes within. On a wall at rest, :math:`\nu \partial_n u` is the viscous traction of the symmetric gradient too.

    Both are taken on the mesh as it is, and follow where it moves.

    Parameters
    ----------
    problem
        Equations.
    state
        (u, p).
    residual
        ``residual`` of the solver or stepper of the state.
    marker
        Of the boundary's part S.

    Raises
    ------
    ValueError
        If the velocity is not given there.

    References
    ----------
    V. John (2004), Int. J. Numer. Methods Fluids 44, 777. P. M. Gresho, R. L. Lee, R. L. Sani, M. K. Maslanik, B. E.
    Eaton (1987), Int. J. Numer. Methods Fluids 7, 1111, for consistent fluxes.
    """

    def __init__(self, problem: NavierStokes, state: Function, residual: Form, marker: int):
        check_given(problem, marker)
        space, mesh = state.function_space(), problem.mesh
        self._residual, self._fields = get_assembler(residual), []
        normal, (u, p) = FacetNormal(mesh), split(state)
        traction = problem.nu * dot(grad(u), normal) - p * normal
        self._tractions = []
        for axis in range(mesh.geometric_dimension):
            field = Function(space)
            DirichletBC(space.sub(0).sub(axis), Constant(1.0), marker).apply(field)
            self._fields.append(field)
            self._tractions.append(get_assembler(-traction[axis] * ds(marker)))

    def volume(self) -> np.ndarray:
        """Return the force by volume, shape (2,) [m^3/s^2]; collective."""
        residual = self._residual.assemble()
        with residual.dat.vec_ro as values:
            found = []
            for field in self._fields:
                with field.dat.vec_ro as shape:
                    found.append(-values.dot(shape))
        return np.array(found)

    def surface(self) -> np.ndarray:
        """Return the force by the integral of tractions, shape (2,) [m^3/s^2]; collective."""
        return np.array([float(assembler.assemble()) for assembler in self._tractions])


def check_given(problem: NavierStokes, marker: int) -> None:
    """Check that the velocity is given on a part of the boundary.

    Raises
    ------
    ValueError
        If it is not.
    """
    if marker not in problem.velocity:
        raise ValueError(f"marker: got {marker}, expected one of {sorted(problem.velocity)}, where u is given")


def pressures_at(problem: NavierStokes, state: Function, points: np.ndarray) -> np.ndarray:
    """Return the continuous P1 pressures at points, on the mesh as it is; collective.

    A point on a curved wall may be just outside the polygon of the mesh: it takes the plane through the pressures of
    the cell that it is least outside of. Cells with curved sides are taken for those with straight ones.

    Parameters
    ----------
    problem
        Equations, of the pair ``taylor-hood``.
    state
        (u, p).
    points
        Shape (n, 2) [m].

    Returns
    -------
    numpy.ndarray
        Shape (n,) [m^2/s^2].

    Raises
    ------
    ValueError
        For discontinuous pressures.
    """
    if problem.pair != "taylor-hood":
        raise ValueError(f"pair: got {problem.pair}, expected taylor-hood, of which the pressure is continuous")
    mesh, pressure = problem.mesh, state.subfunctions[1]
    # Of curved cells too: the places of the vertices, in the order of the pressures' nodes.
    vertices = Function(VectorFunctionSpace(mesh, "CG", 1)).interpolate(SpatialCoordinate(mesh))
    x, cells = vertices.dat.data_ro_with_halos, vertices.cell_node_map().values
    nodes, values = pressure.cell_node_map().values, pressure.dat.data_ro_with_halos
    corner = x[cells[:, 0]]
    edges = np.stack([x[cells[:, 1]] - corner, x[cells[:, 2]] - corner], axis=-1)
    inverse = np.linalg.inv(edges)
    found = np.zeros(len(points))
    for number, point in enumerate(np.asarray(points, dtype=float)):
        local = np.einsum("kij,kj->ki", inverse, point - corner)
        shares = np.column_stack([1.0 - local.sum(axis=1), local])
        inside = shares.min(axis=1, initial=np.inf)
        best = int(np.argmax(inside)) if len(inside) else -1
        quality = float(inside[best]) if len(inside) else -np.inf
        value = float(shares[best] @ values[nodes[best]]) if len(inside) else 0.0
        _, rank = mesh.comm.allreduce((quality, mesh.comm.rank), op=MPI.MAX)
        found[number] = mesh.comm.bcast(value, root=rank)
    return found
