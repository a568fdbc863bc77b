"""Water that cells lack, taken from the cells around them: depth never negative, and nothing gained or lost."""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from meshing.patches import MeshPatches

# Sweeps in which lack is taken from the cells around, or until only this share of it is left; that is taken from all.
_SWEEPS = 8
_CRUMBS = 1e-12


def without_lack(patches: MeshPatches, comm: MPI.Comm, water: np.ndarray) -> np.ndarray:
    """Return the water of each cell without lack: what one lacks is taken from the cells around its vertices.

    Parameters
    ----------
    patches
        Cells around the vertices.
    comm
        Communicator of the mesh; collective.
    water
        Volume in each cell this rank owns, shape (K,), negative where it lacks [m^3].

    Returns
    -------
    numpy.ndarray
        Shape (K,), not negative, with the same sum over all ranks, if that is not negative [m^3]. A cell gives in
        proportion to its water, and what no cell around has, all cells give.
    """
    water, first = water.copy(), None
    cells, corners = patches.cells, patches.cells.shape[1]
    for _ in range(_SWEEPS):
        lack, surplus = np.maximum(0.0, -water), np.maximum(0.0, water)
        total = comm.allreduce(float(lack.sum()))
        first = total if first is None else first
        if total <= _CRUMBS * first:
            break
        there = patches.sum(np.repeat(surplus[:, None] / corners, corners, axis=1))
        around = there[cells].sum(axis=1, keepdims=True)
        # A cell asks at its vertices in proportion to the water there, and gets the same share of all that is asked.
        parts = np.divide(there[cells], around, out=np.zeros(cells.shape), where=around > 0.0)
        asked = patches.sum(lack[:, None] * parts)
        given = np.minimum(asked, there)
        got = np.divide(given, asked, out=np.zeros_like(asked), where=asked > 0.0)[cells]
        lost = np.divide(given, there, out=np.zeros_like(there), where=there > 0.0)[cells]
        water += lack * (parts * got).sum(axis=1) - surplus * lost.mean(axis=1)
    lack, there = (comm.allreduce(float(np.maximum(0.0, sign * water).sum())) for sign in (-1.0, 1.0))
    return np.maximum(0.0, water) * (1.0 - min(1.0, lack / there) if there > 0.0 else 1.0)
