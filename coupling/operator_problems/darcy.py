"""Darcy's equation with a random permeability on squares."""

from __future__ import annotations

import numpy as np
from firedrake import Function, FunctionSpace, TestFunction, TrialFunction, assemble, dx, grad, inner

from coupling.operator_matrices import csr
from coupling.operator_problems.geometry import coarse_levels, drawn_cells, hierarchy, moved_outline, random_outline
from coupling.operator_problems.random_fields import random_field
from coupling.operator_problems.solve import solve_free
from coupling.operator_spaces import node_points
from learned.operators.problem import OperatorProblem

# Permeabilities of the two rocks.
HIGH, LOW = 12.0, 3.0


def make(rng: np.random.Generator, nodes: int, right_sides: int, moved: bool) -> OperatorProblem:
    r"""Draw a permeability and right-hand sides on the unit square.

    .. math:: -\nabla \cdot (\kappa \nabla u) = f \text{ in } \Omega,\qquad u = 0 \text{ on } \partial\Omega

    kappa is constant in each cell. In half of the samples its logarithm is a random field of standard deviation 1 to
    1.5 and correlation length 0.05 to 0.2; in the others it is 12 where such a field is positive and 3 elsewhere. The
    first right-hand side is f = 1, the others are random fields of variance 1 and correlation length 0.1 to 0.4.

    Arguments are those of ``poisson.make``.

    Returns
    -------
    OperatorProblem
        Linear elements, with two coarser levels; ``features`` are the mean of log kappa over the cells around a node,
        weighted with their areas. ``kind`` is "lognormal" or "two-phase".

    Notes
    -----
    Source: Li et al., Fourier neural operator for parametric partial differential equations, ICLR 2021, section 5.2:
    the two permeabilities.
    """
    outline = random_outline(rng, "square", nodes)
    if moved:
        outline = moved_outline(rng, outline)
    spaces = [FunctionSpace(mesh, "CG", 1) for mesh in hierarchy(outline)]
    space = spaces[-1]
    u, v = TrialFunction(space), TestFunction(space)
    kind = str(rng.choice(["lognormal", "two-phase"]))
    permeability = Function(FunctionSpace(space.mesh(), "DG", 0))
    permeability.dat.data_wo[:] = _permeability(rng, kind, node_points(permeability.function_space()))
    stiffness, mass = (csr(form) for form in (permeability * inner(grad(u), grad(v)) * dx, u * v * dx))
    log = Function(permeability.function_space())
    log.dat.data_wo[:] = np.log(permeability.dat.data_ro)
    sums, weights = (assemble(form).dat.data_ro for form in (log * v * dx, v * dx(space.mesh())))
    points = node_points(space)
    fields = [random_field(rng, rng.uniform(0.1, 0.4))(points) for _ in range(right_sides - 1)]
    loads = mass @ np.stack([np.ones(len(points)), *fields], axis=1)
    fixed = np.zeros((len(points), 1), dtype=bool)
    fixed[space.boundary_nodes("on_boundary")] = True
    values = np.zeros_like(loads)
    return OperatorProblem(
        points=points,
        stiffness=stiffness,
        mass=mass,
        fixed=fixed,
        boundary=fixed[:, 0].copy(),
        features=(sums / weights)[:, None],
        loads=loads,
        values=values,
        solutions=solve_free(stiffness, loads, values, fixed),
        coarse=coarse_levels(spaces),
        kind=kind,
        cells=drawn_cells(space),
    )


def _permeability(rng: np.random.Generator, kind: str, points: np.ndarray) -> np.ndarray:
    field = random_field(rng, rng.uniform(0.05, 0.2))(points)
    if kind == "lognormal":
        return np.exp(rng.uniform(1.0, 1.5) * field)
    return np.where(field > 0.0, HIGH, LOW)
