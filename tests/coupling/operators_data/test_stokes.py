"""Stokes flow by stream functions: against an exact solution, Taylor-Hood elements, and what each sample promises."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    DirichletBC,
    Function,
    FunctionSpace,
    SpatialCoordinate,
    TestFunction,
    TestFunctions,
    TrialFunctions,
    VectorFunctionSpace,
    as_vector,
    assemble,
    div,
    dx,
    grad,
    inner,
    solve,
)

from coupling.operator_data import FAMILIES
from coupling.operator_problems.geometry import ellipse, hierarchy, polygon_outline
from coupling.operator_problems.solve import solve_reduced
from coupling.operator_problems.stream_function import INLET, OBSTACLE, OUTLET, WALLS, StreamFunctionSystem
from coupling.operator_spaces import node_points
from fem.solver_parameters import SADDLE_LU

SIDES = [WALLS[0], OUTLET, WALLS[1], INLET]


def channel(height: float) -> np.ndarray:
    return np.array([[0.0, 0.0], [1.0, 0.0], [1.0, height], [0.0, height]])


def velocity(system: StreamFunctionSystem, psi: np.ndarray) -> Function:
    u = Function(system.velocity)
    u.dat.data_wo[:] = system.rotation @ psi
    return u


def difference(u, exact) -> float:
    """Return the difference of velocities in L2 relative to the second."""
    squares = (assemble(inner(w, w) * dx(degree=8)) for w in (u - exact, exact))
    return float(np.sqrt(next(squares) / next(squares)))


def test_velocities_converge_to_an_exact_solution_with_order_two() -> None:
    errors = []
    for mesh in hierarchy(polygon_outline([channel(1.0)], SIDES, 60, levels=0), levels=3):
        system = StreamFunctionSystem(mesh, obstacles=0)
        x, y = SpatialCoordinate(mesh)
        # Velocity and its normal derivative vanish at the outlet, where p does too.
        psi = x**2 * (1 - x) ** 3 * y**2 * (1 - y) ** 2
        u, p = as_vector([psi.dx(1), -psi.dx(0)]), x * (1 - x) * (y - 0.3)
        force = assemble(inner(grad(p) - div(grad(u)), TestFunction(system.velocity)) * dx(degree=8))
        loads = (system.rotation.T @ force.dat.data_ro)[:, None]
        found = solve_reduced(system.stiffness, loads, np.zeros_like(loads), system.reduction)[:, 0]
        errors.append(difference(velocity(system, found), u))
    rates = np.log2(np.divide(errors[:-1], errors[1:]))
    print(f"relative L2 errors {errors}, rates {rates}")
    assert rates[-1] > 1.9


def taylor_hood(mesh, height: float, force: Function) -> Function:
    velocities, pressures = VectorFunctionSpace(mesh, "CG", 2), FunctionSpace(mesh, "CG", 1)
    space = velocities * pressures
    (u, p), (v, q), solution = TrialFunctions(space), TestFunctions(space), Function(space)
    s = SpatialCoordinate(mesh)[1] / height
    form = (inner(grad(u), grad(v)) - p * div(v) - q * div(u)) * dx
    conditions = [
        DirichletBC(space.sub(0), as_vector([6 * s * (1 - s), 0 * s]), INLET),
        DirichletBC(space.sub(0), 0, (*WALLS, OBSTACLE)),
    ]
    solve(form == inner(force, v) * dx, solution, bcs=conditions, solver_parameters=SADDLE_LU)
    return solution.subfunctions[0]


def test_flow_around_an_obstacle_is_that_of_taylor_hood_elements() -> None:
    height, differences = 0.5, []
    loops = [channel(height), ellipse((0.4, 0.22), (0.08, 0.06), 8, 0.3)]
    for mesh in hierarchy(polygon_outline(loops, [*SIDES, *[OBSTACLE] * 8], 60, levels=0), levels=2):
        system = StreamFunctionSystem(mesh, obstacles=1)
        s = node_points(system.stream)[:, 1] / height
        # What psi is on the obstacle, how much flows below it, is found.
        given = np.where(system.fixed, height * (3.0 * s**2 - 2.0 * s**3), 0.0)[:, None]
        force = Function(system.forces)
        x, y = node_points(system.forces).T
        force.dat.data_wo[:] = np.stack([10.0 * np.sin(3.0 * y + 1.0), 20.0 * np.cos(5.0 * x)], axis=1)
        loads = (system.rotation.T @ (system.force @ force.dat.data_ro.ravel()))[:, None]
        psi = solve_reduced(system.stiffness, loads, given, system.reduction)[:, 0]
        assert np.ptp(psi[system.obstacles[0]]) == 0.0 and psi[system.obstacles[0][0]] > 0.1
        differences.append(difference(velocity(system, psi), taylor_hood(mesh, height, force)))
    rates = np.log2(np.divide(differences[:-1], differences[1:]))
    print(f"relative L2 differences {differences}, rates {rates}")
    # Corners of the obstacle, of 225 degrees in the fluid, keep both below order two.
    assert differences[-1] < 0.01 and (rates > 1.4).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_sample_has_no_divergence_and_no_flow_through_its_obstacles(seed: int) -> None:
    given = FAMILIES["stokes"](np.random.default_rng(seed), 400, 3, seed % 2 == 1)
    rotation, div_matrix, reduction = (given.extras[name] for name in ("rotation", "divergence", "reduction"))
    rng = np.random.default_rng(seed)
    # Not only of solutions: of any stream function.
    for psi in (given.solutions, given.values, rng.normal(size=given.solutions.shape)):
        u = rotation @ psi
        assert np.abs(div_matrix @ u).max() < 1e-12 * (abs(div_matrix) @ np.abs(u)).max()
    obstacles = int(given.kind.split()[0])
    assert given.features[:, 0].sum() == reduction[:, -obstacles:].sum()
    for number in range(1, obstacles + 1):
        nodes = reduction[:, [-number]].nonzero()[0]
        for psi in (given.solutions, given.values):
            assert (np.ptp(psi[nodes], axis=0) == 0.0).all()
        assert not given.fixed[nodes].any() and given.boundary[nodes].all()
    # What flows in is given; the lifting lies between the walls' values where the inflow does.
    assert np.array_equal(np.diff(reduction.indptr) == 0, given.fixed[:, 0])
    velocity_mass = given.extras["velocity_mass"]
    u = rotation @ given.solutions[:, 0]
    # The area is that of the velocity (0, 1), which is the rotation of -x.
    uniform = rotation @ -given.points[:, 0]
    assert uniform @ velocity_mass @ uniform == pytest.approx(given.mass.sum(), rel=1e-12)
    assert u @ velocity_mass @ u > 0
