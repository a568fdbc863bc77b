"""A network's operator as a preconditioner: symmetric, definite, exact on its functions, and worth its iterations."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import Constant, assemble, exp
from firedrake.petsc import PETSc
from hybrid_problems import Hybrid, darcy, elasticity

from coupling.operator_inverse import OperatorInverse
from coupling.operator_matrices import csr
from coupling.operator_preconditioner import OPERATOR, OPERATOR_GAMG, use_operator

TRUE_NORM = {"ksp_rtol": 1e-8, "ksp_norm_type": "unpreconditioned", "ksp_max_it": 2000}
INNER = {"none": {}, "gamg": {"pc_type": "gamg"}, "jacobi": {"pc_type": "jacobi"}}


@pytest.fixture(scope="module", params=[darcy, elasticity])
def hybrid(request) -> Hybrid:
    return request.param()


def iterations(hybrid: Hybrid, parameters: dict) -> tuple[int, np.ndarray]:
    solver = hybrid.solver(TRUE_NORM | parameters, appctx={"operator_inverse": hybrid.inverse})
    found = hybrid.solve(solver)
    return solver.snes.ksp.getIterationNumber(), found


def dense(hybrid: Hybrid, inner: str) -> tuple[np.ndarray, PETSc.PC]:
    """What a preconditioner makes of each unit vector, and itself."""
    ksp = PETSc.KSP().create(comm=PETSc.COMM_SELF)
    prefix = f"dense_{inner}_"
    ksp.setOptionsPrefix(prefix)
    matrix = assemble(hybrid.form, bcs=hybrid.bcs).petscmat
    ksp.setOperators(matrix)
    options = PETSc.Options(prefix + "operator_")
    for name, value in INNER[inner].items():
        options[name] = value
    use_operator(ksp, hybrid.inverse)
    x, y = matrix.createVecs()
    columns = []
    for number in range(hybrid.inverse.size):
        x.set(0.0)
        x.setValue(number, 1.0)
        x.assemble()
        ksp.getPC().apply(x, y)
        columns.append(y.getArray().copy())
    for name in INNER[inner]:
        options.delValue(name)
    return np.stack(columns, axis=1), ksp.getPC()


@pytest.mark.parametrize("make", [darcy, elasticity])
@pytest.mark.parametrize("inner", INNER)
def test_it_is_symmetric_and_positive_definite(make, inner: str) -> None:
    found, _ = dense(make(size=6, landmarks=5), inner)
    # Of algebraic multigrid the smoother and the coarse solve are symmetric to rounding.
    assert np.abs(found - found.T).max() <= 1e-12 * np.abs(found).max()
    eigenvalues = np.linalg.eigvalsh(0.5 * (found + found.T))
    assert eigenvalues[0] > 1e-10 * eigenvalues[-1]


def test_around_a_diagonal_it_is_what_dense_algebra_makes_of_it() -> None:
    hybrid = elasticity(size=5, landmarks=5)
    found, _ = dense(hybrid, "jacobi")
    a = csr(assemble(hybrid.form, bcs=hybrid.bcs)).toarray()
    q, unit = hybrid.inverse.coarse(np.eye(len(a))), np.eye(len(a))
    expected = q + (unit - q @ a) @ np.diag(1.0 / a.diagonal()) @ (unit - a @ q)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("inner", INNER)
def test_what_the_network_has_functions_for_is_solved_at_once(inner: str) -> None:
    hybrid = darcy(size=6, landmarks=5)
    found, _ = dense(hybrid, inner)
    a = csr(assemble(hybrid.form, bcs=hybrid.bcs))
    function = hybrid.inverse.coarse(np.random.default_rng(5).normal(size=hybrid.inverse.size))
    np.testing.assert_allclose(found @ (a @ function), function, rtol=0, atol=1e-11 * np.abs(function).max())


@pytest.mark.parametrize("parameters", [OPERATOR, OPERATOR_GAMG], ids=["alone", "gamg"])
def test_a_solver_of_firedrake_finds_the_answer_of_a_direct_one(hybrid: Hybrid, parameters: dict) -> None:
    _, found = iterations(hybrid, parameters)
    exact = hybrid.exact()
    residual = np.linalg.norm(hybrid.residual(found)) / np.linalg.norm(hybrid.lifted())
    assert residual <= 1.0001e-8
    eigenvalues = np.linalg.eigvalsh(hybrid.problem.stiffness.toarray()[np.ix_(hybrid.free, hybrid.free)])
    bound = residual * np.linalg.norm(hybrid.lifted()) / eigenvalues[0]
    assert np.linalg.norm(found - exact) <= 1.01 * bound + 1e-13 * np.linalg.norm(exact) * eigenvalues[-1]


def test_flexible_and_plain_conjugate_gradients_take_the_same_iterations(hybrid: Hybrid) -> None:
    # The operator is symmetric, so that one has nothing to be flexible about.
    for parameters in (OPERATOR, OPERATOR_GAMG):
        flexible, plain = (iterations(hybrid, parameters | {"ksp_type": name})[0] for name in ("fcg", "cg"))
        assert abs(flexible - plain) <= 1


def test_it_takes_fewer_iterations_than_what_it_is_made_of(hybrid: Hybrid) -> None:
    counts = {
        name: iterations(hybrid, parameters)[0]
        for name, parameters in {
            "jacobi": {"ksp_type": "cg", "pc_type": "jacobi"},
            "gamg": {"ksp_type": "cg", "pc_type": "gamg"},
            "operator": OPERATOR,
            "both": OPERATOR_GAMG,
        }.items()
    }
    assert counts["operator"] < counts["jacobi"]
    assert counts["both"] <= counts["gamg"]


def test_it_goes_on_when_the_matrix_changes() -> None:
    hybrid = darcy()
    factor = Constant(1.0)
    x = hybrid.space.mesh().coordinates
    hybrid.form = exp(factor * x[0]) * hybrid.form.integrals()[0].integrand() * _dx()
    hybrid.load = hybrid.load + 0.0 * factor * hybrid.load
    solver = hybrid.solver(TRUE_NORM | OPERATOR_GAMG, appctx={"operator_inverse": hybrid.inverse})
    hybrid.solve(solver)
    factor.assign(2.0)
    found = hybrid.solve(solver)
    assert np.linalg.norm(hybrid.residual(found)) <= 1.0001e-8 * np.linalg.norm(hybrid.lifted())


def _dx():
    from firedrake import dx

    return dx


def test_a_solver_without_a_network_is_told_what_to_give() -> None:
    hybrid = darcy(size=4, landmarks=4)
    solver = hybrid.solver(OPERATOR)
    with pytest.raises(ValueError, match=r"^appctx: got NoneType as 'operator_inverse', expected an OperatorInverse; "):
        hybrid.solve(solver)


def test_a_network_of_another_problem_is_refused() -> None:
    hybrid, other = darcy(size=4, landmarks=4), darcy(size=5, landmarks=4)
    solver = hybrid.solver(OPERATOR, appctx={"operator_inverse": other.inverse})
    with pytest.raises(ValueError, match=r"^operator: got 36 degrees of freedom, expected the 25 of the solver$"):
        hybrid.solve(solver)
    assert isinstance(other.inverse, OperatorInverse)
