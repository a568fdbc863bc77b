"""Boundary conditions: waves in, waves out, and what flows through is counted."""

import numpy as np
import pytest
from firedrake import Function, RectangleMesh, SpatialCoordinate, as_vector, exp

from cases.validation.experiments import advance
from fem.bathymetry import bathymetry
from fem.boundary import Open, PrescribedElevation
from fem.gauges import GaugeStencil
from fem.problems.shallow_water import ShallowWater
from fem.shallow_water_stepper import ShallowWaterStepper

DEPTH, LENGTH, GRAVITY = 1.0, 20.0, 9.81
SPEED = (GRAVITY * DEPTH) ** 0.5


def channel(boundaries, elevation=None, cells=80):
    mesh = RectangleMesh(cells, 1, LENGTH, LENGTH / cells, diagonal="crossed")
    problem = ShallowWater(bathymetry=bathymetry(mesh, -DEPTH), boundaries=boundaries)
    state = Function(problem.space())
    x, _ = SpatialCoordinate(mesh)
    state.interpolate(as_vector([DEPTH + (elevation(x) if elevation else 0), 0, 0]))
    return problem, state, ShallowWaterStepper(problem, state)


def surface(state):
    return state.dat.data_ro[:, 0] - DEPTH


def test_open_boundary_lets_a_wave_out():
    amplitude = 1e-3
    _, state, stepper = channel({1: Open(), 2: Open()}, lambda x: amplitude * exp(-((x - 10) ** 2)))
    mass = stepper.mass()
    advance(stepper, 1.5 * LENGTH / SPEED)
    assert np.abs(surface(state)).max() < 0.01 * amplitude
    drift = abs(stepper.mass() - mass - stepper.inflow) / mass
    assert drift <= 1e-12
    assert stepper.inflow < 0


def test_wall_sends_it_back():
    amplitude = 1e-3
    _, state, stepper = channel({1: Open()}, lambda x: amplitude * exp(-((x - 10) ** 2)))
    # Half of the hump runs right, turns at x = 20 and is back at x = 10 after 20 m.
    advance(stepper, LENGTH / SPEED)
    assert surface(state).max() == pytest.approx(0.5 * amplitude, rel=0.05)
    assert stepper.inflow < 0


def test_prescribed_elevation_sends_a_plane_wave_in():
    """Linear theory: eta(x, t) = eta_0(t - x / c)."""
    amplitude, period = 1e-4, 2.0
    times = np.linspace(0, 20, 2001)
    wave = PrescribedElevation(times, amplitude * np.sin(2 * np.pi * times / period) ** 2)
    problem, state, stepper = channel({1: wave, 2: Open()}, cells=160)
    t_end = 4.0
    mass = stepper.mass()
    advance(stepper, t_end)
    points = np.column_stack([np.linspace(1, 11, 21), np.full(21, 0.05)])
    found = GaugeStencil(problem.mesh, points).evaluate(state)[:, 0] - DEPTH
    lag = t_end - points[:, 0] / SPEED
    exact = np.where(lag > 0, amplitude * np.sin(2 * np.pi * lag / period) ** 2, 0)
    assert np.abs(found - exact).max() < 0.03 * amplitude
    assert abs(stepper.mass() - mass - stepper.inflow) <= 1e-12 * mass


@pytest.mark.parametrize(("after_end", "level"), [("hold", 0.01), ("open", 0.0)])
def test_record_end_holds_or_opens(after_end, level):
    """A raised level for 1 s: held, it fills the channel towards 0.01 m; open, the water drains back to 0."""
    record = PrescribedElevation([0.0, 1.0], [0.01, 0.01], after_end=after_end)
    _, state, stepper = channel({1: record, 2: Open(level)})
    advance(stepper, 6 * LENGTH / SPEED)
    assert surface(state) == pytest.approx(level, abs=5e-4)


@pytest.mark.parametrize(
    ("times", "elevations", "message"),
    [
        ([], [], "expected two equal, nonempty lists"),
        ([0, 1], [0], "expected two equal, nonempty lists"),
        ([0, 1, 1], [0, 0, 0], "got times that do not increase"),
        ([0, np.nan], [0, 0], "got NaN or infinity"),
        ([0, 1], [0, np.inf], "got NaN or infinity"),
    ],
)
def test_broken_records_are_named(times, elevations, message):
    with pytest.raises(ValueError, match=message):
        PrescribedElevation(times, elevations)
