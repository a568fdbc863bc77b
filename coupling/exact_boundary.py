"""The exact shape of a mesh's boundary, as learned movers take it: the whole mesh's, on the first rank."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from coupling.exchange import VertexExchange
from coupling.gather import GatheredGraph
from learned.graph import MeshGraph, facet_vectors
from meshing.boundary import Boundary, boundary_of

# How far vertices are taken along the boundary to see whether it bends there, as a share of its size, and by how much
# directions may differ on what is straight.
_ALONG, _STRAIGHT = 0.1, 1e-9


class ExactBoundary:
    """Boundary vertices slide along the curves and surfaces of ``meshing.boundary``: a ``learned.boundary.Boundary``.

    Vertices on interfaces inside, which slide too, count as boundary vertices.

    Parameters
    ----------
    parts
        The boundary as each rank has it, and the rows in the graph of the vertices that it knows.
    graph
        The whole computational mesh.
    origin, scale
        Middle, shape (d,), and size of the domain [m]: places here are in units of it.

    Attributes
    ----------
    vertices
        Rows of the boundary vertices in the graph, shape (n,), int64.
    fixed
        Which of them do not move, shape (n,), bool.
    """

    def __init__(self, parts: list[tuple[Boundary, np.ndarray]], graph: MeshGraph, origin: Tensor, scale: float):
        self._parts, self._facets = parts, graph.facets
        self._origin, self._scale = origin.double().numpy(), scale
        bound, fixed = np.zeros(len(graph.pos), dtype=bool), np.zeros(len(graph.pos), dtype=bool)
        for boundary, rows in parts:
            bound[rows] |= boundary.fixed | boundary.sliding
            fixed[rows] |= boundary.fixed
        self.vertices = torch.from_numpy(np.flatnonzero(bound))
        self.fixed = torch.from_numpy(fixed[bound])

    def is_polygon(self, points: Tensor, vertices: Tensor, fixed: Tensor) -> bool:
        """Return whether all that slides does so along straight lines or planes, and these are the boundary vertices.

        Then the facets of the mesh say the same as the exact shape.

        Parameters
        ----------
        points
            Vertices on the boundary, shape (d, N).
        vertices, fixed
            Boundary vertices as the facets have them.
        """
        if not torch.equal(self.vertices, vertices) or not torch.equal(self.fixed, fixed):
            return False
        here = self._outside(points)
        tangents = self._tangents(here)
        for way in (_ALONG * self._scale, -_ALONG * self._scale):
            ahead = self._project(here + self._tangential(here, np.full_like(here, way)))
            if np.abs(self._tangents(ahead) - tangents).max(initial=0.0) > _STRAIGHT:
                return False
        return True

    def normals(self, points: Tensor) -> Tensor:
        """Return outward unit normals of the boundary vertices, zero where they do not move, shape (d, n)."""
        here = self._outside(points)
        sums = np.zeros_like(here)
        vectors = facet_vectors(torch.from_numpy(here), self._facets).numpy()
        for corner in self._facets.numpy().T:
            np.add.at(sums, corner, vectors)
        off = np.eye(len(points)) - self._tangents(here)
        normals = np.einsum("nab,nb->na", off, sums)[self.vertices]
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        normals = np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0.0)
        normals[self.fixed] = 0.0
        return torch.from_numpy(normals.T.copy()).to(points.dtype)

    def tangential(self, points: Tensor, displacement: Tensor) -> Tensor:
        """Return the displacement, shape (d, N), without what leads boundary vertices off the boundary."""
        vectors = self._tangential(self._outside(points), displacement.T.double().numpy())
        return self._merged(displacement, vectors)

    def project(self, points: Tensor) -> Tensor:
        """Return the points, shape (d, N), with boundary vertices back on the boundary; unchanged if not finite."""
        if not bool(torch.isfinite(points).all()):
            return points
        return self._merged(points, (self._project(self._outside(points)) - self._origin) / self._scale)

    def _merged(self, values: Tensor, rows: np.ndarray) -> Tensor:
        """Return values, shape (d, N), with those of the boundary vertices taken from rows, shape (N, d)."""
        own = torch.from_numpy(rows)[self.vertices].T.to(values.dtype)
        return values.index_copy(1, self.vertices, own)

    def _outside(self, points: Tensor) -> np.ndarray:
        return points.T.double().numpy() * self._scale + self._origin

    def _project(self, points: np.ndarray) -> np.ndarray:
        result = points.copy()
        for boundary, rows in self._parts:
            result[rows] = boundary.project(points[rows])
        return result

    def _tangential(self, points: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        result = vectors.copy()
        for boundary, rows in self._parts:
            result[rows] = boundary.tangential(points[rows], vectors[rows])
        return result

    def _tangents(self, points: np.ndarray) -> np.ndarray:
        result = np.empty((*points.shape, points.shape[1]))
        for boundary, rows in self._parts:
            result[rows] = boundary.tangents(points[rows])
        return result


def gather_boundary(mesh, gathered: GatheredGraph) -> list[tuple[Boundary, np.ndarray]] | None:
    """Return the boundary as each rank has it, and the rows in the graph of the vertices it knows; collective.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D.
    gathered
        The same mesh, or one of the same topology, as a graph.

    Returns
    -------
    list or None
        On the first rank, for ``ExactBoundary``; None on others.
    """
    exchange = VertexExchange(mesh)
    own = gathered.scatter(None if gathered.graph is None else np.arange(len(gathered.graph.pos), dtype=float))
    rows = np.zeros(exchange.known)
    rows[: exchange.owned] = own
    return mesh.comm.gather((boundary_of(mesh), exchange.from_owners(rows).astype(np.int64)))
