"""Meshes with boundaries of all kinds, some with their exact geometry attached, and a mover that is told where to."""

from __future__ import annotations

from functools import cache

import numpy as np
from firedrake import COMM_SELF, Function, Mesh, UnitBallMesh, UnitCubeMesh, UnitDiskMesh, UnitSquareMesh
from firedrake.mesh import plex_from_cell_list

from meshing.boundary import attach_boundary
from meshing.curves import Circle, ClosestPoint
from meshing.mover import Displacement, Mover
from meshing.surfaces import Cylinder, Sphere


class Prescribed(Mover):
    def __init__(self, values, slides: bool = True):
        self.values, self.slides = values, slides

    def displacement(self, mesh, monitor) -> Displacement:
        return Displacement(function(mesh, self.values))


def function(mesh, values) -> Function:
    result = Function(mesh.coordinates.function_space())
    result.dat.data_wo[:] = values
    return result


def places(mesh) -> np.ndarray:
    return mesh.coordinates.dat.data_ro.copy()


def made_of(points: np.ndarray, cells: np.ndarray, marker=None):
    """Mesh of points and cells, its facets marked by a function of their middles."""
    plex = plex_from_cell_list(points.shape[1], cells, points, comm=COMM_SELF)
    if marker is not None:
        plex.createLabel("Face Sets")
        plex.createLabel("outside")
        plex.markBoundaryFaces("outside", 1)
        section, values = plex.getCoordinateSection(), plex.getCoordinatesLocal()
        first, last = plex.getDepthStratum(0)
        for facet in plex.getStratumIS("outside", 1).indices:
            corners = [point for point in plex.getTransitiveClosure(facet)[0] if first <= point < last]
            middle = np.mean([plex.vecGetClosure(section, values, corner) for corner in corners], axis=0)
            plex.setLabelValue("Face Sets", facet, marker(middle))
    return Mesh(plex, comm=COMM_SELF)


def grid(columns: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of the unit square and triangles on them."""
    x, y = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    number = np.arange(x.size).reshape(x.shape)
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]
    cells = np.concatenate([np.stack(t, axis=-1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    return np.stack([x.ravel(), y.ravel()], axis=1), cells


def ring(around: int = 48, across: int = 5, inner: float = 0.5):
    """Disc with a hole, the outside marked 1 and the hole 2."""
    points, cells = grid(around, across)
    number = np.arange(len(points)).reshape(across + 1, around + 1)
    number[:, -1] = number[:, 0]
    kept, cells = np.unique(number.ravel()[cells], return_inverse=True)
    turn, radius = 2 * np.pi * points[kept, 0], inner + (1 - inner) * points[kept, 1]
    return made_of(
        radius[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1),
        cells.reshape(-1, 3),
        lambda middle: 1 if np.linalg.norm(middle) > 0.5 * (1 + inner) else 2,
    )


def l_shape(count: int = 8):
    points, cells = grid(count, count)
    cells = cells[(points[cells].mean(axis=1) < 0.5).any(axis=1)]
    kept, cells = np.unique(cells, return_inverse=True)
    return made_of(points[kept], cells.reshape(-1, 3))


def wavy():
    mesh = UnitDiskMesh(refinement_level=3, comm=COMM_SELF)
    points = places(mesh)
    turn = np.arctan2(points[:, 1], points[:, 0])
    mesh.coordinates.dat.data_wo[:] = (
        points * (1 + 0.25 * np.sin(5 * turn) * np.linalg.norm(points, axis=1) ** 4)[:, None]
    )
    return mesh


def disc(level: int = 2):
    return UnitDiskMesh(refinement_level=level, comm=COMM_SELF)


def slab(count: int = 8, height: float = 0.5):
    """Round slab: cylinder of radius 1, marked 1; the ends are 2 and 3."""
    flat = UnitDiskMesh(refinement_level=2, comm=COMM_SELF)
    points, triangles = places(flat), flat.coordinates.function_space().cell_node_map().values
    layers = [np.column_stack([points, np.full(len(points), z)]) for z in np.linspace(0, height, 4)]
    cells = []
    for layer in range(3):
        low, high = (
            np.sort(triangles, axis=1) + layer * len(points),
            np.sort(triangles, axis=1) + (layer + 1) * len(points),
        )
        # The same diagonals on both sides of a wall: always from the lesser number up to the greater.
        cells += [
            np.column_stack([low, high[:, 2]]),
            np.column_stack([low[:, :2], high[:, 1:]]),
            np.column_stack([low[:, :1], high]),
        ]
    return made_of(
        np.concatenate(layers),
        np.concatenate(cells),
        lambda middle: 2 if middle[2] < 1e-9 else 3 if middle[2] > height - 1e-9 else 1,
    )


def round_slab():
    mesh = slab()
    attach_boundary(mesh, {1: Cylinder([0, 0, 0], [0, 0, 1], 1.0)})
    return mesh


def round_ball():
    mesh = UnitBallMesh(refinement_level=1, comm=COMM_SELF)
    attach_boundary(mesh, {1: Sphere([0, 0, 0], 1.0)})
    return mesh


def round_disc():
    mesh = disc()
    attach_boundary(mesh, {1: Circle([0, 0], 1.0)})
    return mesh


def round_ring():
    mesh = ring(24, 3)
    attach_boundary(mesh, {2: Circle([0, 0], 0.5), 1: ClosestPoint(Circle([0, 0], 1.0).closest)})
    return mesh


DOMAINS = {
    "square": lambda: UnitSquareMesh(6, 5, comm=COMM_SELF),
    "disc, spline": disc,
    "disc, circle": round_disc,
    "ring, splines": lambda: ring(24, 3),
    "ring, given": round_ring,
    "L-shape": l_shape,
    "wavy": wavy,
    "cube": lambda: UnitCubeMesh(4, 3, 3, comm=COMM_SELF),
    "ball": round_ball,
    "slab": round_slab,
}


@cache
def domain(name: str):
    """Return a mesh; not to be changed."""
    return DOMAINS[name]()
