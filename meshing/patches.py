"""Values of cells gathered into the vertices around which they lie, on arrays and on meshes over several ranks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations
from typing import TypeVar

import numpy as np
from firedrake import Function, FunctionSpace
from mpi4py import MPI
from pyop2 import op2

from meshing.simplex import simplex_volumes

T = TypeVar("T")

_NEIGHBOURS, _BOUNDARY = "driftmesh_neighbours", "driftmesh_boundary_vertices"


@dataclass(frozen=True)
class Neighbours:
    """The other corners of the cells around each vertex, as columns that are filled up with the vertex itself.

    Attributes
    ----------
    vertices
        Their numbers, shape (n, N), n the most that a vertex has.
    times
        How many cells have the vertex and the neighbour as corners, shape (n, N), floats; 0 where filled up.
    """

    vertices: np.ndarray
    times: np.ndarray


def neighbours_of(cells: np.ndarray, vertices: int) -> Neighbours:
    """Return the neighbours of each vertex.

    Parameters
    ----------
    cells
        Vertex numbers of each simplex, shape (K, d + 1), integers.
    vertices
        Number of vertices N.
    """
    pairs = [cells[:, [i, j]].astype(np.int64) @ [vertices, 1] for i, j in permutations(range(cells.shape[1]), 2)]
    pair, times = np.unique(np.concatenate(pairs), return_counts=True)
    of_vertex, neighbour = np.divmod(pair, vertices)
    count = np.bincount(of_vertex, minlength=vertices)
    row = np.arange(len(pair)) - np.repeat(np.cumsum(count) - count, count)
    table = np.tile(np.arange(vertices), (int(count.max(initial=0)), 1))
    weights = np.zeros(table.shape)
    table[row, of_vertex], weights[row, of_vertex] = neighbour, times
    return Neighbours(table, weights)


class VertexPatches:
    """Gather values of cells into vertices: the patch of a vertex is all cells that have it as a corner.

    Parameters
    ----------
    cells
        Vertex numbers of each simplex, shape (K, d + 1), integers.
    vertices
        Number of vertices N.
    """

    def __init__(self, cells: np.ndarray, vertices: int):
        self.cells = cells
        self.vertices = vertices

    def minimum(self, values: np.ndarray) -> np.ndarray:
        """Return the least value in each patch, shape (N,), of one value a cell, shape (K,); inf without cells."""
        least = np.full(self.vertices, np.inf)
        for corner in self.cells.T:
            np.minimum.at(least, corner, values)
        return self._over_ranks(least, op2.MIN)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over each patch, shape (N,), of one value a corner, shape (K, d + 1)."""
        total = np.bincount(self.cells.ravel(), weights=values.ravel(), minlength=self.vertices)
        return self._over_ranks(total, op2.INC)

    def boundary(self) -> np.ndarray:
        """Return which vertices lie on the boundary, shape (N,), bool: those of facets that only one cell has."""
        corners = self.cells.shape[1]
        facets = np.concatenate([self.cells[:, list(facet)] for facet in combinations(range(corners), corners - 1)])
        facets, count = np.unique(np.sort(facets, axis=1), axis=0, return_counts=True)
        on_boundary = np.zeros(self.vertices, dtype=bool)
        on_boundary[facets[count == 1]] = True
        return on_boundary

    def smallest(self, values: np.ndarray) -> float:
        """Return the least of all values, on all ranks the same; -inf if one is NaN, inf if there are none."""
        least = float(np.min(values, initial=np.inf))
        # A reduction over ranks may lose a NaN, or keep it on some ranks only.
        return -np.inf if np.isnan(least) else least

    def _over_ranks(self, values: np.ndarray, reduction) -> np.ndarray:
        """Complete what this rank's cells have put into the vertices by what those of other ranks have."""
        return values


class MeshPatches(VertexPatches):
    """Gather values of a mesh's cells into its vertices, over all ranks.

    What depends on the topology alone is kept with it, so that it is made once for all meshes that share it.

    Cells are those this rank owns. Vertices are those this rank knows, own ones first, in the order of the
    coordinates; each gets the value of its whole patch, whichever ranks own the cells in it.

    Parameters
    ----------
    mesh
        Mesh of triangles in the plane or tetrahedra in space, with straight edges.

    Attributes
    ----------
    points
        Copy of the vertices' coordinates, shape (N, d) [m].

    Raises
    ------
    ValueError
        For any other mesh.
    """

    def __init__(self, mesh):
        space = mesh.coordinates.function_space()
        element = space.ufl_element()
        kind = (element.family(), element.degree(), str(mesh.ufl_cell()), mesh.geometric_dimension)
        if kind not in (("Lagrange", 1, "triangle", 2), ("Lagrange", 1, "tetrahedron", 3)):
            raise ValueError(
                f"mesh: got {kind[2]} cells in {kind[3]}D with coordinates {kind[0]} {kind[1]}, expected triangles in "
                "2D or tetrahedra in 3D with coordinates Lagrange 1; curved and periodic meshes cannot be moved"
            )
        self.points = mesh.coordinates.dat.data_ro_with_halos.copy()
        super().__init__(space.cell_node_map().values, len(self.points))
        self._mesh = mesh

    @cached_property
    def volumes(self) -> np.ndarray:
        """Volumes of the cells, without sign, shape (K,) [m^d]."""
        return np.abs(simplex_volumes(self.points, self.cells))

    @property
    def neighbours(self) -> Neighbours:
        """Neighbours of the vertices in the cells this rank owns."""
        return self.kept(_NEIGHBOURS, lambda: neighbours_of(self.cells, self.vertices))

    def boundary(self) -> np.ndarray:
        """Return which vertices lie on the boundary of the whole mesh, shape (N,), bool; the first time collective."""
        return self.kept(_BOUNDARY, self._on_boundary).copy()

    def completed(self, rows: np.ndarray) -> np.ndarray:
        """Return what this rank's cells have put into the vertices, shape (k, N), with that of other ranks' cells."""
        return np.stack([self._over_ranks(row, op2.INC) for row in rows]) if self._mesh.comm.size > 1 else rows

    def kept(self, name: str, make: Callable[[], T]) -> T:
        """Return what is kept with the topology under a name, made where there is none yet."""
        if not hasattr(self._mesh.topology, name):
            setattr(self._mesh.topology, name, make())
        return getattr(self._mesh.topology, name)

    def _on_boundary(self) -> np.ndarray:
        facets = self._mesh.exterior_facets
        cell = facets.facet_cell_map.values[:, 0]
        corners = self._mesh.coordinates.function_space().cell_node_map().values_with_halo[cell]
        # The facet of a simplex bears the number of the corner opposite to it.
        opposite = facets.local_facet_dat.data_ro.reshape(-1, 1)[: len(cell)]
        inside = np.ones(self.vertices)
        inside[corners[np.arange(corners.shape[1]) != opposite]] = 0.0
        return self._over_ranks(inside, op2.MIN) == 0.0

    def smallest(self, values: np.ndarray) -> float:
        """Return the least of all ranks' values, on all ranks the same; -inf if one is NaN, inf if there are none."""
        return self._mesh.comm.allreduce(super().smallest(values), MPI.MIN)

    @cached_property
    def _work(self) -> op2.Dat:
        return Function(FunctionSpace(self._mesh, "CG", 1)).dat

    def _over_ranks(self, values: np.ndarray, reduction) -> np.ndarray:
        if self._mesh.comm.size == 1:
            return values
        dat = self._work
        dat.data_wo_with_halos[:] = values
        dat.local_to_global_begin(reduction)
        dat.local_to_global_end(reduction)
        return dat.data_ro_with_halos.copy()
