"""A network's operator as a preconditioner: symmetric, definite, exact on its functions, and worth its iterations."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import Constant, assemble, dx, inner
from firedrake.petsc import PETSc
from hybrid_problems import Hybrid, darcy, elasticity

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


def dense(hybrid: Hybrid, local: str) -> np.ndarray:
    """What a preconditioner makes of each unit vector."""
    ksp = PETSc.KSP().create(comm=PETSc.COMM_SELF)
    prefix = f"dense_{local}_"
    ksp.setOptionsPrefix(prefix)
    matrix = assemble(hybrid.form, bcs=hybrid.bcs).petscmat
    ksp.setOperators(matrix)
    options = PETSc.Options(prefix + "operator_")
    for name, value in INNER[local].items():
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
    for name in INNER[local]:
        options.delValue(name)
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("make", [darcy, elasticity])
@pytest.mark.parametrize("local", INNER)
def test_it_is_symmetric_and_positive_definite(make, local: str) -> None:
    found = dense(make(size=6, landmarks=5), local)
    # Of algebraic multigrid the smoother and the coarse solve are symmetric to rounding.
    assert np.abs(found - found.T).max() <= 1e-12 * np.abs(found).max()
    eigenvalues = np.linalg.eigvalsh(0.5 * (found + found.T))
    assert eigenvalues[0] > 1e-10 * eigenvalues[-1]


def test_around_a_diagonal_it_is_what_dense_algebra_makes_of_it() -> None:
    hybrid = elasticity(size=5, landmarks=5)
    found = dense(hybrid, "jacobi")
    a = csr(assemble(hybrid.form, bcs=hybrid.bcs)).toarray()
    q, unit = hybrid.inverse.coarse(np.eye(len(a))), np.eye(len(a))
    expected = q + (unit - q @ a) @ np.diag(1.0 / a.diagonal()) @ (unit - a @ q)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("local", INNER)
def test_what_the_network_has_functions_for_is_solved_at_once(local: str) -> None:
    hybrid = darcy(size=6, landmarks=5)
    found = dense(hybrid, local)
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
    reaction = Constant(0.0)
    hybrid.form = hybrid.form + reaction * inner(*reversed(hybrid.form.arguments())) * dx
    solver = hybrid.solver(TRUE_NORM | OPERATOR_GAMG, appctx={"operator_inverse": hybrid.inverse})
    for value in (0.0, 100.0):
        reaction.assign(value)
        found = hybrid.solve(solver)
        assert np.linalg.norm(hybrid.residual(found)) <= 1.0001e-8 * np.linalg.norm(hybrid.lifted())


def refusal(hybrid: Hybrid, **others) -> str:
    solver = hybrid.solver(OPERATOR, **others)
    with pytest.raises(PETSc.Error) as caught:
        hybrid.solve(solver)
    assert isinstance(caught.value.__cause__, ValueError)
    return str(caught.value.__cause__)


def test_a_solver_without_a_network_is_told_what_to_give() -> None:
    assert refusal(darcy(size=4, landmarks=4)) == (
        "appctx: got NoneType as 'operator_inverse', expected an OperatorInverse; give the solver "
        "appctx={'operator_inverse': OperatorInverse(network, problem)}"
    )


def test_a_network_of_another_problem_is_refused() -> None:
    hybrid, other = darcy(size=4, landmarks=4), darcy(size=5, landmarks=4)
    assert refusal(hybrid, appctx={"operator_inverse": other.inverse}) == (
        "operator: got 36 degrees of freedom, expected the 25 of the solver; make it of the solver's own form"
    )
