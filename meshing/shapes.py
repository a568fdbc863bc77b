"""Find the shape of a boundary: which curve or surface each of its vertices slides along, and which are fixed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from meshing.curves import BoundaryGeometry, CurvePiece, Line, SplineCurve, unit_vectors
from meshing.outline import Chain, Outline, edge_chains, turning, vertex_pairs
from meshing.simplex import vector_lengths
from meshing.surfaces import Intersection, Plane, surface_normals

# In place of a geometry's number: the vertex does not move.
FIXED = -1
# Distance from a line or plane, as a share of the size of the whole, at which points still lie in it.
_FLAT = 1e-9
# Angle between neighbouring edges, or normals, that count as one direction [rad].
_STRAIGHT = 1e-7
# Least number of edges in line that are a straight piece of a chain which is else curved.
_STRAIGHT_EDGES = 3
# Least sine of the angle between two surfaces at which the curve in which they meet is well defined.
_LEAST_SINE = 0.1


def boundary_shapes(
    outline: Outline, given: Mapping[int, BoundaryGeometry], corner_angle: float
) -> tuple[list[BoundaryGeometry], np.ndarray]:
    """Return curves and surfaces, and which of them each boundary vertex slides along.

    Parameters
    ----------
    outline
        The boundary.
    given
        Geometry of a marker's facets, where known.
    corner_angle
        Least turn of the boundary in a corner [rad].

    Returns
    -------
    list[BoundaryGeometry], numpy.ndarray
        The geometries; the number of its own for each vertex of the outline, or ``FIXED``, shape (B,), integers.
    """
    found = _Shapes(outline, given, corner_angle)
    if outline.points.shape[1] == 2:
        found.find_curves()
    else:
        found.find_surfaces()
    return found.shapes, found.of_vertex


class _Shapes:
    def __init__(self, outline: Outline, given: Mapping[int, BoundaryGeometry], corner_angle: float):
        self.outline, self.given, self.points = outline, given, outline.points
        # Angles equal to the least one but for rounding are corners or not whatever the order of the sums.
        self.corner_angle = corner_angle * (1.0 + 1e-9)
        self.size = float(vector_lengths(np.ptp(outline.points, axis=0)))
        self.shapes: list[BoundaryGeometry] = []
        self.of_vertex = np.full(len(outline.points), FIXED)

    # -- in the plane ---------------------------------------------------------------------------------------------

    def find_curves(self) -> None:
        """Give chains of edges their curve."""
        edges, markers = self.outline.facets, self.outline.markers
        pairs, of_pair = vertex_pairs(edges, len(self.points))
        smooth = [marker for marker, geometry in self.given.items() if geometry.smooth]
        ends = (turning(self.points, pairs) > self.corner_angle) & ~np.isin(markers[of_pair[:, 0]], smooth)
        for chain in edge_chains(edges, markers, ends):
            if chain.label in self.given:
                self._put(self._piece(self.given[chain.label], chain), chain)
            else:
                self._put_found_curves(chain)

    def _put_found_curves(self, chain: Chain) -> None:
        """Divide a chain into straight pieces and splines."""
        vertices, closed = chain.vertices, chain.closed
        if not closed and self._in_line(vertices):
            self._put(Line(*self.points[vertices[[0, -1]]]), chain)
            return
        divided = self._straight_ends(vertices, closed)
        if closed and divided:
            # From one end of a straight piece round to the same.
            vertices = np.append(np.roll(vertices, -divided[0]), vertices[divided[0]])
            divided, closed = [position - divided[0] for position in divided[1:]], False
        elif closed:
            self._put(SplineCurve(self.points[vertices], closed=True), chain)
            return
        for first, last in zip([0, *divided], [*divided, len(vertices) - 1], strict=True):
            piece = Chain(vertices[first : last + 1], False, chain.label)
            if len(piece.vertices) > 2:
                nodes = self.points[piece.vertices]
                self._put(Line(*nodes[[0, -1]]) if self._in_line(piece.vertices) else SplineCurve(nodes), piece)

    def _straight_ends(self, vertices: np.ndarray, closed: bool) -> list[int]:
        """Return the places in a chain at which runs of edges in line begin or end."""
        count = len(vertices)
        at = np.arange(count)
        neighbours = np.stack([np.roll(at, 1), np.roll(at, -1)], axis=1)
        straight = turning(self.points[vertices], neighbours) <= _STRAIGHT
        if not closed:
            straight[[0, -1]] = False
        ends: set[int] = set()
        bends = np.flatnonzero(~straight)
        following = np.append(bends[1:], bends[0] + count) if closed else bends[1:]
        for first, last in zip(bends[: len(following)], following, strict=True):
            run = np.arange(first, last + 1) % count
            if last - first >= _STRAIGHT_EDGES and self._in_line(vertices[run]):
                ends |= {int(run[0]), int(run[-1])}
        return sorted(ends if closed else ends - {0, count - 1})

    def _in_line(self, vertices: np.ndarray) -> bool:
        points = self.points[vertices]
        length = float(vector_lengths(points[-1] - points[0]))
        if not length > 0.0:
            return False
        direction = (points[-1] - points[0]) / length
        away = points - points[0]
        along = away @ direction
        off = vector_lengths(away - along[:, None] * direction)
        return bool(off.max() <= _FLAT * self.size and np.diff(along).min() > 0.0)

    # -- in space -------------------------------------------------------------------------------------------------

    def find_surfaces(self) -> None:
        """Give the pieces of the surface their plane or what is given for them, and the edges between them a curve."""
        facets, count = self.outline.facets, len(self.points)
        edges, of_facets, shared = _facet_edges(facets)
        patch = self._patches(of_facets[shared])
        geometry = _PatchGeometry(self, patch)
        crease = ~shared
        crease[shared] = patch[of_facets[shared, 0]] != patch[of_facets[shared, 1]]
        pairs_of_patches = np.sort(patch[of_facets[crease]], axis=1)
        kinds, labels = np.unique(pairs_of_patches, axis=0, return_inverse=True)
        edges, labels = edges[crease], labels.ravel()
        incidence = np.unique(np.stack([facets.ravel(), np.repeat(patch, 3)], axis=1), axis=0)
        of_patches = np.bincount(incidence[:, 0], minlength=count)
        on_edge = np.zeros(count, dtype=bool)
        on_edge[edges] = True
        inside = ~on_edge & (of_patches == 1)
        inside_patch = np.full(count, FIXED)
        inside_patch[incidence[:, 0]] = incidence[:, 1]
        for number in np.unique(inside_patch[inside]):
            if geometry.usable[number]:
                self._number(geometry.surface(number), np.flatnonzero(inside & (inside_patch == number)))
        pairs, of_pair = vertex_pairs(edges, count)
        turn = turning(self.points, pairs)
        known = geometry.given[kinds].any(axis=1)[labels]
        bend = np.where(known[of_pair[:, 0]] if len(known) else False, self.corner_angle, _STRAIGHT)
        ends = (turn > bend) | (of_patches != 2)
        for chain in edge_chains(edges, labels, ends):
            first, second = kinds[chain.label]
            surfaces = [geometry.surface(patch) for patch in (first, second) if geometry.usable[patch]]
            if first == second or len(surfaces) < 2:
                continue
            if not chain.closed and self._in_line(chain.vertices):
                self._put(Line(*self.points[chain.vertices[[0, -1]]]), chain)
            elif geometry.given[[first, second]].any():
                self._put_intersection(surfaces[0], surfaces[1], chain)

    def _patches(self, across: np.ndarray) -> np.ndarray:
        """Return the number of the smooth piece of surface that each facet belongs to."""
        facets, markers = self.outline.facets, self.outline.markers
        largest = np.full(len(facets), _STRAIGHT)
        for marker, geometry in self.given.items():
            largest[markers == marker] = np.pi if geometry.smooth else self.corner_angle
        one, other = across.T
        joined = (markers[one] == markers[other]) & (self._fold(one, other) <= largest[one])
        graph = coo_array((np.ones(joined.sum()), across[joined].T), shape=(len(facets), len(facets)))
        return connected_components(graph, directed=False)[1]

    def _fold(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return the angle by which the surface bends at the common edge of two facets, 0 if it does not [rad]."""
        first, second = self.outline.facets[one], self.outline.facets[other]
        common = first[:, :, None] == second[:, None, :]
        edge = first[common.any(axis=2)].reshape(-1, 2)
        start = self.points[edge[:, 0]]
        along = unit_vectors(self.points[edge[:, 1]] - start)
        # From the edge to the opposite corner of each of the two, at right angles.
        away = [self.points[tip] - start for tip in (first[~common.any(axis=2)], second[~common.any(axis=1)])]
        here, there = (vector - np.einsum("ni,ni->n", vector, along)[:, None] * along for vector in away)
        return np.arctan2(vector_lengths(np.cross(here, there)), -np.einsum("ni,ni->n", here, there))

    def _put_intersection(self, first: BoundaryGeometry, second: BoundaryGeometry, chain: Chain) -> None:
        nodes = self.points[chain.vertices]
        normals = surface_normals(first, nodes), surface_normals(second, nodes)
        if vector_lengths(np.cross(normals[0], normals[1])).min() >= _LEAST_SINE:
            self._put(self._piece(Intersection(first, second, nodes), chain), chain)

    # -- both -----------------------------------------------------------------------------------------------------

    def _piece(self, geometry: BoundaryGeometry, chain: Chain) -> BoundaryGeometry:
        return geometry if chain.closed else CurvePiece(geometry, self.points[chain.vertices])

    def _put(self, geometry: BoundaryGeometry, chain: Chain) -> None:
        self._number(geometry, chain.vertices if chain.closed else chain.vertices[1:-1])

    def _number(self, geometry: BoundaryGeometry, vertices: np.ndarray) -> None:
        self.of_vertex[vertices] = len(self.shapes)
        self.shapes.append(geometry)


class _PatchGeometry:
    """The surfaces of the patches: what is given for their marker, or a plane if they are plane."""

    def __init__(self, shapes: _Shapes, patch: np.ndarray):
        points, facets, markers = shapes.points, shapes.outline.facets, shapes.outline.markers
        self._points, self._facets, self._patch, self._by_marker = points, facets, patch, shapes.given
        count = int(patch.max()) + 1
        self.marker = np.zeros(count, dtype=int)
        self.marker[patch] = markers
        self.given = np.isin(self.marker, list(shapes.given))
        # The largest facet tells a plane's direction best.
        corners = points[facets]
        areas = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        order = np.argsort(vector_lengths(areas), kind="stable")
        largest = np.zeros(count, dtype=int)
        largest[patch[order]] = order
        self._normal = unit_vectors(areas[largest])
        # The least vertex of the facet, the same whatever the order of the facets.
        self._point = corners[largest, 0]
        off = np.abs(np.einsum("fci,fi->fc", corners - self._point[patch][:, None], self._normal[patch])).max(axis=1)
        farthest = np.zeros(count)
        np.maximum.at(farthest, patch, off)
        self.usable = self.given | (farthest <= _FLAT * shapes.size)

    def surface(self, number: int) -> BoundaryGeometry:
        """Return the surface of a patch that is usable: given or plane."""
        if self.given[number]:
            return self._by_marker[int(self.marker[number])]
        corners = self._points[self._facets[self._patch == number]]
        level = np.flatnonzero(np.ptp(corners.reshape(-1, 3), axis=0) == 0.0)
        normal = np.eye(3)[level[0]] if len(level) else self._normal[number]
        return Plane(self._point[number], normal)


def _facet_edges(facets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the edges of triangles, two facets of each, and whether these are all that it has."""
    edges = np.concatenate([facets[:, [0, 1]], facets[:, [0, 2]], facets[:, [1, 2]]])
    owner = np.tile(np.arange(len(facets)), 3)
    unique, first, position, count = np.unique(
        edges, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    last = np.zeros(len(unique), dtype=int)
    last[position.ravel()] = np.arange(len(edges))
    return unique, np.stack([owner[first], owner[last]], axis=1), count == 2
