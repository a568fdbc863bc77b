"""Advection: the swirl's exact solution, and the order of the method against it and against waves that come in."""

from dataclasses import dataclass

import numpy as np
import pytest
from advection_runs import ROUND_OFF, TILTED, advance, nodes, uniform
from firedrake import (
    Constant,
    Function,
    FunctionSpace,
    SpatialCoordinate,
    UnitSquareMesh,
    VectorFunctionSpace,
    assemble,
    curl,
    interpolate,
    norm,
    sin,
)

from cases.validation.experiments import distorted_square, fitted_rate
from fem.analytic.swirl import Swirl, steady_flow
from fem.problems.advection import Advection, swirling_flow
from fem.scalar_stepper import ScalarStepper
from fem.timestep import TABLEAUX


@dataclass(frozen=True, kw_only=True)
class Hump(Swirl):
    """A wide hump in the swirl's flow, for the order of accuracy."""

    def initial(self, points):
        return np.exp(-20.0 * ((np.asarray(points) - (0.45, 0.65)) ** 2).sum(axis=1))


def error_of(state, exact):
    """L2 distance from a function of points, in P3."""
    mesh = state.function_space().mesh()
    space = FunctionSpace(mesh, "DG", 3)
    points = Function(VectorFunctionSpace(mesh, "DG", 3)).interpolate(SpatialCoordinate(mesh)).dat.data_ro
    difference = assemble(interpolate(state, space))
    difference.dat.data[:] -= exact(points)
    return float(norm(difference))


def swirled(exact, cells, t_end, degree=1):
    mesh = UnitSquareMesh(cells, cells, diagonal="crossed")
    problem = Advection(mesh=mesh, degree=degree, potential=swirling_flow(speed=exact.speed, period=exact.period))
    state = Function(problem.space())
    state.dat.data[:] = exact.initial(nodes(mesh, degree))
    stepper = ScalarStepper(problem, state)
    mass = stepper.mass()
    advance(stepper, 0.0, t_end)
    assert abs(stepper.mass() - mass) <= ROUND_OFF * mass
    return error_of(state, lambda points: exact.exact(points, t_end))


# -- the exact solution -------------------------------------------------------------------------------------------


def scattered_points():
    """Points all over the square, near its sides and corners, on them, and at the centre of the swirl."""
    inner = np.random.default_rng(0).random((500, 2))
    near = [inner * scale for scale in ([1e-2, 1e-2], [1e-3, 1e-2], [1e-5, 1.0], [1.0, 1e-8])]
    special = [[0.0, 0.0], [1.0, 0.3], [0.2, 1.0], [0.5, 0.5], [0.5, 0.2], [0.5 + 1e-9, 0.5]]
    return np.concatenate([inner, *near, *(1.0 - part for part in near), special])


@pytest.mark.parametrize("t", [0.2, 0.5, 0.8])
def test_departure_points_are_those_of_the_characteristics(t):
    """Against the classical Runge-Kutta scheme on the velocity as it is, time and all."""
    swirl, steps = Swirl(), 1500
    points = at = scattered_points()
    h = -t / steps
    for step in range(steps):
        s = t + step * h
        a = swirl.velocity(at, s)
        b = swirl.velocity(at + 0.5 * h * a, s + 0.5 * h)
        c = swirl.velocity(at + 0.5 * h * b, s + 0.5 * h)
        d = swirl.velocity(at + h * c, s + h)
        at = at + h / 6 * (a + 2 * b + 2 * c + d)
    assert np.abs(at - points).max() > 0.1
    assert swirl.departure(points, t) == pytest.approx(at, rel=0, abs=1e-10)


def test_swirl_solves_the_equation_and_comes_back():
    swirl, t, h = Swirl(width=0.1), 0.3, 1e-4
    points = np.random.default_rng(1).uniform(0.05, 0.95, (200, 2))

    def derivative(shift_points, shift_time):
        def u(k):
            return swirl.exact(points + k * h * np.asarray(shift_points), t + k * h * shift_time)

        return (8 * (u(1) - u(-1)) - (u(2) - u(-2))) / (12 * h)

    rate = derivative((0, 0), 1)
    gradient = np.stack([derivative((1, 0), 0), derivative((0, 1), 0)], axis=1)
    assert np.abs(rate).max() > 1
    assert rate + (swirl.velocity(points, t) * gradient).sum(axis=1) == pytest.approx(0, abs=1e-7)
    assert swirl.exact(points, swirl.period) == pytest.approx(swirl.initial(points), rel=0, abs=1e-12)
    assert steady_flow(steady_flow(points, 0.7), -0.7) == pytest.approx(points, rel=0, abs=1e-11)


@pytest.mark.parametrize("mirrored", [False, True])
def test_points_on_the_diagonals_of_the_swirl_are_carried_as_their_neighbours_are(mirrored):
    along = np.linspace(0.01, 0.99, 2001)
    points = np.stack([along, 1.0 - along if mirrored else along], axis=1)
    assert steady_flow(points, 0.0) == pytest.approx(points, rel=0, abs=1e-11)
    # The flow is smooth: its gradient is less than 2 pi, in both directions.
    beside = points + np.array([1e-7, 0.0])
    assert steady_flow(points, 0.3) == pytest.approx(
        steady_flow(beside, 0.3), rel=0, abs=1e-7 * np.exp(0.3 * 4 * np.pi)
    )


def test_stream_function_gives_the_swirls_velocity():
    mesh, swirl, t = UnitSquareMesh(4, 4), Swirl(speed=1.3, period=0.9), 0.2
    expression = curl(swirling_flow(speed=1.3, period=0.9)(SpatialCoordinate(mesh), Constant(t)))
    found = Function(VectorFunctionSpace(mesh, "DG", 1)).interpolate(expression).dat.data_ro
    points = Function(VectorFunctionSpace(mesh, "DG", 1)).interpolate(SpatialCoordinate(mesh)).dat.data_ro
    assert found == pytest.approx(swirl.velocity(points, t), abs=1e-13)


def test_bad_swirls_are_named():
    with pytest.raises(ValueError, match="width: got 0, expected a positive number; give it in SI units"):
        Swirl(width=0)


# -- accuracy -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("degree", "rate"), [(1, 1.9), (0, 0.8)])
def test_smooth_hump_converges_at_the_order_of_the_method(degree, rate):
    """With the limiter at work, and a smooth maximum in the domain."""
    cells = (8, 16, 32) if degree else (16, 32, 64)
    errors = [swirled(Hump(speed=0.7), n, 0.5, degree) for n in cells]
    measured = fitted_rate([1 / n for n in cells], errors)
    print(f"P{degree}: errors {errors}, rate {measured:.3f}")
    assert measured > rate


def test_ring_comes_back():
    """A ring four cells wide: the error falls at half time, when it is drawn out most, and when it is back."""
    ring = Swirl(width=0.1)
    for t_end in (0.5, 1.0):
        coarse, fine = (swirled(ring, n, t_end) for n in (12, 24))
        print(f"t = {t_end}: errors {coarse:.4f}, {fine:.4f}")
        assert fine < 0.4 * coarse


def travelled(cells, scheme):
    """Run the wave sin(6 (x - 0.8 t) + 2 (y - 0.5 t)), which comes in on two sides; return error, balance, inflow."""
    mesh = distorted_square(cells)

    def wave(x, t):
        return sin(6 * (x[0] - TILTED[0] * t) + 2 * (x[1] - TILTED[1] * t))

    problem = Advection(mesh=mesh, potential=uniform, boundary=wave)
    state = Function(problem.space()).interpolate(wave(SpatialCoordinate(mesh), Constant(0.0)))
    stepper = ScalarStepper(problem, state, tableau=scheme)
    mass = stepper.mass()
    advance(stepper, 0.0, 0.5)
    error = error_of(state, lambda p: np.sin(6 * (p[:, 0] - 0.4) + 2 * (p[:, 1] - 0.25)))
    return error, stepper.mass() - mass - stepper.inflow, stepper.inflow


@pytest.mark.parametrize("scheme", [name for name, tableau in TABLEAUX.items() if tableau.order > 1])
def test_inflow_brings_in_the_boundary_values(scheme):
    cells = (12, 24)
    errors, balances, inflows = zip(*(travelled(n, scheme) for n in cells), strict=True)
    measured = fitted_rate([1 / n for n in cells], errors)
    print(f"{scheme}: errors {errors}, rate {measured:.3f}, inflow {inflows}")
    assert measured > 1.9
    assert max(map(abs, balances)) <= ROUND_OFF
    assert min(map(abs, inflows)) > 1e-2
