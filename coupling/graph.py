"""Mesh to graph and back: the part each rank holds, in the order of the P1 degrees of freedom."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from firedrake import Function, FunctionSpace
from torch import Tensor

from coupling.exchange import VertexExchange
from learned.graph import INSIDE, MeshGraph, cell_edges, facet_vectors, unit_normals
from meshing.outline import mesh_outline
from meshing.patches import MeshPatches
from meshing.simplex import simplex_volumes


def mesh_graph(mesh) -> MeshGraph:
    """Return a mesh as a graph; under MPI, the part of it that this rank holds.

    Vertices are in the order of the P1 degrees of freedom (``mesh.coordinates.dat.data_ro_with_halos``). On one rank
    the graph is the whole mesh. On several, vertices are those that the rank knows, its own first; cells, edges and
    facets are those that it owns, so that each occurs on one rank only. What they put into vertices is therefore
    complete after ``VertexExchange.total``. For the whole mesh on one rank, see ``coupling.gather.gather_graph``.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D, with straight edges.

    Returns
    -------
    MeshGraph
        On the CPU, places in float64, bit for bit those of the mesh. Cells have positive volume
        (``meshing.simplex.simplex_volumes``), facets point outward.

    Raises
    ------
    ValueError
        For other meshes.
    """
    patches = MeshPatches(mesh)
    exchange = VertexExchange(mesh)
    facets, markers = own_facets(mesh)
    normals, vertex_markers = boundary_vertices(
        patches.points, facets, markers, total=exchange.total, least=exchange.least
    )
    return MeshGraph(
        pos=torch.from_numpy(patches.points),
        cells=torch.from_numpy(positive_cells(patches.points, patches.cells)),
        edge_index=_own_edges(mesh, patches.cells),
        facets=torch.from_numpy(facets),
        facet_markers=torch.from_numpy(markers),
        vertex_markers=vertex_markers,
        normals=normals,
        owned=torch.arange(exchange.known) < exchange.owned,
    )


def apply_positions(mesh, positions: Tensor | np.ndarray) -> Function:
    """Return positions of vertices as a mesh's coordinates: the way back from ``mesh_graph``.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D, with straight edges; left untouched.
    positions
        Places of the vertices this rank knows, in the order of ``mesh_graph``, or of those it owns only,
        shape (N, d) [m]. Tensors are on the CPU; gradients do not pass.

    Returns
    -------
    Function
        Coordinates, bit for bit those given for the own vertices, in the halo those of the owners; ``Mesh`` of it is
        the moved mesh. What was made from a graph without a change gives the mesh's coordinates.

    Raises
    ------
    ValueError
        On all ranks, for another shape, or a tensor on another device.
    """
    coordinates = Function(mesh.coordinates.function_space(), name="coordinates")
    owned, known = coordinates.dat.data_ro.shape, coordinates.dat.data_ro_with_halos.shape
    on_cpu = not isinstance(positions, Tensor) or positions.device.type == "cpu"
    fits = on_cpu and tuple(positions.shape) in (owned, known)
    # Decided by all ranks together: one that raised alone would leave the others waiting.
    if not all(mesh.comm.allgather(fits)):
        place = "" if on_cpu else f" on {positions.device}"
        raise ValueError(
            f"positions: got shape {tuple(positions.shape)}{place}, expected {owned} (own vertices) or {known} "
            "(with halo) on the CPU on every rank; keep the order of mesh_graph, move tensors with .cpu()"
        )
    values = positions.detach().numpy() if isinstance(positions, Tensor) else positions
    coordinates.dat.data_wo[:] = values[: owned[0]]
    return coordinates


def positive_cells(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return cells with the last two corners exchanged where the volume is negative, shape (K, d + 1), int64."""
    result = cells.astype(np.int64)
    negative = simplex_volumes(points, cells) < 0
    result[negative, -2:] = result[negative, :-3:-1]
    return result


def boundary_vertices(
    points: np.ndarray,
    facets: np.ndarray,
    markers: np.ndarray,
    *,
    total: Callable[[np.ndarray], np.ndarray],
    least: Callable[[np.ndarray], np.ndarray],
) -> tuple[Tensor, Tensor]:
    """Return what the facets around each vertex have in common.

    Parameters
    ----------
    points
        Vertices, shape (N, d) [m].
    facets
        Vertices of boundary facets, turned outward, shape (B, d), integers.
    markers
        Marker of each facet, shape (B,), integers.
    total, least
        Complete what these facets have put into the vertices by what those of other ranks have: sum, minimum.

    Returns
    -------
    tuple[Tensor, Tensor]
        ``normals``, shape (N, d), and ``vertex_markers``, shape (N,), of a ``MeshGraph``.
    """
    vectors = facet_vectors(torch.from_numpy(points), torch.from_numpy(facets))
    parts = torch.cat([vectors, torch.linalg.vector_norm(vectors, dim=1, keepdim=True)], dim=1).numpy()
    sums, lowest = np.zeros((len(points), parts.shape[1])), np.full(len(points), np.inf)
    for corner in facets.T:
        np.add.at(sums, corner, parts)
        np.minimum.at(lowest, corner, markers)
    sums, lowest = total(sums), least(lowest)
    normals = unit_normals(torch.from_numpy(sums[:, :-1]), torch.from_numpy(sums[:, -1]))
    return normals, torch.from_numpy(np.where(np.isfinite(lowest), lowest, INSIDE).astype(np.int64))


def own_facets(mesh) -> tuple[np.ndarray, np.ndarray]:
    """Return the boundary facets that this rank owns, turned outward, shape (B, d), and their markers, shape (B,)."""
    space = mesh.coordinates.function_space()
    points = mesh.coordinates.dat.data_ro_with_halos
    facets = mesh.exterior_facets
    cell, opposite = facets.facet_cell_map.values[:, 0], facets.local_facet_dat.data_ro.reshape(-1, 1)
    corners = space.cell_node_map().values_with_halo[cell]
    # The facet of a simplex bears the number of the corner opposite to it.
    is_opposite = np.arange(corners.shape[1]) == opposite
    table = corners[~is_opposite].reshape(-1, corners.shape[1] - 1).astype(np.int64)
    # A facet that points outward and the corner opposite to it make a cell of positive volume in 2D, negative in 3D.
    volumes = simplex_volumes(points, np.column_stack([table, corners[is_opposite]]))
    inward = volumes > 0 if points.shape[1] == 3 else volumes < 0
    table[inward, -2:] = table[inward][:, [-1, -2]]
    return table, _markers(mesh, space.dof_dset.lgmap.block_indices[table])


def _markers(mesh, numbers: np.ndarray) -> np.ndarray:
    """Return the markers of boundary facets given by the global numbers of their vertices, shape (B, d)."""
    outline = mesh_outline(mesh)
    by_number = np.argsort(outline.numbers)
    place = by_number[np.searchsorted(outline.numbers, numbers, sorter=by_number)]
    # Both ascend; as rows are few and short, a number for each row does without a search among rows.
    base = len(outline.numbers) ** np.arange(numbers.shape[1] - 1, -1, -1)
    return outline.markers[np.searchsorted(outline.facets @ base, np.sort(place, axis=1) @ base)].astype(np.int64)


def _own_edges(mesh, cells: np.ndarray) -> Tensor:
    """Return the edges that this rank owns, in both directions, ascending, shape (2, E)."""
    if mesh.comm.size == 1:
        return cell_edges(torch.from_numpy(cells.astype(np.int64)))
    # One degree of freedom an edge: who owns it owns the edge.
    space = FunctionSpace(mesh, "N1curl", 1)
    corners = space.finat_element.cell.get_topology()[1]
    place = space.finat_element.entity_dofs()[1]
    edge_dofs = space.cell_node_map().values
    pairs = np.concatenate(
        [cells[:, list(corners[edge])][edge_dofs[:, place[edge][0]] < space.dof_dset.size] for edge in corners]
    )
    return cell_edges(torch.from_numpy(pairs.astype(np.int64)))
