"""Random coordinates: maps have an inverse and a positive Jacobian; integrals of m over cells are what they were."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from learned_meshes import bump, shaken, some_mesh
from torch import Tensor

from learned.augment import CoordinateMap, MappedMonitor, mapped_graph, random_map
from learned.domains import graph_of
from learned.geometry import volumes
from learned.graph import MeshGraph
from learned.prepared import PreparedMesh, prepare_meshes


def places(dimension: int, number: int = 300) -> Tensor:
    return torch.rand(dimension, number, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2.0 - 1.0


def lattice(count: int) -> MeshGraph:
    line = np.linspace(-0.5, 0.5, count + 1)
    points = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    low = (np.arange(count)[:, None] * (count + 1) + np.arange(count)).reshape(-1)
    right, above = low + count + 1, low + 1
    cells = [np.stack([low, right, right + 1], 1), np.stack([low, right + 1, above], 1)]
    return graph_of(points, np.concatenate(cells))


def prepared(graph: MeshGraph, target: str = "integral") -> PreparedMesh:
    return prepare_meshes([graph], [target], own_units=False, dtype=torch.float64)


@given(
    seed=st.integers(0, 10_000), dimension=st.sampled_from([2, 3]), strength=st.floats(0.0, 0.9, allow_subnormal=False)
)
def test_maps_have_an_inverse_and_a_positive_jacobian(seed: int, dimension: int, strength: float) -> None:
    map, points = random_map(np.random.default_rng(seed), dimension, strength=strength), places(dimension, 20)
    assert map.slope <= strength + 1e-12
    torch.testing.assert_close(map(map.inverse(points)), points, rtol=0, atol=1e-12)
    determinant = map.determinant(points)
    assert float(determinant.min()) >= (1.0 - strength) ** dimension - 1e-12
    jacobians = [torch.autograd.functional.jacobian(lambda y: map(y[:, None])[:, 0], point) for point in points.T[:3]]
    expected = torch.stack([torch.linalg.det(jacobian) for jacobian in jacobians])
    torch.testing.assert_close(determinant[:3], expected, rtol=1e-12, atol=1e-12)


def test_shares_of_the_monitor_function_are_invariant_in_the_limit_of_small_cells() -> None:
    map = random_map(np.random.default_rng(4), 2)
    assert map.slope > 0.1
    errors = []
    for count in (12, 24, 48):
        graph = lattice(count)
        mapped = mapped_graph(graph, map)
        assert mapped is not None
        mesh, other = prepared(graph), prepared(mapped)
        one = mesh.energy(mesh.reference, bump(mesh.reference))
        two = other.energy(other.reference, MappedMonitor(bump, map)(other.reference))
        errors.append(float((one.ratios - two.ratios).abs().max()))
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    print(f"largest difference of the shares {errors}, rates {rates}")
    # The areas between sides and arcs are of order h^3, those of cells h^2.
    assert rates.min() > 0.9


def test_of_linear_maps_shares_are_invariant_exactly_and_shapes_of_moved_cells_are_not() -> None:
    map = random_map(np.random.default_rng(2), 3, strength=0.6)
    graph = some_mesh(3)
    mapped = mapped_graph(graph, map)
    assert mapped is not None
    mesh, other = prepared(graph), prepared(mapped)
    moved = shaken(mesh.reference, 0.15)
    one = mesh.energy(moved, bump(moved))
    two = other.energy(map.inverse(moved), MappedMonitor(bump, map)(map.inverse(moved)))
    torch.testing.assert_close(one.ratios, two.ratios, rtol=1e-10, atol=0)
    assert float((one.shapes / two.shapes - 1.0).abs().max()) > 0.03
    # Planes stay planes: as many vertices slide as before.
    assert torch.equal(mesh.boundary.fixed, other.boundary.fixed)


def test_the_targets_are_what_the_docstring_says_under_a_map_that_is_not_linear() -> None:
    graph, map = lattice(40), random_map(np.random.default_rng(4), 2)
    mapped = mapped_graph(graph, map)
    assert mapped is not None
    moved = shaken(graph.pos.T.contiguous(), 0.01)
    differences = {}
    for target in ("integral", "relative"):
        mesh, other = prepared(graph, target), prepared(mapped, target)
        there = map.inverse(moved)
        one, two = mesh.energy(moved, bump(moved)), other.energy(there, MappedMonitor(bump, map)(there))
        differences[target] = float((one.ratios / two.ratios - 1.0).abs().max())
    print(f"largest relative difference of the shares: {differences}")
    assert differences["integral"] < 0.02
    assert differences["relative"] > 0.1


@pytest.mark.parametrize("seed", range(6))
def test_mapped_squares_have_four_corners_and_sides_to_slide_along(seed: int) -> None:
    mapped = mapped_graph(lattice(16), random_map(np.random.default_rng(seed), 2))
    assert mapped is not None
    assert float(volumes(mapped.pos.T[:, mapped.cells.T]).min()) > 0.0
    assert int(prepared(mapped).boundary.fixed.sum()) == 4


def test_a_mesh_too_coarse_for_its_map_is_none() -> None:
    # The map has an inverse, but of its waves, not much longer than cells, the corners of the cells know nothing.
    wave = 2.0 * np.pi * 4.0
    map = CoordinateMap(np.zeros((2, 2)), np.array([[wave, 0.0]]), np.array([0.0]), np.array([[0.9 / wave, 0.0]]))
    assert mapped_graph(lattice(160), map) is not None
    assert mapped_graph(lattice(6), map) is None


def test_a_map_that_may_have_no_inverse_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^strength: got 1, expected at least 0 and less than 1$"):
        random_map(np.random.default_rng(0), 2, strength=1.0)
