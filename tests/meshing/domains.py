"""Meshes and monitor functions that movers are tried on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from firedrake import COMM_WORLD, Function, FunctionSpace, Mesh, UnitCubeMesh, UnitDiskMesh, UnitSquareMesh

from meshing.plex import mesh_from_cells


def _l_shape() -> Mesh:
    """A square of 12 by 12 without its upper right quarter."""
    square = UnitSquareMesh(12, 12, comm=COMM_WORLD)
    assert COMM_WORLD.size == 1
    points, cells = square.coordinates.dat.data_ro, square.coordinates.cell_node_map().values
    cells = cells[~(points[cells].mean(axis=1) > 0.5).all(axis=1)]
    used, cells = np.unique(cells, return_inverse=True)
    return mesh_from_cells(points[used], cells.reshape(-1, 3), np.zeros((0, 2), int), np.zeros(0, int))


def _graded() -> Mesh:
    """A square whose cells differ in volume by a factor of 1,000."""
    mesh = UnitSquareMesh(14, 14)
    points = mesh.coordinates.dat.data_ro
    mesh.coordinates.dat.data_wo[:] = points**2
    return mesh


def _two_pieces() -> Mesh:
    """Two squares of different size, apart."""
    square = UnitSquareMesh(8, 8, comm=COMM_WORLD)
    points, cells = square.coordinates.dat.data_ro, square.coordinates.cell_node_map().values
    both = np.concatenate([points, 0.5 * points + [1.5, 0.2]])
    return mesh_from_cells(both, np.concatenate([cells, cells + len(points)]), np.zeros((0, 2), int), np.zeros(0, int))


MESHES: dict[str, Callable[[], Mesh]] = {
    "square": lambda: UnitSquareMesh(14, 11),
    "disc": lambda: UnitDiskMesh(3),
    "L-shape": _l_shape,
    "graded": _graded,
    "two pieces": _two_pieces,
    "cube": lambda: UnitCubeMesh(6, 5, 5),
}


def nodal(values: Callable[[np.ndarray], np.ndarray]) -> Callable[[Mesh], Function]:
    """Turn a function of the vertices' places into a monitor function."""

    def monitor(mesh) -> Function:
        field = Function(FunctionSpace(mesh, "CG", 1))
        field.dat.data_wo_with_halos[:] = values(mesh.coordinates.dat.data_ro_with_halos)
        return field

    return monitor


def _noise(points: np.ndarray) -> np.ndarray:
    """Values of no smoothness at all, over six orders of magnitude."""
    phase = np.sin(points @ np.array([127.1, 311.7, 74.7])[: points.shape[1]]) * 43758.5453
    return 10.0 ** (6.0 * (phase - np.floor(phase)))


MONITORS: dict[str, Callable[[Mesh], Function]] = {
    "constant": nodal(lambda points: np.ones(len(points))),
    "ring": nodal(lambda points: 1.0 + 10.0 / np.cosh(20.0 * (((points - 0.4) ** 2).sum(axis=1) - 0.09)) ** 2),
    "front": nodal(lambda points: 1.0 + 50.0 / np.cosh(30.0 * (points[:, 0] + 0.3 * points[:, 1] - 0.5)) ** 2),
    "peak": nodal(lambda points: 1e-6 + np.exp(-300.0 * ((points - 0.3) ** 2).sum(axis=1))),
    "noise": nodal(_noise),
}
