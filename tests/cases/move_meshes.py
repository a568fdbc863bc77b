"""Meshes with point fields, for the tests of `driftmesh move`."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import meshio
import numpy as np


def ring(points: np.ndarray) -> np.ndarray:
    return 1 + 10 / np.cosh(50 * (((points - 0.5) ** 2).sum(axis=1) - 0.09)) ** 2


def square(n: int) -> meshio.Mesh:
    """Return the unit square in n x n squares halved, sides marked 1 to 4, all kinds of point fields."""
    x, y = (values.ravel() for values in np.meshgrid(np.linspace(0, 1, n + 1), np.linspace(0, 1, n + 1)))
    number = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    a, b, c, d = (part.ravel() for part in (number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]))
    triangles = np.concatenate([np.column_stack([a, b, d]), np.column_stack([a, d, c])])
    sides = [number[:, 0], number[:, -1], number[0], number[-1]]
    lines = np.concatenate([np.column_stack([side[:-1], side[1:]]) for side in sides])
    points = np.column_stack([x, y])
    flow = np.column_stack([3 * ring(points), 4 * ring(points), 0 * x])
    return meshio.Mesh(
        np.column_stack([points, 0 * x]),
        [("triangle", triangles), ("line", lines)],
        point_data={
            "front": np.tanh(20 * (x + y - 1)),
            "ring": ring(points),
            "five rings": 5 * ring(points),
            "linear": 2 * x - y + 1,
            "flow": flow,
            "shift": np.column_stack([0 * x + 0.25, 0 * x - 0.5, 0 * x]),
            "out of plane": np.column_stack([0 * x, 0 * x, 0 * x + 1]),
            "spoilt": np.where(np.arange(len(x)) < 2, np.nan, 1.0),
            "negative": x - 0.5,
            "constant": 0 * x + 3,
        },
        cell_data={
            "gmsh:physical": [np.full(len(triangles), 7), np.repeat([1, 2, 3, 4], n)],
            "gmsh:geometrical": [np.full(len(triangles), 1), np.repeat([1, 2, 3, 4], n)],
        },
    )


def cube(n: int) -> meshio.Mesh:
    """Return the unit cube in n x n x n cubes of six tetrahedra each."""
    points = np.stack(np.meshgrid(*[np.linspace(0, 1, n + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    steps, first = np.array([(n + 1) ** 2, n + 1, 1]), np.arange((n + 1) ** 3).reshape([n + 1] * 3)[:-1, :-1, :-1]
    ways = [np.cumsum([0, *steps[list(order)]]) for order in permutations(range(3))]
    cells = np.concatenate([first.reshape(-1, 1) + way for way in ways])
    return meshio.Mesh(points, [("tetra", cells)], point_data={"ring": ring(points), "linear": points @ [1.0, 2, 3]})


def square_in(folder: Path) -> meshio.Mesh:
    """Return a mesh that also lies in a folder as ``mesh.vtu``."""
    square(10).write(folder / "mesh.vtu")
    return square(10)
