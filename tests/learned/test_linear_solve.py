"""Linear solves: solutions and gradients against dense algebra, finite differences and Firedrake's own solver."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from firedrake import (
    DirichletBC,
    Function,
    FunctionSpace,
    SpatialCoordinate,
    TestFunction,
    TrialFunction,
    UnitSquareMesh,
    action,
    assemble,
    dx,
    grad,
    inner,
    solve,
)
from firedrake.adjoint import Control, ReducedFunctional, continue_annotation, pause_annotation, set_working_tape
from firedrake.ml.pytorch import fem_operator
from scipy import sparse
from scipy.sparse.linalg import splu

from coupling.bridge import to_function, to_tensor
from learned.linear_solve import LinearSolve


def unsymmetric(n: int, seed: int = 0) -> sparse.csr_array:
    """Return a well-conditioned sparse matrix that is not symmetric, not even in its pattern."""
    random = np.random.default_rng(seed)
    return sparse.csr_array(sparse.random_array((n, n), density=0.3, rng=random) + 4.0 * sparse.eye_array(n))


def tensor(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_solutions_and_gradients_are_those_of_dense_algebra(batch: tuple[int, ...]) -> None:
    solver = LinearSolve(unsymmetric(7))
    right, weight = tensor(*batch, 7).requires_grad_(), tensor(*batch, 7, seed=2)
    values = solver.values.clone().requires_grad_()
    (weight * solver(right, values) ** 2).sum().backward()
    dense = torch.from_numpy(solver.matrix.toarray()).requires_grad_()
    same_right = right.detach().clone().requires_grad_()
    solution = torch.linalg.solve(dense, same_right[..., None])[..., 0]
    (weight * solution**2).sum().backward()
    torch.testing.assert_close(solver(right), solution, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(right.grad, same_right.grad, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(values.grad, dense.grad[solver.rows, solver.columns], rtol=1e-11, atol=1e-12)


def test_gradients_against_finite_differences() -> None:
    solver = LinearSolve(unsymmetric(5))
    arguments = (tensor(2, 5).requires_grad_(), solver.values.clone().requires_grad_())
    assert torch.autograd.gradcheck(solver, arguments)
    assert torch.autograd.gradgradcheck(solver, arguments)


def test_each_call_keeps_its_matrix() -> None:
    """Both solves come before both backward passes, and an optimiser has changed the values in place meanwhile."""
    solver = LinearSolve(unsymmetric(6))
    right = tensor(6)

    def alone(scale: float) -> torch.Tensor:
        values = (scale * solver.values).requires_grad_()
        LinearSolve(solver.matrix)(right, values).pow(2).sum().backward()
        return values.grad

    one, other = (solver.values.clone().requires_grad_(), (3.0 * solver.values).requires_grad_())
    (solver(right, one).pow(2).sum() + solver(right, other).pow(2).sum()).backward()
    torch.testing.assert_close(one.grad, alone(1.0), rtol=1e-12, atol=0)
    torch.testing.assert_close(other.grad, alone(3.0), rtol=1e-12, atol=0)
    before = solver(right, one)
    with torch.no_grad():
        one *= 2.0
    torch.testing.assert_close(solver(right, one), 0.5 * before, rtol=1e-12, atol=0)


def test_factorises_once_for_the_same_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr("learned.linear_solve.splu", lambda matrix: calls.append(matrix) or splu(matrix))
    solver = LinearSolve(unsymmetric(6))
    for seed in range(3):
        right = tensor(4, 6, seed=seed).requires_grad_()
        solver(right).sum().backward()
    solver(right, solver.values.clone())
    assert len(calls) == 1
    solver(right, 2.0 * solver.values)
    assert len(calls) == 2


def test_a_matrix_of_firedrake_solves_as_firedrake_does() -> None:
    mesh = UnitSquareMesh(5, 4)
    space = FunctionSpace(mesh, "CG", 2)
    trial, test = TrialFunction(space), TestFunction(space)
    form = (inner(grad(trial), grad(test)) + trial.dx(0) * test) * dx
    condition = DirichletBC(space, 1 + SpatialCoordinate(mesh)[0], (1, 3))
    source = to_function(tensor(space.dim()), space)
    expected = Function(space)
    solve(form == source * test * dx, expected, bcs=condition)
    solver = LinearSolve(assemble(form, bcs=condition))
    lift = Function(space)
    condition.apply(lift)
    load = assemble(source * test * dx - action(form, lift), bcs=condition, zero_bc_nodes=False)
    torch.testing.assert_close(solver(to_tensor(load)), to_tensor(expected), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(3), "matrix: got ndarray of shape .3, 3., expected a square real sparse one"),
        (sparse.csr_array((2, 3)), "matrix: got csr_array of shape .2, 3., expected a square"),
        (sparse.csr_array(1j * np.eye(2)), "matrix: got csr_array .* expected a square real"),
    ],
)
def test_other_matrices_are_refused(matrix, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LinearSolve(matrix)


def test_other_tensors_are_refused() -> None:
    solver = LinearSolve(unsymmetric(4))
    with pytest.raises(ValueError, match=r"right_sides: got float64 of shape \(5,\) on cpu, expected float64 of shape"):
        solver(tensor(5))
    with pytest.raises(ValueError, match=r"right_sides: got float32 .* \.double\(\) and \.cpu\(\)"):
        solver(tensor(4).float())
    with pytest.raises(ValueError, match=r"right_sides: got float64 of shape \(4,\) on meta, expected .* on cpu"):
        solver(tensor(4).to("meta"))
    with pytest.raises(ValueError, match=r"values: got float64 of shape \(3,\)"):
        solver(tensor(4), tensor(3))
    with pytest.raises(ValueError, match="values: got entries that are not finite"):
        solver(tensor(4), solver.values * np.nan)


def test_singular_matrices_are_refused() -> None:
    zero = LinearSolve(sparse.csr_array(np.ones((3, 3))))
    with pytest.raises(ValueError, match=r"matrix: got a singular one of shape \(3, 3\), .* boundary conditions"):
        zero(tensor(3))


def test_matrices_without_entries_are_refused() -> None:
    space = FunctionSpace(UnitSquareMesh(2, 2), "CG", 1)
    matrix = assemble(inner(TrialFunction(space), TestFunction(space)) * dx, mat_type="matfree")
    with pytest.raises(ValueError, match='got PETSc type python, expected seqaij; assemble with mat_type="aij"'):
        LinearSolve(matrix)


def test_gradient_agrees_with_fem_operator() -> None:
    """For the source of a convection-diffusion problem: our matrices against Firedrake's taped solve, two samples."""
    mesh = UnitSquareMesh(4, 3)
    space = FunctionSpace(mesh, "CG", 1)
    trial, test = TrialFunction(space), TestFunction(space)
    form = (inner(grad(trial), grad(test)) + 3 * trial.dx(0) * test + trial * test) * dx
    sources, weight = tensor(2, space.dim()).requires_grad_(), tensor(2, space.dim(), seed=2)
    mass = LinearSolve(assemble(trial * test * dx)).matrix
    load = torch.from_numpy(mass.toarray())
    (weight * LinearSolve(assemble(form))(sources @ load.T)).sum().backward()
    continue_annotation()
    with set_working_tape():
        source, u = Function(space), Function(space)
        solve(form == source * test * dx, u)
        operator = fem_operator(ReducedFunctional(u, Control(source)))
    pause_annotation()
    for row in range(2):
        leaf = sources[row].detach().clone()[None].requires_grad_()
        (weight[row] * operator(leaf)).sum().backward()
        torch.testing.assert_close(sources.grad[row], leaf.grad[0], rtol=1e-10, atol=1e-13)
