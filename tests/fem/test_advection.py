"""Advection and the scalar stepper: constants, bounds, mass, steps that fail; on two ranks as on one.

As a script, ``test_advection.py FOLDER``, it runs advection and Burgers on the ranks there are and writes the states.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
from advection_runs import ROUND_OFF, advance, nodes, uniform
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
    div,
    dx,
    exp,
    interpolate,
    sin,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.validation.experiments import distorted_square
from fem.problems.advection import Advection, swirling_flow
from fem.problems.burgers import Burgers, travelling_front
from fem.scalar_stepper import ScalarStepper
from fem.timestep import TABLEAUX, StepStatus


def swirl_problem(mesh, degree=1, **change):
    return Advection(mesh=mesh, degree=degree, potential=swirling_flow(speed=1.0, period=1.5), **change)


# -- constants, bounds, mass --------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [0, 1])
def test_constant_state_stays_constant(degree):
    problem = swirl_problem(distorted_square(10), degree)
    state = Function(problem.space()).assign(0.7)
    advance(ScalarStepper(problem, state), 0.0, 0.5)
    assert state.dat.data_ro == pytest.approx(0.7, rel=0, abs=ROUND_OFF)


@pytest.mark.parametrize("degree", [0, 1])
def test_constant_state_stays_constant_in_3d(degree):
    """In a flow from a vector potential whose curl runs along the sides; the inflow side is checked by the wave."""
    mesh = UnitCubeMesh(3, 3, 3)

    def potential(x, t):
        bump = x[0] * (1 - x[0]) * x[1] * (1 - x[1]) * x[2] * (1 - x[2])
        return as_vector([bump, (2 + t) * bump, -bump])

    problem = Advection(mesh=mesh, degree=degree, potential=potential)
    state = Function(problem.space()).assign(0.7)
    stepper = ScalarStepper(problem, state)
    assert np.isfinite(stepper.allowed_step)
    for _ in range(10):
        assert stepper.step(0.0, 1.0).status is StepStatus.DONE
    assert state.dat.data_ro == pytest.approx(0.7, rel=0, abs=ROUND_OFF)


@pytest.mark.parametrize("degree", [0, 1])
def test_box_in_3d_keeps_bounds_and_mass(degree):
    mesh = UnitCubeMesh(4, 4, 4)
    problem = Advection(
        mesh=mesh,
        degree=degree,
        potential=lambda x, t: as_vector([0.3 * x[2], 0.5 * x[0], 0.8 * x[1]]),
        boundary=lambda x, t: Constant(0.0),
    )
    x = SpatialCoordinate(mesh)
    state = Function(problem.space()).interpolate(conditional(abs(x[0] - 0.5) + abs(x[1] - 0.5) < 0.3, 1.0, 0.0))
    stepper = ScalarStepper(problem, state)
    mass = stepper.mass()
    advance(stepper, 0.0, 0.5)
    assert state.dat.data_ro.min() >= -ROUND_OFF
    assert 0.1 < state.dat.data_ro.max() <= 1.0 + ROUND_OFF
    assert stepper.inflow < -0.01
    assert abs(stepper.mass() - mass - stepper.inflow) <= ROUND_OFF


@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), degree=st.sampled_from([0, 1]), scheme=st.sampled_from(sorted(TABLEAUX)))
def test_values_stay_between_those_before_from_any_state(seed, degree, scheme):
    problem = swirl_problem(_square(), degree)
    state = Function(problem.space())
    state.dat.data[:] = np.random.default_rng(seed).uniform(0.0, 1.0, len(state.dat.data_ro)).round()
    stepper = ScalarStepper(problem, state, tableau=scheme)
    mass, t = stepper.mass(), 0.0
    for _ in range(8):
        result = stepper.step(t, 1.0)
        assert (result.status, result.retries) == (StepStatus.DONE, 0)
        t += result.dt
        assert state.dat.data_ro.min() >= -ROUND_OFF
        assert state.dat.data_ro.max() <= 1.0 + ROUND_OFF
    assert abs(stepper.mass() - mass) <= ROUND_OFF


_SQUARE = []


def _square():
    if not _SQUARE:
        _SQUARE.append(distorted_square(5))
    return _SQUARE[0]


def test_values_stay_between_those_of_the_cells_that_touch():
    """A step of one stage, checked cell by cell: the bounds are local, and wide enough for the means."""
    problem = swirl_problem(_square())
    state = Function(problem.space())
    state.dat.data[:] = np.random.default_rng(5).uniform(0, 1, len(state.dat.data_ro))
    before = state.dat.data_ro[state.cell_node_map().values].copy()
    corners = _square().coordinates.cell_node_map().values
    ScalarStepper(problem, state, tableau="euler").step(0.0, 1.0)
    after = state.dat.data_ro[state.cell_node_map().values]
    assert np.abs(after - before).max() > 0.01
    tight = 0
    for cell, values in zip(corners, after, strict=True):
        touching = before[np.isin(corners, cell).any(axis=1)]
        assert touching.min() - ROUND_OFF <= values.min()
        assert values.max() <= touching.max() + ROUND_OFF
        tight += touching.min() > before.min()
    assert tight > 0


def test_inner_cells_are_not_bounded_by_far_boundary_values():
    """Boundary values of 5 bound nothing inside, where all is between 0 and 1."""
    mesh = UnitSquareMesh(8, 8, diagonal="crossed")
    problem = Advection(mesh=mesh, potential=uniform, boundary=lambda x, t: Constant(5.0))
    state = Function(problem.space())
    state.dat.data[:] = np.random.default_rng(2).uniform(0, 1, len(state.dat.data_ro)).round()
    ScalarStepper(problem, state, tableau="euler").step(0.0, 1.0)
    inside = (np.abs(nodes(mesh, 1) - 0.5) < 0.2).all(axis=1)
    assert state.dat.data_ro[inside].min() >= 0.0 - ROUND_OFF
    assert state.dat.data_ro[inside].max() <= 1.0 + ROUND_OFF
    assert state.dat.data_ro.max() > 1.0  # what has come in


@pytest.mark.parametrize("degree", [0, 1])
@pytest.mark.parametrize("boundary", [None, lambda x, t: Constant(0.7)], ids=["closed", "open"])
def test_mesh_velocity_only_dilates_a_constant_state(degree, boundary):
    """With u constant, the terms of a mesh velocity w sum to (div w) u, by which a cell that grows keeps u constant."""
    mesh = distorted_square(6)
    x, y = SpatialCoordinate(mesh)
    bump = x * (1 - x) * y * (1 - y)
    velocity = Function(VectorFunctionSpace(mesh, "CG", 1)).interpolate(as_vector([bump * (1 + y), -2 * bump * x]))
    problem = swirl_problem(mesh, degree, boundary=boundary)
    problem.set_time(0.1)
    state = Function(problem.space()).assign(0.7)
    test = TestFunction(problem.space())
    moving = assemble(problem.residual(state, test, mesh_velocity=velocity)).dat.data_ro
    dilation = assemble(div(velocity) * state * test * dx).dat.data_ro
    assert np.abs(dilation).max() > 1e-4
    assert moving == pytest.approx(dilation, abs=1e-14)


def test_coordinates_changed_in_place_are_all_the_stepper_needs():
    """After a move it does what a stepper made on the moved mesh does."""
    mesh, there = UnitSquareMesh(8, 8), UnitSquareMesh(8, 8)

    def hump(mesh):
        x, y = SpatialCoordinate(mesh)
        return exp(-20 * ((x - 0.4) ** 2 + (y - 0.6) ** 2))

    problem = swirl_problem(mesh)
    state = Function(problem.space()).interpolate(hump(mesh))
    stepper = ScalarStepper(problem, state)
    t = stepper.step(0.0, 1.0).dt
    points = mesh.coordinates.dat.data_ro
    moved = points + 0.1 * np.sin(np.pi * points) ** 2
    mesh.coordinates.dat.data[:] = there.coordinates.dat.data[:] = moved
    stepper.mesh_changed()

    other = Function(swirl_problem(there).space())
    other.dat.data[:] = state.dat.data_ro
    fresh = ScalarStepper(swirl_problem(there), other)
    fresh.problem.set_time(t)
    fresh.state_changed()
    assert stepper.mass() == pytest.approx(fresh.mass(), rel=1e-15)
    assert stepper.allowed_step == pytest.approx(fresh.allowed_step, rel=1e-15)
    for _ in range(3):
        one, two = stepper.step(t, 1.0), fresh.step(t, 1.0)
        assert one.dt == pytest.approx(two.dt, rel=1e-14)
        t += one.dt
    assert state.dat.data_ro == pytest.approx(other.dat.data_ro, abs=1e-14)


# -- failure ------------------------------------------------------------------------------------------------------


def test_a_step_that_leaves_the_bounds_is_taken_back_and_halved():
    mesh = RectangleMesh(8, 8, 1.0, 1.0, diagonal="crossed")
    problem = Advection(mesh=mesh, potential=uniform, boundary=lambda x, t: Constant(0.25))
    state = Function(problem.space())
    state.dat.data[:] = np.random.default_rng(3).uniform(0, 1, len(state.dat.data_ro)).round()
    stepper = ScalarStepper(problem, state, courant=10.0)
    mass, allowed = stepper.mass(), stepper.allowed_step
    result = stepper.step(0.0, 1.0)
    assert result.status is StepStatus.DONE
    assert result.retries > 0
    assert result.dt == allowed * 0.5**result.retries
    assert state.dat.data_ro.min() >= -ROUND_OFF
    assert state.dat.data_ro.max() <= 1.0 + ROUND_OFF
    assert abs(stepper.mass() - mass - stepper.inflow) <= ROUND_OFF


def test_the_state_is_untouched_when_no_step_is_valid(monkeypatch):
    problem = swirl_problem(_square())
    state = Function(problem.space()).interpolate(SpatialCoordinate(_square())[0])
    stepper = ScalarStepper(problem, state)
    before, run = state.dat.data_ro.copy(), stepper._run_stages
    monkeypatch.setattr(stepper, "_run_stages", lambda t, dt: run(t, dt) and False)
    assert stepper.step(0.0, 1.0).status is StepStatus.FAILED
    assert (state.dat.data_ro == before).all()
    assert stepper.inflow == 0.0


@pytest.mark.parametrize("degree", [0, 1])
def test_a_value_that_is_not_finite_fails_the_step(degree):
    problem = swirl_problem(_square(), degree)
    state = Function(problem.space()).assign(1.0)
    stepper = ScalarStepper(problem, state)
    state.dat.data[5] = np.nan
    assert stepper.step(0.0, 1.0).status is StepStatus.FAILED


def test_bad_parameters_are_named():
    problem = swirl_problem(_square())
    state = Function(problem.space()).assign(1.0)
    with pytest.raises(ValueError, match="scheme: got 'rk9', expected one of euler"):
        ScalarStepper(problem, state, tableau="rk9")
    with pytest.raises(ValueError, match="courant: got 0, expected a positive number"):
        ScalarStepper(problem, state, courant=0)
    with pytest.raises(ValueError, match="order: got polynomial degree 2, expected 0 or 1"):
        swirl_problem(_square(), 2)
    state.dat.data[3] = np.inf
    with pytest.raises(ValueError, match="initial state: got NaN or infinity, expected finite values"):
        ScalarStepper(problem, state)


# -- two ranks ----------------------------------------------------------------------------------------------------


@pytest.mark.parallel
def test_two_ranks_do_what_one_does(mpiexec, tmp_path):
    folders = {ranks: tmp_path / str(ranks) for ranks in (1, 2)}
    for ranks, folder in folders.items():
        folder.mkdir()
        outcome = mpiexec(ranks, [sys.executable, Path(__file__), folder])
        assert (outcome.code, outcome.err) == (0, "")
    for law in ("advection", "burgers"):
        serial, parallel = (np.load(folder / f"{law}.npz") for folder in folders.values())
        order = [np.lexsort(np.c_[run["place"], run["cell"]].round(9).T) for run in (serial, parallel)]
        assert (serial["ranks"], parallel["ranks"]) == (1, 2)
        assert np.ptp(serial["state"]) > 0.5
        for name in ("place", "state"):
            np.testing.assert_allclose(parallel[name][order[1]], serial[name][order[0]], rtol=0, atol=1e-12)
        for name in ("dt", "mass", "inflow"):
            assert parallel[name] == pytest.approx(serial[name], rel=1e-12)


def _write_runs(folder):
    """Run both laws from rough states, so that the limiter works in most cells."""
    mesh = UnitSquareMesh(10, 9)
    x, y = SpatialCoordinate(mesh)
    laws = {
        "advection": Advection(mesh=mesh, potential=uniform, boundary=lambda x, t: 0.5 + 0.5 * sin(5 * t + 3 * x[1])),
        "burgers": Burgers(mesh=mesh, viscosity=0.005, boundary=travelling_front(viscosity=0.005)),
    }
    place, centre = nodes(mesh, 1), Function(FunctionSpace(mesh, "DG", 0)).interpolate(7 * x + y)
    cell = assemble(interpolate(centre, laws["burgers"].space())).dat.data_ro  # tells nodes at the same place apart
    for name, problem in laws.items():
        state = Function(problem.space())
        state.dat.data[:] = np.sin(91 * cell + 57 * place[:, 0] + 73 * place[:, 1]) > 0
        stepper = ScalarStepper(problem, state)
        t, steps = 0.0, []
        for _ in range(10):
            result = stepper.step(t, 1.0)
            assert result.status is StepStatus.DONE
            t += result.dt
            steps.append(result.dt)
        fields = {"place": place, "cell": cell, "state": state.dat.data_ro}
        whole = {field: mesh.comm.gather(values) for field, values in fields.items()}
        numbers = {"dt": steps, "mass": stepper.mass(), "inflow": stepper.inflow, "ranks": mesh.comm.size}
        if mesh.comm.rank == 0:
            arrays = {field: np.concatenate(parts) for field, parts in whole.items()}
            np.savez(Path(folder) / f"{name}.npz", **arrays, **numbers)


if __name__ == "__main__":
    _write_runs(sys.argv[1])
