"""The whole mesh as a graph on one rank, in an order that the partition has no part in, and values on the way back."""

from __future__ import annotations

import numpy as np
import torch

from coupling.graph import boundary_vertices, own_facets, positive_cells
from learned.graph import MeshGraph, cell_edges
from meshing.patches import MeshPatches


class GatheredGraph:
    """A mesh on all ranks as one graph on the first, made by ``gather_graph``.

    Attributes
    ----------
    graph
        The whole mesh on the first rank, None on the others.
    """

    def __init__(self, comm, graph: MeshGraph | None, owned: int, place: np.ndarray | None, counts: list[int] | None):
        self.graph = graph
        self._comm = comm
        self._owned = owned
        # On the first rank: row in the graph of each rank's own vertices, rank after rank, and how many each has.
        self._place = place
        self._counts = counts

    def gather(self, values: np.ndarray) -> np.ndarray | None:
        """Return values of all vertices in the order of the graph, shape (N, ...), on the first rank; None on others.

        Parameters
        ----------
        values
            Values of the vertices this rank knows, its own first; those of the halo do not count and may be missing.
        """
        parts = self._comm.gather(values[: self._owned])
        if parts is None:
            return None
        together = np.concatenate(parts)
        result = np.empty_like(together)
        result[self._place] = together
        return result

    def scatter(self, values: np.ndarray | None) -> np.ndarray:
        """Return the values of the vertices that this rank owns, shape (owned, ...).

        Parameters
        ----------
        values
            On the first rank, values of all vertices in the order of the graph, shape (N, ...). Others give None.

        Returns
        -------
        numpy.ndarray
            As ``apply_positions`` takes it; ``scatter(gather(values))`` are the own values bit for bit.

        Raises
        ------
        ValueError
            On all ranks, if the first has not given a row for each vertex of the graph.
        """
        parts: list | None = None
        if self._counts is not None:
            vertices = sum(self._counts)
            if values is None or len(values) != vertices:
                got = "None" if values is None else f"{len(values)} rows"
                parts = [
                    f"values: got {got} on the first rank, expected one for each of the {vertices} vertices"
                    " of the graph; give its values there, None elsewhere"
                ] * self._comm.size
            else:
                parts = np.split(values[self._place], np.cumsum(self._counts)[:-1])
        own = self._comm.scatter(parts)
        if isinstance(own, str):
            raise ValueError(own)
        return own


def gather_graph(mesh) -> GatheredGraph:
    """Return a mesh on all ranks as one graph on the first, and the way back for values of its vertices.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D, with straight edges.

    Returns
    -------
    GatheredGraph
        Vertices are in the order of their coordinates (first, second, third), cells and facets in that of their
        vertices; cells have positive volume, facets point outward. The graph is bit for bit the same on any number
        of ranks. Memory on the first rank grows with the whole mesh; ``mesh_graph`` keeps it divided.

    Raises
    ------
    ValueError
        For other meshes.
    """
    patches = MeshPatches(mesh)
    space, comm = mesh.coordinates.function_space(), mesh.comm
    owned = len(mesh.coordinates.dat.data_ro)
    numbers = space.dof_dset.lgmap.block_indices
    facets, markers = own_facets(mesh)
    gathered = comm.gather((numbers[:owned], patches.points[:owned], numbers[patches.cells], numbers[facets], markers))
    if gathered is None:
        return GatheredGraph(comm, None, owned, None, None)
    number, points, cells, facets, markers = (np.concatenate(parts) for parts in zip(*gathered, strict=True))
    order = np.lexsort(points.T[::-1])
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    row = np.empty_like(order)
    row[number] = place
    points, cells, facets = points[order], np.sort(row[cells], axis=1), row[facets]
    cells = positive_cells(points, cells[np.lexsort(cells.T[::-1])])
    # Turned so that the least vertex comes first: a cyclic exchange keeps the direction in which a facet points.
    turn = (np.arange(facets.shape[1]) + facets.argmin(axis=1)[:, None]) % facets.shape[1]
    if facets.shape[1] == 3:
        facets = np.take_along_axis(facets, turn, axis=1)
    sequence = np.lexsort(np.sort(facets, axis=1).T[::-1])
    facets, markers = facets[sequence], markers[sequence]
    normals, vertex_markers = boundary_vertices(points, facets, markers, total=_whole, least=_whole)
    table = torch.from_numpy(cells)
    graph = MeshGraph(
        pos=torch.from_numpy(points),
        cells=table,
        edge_index=cell_edges(table),
        facets=torch.from_numpy(facets),
        facet_markers=torch.from_numpy(markers),
        vertex_markers=vertex_markers,
        normals=normals,
        owned=torch.ones(len(points), dtype=torch.bool),
    )
    return GatheredGraph(comm, graph, owned, place, [len(part[0]) for part in gathered])


def _whole(values: np.ndarray) -> np.ndarray:
    """Return what is complete already."""
    return values
