"""A network's steps before Newton's method: nearer in its own norm or nowhere, with the solver's tolerance kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from firedrake import (
    Constant,
    DirichletBC,
    Function,
    FunctionSpace,
    NonlinearVariationalProblem,
    NonlinearVariationalSolver,
    SpatialCoordinate,
    TestFunction,
    UnitSquareMesh,
    VectorFunctionSpace,
    as_vector,
    assemble,
    derivative,
    dx,
    grad,
    inner,
)

from coupling.newton_start import NewtonStart
from coupling.operator_inverse import OperatorInverse, operator_problem
from coupling.warm_start import WarmStart
from fem.problems.elasticity import Material
from fem.problems.hyperelasticity import stored_energy
from fem.solver_parameters import CG_GAMG, NEWTON_LU
from learned.operators.spon import SPON

STRICT = NEWTON_LU | {"snes_rtol": 1e-9, "snes_atol": 0.0, "snes_stol": 0.0}


def diffusion() -> NonlinearVariationalProblem:
    """Diffusion that grows with the square of what diffuses."""
    space = FunctionSpace(UnitSquareMesh(16, 16), "CG", 1)
    u, v, (x, y) = Function(space), TestFunction(space), SpatialCoordinate(space.mesh())
    form = inner((1 + u**2) * grad(u), grad(v)) * dx - 8 * (1 + x) * v * dx
    return NonlinearVariationalProblem(form, u, bcs=[DirichletBC(space, x * y, (1, 3))])


def beam() -> NonlinearVariationalProblem:
    """A neo-Hookean block that bends by a tenth of its length."""
    space = VectorFunctionSpace(UnitSquareMesh(12, 6), "CG", 1)
    u, v = Function(space), TestFunction(space)
    material = Material(young=1.0, poisson=0.3)
    form = derivative(stored_energy(u, material) * dx(degree=4), u, v)
    form -= inner(Constant(as_vector([0.0, -0.03])), v) * dx
    return NonlinearVariationalProblem(form, u, bcs=[DirichletBC(space, 0, 1)])


def inverse_of(problem: NonlinearVariationalProblem) -> OperatorInverse:
    torch.manual_seed(0)
    network = SPON(landmarks=12)
    return OperatorInverse(network, operator_problem(derivative(problem.F, problem.u), problem.dirichlet_bcs()))


def force(problem: NonlinearVariationalProblem) -> np.ndarray:
    residual = assemble(problem.F)
    for bc in problem.dirichlet_bcs():
        bc.zero(residual)
    return residual.dat.data_ro.ravel().copy()


MAKERS = pytest.mark.parametrize("make", [diffusion, beam])


@MAKERS
def test_the_residual_falls_in_the_norm_of_the_operator_which_is_measured_right(make) -> None:
    problem = make()
    inverse = inverse_of(problem)
    for bc in problem.dirichlet_bcs():
        bc.apply(problem.u)
    before = force(problem)
    problem.u.assign(0.0)
    result = NewtonStart(problem, inverse)()
    after = force(problem)
    assert result.steps >= 1
    assert result.after <= 0.7**result.steps * result.before
    for norm, vector in ((result.before, before), (result.after, after)):
        assert norm == pytest.approx(np.sqrt(vector @ inverse(vector)), rel=1e-12)
    assert result.residual == pytest.approx(np.linalg.norm(before), rel=1e-12)


@MAKERS
def test_newtons_method_needs_fewer_iterations_and_keeps_its_tolerance(make) -> None:
    problem = make()
    solver = NonlinearVariationalSolver(problem, solver_parameters=STRICT)
    solver.solve()
    without, expected = solver.snes.getIterationNumber(), problem.u.dat.data_ro.copy()
    problem.u.assign(0.0)
    inverse = inverse_of(problem)
    tolerances = solver.snes.getTolerances()
    result = NewtonStart(problem, inverse).solve(solver)
    assert solver.snes.getIterationNumber() < without
    assert np.linalg.norm(force(problem)) <= 1e-9 * result.residual
    assert solver.snes.getTolerances() == tolerances
    # Both have residuals of 1e-9 of the first; the condition of a grid this coarse is below 1e3.
    np.testing.assert_allclose(problem.u.dat.data_ro, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@MAKERS
@pytest.mark.parametrize("wrong", [-1.0, 1e9, np.nan])
def test_a_useless_operator_leaves_the_start_as_it_was(make, wrong: float) -> None:
    problem = make()
    for bc in problem.dirichlet_bcs():
        bc.apply(problem.u)
    before = problem.u.dat.data_ro.copy()
    result = NewtonStart(problem, lambda residual: wrong * residual)()
    assert result.steps == 0
    np.testing.assert_array_equal(problem.u.dat.data_ro, before)


def test_a_start_that_is_not_finite_is_left_to_the_solver() -> None:
    problem = diffusion()
    inverse = inverse_of(problem)
    problem.u.dat.data_wo[:] = np.nan
    result = NewtonStart(problem, inverse)()
    assert (result.steps, result.trials) == (0, 1)
    assert result.before == np.inf


@pytest.mark.parametrize("factor", [1.0, np.nan])
def test_each_linear_solve_of_newtons_method_may_start_warm(factor: float) -> None:
    problem = beam()
    inverse = inverse_of(problem)
    parameters = {name: value for name, value in STRICT.items() if name.startswith("snes")} | CG_GAMG
    solver = NonlinearVariationalSolver(problem, solver_parameters=parameters)
    solver.solve()
    expected, newton = problem.u.dat.data_ro.copy(), solver.snes.getIterationNumber()
    linear = solver.snes.getLinearSolveIterations()
    start = WarmStart(lambda b: factor * inverse(b))
    start.attach(solver)
    problem.u.assign(0.0)
    solver.solve()
    assert start.record.starts == newton == solver.snes.getIterationNumber()
    assert (solver.snes.getLinearSolveIterations() < linear) == (factor == 1.0)
    np.testing.assert_allclose(problem.u.dat.data_ro, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_a_share_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^least: got 1.0, expected a share between 0 and 1$"):
        NewtonStart(diffusion(), np.copy, least=1.0)
