"""A piecewise linear field of a mesh at any place: a walk through the cells for many points at once, on tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from learned.geometry import barycentric_gradients, cofactors, edges_from_first
from learned.topology import Topology

# Barycentric coordinates above minus this count as inside.
_INSIDE = 1e-5
# What is farther outside of where its walk ended is searched for among all cells.
_LOST = 0.5
_CHUNK = 256
# So many are walked with all together.
_FEW = 1000


class BackgroundMonitor:
    r"""A monitor function that lives on the vertices of a mesh, with its gradient.

    .. math:: m(x) = \sum_{i \in K} \lambda_i(x)\, m_i,\qquad \nabla m(x) \approx \sum_{i \in K} \lambda_i(x)\, g_i

    in the cell K that x is in; g_i is the mean of the cells' gradients around vertex i. A point is followed from a cell
    to the neighbour opposite to the corner with the most negative barycentric coordinate, all points together; each
    begins in the cell where the one of its number was the last time.

    Parameters
    ----------
    topology
        Vertices and cells of the background mesh.
    points
        Its vertices, shape (d, M); cells of positive volume.
    values
        m in the vertices, shape (M,).
    """

    def __init__(self, topology: Topology, points: Tensor, values: Tensor):
        dimension = topology.dimension
        corners = topology.corners(points)
        determinants, vectors = cofactors(edges_from_first(corners))
        gradients = barycentric_gradients(determinants, vectors)
        heights = topology.corners(values)
        slopes = topology.cell_means((heights * gradients).sum(1))
        self._dimension = dimension
        self._places = torch.cat([corners[:, 0], gradients[:, 1:].reshape(dimension * dimension, -1)]).T.contiguous()
        # Rows: a cell's values at its corners, corner by corner.
        nodal = torch.cat([values[None], slopes])
        self._values = topology.corners(nodal).permute(2, 1, 0).contiguous()
        self._neighbours = cell_neighbours(topology.cells)
        self._centroids = corners.mean(1).T.contiguous()
        first = torch.empty(topology.vertices, dtype=torch.int64, device=points.device)
        numbers = torch.arange(topology.count, device=points.device)
        # Some cell around each vertex: where a walk of this mesh's own vertices begins.
        self._start = first.scatter_(0, topology.cells.T.reshape(-1), numbers.repeat(dimension + 1))
        self.cells = self._start

    def __call__(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return m, shape (n,), and its gradient, shape (d, n), at points, shape (d, n).

        ``cells`` has the cells found, from which the next call with as many points begins. Outside of the domain the
        coordinates that are negative count as zero.
        """
        self.cells, weights = self.locate(points, self.cells)
        values = (self._values.index_select(0, self.cells) * weights[:, :, None]).sum(1)
        return values[:, 0].contiguous(), values[:, 1:].T.contiguous()

    def locate(self, points: Tensor, start: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the cell of each point, shape (n,), and its barycentric coordinates there, shape (n, d + 1).

        Parameters
        ----------
        points
            Shape (d, n).
        start
            Cells from which to begin; those of nearest centroid if None or of another number.

        Returns
        -------
        tuple
            Cells and coordinates, none negative, with sum 1.
        """
        targets = points.T.contiguous()
        if start is None or len(start) != len(targets):
            start = self._nearest(targets)
        cells, coordinates, lost = self._walk(targets, start)
        if len(lost):
            again, inside, _ = self._walk(targets[lost], self._nearest(targets[lost]))
            better = inside.amin(1) > coordinates[lost].amin(1)
            cells[lost[better]], coordinates[lost[better]] = again[better], inside[better]
        coordinates = coordinates.clamp_min(0.0)
        return cells, coordinates / coordinates.sum(1, keepdim=True)

    @classmethod
    def of_cells(cls, points: Tensor, cells: Tensor) -> BackgroundMonitor:
        """Return the walk through a mesh, vertices (d, M) and cells (K, d + 1), with no monitor function: m = 1."""
        topology = Topology(cells, points.shape[1], dtype=points.dtype)
        return cls(topology, points, torch.ones_like(points[0]))

    def reaches(self, points: Tensor, start: Tensor) -> Tensor:
        """Return whether a walk from the cells of start, shape (n,), ends with each point, shape (d, n), inside."""
        _, coordinates, _ = self._walk(points.T.contiguous(), start)
        return coordinates.amin(1) >= -_INSIDE

    def _walk(self, targets: Tensor, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return cells, coordinates, and the numbers of the targets that ended far outside of their cell."""
        cells = at = start.clone()
        coordinates = here = self._barycentric(targets, at)
        # Numbers of those that are followed, and where they want to; all at first, as picking costs more than walking.
        going, places = None, targets
        # Twice across the mesh: who needs more goes round in circles.
        for _ in range(20 + int(4.0 * len(self._neighbours) ** (1.0 / self._dimension))):
            least, worst = here.min(1)
            onward = self._neighbours[at, worst]
            walks = (least < -_INSIDE) & (onward >= 0)
            count = int(walks.count_nonzero())
            if not count:
                break
            if 2 * count < len(at) and len(at) > _FEW:
                if going is not None:
                    cells[going], coordinates[going] = at, here
                kept = torch.nonzero(walks)[:, 0]
                going = kept if going is None else going[kept]
                at, places = onward[kept], places[kept]
            else:
                at = torch.where(walks, onward, at)
            here = self._barycentric(places, at)
            if going is None:
                cells, coordinates = at, here
        if going is not None:
            cells[going], coordinates[going] = at, here
        return cells, coordinates, torch.nonzero(coordinates.amin(1) < -_LOST)[:, 0]

    def _barycentric(self, targets: Tensor, cells: Tensor) -> Tensor:
        rows = self._places.index_select(0, cells)
        d = self._dimension
        offset = targets - rows[:, :d]
        rest = offset[:, :1] * rows[:, d : 2 * d]
        for axis in range(1, d):
            rest = rest + offset[:, axis : axis + 1] * rows[:, (axis + 1) * d : (axis + 2) * d]
        return torch.cat([1.0 - rest.sum(1, keepdim=True), rest], dim=1)

    def _nearest(self, targets: Tensor) -> Tensor:
        return torch.cat([torch.cdist(part, self._centroids).argmin(1) for part in targets.split(_CHUNK)])


def cell_neighbours(cells: Tensor) -> Tensor:
    """Return the neighbour of each cell opposite to each corner, shape (K, d + 1), int64; -1 at the boundary."""
    count, corners = cells.shape
    facets = torch.cat([cells[:, [c for c in range(corners) if c != corner]] for corner in range(corners)])
    facets = facets.sort(1).values
    order = torch.arange(len(facets), device=cells.device)
    for column in range(corners - 2, -1, -1):
        order = order[facets[order, column].sort(stable=True).indices]
    ordered = facets[order]
    same = (ordered[1:] == ordered[:-1]).all(1)
    one, other = order[:-1][same], order[1:][same]
    neighbours = torch.full((corners * count,), -1, dtype=torch.int64, device=cells.device)
    neighbours[one], neighbours[other] = other % count, one % count
    return neighbours.reshape(corners, count).T.contiguous()
