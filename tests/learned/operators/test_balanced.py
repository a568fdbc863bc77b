"""The balanced inverse against dense algebra, for any functions: random, dependent, vanishing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from assembly import normal, triangles
from exact import exact_residual
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from learned.operators.balanced import BalancedInverse
from learned.operators.structure import CoarseSpace, GalerkinCorrection, SelfAdjoint
from learned.sparse import sparse_map


def matrix(kind: str = "square", nodes: int = 60, seed: int = 0) -> sparse.csr_array:
    """Return Poisson's matrix of the free nodes of a moved mesh, its coefficient random."""
    mesh = triangles(kind, nodes=nodes, seed=seed, moved=True)
    free = np.setdiff1d(np.arange(mesh.nodes), mesh.fixed)
    return mesh.stiffness(np.random.default_rng(seed).lognormal(size=len(mesh.cells)))[free][:, free]


def positive(count: int, seed: int = 9) -> torch.Tensor:
    return normal(count, seed=seed).exp()


def whole(inverse: BalancedInverse, size: int) -> torch.Tensor:
    return inverse(torch.eye(size, dtype=torch.float64))


def beam(elements: int) -> tuple[sparse.csr_array, torch.Tensor, torch.Tensor]:
    """Return the matrix of a clamped beam by differences, functions that overlap, and loads."""
    h = 1.0 / elements
    curvature = sparse.diags_array([1.0, -2.0, 1.0], offsets=[0, -1, -2], shape=(elements + 1, elements - 1)) / h**2
    x = torch.arange(1, elements, dtype=torch.float64) * h
    centres = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    phi = (x * (1.0 - x))[:, None] ** 2 * torch.exp(-((6.0 * (x[:, None] - centres)) ** 2))
    loads = h * torch.stack([torch.ones_like(x), torch.cos(3.0 * x), (x > 0.4).double()], dim=1)
    return sparse.csr_array(h * curvature.T @ curvature), phi, loads


def seen(a: sparse.csr_array, phi: torch.Tensor, b: torch.Tensor, u: torch.Tensor) -> np.ndarray:
    """Return what functions, made of length one, see of each residual, in more digits, shape (m,)."""
    long = np.longdouble
    left = exact_residual(a, b.numpy(), u.numpy()).astype(long)
    lengths = phi.norm(dim=0)[:, None]
    # Divided at the end: functions that are rounded are others.
    products = (phi.numpy().astype(long).T @ left) / torch.where(lengths > 0, lengths, 1.0).numpy()
    return np.linalg.norm(products.astype(float), axis=0)


def dependent(kind: str, size: int) -> torch.Tensor:
    """Return functions by what is wrong with them."""
    basis = normal(size, 8, seed=3)
    if kind == "twice the same":
        return torch.cat([basis, basis[:, :3], basis @ normal(8, 2, seed=4)], dim=1)
    if kind == "more than unknowns":
        return normal(size, size + 5, seed=5)
    if kind == "zeros among them":
        return torch.cat([basis, torch.zeros(size, 2, dtype=torch.float64)], dim=1)
    if kind == "of all sizes":
        return basis * 10.0 ** torch.linspace(-80.0, 80.0, 8, dtype=torch.float64)
    if kind == "copies before what they differ by":
        other = normal(size, 8, seed=6)
        return torch.cat([basis, basis + 1e-5 * other, other + normal(size, 8, seed=8)], dim=1)
    # Of each a copy that differs by so much.
    return torch.cat([basis, basis + float(kind) * normal(size, 8, seed=6)], dim=1)


KINDS = ["twice the same", "more than unknowns", "zeros among them", "of all sizes"]
KINDS += ["copies before what they differ by"]
KINDS += [f"1e-{digits}" for digits in range(1, 16)]


@pytest.mark.parametrize("kind", ["square", "holes"])
def test_it_is_the_formula_in_dense_algebra(kind: str) -> None:
    a = matrix(kind)
    size = a.shape[0]
    phi, m = normal(size, 7), positive(size)
    s = whole(BalancedInverse(sparse_map(a), phi, m), size).numpy()
    a, phi, unit = a.toarray(), phi.numpy(), np.eye(size)
    q = phi @ np.linalg.solve(phi.T @ a @ phi, phi.T)
    np.testing.assert_allclose(s, q + (unit - q @ a) @ np.diag(m) @ (unit - a @ q), rtol=0, atol=1e-12 * abs(s).max())


@pytest.mark.parametrize("kind", KINDS)
def test_for_any_functions_it_is_symmetric_and_positive_definite(kind: str) -> None:
    a = matrix()
    size = a.shape[0]
    inverse = BalancedInverse(sparse_map(a), dependent(kind, size), positive(size))
    s = whole(inverse, size)
    assert float((s - s.T).abs().max()) <= 1e-12 * float(s.abs().max())
    # No energy is less than that of the local part or of A's inverse, whichever is less.
    least = min(float(positive(size).min()), 1.0 / np.linalg.eigvalsh(a.toarray())[-1])
    assert float(torch.linalg.eigvalsh(0.5 * (s + s.T))[0]) > 1e-3 * least
    seen = SelfAdjoint(np.zeros((size, 1)), 1.0)
    assert seen.residual(inverse(seen.loads)) <= 1e-12


@pytest.mark.parametrize("refined", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_for_any_functions_no_residual_is_left_that_they_see_in_more_digits(kind: str, refined: bool) -> None:
    a = matrix("holes", 120)
    size = a.shape[0]
    phi = dependent(kind, size)
    b = normal(size, 3, seed=1)
    u = BalancedInverse(sparse_map(a), phi, positive(size))(b, refined=refined)
    assert (seen(a, phi, b, u) <= 1e-12 * np.linalg.norm(b, axis=0)).all()


@pytest.mark.parametrize("elements", [50, 200])
def test_of_slender_beams_refined_answers_leave_what_rounding_of_themselves_does(elements: int) -> None:
    a, phi, loads = beam(elements)
    inverse = BalancedInverse(sparse_map(a), phi, 0.5 / torch.from_numpy(a.diagonal()))
    plain, refined = (inverse(loads, refined=digits) for digits in (False, True))
    size = np.linalg.norm(loads, axis=0)
    unit = (phi / phi.norm(dim=0)).numpy()
    # Every number of u is rounded once, in the sum that makes it.
    rounding = np.linalg.norm(abs(unit.T @ a) @ abs(refined.numpy()), axis=0) * np.finfo(float).eps / 2.0
    found = seen(a, phi, loads, refined)
    assert (found <= rounding).all()
    print(f"seen of loads: {(seen(a, phi, loads, plain) / size).max():.1e}, refined {(found / size).max():.1e}")
    assert (found < 0.1 * seen(a, phi, loads, plain)).all()
    # Betti: work of loads on each other's displacements.
    work = (loads.T @ refined).numpy()
    lengths = np.outer(size, np.linalg.norm(refined, axis=0))
    assert (abs(work - work.T) <= 1e-13 * (lengths + lengths.T)).all()


def test_the_figure_of_galerkins_correction_agrees() -> None:
    a = matrix()
    phi, b = normal(a.shape[0], 6), normal(a.shape[0], 2, seed=1)
    structure = GalerkinCorrection(CoarseSpace(a, phi), b)
    m = positive(len(b))
    assert structure.residual(BalancedInverse(sparse_map(a), phi, m)(b)) <= 1e-12
    assert structure.residual(m[:, None] * b) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_functions_can_express_is_solved_exactly(kind: str) -> None:
    a = matrix()
    phi = dependent(kind, a.shape[0])
    phi = phi / phi.norm(dim=0).clamp_min(1e-300)
    u, m = phi @ normal(phi.shape[1], 2, seed=7), positive(len(phi))
    b, inverse = sparse_map(a)(u), BalancedInverse(sparse_map(a), phi, m)
    # As far as b says what u is: its rounding, times the condition of A; the local part is applied to what is wrong.
    bound = 1e-14 * np.linalg.cond(a.toarray()) * float(u.abs().max())
    assert float((inverse.coarse(b) - u).abs().max()) <= bound
    assert float((inverse(b) - u).abs().max()) <= bound * np.linalg.norm(m.numpy()[:, None] * a.toarray(), 2)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), size=st.floats(-6.0, 6.0, allow_subnormal=False))
def test_only_the_span_matters(seed: int, size: float) -> None:
    a = matrix()
    phi, b = normal(a.shape[0], 5, seed=seed), normal(a.shape[0], 2, seed=seed + 1)
    change, m = 10.0**size * (normal(5, 5, seed=seed + 2) + 4.0 * torch.eye(5)), positive(len(b))
    one, other = (BalancedInverse(sparse_map(a), part, m)(b) for part in (phi, phi @ change))
    spread = torch.linalg.cond(change)
    assert float((one - other).abs().max()) <= 1e-13 * float(spread) * float(one.abs().max())


def test_where_functions_and_local_part_vanish_the_answer_does() -> None:
    a = matrix()
    phi, m = normal(a.shape[0], 5), positive(a.shape[0])
    phi[:4], m[:4] = 0.0, 0.0
    u = BalancedInverse(sparse_map(a), phi, m)(normal(a.shape[0], 3))
    assert not u[:4].any()
    assert float(u[4:].abs().min()) > 0.0


def test_another_operator_may_be_the_local_part() -> None:
    a = matrix()
    size = a.shape[0]
    inner = BalancedInverse(sparse_map(a), normal(size, 9, seed=1), positive(size))
    phi, b = normal(size, 4), normal(size, 2, seed=2)
    outer = BalancedInverse(sparse_map(a), phi, inner)
    s = whole(outer, size)
    assert float((s - s.T).abs().max()) <= 1e-12 * float(s.abs().max())
    assert float(torch.linalg.eigvalsh(s)[0]) > 0.0
    assert GalerkinCorrection(CoarseSpace(a, phi), b).residual(outer(b)) <= 1e-12
    dense, m = a.toarray(), whole(inner, size).numpy()
    q = phi.numpy() @ np.linalg.solve(phi.numpy().T @ dense @ phi.numpy(), phi.numpy().T)
    left = np.eye(size) - q @ dense
    np.testing.assert_allclose(s, q + left @ m @ left.T, rtol=0, atol=1e-12 * float(s.abs().max()))


@pytest.mark.parametrize("refined", [False, True])
@pytest.mark.parametrize("kind", ["", "1e-3"])
def test_gradients_by_functions_and_local_part_are_those_of_finite_differences(kind: str, refined: bool) -> None:
    a = matrix(nodes=24)
    size = a.shape[0]
    b, phi = normal(size, 2, seed=2), dependent(kind, size)[:, ::4] if kind else normal(size, 3)

    def answer(phi: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
        return BalancedInverse(sparse_map(a), phi, m)(b, refined=refined)

    arguments = (phi.requires_grad_(), positive(size).requires_grad_())
    assert torch.autograd.gradcheck(answer, arguments, eps=1e-7 if kind else 1e-6, atol=1e-4 if kind else 1e-6)


def test_one_right_hand_side_is_a_column_and_answers_are_linear() -> None:
    a = matrix()
    inverse = BalancedInverse(sparse_map(a), normal(a.shape[0], 5), positive(a.shape[0]))
    b = normal(a.shape[0], 2, seed=1)
    assert inverse(b[:, 0]).shape == (a.shape[0],)
    torch.testing.assert_close(inverse(b)[:, 0], inverse(b[:, 0]), rtol=0, atol=1e-14)
    one, other = inverse(b).T
    torch.testing.assert_close(inverse(3.0 * b[:, 0] - 2.0 * b[:, 1]), 3.0 * one - 2.0 * other, rtol=0, atol=1e-13)


def test_functions_that_are_not_finite_give_no_answer_instead_of_an_error() -> None:
    a = matrix()
    phi = normal(a.shape[0], 5)
    phi[3, 2] = torch.nan
    assert torch.isnan(BalancedInverse(sparse_map(a), phi, positive(len(phi)))(normal(len(phi), 2))).all()
