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
        self._asked = False

    def values(self, points: np.ndarray) -> np.ndarray:
        """Return the monitor function in the vertices, shape (N,), with the vertices at the points, shape (N, d).

        Raises
        ------
        ValueError
            On all ranks, if it is no P1 field on the mesh it was asked for; or whatever else it raises when asked for
            the first time.
        firedrake.exceptions.ConvergenceError
            On all ranks, if it is not positive and finite there, or raises a ValueError when asked again.
        """
        values = self._evaluate(self._monitor, points, ())
        self._check(values)
        return values

    def metric(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Return eigenvalues (K, d) and eigenvectors (K, d, d), in columns, of the metric tensor's means in the cells.

        None if the monitor function is a scalar.

        Raises
        ------
        ValueError, firedrake.exceptions.ConvergenceError
            On all ranks, as ``values``; it has to be positive definite.
        """
        metric = getattr(self._monitor, "metric", None)
        if metric is None:
            return None
        dimension = points.shape[1]
        means = self._evaluate(metric, points, (dimension, dimension))[self._patches.cells].mean(axis=1)
        eigenvalues, eigenvectors = np.linalg.eigh(np.where(np.isfinite(means), means, 0.0))
        self._check(eigenvalues)
        return eigenvalues, eigenvectors

    def _evaluate(self, monitor: Callable[..., Function], points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return what a monitor function gives in the vertices, shape (N, ...)."""
        self._mesh.coordinates.dat.data_wo_with_halos[:] = points
        try:
            field = monitor(self._mesh)
        except ValueError as error:
            # A place that only a step too long leads to is no bad input.
            if self._asked:
                raise ConvergenceError(str(error)) from error
            raise
        self._asked = True
        space = field.function_space()
        element = space.ufl_element()
        scalar = self._mesh.coordinates.ufl_element().sub_elements[0]
        if (
            space.mesh() is not self._mesh
            or space.value_shape != shape
            or {scalar} != set(element.sub_elements or [element])
        ):
            raise ValueError(
                f"monitor: got {element} of shape {space.value_shape} on {space.mesh().name}, expected a continuous P1 "
                f"field of shape {shape} on the mesh it was asked for; interpolate it"
            )
        return field.dat.data_ro_with_halos

    def _check(self, values: np.ndarray) -> None:
        if not self._patches.smallest(np.where(np.isfinite(values), values, 0.0)) > 0.0:
            raise ConvergenceError("monitor function: got values that are not positive and finite")
