"""Unsteady flow around a cylinder in a channel, on coarse meshes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from firedrake import Constant, Function, FunctionSpace, SpatialCoordinate, VectorFunctionSpace, as_vector, exp

from coupling.operator_problems.geometry import coarse_levels, ellipse, hierarchy, moved_outline, polygon_outline
from coupling.operator_problems.trajectories import advance, trajectory
from fem.navier_stokes_stepper import NavierStokesStepper
from fem.problems.navier_stokes import NavierStokes, SteadyFlow
from learned.operators.trajectory import OperatorTrajectory

# The channel of Schäfer and Turek (1996) [m], and its viscosity [m^2/s].
LENGTH, HEIGHT, VISCOSITY = 2.2, 0.41, 1e-3
# Time steps between two states, and their length: of a period of shedding, about a third of a second, a fifteenth [s].
SUBSTEPS, STEP = 2, 0.02
# Time before the first state, in which the flow forgets how it was begun [s].
BEFORE = 0.4
_INLET, _OUTLET, _WALLS, _CYLINDER = 1, 2, 3, 5
# Viscosity at which Newton's method finds the steady flow from rest [m^2/s].
_FIRST_VISCOSITY = 5e-3


def make(rng: np.random.Generator, nodes: int, steps: int, moved: bool) -> OperatorTrajectory:
    r"""Draw a cylinder and a speed, and let the flow shed vortices.

    .. math:: \partial_t u + (u \cdot \nabla) u - \nu \Delta u + \nabla p = 0,\qquad \operatorname{div} u = 0

    in a channel of 2.2 by 0.41 with a parabolic inflow of mean speed 0.8 to 1.4 m/s, around a cylinder of diameter 0.09
    to 0.12 at (0.2, 0.18 to 0.23), at Reynolds numbers from about 70 to 170. Taylor-Hood elements, implicit steps of
    second order. The run begins with the steady flow and an eddy behind the cylinder, 0.4 s before the first state. The
    mesh is coarse: states are those of the discrete problem, not of the benchmark.

    Arguments are those of ``poisson.make``, with the number of states, 0.04 s apart, for the right-hand sides; nodes
    are those of the quadratic velocity.

    Returns
    -------
    OperatorTrajectory
        Velocities in quadratic elements; fixed on the inlet, the walls and the cylinder, where they are always those
        of the first state. The coarser levels are linear: on the same mesh and on the one from which it is refined.
        Parameters: ``speed``, ``diameter``, ``y``. ``features`` say which nodes are on the cylinder and on the outlet.

    Raises
    ------
    RuntimeError
        If a time step fails.
    ConvergenceError
        If the steady flow is not found.
    """
    speed, diameter, y = rng.uniform([0.8, 0.09, 0.18], [1.4, 0.12, 0.23])
    loops = [
        np.array([[0.0, 0.0], [LENGTH, 0.0], [LENGTH, HEIGHT], [0.0, HEIGHT]]),
        ellipse((0.2, y), (0.5 * diameter,) * 2, 16),
    ]
    outline = polygon_outline(loops, [_WALLS, _OUTLET, _WALLS, _INLET, *[_CYLINDER] * 16], nodes // 4, levels=1)
    if moved:
        outline = moved_outline(rng, outline)
    meshes = hierarchy(outline, levels=1)
    state, stepper = _begun(meshes[-1], float(speed), float(y), float(diameter))
    velocity = state.subfunctions[0]
    advance(stepper, 0.0, BEFORE)
    times = SUBSTEPS * STEP * np.arange(steps)
    fields = [velocity.dat.data_ro.copy()]
    for start, end in pairwise(times.tolist()):
        advance(stepper, BEFORE + start, BEFORE + end)
        fields.append(velocity.dat.data_ro.copy())
    scalar = FunctionSpace(meshes[-1], "CG", 2)
    fixed, features = np.zeros((scalar.node_count, 2), dtype=bool), np.zeros((scalar.node_count, 2))
    for marker in (_INLET, _WALLS, _CYLINDER):
        fixed[scalar.boundary_nodes(marker)] = True
    for column, marker in enumerate((_CYLINDER, _OUTLET)):
        features[scalar.boundary_nodes(marker), column] = 1.0
    return trajectory(
        scalar,
        fixed=fixed,
        features=features,
        times=times,
        fields=np.stack(fields),
        parameters={"speed": float(speed), "diameter": float(diameter), "y": float(y)},
        coarse=coarse_levels([*(FunctionSpace(mesh, "CG", 1) for mesh in meshes), scalar]),
        kind="cylinder",
    )


def _begun(mesh, speed: float, y: float, diameter: float) -> tuple[Function, NavierStokesStepper]:
    """Return the steady flow with an eddy, and what advances it."""
    # Constants, so that other numbers need no new code.
    mean = Constant(speed)

    def inflow(x, t):
        return 6.0 * mean * x[1] * (HEIGHT - x[1]) / HEIGHT**2, 0.0

    def still(x, t):
        return 0.0, 0.0

    problem = NavierStokes(mesh=mesh, viscosity=VISCOSITY, velocity={_INLET: inflow, _WALLS: still, _CYLINDER: still})
    state = Function(problem.space(), name="flow")
    state.assign(SteadyFlow(problem).solve(first=_FIRST_VISCOSITY))
    stepper = NavierStokesStepper(problem, state, dt=STEP)
    x = SpatialCoordinate(mesh)
    square = (x[0] - Constant(0.2 + 1.5 * diameter)) ** 2 + (x[1] - Constant(y)) ** 2
    across = as_vector([0.0, Constant(1.9 * speed) * exp(-square / Constant(0.7 * diameter) ** 2)])
    velocity = state.subfunctions[0]
    velocity.dat.data[:] += Function(VectorFunctionSpace(mesh, "CG", 2)).interpolate(across).dat.data_ro
    return state, stepper
