"""Values of cells gathered into the vertices around which they lie, on arrays and on meshes over several ranks."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from firedrake import Function, FunctionSpace
from mpi4py import MPI
from pyop2 import op2


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
        self._work = Function(FunctionSpace(mesh, "CG", 1))

    def boundary(self) -> np.ndarray:
        """Return which vertices lie on the boundary of the whole mesh, shape (N,), bool."""
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

    def _over_ranks(self, values: np.ndarray, reduction) -> np.ndarray:
        dat = self._work.dat
        dat.data_wo_with_halos[:] = values
        dat.local_to_global_begin(reduction)
        dat.local_to_global_end(reduction)
        return dat.data_ro_with_halos.copy()
