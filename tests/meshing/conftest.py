"""Random meshes and displacements made to invert their elements."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from scipy.spatial import Delaunay


def _delaunay(seed: int, dimension: int, vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points and cells of a Delaunay mesh without slivers, graded so that neighbours differ in size."""
    rng = np.random.default_rng(seed)
    points = rng.random((vertices, dimension)) ** rng.uniform(1.0, 3.0)
    cells = Delaunay(points).simplices
    edges = points[cells[:, 1:]] - points[cells[:, :1]]
    size = np.linalg.norm(edges, axis=2).max(axis=1)
    return points, cells[np.abs(np.linalg.det(edges)) > 1e-3 * size**dimension]


def _narrowest_direction(corners: np.ndarray) -> tuple[float, np.ndarray]:
    """Return width of a simplex and the direction in which it is attained, from all candidates."""
    edges = [corners[j] - corners[i] for i, j in combinations(range(len(corners)), 2)]
    if corners.shape[1] == 2:
        normals = [np.array([-edge[1], edge[0]]) for edge in edges]
    else:
        normals = [np.cross(one, other) for one, other in combinations(edges, 2)]
    units = [normal / np.linalg.norm(normal) for normal in normals if np.linalg.norm(normal) > 0]
    return min(((float(np.ptp(corners @ unit)), unit) for unit in units), key=lambda pair: pair[0])


def _squash(points: np.ndarray, cell: np.ndarray, displacement: np.ndarray) -> None:
    """Move the vertices of a cell towards and beyond each other along the direction in which it is narrowest."""
    _, normal = _narrowest_direction(points[cell])
    heights = points[cell] @ normal
    low = heights < 0.5 * (heights.min() + heights.max())
    displacement[cell] = np.where(low[:, None], normal, -normal) * 1e3


def _adversary(kind: str, seed: int, points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return a displacement that inverts many elements unless it is limited."""
    rng = np.random.default_rng(seed + 1)
    noise = rng.standard_normal(points.shape)
    if kind == "random":
        return noise * 10.0 ** rng.uniform(-2, 2)
    if kind == "towards a vertex":
        way = points[rng.integers(len(points))] - points
        length = np.linalg.norm(way, axis=1, keepdims=True)
        return 10.0 ** rng.uniform(-1, 1) * np.divide(way, length, out=np.zeros_like(way), where=length > 0)
    if kind == "alternating":
        return noise[0] * np.where(np.arange(len(points)) % 2, 1.0, -1.0)[:, None]
    if kind == "huge":
        return noise * 10.0 ** rng.uniform(6, 300)
    if kind == "translation":
        return noise * 10.0 ** rng.uniform(-2, 0) + 1e3
    displacement = np.zeros_like(points)
    if kind == "narrowest":
        _squash(points, _narrowest_cell(points, cells), displacement)
    else:
        for cell in rng.permutation(cells)[:20]:
            _squash(points, cell, displacement)
    return displacement


def _narrowest_cell(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    return min(cells, key=lambda cell: _narrowest_direction(points[cell])[0])


@pytest.fixture(scope="session")
def delaunay() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Return the maker of random meshes: ``delaunay(seed, dimension, vertices) -> (points, cells)``."""
    return _delaunay


@pytest.fixture(scope="session")
def adversary() -> Callable[..., np.ndarray]:
    """Return the maker of displacements: ``adversary(kind, seed, points, cells) -> displacement``."""
    return _adversary


@pytest.fixture(scope="session")
def worst_ratio() -> Callable[..., float]:
    """Return the least ratio of signed volumes to those before: ``worst_ratio(points, cells, displacement)``."""

    def least(points: np.ndarray, cells: np.ndarray, displacement: np.ndarray) -> float:
        def determinants(at: np.ndarray) -> np.ndarray:
            return np.linalg.det(at[cells[:, 1:]] - at[cells[:, :1]])

        with np.errstate(over="ignore"):
            return float((determinants(points + displacement) / determinants(points)).min())

    return least
