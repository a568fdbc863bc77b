"""How the vertices and cells of a mesh hang together: values to the corners of cells, and sums back, on tensors.

Arrays of this folder have components first, (d, N) and (d, d + 1, K), where they are geometry: each component is
contiguous, which on a CPU is several times faster than rows of two or three numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from learned.graph import cell_edges
from learned.sparse import SparseMap, take


class Topology:
    """Vertices and cells of a mesh of simplices, or of several meshes side by side, to train on more than one at once.

    Parameters
    ----------
    cells
        Vertices of each cell, shape (K, d + 1), int64.
    vertices
        N, number of vertices; each belongs to a cell.
    dtype
        Floating-point type of what is summed.
    sizes
        Numbers of vertices of the meshes if there are several: the vertices of one follow on those of another, and so
        do the cells.

    Attributes
    ----------
    dimension, vertices, count, meshes
        d, N, K, and the number of meshes.
    cells
        As given.
    edges
        Start and end of each edge in both directions, sorted by end, shape (2, E), int64.
    around
        Number of cells around each vertex, shape (N,).

    Raises
    ------
    ValueError
        If a vertex belongs to no cell.
    """

    def __init__(
        self, cells: Tensor, vertices: int, *, dtype: torch.dtype = torch.float32, sizes: Tensor | None = None
    ):
        self.cells, self.vertices, self.count = cells, vertices, len(cells)
        self.dimension = cells.shape[1] - 1
        self.edges = cell_edges(cells).flip(0)
        self._flat = cells.T.reshape(-1).contiguous()
        ones = torch.ones(len(self._flat), dtype=dtype, device=cells.device)
        numbers = torch.arange(len(self._flat), device=cells.device)
        self._sum = SparseMap(self._flat, numbers, ones, (vertices, len(numbers)))
        owners = numbers % self.count
        self._cell_sum = SparseMap(self._flat, owners, ones, (vertices, self.count))
        self.around = self._sum(ones)
        self.meshes = 1 if sizes is None else len(sizes)
        if sizes is not None:
            numbers = torch.arange(self.meshes, device=cells.device)
            self._vertex_mesh = torch.repeat_interleave(numbers, sizes.to(cells.device))
            self._cell_mesh = self._vertex_mesh[cells[:, 0]]
        alone = int((self.around == 0).sum())
        if alone:
            raise ValueError(f"cells: got {alone} vertices without a cell, expected none; leave them out")

    def corners(self, values: Tensor) -> Tensor:
        """Return the values at the corners of the cells.

        Parameters
        ----------
        values
            Shape (..., N), at most one axis before.

        Returns
        -------
        Tensor
            Shape (..., d + 1, K).
        """
        shape = (*values.shape[:-1], self.dimension + 1, self.count)
        return take(values, self._flat, self._sum, axis=values.ndim - 1).reshape(shape)

    def sums(self, values: Tensor) -> Tensor:
        """Return the sums in the vertices of what the cells put into their corners.

        Parameters
        ----------
        values
            Shape (..., d + 1, K), at most one axis before.

        Returns
        -------
        Tensor
            Shape (..., N).
        """
        if values.ndim == 2:
            return self._sum(values.reshape(-1))
        return torch.stack([self._sum(component.reshape(-1)) for component in values])

    def cell_sums(self, values: Tensor) -> Tensor:
        """Return the sums of the values of the cells around each vertex: shape (K,) or (c, K), to (N,) or (c, N)."""
        if values.ndim == 1:
            return self._cell_sum(values)
        return torch.stack([self._cell_sum(component) for component in values])

    def cell_means(self, values: Tensor) -> Tensor:
        """Return the means of the values of the cells around each vertex; shapes as for ``cell_sums``."""
        return self.cell_sums(values) / self.around

    def minimum(self, values: Tensor) -> Tensor:
        """Return the least value of the cells around each vertex, shape (K,) to (N,)."""
        spread = values.expand(self.dimension + 1, -1).reshape(-1)
        start = torch.full((self.vertices,), torch.inf, dtype=values.dtype, device=values.device)
        return start.scatter_reduce(0, self._flat, spread, "amin")

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over the cells of each mesh, shape (K,) to (meshes,)."""
        if self.meshes == 1:
            return values.sum(0, keepdim=True)
        start = torch.zeros(self.meshes, dtype=values.dtype, device=values.device)
        return start.index_add(0, self._cell_mesh, values)

    def vertex_mean(self, values: Tensor) -> Tensor:
        """Return the mean over the vertices of each mesh, shape (N,) to (meshes,)."""
        if self.meshes == 1:
            return values.mean(0, keepdim=True)
        start = torch.zeros(self.meshes, dtype=values.dtype, device=values.device)
        total = start.index_add(0, self._vertex_mesh, values)
        return total / torch.bincount(self._vertex_mesh)

    def least(self, values: Tensor) -> Tensor:
        """Return the least value of the cells of each mesh, shape (K,) to (meshes,)."""
        if self.meshes == 1:
            return values.amin(0, keepdim=True)
        start = torch.full((self.meshes,), torch.inf, dtype=values.dtype, device=values.device)
        return start.scatter_reduce(0, self._cell_mesh, values, "amin")

    def to_cells(self, values: Tensor) -> Tensor:
        """Return a value a mesh, shape (meshes,), for its cells: shape (K,), or (1,) if there is one mesh."""
        return values if self.meshes == 1 else values[self._cell_mesh]

    def to_vertices(self, values: Tensor) -> Tensor:
        """Return a value a mesh, shape (meshes,), for its vertices: shape (N,), or (1,) if there is one mesh."""
        return values if self.meshes == 1 else values[self._vertex_mesh]
