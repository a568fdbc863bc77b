"""Linear constraints: the projection against the saddle-point system, solved densely."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from assembly import Triangles, normal, triangles
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from learned.operators.structure import AffineConstraints, Composed, Mass


def moments(mesh: Triangles) -> np.ndarray:
    """Return the integrals of the basis functions with 1, x and y."""
    return np.stack([mesh.mass() @ weight for weight in (np.ones(mesh.nodes), *mesh.points.T)])


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize(("kind", "moved"), [("square", False), ("holes", True), ("ring", True)])
def test_the_projection_is_the_nearest_field_in_the_norm_of_the_metric(kind: str, moved: bool, bounded: bool) -> None:
    mesh = triangles(kind, moved=moved)
    fixed = mesh.fixed if bounded else np.zeros(0, int)
    values, targets = normal(len(fixed), 2, seed=1), normal(3, 2, seed=2)
    raw = normal(mesh.nodes, 2, seed=3)
    u = AffineConstraints(mesh.mass(), moments(mesh), targets, fixed, values)(raw).numpy()
    lifted = raw.numpy().copy()
    lifted[fixed] = values
    # Lagrange multipliers for the constraints and for the boundary values, which are not free to change.
    rows = np.concatenate([moments(mesh), np.eye(mesh.nodes)[fixed]])
    zero = np.zeros((len(rows), len(rows)))
    system = np.block([[mesh.mass().toarray(), rows.T], [rows, zero]])
    right = np.concatenate([mesh.mass() @ lifted, targets.numpy(), values.numpy()])
    np.testing.assert_allclose(u, np.linalg.solve(system, right)[: mesh.nodes], rtol=0, atol=1e-10)
    assert u[fixed].tobytes() == values.numpy().tobytes()


@given(seed=st.integers(0, 1000), scale=st.floats(-6, 6, allow_subnormal=False))
def test_the_mass_is_right_for_raw_values_of_any_size(seed: int, scale: float) -> None:
    mesh = triangles("holes", moved=True)
    structure = Mass(mesh.mass(), 0.4, mesh.fixed, 0.0)
    u = structure(10.0**scale * normal(mesh.nodes, seed=seed)).numpy()
    terms = (mesh.mass() @ np.ones(mesh.nodes)) * u
    assert abs(math.fsum(terms) - 0.4) <= 1e-13 * max(0.4, math.fsum(abs(terms)))
    assert not u[mesh.fixed].any()


def test_without_boundary_values_mass_and_zero_mean_add_a_constant() -> None:
    mesh = triangles("l-shape", moved=True)
    area, raw = mesh.areas.sum(), normal(mesh.nodes)
    mean = float(mesh.integrals() @ raw.numpy()) / area
    torch.testing.assert_close(Mass(mesh.mass())(raw), raw - mean, rtol=0, atol=1e-13)
    torch.testing.assert_close(Mass(mesh.mass(), 2.0)(raw), raw - mean + 2.0 / area, rtol=0, atol=1e-12)


def test_components_have_their_own_totals() -> None:
    mesh = triangles(moved=True)
    raw = normal(2 * mesh.nodes)
    fixed = np.array([0, 1, 7])
    u = Mass(mesh.mass(), [0.3, -0.2], fixed, components=2)(raw)
    assert mesh.integrals() @ u.numpy().reshape(-1, 2) == pytest.approx([0.3, -0.2], rel=1e-12)
    # Without values the raw ones stay at fixed degrees of freedom.
    assert torch.equal(u[fixed], raw[fixed])
    # A component is what it is alone.
    alone = Mass(mesh.mass(), -0.2, np.array([0, 3]))(raw[1::2])
    torch.testing.assert_close(u[1::2], alone, rtol=0, atol=1e-13)


def test_constraints_together_hold_where_one_after_the_other_does_not() -> None:
    mesh = triangles(moved=True)
    rows, targets, raw = moments(mesh), np.array([1.0, 0.2, 0.3]), normal(mesh.nodes)
    together = AffineConstraints(mesh.mass(), rows, targets)
    one_by_one = Composed([AffineConstraints(mesh.mass(), rows[[k]], targets[k]) for k in range(3)])
    assert together.residual(together(raw)) <= 1e-13
    assert together.residual(one_by_one(raw)) > 1e-3
    twice = together(together(raw))
    torch.testing.assert_close(twice, together(raw), rtol=0, atol=1e-13)


@given(seed=st.integers(0, 1000))
def test_renumbered_degrees_of_freedom_give_the_renumbered_field(seed: int) -> None:
    mesh = triangles(moved=True)
    order = np.random.default_rng(seed).permutation(mesh.nodes)
    raw, values = normal(mesh.nodes, seed=seed), normal(len(mesh.fixed), seed=seed + 1)
    u = AffineConstraints(mesh.mass(), moments(mesh), 0.3, mesh.fixed, values)(raw)
    mass, fixed = mesh.mass()[order][:, order], np.argsort(order)[mesh.fixed]
    v = AffineConstraints(mass, moments(mesh)[:, order], 0.3, fixed, values)(raw[order])
    torch.testing.assert_close(v, u[order], rtol=0, atol=1e-12)


def test_units_of_constraints_do_not_matter() -> None:
    mesh = triangles()
    raw, scale = normal(mesh.nodes), np.array([1e-9, 1.0, 1e9])
    u = AffineConstraints(mesh.mass(), moments(mesh), [1.0, 0.2, 0.3])(raw)
    v = AffineConstraints(mesh.mass(), sparse.csr_array(scale[:, None] * moments(mesh)), scale * [1.0, 0.2, 0.3])(raw)
    torch.testing.assert_close(v, u, rtol=0, atol=1e-12)


def test_gradients_reach_targets_and_boundary_values() -> None:
    mesh = triangles(nodes=20)
    arguments = [normal(*shape, seed=seed) for seed, shape in enumerate([(mesh.nodes, 2), (3, 2), (4, 2)])]

    def constrained(raw, targets, values):
        return AffineConstraints(mesh.mass(), moments(mesh), targets, np.arange(4), values)(raw)

    assert torch.autograd.gradcheck(constrained, [part.requires_grad_() for part in arguments])


def test_data_without_a_projection_are_refused() -> None:
    mesh = triangles(nodes=20)
    rows, mass = moments(mesh), mesh.mass()
    with pytest.raises(ValueError, match="constraints: got 2 that depend on each other, expected independent ones;"):
        AffineConstraints(mass, rows[[0, 0]], 1.0)
    with pytest.raises(ValueError, match="constraints: got one without weight at any free degree of freedom"):
        AffineConstraints(mass, np.eye(mesh.nodes)[:1], 1.0, np.arange(2))
    with pytest.raises(ValueError, match=rf"constraints: got shape \(3, 4\), expected \(k, {mesh.nodes}\): a row"):
        AffineConstraints(mass, rows[:, :4], 1.0)
    with pytest.raises(ValueError, match=r"targets: got float64 of shape \(2,\)"):
        AffineConstraints(mass, rows, np.ones(2))
    with pytest.raises(ValueError, match="metric: got a matrix that is not symmetric, expected one that is"):
        AffineConstraints(sparse.triu(mass), rows, 1.0)
    with pytest.raises(ValueError, match="or a metric that is not positive"):
        AffineConstraints(-mass, rows, 1.0)
    with pytest.raises(ValueError, match=r"metric: got ndarray of shape \(2, 2\), expected a real sparse matrix"):
        AffineConstraints(np.eye(2), rows, 1.0)
