"""Stokes' equations for stream functions, by an interior-penalty method for velocities in H(div)."""

from __future__ import annotations

import numpy as np
from firedrake import (
    CellVolume,
    FacetArea,
    FacetNormal,
    FunctionSpace,
    TestFunction,
    TrialFunction,
    VectorFunctionSpace,
    assemble,
    avg,
    dot,
    dS,
    ds,
    dx,
    grad,
    inner,
    jump,
)
from scipy import sparse

from coupling.operator_matrices import csr, divergence, rotation

# Markers; obstacles are numbered on from the last.
INLET, OUTLET, WALLS, OBSTACLE = 1, 2, (3, 4), 5
# More than 3/2, from where the form is positive for linear velocities on triangles; see StreamFunctionSystem.
PENALTY = 4.0


class StreamFunctionSystem:
    r"""Matrices of Stokes' equations in a channel for a stream function psi in CG2, with u = rot psi in BDM1.

    .. math:: a(u, v) = \int \nabla u : \nabla v
              - \sum_F \int_F \{\partial_n u\} \cdot [v] + \{\partial_n v\} \cdot [u] - \sigma_F [u] \cdot [v]

    over all facets F but those of the outlet, which is free. Normal components do not jump; at walls, obstacles and
    inlet, where psi sets them, [v] is the tangential component, so that the tangential velocity there is zero in the
    sense of Nitsche. The pressure does not occur, as test functions are rotations too. :math:`\sigma_F` is ``PENALTY``
    times the mean of |F|/|K| over the two cells K at an inner facet, twice as much at the boundary.

    Parameters
    ----------
    mesh
        Mesh of triangles with the markers of this module, on one rank [m].
    obstacles
        How many there are.

    Attributes
    ----------
    stream, velocity, forces
        CG2, BDM1, and CG1 of vectors, for body forces.
    stiffness
        R^T A R, symmetric, positive definite for psi that vanishes where it is fixed, shape (N, N).
    mass, velocity_mass
        Mass matrices of CG2 and BDM1.
    rotation, divergence
        From CG2 to BDM1, from there to DG0: their product is zero but for rounding.
    force
        Integral of a body force times each velocity, shape (BDM1, CG1 of vectors).
    fixed
        Which nodes are on walls or the inlet, shape (N,), bool.
    obstacles
        The nodes on each obstacle.
    reduction
        T, shape (N, N'): a column for each node that is neither fixed nor on an obstacle, then one for each obstacle.
    boundary_weights
        Length of the boundary that belongs to each node, positive at the boundary, shape (N,) [m].

    Notes
    -----
    On a facet the derivatives of linear velocities are constant, so that :math:`\int_F |\{\partial_n v\}|^2` is at most
    the mean of |F|/|K| times half the energy of both cells, at the boundary |F|/|K| times the energy. By Young's
    inequality and the three facets of a cell, a is positive for a penalty of more than 3/2.

    Source: Cockburn, Kanschat and Schötzau, A note on discontinuous Galerkin divergence-free solutions of the
    Navier-Stokes equations, J. Sci. Comput. 31 (2007), section 2.
    """

    def __init__(self, mesh, *, obstacles: int):
        self.stream, self.velocity = FunctionSpace(mesh, "CG", 2), FunctionSpace(mesh, "BDM", 1)
        self.forces = VectorFunctionSpace(mesh, "CG", 1)
        markers = [OBSTACLE + number for number in range(obstacles)]
        u, v = TrialFunction(self.velocity), TestFunction(self.velocity)
        viscous = csr(_viscous(u, v, (INLET, *WALLS, *markers)))
        self.velocity_mass, self.force = csr(inner(u, v) * dx), csr(inner(TrialFunction(self.forces), v) * dx)
        self.rotation = rotation(self.stream, self.velocity)
        self.divergence = divergence(self.velocity, FunctionSpace(mesh, "DG", 0))
        stiffness = self.rotation.T @ viscous @ self.rotation
        # Symmetric to the last bit, which the triple product is not.
        self.stiffness = sparse.csr_array(0.5 * (stiffness + stiffness.T))
        psi, phi = TrialFunction(self.stream), TestFunction(self.stream)
        self.mass = csr(psi * phi * dx)
        # Simpson's weights at the ends and in the middle of each facet.
        self.boundary_weights = assemble(phi * ds).dat.data_ro.copy()
        self.obstacles = [self.stream.boundary_nodes(marker) for marker in markers]
        self.fixed = np.zeros(self.stream.node_count, dtype=bool)
        for marker in (INLET, *WALLS):
            self.fixed[self.stream.boundary_nodes(marker)] = True
        self.reduction = _reduction(self.fixed, self.obstacles)


def _viscous(u, v, given: tuple[int, ...]):
    """Return the form a, with the velocity given on the sides of these markers."""
    mesh = u.function_space().mesh()
    n, penalty = FacetNormal(mesh), PENALTY * FacetArea(mesh) / CellVolume(mesh)

    def tangential(w):
        return w - dot(w, n) * n

    def across(w, of):
        return inner(dot(avg(grad(w)), n("+")), jump(of))

    def along(w, of):
        return inner(dot(grad(w), n), tangential(of))

    inside = avg(penalty) * inner(jump(u), jump(v)) - across(u, v) - across(v, u)
    outside = 2.0 * penalty * inner(tangential(u), tangential(v)) - along(u, v) - along(v, u)
    return inner(grad(u), grad(v)) * dx + inside * dS + outside * ds(given)


def _reduction(fixed: np.ndarray, obstacles: list[np.ndarray]) -> sparse.csr_array:
    inner_nodes = ~fixed
    for nodes in obstacles:
        inner_nodes[nodes] = False
    rows = [np.flatnonzero(inner_nodes), *obstacles]
    columns = [np.arange(len(rows[0])), *(np.full(len(part), len(rows[0]) + k) for k, part in enumerate(obstacles))]
    place = np.concatenate(rows), np.concatenate(columns)
    return sparse.csr_array((np.ones(len(place[0])), place), shape=(len(fixed), len(rows[0]) + len(obstacles)))
