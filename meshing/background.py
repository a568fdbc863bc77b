"""A field of a mesh at any place, whatever becomes of the mesh."""

from __future__ import annotations

import numpy as np
from firedrake import Function, FunctionSpace, Mesh, TensorFunctionSpace

from meshing.cell_walk import CellWalk
from meshing.patches import MeshPatches


class BackgroundField:
    """Evaluate a P1 field anywhere, on the mesh as it is now.

    Every rank gets a copy of the whole mesh and field, in an order that does not depend on the partition, and may then
    evaluate on its own; only the construction is collective.

    Parameters
    ----------
    function
        Continuous P1 scalar, vector or tensor field, of any unit. Mesh and values are copied.

    Raises
    ------
    ValueError
        On all ranks, for a field in another space, on other meshes, or on one with a cell without volume.
    """

    def __init__(self, function: Function):
        mesh, patches = function.function_space().mesh(), _checked(function)
        numbers = FunctionSpace(mesh, "CG", 1).dof_dset.lgmap
        parts = mesh.comm.allgather(
            (
                mesh.coordinates.dat.data_ro,
                function.dat.data_ro,
                numbers.apply(patches.cells).reshape(patches.cells.shape),
            )
        )
        # Global numbers run through the vertices of one rank after the other.
        points, values, cells = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.lexsort(points.T)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        cells = np.sort(place[cells], axis=1)
        cells = cells[np.lexsort(cells.T)]
        self._corners = values[order][cells]
        self._walk = CellWalk(points[order], cells)
        self._last: np.ndarray | None = None

    def evaluate(self, points: np.ndarray) -> np.ndarray:
        """Return the field's values at points, of this rank alone.

        Parameters
        ----------
        points
            Shape (n, d) [m]. If there were as many the last time, the search for each begins in its cell of then.

        Returns
        -------
        numpy.ndarray
            Shape (n, ...): linear in each cell, so that the values are between those of its corners; outside of the
            domain, the values at its nearest point.

        Raises
        ------
        ValueError
            For points of another shape, or that are not finite.
        """
        start = self._last if self._last is not None and len(self._last) == len(points) else None
        self._last, weights = self._walk.locate(points, start)
        corners = self._corners[self._last]
        first = corners[:, 0]
        # Differences, so that a constant field stays constant to the last bit.
        return first + np.einsum("nc,nc...->n...", weights[:, 1:], corners[:, 1:] - first[:, None])


class CarriedField:
    """Give a P1 field at the vertices of other meshes.

    The search for places is prepared the first time that one is asked for where the vertices are not the field's own.

    Parameters
    ----------
    function
        As for ``BackgroundField``.
    patches
        Those of its mesh as it is, if there are any.

    Raises
    ------
    ValueError
        As ``BackgroundField``.
    """

    def __init__(self, function: Function, patches: MeshPatches | None = None):
        _checked(function, patches)
        self._space = function.function_space()
        mesh = self._space.mesh()
        self._topology = mesh.topology
        self._places = mesh.coordinates.copy(deepcopy=True)
        self._values = function.dat.data_ro_with_halos.copy()
        self._background: BackgroundField | None = None

    def at_vertices(self, mesh) -> np.ndarray:
        """Return the values in the vertices of a mesh that this rank knows, shape (N, ...); collective.

        Those of the field itself, bit for bit, if the mesh has the same cells and its vertices are where those of the
        field's mesh were; else as ``BackgroundField.evaluate``. The ranks agree on the values of a vertex.

        Raises
        ------
        ValueError
            On all ranks, if a vertex is at no finite place.
        """
        points = mesh.coordinates.dat.data_ro_with_halos
        same = mesh.topology is self._topology and np.array_equal(points, self._places.dat.data_ro_with_halos)
        state = mesh.comm.allgather((same, bool(np.isfinite(points).all())))
        if not all(finite for _, finite in state):
            raise ValueError(
                "mesh: got a vertex at a place that is not finite, expected finite coordinates; check them"
            )
        if all(same for same, _ in state):
            return self._values.copy()
        if self._background is None:
            field = Function(self._space.reconstruct(mesh=Mesh(self._places)))
            field.dat.data_wo_with_halos[:] = self._values
            self._background = BackgroundField(field)
        space, shape = FunctionSpace(mesh, "CG", 1), self._space.value_shape
        if shape:
            space = TensorFunctionSpace(mesh, "CG", 1, shape=shape)
        values = Function(space)
        owned = values.dat.data_wo
        owned[:] = self._background.evaluate(points[: len(owned)])
        return values.dat.data_ro_with_halos


def _checked(function: Function, patches: MeshPatches | None = None) -> MeshPatches:
    """Return the patches of the field's mesh, if both are as ``BackgroundField`` needs them; collective."""
    mesh, element = function.function_space().mesh(), function.function_space().ufl_element()
    patches = patches or MeshPatches(mesh)
    scalar = mesh.coordinates.ufl_element().sub_elements[0]
    if {scalar} != set(element.sub_elements or [element]):
        raise ValueError(
            f"field: got {element}, expected a continuous P1 field; interpolate it into "
            'FunctionSpace(mesh, "CG", 1), or into one of vectors or tensors'
        )
    if not patches.smallest(patches.volumes) > 0.0:
        raise ValueError("mesh: got a cell without volume, expected cells that are not degenerate; mend it first")
    return patches
