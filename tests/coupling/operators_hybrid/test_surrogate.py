"""Steps of a surrogate: within the tolerance, or the finite-element step in its place; useless ones change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
from firedrake import (
    Constant,
    DirichletBC,
    Function,
    FunctionSpace,
    Mesh,
    SpatialCoordinate,
    TestFunction,
    TrialFunction,
    UnitCubeMesh,
    UnitIntervalMesh,
    UnitSquareMesh,
    VectorFunctionSpace,
    assemble,
    dx,
    exp,
    grad,
    inner,
    sin,
)
from firedrake.exceptions import ConvergenceError
from scipy.sparse.linalg import splu

from coupling.driver import MovingMesh
from coupling.implicit_euler import ImplicitEuler, least_mass_eigenvalue
from coupling.operator_matrices import csr
from coupling.surrogate import ImplicitStep, SurrogateStepper
from fem.solver_parameters import CG_GAMG, LU
from fem.timestep import StepStatus
from learned.operators.spon import SPON
from meshing.mover import Displacement, Mover

DT, TOLERANCE = 0.05, 1e-3


class Heat:
    """Diffusion from a hot spot between walls of given temperature, and matrices of its own to check against."""

    def __init__(self, degree: int = 1, size: int = 12, vectors: bool = False, **options):
        self.mesh = UnitSquareMesh(size, size)
        self.space = (VectorFunctionSpace if vectors else FunctionSpace)(self.mesh, "CG", degree)
        x = SpatialCoordinate(self.mesh)
        u, v = TrialFunction(self.space), TestFunction(self.space)
        wall = Function(self.space)
        if not vectors:
            wall.interpolate(x[0] * x[1])
        self.bcs = [DirichletBC(self.space, wall, (1, 4))]
        self.form = (0.2 + x[0]) * inner(grad(u), grad(v)) * dx
        self.source = inner(Constant((1.0, -2.0)) if vectors else 1 + sin(5 * x[1]), v) * dx
        self.euler = ImplicitEuler(self.form, self.source, self.bcs, **({"parameters": LU} | options))
        self.state = Function(self.space)
        if not vectors:
            self.state.interpolate(exp(-30 * ((x[0] - 0.6) ** 2 + (x[1] - 0.4) ** 2)))
        for bc in self.bcs:
            bc.apply(self.state)
        self.mass, self.stiffness = csr(inner(u, v) * dx), csr(self.form)
        self.load = assemble(self.source).dat.data_ro.ravel().copy()
        marks = Function(self.space)
        for bc in self.bcs:
            bc.set(marks, 1.0)
        self.free = np.flatnonzero(marks.dat.data_ro.ravel() == 0.0)
        self.values = self.state.dat.data_ro.ravel().copy()

    def stepped(self, before: np.ndarray, dt: float = DT) -> np.ndarray:
        """The step by matrices of scipy."""
        left = self.mass + dt * self.stiffness
        after = np.zeros_like(before)
        fixed = np.setdiff1d(np.arange(len(before)), self.free)
        after[fixed] = self.values[fixed]
        right = (self.mass @ before + dt * self.load - left @ after)[self.free]
        after[self.free] = splu(left[np.ix_(self.free, self.free)].tocsc()).solve(right)
        return after

    def length(self, difference: np.ndarray) -> float:
        return float(np.sqrt(difference @ (self.mass @ difference)))

    def stepper(self, surrogate, tolerance: float = TOLERANCE) -> SurrogateStepper:
        return SurrogateStepper(self.state, lambda: surrogate, self.euler, dt=DT, tolerance=tolerance)

    def network(self):
        torch.manual_seed(0)
        return self.euler.surrogate(SPON(landmarks=24), DT, sweeps=2)

    def run(self, stepper: SurrogateStepper, steps: int = 6) -> list[np.ndarray]:
        states = [self.state.dat.data_ro.ravel().copy()]
        for _ in range(steps):
            assert stepper.step(0.0, 1.0).status is StepStatus.DONE
            states.append(self.state.dat.data_ro.ravel().copy())
        return states

    def without_surrogate(self, steps: int = 6) -> list[np.ndarray]:
        state, after = self.state.copy(deepcopy=True), Function(self.space)
        states = [state.dat.data_ro.ravel().copy()]
        for _ in range(steps):
            self.euler.solve(state, state, after, DT)
            state.assign(after)
            states.append(state.dat.data_ro.ravel().copy())
        return states


def bound(heat: Heat, before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """The residual's norm and that of what it is relative to, by matrices of scipy: both in the diagonal of M."""
    residual = (heat.mass + DT * heat.stiffness) @ after - heat.mass @ before - DT * heat.load
    right, diagonal = heat.mass @ before + DT * heat.load, heat.mass.diagonal()
    rho, load = (np.sqrt((part**2 / diagonal)[heat.free].sum()) for part in (residual, right))
    # The least eigenvalue is 1/2 for linear triangles (Wathen 1987).
    return np.sqrt(2.0) * rho, load


@pytest.mark.parametrize("tolerance", [0.3, 3e-3, 1e-9])
def test_every_step_is_within_the_tolerance_and_the_run_within_the_sum_of_the_bounds(tolerance: float) -> None:
    heat = Heat()
    stepper = heat.stepper(heat.network(), tolerance)
    states = heat.run(stepper)
    exact, allowed = states[0], 0.0
    for before, after in pairwise(states):
        rho, load = bound(heat, before, after)
        assert rho <= tolerance * load * (1.0 + 1e-9)
        exact, allowed = heat.stepped(exact), allowed + rho
        # Rounding of a direct solve is some 1e-13.
        assert heat.length(after - exact) <= allowed + 1e-12
    record = stepper.record
    assert record.accepted + record.corrected == 6
    assert record.worst <= tolerance
    # A loose tolerance lets the network go on alone; it never reaches that of a direct solve.
    assert (record.accepted == 6, record.corrected == 6) == (tolerance == 0.3, tolerance == 1e-9)


def broken(heat: Heat) -> dict:
    rng = np.random.default_rng(4)

    def beside_the_wall(values: np.ndarray) -> np.ndarray:
        after = heat.stepped(values)
        after[np.setdiff1d(np.arange(len(after)), heat.free)[0]] += 1e-15
        return after

    return {
        "random": lambda values: rng.normal(size=values.shape),
        "nan": lambda values: np.full_like(values, np.nan),
        "huge": lambda values: np.full_like(values, 1e300),
        "boundary": beside_the_wall,
    }


@pytest.mark.parametrize("name", ["random", "nan", "huge", "boundary"])
def test_a_useless_surrogate_gives_the_finite_element_run_bit_for_bit(name: str) -> None:
    heat = Heat()
    expected = heat.without_surrogate()
    stepper = heat.stepper(broken(heat)[name])
    states = heat.run(stepper)
    np.testing.assert_array_equal(states, expected)
    record = stepper.record
    assert (record.accepted, record.corrected, record.warm) == (0, 6, 0)


def test_a_perfect_surrogate_is_never_corrected() -> None:
    heat = Heat()
    stepper = heat.stepper(heat.stepped, tolerance=1e-11)
    heat.run(stepper)
    assert (stepper.record.accepted, stepper.record.corrected) == (6, 0)


def test_a_step_that_is_near_but_not_near_enough_is_where_the_solve_begins() -> None:
    heat = Heat()
    heat.euler = ImplicitEuler(heat.form, heat.source, heat.bcs)
    seen = []

    def near(values: np.ndarray) -> np.ndarray:
        after = heat.stepped(values)
        after[heat.free] *= 1.02
        seen.append(after)
        return after

    stepper = heat.stepper(near)
    states = heat.run(stepper, steps=3)
    assert (stepper.record.corrected, stepper.record.warm, stepper.record.accepted) == (3, 3, 0)
    for before, after in pairwise(states):
        # The solver's tolerance is 1e-10, its system as good as a mass matrix.
        assert heat.length(after - heat.stepped(before)) <= 1e-8 * heat.length(after)


def test_a_shorter_step_at_the_end_is_solved_for() -> None:
    heat = Heat()
    before = heat.values
    stepper = heat.stepper(heat.stepped)
    result = stepper.step(0.0, 0.4 * DT)
    assert (result.status, result.dt) == (StepStatus.DONE, 0.4 * DT)
    assert (stepper.record.accepted, stepper.record.corrected) == (0, 1)
    expected = heat.stepped(before, 0.4 * DT)
    np.testing.assert_allclose(heat.state.dat.data_ro, expected, rtol=0, atol=1e-12)
    # And a whole one is one again, but for rounding.
    assert stepper.step(0.0, DT * (1.0 - 1e-12)).dt == DT
    assert stepper.record.accepted == 1


class Failing(ImplicitStep):
    """Solves that fail, or miss the tolerance."""

    def __init__(self, failure: Exception | None):
        self.failure = failure

    def solve(self, before, start, after, dt) -> None:
        if self.failure is not None:
            raise self.failure
        after.assign(1.0)

    def residual(self, before, after, dt) -> float:
        return 1.0

    def mesh_changed(self) -> None:
        pass


@pytest.mark.parametrize("failure", [ConvergenceError("it has diverged"), None])
def test_a_solve_that_fails_leaves_the_state_as_it_was(failure: Exception | None) -> None:
    state = Function(FunctionSpace(UnitIntervalMesh(3), "CG", 1)).assign(7.0)
    stepper = SurrogateStepper(state, lambda: np.copy, Failing(failure), dt=1.0, tolerance=1e-3)
    result = stepper.step(0.0, 1.0)
    assert (result.status, result.dt) == (StepStatus.FAILED, 0.0)
    assert (state.dat.data_ro == 7.0).all()
    assert (stepper.record.accepted, stepper.record.corrected) == (0, 0)


def wrong_steps(heat: Heat) -> Iterator[np.ndarray]:
    """What is to be added to a step: rough, smooth, in one place, and the state before; small and large."""
    rng, n = np.random.default_rng(6), len(heat.values)
    for size in (1e-6, 1.0):
        for kind in (rng.normal(size=n), np.ones(n), np.eye(n)[heat.free[3]], 0.1 + heat.values):
            wrong = np.zeros(n)
            wrong[heat.free] = size * kind[heat.free]
            yield wrong


@pytest.mark.parametrize(("degree", "vectors"), [(1, False), (2, False), (1, True)])
@pytest.mark.parametrize("sharp", [False, True])
def test_the_bound_is_above_the_error_whatever_is_wrong(degree: int, vectors: bool, sharp: bool) -> None:
    heat = Heat(degree, 6, vectors, parameters=CG_GAMG, sharp=sharp)
    after, exact = Function(heat.space), heat.stepped(heat.values)
    energy = heat.mass + DT * heat.stiffness
    for wrong in wrong_steps(heat):
        after.dat.data_wo[...] = (exact + wrong).reshape(after.dat.data_ro.shape)
        rho, load = heat.euler.error_bound(heat.state, after, DT)
        # An eigenvalue found by conjugate gradients is above the true one by what they have not yet converged to.
        assert heat.length(wrong) <= rho * (1.0 + (0.02 if sharp else 1e-9))
        assert heat.euler.residual(heat.state, after, DT) == rho / load
        if sharp:
            assert rho <= 2.0 * np.sqrt(wrong @ (energy @ wrong))


def test_of_long_steps_on_fine_meshes_the_sharp_bound_lets_a_network_go_on_that_the_other_stops() -> None:
    counts = []
    for sharp in (False, True):
        heat = Heat(size=32, parameters=CG_GAMG, sharp=sharp)
        stepper = heat.stepper(heat.network(), tolerance=0.01)
        states = heat.run(stepper)
        counts.append(stepper.record.accepted)
        for before, after in pairwise(states):
            assert heat.length(after - heat.stepped(before)) <= 0.01 * bound(heat, before, after)[1] * 1.02
    assert counts[0] < counts[1]


@pytest.mark.parametrize(("mesh", "expected"), [(UnitIntervalMesh, 0.5), (UnitSquareMesh, 0.5), (UnitCubeMesh, 0.5)])
def test_the_least_eigenvalue_of_linear_simplices_is_that_of_wathen(mesh, expected: float) -> None:
    space = FunctionSpace(mesh(*[2] * (1 + [UnitIntervalMesh, UnitSquareMesh, UnitCubeMesh].index(mesh))), "CG", 1)
    assert least_mass_eigenvalue(space) == pytest.approx(expected, rel=1e-12)


def test_the_bound_refuses_cells_that_are_not_simplices() -> None:
    space = FunctionSpace(UnitSquareMesh(2, 2, quadrilateral=True), "CG", 1)
    with pytest.raises(ValueError, match=r"^space: got cells quadrilateral, expected one of interval, triangle, tetra"):
        least_mass_eigenvalue(space)


class Stirring(Mover):
    """Turn the inner vertices about the middle."""

    def displacement(self, mesh, monitor) -> Displacement:
        function = Function(mesh.coordinates.function_space())
        x, y = mesh.coordinates.dat.data_ro.T
        share = 0.1 * np.sin(np.pi * x) * np.sin(np.pi * y)
        function.dat.data_wo[:] = share[:, None] * np.stack([0.5 - y, x - 0.5], axis=1)
        return Displacement(function)


def test_on_a_moving_mesh_the_surrogate_is_made_anew_and_steps_stay_within_the_tolerance() -> None:
    heat = Heat()
    made = []

    def make():
        made.append(heat.network())
        return made[-1]

    stepper = SurrogateStepper(heat.state, make, heat.euler, dt=DT, tolerance=0.3)

    def carry(moved: Mesh):
        # The same values at vertices that have moved: what a step makes of them is what is tested.
        return [(heat.state, Function(FunctionSpace(moved, "CG", 1), val=heat.state.dat))]

    def no_monitor():
        return lambda mesh: None

    moving = MovingMesh(heat.mesh, Stirring(), no_monitor, carry, refresh=stepper.mesh_changed)
    for _ in range(3):
        before = heat.state.dat.data_ro.copy()
        assert stepper.step(0.0, DT).status is StepStatus.DONE
        u, v = TrialFunction(heat.space), TestFunction(heat.space)
        heat.mass, heat.stiffness = csr(inner(u, v) * dx), csr(heat.form)
        heat.load = assemble(heat.source).dat.data_ro.copy()
        rho, load = bound(heat, before, heat.state.dat.data_ro)
        assert rho <= 0.3 * load * (1.0 + 1e-9)
        assert moving.after_step()
    assert len(made) == 3
    assert stepper.record.accepted == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dt": 0.0}, "dt: got 0.0, expected a positive number s"),
        ({"tolerance": float("nan")}, "tolerance: got nan, expected a positive number"),
    ],
)
def test_what_is_not_positive_is_refused(options: dict, message: str) -> None:
    state = Function(FunctionSpace(UnitIntervalMesh(3), "CG", 1))
    with pytest.raises(ValueError) as refused:
        SurrogateStepper(state, lambda: np.copy, Failing(None), **({"dt": 1.0, "tolerance": 0.1} | options))
    assert str(refused.value) == message
