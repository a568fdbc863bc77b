"""Operator networks: what they guarantee whatever their weights, with the twin that guarantees nothing beside them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from assembly import normal
from numpy.polynomial.chebyshev import Chebyshev
from problems import (
    PROBLEMS,
    elasticity,
    exact,
    island_nodes,
    islands,
    network,
    poisson,
    solution,
    twin,
    unknowns,
    with_data,
)
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, cg
from torch import nn

from learned.operators.balanced import BalancedInverse
from learned.operators.prepared import PreparedProblem, prepare, prepare_for
from learned.operators.problem import OperatorProblem
from learned.operators.processor import LandmarkProcessor
from learned.operators.spon import SPON, UnconstrainedSPON
from learned.operators.structure import CoarseSpace, Dirichlet, GalerkinCorrection, SelfAdjoint

ONE_LEVEL = [{}, {"smoothing": 2}, {"degree": 6}, {"relaxation": 5}]
HATS = {"level": 1, "hats": 1}
SOME_LEVELS = [
    *ONE_LEVEL,
    {"level": 1},
    {"level": 1, "smoothing": 1},
    HATS,
    HATS | {"smoothing": 2},
    HATS | {"degree": 3},
    {"level": 1, "degree": 3, "relaxation": 7},
]
# Each problem with each form of the network that it allows.
CASES = [(name, options) for name in PROBLEMS for options in (SOME_LEVELS if "levels" in name else ONE_LEVEL)]
# The third right-hand side is twice the first less three times the second.
COMBINED = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, -3.0], [0.0, 0.0, 0.0]])


def made(name: str, options: dict[str, int], seed: int = 0) -> tuple[OperatorProblem, SPON, PreparedProblem]:
    problem = PROBLEMS[name]()
    net = network(problem, seed=seed, power=2 if name == "fourth order" else 1, **options)
    return problem, net, prepare_for(net, problem)


def inverse_of(net: SPON, problem: PreparedProblem) -> BalancedInverse:
    with torch.no_grad():
        return net.inverse(problem)


def seen(basis: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
    """Return what functions, made of length one, see of each residual, shape (m,)."""
    lengths = basis.norm(dim=0)
    return ((basis / torch.where(lengths > 0, lengths, 1.0)).T @ left).norm(dim=0)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_boundary_values_are_exact_to_the_last_bit(name: str, options: dict[str, int]) -> None:
    problem, net, prepared = made(name, options)
    fixed = np.flatnonzero(problem.fixed)
    structure = Dirichlet(fixed, problem.values[fixed], size=problem.fixed.size)
    with torch.no_grad():
        u = net(prepared)
    assert u.dtype == torch.float64
    assert torch.equal(u[fixed], prepared.values[fixed])
    assert structure.residual(u) == 0.0
    other = twin(problem)
    with torch.no_grad():
        assert structure.residual(other(prepare_for(other, problem))) > 1e-3


@pytest.mark.parametrize("fourth", [False, True])
def test_solutions_are_constant_on_each_island_to_the_last_bit(fourth: bool) -> None:
    problem = islands(fourth=fourth, seed=1)
    parts = island_nodes(problem)
    assert len(parts) >= 2
    net, other = network(problem), twin(problem)
    with torch.no_grad():
        u, free = (one(prepare_for(one, problem)) for one in (net, other))
    for part in parts:
        assert torch.equal(u[part], u[part[:1]].expand(len(part), -1))
        assert float((free[part] - free[part].mean(0)).abs().max()) > 1e-3 * float(free.abs().max())
    # Not because they are zero.
    assert float((u[parts[0]] - u[parts[1]][0]).abs().max()) > 1e-3 * float(u.abs().max())


@pytest.mark.parametrize("wild", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_operator_is_symmetric_and_positive_definite(name: str, options: dict[str, int], wild: float) -> None:
    problem = PROBLEMS[name]()
    net = network(problem, wild=wild, **options)
    prepared = prepare_for(net, problem)
    inverse = inverse_of(net, prepared)
    size = len(prepared.right_sides)
    s = inverse(torch.eye(size, dtype=torch.float64))
    assert float((s - s.T).abs().max()) <= 1e-12 * float(s.abs().max())
    values = torch.linalg.eigvalsh(0.5 * (s + s.T))
    # More than rounding could make of zero.
    assert float(values[0]) > 1e-13 * size * float(values[-1])
    structure = SelfAdjoint(np.zeros((size, 1)), 1.0)
    assert structure.residual(inverse(structure.loads)) <= 1e-12


@pytest.mark.parametrize("name", ["square", "holes", "elasticity"])
def test_answers_to_loads_are_reciprocal_and_those_of_the_twin_are_not(name: str) -> None:
    problem = PROBLEMS[name]()
    loads = np.where(problem.fixed.reshape(-1, 1), 0.0, normal(problem.fixed.size, 4).numpy())
    loaded = with_data(problem, loads, np.zeros_like(loads))
    structure = SelfAdjoint(np.zeros((len(loads), 1)), 1.0, loads=loads)
    residuals = []
    for net in (network(problem), twin(problem)):
        with torch.no_grad():
            residuals.append(structure.residual(net(prepare_for(net, loaded))))
    assert residuals[0] <= 1e-12 and residuals[1] > 1e-3


@pytest.mark.parametrize("share", [12, 6, 2])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_no_residual_is_left_that_the_functions_see(name: str, options: dict[str, int], share: int) -> None:
    count = len(PROBLEMS[name]().points) // share
    problem, net, prepared = made(name, options | {"landmarks": count})
    inverse = inverse_of(net, prepared)
    with torch.no_grad():
        u = net(prepared)
    # In degrees of freedom, so that nothing but the problem itself is believed.
    left = torch.from_numpy(unknowns(problem).T @ (problem.loads - problem.stiffness @ u.numpy()))
    size = prepared.right_sides.norm(dim=0)
    assert (seen(inverse.basis, left) <= 1e-12 * size).all()
    if options == HATS:
        assert (seen(prepared.hats, left) <= 1e-12 * size).all()
    other = twin(problem)
    with torch.no_grad():
        free = other(prepare_for(other, problem)).numpy()
    left = torch.from_numpy(unknowns(problem).T @ (problem.loads - problem.stiffness @ free))
    assert (seen(inverse.basis, left) > 1e-3 * size).all()


def test_functions_of_the_coarsest_level_make_an_exact_coarse_correction() -> None:
    problem, net, prepared = made("elasticity with levels", HATS)
    way = np.kron(problem.prolongation(1).toarray(), np.eye(2))[np.flatnonzero(~problem.fixed)]
    way = way[:, abs(way).sum(axis=0) > 0]
    assert np.array_equal(prepared.hats, way)
    matrix = unknowns(problem).T @ problem.stiffness @ unknowns(problem)
    structure = GalerkinCorrection(CoarseSpace(matrix, way), prepared.right_sides)
    assert structure.residual(inverse_of(net, prepared)(prepared.right_sides)) <= 1e-12
    other = twin(problem)
    with torch.no_grad():
        free = other(prepare_for(other, problem)) - prepared.values
    assert structure.residual(prepared.reduce(free)) > 1e-3


@pytest.mark.parametrize(("name", "options"), CASES)
def test_what_the_functions_can_express_is_solved_exactly(name: str, options: dict[str, int]) -> None:
    problem, net, prepared = made(name, options)
    basis = inverse_of(net, prepared).basis
    v = basis / basis.norm(dim=0) @ normal(basis.shape[1], 3)
    u = problem.values + unknowns(problem) @ v.numpy()
    told = with_data(problem, problem.stiffness @ u, problem.values)
    with torch.no_grad():
        found = net(prepare_for(net, told)).numpy()
    matrix = unknowns(problem).T @ problem.stiffness @ unknowns(problem)
    # As far as loads say what u is: their rounding, times the condition of the matrix.
    assert abs(found - u).max() <= 1e-14 * np.linalg.cond(matrix.toarray()) * abs(u).max()


def test_of_all_that_the_functions_can_express_the_answer_is_nearest_in_energy() -> None:
    problem, net, prepared = made("holes", {})
    inverse = inverse_of(net, prepared)
    matrix = (unknowns(problem).T @ problem.stiffness @ unknowns(problem)).toarray()
    half = np.linalg.cholesky(matrix).T
    answer = np.linalg.solve(matrix, prepared.right_sides.numpy())
    nearest = np.linalg.lstsq(half @ inverse.basis.numpy(), half @ answer, rcond=1e-13)[0]
    best = np.linalg.norm(half @ (answer - inverse.basis.numpy() @ nearest), axis=0)
    coarse = np.linalg.norm(half @ (answer - inverse.coarse(prepared.right_sides).numpy()), axis=0)
    np.testing.assert_allclose(coarse, best, rtol=1e-10)


def matrices(problem: OperatorProblem, inverse: BalancedInverse) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the matrix of the unknowns, I - S A, and I - Q A."""
    matrix = (unknowns(problem).T @ problem.stiffness @ unknowns(problem)).toarray()
    told, unit = torch.from_numpy(matrix), np.eye(len(matrix))
    return matrix, unit - inverse(told).numpy(), unit - inverse.coarse(told).numpy()


@pytest.mark.parametrize("degree", [1, 4, 24])
@pytest.mark.parametrize("name", ["holes", "islands", "elasticity"])
def test_relaxation_multiplies_what_functions_leave_by_a_chebyshev_polynomial(name: str, degree: int) -> None:
    problem = PROBLEMS[name]()
    # As it begins, so that the diagonal and where the polynomial begins are known.
    net = network(problem, wild=0.0, relaxation=degree)
    prepared = prepare_for(net, problem)
    matrix, left, coarse = matrices(problem, inverse_of(net, prepared))
    diagonal = (1.0 - np.exp(-0.01) / (1.0 + np.exp(3.0))) * prepared.bound.numpy()
    share = np.exp(1.2) * len(prepared.places.nodes) / len(problem.points)
    least = min(max(share, 1.0 / (1.5 * degree**2)), 0.25)
    polynomial = Chebyshev.basis(degree, domain=(least, 1.0))
    values, vectors = eigh(matrix, np.diag(1.0 / diagonal))
    damped = vectors @ np.diag(polynomial(values) / polynomial(0.0)) @ vectors.T @ np.diag(1.0 / diagonal)
    # The layer that gives the diagonal is in single precision.
    tolerance = 1e-6 * degree**2 * abs(damped).max()
    np.testing.assert_allclose(left, coarse @ damped @ coarse, rtol=0, atol=tolerance)
    assert abs(left - coarse @ coarse).max() > 10 * tolerance


@pytest.mark.parametrize("wild", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", PROBLEMS)
def test_relaxation_brings_the_answer_nearer_in_energy_than_functions_alone_whatever_the_weights(
    name: str, wild: float
) -> None:
    problem = PROBLEMS[name]()
    net = network(problem, wild=wild, relaxation=6)
    matrix, left, coarse = matrices(problem, inverse_of(net, prepare_for(net, problem)))
    errors = np.linalg.solve(matrix, normal(len(matrix), 20).numpy())
    relaxed, alone = (np.einsum("nm,nk,km->m", one, matrix, one) for one in (left @ errors, coarse @ errors))
    assert (relaxed < alone).all()


@pytest.mark.parametrize("kind", ["square", "holes", "l-shape"])
@pytest.mark.parametrize("seed", range(3))
def test_conjugate_gradients_take_fewer_steps_than_with_jacobi(kind: str, seed: int) -> None:
    problem = poisson(kind, nodes=400, seed=seed, features=seed % 2)
    net = network(problem, seed=seed, landmarks=16)
    inverse = inverse_of(net, prepare_for(net, problem))
    expand = unknowns(problem)
    matrix = expand.T @ problem.stiffness @ expand
    b = expand.T @ (problem.loads - problem.stiffness @ problem.values)[:, 0]
    answer, steps = exact(problem, problem.loads, problem.values)[:, 0], []
    for apply in (lambda r: inverse(torch.from_numpy(r.ravel())).numpy(), lambda r: r.ravel() / matrix.diagonal()):
        passed: list[np.ndarray] = []
        preconditioner = LinearOperator(matrix.shape, apply, dtype=float)
        v, failed = cg(matrix, b, rtol=1e-10, M=preconditioner, callback=passed.append)
        assert failed == 0
        np.testing.assert_allclose(problem.values[:, 0] + expand @ v, answer, rtol=0, atol=1e-7 * abs(answer).max())
        steps.append(len(passed))
    print(f"steps of conjugate gradients: {steps[0]}, with Jacobi {steps[1]}")
    assert steps[0] < steps[1]


@pytest.mark.parametrize("seed", range(2))
def test_any_weights_precondition_conjugate_gradients(seed: int) -> None:
    problem = poisson("holes", nodes=150, features=1)
    net = network(problem, seed=seed, wild=1.0)
    inverse = inverse_of(net, prepare_for(net, problem))
    matrix = unknowns(problem).T @ problem.stiffness @ unknowns(problem)
    apply = LinearOperator(matrix.shape, lambda r: inverse(torch.from_numpy(r.ravel())).numpy(), dtype=float)
    b = normal(matrix.shape[0], seed=seed).numpy()
    v, failed = cg(matrix, b, rtol=1e-10, M=apply, maxiter=20 * len(b))
    assert failed == 0 and np.linalg.norm(b - matrix @ v) <= 1e-9 * np.linalg.norm(b)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_solutions_are_linear_in_loads_and_boundary_values_together(name: str, options: dict[str, int]) -> None:
    problem, net, _ = made(name, options)
    told = with_data(problem, problem.loads @ COMBINED, problem.values @ COMBINED)
    with torch.no_grad():
        one, other, both = net(prepare_for(net, told)).T
    size = max(float(one.abs().max()), float(other.abs().max()))
    assert float((both - (2.0 * one - 3.0 * other)).abs().max()) <= 1e-12 * size


def test_the_twin_is_linear_as_far_as_its_floating_point_type_lets_it() -> None:
    problem = poisson("holes", features=1)
    told = with_data(problem, problem.loads @ COMBINED, problem.values @ COMBINED)
    one, other, both = solution(twin(problem), told).T
    torch.testing.assert_close(both, 2.0 * one - 3.0 * other, rtol=0, atol=1e-12 * float(one.abs().max()))


def test_landmarks_exchange_data_linearly_and_only_through_kernels() -> None:
    torch.manual_seed(0)
    process = LandmarkProcessor(6, channels=4, layers=2, kinds=3).double()
    kernels, q = normal(3, 7, 7).exp(), normal(7, 6, seed=1)
    one, other = normal(7, 2, 4, seed=2), normal(7, 2, 4, seed=3)
    with torch.no_grad():
        both = process(kernels, q, 2.0 * one - 3.0 * other)
        torch.testing.assert_close(both, 2.0 * process(kernels, q, one) - 3.0 * process(kernels, q, other))
        alone = torch.eye(7, dtype=torch.float64).expand(3, -1, -1)
        changed = one.clone()
        changed[3] += 1.0
        same = (process(alone, q, changed) == process(alone, q, one)).all(dim=2).all(dim=1)
        assert same.tolist() == [number != 3 for number in range(7)]


def first_parameters(net: nn.Module) -> list[nn.Parameter]:
    """Return a weight of each part of a network."""
    return [next(part.parameters()) for part in net.children() if next(part.parameters(), None) is not None]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("two levels", {"level": 1, "hats": 1, "smoothing": 1}),
        ("holes", {}),
        ("islands", {}),
        ("elasticity", {"degree": 4}),
        ("two levels", {"level": 1, "degree": 2, "relaxation": 5}),
    ],
)
@pytest.mark.parametrize("structured", [True, False])
def test_gradients_are_those_of_finite_differences(name: str, options: dict[str, int], structured: bool) -> None:
    problem = PROBLEMS[name]()
    net = (network(problem, **options) if structured else twin(problem)).double()
    prepared = prepare_for(net, problem, dtype=torch.float64)

    def loss() -> torch.Tensor:
        return prepared.error(net(prepared)).mean()

    loss().backward()
    parameters = first_parameters(net)
    assert len(parameters) >= (3 if structured else 6)
    for parameter in parameters:
        assert parameter.grad is not None
        place = int(parameter.grad.abs().argmax())
        gradient, step, values = float(parameter.grad.flatten()[place]), 1e-5, []
        assert gradient != 0.0
        for sign in (1.0, -1.0):
            with torch.no_grad():
                parameter.view(-1)[place] += sign * step
                values.append(float(loss()))
                parameter.view(-1)[place] -= sign * step
        # The third derivative, and rounding of the loss over the step.
        difference = (values[0] - values[1]) / (2.0 * step)
        assert abs(difference - gradient) <= 1e-5 * abs(gradient) + 1e-9 * abs(values[0])


def test_functions_follow_the_matrix_but_where_loads_are_concentrated() -> None:
    problem = elasticity()
    assert problem.loaded is not None
    plain, following = network(problem, wild=0.0), network(problem, wild=0.0, degree=8)
    # Layers that both have are the same.
    following.load_state_dict(plain.state_dict(), strict=False)
    before, after = (inverse_of(net, prepare_for(net, problem)).basis for net in (plain, following))
    stays = np.repeat(problem.loaded, 2)[problem.free]
    assert stays.any() and torch.equal(after[stays], before[stays])
    changed = (after != before).any(dim=1).numpy()
    assert changed[~stays].all()
    energy = [
        np.einsum("nr,nr->r", b, unknowns(problem).T @ problem.stiffness @ unknowns(problem) @ b)
        for b in (before.numpy(), after.numpy())
    ]
    assert (energy[1] < energy[0]).all()


def test_weights_that_are_not_finite_leave_the_boundary_values() -> None:
    _, net, prepared = made("square", {})
    with torch.no_grad():
        next(net.parameters()).fill_(torch.nan)
        u = net(prepared)
    fixed = prepared.fixed
    assert torch.equal(u[fixed], prepared.values[fixed])
    assert not torch.isfinite(u[~fixed]).any()


def test_problems_that_a_network_is_not_made_for_are_refused_in_one_line() -> None:
    plain, featured, body = poisson(nodes=20), poisson(nodes=20, features=1), elasticity(nodes=20)
    expected = r"^problem: got 0 features of each node, expected 1; make the network with features=0$"
    net = SPON(features=1, landmarks=4, width=8)
    with pytest.raises(ValueError, match=expected):
        net(prepare_for(net, plain))
    with pytest.raises(ValueError, match=expected):
        net.inverse(prepare_for(net, plain))
    other = UnconstrainedSPON(features=1, landmarks=4, width=8)
    with pytest.raises(ValueError, match=expected):
        other(prepare_for(other, plain))
    other = UnconstrainedSPON(landmarks=4, width=8)
    with pytest.raises(ValueError, match=r"^problem: got 1 features of each node, expected 0; make the network with f"):
        other(prepare_for(other, featured))
    with pytest.raises(
        ValueError, match=r"^problem: got 2 components of each node, expected 1; make the network with c"
    ):
        other(prepare_for(other, body))


@pytest.mark.parametrize("options", [{"level": 1}, {"hats": 1}])
def test_problems_that_were_prepared_for_another_network_are_refused_in_one_line(options: dict[str, int]) -> None:
    problem = poisson(nodes=20, levels=1)
    net = network(problem, **options)
    got, expected = (f"{bool(kind.get('level'))}, {bool(kind.get('hats'))}" for kind in ({}, options))
    with pytest.raises(ValueError, match=r"^problem: got one prepared with a coarser level ") as caught:
        net(prepare(problem, landmark_count=8))
    assert str(caught.value).endswith(f"expected {expected}; use prepare_for") and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=f"expected {got}; use prepare_for$"):
        network(problem)(prepare_for(net, problem))
