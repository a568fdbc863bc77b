"""Coarse correction: against dense algebra, and its residual in more digits than it is computed with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from assembly import Triangles, normal, triangles
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from learned.operators.structure import CoarseSpace, Composed, Dirichlet, GalerkinCorrection


def prolongation(mesh: Triangles, kind: str):
    return mesh.coarse() if kind == "fixed" else normal(mesh.nodes, 5, seed=9)


@pytest.mark.parametrize("kind", ["fixed", "learned"])
@pytest.mark.parametrize(("domain", "moved"), [("square", False), ("holes", True)])
def test_the_correction_is_that_of_dense_algebra(domain: str, moved: bool, kind: str) -> None:
    mesh = triangles(domain, nodes=120, moved=moved)
    stiffness = mesh.stiffness(np.random.default_rng(1).lognormal(size=len(mesh.cells)))
    columns, raw, load = prolongation(mesh, kind), 0.1 * normal(mesh.nodes, 2), normal(mesh.nodes, 2, seed=2)
    u = GalerkinCorrection(CoarseSpace(stiffness, columns, mesh.fixed), load)(raw)
    p = columns.toarray() if kind == "fixed" else columns.numpy().copy()
    p[mesh.fixed] = 0.0
    p, a = p[:, abs(p).sum(axis=0) > 0], stiffness.toarray()
    expected = raw.numpy() + p @ np.linalg.solve(p.T @ a @ p, p.T @ (load.numpy() - a @ raw.numpy()))
    np.testing.assert_allclose(u, expected, rtol=0, atol=1e-10)
    assert torch.equal(u[mesh.fixed], raw[mesh.fixed])


@pytest.mark.parametrize("kind", ["fixed", "learned"])
@pytest.mark.parametrize("domain", ["square", "holes", "l-shape"])
def test_no_coarse_residual_is_left_in_more_digits(domain: str, kind: str) -> None:
    mesh = triangles(domain, nodes=400, moved=True)
    coarse = CoarseSpace(mesh.stiffness(), prolongation(mesh, kind), mesh.fixed)
    # Rough, and of the size of the solution of Poisson's equation.
    u = GalerkinCorrection(coarse, mesh.integrals())(0.07 * normal(mesh.nodes)).numpy()
    long = np.longdouble
    p = coarse.basis.apply(torch.eye(coarse.basis.shape[1]).double()).numpy().astype(long)
    defect = mesh.integrals().astype(long) - mesh.stiffness().toarray().astype(long) @ u.astype(long)
    assert np.linalg.norm((p.T @ defect).astype(float)) <= 1e-12 * np.linalg.norm(mesh.integrals())


def test_matrices_need_not_be_symmetric() -> None:
    mesh = triangles(nodes=120)
    skew = sparse.random_array((mesh.nodes,) * 2, density=0.05, rng=np.random.default_rng(0))
    for kind in ("fixed", "learned"):
        coarse = CoarseSpace(mesh.stiffness() + 0.01 * (skew - skew.T), prolongation(mesh, kind), mesh.fixed)
        assert not coarse.symmetric
        structure = GalerkinCorrection(coarse, mesh.integrals())
        assert structure.residual(structure(normal(mesh.nodes))) <= 1e-12


def test_the_solution_of_the_coarse_space_is_not_changed() -> None:
    mesh = triangles("holes", moved=True)
    coarse = CoarseSpace(mesh.stiffness(), mesh.coarse(), mesh.fixed)
    free = np.setdiff1d(np.arange(mesh.nodes), mesh.fixed)
    a, solution = mesh.stiffness().toarray(), np.zeros(mesh.nodes)
    solution[free] = np.linalg.solve(a[np.ix_(free, free)], mesh.integrals()[free])
    corrected = GalerkinCorrection(coarse, mesh.integrals())(torch.from_numpy(solution)).numpy()
    np.testing.assert_allclose(corrected, solution, rtol=0, atol=1e-14)
    # In the norm of the energy no raw value gets worse.
    raw = 0.1 * normal(mesh.nodes).numpy()
    raw[mesh.fixed] = 0.0
    after = GalerkinCorrection(coarse, mesh.integrals())(torch.from_numpy(raw)).numpy() - solution
    assert after @ a @ after < (raw - solution) @ a @ (raw - solution)


def test_only_the_span_of_learned_columns_matters() -> None:
    mesh = triangles(moved=True)
    columns, raw = normal(mesh.nodes, 4), normal(mesh.nodes)
    # Nearly parallel, as an untrained network's.
    parallel = columns[:, :1] + 1e-5 * columns
    parallel[:, 0] = columns[:, 0]
    one, other = (
        GalerkinCorrection(CoarseSpace(mesh.stiffness(), part, mesh.fixed), mesh.integrals())
        for part in (columns, 1e6 * parallel)
    )
    torch.testing.assert_close(one(raw), other(raw), rtol=0, atol=1e-8)
    assert other.residual(other(raw)) <= 1e-12


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_renumbered_degrees_of_freedom_give_the_renumbered_field(seed: int) -> None:
    mesh = triangles("holes", moved=True)
    order = np.random.default_rng(seed).permutation(mesh.nodes)
    fixed, matrix, load = np.argsort(order)[mesh.fixed], mesh.stiffness(), mesh.integrals()
    raw = normal(mesh.nodes, 2, seed=seed)
    for columns in (mesh.coarse(), normal(mesh.nodes, 4, seed=1)):
        u = GalerkinCorrection(CoarseSpace(matrix, columns, mesh.fixed), load)(raw)
        moved = CoarseSpace(matrix[order][:, order], columns[order], fixed)
        torch.testing.assert_close(GalerkinCorrection(moved, load[order])(raw[order]), u[order], rtol=0, atol=1e-11)


def test_gradients_reach_loads_and_learned_columns() -> None:
    mesh = triangles(nodes=20)
    arguments = [normal(mesh.nodes, count, seed=count).requires_grad_() for count in (1, 2, 3)]

    def corrected(raw, load, columns):
        coarse = CoarseSpace(mesh.stiffness(), columns, mesh.fixed)
        return GalerkinCorrection(coarse, load)(raw.expand(-1, 2))

    assert torch.autograd.gradcheck(corrected, arguments)


def test_with_boundary_values_before_it_both_hold() -> None:
    mesh = triangles("holes", moved=True)
    coarse = CoarseSpace(mesh.stiffness(), mesh.coarse(), mesh.fixed)
    both = Composed([Dirichlet(mesh.fixed, mesh.points[mesh.fixed, 0]), GalerkinCorrection(coarse, mesh.integrals())])
    u = both(normal(mesh.nodes))
    assert both.residuals(u)["dirichlet"] == 0.0
    assert both.residuals(u)["galerkin"] <= 1e-12


def test_coarse_spaces_without_a_solution_are_refused() -> None:
    mesh = triangles()
    matrix, columns = mesh.stiffness(), normal(mesh.nodes, 3)
    with pytest.raises(ValueError, match="prolongation: got 3 columns that depend on each other at free degrees of"):
        CoarseSpace(matrix, columns[:, [0, 1, 0]], mesh.fixed)
    with pytest.raises(ValueError, match="prolongation: got 80 columns that depend on each other"):
        CoarseSpace(matrix, normal(mesh.nodes, 80))
    twice = sparse.csr_array(columns[:, [0, 1, 0]].numpy())
    with pytest.raises(ValueError, match=r"prolongation: got 3 columns with which P\^T A P is singular, expected"):
        CoarseSpace(matrix, twice, mesh.fixed)
    with pytest.raises(ValueError, match=r"got 1 columns with which P\^T A P is singular"):
        CoarseSpace(matrix, sparse.csr_array(np.ones((mesh.nodes, 1))))
    with pytest.raises(ValueError, match="prolongation: got no column with an entry at a free degree of freedom"):
        CoarseSpace(matrix, twice, np.arange(mesh.nodes))
    with pytest.raises(ValueError, match=r"got 3 columns with which P\^T A P is singular"):
        CoarseSpace(matrix, torch.cat([torch.ones(mesh.nodes, 1), columns[:, :2]], dim=1))
    with pytest.raises(ValueError, match=r"prolongation: got float64 of shape \(3, 2\) on cpu, expected a matrix of"):
        CoarseSpace(matrix, normal(3, 2))
    with pytest.raises(ValueError, match=r"stiffness: got shape \(4, 3\), expected a square one"):
        CoarseSpace(sparse.csr_array((4, 3)), normal(4, 2))
    with pytest.raises(ValueError, match=r"load: got float64 of shape \(2,\)"):
        GalerkinCorrection(CoarseSpace(matrix, columns, mesh.fixed), np.ones(2))
