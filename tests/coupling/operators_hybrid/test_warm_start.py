"""Warm starts keep the solver's tolerance, take fewer iterations, and a bad one is as if there were none."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    DirichletBC,
    Function,
    FunctionSpace,
    LinearSolver,
    LinearVariationalProblem,
    LinearVariationalSolver,
    SpatialCoordinate,
    TestFunction,
    TrialFunction,
    UnitSquareMesh,
    assemble,
    dx,
    grad,
    inner,
)
from hybrid_problems import Hybrid, darcy, elasticity

from coupling.operator_matrices import csr
from coupling.warm_start import WarmStart
from fem.solver_parameters import LU

CG = {"ksp_type": "cg", "ksp_rtol": 1e-7, "ksp_max_it": 2000}
PRECONDITIONERS = ["jacobi", "gamg"]


@pytest.fixture(scope="module", params=[darcy, elasticity])
def hybrid(request) -> Hybrid:
    return request.param()


@pytest.mark.parametrize("pc", PRECONDITIONERS)
def test_the_tolerance_is_the_solvers_own_relative_to_the_right_hand_side(hybrid: Hybrid, pc: str) -> None:
    parameters = CG | {"pc_type": pc, "ksp_norm_type": "unpreconditioned"}
    solver = hybrid.solver(parameters)
    start = WarmStart(hybrid.inverse)
    start.attach(solver)
    u = hybrid.solve(solver)
    assert (start.record.starts, start.record.from_zero) == (1, 0)
    # What CG updates departs from the residual by rounding only, some 1e-13 of b.
    ratio = np.linalg.norm(hybrid.residual(u)) / np.linalg.norm(hybrid.lifted())
    assert 1e-9 < ratio <= 1.0001e-7


def test_petscs_usual_test_is_relative_to_the_right_hand_side_too(hybrid: Hybrid) -> None:
    solver = hybrid.solver(CG | {"pc_type": "jacobi"})
    WarmStart(hybrid.inverse).attach(solver)
    u = hybrid.solve(solver)
    diagonal = csr(hybrid.form).diagonal()[hybrid.free]
    ratio = np.linalg.norm(hybrid.residual(u) / diagonal) / np.linalg.norm(hybrid.lifted() / diagonal)
    assert 1e-9 < ratio <= 1.0001e-7


@pytest.mark.parametrize("pc", PRECONDITIONERS)
def test_fewer_iterations_lead_to_an_answer_as_good_as_from_zero(hybrid: Hybrid, pc: str) -> None:
    exact, solver = hybrid.exact(), hybrid.solver(CG | {"pc_type": pc, "ksp_norm_type": "natural"})
    ksp = solver.snes.ksp
    ksp.setComputeSingularValues(True)
    hybrid.solve(solver)
    without, (largest, least) = ksp.getIterationNumber(), ksp.computeExtremeSingularValues()
    WarmStart(hybrid.inverse).attach(solver)
    error = hybrid.solve(solver) - exact
    assert ksp.getIterationNumber() < without
    # r.Br <= tol^2 b.Bb, and r.Br is e.Ae times something between the eigenvalues of BA, to the digits of Ritz values.
    assert hybrid.energy(error) <= 1.1 * 1e-7 * np.sqrt(largest / least) * hybrid.energy(exact - hybrid.given())


def test_the_prediction_is_the_networks_solution(hybrid: Hybrid) -> None:
    seen = []

    def noted(b: np.ndarray) -> np.ndarray:
        seen.append(hybrid.inverse(b))
        return seen[-1]

    solver = hybrid.solver(CG | {"pc_type": "jacobi", "ksp_max_it": 1, "snes_max_linear_solve_fail": 9})
    WarmStart(noted).attach(solver)
    hybrid.found.assign(0.0)
    solver.snes.ksp.setConvergenceTest(lambda ksp, its, norm: True)
    solver.solve()
    # Without an iteration the solver returns where it began; its unknown is the step away from the boundary values.
    expected = hybrid.given() - seen[0]
    np.testing.assert_array_equal(hybrid.found.dat.data_ro.ravel(), expected)
    error = hybrid.energy(expected - hybrid.exact())
    assert error < 0.5 * hybrid.energy(hybrid.given() - hybrid.exact())


def useless(hybrid: Hybrid) -> dict[str, np.ndarray]:
    step = hybrid.lifted()
    rough = np.zeros(hybrid.inverse.size)
    rough[hybrid.free] = np.random.default_rng(3).normal(size=len(hybrid.free)) * abs(hybrid.exact()).max()
    wrong = np.zeros_like(rough)
    wrong[hybrid.free] = step
    nothing = {name: np.full_like(rough, value) for name, value in (("nan", np.nan), ("inf", np.inf), ("zero", 0.0))}
    return {"rough": rough, "away": hybrid.inverse(wrong), **nothing}


@pytest.mark.parametrize("name", ["rough", "away", "nan", "inf", "zero"])
def test_a_useless_prediction_changes_no_bit_and_no_iteration(hybrid: Hybrid, name: str) -> None:
    solver = hybrid.solver(CG | {"pc_type": "jacobi"})
    expected = hybrid.solve(solver)
    iterations = solver.snes.ksp.getIterationNumber()
    bad = useless(hybrid)[name]
    start = WarmStart(lambda b: bad)
    start.attach(solver)
    found = hybrid.solve(solver)
    assert (start.record.starts, start.record.from_zero) == (1, 1)
    assert solver.snes.ksp.getIterationNumber() == iterations
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("share", "taken"), [(1e-6, True), (1.0, True), (1.99, True), (2.01, False), (-1e-6, False)])
def test_a_prediction_counts_if_it_is_nearer_in_energy_than_zero(hybrid: Hybrid, share: float, taken: bool) -> None:
    step = hybrid.given() - hybrid.exact()
    solver = hybrid.solver(CG | {"pc_type": "jacobi"})
    start = WarmStart(lambda b: share * step)
    start.attach(solver)
    hybrid.solve(solver)
    assert start.record.from_zero == (not taken)
    if share == 1.0:
        assert solver.snes.ksp.getIterationNumber() == 0


def test_what_is_known_to_be_nearer_is_taken_as_it_is(hybrid: Hybrid) -> None:
    checked, known = (hybrid.solver(CG | {"pc_type": "jacobi"}) for _ in range(2))
    starts = WarmStart(hybrid.inverse.start), WarmStart(hybrid.inverse.start, norm=None)
    for solver, start in zip((checked, known), starts, strict=True):
        start.attach(solver)
    np.testing.assert_array_equal(hybrid.solve(known), hybrid.solve(checked))
    assert [start.record.from_zero for start in starts] == [0, 0]
    # Without the check also what is worse.
    away = [WarmStart(lambda b: -hybrid.inverse.start(b), norm=norm) for norm in ("energy", None)]
    for solver, start in zip((checked, known), away, strict=True):
        start.attach(solver)
        hybrid.solve(solver)
    assert [start.record.from_zero for start in away] == [1, 0]


def test_a_direct_solver_goes_on_as_it_does(hybrid: Hybrid) -> None:
    solver = hybrid.solver(LU)
    expected = hybrid.solve(solver)
    start = WarmStart(hybrid.inverse)
    start.attach(solver)
    np.testing.assert_array_equal(hybrid.solve(solver), expected)
    assert (start.record.starts, start.record.from_zero) == (1, 1)


def test_later_right_hand_sides_have_their_own_starts(hybrid: Hybrid) -> None:
    solver = hybrid.solver(CG | {"pc_type": "jacobi"})
    fresh = []
    for factor in (1.0, np.nan, 1.0):
        start = WarmStart(lambda b, factor=factor: factor * hybrid.inverse(b))
        start.attach(solver)
        fresh.append((hybrid.solve(solver), start.record.from_zero))
    assert [count for _, count in fresh] == [0, 1, 0]
    np.testing.assert_array_equal(fresh[0][0], fresh[2][0])


def test_a_linear_solver_with_boundary_values_in_its_right_hand_side_starts_at_the_networks_solution() -> None:
    hybrid = darcy()
    solver = LinearSolver(
        assemble(hybrid.form, bcs=hybrid.bcs), solver_parameters=CG | {"pc_type": "jacobi", "ksp_rtol": 1e-9}
    )
    start = WarmStart(hybrid.inverse)
    start.attach(solver)
    u = Function(hybrid.space)
    solver.solve(u, assemble(hybrid.load, bcs=hybrid.bcs, zero_bc_nodes=False))
    assert start.record.from_zero == 0
    exact = hybrid.exact()
    assert hybrid.energy(u.dat.data_ro - exact) <= 1e-6 * hybrid.energy(exact)


@pytest.mark.parametrize(("share", "taken"), [(0.9, True), (2.1, False)])
def test_of_what_is_not_symmetric_the_residual_decides(share: float, taken: bool) -> None:
    mesh = UnitSquareMesh(12, 12)
    space, (x, y) = FunctionSpace(mesh, "CG", 1), SpatialCoordinate(mesh)
    u, v, found = TrialFunction(space), TestFunction(space), Function(space)
    form = inner(grad(u), grad(v)) * dx + 10 * (u.dx(0) - y * u.dx(1)) * v * dx
    problem = LinearVariationalProblem(form, (1 + x) * v * dx, found, bcs=DirichletBC(space, 0, "on_boundary"))
    solver = LinearVariationalSolver(
        problem, solver_parameters={"ksp_type": "gmres", "pc_type": "ilu", "ksp_rtol": 1e-10}
    )
    solver.solve()
    expected = found.dat.data_ro.copy()
    start = WarmStart(lambda b: -share * expected, norm="residual")
    start.attach(solver)
    found.assign(0.0)
    solver.solve()
    assert start.record.from_zero == (not taken)
    # Residuals of 1e-10 times a condition of at most some hundred, after ILU.
    np.testing.assert_allclose(found.dat.data_ro, expected, rtol=0, atol=1e-8 * np.abs(expected).max())


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^norm: got 'l2', expected 'energy' for .*, 'residual', or None$"):
        WarmStart(np.copy, norm="l2")
