"""In which cell of a mesh a point is: a walk from cell to cell, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from scipy.spatial import cKDTree

from meshing.cell_maps import CellMaps
from meshing.nearest import nearest_tree

# Multiple of the spacing of floating point numbers by which the place of a point may be off.
_ROUNDING = 64.0 * np.finfo(float).eps


class CellWalk:
    """Find the cells that points are in.

    A point is followed from a cell to the neighbour opposite to the corner of which its barycentric coordinate is the
    most negative. What this does not find, as it meets the boundary or goes round in circles, is searched for
    among the cells near by, so that every point of the domain is found, whatever its shape, with holes and
    parts that hang together nowhere. For a point outside the nearest point of the domain counts.

    Parameters
    ----------
    points
        Vertices, shape (N, d), d = 2 or 3 [m].
    cells
        Vertex numbers of each simplex, shape (K, d + 1), integers; none degenerate, none overlapping.

    Raises
    ------
    ValueError
        For anything but triangles in the plane and tetrahedra in space, or a cell without volume.
    """

    def __init__(self, points: np.ndarray, cells: np.ndarray):
        self._cells = cells
        self._corners = points[cells]
        self._gradients = CellMaps(points, cells).gradients[:, 1:]
        self._neighbours = _neighbours(cells)
        steepest = np.sqrt((self._gradients**2).sum(axis=2).max(axis=1, initial=0.0))
        # A barycentric coordinate is off by the error of the place times its gradient.
        self._tolerance = _ROUNDING * np.abs(points).max(initial=0.0) * steepest

    def locate(self, targets: np.ndarray, start: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the cell of each point and the point's barycentric coordinates in it.

        Parameters
        ----------
        targets
            Points, shape (n, d) [m].
        start
            Cell from which to begin for each, shape (n,), such as one found before near by; by default the one of
            nearest centroid.

        Returns
        -------
        tuple
            Numbers of the cells, shape (n,), and barycentric coordinates, shape (n, d + 1), none negative, with sum 1:
            those of the nearest point of the domain, which is the point itself if it is inside. A point's result
            depends on itself and its start only; of a point on the boundary of a cell, its start decides in which.

        Raises
        ------
        ValueError
            For points of another shape, or that are not finite; for starts of another shape.
        """
        dimension = self._corners.shape[2]
        if targets.ndim != 2 or targets.shape[1] != dimension:
            raise ValueError(f"points: got shape {targets.shape}, expected (n, {dimension})")
        bad = np.count_nonzero(~np.isfinite(targets).all(axis=1))
        if bad:
            raise ValueError(f"points: got {bad} of {len(targets)} that are not finite, expected places; check them")
        if start is None:
            start = self._centroids.query(targets)[1]
        if start.shape != targets.shape[:1]:
            raise ValueError(f"start: got shape {start.shape}, expected {targets.shape[:1]}, a cell for each point")
        found, coordinates, lost = self._walk(targets, start)
        if len(lost):
            found[lost], coordinates[lost] = self._search(targets[lost])
        # Rounding leaves what is a little less than nothing.
        np.maximum(coordinates, 0.0, out=coordinates)
        return found, coordinates / coordinates.sum(axis=1, keepdims=True)

    def _walk(self, targets: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return cells, barycentric coordinates, and the numbers of the targets that the walk has not found."""
        dimension = targets.shape[1]
        found, coordinates = start.copy(), np.empty((len(targets), dimension + 1))
        going, lost = np.arange(len(targets)), []
        # Twice across the mesh; who needs more goes round in circles, or in vain along a boundary.
        for _ in range(20 + int(4.0 * len(self._cells) ** (1.0 / dimension))):
            at = found[going]
            here = self._barycentric(targets[going], at)
            coordinates[going] = here
            worst = here.argmin(axis=1)
            outside = np.flatnonzero(here[np.arange(len(at)), worst] < -self._tolerance[at])
            onward = self._neighbours[at[outside], worst[outside]]
            lost.append(going[outside[onward < 0]])
            going = going[outside[onward >= 0]]
            if len(going) == 0:
                break
            found[going] = onward[onward >= 0]
        return found, coordinates, np.concatenate([*lost, going])

    def _search(self, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return cells and barycentric coordinates of the points of the domain that are nearest."""
        found = np.full(len(targets), -1)
        coordinates = np.empty((len(targets), targets.shape[1] + 1))
        which, cells = self._balls.around(targets, np.zeros(len(targets)))
        barycentric = self._barycentric(targets[which], cells)
        depth = barycentric.min(axis=1)
        inside = depth >= -self._tolerance[cells]
        best = _first_of_each(which[inside], -depth[inside], cells[inside])
        found[which[inside][best]] = cells[inside][best]
        coordinates[which[inside][best]] = barycentric[inside][best]
        outside = np.flatnonzero(found < 0)
        if len(outside):
            found[outside], coordinates[outside] = self._nearest_on_boundary(targets[outside])
        return found, coordinates

    def _nearest_on_boundary(self, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        facets = self._boundary
        which, facet = facets.balls.around(targets, facets.balls.nearest_centre(targets))
        corners = facets.corners[facet]
        weights = nearest_weights(targets[which], corners)
        gap = ((targets[which] - np.einsum("nc,ncd->nd", weights, corners)) ** 2).sum(axis=1)
        best = _first_of_each(which, gap, facet)
        facet = facet[best]
        coordinates = np.zeros((len(targets), targets.shape[1] + 1))
        np.put_along_axis(coordinates, facets.places[facet], weights[best], axis=1)
        return facets.cells[facet], coordinates

    def _barycentric(self, targets: np.ndarray, cells: np.ndarray) -> np.ndarray:
        rest = np.einsum("nid,nd->ni", self._gradients[cells], targets - self._corners[cells, 0])
        return np.concatenate([1.0 - rest.sum(axis=1, keepdims=True), rest], axis=1)

    @cached_property
    def _centroids(self) -> cKDTree:
        return nearest_tree(self._corners.mean(axis=1))

    @cached_property
    def _balls(self) -> _Balls:
        return _Balls(self._corners)

    @cached_property
    def _boundary(self) -> _Boundary:
        cells, opposite = np.nonzero(self._neighbours < 0)
        corners = self._neighbours.shape[1]
        places = np.array([np.delete(np.arange(corners), corner) for corner in range(corners)])[opposite]
        facets = self._corners[cells[:, None], places]
        return _Boundary(cells, places, facets, _Balls(facets))


@dataclass(frozen=True)
class _Boundary:
    """Facets of the boundary: their cells (F,), which corners of these they have (F, d), places of these (F, d, d)."""

    cells: np.ndarray
    places: np.ndarray
    corners: np.ndarray
    balls: _Balls


class _Balls:
    """Balls about simplices, from the centroid to the farthest corner, in trees of radii that differ at most by 2.

    One tree for all would have to be searched to the greatest radius, which in graded meshes takes in most of them.
    """

    def __init__(self, corners: np.ndarray):
        centres = corners.mean(axis=1)
        radii = np.sqrt(((corners - centres[:, None]) ** 2).sum(axis=2).max(axis=1))
        size = np.floor(np.log2(radii / radii.max(initial=0.0)))
        self._groups = []
        for value in np.unique(size):
            members = np.flatnonzero(size == value)
            self._groups.append((members, nearest_tree(centres[members]), radii[members].max() * (1.0 + 1e-6)))

    def around(self, targets: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pairs of a target and a simplex whose ball comes as near as the distance, shape (n,), or nearer.

        Two arrays: numbers of targets, numbers of simplices.
        """
        which, simplices = [], []
        for members, tree, radius in self._groups:
            near = tree.query_ball_point(targets, distance * (1.0 + 1e-6) + radius)
            count = np.fromiter(map(len, near), dtype=int, count=len(near))
            which.append(np.repeat(np.arange(len(targets)), count))
            simplices.append(members[np.fromiter((i for found in near for i in found), dtype=int, count=count.sum())])
        return np.concatenate(which), np.concatenate(simplices)

    def nearest_centre(self, targets: np.ndarray) -> np.ndarray:
        """Return the distances to the nearest centroids, shape (n,) [m]: the nearest simplex is no farther."""
        return np.min([tree.query(targets)[0] for _, tree, _ in self._groups], axis=0)


def nearest_weights(targets: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return the barycentric coordinates of the points of simplices that are nearest to targets.

    Parameters
    ----------
    targets
        One for each simplex, shape (n, d) [m].
    corners
        Corners of points, segments or triangles, shape (n, k, d), k = 1, 2 or 3 [m].

    Returns
    -------
    numpy.ndarray
        Shape (n, k), none negative, with sum 1.
    """
    count = corners.shape[1]
    if count == 1:
        return np.ones((len(targets), 1))
    edges = corners[:, 1:] - corners[:, :1]
    products = edges @ np.swapaxes(edges, 1, 2)
    right = np.einsum("nid,nd->ni", edges, targets - corners[:, 0])
    if count == 2:
        along = np.clip(right[:, 0] / products[:, 0, 0], 0.0, 1.0)
        return np.stack([1.0 - along, along], axis=1)
    rest = np.linalg.solve(products, right[:, :, None])[:, :, 0]
    weights = np.concatenate([1.0 - rest.sum(axis=1, keepdims=True), rest], axis=1)
    beyond = np.flatnonzero((weights < 0.0).any(axis=1))
    least = np.full(len(beyond), np.inf)
    for edge in map(list, combinations(range(count), 2)):
        of_edge = np.zeros((len(beyond), count))
        of_edge[:, edge] = nearest_weights(targets[beyond], corners[beyond][:, edge])
        gap = ((targets[beyond] - np.einsum("nc,ncd->nd", of_edge, corners[beyond])) ** 2).sum(axis=1)
        nearer = gap < least
        least[nearer] = gap[nearer]
        weights[beyond[nearer]] = of_edge[nearer]
    return weights


def _neighbours(cells: np.ndarray) -> np.ndarray:
    """Return the neighbour of each cell opposite to each of its corners, shape (K, d + 1); -1 on the boundary."""
    corners = cells.shape[1]
    facets = np.concatenate([np.delete(cells, corner, axis=1) for corner in range(corners)])
    facets.sort(axis=1)
    order = np.lexsort(facets.T)
    same = (facets[order[1:]] == facets[order[:-1]]).all(axis=1)
    one, other = order[:-1][same], order[1:][same]
    # Facets are numbered corner by corner, and in each cell by cell.
    neighbours = np.full(corners * len(cells), -1)
    neighbours[one], neighbours[other] = other % len(cells), one % len(cells)
    return neighbours.reshape(corners, len(cells)).T.copy()


def _first_of_each(which: np.ndarray, key: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Return for each value of ``which``, rising, where its least key is; of equal keys that of the least number."""
    order = np.lexsort((number, key, which))
    ordered = which[order]
    return order[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(order) else order
