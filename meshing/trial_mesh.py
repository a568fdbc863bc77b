"""A mesh whose vertices a mover puts where it likes, to ask the monitor function there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from firedrake import Function, Mesh
from firedrake.exceptions import ConvergenceError

from meshing.patches import MeshPatches


class TrialMesh:
    """A copy of a mesh to try positions of its vertices on.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D; left untouched.
    monitor
        Monitor function: gives for a mesh a positive P1 field. It may also have a method ``metric`` that gives a
        symmetric positive definite P1 tensor field.
    patches
        Patches of the mesh.
    """

    def __init__(self, mesh, monitor: Callable[..., Function], patches: MeshPatches):
        self._patches = patches
        self._mesh = Mesh(mesh.coordinates.copy(deepcopy=True))
        self._monitor = monitor

    def values(self, points: np.ndarray) -> np.ndarray:
        """Return the monitor function in the vertices, shape (N,), with the vertices at the points, shape (N, d).

        Raises
        ------
        firedrake.exceptions.ConvergenceError
            On all ranks, if it is not positive and finite there.
        """
        self._mesh.coordinates.dat.data_wo_with_halos[:] = points
        values = self._monitor(self._mesh).dat.data_ro_with_halos
        self._check(values)
        return values

    def metric(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Return eigenvalues (K, d) and eigenvectors (K, d, d), in columns, of the metric tensor's means in the cells.

        None if the monitor function is a scalar.

        Raises
        ------
        firedrake.exceptions.ConvergenceError
            On all ranks, if it is not positive definite and finite there.
        """
        metric = getattr(self._monitor, "metric", None)
        if metric is None:
            return None
        self._mesh.coordinates.dat.data_wo_with_halos[:] = points
        means = metric(self._mesh).dat.data_ro_with_halos[self._patches.cells].mean(axis=1)
        eigenvalues, eigenvectors = np.linalg.eigh(np.where(np.isfinite(means), means, 0.0))
        self._check(eigenvalues)
        return eigenvalues, eigenvectors

    def _check(self, values: np.ndarray) -> None:
        if not self._patches.smallest(np.where(np.isfinite(values), values, 0.0)) > 0.0:
            raise ConvergenceError("monitor function: got values that are not positive and finite")
