"""Gauges: exact for linear fields, single-valued on facets, right after a move."""

import numpy as np
import pytest
from firedrake import Function, SpatialCoordinate, UnitSquareMesh, as_vector
from hypothesis import given, settings
from hypothesis import strategies as st

from fem.bathymetry import bathymetry
from fem.gauge_metrics import arrival_time, compare_gauge, takacs_split
from fem.gauges import GaugeRecorder, GaugeStencil
from fem.problems.shallow_water import ShallowWater

# Code compiled with -ffast-math, as PyOP2's is, makes the processor flush subnormal numbers to zero.
SHARE = st.floats(0, 1, allow_subnormal=False)


@pytest.fixture(scope="module")
def linear():
    mesh = UnitSquareMesh(6, 5)
    x, y = SpatialCoordinate(mesh)
    problem = ShallowWater(bathymetry=bathymetry(mesh, x - y))
    state = Function(problem.space()).interpolate(as_vector([1 + 2 * x + 3 * y, x, y]))
    return mesh, problem, state


def expected(points):
    return np.column_stack([1 + 2 * points[:, 0] + 3 * points[:, 1], points])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(SHARE, SHARE), min_size=1, max_size=5))
def test_linear_field_is_exact_anywhere(linear, points):
    mesh, _, state = linear
    points = np.array(points)
    assert GaugeStencil(mesh, points).evaluate(state) == pytest.approx(expected(points), abs=1e-12)


def test_vertices_and_facets_take_the_mean_over_their_cells(linear):
    mesh, _, state = linear
    jump = Function(state.function_space())
    jump.dat.data[:, 0] = np.repeat(np.arange(len(jump.dat.data) // 3), 3)
    cells = mesh.coordinates.cell_node_map().values
    x = mesh.coordinates.dat.data_ro
    vertex = cells[7, 1]
    around = np.flatnonzero((cells == vertex).any(axis=1))
    found = GaugeStencil(mesh, x[vertex][None]).evaluate(jump)[0, 0]
    numbers = jump.dat.data_ro[state.cell_node_map().values[around, 0], 0]
    assert found == pytest.approx(numbers.mean(), abs=1e-12)


def test_gauges_follow_a_moved_mesh():
    mesh = UnitSquareMesh(6, 5)
    points = np.array([[0.31, 0.42], [0.7, 0.9]])
    stencil = GaugeStencil(mesh, points)
    inside = (np.minimum(mesh.coordinates.dat.data_ro, 1 - mesh.coordinates.dat.data_ro) > 1e-9).all(axis=1)
    mesh.coordinates.dat.data[inside] += 0.04 * np.random.default_rng(1).uniform(-1, 1, (inside.sum(), 2))
    x, y = SpatialCoordinate(mesh)
    state = Function(ShallowWater(bathymetry=bathymetry(mesh, 0.0)).space()).interpolate(
        as_vector([1 + 2 * x + 3 * y, x, y])
    )
    assert np.abs(stencil.evaluate(state) - expected(points)).max() > 1e-3  # the old cells are wrong now
    stencil.locate()
    assert stencil.evaluate(state) == pytest.approx(expected(points), abs=1e-12)


def test_a_point_outside_is_named(linear):
    with pytest.raises(ValueError, match=r"gauges: got \[\[1.5, 0.5\]\], expected points inside the mesh"):
        GaugeStencil(linear[0], np.array([[0.5, 0.5], [1.5, 0.5]]))


def test_recorder_samples_at_regular_times_linearly_in_between(linear):
    mesh, problem, _ = linear
    state = Function(problem.space())
    points = np.array([[0.3, 0.4]])
    recorder = GaugeRecorder(GaugeStencil(mesh, points), state, problem.bathymetry, interval=0.1)
    for t in (0.0, 0.07, 0.31, 0.4, 1.0):
        state.assign(0.0)
        state.dat.data[:, 0] = 2 + 5 * t
        recorder.record(t)
    times, values = recorder.gather()
    assert times == pytest.approx(np.arange(11) * 0.1)
    bed = points[0, 0] - points[0, 1]
    assert values[:, 0, 0] == pytest.approx(2 + 5 * times + bed, abs=1e-12)


def test_takacs_parts_add_up_to_the_mean_square_error():
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((2, 400))
    assert sum(takacs_split(u, v)) == pytest.approx(((u - v) ** 2).mean(), rel=1e-12)
    phase = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    damped = takacs_split(0.5 * np.sin(phase), np.sin(phase))
    shifted = takacs_split(np.sin(phase - 0.3), np.sin(phase))
    assert damped[1] == pytest.approx(0, abs=1e-12)
    assert damped[0] == pytest.approx(0.125, rel=1e-12)  # (1/sqrt2 - 0.5/sqrt2)^2
    assert shifted[0] == pytest.approx(0, abs=1e-12)


def test_compare_gauge_finds_peak_lag_and_offset():
    t = np.linspace(0, 10, 1001)
    hump = 0.04 * np.exp(-((t - 5) ** 2))
    found = compare_gauge(t, 1.1 * np.interp(t - 0.5, t, hump), t, hump)
    assert found["peak_error_pct"] == pytest.approx(10, abs=1e-6)
    assert found["peak_time"] - found["reference_peak_time"] == pytest.approx(0.5, abs=0.011)
    assert found["arrival_error_s"] == pytest.approx(0.5, abs=0.011)
    assert compare_gauge(t, hump + 0.002, t, hump)["rmse"] == pytest.approx(0.002, rel=1e-9)
    assert arrival_time(t, hump) < 5
