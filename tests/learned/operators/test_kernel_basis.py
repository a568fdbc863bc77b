"""Landmarks, functions around them, and what networks are told of nodes: against brute force, in any position."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from assembly import triangles
from problems import elasticity, islands, perturbed, placed, poisson, poisson_on
from scipy import sparse
from scipy.spatial.transform import Rotation

from learned.operators.geometry_encoder import GeometryEncoder
from learned.operators.kernel_basis import KernelBasis, Landmarks, landmarks, rise, spread
from learned.operators.nodes import distances, node_weights
from learned.operators.prepared import PreparedProblem, prepare

TURN = Rotation.from_euler("z", 0.7).as_matrix()[:2, :2]
MIRROR = TURN @ np.diag([-1.0, 1.0])


def double(problem, count: int = 9) -> PreparedProblem:
    return prepare(problem, landmark_count=count, dtype=torch.float64)


def functions(problem: PreparedProblem, *, wild: float = 0.5, seed: int = 0, **options) -> torch.Tensor:
    """Return what a network with random weights makes for a problem."""
    torch.manual_seed(seed)
    told = problem.graph.nodes.shape[1]
    encode = perturbed(GeometryEncoder(told, width=8, messages=2).double(), 0.1)
    basis = perturbed(KernelBasis(8, **options).double(), wild)
    with torch.no_grad():
        q = encode(problem.graph)
        return basis(problem.places, q, q[problem.places.nodes])


def plain_landmarks(points: np.ndarray, count: int) -> Landmarks:
    """Return landmarks where nothing is fixed."""
    nothing, none = np.zeros((len(points), 1), dtype=bool), np.full(len(points), -1)
    return landmarks(points, 1.0, nothing, none, count, dtype=torch.float64)


@pytest.mark.parametrize("kind", ["square", "holes", "ring"])
def test_each_landmark_is_as_far_as_can_be_from_those_before(kind: str) -> None:
    points = triangles(kind, nodes=150, moved=True).points
    between = np.linalg.norm(points[:, None] - points[None], axis=2)
    chosen = spread(points, 20)
    assert len(set(chosen)) == 20
    assert np.linalg.norm(points - points.mean(axis=0), axis=1).argmax() == chosen[0]
    for number in range(1, 20):
        away = between[:, chosen[:number]].min(axis=1)
        assert away[chosen[number]] == away.max()
    # So no node is farther from its landmark than two landmarks are from each other.
    apart = between[np.ix_(chosen, chosen)][~np.eye(20, dtype=bool)].min()
    assert between[:, chosen].min(axis=1).max() <= apart


def test_more_landmarks_than_nodes_are_all_nodes() -> None:
    points = triangles(nodes=20).points
    assert sorted(spread(points, 1000)) == list(range(len(points)))


def test_landmarks_are_the_same_places_however_nodes_are_numbered_and_the_domain_is_turned() -> None:
    points = triangles("holes", moved=True).points
    order = np.random.default_rng(0).permutation(len(points))
    assert (order[spread(points[order], 12)] == spread(points, 12)).all()
    for matrix in (TURN, MIRROR, 3.0 * np.eye(2)):
        assert (spread(points @ matrix.T + (5.0, -2.0), 12) == spread(points, 12)).all()


def quadratic_mass(kind: str) -> tuple[np.ndarray, float]:
    """Return the mass matrix of quadratic elements, where that of a vertex is small, and the area."""
    mesh = triangles(kind, moved=True)
    corner, middle = 7.0 * np.eye(3) - 1.0, 16.0 * (1.0 + np.eye(3))
    block = np.block([[corner, -4.0 * np.eye(3)], [-4.0 * np.eye(3), middle]]) / 180.0
    # Middles of the sides opposite to each corner.
    sides = np.sort(np.stack([np.roll(mesh.cells, -1, axis=1), np.roll(mesh.cells, -2, axis=1)], axis=2), axis=2)
    numbers = mesh.nodes + np.searchsorted(mesh.facets @ [mesh.nodes, 1], sides @ [mesh.nodes, 1])
    dofs = np.concatenate([mesh.cells, numbers], axis=1)
    mass = np.zeros((mesh.nodes + len(mesh.facets),) * 2)
    for cell, area in zip(dofs, mesh.areas, strict=True):
        mass[np.ix_(cell, cell)] += area * block
    return mass, float(mesh.areas.sum())


@pytest.mark.parametrize("kind", ["square", "holes"])
def test_shares_of_the_volume_are_positive_and_sum_up_to_it(kind: str) -> None:
    mesh = triangles(kind, moved=True)
    quadratic, area = quadratic_mass(kind)
    # Where row sums are no shares: those of vertices are zero.
    assert abs(quadratic.sum(axis=1)[: mesh.nodes]).max() < 1e-15
    for mass in (mesh.mass(), sparse.csr_array(quadratic)):
        weights = node_weights(mass)
        assert weights.min() > 0.0
        assert abs(weights.sum() - area) <= 1e-14 * len(weights) * area


def test_distances_are_those_of_brute_force_and_those_to_nothing_do_not_depend_on_the_axes() -> None:
    points = triangles("holes", moved=True).points
    others = points[::7]
    expected = np.linalg.norm(points[:, None] - others[None], axis=2).min(axis=1)
    np.testing.assert_allclose(distances(points, others), expected, rtol=0, atol=1e-15)
    far = distances(points, points[:0])
    between = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert far.min() >= between.max()
    np.testing.assert_allclose(distances(points @ TURN.T + 3.0, points[:0]), far, rtol=1e-14)


def test_before_training_functions_sum_up_to_any_linear_one() -> None:
    points = triangles("holes", nodes=100, moved=True).points
    places = plain_landmarks(points, 10)
    basis = KernelBasis(8, bounded=False).double()
    with torch.no_grad():
        basis.shares.add_(torch.randn(3, generator=torch.Generator().manual_seed(0)))
        q = torch.randn(len(points), 8, generator=torch.Generator().manual_seed(1)).double()
        made = basis(places, q, q[places.nodes])[:, 0].reshape(len(points), 3, 10)
    at = torch.from_numpy(points[places.nodes.numpy()])
    slope = torch.tensor([0.7, -1.3], dtype=torch.float64)
    coefficients = torch.stack([2.0 + at @ slope, *(places.spacing * slope[:, None].expand(-1, 10))])
    sums = torch.einsum("nar,ar->n", made, coefficients)
    torch.testing.assert_close(sums, 2.0 + torch.from_numpy(points) @ slope, rtol=0, atol=1e-14)


def test_shares_of_landmarks_sum_up_to_one_in_each_node() -> None:
    places = plain_landmarks(triangles("ring", nodes=100, moved=True).points, 12)
    assert float(places.kernels.min()) >= 0.0
    torch.testing.assert_close(
        places.kernels.sum(2), torch.ones(3, places.kernels.shape[1]).double(), rtol=0, atol=1e-15
    )


@pytest.mark.parametrize("power", [1, 2])
def test_functions_of_each_component_vanish_where_it_is_fixed_and_nowhere_else(power: int) -> None:
    problem = elasticity("l-shape")
    made = functions(double(problem), power=power)
    assert made.shape == (len(problem.points), 2, 27)
    fixed = torch.from_numpy(problem.fixed)
    assert not made[fixed].any()
    assert float(made[~fixed].abs().amax(1).min()) > 0.0


@pytest.mark.parametrize("power", [1, 2])
def test_islands_have_a_function_each_that_is_gone_where_another_or_a_fixed_node_is(power: int) -> None:
    problem = islands(seed=1)
    prepared = double(problem)
    made = functions(prepared, power=power)[:, 0]
    on = prepared.places.islands == 0.0
    count = on.shape[1]
    assert count >= 2 and made.shape[1] == 27 + count
    assert not made[torch.from_numpy(problem.fixed[:, 0])].any()
    assert not made[on.any(1)][:, :27].any()
    for number in range(count):
        own = made[:, 27 + number]
        assert float(own[on[:, number]].min()) > 0.0
        assert not own[on.any(1) & ~on[:, number]].any()


@pytest.mark.parametrize("power", [1, 2, 3])
def test_a_function_leaves_zero_with_its_power_and_goes_to_one(power: int) -> None:
    near = torch.tensor([1e-4, 1e-3], dtype=torch.float64)
    assert float(rise(torch.zeros(1), power)) == 0.0
    torch.testing.assert_close(rise(near, power) / near**power, torch.ones(2).double(), rtol=0, atol=power * 1e-3)
    assert float(rise(torch.tensor(50.0), power)) == 1.0


@pytest.mark.parametrize("matrix", [TURN, MIRROR, 3.0 * np.eye(2)], ids=["turned", "mirrored", "enlarged"])
@pytest.mark.parametrize("kind", ["square", "holes"])
def test_what_networks_are_told_and_make_does_not_depend_on_where_the_domain_is(kind: str, matrix: np.ndarray) -> None:
    mesh = triangles(kind, nodes=100, moved=True)
    one, other = (double(poisson_on([part], [], features=1)) for part in (mesh, placed(mesh, matrix, (4.0, -1.0))))
    size = abs(np.linalg.det(matrix)) ** 0.5
    torch.testing.assert_close(one.graph.nodes, other.graph.nodes, rtol=0, atol=1e-12)
    torch.testing.assert_close(one.graph.edges, other.graph.edges, rtol=0, atol=1e-12)
    assert torch.equal(one.places.nodes, other.places.nodes)
    torch.testing.assert_close(one.places.kernels, other.places.kernels, rtol=0, atol=1e-12)
    torch.testing.assert_close(one.places.near, other.places.near, rtol=0, atol=1e-12)
    assert other.places.spacing == pytest.approx(size * one.places.spacing, rel=1e-12)
    offsets = torch.einsum("xy,ynr->xnr", torch.from_numpy(matrix / size), one.places.offsets)
    torch.testing.assert_close(offsets, other.places.offsets, rtol=0, atol=1e-12)


def test_all_that_nodes_are_told_is_between_minus_one_and_one() -> None:
    for problem in (poisson("holes", features=1), elasticity(), islands(fourth=True)):
        graph = double(problem).graph
        assert float(graph.edges.abs().max()) <= 1.0
        assert float(graph.nodes.abs().max()) <= 1.0


def test_means_over_neighbours_are_those_of_brute_force() -> None:
    problem = poisson("holes")
    graph = double(problem).graph
    around = problem.mass.toarray() != 0.0
    np.fill_diagonal(around, False)
    assert len(graph.source) == around.sum()
    weights = node_weights(problem.mass)
    values = np.random.default_rng(0).normal(size=(len(weights), 2))
    expected = (around * weights) @ values / (around @ weights)[:, None]
    found = graph.gather(torch.from_numpy(values)[graph.source])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)
