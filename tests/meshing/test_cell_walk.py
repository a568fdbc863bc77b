"""The walk finds what a search through all cells finds, on convex domains and others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from scipy.spatial import Delaunay

from meshing.cell_walk import CellWalk, nearest_weights

RANDOM = {"seed": st.integers(0, 10**6), "dimension": st.sampled_from([2, 3]), "vertices": st.integers(8, 40)}


def all_barycentric(targets: np.ndarray, points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the barycentric coordinates of every point in every cell, from the linear systems that define them."""
    systems = np.swapaxes(np.concatenate([points[cells], np.ones((*cells.shape, 1))], axis=2), 1, 2)
    right = np.concatenate([targets, np.ones((len(targets), 1))], axis=1)
    return np.einsum("kij,nj->nki", np.linalg.inv(systems), right)


def distance_to_cells(target: np.ndarray, points: np.ndarray, cells: np.ndarray) -> float:
    """Return the distance to the nearest cell, by least squares with weights that are not negative and have sum 1."""
    heavy = 1e4
    least = np.inf
    for corners in points[cells]:
        system = np.concatenate([(corners - target).T, np.full((1, len(corners)), heavy)])
        weights = nnls(system, np.append(np.zeros(len(target)), heavy))[0]
        least = min(least, float(np.linalg.norm(weights / weights.sum() @ (corners - target))))
    return least


def places(points: np.ndarray, cells: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.einsum("nc,ncd->nd", weights, points[cells])


def holed_square() -> tuple[np.ndarray, np.ndarray]:
    """A square of 20 by 20 with a slit from the side to a hole in the middle, so that ways around are long."""
    grid = np.linspace(0.0, 1.0, 21)
    points = np.stack(np.meshgrid(grid, grid), axis=2).reshape(-1, 2)
    points += 0.004 * np.sin(37.0 * points[:, ::-1]) * (points * (1 - points) > 1e-9)
    cells = Delaunay(points).simplices
    edges = points[cells[:, 1:]] - points[cells[:, :1]]
    cells = cells[np.abs(np.linalg.det(edges)) > 1e-4]
    x, y = points[cells].mean(axis=1).T
    return points, cells[~((np.hypot(x - 0.5, y - 0.5) < 0.2) | ((x > 0.5) & (np.abs(y - 0.5) < 0.06)))]


@settings(max_examples=60)
@given(**RANDOM)
def test_every_point_is_found(delaunay, seed: int, dimension: int, vertices: int) -> None:
    """Of a point in cells one of them, of one in none the nearest point of any; from any start; with the slivers taken
    out, the meshes are not convex, have holes and corners that touch.
    """
    points, cells = delaunay(seed, dimension, vertices)
    rng = np.random.default_rng(seed)
    inside = places(
        points, picked := cells[rng.integers(len(cells), size=30)], rng.dirichlet(np.ones(dimension + 1), 30)
    )
    targets = np.concatenate([inside, rng.uniform(-0.5, 1.5, (10, dimension)), points[picked[:5, 0]]])
    coordinates = all_barycentric(targets, points, cells)
    depth = coordinates.min(axis=2)
    for start in (None, rng.integers(len(cells), size=len(targets))):
        found, weights = CellWalk(points, cells).locate(targets, start)
        assert (weights >= 0).all()
        np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=0, atol=1e-14)
        gaps = np.linalg.norm(places(points, cells[found], weights) - targets, axis=1)
        for number, gap in enumerate(gaps):
            if depth[number].max() >= -1e-9:
                assert gap < 1e-9
            else:
                assert gap == pytest.approx(distance_to_cells(targets[number], points, cells), rel=1e-5, abs=1e-7)
            if depth[number].max() > 1e-9:  # well within a cell, the only one
                assert found[number] == depth[number].argmax()
                np.testing.assert_allclose(weights[number], coordinates[number, found[number]], rtol=0, atol=1e-7)


@settings(max_examples=20)
@given(**RANDOM)
def test_the_order_and_the_number_of_points_do_not_matter(delaunay, seed: int, dimension: int, vertices: int) -> None:
    points, cells = delaunay(seed, dimension, vertices)
    rng = np.random.default_rng(seed)
    targets, order = rng.uniform(-0.2, 1.2, (40, dimension)), rng.permutation(40)
    walk = CellWalk(points, cells)
    found, weights = walk.locate(targets)
    for chosen in (order, order[:7], order[:1], order[:0]):
        again, same = walk.locate(targets[chosen])
        np.testing.assert_array_equal(again, found[chosen])
        np.testing.assert_array_equal(same, weights[chosen])


def test_around_a_hole_and_a_slit() -> None:
    """From a start across the hole, across the slit, and everywhere else."""
    points, cells = holed_square()
    walk, rng = CellWalk(points, cells), np.random.default_rng(0)
    targets = rng.uniform(-0.1, 1.1, (300, 2))
    depth = all_barycentric(targets, points, cells).min(axis=2)
    inside = depth.max(axis=1) >= 0
    assert 20 < np.count_nonzero(~inside) < 200
    expected = np.array(
        [
            0.0 if within else distance_to_cells(target, points, cells)
            for within, target in zip(inside, targets, strict=True)
        ]
    )
    for first in np.linspace(0, len(cells) - 1, 12).astype(int):
        found, weights = walk.locate(targets, np.full(len(targets), first))
        gaps = np.linalg.norm(places(points, cells[found], weights) - targets, axis=1)
        np.testing.assert_allclose(gaps, expected, rtol=1e-4, atol=1e-8)


def test_parts_that_do_not_hang_together() -> None:
    square = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    points, cells = (
        np.concatenate([square, square + np.array([3.0, 0.0])]),
        np.array([[0, 1, 2], [1, 2, 3], [4, 5, 6], [5, 6, 7]]),
    )
    targets = np.array([[0.2, 0.2], [3.9, 0.9], [2.2, 0.5], [1.8, 0.3]])
    found, weights = CellWalk(points, cells).locate(targets, np.array([3, 0, 0, 3]))
    assert list(found) == [0, 3, 2, 1]
    np.testing.assert_allclose(
        places(points, cells[found], weights), [[0.2, 0.2], [3.9, 0.9], [3.0, 0.5], [1.0, 0.3]], atol=1e-14
    )


def test_a_walk_in_circles_ends() -> None:
    """Six long cells twisted around a triangle send a twentieth of the points near it on to each other for ever."""
    angles, twist = np.array([0.0, 2.0, 4.0]) * np.pi / 3.0, -0.4
    points = np.concatenate(
        [size * np.stack([np.cos(at), np.sin(at)], axis=1) for size, at in ((0.2, angles), (1.0, angles + twist))]
    )
    around = [(k, (k + 1) % 3, 3 + k, 3 + (k + 1) % 3) for k in range(3)]
    cells = np.array([[0, 1, 2], *[[a, b, c] for a, b, c, _ in around], *[[b, c, d] for _, b, c, d in around]])
    targets = np.random.default_rng(0).uniform(-0.35, 0.35, (500, 2))
    depth = all_barycentric(targets, points, cells).min(axis=2)
    for first in range(len(cells)):
        found, weights = CellWalk(points, cells).locate(targets, np.full(len(targets), first))
        np.testing.assert_allclose(places(points, cells[found], weights), targets, rtol=0, atol=1e-14)
        np.testing.assert_array_equal(found, depth.argmax(axis=1))


@pytest.mark.parametrize("shift", [0.0, 5e6])
def test_vertices_are_found_far_from_the_origin(shift: float) -> None:
    """As of meshes in UTM coordinates, where rounding is 1e-9 m."""
    points, cells = holed_square()
    points = 10.0 * points + shift
    used = np.unique(cells)
    found, weights = CellWalk(points, cells).locate(points[used])
    assert (cells[found] == used[:, None]).any(axis=1).all()
    np.testing.assert_allclose(weights.max(axis=1), 1.0, rtol=0, atol=1e-13 + 1e-14 * shift)


def test_nearest_weights_of_a_triangle_in_space() -> None:
    """Over the inside, an edge and a corner."""
    corners = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    targets = np.array([[0.25, 0.5, 2.0], [0.5, -3.0, 1.0], [2.0, 2.0, 0.0], [-1.0, -2.0, 5.0]])
    expected = [[0.25, 0.25, 0.5], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]
    np.testing.assert_allclose(nearest_weights(targets, np.tile(corners, (4, 1, 1))), expected, atol=1e-15)


def test_bad_input_is_refused() -> None:
    points, cells = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([[0, 1, 2]])
    walk = CellWalk(points, cells)
    for targets, start, message in (
        (np.zeros((4, 3)), None, r"points: got shape \(4, 3\), expected \(n, 2\)"),
        (
            np.array([[0.0, np.nan], [0, 0]]),
            None,
            "points: got 1 of 2 that are not finite, expected places; check them",
        ),
        (np.zeros((4, 2)), np.zeros(3, dtype=int), r"start: got shape \(3,\), expected \(4,\), a cell for each point"),
    ):
        with pytest.raises(ValueError, match=f"^{message}$"):
            walk.locate(targets, start)
    with pytest.raises(ValueError, match=r"^mesh: got a cell without volume, expected cells that are not degenerate"):
        CellWalk(points * [1.0, 0.0], cells)
