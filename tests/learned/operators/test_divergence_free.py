"""Velocities from stream functions: divergence, walls and flow rates, from the geometry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from assembly import Triangles, normal, triangles
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from learned.operators.structure import Dirichlet, DivergenceFree


def pointwise(mesh: Triangles) -> sparse.csr_array:
    return sparse.csr_array(sparse.diags_array(1.0 / mesh.areas) @ mesh.divergence())


def root_mean_square(mesh: Triangles, fluxes: np.ndarray) -> float:
    """Return |u| of fluxes whose velocity is constant in cells, from two facets of each by solving for it."""
    number = {tuple(facet): k for k, facet in enumerate(mesh.facets.tolist())}
    total = 0.0
    for cell, area in zip(mesh.cells, mesh.areas, strict=True):
        sides = [number[tuple(sorted(pair))] for pair in (cell[[0, 1]].tolist(), cell[[1, 2]].tolist())]
        along = np.diff(mesh.points[mesh.facets[sides]], axis=1)[:, 0]
        velocity = np.linalg.solve(np.stack([along[:, 1], -along[:, 0]], axis=1), fluxes[sides])
        total += area * float(velocity @ velocity)
    return np.sqrt(total / mesh.areas.sum())


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("kind", "moved"), [("square", False), ("ring", True), ("holes", False), ("holes", True)])
def test_the_divergence_is_rounding_and_nothing_crosses_walls(kind: str, moved: bool, seed: int) -> None:
    mesh = triangles(kind, moved=moved, seed=seed)
    structure = DivergenceFree(mesh.rotation(), pointwise(mesh), mesh.components())
    fluxes = structure(normal(mesh.nodes, seed=seed)).numpy()
    length = np.sqrt(mesh.areas.max())
    assert np.abs(pointwise(mesh) @ fluxes).max() <= 1e-12 * root_mean_square(mesh, fluxes) / length
    assert not fluxes[mesh.outer_facets()].any()


def test_the_divergence_is_rounding_in_any_scaling_of_degrees_of_freedom() -> None:
    # As of elements of higher degree, whose matrices are products of rounded numbers.
    mesh = triangles("holes", moved=True)
    scale = np.random.default_rng(0).lognormal(sigma=2.0, size=len(mesh.facets))
    rotation, divergence = sparse.diags_array(scale) @ mesh.rotation(), pointwise(mesh) @ sparse.diags_array(1 / scale)
    structure = DivergenceFree(rotation, divergence, mesh.components())
    assert 0.0 < structure.residual(structure(normal(mesh.nodes, 3))) <= 1e-14
    assert structure.residual(normal(len(mesh.facets), 3)) > 1e-3


def test_flow_rates_are_given_by_differences_or_learnt_from_means() -> None:
    mesh = triangles("holes", seed=2)
    components = mesh.components()
    assert len(components) >= 2
    given = [0.0, 0.7, *[None] * (len(components) - 2)]
    raw = normal(mesh.nodes)
    for values, expected in ((given, 0.7), (None, float(raw[components[1]].mean() - raw[components[0]].mean()))):
        structure = DivergenceFree(mesh.rotation(), pointwise(mesh), components, values)
        fluxes = structure(raw).numpy()
        # Along a path of facets from one component to the other; against a facet's direction the flux is negative.
        ends = mesh.facets.T
        graph = sparse.csr_array((np.ones(len(mesh.facets)), (ends[0], ends[1])), shape=(mesh.nodes,) * 2)
        before = dijkstra(graph, directed=False, indices=int(components[0][0]), return_predecessors=True)[1]
        node, total = int(components[1][0]), 0.0
        number = {tuple(facet): k for k, facet in enumerate(mesh.facets.tolist())}
        while node != components[0][0]:
            last = int(before[node])
            total += fluxes[number[min(node, last), max(node, last)]] * (1.0 if last < node else -1.0)
            node = last
        assert total == pytest.approx(expected, rel=1e-12)


def test_stream_functions_are_constant_on_components_bit_for_bit_and_free_inside() -> None:
    mesh = triangles("ring", moved=True)
    structure = DivergenceFree(mesh.rotation(), pointwise(mesh), mesh.components())
    raw = normal(mesh.nodes, 2)
    psi = structure.stream_function(raw)
    for part in mesh.components():
        assert torch.equal(psi[part], psi[part[:1]].expand(len(part), -1))
        torch.testing.assert_close(psi[part[0]], raw[part].mean(0), rtol=1e-14, atol=1e-15)
    inside = np.setdiff1d(np.arange(mesh.nodes), mesh.fixed)
    assert torch.equal(psi[inside], raw[inside])


def test_profiles_at_inlets_are_given() -> None:
    mesh = triangles("lattice", nodes=49)
    x, y = mesh.points.T
    low, high = (np.flatnonzero(y == end) for end in (0.0, 1.0))
    inlet = np.flatnonzero(((x == 0.0) | (x == 1.0)) & (y > 0.0) & (y < 1.0))
    profile = y**2 * (3.0 - 2.0 * y)
    boundary = Dirichlet(inlet, profile[inlet])
    flow = DivergenceFree(mesh.rotation(), pointwise(mesh), [low, high], [0.0, 1.0], boundary=boundary)
    fluxes = flow(normal(mesh.nodes)).numpy()
    outer = mesh.outer_facets()
    np.testing.assert_array_equal(fluxes[outer], np.diff(profile[mesh.facets[outer]], axis=1)[:, 0])
    assert flow.residual(torch.from_numpy(fluxes)) <= 1e-14


def test_gradients_reach_given_values() -> None:
    mesh = triangles("ring", nodes=30)
    raw, rate = normal(mesh.nodes, 2).requires_grad_(), normal(2, seed=1).requires_grad_()

    def flow(raw, rate):
        return DivergenceFree(mesh.rotation(), pointwise(mesh), mesh.components(), [None, rate])(raw)

    assert torch.autograd.gradcheck(flow, (raw, rate))


def test_parts_of_the_boundary_that_do_not_fit_are_refused() -> None:
    mesh = triangles("ring", nodes=30)
    one, other = mesh.components()
    matrices = mesh.rotation(), pointwise(mesh)
    with pytest.raises(ValueError, match="components: got degrees of freedom in two of them, or also in boundary"):
        DivergenceFree(*matrices, [one, np.append(other, one[0])])
    with pytest.raises(ValueError, match="leave the ends of an inlet to the walls"):
        DivergenceFree(*matrices, [one], boundary=Dirichlet(one[:2]))
    with pytest.raises(ValueError, match="values: got 1, expected 2: a number or None for each component"):
        DivergenceFree(*matrices, [one, other], [0.0])
    with pytest.raises(ValueError, match=r"divergence: got csr_array of shape .*, expected .* of shape \(any, "):
        DivergenceFree(mesh.rotation(), mesh.mass(), [one, other])
