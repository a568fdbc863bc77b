"""A radial dam break of shallow water in a basin."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from firedrake import Function, FunctionSpace

from coupling.operator_problems.geometry import coarse_levels, hierarchy, moved_outline, random_outline
from coupling.operator_problems.trajectories import advance, trajectory
from coupling.operator_spaces import node_points
from fem.problems.shallow_water import ShallowWater, nodal_space
from fem.shallow_water_stepper import ShallowWaterStepper
from learned.operators.trajectory import OperatorTrajectory

# Gravity, so that lengths, depths and times are all about 1 [m/s^2].
GRAVITY = 1.0
END = 0.6


def make(rng: np.random.Generator, nodes: int, steps: int, moved: bool) -> OperatorTrajectory:
    r"""Draw a cylinder of water that stands in shallower water in a square basin, and let it go.

    .. math:: \partial_t h + \nabla \cdot q = 0,\qquad
              \partial_t q + \nabla \cdot (q \otimes q / h + \tfrac12 g h^2 I) = 0,\qquad
              h = h_1 \text{ in the circle},\ h_0 \text{ elsewhere}

    with g = 1 in the unit square with walls, h_1 between 0.5 and 1, h_0 between 0.1 and 0.4, a radius of 0.12 to 0.25
    around a place not far from the middle. Solved with discontinuous linear elements; states are the cells' means.

    Arguments are those of ``poisson.make``, with the number of states, at equal times from 0 to 0.6, for the right-hand
    sides; nodes are cells.

    Returns
    -------
    OperatorTrajectory
        (h, hu, hv) in constant elements, so that the sum of mass matrix times h is the volume, the same at all times to
        rounding; with two coarser levels, no fixed degrees of freedom. Parameters: ``inside``, ``outside``, ``radius``,
        ``x``, ``y``.

    Raises
    ------
    RuntimeError
        If a time step fails.
    """
    outline = random_outline(rng, "square", max(nodes // 2, 4))
    if moved:
        outline = moved_outline(rng, outline)
    meshes = hierarchy(outline)
    inside, outside, radius = rng.uniform([0.5, 0.1, 0.12], [1.0, 0.4, 0.25])
    centre = rng.uniform(0.35, 0.65, 2)
    spaces = [FunctionSpace(mesh, "DG", 0) for mesh in meshes]
    problem = ShallowWater(bathymetry=Function(nodal_space(meshes[-1], 1)), gravity=GRAVITY)
    state = Function(problem.space(), name="state")
    # Constant in each cell: the circle is one of cells.
    deep = np.linalg.norm(node_points(spaces[-1])[spaces[-1].cell_node_list[:, 0]] - centre, axis=1) < radius
    state.dat.data_wo[state.cell_node_map().values, 0] = np.where(deep, inside, outside)[:, None]
    stepper = ShallowWaterStepper(problem, state)
    times = np.linspace(0.0, END, steps)
    fields = [_means(state)]
    for start, end in pairwise(times.tolist()):
        advance(stepper, start, end)
        fields.append(_means(state))
    return trajectory(
        spaces[-1],
        fixed=np.zeros((spaces[-1].node_count, 3), dtype=bool),
        features=np.zeros((spaces[-1].node_count, 0)),
        times=times,
        fields=np.stack(fields),
        parameters={"inside": inside, "outside": outside, "radius": radius, "x": centre[0], "y": centre[1]},
        coarse=coarse_levels(spaces),
        kind="dam_break",
    )


def _means(state: Function) -> np.ndarray:
    """Return the mean of each cell, in the order of DG0: that of its three nodes, as the elements are linear."""
    cells = FunctionSpace(state.function_space().mesh(), "DG", 0).cell_node_list[:, 0]
    means = np.empty((len(cells), 3))
    means[cells] = state.dat.data_ro[state.cell_node_map().values].mean(axis=1)
    return means
