"""Values of a mesh's vertices completed over ranks."""

from __future__ import annotations

import numpy as np
from firedrake import Function, FunctionSpace
from pyop2 import op2


class VertexExchange:
    """Complete values that ranks have put into the vertices they know.

    Vertices are those this rank knows, own ones first, in the order of the mesh's coordinates. All ranks call
    each method together; on one rank the values come back as they are.

    Parameters
    ----------
    mesh
        Mesh with straight edges.
    """

    def __init__(self, mesh):
        self._work = Function(FunctionSpace(mesh, "CG", 1)).dat
        self.owned = self._work.dataset.set.size
        self.known = self._work.dataset.set.total_size

    def total(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over all ranks in each vertex.

        Parameters
        ----------
        values
            What this rank's cells, edges or facets have put there, shape (N, ...), float64.

        Returns
        -------
        numpy.ndarray
            Shape (N, ...), complete in own vertices and in those of the halo.
        """
        return self._over_ranks(values, op2.INC)

    def least(self, values: np.ndarray) -> np.ndarray:
        """Return the least of all ranks' values in each vertex, shape (N, ...), of float64 values of that shape."""
        return self._over_ranks(values, op2.MIN)

    def from_owners(self, values: np.ndarray) -> np.ndarray:
        """Return the owners' values in all vertices, shape (N, ...); those given for the halo do not count."""
        result = np.empty_like(values)
        for component, column in _columns(result, values):
            # The halo is out of date after this, and up to date when it is read.
            self._work.data_wo[:] = column[: self.owned]
            component[:] = self._work.data_ro_with_halos
        return result

    def _over_ranks(self, values: np.ndarray, reduction) -> np.ndarray:
        result = np.empty_like(values)
        for component, column in _columns(result, values):
            self._work.data_wo_with_halos[:] = column
            self._work.local_to_global_begin(reduction)
            self._work.local_to_global_end(reduction)
            component[:] = self._work.data_ro_with_halos
        return result


def _columns(*arrays: np.ndarray):
    """Return pairs of views of the arrays' components, each of shape (N,)."""
    return zip(*(array.reshape(len(array), -1).T for array in arrays), strict=True)
