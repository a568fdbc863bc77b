"""Burgers' equation: the exact front, order, bounds with and without viscosity, mass, shocks.

On two ranks: ``test_advection.py``.
"""

import numpy as np
import pytest
from firedrake import (
    Constant,
    Function,
    FunctionSpace,
    RectangleMesh,
    SpatialCoordinate,
    TestFunction,
    UnitCubeMesh,
    UnitSquareMesh,
    VectorFunctionSpace,
    as_vector,
    assemble,
    conditional,
    diff,
    div,
    dx,
    grad,
    interpolate,
    norm,
    variable,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.validation.experiments import distorted_square, fitted_rate
from fem.analytic.burgers import TravellingFront
from fem.problems.burgers import Burgers, travelling_front
from fem.scalar_stepper import ScalarStepper
from fem.timestep import StepStatus

ROUND_OFF = 1e-13


def nodes(mesh, degree):
    space = VectorFunctionSpace(mesh, "DG", degree, variant="equispaced")
    return Function(space).interpolate(SpatialCoordinate(mesh)).dat.data_ro


def front_run(mesh, viscosity, start, end):
    """Run the travelling front; return its L2 error, the state and the balance of mass."""
    front = TravellingFront(viscosity=viscosity)
    problem = Burgers(mesh=mesh, viscosity=viscosity, boundary=travelling_front(viscosity=viscosity))
    state = Function(problem.space())
    state.dat.data[:] = front.exact(nodes(mesh, 1), start)
    problem.set_time(start)
    stepper = ScalarStepper(problem, state)
    mass, t = stepper.mass(), start
    while t < end - 1e-12:
        result = stepper.step(t, end - t)
        assert (result.status, result.retries) == (StepStatus.DONE, 0)
        t += result.dt
    space, vectors = FunctionSpace(mesh, "DG", 3), VectorFunctionSpace(mesh, "DG", 3)
    difference = assemble(interpolate(state, space))
    difference.dat.data[:] -= front.exact(Function(vectors).interpolate(SpatialCoordinate(mesh)).dat.data_ro, end)
    return float(norm(difference)), state.dat.data_ro, stepper.mass() - mass - stepper.inflow


# -- the exact solution -------------------------------------------------------------------------------------------


def test_travelling_front_solves_the_equation():
    """By UFL's derivatives of the boundary values, which are the front's values in the points."""
    mesh, viscosity, at = UnitSquareMesh(8, 8), 0.05, 0.7
    x, t = SpatialCoordinate(mesh), variable(Constant(at))
    u = travelling_front(viscosity=viscosity)(x, t)
    convection, diffusion = u * (u.dx(0) + u.dx(1)), viscosity * div(grad(u))
    assert assemble(diffusion**2 * dx(degree=8)) > 0.1
    assert assemble((diff(u, t) + convection - diffusion) ** 2 * dx(degree=8)) < 1e-25
    found = Function(FunctionSpace(mesh, "CG", 1)).interpolate(travelling_front(viscosity=viscosity)(x, Constant(at)))
    exact = TravellingFront(viscosity=viscosity).exact(mesh.coordinates.dat.data_ro, at)
    assert found.dat.data_ro == pytest.approx(exact, abs=1e-14)
    phase = mesh.coordinates.dat.data_ro.sum(axis=1) - at
    assert exact == pytest.approx(1 / (1 + np.exp(phase / (2 * viscosity))), abs=1e-14)


def test_travelling_front_does_not_overflow():
    with np.errstate(all="raise"):
        values = TravellingFront(viscosity=1e-6).exact([[0.0, 0.0], [1.0, 1.0]], 0.5)
    assert (values == [1.0, 0.0]).all()


# -- accuracy -----------------------------------------------------------------------------------------------------


def test_smooth_front_converges_at_second_order():
    cells = (8, 16, 32)
    found = [front_run(distorted_square(n), 0.05, 0.5, 0.6) for n in cells]
    errors = [error for error, _, _ in found]
    measured = fitted_rate([1 / n for n in cells], errors)
    print(f"nu = 0.05: errors {errors}, rate {measured:.3f}")
    assert measured > 1.9
    assert max(abs(balance) for _, _, balance in found) <= ROUND_OFF


def test_thin_front_of_the_literature_keeps_its_bounds_and_converges():
    """nu = 0.005 on 16 and 32 cells: the front is hardly resolved, no value may leave 0..1."""
    coarse, fine = (front_run(UnitSquareMesh(n, n, diagonal="crossed"), 0.005, 0.3, 0.9) for n in (16, 32))
    print(f"nu = 0.005: errors {coarse[0]:.5f}, {fine[0]:.5f}")
    assert fine[0] < 0.4 * coarse[0]
    for _, values, balance in (coarse, fine):
        assert values.min() >= -ROUND_OFF
        assert values.max() <= 1 + ROUND_OFF
        assert abs(balance) <= ROUND_OFF


def test_shock_without_viscosity_runs_at_the_right_speed():
    """Jump conditions: between 1 and 0 the shock x + y = s runs at ds/dt = 1, half the sum of the wave speeds 2 and 0.

    The area behind it, s^2 / 2, measures its place. Start and end lie midway between lines of nodes, where the P1
    interpolant of the jump has the jump's area.
    """
    n = 40
    start, end = 24.5 / n, 40.5 / n
    mesh = UnitSquareMesh(n, n, diagonal="left")
    x, y = SpatialCoordinate(mesh)
    problem = Burgers(mesh=mesh, viscosity=0.0, boundary=lambda x, t: conditional(x[0] + x[1] < t, 1.0, 0.0))
    state = Function(problem.space()).interpolate(conditional(x + y < start, 1.0, 0.0))
    problem.set_time(start)
    stepper = ScalarStepper(problem, state)
    mass, t = stepper.mass(), start
    while t < end - 1e-12:
        t += stepper.step(t, end - t).dt
    # Beyond s = 1 the line leaves the square: the area is then 1 - (2 - s)^2 / 2.
    area = 1 - (2 - end) ** 2 / 2
    print(f"area {stepper.mass():.5f}, exact {area:.5f}")
    assert stepper.mass() == pytest.approx(area, abs=0.003)  # 0.003 of a line 1.4 long: a twelfth of a cell
    assert abs(stepper.mass() - mass - stepper.inflow) <= ROUND_OFF
    assert assemble(abs(state - conditional(x + y < end, 1.0, 0.0)) * dx(degree=4)) < 1.5 / n
    assert state.dat.data_ro.min() >= -ROUND_OFF
    assert state.dat.data_ro.max() <= 1 + ROUND_OFF


def test_rarefaction_opens():
    """From a jump up, u = (x + y - 0.6) / (2 t) between 0 and 1; a flux that violates entropy leaves the jump."""
    mesh = UnitSquareMesh(24, 24, diagonal="crossed")
    x, y = SpatialCoordinate(mesh)
    s = x + y - 0.6

    def fan(t):
        return conditional(s < 0, 0.0, conditional(s < 2 * t, s / (2 * t), 1.0))

    def at_boundary(x, t):
        s = x[0] + x[1] - 0.6
        return conditional(s < 0, 0.0, conditional(s < 2 * (t + 1e-9), s / (2 * (t + 1e-9)), 1.0))

    problem = Burgers(mesh=mesh, viscosity=0.0, boundary=at_boundary)
    state = Function(problem.space()).interpolate(conditional(s < 0, 0.0, 1.0))
    stepper, t, end = ScalarStepper(problem, state), 0.0, 0.3
    while t < end - 1e-12:
        t += stepper.step(t, end - t).dt
    error = assemble(abs(state - fan(end)) * dx(degree=4))
    print(f"L1 error {error:.5f}")
    assert error < 0.012


# -- constants, bounds, mass --------------------------------------------------------------------------------------


@pytest.mark.parametrize("viscosity", [0.0, 0.02])
@pytest.mark.parametrize("dimension", [2, 3])
def test_constant_state_stays_constant(dimension, viscosity):
    mesh = distorted_square(6) if dimension == 2 else UnitCubeMesh(3, 3, 3)
    problem = Burgers(mesh=mesh, viscosity=viscosity, boundary=lambda x, t: Constant(0.7))
    state = Function(problem.space()).assign(0.7)
    stepper = ScalarStepper(problem, state)
    for _ in range(10):
        assert stepper.step(0.0, 1.0).status is StepStatus.DONE
    assert state.dat.data_ro == pytest.approx(0.7, rel=0, abs=ROUND_OFF)


def squeezed_square():
    """A square whose cells have aspect ratios up to 30 and angles up to 170 degrees."""
    mesh = RectangleMesh(8, 8, 1.0, 1.0, diagonal="crossed")
    points = mesh.coordinates.dat.data
    points[:, 0] = points[:, 0] ** 2.5
    inside = (np.minimum(points, 1 - points) > 1e-9).all(axis=1)
    points[inside, 1] += 0.3 * np.sin(np.pi * points[inside, 1]) * points[inside, 0] * (1 - points[inside, 0])
    return mesh


@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**31),
    viscosity=st.sampled_from([0.0, 0.001, 0.01, 1.0]),
    mesh=st.sampled_from(["distorted", "squeezed"]),
)
def test_values_stay_between_those_before_from_any_state(seed, viscosity, mesh):
    """Viscous too, and on needles: the penalty makes the means obey, so that no step is taken back."""
    problem = Burgers(mesh=_mesh(mesh), viscosity=viscosity, boundary=lambda x, t: Constant(0.0))
    state = Function(problem.space())
    state.dat.data[:] = np.random.default_rng(seed).uniform(0.0, 1.0, len(state.dat.data_ro)).round()
    stepper = ScalarStepper(problem, state)
    mass, t = stepper.mass(), 0.0
    for _ in range(8):
        result = stepper.step(t, 1.0)
        assert (result.status, result.retries) == (StepStatus.DONE, 0)
        t += result.dt
        assert state.dat.data_ro.min() >= -ROUND_OFF
        assert state.dat.data_ro.max() <= 1 + ROUND_OFF
    assert abs(stepper.mass() - mass - stepper.inflow) <= ROUND_OFF


_MESHES = {}


def _mesh(name):
    if name not in _MESHES:
        _MESHES[name] = distorted_square(5) if name == "distorted" else squeezed_square()
    return _MESHES[name]


@pytest.mark.parametrize("dimension", [2, 3])
def test_closed_boundary_keeps_the_mass_and_diffusion_levels_out(dimension):
    """Strong viscosity and no flux through the boundary: the state goes to its mean."""
    mesh = UnitSquareMesh(5, 5) if dimension == 2 else UnitCubeMesh(2, 2, 2)
    problem = Burgers(mesh=mesh, viscosity=10.0)
    state = Function(problem.space()).interpolate(SpatialCoordinate(mesh)[0])
    stepper = ScalarStepper(problem, state)
    mass, t = stepper.mass(), 0.0
    while t < 0.1:
        t += stepper.step(t, 0.1 - t + 1e-12).dt
    # The wave carries u^2 / 2 = 1/8 against a slope of nu times as much: it stays tilted by 1/80 from side to side.
    assert np.ptp(state.dat.data_ro) < 0.05
    assert abs(stepper.mass() - mass) <= ROUND_OFF
    assert state.dat.data_ro.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("viscosity", [0.0, 0.02])
def test_mesh_velocity_only_dilates_a_constant_state(viscosity):
    mesh = distorted_square(6)
    x, y = SpatialCoordinate(mesh)
    bump = x * (1 - x) * y * (1 - y)
    velocity = Function(VectorFunctionSpace(mesh, "CG", 1)).interpolate(as_vector([bump * (1 + y), -2 * bump * x]))
    problem = Burgers(mesh=mesh, viscosity=viscosity, boundary=lambda x, t: Constant(0.7))
    problem.set_time(0.0)
    state = Function(problem.space()).assign(0.7)
    test = TestFunction(problem.space())
    moving = assemble(problem.residual(state, test, mesh_velocity=velocity)).dat.data_ro
    dilation = assemble(div(velocity) * state * test * dx).dat.data_ro
    assert np.abs(dilation).max() > 1e-4
    assert moving == pytest.approx(dilation, abs=1e-14)


# -- failure ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("viscosity", [0.0, 0.05])
def test_a_step_that_leaves_the_bounds_is_taken_back_and_halved(viscosity):
    problem = Burgers(mesh=_mesh("distorted"), viscosity=viscosity, boundary=lambda x, t: Constant(0.0))
    state = Function(problem.space())
    state.dat.data[:] = np.random.default_rng(3).uniform(0, 1, len(state.dat.data_ro)).round()
    stepper = ScalarStepper(problem, state, courant=10.0)
    mass = stepper.mass()
    result = stepper.step(0.0, 1.0)
    assert result.status is StepStatus.DONE
    assert result.retries > 0
    assert state.dat.data_ro.min() >= -ROUND_OFF
    assert state.dat.data_ro.max() <= 1 + ROUND_OFF
    assert abs(stepper.mass() - mass - stepper.inflow) <= ROUND_OFF


def test_bad_parameters_are_named():
    mesh = _mesh("distorted")
    with pytest.raises(ValueError, match=r"viscosity: got -0.1, expected nu >= 0 m\^2/s; check the sign"):
        Burgers(mesh=mesh, viscosity=-0.1)
    with pytest.raises(ValueError, match=r"degree: got 0 with viscosity 0.005, expected 1; P0 has no gradient"):
        Burgers(mesh=mesh, degree=0)
    with pytest.raises(ValueError, match=r"viscosity: got 0.0, expected a positive number; give it in m\^2/s"):
        TravellingFront(viscosity=0.0)
