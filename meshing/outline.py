"""The boundary of a mesh as a whole, the same on all ranks, and the chains that its edges form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from firedrake.cython import dmcommon

# Marker of facets that have none.
UNMARKED = -1


@dataclass(frozen=True)
class Outline:
    """The facets of a mesh's boundary, of all ranks on all ranks, in an order that the partition has no part in.

    Attributes
    ----------
    numbers
        Global number of each boundary vertex, shape (B,), integers; the vertices are in the order of their coordinates.
    points
        Their places, shape (B, d) [m].
    facets
        Vertices of each facet as places in the arrays above, ascending, shape (F, d), integers.
    markers
        Marker of each facet, shape (F,), integers; ``UNMARKED`` without.
    """

    numbers: np.ndarray
    points: np.ndarray
    facets: np.ndarray
    markers: np.ndarray


@dataclass(frozen=True)
class Chain:
    """Edges in a row.

    Attributes
    ----------
    vertices
        Vertices in their order, shape (n,), integers; of a closed chain each of them once.
    closed
        Whether it leads from its last vertex back to the first without an end.
    label
        Label of its edges.
    """

    vertices: np.ndarray
    closed: bool
    label: int


def mesh_outline(mesh, priority: tuple[int, ...] = (), *, inside: bool = False) -> Outline:
    """Return the boundary of a mesh.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D, with straight edges.
    priority
        Markers that count before others where a facet has several; else the least counts.
    inside
        Whether facets inside that have a marker belong to it: interfaces between materials.

    Returns
    -------
    Outline
        The same on all ranks; on other numbers of ranks, too, but for the global numbers.
    """
    space = mesh.coordinates.function_space()
    parts = [_own_facets(mesh, mesh.exterior_facets, priority)]
    if inside:
        vertices, found = _own_facets(mesh, mesh.interior_facets, priority)
        parts.append((vertices[found != UNMARKED], found[found != UNMARKED]))
    local, own_markers = (np.concatenate(part) for part in zip(*parts, strict=True))
    number = space.dof_dset.lgmap.block_indices[local]
    places = mesh.coordinates.dat.data_ro_with_halos[local]
    gathered = mesh.comm.allgather((number, places, own_markers))
    number, places, markers = (np.concatenate(part) for part in zip(*gathered, strict=True))
    numbers, first, position = np.unique(number, return_index=True, return_inverse=True)
    points = places.reshape(-1, places.shape[2])[first]
    order = np.lexsort(points.T[::-1])
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    table = np.sort(rank[position.reshape(number.shape)], axis=1)
    sequence = np.lexsort(table.T[::-1])
    return Outline(numbers[order], points[order], table[sequence], markers[sequence])


def edge_chains(edges: np.ndarray, labels: np.ndarray, ends: np.ndarray) -> list[Chain]:
    """Join edges to chains that end where edges do not go on in pairs, labels change, or a vertex is said to be an end.

    Parameters
    ----------
    edges
        Vertices of each edge, shape (E, 2), integers.
    labels
        Label of each edge, shape (E,), integers.
    ends
        Vertices at which chains end, shape (V,), bool.

    Returns
    -------
    list[Chain]
        Chains of two edges or more, those of one edge have no vertex inside. They start at the lesser of their ends,
        closed ones at their least vertex and towards the lesser of its neighbours.
    """
    pairs, of_pair = vertex_pairs(edges, len(ends))
    inside = (pairs[:, 0] >= 0) & ~ends
    inside[inside] = labels[of_pair[inside, 0]] == labels[of_pair[inside, 1]]
    following, going_on = pairs.tolist(), inside.tolist()
    seen = np.zeros(len(ends), dtype=bool)
    chains = []
    for start in np.flatnonzero(inside).tolist():
        if seen[start]:
            continue
        low, high = sorted(following[start])
        forward, closed = _walk(following, going_on, start, low)
        if closed:
            vertices = np.array([start, *forward])
        else:
            backward = _walk(following, going_on, start, high)[0]
            vertices = np.array([*reversed(backward), start, *forward])
            if (vertices[0], vertices[1]) > (vertices[-1], vertices[-2]):
                vertices = vertices[::-1]
        seen[vertices] = True
        chains.append(Chain(vertices, closed, int(labels[of_pair[start, 0]])))
    return chains


def vertex_pairs(edges: np.ndarray, vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the two neighbours, and the two edges, of each vertex with just two edges, shape (V, 2); else -1."""
    count = np.bincount(edges.ravel(), minlength=vertices)
    order = np.argsort(edges.ravel(), kind="stable")
    first = (np.cumsum(count) - count)[count == 2]
    neighbours, of_edge = np.full((vertices, 2), -1), np.full((vertices, 2), -1)
    for side in range(2):
        at = order[first + side]
        of_edge[count == 2, side] = at // 2
        neighbours[count == 2, side] = edges.ravel()[at ^ 1]
    return neighbours, of_edge


def turning(points: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Return by how much the way from one neighbour to the other turns in each vertex, shape (V,) [rad]; else pi."""
    angle = np.full(len(points), np.pi)
    known = neighbours[:, 0] >= 0
    before = points[known] - points[neighbours[known, 0]]
    after = points[neighbours[known, 1]] - points[known]
    # From the tangent, which is accurate for small angles, too.
    dot = np.einsum("ni,ni->n", before, after)
    square = np.einsum("ni,ni->n", before, before) * np.einsum("ni,ni->n", after, after)
    if points.shape[1] == 2:
        cross = np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0])
    else:
        cross = np.linalg.norm(np.cross(before, after), axis=1)
    angle[known] = np.where(square > 0, np.arctan2(cross, dot), np.pi)
    return angle


def _walk(following: list, going_on: list, start: int, towards: int) -> tuple[list[int], bool]:
    """Return the vertices from a neighbour of the start on to an end, and whether the way leads back to the start."""
    way, previous, at = [], start, towards
    while at != start:
        way.append(at)
        if not going_on[at]:
            return way, False
        one, other = following[at]
        previous, at = at, other if one == previous else one
    return way, True


def _own_facets(mesh, facets, priority: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices, shape (F, d), and markers, shape (F,), of the exterior or interior facets this rank owns."""
    own = slice(0, facets.set.size)
    cell, opposite = (
        facets.facet_cell_map.values[:, 0],
        facets.local_facet_dat.data_ro[own].reshape(own.stop, facets.facet_cell_map.arity)[:, :1],
    )
    corners = mesh.coordinates.function_space().cell_node_map().values_with_halo[cell[own]]
    # The facet of a simplex bears the number of the corner opposite to it.
    vertices = corners[np.arange(corners.shape[1]) != opposite].reshape(-1, corners.shape[1] - 1)
    return vertices, _facet_markers(mesh, facets, priority)[own]


def _facet_markers(mesh, facets, priority: tuple[int, ...]) -> np.ndarray:
    """Return the marker of each of the exterior or interior facets that this rank knows."""
    plex = mesh.topology_dm
    markers = np.full(len(facets.facets), UNMARKED)
    for marker in sorted(facets.unique_markers, key=lambda known: (known in priority, -known)):
        if plex.getStratumSize(dmcommon.FACE_SETS_LABEL, marker):
            marked = plex.getStratumIS(dmcommon.FACE_SETS_LABEL, marker).indices
            markers[np.isin(facets.facets, marked)] = marker
    return markers
