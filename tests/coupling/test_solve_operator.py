"""Solves as functions of torch: gradients against finite differences and fem_operator, one state for each call."""

from __future__ import annotations

import gc

import pytest
import torch
from firedrake import (
    Cofunction,
    Constant,
    DirichletBC,
    Function,
    FunctionSpace,
    LinearVariationalProblem,
    LinearVariationalSolver,
    NonlinearVariationalProblem,
    NonlinearVariationalSolver,
    SpatialCoordinate,
    TestFunction,
    TrialFunction,
    UnitCubeMesh,
    UnitSquareMesh,
    VectorFunctionSpace,
    assemble,
    dx,
    grad,
    inner,
    solve,
)
from firedrake.adjoint import (
    Control,
    ReducedFunctional,
    continue_annotation,
    get_working_tape,
    pause_annotation,
    set_working_tape,
)
from firedrake.ml.pytorch import fem_operator
from pyadjoint.tape import annotate_tape

from coupling.bridge import field_shape, to_function, to_tensor
from coupling.solve_operator import SolveOperator


def residual(u: Function, reaction: Function, scale=1.0):
    """Return a nonlinear problem in which the solution and the coefficient act on each other."""
    test = TestFunction(u.function_space())
    return (inner((1 + u**2) * grad(u), grad(test)) + (reaction * u - scale * (10 + reaction)) * test) * dx


def solution(reaction: Function) -> Function:
    u = Function(reaction.function_space())
    solve(residual(u, reaction) == 0, u, bcs=DirichletBC(u.function_space(), 0, "on_boundary"))
    return u


def squared(reaction: Function) -> float:
    return assemble(solution(reaction) ** 2 * dx)


@pytest.fixture(scope="module")
def space():
    return FunctionSpace(UnitSquareMesh(3, 3), "CG", 1)


def coefficients(space, low: float = 0.5, high: float = 2.0, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(field_shape(space), dtype=torch.float64, generator=generator)
    return (low + (high - low) * values).requires_grad_()


@pytest.mark.parametrize("evaluate", [solution, squared])
def test_gradients_against_finite_differences(evaluate, space) -> None:
    operator = SolveOperator(evaluate, space)
    assert torch.autograd.gradcheck(operator, (coefficients(space),))


def test_gradients_in_3d_for_several_fields_and_elements() -> None:
    mesh = UnitCubeMesh(1, 1, 1)
    wind, source = VectorFunctionSpace(mesh, "CG", 1), FunctionSpace(mesh, "DG", 0)

    def evaluate(w: Function, f: Function) -> Cofunction:
        u = Function(FunctionSpace(mesh, "CG", 2))
        test = TestFunction(u.function_space())
        solve((inner(grad(u), grad(test)) + (u + u**3 + inner(w, grad(u)) - 9 * f) * test) * dx == 0, u)
        return assemble(u**2 * TestFunction(wind)[1] * dx)

    operator = SolveOperator(evaluate, wind, source)
    arguments = (coefficients(wind, seed=1), coefficients(source, seed=2))
    assert operator(*arguments).shape == (8, 3)
    # Along random directions: all 30 degrees of freedom would take long.
    assert torch.autograd.gradcheck(operator, arguments, fast_mode=True)


def test_agrees_with_fem_operator_for_one_sample(space) -> None:
    value, gradient = of_fem_operator(space, coefficients(space))
    sample = coefficients(space)
    ours = SolveOperator(squared, space)(sample)
    ours.backward()
    torch.testing.assert_close(ours.detach(), value, rtol=1e-12, atol=0)
    torch.testing.assert_close(sample.grad, gradient, rtol=1e-10, atol=1e-14)


def test_two_samples_in_one_loss(space) -> None:
    """Each gradient is that of the sample alone; fem_operator takes the last sample's state for both."""
    samples = coefficients(space), coefficients(space, 20.0, 40.0, seed=1)
    expected = [of_fem_operator(space, sample)[1] for sample in samples]
    operator = SolveOperator(squared, space)
    (operator(samples[0]) + operator(samples[1])).backward()
    for sample, gradient in zip(samples, expected, strict=True):
        torch.testing.assert_close(sample.grad, gradient, rtol=1e-10, atol=1e-14)
    # Measured: 69 % off on a grid of 8 x 8. Should Firedrake mend this, the docstring of SolveOperator must say so.
    shared = fem_operator(taped(space))
    leaves = [sample.detach().clone()[None].requires_grad_() for sample in samples]
    (shared(leaves[0]) + shared(leaves[1])).backward()
    torch.testing.assert_close(leaves[1].grad[0], expected[1], rtol=1e-10, atol=1e-14)
    assert (leaves[0].grad[0] - expected[0]).norm() > 0.1 * expected[0].norm()


def taped(space) -> ReducedFunctional:
    continue_annotation()
    try:
        with set_working_tape():
            control = Function(space).assign(1.0)
            return ReducedFunctional(squared(control), Control(control))
    finally:
        pause_annotation()


def of_fem_operator(space, sample: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return value and gradient of one sample alone."""
    leaf = sample.detach().clone()[None].requires_grad_()
    value = fem_operator(taped(space))(leaf)
    value.backward()
    return value.detach(), leaf.grad[0]


def test_what_calls_share_is_as_it_was_in_each_call(space) -> None:
    """A solver, its solution and its coefficient serve all calls; a function is changed between them, off the tape."""
    scale, u, inside = Function(space), Function(space), Function(space)
    condition = DirichletBC(space, 0, "on_boundary")
    solver = NonlinearVariationalSolver(NonlinearVariationalProblem(residual(u, inside, scale), u, bcs=condition))

    def evaluate(reaction: Function) -> float:
        inside.assign(reaction)
        solver.solve()
        return assemble(scale * u**2 * dx)

    operator = SolveOperator(evaluate, space)

    def run(size: float, sample: torch.Tensor) -> torch.Tensor:
        scale.dat.data_wo[:] = size
        u.dat.data_wo[:] = 0.0
        return operator(sample)

    cases = [(1.0, 0), (7.0, 1), (3.0, 2)]
    alone = []
    for size, seed in cases:
        sample = coefficients(space, seed=seed)
        run(size, sample).backward()
        alone.append(sample.grad)
        assert torch.autograd.gradcheck(lambda values, size=size: run(size, values), (sample,), fast_mode=True)
    samples = [coefficients(space, seed=seed) for _, seed in cases]
    sum(run(size, sample) for (size, _), sample in zip(cases, samples, strict=True)).backward()
    for sample, gradient in zip(samples, alone, strict=True):
        torch.testing.assert_close(sample.grad, gradient, rtol=1e-9, atol=1e-14)


def test_a_solver_with_constant_jacobian_serves_calls_with_different_ones(space) -> None:
    u, inside, trial, test = Function(space), Function(space), TrialFunction(space), TestFunction(space)
    form = (inner(grad(trial), grad(test)) + inside * trial * test) * dx
    problem = LinearVariationalProblem(form, (10 + inside) * test * dx, u, constant_jacobian=True)
    solver = LinearVariationalSolver(problem)

    def evaluate(reaction: Function) -> float:
        inside.assign(reaction)
        solver.invalidate_jacobian()
        solver.solve()
        return assemble(u**2 * dx)

    operator = SolveOperator(evaluate, space)
    for seed in range(2):
        assert torch.autograd.gradcheck(operator, (coefficients(space, seed=seed),), fast_mode=True)
    one, other = coefficients(space, seed=0), coefficients(space, 5.0, 9.0, seed=1)
    assert torch.autograd.gradcheck(lambda *both: operator(both[0]) + operator(both[1]), (one, other), fast_mode=True)


def test_a_mesh_moved_between_calls_stays_moved() -> None:
    mesh = UnitSquareMesh(3, 3)
    space = FunctionSpace(mesh, "CG", 1)
    operator = SolveOperator(squared, space)
    places = [mesh.coordinates.dat.data_ro.copy(), 2.0 * mesh.coordinates.dat.data_ro]
    alone = []
    for place in places:
        mesh.coordinates.dat.data_wo[:] = place
        sample = coefficients(space)
        operator(sample).backward()
        alone.append(sample.grad)
    samples = [coefficients(space) for _ in places]
    losses = []
    for place, sample in zip(places, samples, strict=True):
        mesh.coordinates.dat.data_wo[:] = place
        losses.append(operator(sample))
    sum(losses).backward()
    assert (mesh.coordinates.dat.data_ro == places[1]).all()
    assert not torch.allclose(alone[0], alone[1], rtol=0.1)
    for sample, gradient in zip(samples, alone, strict=True):
        torch.testing.assert_close(sample.grad, gradient, rtol=1e-10, atol=1e-14)


def test_backward_twice_gives_the_same(space) -> None:
    sample = coefficients(space)
    loss = SolveOperator(squared, space)(sample)
    first, second = (torch.autograd.grad(loss, sample, retain_graph=True)[0] for _ in range(2))
    torch.testing.assert_close(first, second, rtol=1e-12, atol=0)


def test_leaves_the_tape_of_others_alone(space) -> None:
    tape = get_working_tape()
    count = len(tape.get_blocks())
    SolveOperator(squared, space)(coefficients(space)).backward()
    assert not annotate_tape()
    assert get_working_tape() is tape and len(tape.get_blocks()) == count
    with pytest.raises(ZeroDivisionError):
        SolveOperator(lambda _: 1 / 0, space)(coefficients(space))
    assert not annotate_tape() and get_working_tape() is tape


def test_other_tapes_keep_their_variables(space) -> None:
    """A function that is the control of another tape is used in a call, then changed off all tapes and used again."""
    shared = Function(space).assign(2.0)
    operator = SolveOperator(lambda reaction: assemble(shared * solution(reaction) ** 2 * dx), space)
    samples = coefficients(space, seed=0), coefficients(space, seed=1)
    expected = [torch.autograd.grad(operator(sample), sample)[0] for sample in samples]
    continue_annotation()
    with set_working_tape():
        cube = assemble(shared**3 * dx)
        first = operator(samples[0])
        functional = ReducedFunctional(cube + assemble(shared**2 * dx), Control(shared))
    pause_annotation()
    shared.assign(10.0)
    second = operator(samples[1])
    (first + second).backward()
    torch.testing.assert_close(samples[0].grad, expected[0], rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(samples[1].grad, 5.0 * expected[1], rtol=1e-12, atol=1e-15)
    # d/ds of s^3 + s^2 at s = 2, over a domain of size 1.
    assert functional.derivative().dat.data_ro.sum() == pytest.approx(3 * 2.0**2 + 2 * 2.0, rel=1e-12)


def test_what_a_call_has_changed_starts_afresh_on_other_tapes(space) -> None:
    u, control = Function(space), Function(space).assign(3.0)

    def evaluate(reaction: Function) -> float:
        u.assign(reaction)
        return assemble(u**2 * dx)

    kept = SolveOperator(evaluate, space)(coefficients(space))
    u.dat.data_wo[:] = 7.0
    continue_annotation()
    with set_working_tape():
        functional = ReducedFunctional(assemble(u * control**2 * dx), Control(control))
    pause_annotation()
    assert functional.derivative().dat.data_ro.sum() == pytest.approx(2 * 7.0 * 3.0, rel=1e-12)
    assert kept.requires_grad


def test_one_function_may_be_the_result_of_all_calls(space) -> None:
    u = Function(space)

    def evaluate(reaction: Function) -> Function:
        u.assign(0.0)
        solve(residual(u, reaction) == 0, u, bcs=DirichletBC(space, 0, "on_boundary"))
        return u

    operator = SolveOperator(evaluate, space)
    samples = coefficients(space), coefficients(space, 20.0, 40.0, seed=1)
    alone = [torch.autograd.grad((operator(sample) ** 2).sum(), sample)[0] for sample in samples]
    sum((operator(sample) ** 2).sum() for sample in samples).backward()
    for sample, gradient in zip(samples, alone, strict=True):
        torch.testing.assert_close(sample.grad, gradient, rtol=1e-10, atol=1e-14)


def test_no_tape_without_a_gradient(space) -> None:
    seen = []
    operator = SolveOperator(lambda reaction: seen.append(annotate_tape()) or squared(reaction), space)
    sample = coefficients(space)
    assert operator(sample).requires_grad
    with torch.no_grad():
        assert not operator(sample).requires_grad
    assert not operator(sample.detach()).requires_grad
    assert seen == [True, False, False]


def test_tapes_are_freed(space) -> None:
    """Functions of past calls must not pile up."""
    operator = SolveOperator(solution, space)

    def functions() -> int:
        operator(coefficients(space)).sum().backward()
        gc.collect()
        return sum(type(known) is Function for known in gc.get_objects())

    functions()
    counts = [functions() for _ in range(4)]
    assert counts[-1] <= counts[0]


def test_dirichlet_values_from_functions_are_differentiated(space) -> None:
    def evaluate(values: Function) -> float:
        u = Function(space)
        square = Function(space).interpolate(values**2)
        solve(inner(grad(u), grad(TestFunction(space))) * dx == 0, u, bcs=DirichletBC(space, square, (1, 2)))
        return assemble(u**2 * dx)

    assert torch.autograd.gradcheck(SolveOperator(evaluate, space), (coefficients(space),))


def test_dirichlet_values_that_would_lose_their_gradient_are_refused(space) -> None:
    def evaluate(values: Function) -> float:
        u = Function(space)
        solve(inner(grad(u), grad(TestFunction(space))) * dx == 0, u, bcs=DirichletBC(space, values**2, (1, 2)))
        return assemble(u**2 * dx)

    with pytest.raises(ValueError, match=r"DirichletBC: got the expression .*interpolate the expression into"):
        SolveOperator(evaluate, space)(coefficients(space))


def test_dirichlet_values_without_functions_are_none_of_its_business(space) -> None:
    x = SpatialCoordinate(space.mesh())

    def evaluate(source: Function) -> Function:
        u = Function(space)
        test = TestFunction(space)
        conditions = [DirichletBC(space, x[0] ** 2, 1), DirichletBC(space, Constant(2.0), 2), DirichletBC(space, 3, 3)]
        solve((inner(grad(u), grad(test)) - source * test) * dx == 0, u, bcs=conditions)
        return u

    assert torch.autograd.gradcheck(SolveOperator(evaluate, space), (coefficients(space),))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((), "fields: got 0, expected 1, one for each space"),
        ((torch.zeros(3, dtype=torch.float64),), r"fields\[0\]: got float64 of shape \(3,\) .* of shape \(16,\)"),
        ((torch.zeros(16),), r"fields\[0\]: got float32 of shape \(16,\) on cpu, expected float64"),
        ((torch.zeros(16, dtype=torch.float64, device="meta"),), r"fields\[0\]: .* on meta, .*move it .*\.cpu\(\)"),
    ],
)
def test_other_arguments_are_refused(fields: tuple, message: str, space) -> None:
    with pytest.raises(ValueError, match=message):
        SolveOperator(squared, space)(*fields)


@pytest.mark.parametrize("gradient", [True, False])
def test_other_results_are_refused(gradient: bool, space) -> None:
    operator = SolveOperator(lambda reaction: reaction**2, space)
    with pytest.raises(ValueError, match="result: got Power, expected a Function, a Cofunction or the number"):
        operator(coefficients(space).requires_grad_(gradient).detach().requires_grad_(gradient))


def test_a_number_that_is_not_recorded_has_no_gradient(space) -> None:
    operator = SolveOperator(lambda reaction: float(reaction.dat.data_ro.sum()), space)
    with pytest.raises(ValueError, match="result: got float, expected"):
        operator(coefficients(space))


def test_values_are_those_of_the_solve(space) -> None:
    sample = coefficients(space)
    expected = to_tensor(solution(to_function(sample, space)))
    torch.testing.assert_close(SolveOperator(solution, space)(sample).detach(), expected, rtol=1e-12, atol=1e-14)
