"""Incompressible flow: orders in space and time, moving meshes, divergence, solvers, messages."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from firedrake import (
    Constant,
    Function,
    FunctionSpace,
    SpatialCoordinate,
    UnitSquareMesh,
    as_vector,
    assemble,
    cos,
    div,
    dx,
    exp,
    inner,
    pi,
    sin,
    split,
)
from firedrake.exceptions import ConvergenceError

from cases.validation.experiments import fitted_rate
from fem.navier_stokes_stepper import IMPLICIT_TABLEAUX, NavierStokesStepper
from fem.problems.navier_stokes import PAIRS, NavierStokes, SteadyFlow
from fem.solver_parameters import FLOW_SOLVERS, flow_solver_parameters
from fem.timestep import StepStatus

SIDES = (1, 2, 3, 4)


class TaylorGreen:
    """Vortices of the unit square that decay, exact: u = (-cos sin, sin cos) exp(-2 pi^2 nu t)."""

    def __init__(self, viscosity: float):
        self.viscosity = viscosity

    def velocity(self, x, t):
        decay = exp(-2 * pi**2 * self.viscosity * t)
        return as_vector([-cos(pi * x[0]) * sin(pi * x[1]) * decay, sin(pi * x[0]) * cos(pi * x[1]) * decay])

    def pressure(self, x, t):
        return -0.25 * (cos(2 * pi * x[0]) + cos(2 * pi * x[1])) * exp(-4 * pi**2 * self.viscosity * t)


def wave(first: np.ndarray, t: float, size: float = 0.04) -> np.ndarray:
    """Return where the vertices of the unit square are at t: waves along it, sliding on the sides."""
    where = np.pi * first
    return first + size * np.sin(2 * np.pi * 3.5 * t) * np.sin(where) * np.cos(2 * where[:, ::-1])


def advance(stepper: NavierStokesStepper, steps: int, *, moving: bool, size: float = 0.04) -> None:
    mesh = stepper.problem.mesh
    first = mesh.coordinates.dat.data_ro_with_halos.copy()
    for step in range(steps):
        if moving:
            target = Function(mesh.coordinates.function_space())
            target.dat.data_wo_with_halos[:] = wave(first, (step + 1) * stepper.dt, size)
            stepper.begin_motion(target)
        result = stepper.step(step * stepper.dt, stepper.dt)
        assert (result.status, result.retries, result.dt) == (StepStatus.DONE, 0, stepper.dt)
        assert not stepper.is_moving
    if moving:
        moved = np.abs(mesh.coordinates.dat.data_ro - first[: len(mesh.coordinates.dat.data_ro)]).max()
        assert moved > 0.2 * size


def decay(
    cells, dt, t_end, *, viscosity, pair="taylor-hood", tableau="sdirk2", moving=False, solver="lu", observe=None
):
    """Let the vortices decay; return the stepper and the errors of velocity and pressure at the end, and |div u|."""
    exact, mesh = TaylorGreen(viscosity), UnitSquareMesh(cells, cells)
    problem = NavierStokes(mesh=mesh, viscosity=viscosity, velocity=dict.fromkeys(SIDES, exact.velocity), pair=pair)
    state, x = Function(problem.space()), SpatialCoordinate(mesh)
    state.subfunctions[0].interpolate(exact.velocity(x, Constant(0.0)))
    stepper = NavierStokesStepper(problem, state, dt=dt, tableau=tableau, solver=solver)
    if observe is not None:
        stepper.observe = lambda: observe(state)
    advance(stepper, round(t_end / dt), moving=moving)
    (u, p), t = split(state), Constant(t_end)
    difference = u - exact.velocity(x, t)
    squares = (inner(difference, difference), (p - exact.pressure(x, t)) ** 2, div(u) ** 2)
    return stepper, [float(np.sqrt(assemble(square * dx(degree=8)))) for square in squares]


@pytest.mark.parametrize("moving", [False, True], ids=["fixed", "moving"])
@pytest.mark.parametrize("pair", PAIRS)
def test_orders_in_space(pair, moving):
    sizes, errors = (6, 12, 24) if pair == "taylor-hood" else (6, 12, 18), []
    for cells in sizes:
        _, found = decay(cells, 0.05, 0.1, viscosity=0.01, pair=pair, tableau="sdirk3", moving=moving)
        errors.append(found)
    velocity, pressure, divergence = np.transpose(errors)
    rates = [-fitted_rate(sizes, norms) for norms in (velocity, pressure)]
    print(f"{pair}: velocity {velocity}, rate {rates[0]:.2f}; pressure {pressure}, rate {rates[1]:.2f}")
    print(f"divergence {divergence}")
    assert rates[0] > 3 - 0.1 and rates[1] > 2 - 0.2
    assert divergence.max() < 1e-12 if pair == "scott-vogelius" else divergence.min() > 1e-4


@pytest.mark.parametrize("moving", [False, True], ids=["fixed", "moving"])
@pytest.mark.parametrize("tableau", ["implicit-euler", "sdirk2"])
def test_orders_in_time(tableau, moving):
    """Differences of one mesh's solutions at halved steps: the error in space is in all of them."""
    steps, found = (0.1, 0.05, 0.025, 0.0125), []
    for dt in steps:
        stepper, _ = decay(6, dt, 0.4, viscosity=0.1, tableau=tableau, moving=moving)
        found.append(stepper.state.subfunctions[0].copy(deepcopy=True))
    mesh = stepper.problem.mesh
    for function in found[:-1]:
        # All have come to the same place, so that nodal values are of the same functions.
        assert function.function_space().mesh().coordinates.dat.data_ro == pytest.approx(mesh.coordinates.dat.data_ro)
    changes = [np.linalg.norm(a.dat.data_ro - b.dat.data_ro) for a, b in itertools.pairwise(found)]
    rate = fitted_rate(steps[:-1], changes)
    order = IMPLICIT_TABLEAUX[tableau].order
    print(f"{tableau}: changes {changes}, rate {rate:.2f}")
    assert rate > order - 0.15


def test_pressures_meant_over_a_step_are_of_order_two():
    """At the end of a step they are of order 1; both by one formula, of the solution with halved steps."""
    steps, ends, means = (0.1, 0.05, 0.025), [], []
    for dt in steps:
        stepper, _ = decay(6, dt, 0.4, viscosity=0.1, observe=lambda state: state.subfunctions[1].dat.data_ro.copy())
        # The pressure decays by one factor: at the time compared, mean and end are that of 0.4 s.
        ends.append(stepper.state.subfunctions[1].dat.data_ro.copy())
        means.append(stepper.observed * np.exp(-4 * np.pi**2 * 0.1 * dt / 2))
    rates = []
    for values in (ends, means):
        first, second = (np.linalg.norm(a - b) for a, b in itertools.pairwise(values))
        rates.append(np.log2(first / second))
    print(f"rates {rates[0]:.2f} at the end, {rates[1]:.2f} of the mean")
    assert 0.7 < rates[0] < 1.4 and rates[1] > 1.8


@pytest.mark.parametrize("pair", PAIRS)
def test_constant_flow_stays_constant_to_rounding_however_the_mesh_moves(pair):
    mesh = UnitSquareMesh(5, 5)
    problem = NavierStokes(mesh=mesh, viscosity=1e-3, velocity=dict.fromkeys(SIDES, lambda x, t: (1.0, 0.5)), pair=pair)
    state = Function(problem.space())
    state.subfunctions[0].interpolate(as_vector([1.0, 0.5]))
    advance(NavierStokesStepper(problem, state, dt=0.03), 10, moving=True, size=0.06)
    assert np.abs(state.subfunctions[0].dat.data_ro - [1.0, 0.5]).max() < 1e-12
    assert np.abs(state.subfunctions[1].dat.data_ro).max() < 1e-11


def test_wrong_mesh_velocity_would_be_seen():
    """What the order on moving meshes rests on: with w = 0 in the equations the same motion leaves a large error."""
    _, right = decay(8, 0.05, 0.1, viscosity=0.01, moving=True)
    exact, mesh = TaylorGreen(0.01), UnitSquareMesh(8, 8)
    problem = NavierStokes(mesh=mesh, viscosity=0.01, velocity=dict.fromkeys(SIDES, exact.velocity))
    state, x = Function(problem.space()), SpatialCoordinate(mesh)
    state.subfunctions[0].interpolate(exact.velocity(x, Constant(0.0)))
    stepper, first = NavierStokesStepper(problem, state, dt=0.05), mesh.coordinates.dat.data_ro.copy()
    for step in range(2):
        mesh.coordinates.dat.data_wo[:] = wave(first, (step + 1) * 0.05)
        stepper.step(step * 0.05, 0.05)
    difference = split(state)[0] - exact.velocity(x, Constant(0.1))
    wrong = float(np.sqrt(assemble(inner(difference, difference) * dx(degree=8))))
    print(f"error {right[0]:.2e}, without w {wrong:.2e}")
    assert wrong > 5 * right[0]


def test_the_divergence_free_pair_does_not_see_gradients_in_the_force():
    """At rest under f = grad phi: Scott and Vogelius' stays there, Taylor and Hood's moves."""
    found = {}
    for pair in PAIRS:
        problem = NavierStokes(
            mesh=UnitSquareMesh(5, 5),
            viscosity=1e-2,
            velocity=dict.fromkeys(SIDES, lambda x, t: (0.0, 0.0)),
            pair=pair,
            force=lambda x, t: (3 * x[0] ** 2 * x[1], x[0] ** 3),
        )
        flow = SteadyFlow(problem)
        found[pair] = np.abs(flow.solve().subfunctions[0].dat.data_ro).max()
    print(found)
    assert found["scott-vogelius"] < 1e-12 < 1e-3 < found["taylor-hood"]


def poiseuille(x, t):
    return 4 * x[1] * (1 - x[1]), 0.0


def channel(viscosity: float = 0.05, pair: str = "taylor-hood", cells: int = 8) -> NavierStokes:
    """Flow through the unit square from left to right."""
    walls = dict.fromkeys((3, 4), lambda x, t: (0.0, 0.0))
    return NavierStokes(
        mesh=UnitSquareMesh(cells, cells), viscosity=viscosity, velocity={1: poiseuille, **walls}, pair=pair
    )


@pytest.mark.parametrize("pair", PAIRS)
def test_the_flow_of_a_channel_is_exact_with_its_outflow(pair):
    """A polynomial of degree 2 with a linear pressure, 0 at the outflow, on a mesh moved in place."""
    problem = channel(pair=pair)
    flow = SteadyFlow(problem)
    points = problem.mesh.coordinates.dat.data
    for size in (0.0, 0.05):
        points[:] = wave(points, 1 / 14, size)
        u, p = split(flow.solve())
        x = SpatialCoordinate(problem.mesh)
        difference = u - as_vector(poiseuille(x, 0))
        gap = p - 8 * problem.nu * (1 - x[0])
        assert assemble(inner(difference, difference) * dx) < 1e-20 and assemble(gap**2 * dx) < 1e-20


def test_all_solvers_agree_on_steady_flow_and_on_steps():
    steady, stepped, counts = {}, {}, {}
    lid = {4: lambda x, t: (16 * x[0] ** 2 * (1 - x[0]) ** 2, 0.0)}
    for name in FLOW_SOLVERS:
        box = NavierStokes(
            mesh=UnitSquareMesh(8, 8),
            viscosity=0.02,
            velocity={**dict.fromkeys((1, 2, 3), lambda x, t: (0.0, 0.0)), **lid},
        )
        flow = SteadyFlow(box, name)
        steady[name] = np.concatenate([f.dat.data_ro.ravel() for f in flow.solve().subfunctions])
        through = channel(0.01)
        state = Function(through.space())
        stepper = NavierStokesStepper(through, state, dt=0.1, solver=name)
        advance(stepper, 3, moving=True)
        stepped[name] = np.concatenate([f.dat.data_ro.ravel() for f in state.subfunctions])
        counts[name] = flow.iterations, stepper.iterations
    print(f"Newton and linear iterations, steady and in the last step: {counts}")
    for found in (steady, stepped):
        for name in FLOW_SOLVERS:
            np.testing.assert_allclose(found[name], found["lu"], rtol=0, atol=2e-7 * np.abs(found["lu"]).max())


def test_a_step_that_fails_is_taken_back_and_halved_and_at_last_given_up(monkeypatch):
    problem = channel()
    state = Function(problem.space())
    stepper = NavierStokesStepper(problem, state, dt=0.1)
    solve, calls = stepper._solver.solve, []

    def fail_at(numbers):
        calls.clear()

        def attempt():
            calls.append(len(calls))
            solve()
            if calls[-1] in numbers:
                raise ConvergenceError("no")

        monkeypatch.setattr(stepper._solver, "solve", attempt)

    target = Function(problem.mesh.coordinates.function_space())
    first = problem.mesh.coordinates.dat.data_ro.copy()
    target.dat.data_wo[:] = wave(first, 1 / 14)
    stepper.begin_motion(target)
    fail_at(range(100))
    assert stepper.step(0.0, 1.0).status is StepStatus.FAILED
    assert np.abs(state.dat[0].data_ro).max() == 0.0 and stepper.is_moving
    np.testing.assert_array_equal(problem.mesh.coordinates.dat.data_ro, first)
    fail_at({1})
    result = stepper.step(0.0, 1.0)
    assert (result.status, result.retries, result.dt) == (StepStatus.DONE, 1, 0.05)
    np.testing.assert_array_equal(problem.mesh.coordinates.dat.data_ro, target.dat.data_ro)


def test_a_motion_may_take_several_steps():
    problem = channel()
    stepper = NavierStokesStepper(problem, Function(problem.space()), dt=0.1, motion_steps=4)
    first = problem.mesh.coordinates.dat.data_ro.copy()
    target = Function(problem.mesh.coordinates.function_space())
    target.dat.data_wo[:] = wave(first, 1 / 14)
    stepper.begin_motion(target)
    for step in range(1, 5):
        assert stepper.is_moving
        stepper.step(0.1 * (step - 1), 0.1)
        expected = first + step / 4 * (target.dat.data_ro - first)
        np.testing.assert_allclose(problem.mesh.coordinates.dat.data_ro, expected, rtol=0, atol=1e-15)
    assert not stepper.is_moving
    np.testing.assert_array_equal(problem.mesh.coordinates.dat.data_ro, target.dat.data_ro)


@pytest.mark.parametrize("name", IMPLICIT_TABLEAUX)
def test_tableaux_meet_their_order_conditions(name):
    scheme = IMPLICIT_TABLEAUX[name]
    stages = len(scheme.rows)
    matrix = np.array([[*row, *[0.0] * (stages - len(row))] for row in scheme.rows])
    weights, times = matrix[-1], matrix.sum(axis=1)
    assert (np.diag(matrix) == scheme.diagonal).all() and scheme.abscissae[-1] == 1.0
    np.testing.assert_allclose(scheme.abscissae, times, rtol=0, atol=1e-15)
    conditions = [
        [weights.sum() - 1],
        [weights @ times - 1 / 2],
        [weights @ times**2 - 1 / 3, weights @ matrix @ times - 1 / 6],
    ]
    for order, residuals in enumerate(conditions, start=1):
        assert (np.abs(residuals) < 1e-14).all() == (order <= scheme.order)


def lid(x, t):
    return 1.0, 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: channel(pair="mini"), "pair: got 'mini', expected one of taylor-hood, scott-vogelius"),
        (
            lambda: channel(viscosity=0.0),
            "viscosity: got 0.0, expected more than 0 m^2/s; for slight friction, 1e-6",
        ),
        (
            lambda: NavierStokes(mesh=UnitSquareMesh(2, 2), viscosity=1.0, velocity={7: lid}),
            "velocity: got markers [7], expected some of [1, 2, 3, 4], those of the boundary",
        ),
        (lambda: SteadyFlow(channel(), "qr"), "solver: got 'qr', expected one of lu, lu-kept, schur-gamg"),
        (
            lambda: flow_solver_parameters("schur-gamg", "scott-vogelius"),
            "solver: got 'schur-gamg' for scott-vogelius, expected lu or lu-kept; its pressures are discontinuous",
        ),
        (lambda: stepper_of(dt=-1.0), "dt: got -1.0, expected more than 0 s; about a hundredth of a period"),
        (
            lambda: stepper_of(tableau="rk4"),
            "tableau: got 'rk4', expected one of implicit-euler, sdirk2, sdirk3",
        ),
        (lambda: stepper_of(motion_steps=0), "motion_steps: got 0, expected 1 or more"),
        (
            lambda: stepper_of().begin_motion(Function(FunctionSpace(UnitSquareMesh(2, 2), "CG", 1))),
            None,
        ),
    ],
)
def test_messages(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert (message is None and str(caught.value).startswith("target: got <CG1")) or str(caught.value) == message


def stepper_of(dt: float = 0.1, tableau: str = "sdirk2", motion_steps: int = 1) -> NavierStokesStepper:
    problem = channel(cells=2)
    return NavierStokesStepper(problem, Function(problem.space()), dt=dt, tableau=tableau, motion_steps=motion_steps)


def test_a_target_that_turns_a_cell_over_is_refused():
    stepper = stepper_of()
    target = stepper.problem.mesh.coordinates.copy(deepcopy=True)
    centre = np.flatnonzero((target.dat.data_ro == 0.5).all(axis=1))
    target.dat.data[centre] += [0.9, 0.0]
    with pytest.raises(ValueError, match="of its volume on the straight way there, expected more than 0 in all cells"):
        stepper.begin_motion(target)
    assert not stepper.is_moving
