"""Meshes of random domains on several nested levels, as given and moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from firedrake import COMM_SELF, MeshHierarchy

from coupling.graph import own_facets, positive_cells
from coupling.operator_problems.random_fields import random_field
from coupling.operator_spaces import node_points, scalar_element
from coupling.operator_transfers import nested_prolongation
from learned.domains import random_mesh
from learned.operators.problem import CoarseLevel
from meshing.generation import polygon
from meshing.plex import mesh_from_cells

LEVELS = 2


@dataclass(frozen=True)
class Outline:
    """Vertices and triangles of a coarse mesh, with marked boundary facets.

    Attributes
    ----------
    points
        Shape (N, 2) [m].
    cells
        Shape (K, 3), int64.
    facets
        Vertices of each boundary facet, shape (B, 2), int64.
    markers
        Marker of each, shape (B,), int64.
    """

    points: np.ndarray
    cells: np.ndarray
    facets: np.ndarray
    markers: np.ndarray


def random_outline(rng: np.random.Generator, kind: str, nodes: int) -> Outline:
    """Draw a domain of a kind of ``learned.domains`` with a mesh of which the finest level has about so many nodes."""
    graph = random_mesh(rng, nodes=max(12, round(nodes / 4**LEVELS)), kind=kind)
    return Outline(*(part.numpy() for part in (graph.pos, graph.cells, graph.facets, graph.facet_markers)))


def polygon_outline(
    loops: Sequence[np.ndarray], markers: Sequence[int], nodes: int, *, levels: int = LEVELS
) -> Outline:
    """Mesh a polygon with gmsh so that the finest level has about so many vertices.

    Parameters
    ----------
    loops
        Corners of the outline and of each hole, shape (n_k, 2) each [m].
    markers
        Marker of each side, loop by loop.
    nodes
        Number of vertices wanted; more where short sides ask for it.
    levels
        How often each triangle will be cut in four.
    """
    half = 0.25 * sum(np.linalg.norm(np.roll(loop, -1, axis=0) - loop, axis=1).sum() for loop in loops)
    area = abs(_area(loops[0])) - sum(abs(_area(loop)) for loop in loops[1:])
    wanted = asked = max(nodes / 4**levels, 12.0)
    for _ in range(2):
        # Equilateral triangles inside, and half of the rows at the sides: n = 2 A / (sqrt(3) h^2) + L / (2 h) + 1.
        size = (half + np.sqrt(half**2 + 2.0 / np.sqrt(3.0) * area * (asked - 1.0))) / (asked - 1.0)
        mesh = polygon(loops[0], loops[1:], size=float(size), markers=markers, comm=COMM_SELF)
        # Short sides have brought more: others are made longer, once.
        asked = max(asked * wanted / mesh.num_vertices(), 6.0)
    facets, numbers = own_facets(mesh)
    coordinates = mesh.coordinates
    points = coordinates.dat.data_ro.copy()
    return Outline(points, positive_cells(points, coordinates.cell_node_map().values), facets, numbers)


def ellipse(centre, radii, sides: int, angle: float = 0.0) -> np.ndarray:
    """Return the corners of a polygon in an ellipse of radii (a, b) [m], turned by an angle, counter-clockwise."""
    turn = 2.0 * np.pi * np.arange(sides) / sides
    (c, s), (x, y) = (np.cos(angle), np.sin(angle)), (radii[0] * np.cos(turn), radii[1] * np.sin(turn))
    return np.asarray(centre) + np.stack([c * x - s * y, s * x + c * y], axis=1)


def moved_outline(rng: np.random.Generator, outline: Outline) -> Outline:
    r"""Move the inner vertices by a random smooth map that keeps the boundary.

    .. math:: x' = x + a\, \min(1, d(x) / 0.25)\, s\, (f_1, f_2)(x)

    with the distance d to the nearest boundary vertex and random fields f of correlation length 0.3 times the size of
    the domain; a is halved until no triangle has less than a quarter of its area.

    Parameters
    ----------
    rng
        Source of randomness.
    outline
        What to move; left untouched.

    Returns
    -------
    Outline
        The same triangles and boundary.
    """
    points, on = outline.points, np.unique(outline.facets)
    size = float(np.ptp(points, axis=0).max())
    distance = np.linalg.norm(points[:, None] - points[None, on], axis=2).min(axis=1)
    fields = [random_field(rng, 0.3 * size) for _ in range(2)]
    step = np.minimum(distance / (0.25 * size), 1.0)[:, None] * np.stack([field(points) for field in fields], axis=1)
    before, amplitude = _areas(points, outline.cells), 0.15 * size
    while (_areas(points + amplitude * step, outline.cells) < 0.25 * before).any():
        amplitude *= 0.7
    return Outline(points + amplitude * step, outline.cells, outline.facets, outline.markers)


def hierarchy(outline: Outline, *, levels: int = LEVELS):
    """Return the ``MeshHierarchy`` of an outline, each cell cut in four so many times; on this process alone."""
    mesh = mesh_from_cells(outline.points, outline.cells, outline.facets, outline.markers, comm=COMM_SELF)
    return MeshHierarchy(mesh, levels)


def coarse_levels(spaces: list[Any]) -> tuple[CoarseLevel, ...]:
    """Return the levels below the finest of spaces that are given from coarse to fine."""
    return tuple(
        CoarseLevel(node_points(coarse), nested_prolongation(coarse, fine))
        for coarse, fine in zip(spaces[-2::-1], spaces[:0:-1], strict=True)
    )


def drawn_cells(space) -> np.ndarray:
    """Return triangles between the nodes of a space that cover its mesh.

    Parameters
    ----------
    space
        CG1, or CG2 whose cells are cut in four, on triangles; also of vectors.

    Returns
    -------
    numpy.ndarray
        Shape (n_t, 3), int64: of a cell one after another.
    """
    inside = scalar_element(space).entity_dofs()
    a, b, c = (inside[0][corner][0] for corner in range(3))
    pieces = [[a, b, c]]
    if inside[1][0]:
        # Sides bear the number of the corner opposite to them.
        d, e, f = (inside[1][side][0] for side in range(3))
        pieces = [[a, f, e], [f, b, d], [e, d, c], [d, e, f]]
    return space.cell_node_list[:, np.array(pieces)].reshape(-1, 3).astype(np.int64)


def _area(loop: np.ndarray) -> float:
    after = np.roll(loop, -1, axis=0)
    return 0.5 * float((loop[:, 0] * after[:, 1] - loop[:, 1] * after[:, 0]).sum())


def _areas(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    a, b, c = (points[corner] for corner in cells.T)
    first, second = b - a, c - a
    return 0.5 * (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
