"""Poisson's equation on squares, L-shapes and domains with holes."""

from __future__ import annotations

import numpy as np
from firedrake import (
    COMM_SELF,
    FunctionSpace,
    MeshHierarchy,
    TestFunction,
    TrialFunction,
    UnitSquareMesh,
    assemble,
    ds,
    dx,
    grad,
    inner,
)

from coupling.operator_matrices import csr
from coupling.operator_problems.geometry import (
    LEVELS,
    coarse_levels,
    drawn_cells,
    hierarchy,
    moved_outline,
    random_outline,
)
from coupling.operator_problems.random_fields import random_field, shepard_lifting
from coupling.operator_problems.solve import solve_free
from coupling.operator_spaces import node_points
from learned.operators.problem import OperatorProblem

KINDS = ("square", "l-shape", "holes")
# Squares along each side of the one mesh for networks that know no other.
GRID = 28
# Share of the right-hand sides with u = 0 on the boundary.
HOMOGENEOUS = 0.3


def make(rng: np.random.Generator, nodes: int, right_sides: int, moved: bool) -> OperatorProblem:
    r"""Draw a domain and right-hand sides.

    .. math:: -\Delta u = f \text{ in } \Omega,\qquad u = g \text{ on } \partial\Omega

    f is a random field of variance 1 with a correlation length from 0.1 to 0.4 of the size of the domain; g is zero or
    one of correlation length 0.4, scaled by at most 0.2. Linear elements; f and g are interpolated in the nodes.

    Parameters
    ----------
    rng
        Source of randomness.
    nodes
        Number of nodes wanted, roughly met.
    right_sides
        Number m of right-hand sides.
    moved
        Whether the vertices are moved.

    Returns
    -------
    OperatorProblem
        With two coarser levels; ``values`` are Shepard's lifting of g.
    """
    kind = str(rng.choice(KINDS))
    outline = random_outline(rng, kind, nodes)
    if moved:
        outline = moved_outline(rng, outline)
    return _problem(rng, hierarchy(outline), right_sides, kind)


def make_on_grid(rng: np.random.Generator, nodes: int, right_sides: int, moved: bool) -> OperatorProblem:
    """Draw right-hand sides as ``make`` does, all on one mesh: for networks that know one grid, or one vector, only.

    Parameters
    ----------
    rng
        Source of randomness.
    nodes
        Ignored: always ``GRID`` squares along each side of the unit square, each cut in two.
    right_sides
        Number m of right-hand sides.
    moved
        Ignored.

    Returns
    -------
    OperatorProblem
        As ``make``.
    """
    squares = GRID // 2**LEVELS
    return _problem(rng, MeshHierarchy(UnitSquareMesh(squares, squares, comm=COMM_SELF), LEVELS), right_sides, "grid")


def _problem(rng: np.random.Generator, meshes, right_sides: int, kind: str) -> OperatorProblem:
    spaces = [FunctionSpace(mesh, "CG", 1) for mesh in meshes]
    space = spaces[-1]
    u, v = TrialFunction(space), TestFunction(space)
    stiffness, mass = (csr(form) for form in (inner(grad(u), grad(v)) * dx, u * v * dx))
    points = node_points(space)
    on = space.boundary_nodes("on_boundary")
    weights = assemble(v * ds).dat.data_ro[on]
    size = float(np.ptp(points, axis=0).max())
    sources = np.stack([random_field(rng, size * rng.uniform(0.1, 0.4))(points) for _ in range(right_sides)], axis=1)
    given = np.stack([_boundary_values(rng, size, points[on]) for _ in range(right_sides)], axis=1)
    fixed = np.zeros((len(points), 1), dtype=bool)
    fixed[on] = True
    values = shepard_lifting(points, points[on], weights, given)
    loads = mass @ sources
    return OperatorProblem(
        points=points,
        stiffness=stiffness,
        mass=mass,
        fixed=fixed,
        boundary=fixed[:, 0].copy(),
        features=np.zeros((len(points), 0)),
        loads=loads,
        values=values,
        solutions=solve_free(stiffness, loads, values, fixed),
        coarse=coarse_levels(spaces),
        kind=kind,
        cells=drawn_cells(space),
    )


def _boundary_values(rng: np.random.Generator, size: float, points: np.ndarray) -> np.ndarray:
    if rng.random() < HOMOGENEOUS:
        return np.zeros(len(points))
    return rng.uniform(0.0, 0.2) * random_field(rng, 0.4 * size)(points)
