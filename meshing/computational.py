"""The computational mesh of a mesh: where its vertices were before anything moved them."""

from __future__ import annotations

import numpy as np

from meshing.cell_maps import CellMaps, corner_angles
from meshing.patches import MeshPatches

_ATTRIBUTE = "driftmesh_computational_points"


def computational_points(mesh) -> np.ndarray:
    """Return the vertices of the computational mesh, xi, the first time those of the mesh as it is.

    All meshes made from a mesh by moving its vertices, ``Mesh(coordinates)``, share its topology; the points are kept
    with the topology. So a mover that is called again and again in a running solve equidistributes with respect to
    the mesh at the beginning, and does not adapt what is adapted already.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D.

    Returns
    -------
    numpy.ndarray
        Shape (N, d), the vertices this rank knows, in the order of the coordinates, read-only [m].

    Raises
    ------
    ValueError
        For other meshes.
    """
    points = getattr(mesh.topology, _ATTRIBUTE, None)
    if points is None:
        set_computational_mesh(mesh)
        points = getattr(mesh.topology, _ATTRIBUTE)
    return points


def set_computational_mesh(mesh, points: np.ndarray | None = None) -> None:
    """Make the mesh as it is, or with its vertices elsewhere, the computational mesh of all meshes of its topology.

    Movers do this with the first mesh they are given. To be called for a mesh that is not moved yet where the first
    one a mover sees is moved already, as after a restart.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D.
    points
        Vertices xi, shape (N, d), in the order of the coordinates, those of the halo included [m]; those of the mesh
        if not given.

    Raises
    ------
    ValueError
        For other meshes, or points of another shape.
    """
    own = MeshPatches(mesh).points
    points = own if points is None else np.array(points, dtype=float)
    if points.shape != own.shape:
        raise ValueError(f"points: got shape {points.shape}, expected {own.shape}, a place for each vertex")
    points.flags.writeable = False
    setattr(mesh.topology, _ATTRIBUTE, points)


class ComputationalMesh:
    """The computational mesh of a mesh, its cells, and sums and means over all ranks.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D.

    Attributes
    ----------
    patches
        Patches of the mesh as it is.
    points
        Vertices of the computational mesh, shape (N, d) [m].
    maps
        Maps from the computational cells this rank owns.
    shares
        Share of the volume that falls to each vertex, 1 / (d + 1) of the cells around, shape (N,) [m^d].
    volume
        Volume of the computational domain [m^d].

    Raises
    ------
    ValueError
        For other meshes, and for a computational mesh with a cell without volume.
    """

    def __init__(self, mesh):
        self.patches = MeshPatches(mesh)
        self.points = computational_points(mesh)
        self.maps = CellMaps(self.points, self.patches.cells)
        self.shares = self.vertex_sums(self.maps.volumes)
        self._angles = corner_angles(self.maps.gradients)
        self._around = self.patches.sum(self._angles)
        self._comm = mesh.comm
        self._owned = mesh.coordinates.dof_dset.size
        self.volume = self.sum(self.maps.volumes)
        self._sizes = self.vertex_means(self.maps.volumes) ** (1 / self.points.shape[1])
        self._vertices = mesh.comm.allreduce(self._owned)

    def sum(self, values: np.ndarray) -> float:
        """Return the sum over the cells of all ranks of one value a cell."""
        return self._comm.allreduce(float(values.sum()))

    def mean(self, values: np.ndarray) -> float:
        """Return the mean over the vertices of all ranks, weighted by their share of the volume."""
        return self.sum(values[: self._owned] * self.shares[: self._owned]) / self.volume

    def vertex_sums(self, values: np.ndarray) -> np.ndarray:
        """Return what falls to each vertex, shape (N,), 1 / (d + 1) of the values of the cells around, shape (K,)."""
        shape = self.patches.cells.shape
        return self.patches.sum(np.broadcast_to(values[:, None] / shape[1], shape))

    def vertex_means(self, values: np.ndarray) -> np.ndarray:
        """Return the mean around each vertex, shape (N, ...), of the values of the cells, weighted by their angles.

        Of P1 gradients this recovers the gradient in the vertices to second order, in smooth meshes and on their
        straight boundaries; weighted by volume it would be of first order on boundaries where the cells on the two
        sides of a vertex differ in number, as in structured triangulations.
        """
        columns = values.reshape(len(values), -1).T
        sums = [self.patches.sum(self._angles * column[:, None]) for column in columns]
        return (np.stack(sums, axis=1) / self._around[:, None]).reshape(-1, *values.shape[1:])

    def cells_moved(self, displacement: np.ndarray) -> float:
        """Return the root mean square over the vertices of a displacement in units of the size of the cells around."""
        squares = (displacement**2).sum(axis=1) / self._sizes**2
        return float(np.sqrt(self.sum(squares[: self._owned]) / self._vertices))
