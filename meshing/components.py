"""The pieces that a mesh consists of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from firedrake import FunctionSpace
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from meshing.patches import MeshPatches

_ATTRIBUTE = "driftmesh_components"


@dataclass(frozen=True)
class Components:
    """Which vertices and cells hang together.

    Attributes
    ----------
    count
        Number of pieces.
    of_vertex, of_cell
        Piece of each vertex this rank knows, shape (N,), and of each cell it owns, shape (K,).
    first
        Vertices this rank owns of which each is the first of its piece over all ranks, shape (N,), bool.
    """

    count: int
    of_vertex: np.ndarray
    of_cell: np.ndarray
    first: np.ndarray


def mesh_components(mesh) -> Components:
    """Return the pieces of a mesh; found once for its topology; collective.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D.

    Raises
    ------
    ValueError
        For other meshes.
    """
    found = getattr(mesh.topology, _ATTRIBUTE, None)
    if found is None:
        cells, space = MeshPatches(mesh).cells, FunctionSpace(mesh, "CG", 1)
        numbers = space.dof_dset.lgmap.indices
        everything = np.concatenate(mesh.comm.allgather(numbers[cells]))
        vertices = mesh.comm.allreduce(space.dof_dset.size)
        start, end = np.repeat(everything[:, 0], cells.shape[1] - 1), everything[:, 1:].ravel()
        edges = coo_array((np.ones(len(start), dtype=bool), (start, end)), shape=(vertices, vertices))
        count, label = connected_components(edges, directed=False)
        _, first = np.unique(label, return_index=True)
        own = np.arange(len(numbers)) < space.dof_dset.size
        of_vertex = label[numbers]
        found = Components(count, of_vertex, of_vertex[cells[:, 0]], own & np.isin(numbers, first))
        setattr(mesh.topology, _ATTRIBUTE, found)
    return found
