"""Self-adjoint operators: their matrices column by column, and conjugate gradients with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from assembly import Triangles, normal, triangles
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg

from learned.operators.structure import CoarseSpace, LinearMap, SelfAdjoint


def sparse_factor(mesh: Triangles, seed: int = 0) -> torch.Tensor:
    """Return a factor on the edges of the mesh and the diagonal, with random entries, as a network may give them."""
    rows, columns = (torch.from_numpy(place.astype(np.int64)) for place in sparse.coo_array(mesh.mass()).coords)
    return torch.sparse_coo_tensor(
        torch.stack([rows, columns]), normal(len(rows), seed=seed), (mesh.nodes,) * 2, check_invariants=False
    )


def operators(mesh: Triangles, seed: int = 0) -> dict[str, SelfAdjoint]:
    dense, diagonal, kept = normal(mesh.nodes, 7, seed=seed), normal(mesh.nodes, seed=seed + 1), mesh.fixed
    scipy_factor = sparse.csr_array(np.where(abs(dense) > 1.0, dense, 0.0))
    by_hand = LinearMap(dense.shape, lambda x: dense @ x, lambda y: dense.T @ y)
    coarse = CoarseSpace(mesh.stiffness(), mesh.coarse(), kept)
    learned = CoarseSpace(mesh.stiffness(), normal(mesh.nodes, 4, seed=seed + 2), kept)
    parts = {
        "dense": dense,
        "sparse": sparse_factor(mesh, seed),
        "scipy": scipy_factor,
        "map": by_hand,
        "coarse": coarse,
        "learned coarse": learned,
    }
    return {name: SelfAdjoint(part, diagonal, fixed=kept) for name, part in parts.items()}


@pytest.mark.parametrize("name", ["dense", "sparse", "scipy", "map", "coarse", "learned coarse"])
@pytest.mark.parametrize(("kind", "moved"), [("square", False), ("holes", True)])
def test_the_matrix_is_symmetric_and_positive_at_free_degrees_of_freedom(kind: str, moved: bool, name: str) -> None:
    mesh = triangles(kind, moved=moved)
    structure = operators(mesh)[name]
    matrix = structure(torch.eye(mesh.nodes)).numpy()
    assert abs(matrix - matrix.T).max() <= 1e-12 * abs(matrix).max()
    assert not matrix[mesh.fixed].any() and not matrix[:, mesh.fixed].any()
    free = np.setdiff1d(np.arange(mesh.nodes), mesh.fixed)
    inside = matrix[np.ix_(free, free)]
    # At least the square of the diagonal, which is what is added to a semidefinite matrix.
    least = float((normal(mesh.nodes, seed=1)[free] ** 2).min())
    assert np.linalg.eigvalsh(inside)[0] >= least - 1e-14 * abs(matrix).max() * len(free)
    # It is linear.
    raw = normal(mesh.nodes, 2, seed=5)
    np.testing.assert_allclose(structure(raw), matrix @ raw.numpy(), rtol=0, atol=1e-12 * abs(matrix).max() * 10)


def test_both_forms_are_those_of_dense_algebra() -> None:
    mesh = triangles(moved=True)
    mask = np.ones((mesh.nodes, 1))
    mask[mesh.fixed] = 0.0
    square = np.diag(mask[:, 0] * normal(mesh.nodes, seed=1).numpy() ** 2)
    half = mask * normal(mesh.nodes, 7).numpy()
    matrices = {name: structure(torch.eye(mesh.nodes)).numpy() for name, structure in operators(mesh).items()}
    np.testing.assert_allclose(matrices["dense"], half @ half.T + square, rtol=0, atol=1e-13)
    p, a = mask * mesh.coarse().toarray(), mesh.stiffness().toarray()
    np.testing.assert_allclose(matrices["coarse"], p @ np.linalg.solve(p.T @ a @ p, p.T) + square, rtol=0, atol=1e-12)
    p = mask * normal(mesh.nodes, 4, seed=2).numpy()
    np.testing.assert_allclose(
        matrices["learned coarse"], p @ np.linalg.solve(p.T @ a @ p, p.T) + square, rtol=0, atol=1e-11
    )


@pytest.mark.parametrize("seed", range(5))
def test_conjugate_gradients_converge_with_untrained_operators(seed: int) -> None:
    mesh = triangles("holes", moved=True, seed=seed)
    free = np.setdiff1d(np.arange(mesh.nodes), mesh.fixed)
    keep = sparse.diags_array(np.isin(np.arange(mesh.nodes), free).astype(float))
    rng = np.random.default_rng(seed)
    stiffness = mesh.stiffness(rng.lognormal(size=len(mesh.cells)))
    # As Firedrake assembles it: the identity at fixed degrees of freedom.
    matrix = sparse.csr_array(keep @ stiffness @ keep + sparse.eye_array(mesh.nodes) - keep)
    load = keep @ rng.normal(size=mesh.nodes)
    expected = np.linalg.solve(matrix.toarray(), load)
    for name, structure in operators(mesh, seed).items():
        apply = LinearOperator(matrix.shape, lambda r, s=structure: s(torch.from_numpy(r.ravel())).numpy(), dtype=float)
        solution, failed = cg(matrix, load, rtol=1e-10, maxiter=20 * mesh.nodes, M=apply)
        assert failed == 0, name
        np.testing.assert_allclose(solution, expected, rtol=0, atol=1e-6 * abs(expected).max())
        assert not solution[mesh.fixed].any()


def test_a_coarse_correction_saves_iterations() -> None:
    # The second form is a preconditioner before any training: D^2 smooths, P solves what is smooth.
    mesh = triangles(nodes=600)
    free = np.setdiff1d(np.arange(mesh.nodes), mesh.fixed)
    matrix = mesh.stiffness()
    diagonal = 1.0 / np.sqrt(matrix.diagonal())
    coarse = SelfAdjoint(CoarseSpace(matrix, mesh.coarse(8), mesh.fixed), diagonal, fixed=mesh.fixed)
    jacobi = SelfAdjoint(np.zeros((mesh.nodes, 1)), diagonal, fixed=mesh.fixed)
    counts = []
    for structure in (coarse, jacobi):

        def apply(r, structure=structure):
            whole = np.zeros(mesh.nodes)
            whole[free] = r.ravel()
            return structure(torch.from_numpy(whole)).numpy()[free]

        inside, steps = matrix[free][:, free], []
        preconditioner = LinearOperator(inside.shape, apply, dtype=float)
        assert cg(inside, mesh.integrals()[free], rtol=1e-8, M=preconditioner, callback=steps.append)[1] == 0
        counts.append(len(steps))
    assert counts[0] < 0.7 * counts[1]


@given(seed=st.integers(0, 1000))
def test_renumbered_degrees_of_freedom_give_the_renumbered_field(seed: int) -> None:
    mesh = triangles(moved=True)
    order = np.random.default_rng(seed).permutation(mesh.nodes)
    half, diagonal, load = normal(mesh.nodes, 5, seed=seed), normal(mesh.nodes, seed=seed + 1), normal(mesh.nodes, 2)
    u = SelfAdjoint(half, diagonal, fixed=mesh.fixed)(load)
    moved = SelfAdjoint(half[order], diagonal[order], fixed=np.argsort(order)[mesh.fixed])
    torch.testing.assert_close(moved(load[order]), u[order], rtol=0, atol=1e-12)


def test_gradients_reach_factors_and_diagonal() -> None:
    mesh = triangles(nodes=16)
    load, diagonal = normal(mesh.nodes, 2).requires_grad_(), normal(mesh.nodes, seed=1).requires_grad_()
    pattern = sparse_factor(mesh).coalesce().indices()
    values, columns = normal(pattern.shape[1], seed=2).requires_grad_(), normal(mesh.nodes, 3, seed=3).requires_grad_()

    def sparsely(load, diagonal, values):
        factor = torch.sparse_coo_tensor(pattern, values, (mesh.nodes,) * 2, check_invariants=False)
        return SelfAdjoint(factor, diagonal, fixed=mesh.fixed)(load)

    def densely(load, diagonal, columns):
        return SelfAdjoint(columns, diagonal, fixed=mesh.fixed)(load)

    def coarsely(load, diagonal, columns):
        return SelfAdjoint(CoarseSpace(mesh.stiffness(), columns, mesh.fixed), diagonal, fixed=mesh.fixed)(load)

    assert torch.autograd.gradcheck(sparsely, (load, diagonal, values))
    assert torch.autograd.gradcheck(densely, (load, diagonal, columns))
    assert torch.autograd.gradcheck(coarsely, (load, diagonal, columns))


def test_the_residual_tells_symmetric_operators_from_others() -> None:
    mesh = triangles()
    loads = normal(mesh.nodes, 3, seed=8)
    structure = SelfAdjoint(normal(mesh.nodes, 5), 1.0, loads=loads)
    assert torch.equal(structure.loads, loads)
    symmetric = mesh.stiffness().toarray()
    assert structure.residual(torch.from_numpy(symmetric @ loads.numpy())) <= 1e-14
    symmetric[3, 4] += 1.0
    assert structure.residual(torch.from_numpy(symmetric @ loads.numpy())) > 1e-3


def test_other_data_are_refused() -> None:
    mesh = triangles(nodes=20)
    half = normal(mesh.nodes, 3)
    with pytest.raises(ValueError, match=r"diagonal: got zeros or several columns, expected \(N,\) without zeros"):
        SelfAdjoint(half, 0.0)
    with pytest.raises(ValueError, match="diagonal: got zeros or several columns"):
        SelfAdjoint(half, normal(mesh.nodes, 2))
    with pytest.raises(ValueError, match="loads: got one column, expected two or more: symmetry is seen in pairs"):
        SelfAdjoint(half, 1.0, loads=normal(mesh.nodes))
    with pytest.raises(ValueError, match="factor: got a coarse space of a matrix that is not symmetric"):
        SelfAdjoint(CoarseSpace(sparse.triu(mesh.stiffness() + mesh.mass()), half), 1.0)
    with pytest.raises(ValueError, match=r"factor: got int64 of shape .*, expected a matrix of shape \(4, any\)"):
        SelfAdjoint(np.ones((4, 2), dtype=int), 1.0)
    with pytest.raises(
        ValueError, match=r"u: got shape \(4, 3\), expected \(4, 4\): what the operator makes of .loads"
    ):
        SelfAdjoint(np.ones((4, 2)), 1.0).residual(normal(4, 3))
