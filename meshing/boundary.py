"""The exact shape of a mesh's boundary: where boundary vertices may go, and how they are brought back onto it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mpi4py import MPI

from meshing.curves import BoundaryCurve, BoundaryGeometry
from meshing.outline import Outline, mesh_outline
from meshing.patches import MeshPatches
from meshing.shapes import FIXED, boundary_shapes
from meshing.simplex import edge_lengths, vector_lengths
from meshing.surfaces import BoundarySurface

# Turn of the boundary in a vertex from which on it is taken for a corner [rad]: 40 degrees.
CORNER_ANGLE = np.deg2rad(40.0)
# Vertices may lie away from a geometry that is given for them by this share of the shortest boundary edge there.
_GIVEN_TOLERANCE = 1e-2
# Vertices lie on a boundary found earlier if they are not further away than this share of the size of the whole.
_KNOWN_TOLERANCE = 1e-10
# Places further from the middle than the first number of sizes of the boundary are drawn near, to the second, before
# their closest point is sought. They differ so that what has been projected on a plane is not drawn nearer.
_FAR, _NEAR = 20.0, 10.0
# Name of the attribute of a mesh's topology that keeps its boundary, and the one found last after it had been left.
_ATTRIBUTE = "driftmesh_boundary"


class Boundary:
    """Where the vertices of a mesh may go: corners not at all, others along the exact shape of the boundary.

    Made by ``attach_boundary`` and ``boundary_of``. All arrays are in the order of the mesh's coordinates, those of
    the halo included; the partition does not matter but to rounding.

    Attributes
    ----------
    fixed
        Vertices that do not move: corners, ends of marked parts, places whose shape is not known; shape (N,), bool.
    sliding
        Boundary vertices that slide along a curve or a surface, shape (N,), bool.
    size
        Length of the diagonal of the box around the boundary [m].
    """

    def __init__(self, outline: Outline, shapes: list[BoundaryGeometry], of_vertex: np.ndarray, numbers: np.ndarray):
        by_number = np.argsort(outline.numbers)
        sorted_numbers = outline.numbers[by_number]
        position = np.searchsorted(sorted_numbers, numbers)
        position[position == len(sorted_numbers)] = 0
        known = sorted_numbers[position] == numbers
        place = by_number[position]
        shape = np.where(known, of_vertex[place], FIXED)
        self.fixed = known & (shape == FIXED)
        self.sliding = known & (shape != FIXED)
        self._fixed_points = outline.points[place[self.fixed]]
        self._parts = [
            (geometry, np.flatnonzero(self.sliding & (shape == index)))
            for index, geometry in enumerate(shapes)
            if (of_vertex == index).any()
        ]
        low, high = outline.points.min(axis=0), outline.points.max(axis=0)
        self.size = float(vector_lengths(high - low))
        self._middle = 0.5 * (low + high)
        self._rounding = 4.0 * np.finfo(float).eps * float(np.abs(outline.points).max())
        self.off = 0.0

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return the vertices with those on the boundary brought onto it.

        Parameters
        ----------
        points
            Vertices anywhere, finite, shape (N, d) [m].

        Returns
        -------
        numpy.ndarray
            Shape (N, d) [m]. Vertices inside are unchanged, fixed ones are at their places, sliding ones at the
            closest point of their curve or surface, and not beyond the ends of the curve. What lies there already is
            unchanged. On sides parallel to an axis that coordinate is the side's, bit for bit.
        """
        result = points.copy()
        result[self.fixed] = self._fixed_points
        for geometry, vertices in self._parts:
            if len(vertices):
                result[vertices] = self._closest(geometry, points[vertices])
        return result

    def tangents(self, points: np.ndarray) -> np.ndarray:
        """Return the orthogonal projector onto the directions in which each vertex may go.

        Parameters
        ----------
        points
            Vertices, those on the boundary on or near to it, shape (N, d) [m].

        Returns
        -------
        numpy.ndarray
            Shape (N, d, d): the identity inside, zero for fixed vertices, t t^T on a curve with direction t,
            I - n n^T on a surface with normal n.
        """
        dimension = points.shape[1]
        result = np.tile(np.eye(dimension), (len(points), 1, 1))
        result[self.fixed] = 0.0
        for geometry, vertices in self._parts:
            if len(vertices):
                result[vertices] = geometry.projectors(points[vertices])
        return result

    def tangential(self, points: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Return the part of each vertex's vector that keeps it on the boundary.

        Parameters
        ----------
        points
            Vertices, those on the boundary on or near to it, shape (N, d) [m].
        vectors
            Shape (N, d), in any unit.

        Returns
        -------
        numpy.ndarray
            Shape (N, d): inside as given, zero for fixed vertices.
        """
        result = vectors.copy()
        result[self.fixed] = 0.0
        for geometry, vertices in self._parts:
            if len(vertices):
                result[vertices] = np.einsum("nij,nj->ni", geometry.projectors(points[vertices]), vectors[vertices])
        return result

    def distance(self, comm, points: np.ndarray) -> float:
        """Return how far vertices on the boundary are from it at most, over all ranks [m]."""
        return comm.allreduce(float(vector_lengths(self.project(points) - points).max(initial=0.0)), MPI.MAX)

    def _closest(self, geometry: BoundaryGeometry, points: np.ndarray) -> np.ndarray:
        away = points - self._middle
        distance = vector_lengths(away)[:, None]
        far = distance > _FAR * self.size
        if far.any():
            # Squares of the longest distances would overflow.
            near = self._middle + away / np.maximum(distance, self.size) * (_NEAR * self.size)
            points = np.where(far, near, points)
        closest = geometry.closest(points)
        if geometry.exact:
            return closest
        # What is there to rounding stays, so that to project twice is to project once.
        stays = np.abs(closest - points).max(axis=1) <= self._rounding
        return np.where(stays[:, None], points, closest)


def attach_boundary(
    mesh, geometries: Mapping[int, BoundaryGeometry] | None = None, *, corner_angle: float = CORNER_ANGLE
) -> Boundary:
    """Say what the exact shape of a mesh's boundary is.

    The shape is kept with the topology of the mesh, which meshes made from moved coordinates share: however often
    they are moved, they slide along this shape. Parts whose marker has no geometry given get one:

    - 2D: chains of boundary edges end at corners and where the marker changes; straight ones become lines, others
      cubic splines through their vertices. Runs of three edges or more in line are straight pieces of their own.
    - 3D: plane pieces of one marker become planes, the straight edges between two of them lines. Vertices elsewhere
      are fixed: curved surfaces slide only if given.

    Between two surfaces of which one is given, vertices slide along the curve in which they meet. Facets inside that
    have a marker, interfaces between materials, count like those of the boundary; where three meet, vertices are fixed.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D, the vertices of its boundary on the geometries.
    geometries
        Geometry of the facets of a marker, for some or all markers.
    corner_angle
        Least turn of the boundary in a corner, between 0 and pi [rad]. It does not divide geometries known to be
        smooth: Line, Circle, SplineCurve, Plane, Sphere, Cylinder.

    Returns
    -------
    Boundary
        The same shape on any number of ranks.

    Raises
    ------
    ValueError
        For other meshes, a marker the boundary does not have, a geometry of another dimension or not within 1 % of
        an edge's length of the vertices, an angle out of its bounds.

    Notes
    -----
    A mesh with straight edges has the area of a polygon, however exact the curve is that its vertices lie on. Inscribed
    in a circle of radius r with angles h_i between neighbours, it misses r^2 sum(h_i^3) / 12 of the area and
    r sum(h_i^3) / 24 of the length. A move that spreads the spacing therefore loses area: by less than the chordal
    error of equal angles h as long as the mean of (h_i / h)^3 stays below 2, as it does for a smooth grading
    1 + a cos with a up to 0.8, longest to shortest edge as 9 : 1, and for random shifts of each vertex up to h / 2.
    Sharper concentration loses what the longest edges cut off; only more vertices help.
    """
    patches = MeshPatches(mesh)
    if not 0.0 < corner_angle < np.pi:
        raise ValueError(f"corner_angle: got {corner_angle}, expected more than 0 and less than pi, such as 0.7")
    given = dict(geometries or {})
    outline = mesh_outline(mesh, tuple(given), inside=True)
    unknown = sorted(set(given) - set(outline.markers.tolist()))
    if unknown:
        markers = ", ".join(map(str, np.unique(outline.markers)))
        raise ValueError(f"geometries: got marker {unknown[0]}, expected one of those of the boundary: {markers}")
    for marker, geometry in given.items():
        _check_given(outline, marker, geometry)
    boundary = _found(mesh, patches.points, outline, given, corner_angle)
    setattr(mesh.topology, _ATTRIBUTE, (boundary,))
    return boundary


def boundary_of(mesh) -> Boundary:
    """Return the exact shape of a mesh's boundary, found at the first call if none has been attached.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D.

    Returns
    -------
    Boundary
        The boundary attached to the mesh or to the one it was moved from; see ``attach_boundary``. If its vertices
        have left it, as they do when a boundary is moved on purpose, a boundary is found from where they are now;
        geometries that were given do not count then.

    Raises
    ------
    ValueError
        For other meshes.
    """
    kept = getattr(mesh.topology, _ATTRIBUTE, ())
    if not kept:
        return attach_boundary(mesh)
    points = mesh.coordinates.dat.data_ro_with_halos
    for boundary in kept:
        if boundary.distance(mesh.comm, points) <= _KNOWN_TOLERANCE * boundary.size + 2.0 * boundary.off:
            return boundary
    boundary = _found(mesh, points, mesh_outline(mesh, inside=True), {}, CORNER_ANGLE)
    setattr(mesh.topology, _ATTRIBUTE, (kept[0], boundary))
    return boundary


def _found(mesh, points: np.ndarray, outline: Outline, given: Mapping[int, BoundaryGeometry], angle: float) -> Boundary:
    shapes, of_vertex = boundary_shapes(outline, given, angle)
    numbers = mesh.coordinates.function_space().dof_dset.lgmap.block_indices
    boundary = Boundary(outline, shapes, of_vertex, numbers)
    boundary.off = boundary.distance(mesh.comm, points)
    return boundary


def _check_given(outline: Outline, marker: int, geometry: BoundaryGeometry) -> None:
    """Refuse a geometry that is of no use for the facets with a marker."""
    dimension, name = outline.points.shape[1], type(geometry).__name__
    kind = {2: BoundaryCurve, 3: BoundarySurface}[dimension]
    other = isinstance(geometry, BoundaryCurve | BoundarySurface) and not isinstance(geometry, kind)
    if other or geometry.dimension not in (None, dimension):
        expected = {2: "a curve in the plane, such as Circle", 3: "a surface, such as Sphere"}[dimension]
        raise ValueError(f"geometries: got {name} for marker {marker} of a mesh in {dimension}D, expected {expected}")
    corners = outline.points[outline.facets[outline.markers == marker]]
    closest = geometry.closest(corners.reshape(-1, dimension)).reshape(corners.shape)
    off, shortest = vector_lengths(closest - corners).max(axis=1), edge_lengths(corners).min(axis=1)
    worst = int(np.argmax(off / shortest))
    if not off[worst] <= _GIVEN_TOLERANCE * shortest[worst]:
        raise ValueError(
            f"geometries: got {name} for marker {marker} at a distance of {off[worst]:.3g} from a vertex near "
            f"{np.array2string(corners[worst, 0], precision=6)}, expected at most {_GIVEN_TOLERANCE:g} of the edge "
            f"there, {shortest[worst]:.3g}; correct the geometry or the marker"
        )
