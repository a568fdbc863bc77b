"""Transfer of shallow water with its bed to a moved mesh: mass and still water kept, depth never negative."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
from firedrake import Function, VectorFunctionSpace

from fem.holes import without_lack
from fem.transfer import Transfer, same_space
from meshing.patches import MeshPatches

_NEWTON_STEPS = 50
# A cell that has kept no more than this share of its water has given all, but for rounding.
_NOTHING = 1e-12


class ShallowWaterTransfer(Transfer):
    r"""Carry depth, discharge and bed to a moved mesh.

    .. math:: h' = \max(0, L - b') + R\big(h - \max(0, L - b)\big),\qquad (hu)' = R(hu),\qquad b' = b_s + c

    R is a conservative transfer, L the level of still water, b_s the bed sampled in the moved nodes, and c the one
    number for which the still water of the moved mesh has the volume of that before,

    .. math:: \sum_{K} |K'| \overline{\max(0, L - b_s - c)}^{K} = \sum_{K} |K| \overline{\max(0, L - b)}^{K}

    So mass is kept to rounding, as is still water: then R carries zeros. The bed is sampled anew each time; that a P1
    bed holds another volume when its nodes have moved shows in c alone, which is of second order in the cell size,
    does not add up over moves, and is kept in :attr:`offset`. Where the sum is negative in the mean of a cell, at
    shores that have moved, the lack is taken from the cells around its vertices, in proportion to their water.

    Parameters
    ----------
    sample
        Gives for a mesh the bed in the nodes of the state's element [m].
    still_level
        L [m].
    transfer
        R, conservative.

    Attributes
    ----------
    offset
        c of the last transfer [m].

    Raises
    ------
    ValueError
        If the transfer is not conservative.
    """

    conservative: ClassVar[bool] = True
    well_balanced: ClassVar[bool] = True

    def __init__(self, sample: Callable[..., Function], still_level: float, transfer: Transfer):
        if not transfer.conservative:
            raise ValueError(f"transfer: got {type(transfer).__name__}, expected a conservative one, such as a remap")
        self.sample, self.still_level, self.transfer = sample, still_level, transfer
        self.offset = 0.0

    def __call__(self, source: Function, moved_mesh) -> Function:
        """Return (h, hu, hv) on the moved mesh; the bed before is the sampled one with the present offset."""
        bed = self.sample(source.function_space().mesh())
        bed.dat.data_wo_with_halos[:] = bed.dat.data_ro_with_halos + self.offset
        return self.carry(source, bed, moved_mesh)[0]

    def carry(self, state: Function, bed: Function, moved_mesh) -> tuple[Function, Function]:
        """Return state and bed on the moved mesh; collective.

        Parameters
        ----------
        state
            (h, hu, hv), discontinuous P0 or P1 with nodes at the vertices, depth not negative.
        bed
            b in the same nodes [m].
        moved_mesh
            Mesh of the same topology, no cell inverted.
        """
        return self._carry(state, bed, None, moved_mesh)[:2]

    def carry_with(
        self, state: Function, bed: Function, along: Function, moved_mesh
    ) -> tuple[Function, Function, Function]:
        """As :meth:`carry`, and return R of one more field as well, which costs little in the same pass; collective.

        Parameters
        ----------
        state, bed, moved_mesh
            As for :meth:`carry`.
        along
            Scalar in the same nodes as the bed.
        """
        moved_state, moved_bed, moved = self._carry(state, bed, along, moved_mesh)
        result = Function(moved_bed.function_space(), name=along.name())
        result.dat.data_wo[:] = moved[:, 3]
        return moved_state, moved_bed, result

    def _carry(
        self, state: Function, bed: Function, along: Function | None, moved_mesh
    ) -> tuple[Function, Function, np.ndarray]:
        """Return state and bed on the moved mesh, and what R has made of all parts."""
        mesh = state.function_space().mesh()
        before, after = _Volumes(mesh, bed), _Volumes(moved_mesh, bed)
        still = np.maximum(0.0, self.still_level - bed.dat.data_ro_with_halos)
        parts = state.function_space()
        if along is not None:
            parts = VectorFunctionSpace(mesh, bed.function_space().ufl_element(), dim=4)
        deviation = Function(parts)
        values = deviation.dat.data_wo_with_halos
        values[:, :3] = state.dat.data_ro_with_halos
        values[:, 0] -= still
        if along is not None:
            values[:, 3] = along.dat.data_ro_with_halos
        moved = self.transfer(deviation, moved_mesh).dat.data_ro
        sampled = self.sample(moved_mesh)
        self.offset = self._offset(after, sampled.dat.data_ro, before.integral(still[: len(bed.dat.data_ro)]))
        new_bed = Function(same_space(bed, moved_mesh), name=bed.name())
        new_bed.dat.data_wo[:] = sampled.dat.data_ro + self.offset
        result = Function(same_space(state, moved_mesh), name=state.name())
        values = moved[:, :3].copy()
        values[:, 0] += np.maximum(0.0, self.still_level - new_bed.dat.data_ro)
        result.dat.data_wo[:] = after.without_holes(values)
        return result, new_bed, moved

    def _offset(self, volumes: _Volumes, bed: np.ndarray, volume: float) -> float:
        """Return by how much to raise a bed for its still water to have a volume."""
        offset = self.offset
        for _ in range(_NEWTON_STEPS):
            depth = self.still_level - bed - offset
            excess = volumes.integral(np.maximum(0.0, depth)) - volume
            area = volumes.integral((depth > 0.0).astype(float))
            if area == 0.0 or abs(excess) <= 1e-15 * volume:
                break
            offset += excess / area
        return offset


class _Volumes:
    """Integrals of nodal values over a mesh, and the filling of holes."""

    def __init__(self, mesh, nodal: Function):
        self._patches = MeshPatches(mesh)
        self._comm = mesh.comm
        self._nodes = nodal.function_space().cell_node_map().values[: len(self._patches.cells)]
        self._weights = np.zeros(len(nodal.dat.data_ro))
        self._weights[self._nodes] = self._patches.volumes[:, None] / self._nodes.shape[1]

    def integral(self, values: np.ndarray) -> float:
        """Return the integral of nodal values, shape (n,), over all ranks."""
        return self._comm.allreduce(float(self._weights @ values))

    def without_holes(self, values: np.ndarray) -> np.ndarray:
        """Return nodal values (h, hu, hv), shape (n, 3), with h >= 0 and the same integral of h."""
        result, volumes = values.copy(), self._patches.volumes
        # Node by node of the cells: sums over so short an axis take several times as long.
        depths = [values[nodes, 0] for nodes in self._nodes.T]
        water = sum(depths) * (volumes / len(depths))
        filled = without_lack(self._patches, self._comm, water)
        cells = np.flatnonzero((np.minimum.reduce(depths) < 0.0) | (filled != water))
        h, before, after = values[self._nodes[cells], 0], water[cells], filled[cells]
        changed = after != before
        scale = np.divide(after, before, out=np.zeros_like(before), where=before > 0.0)[:, None]
        flat = (after / volumes[cells])[:, None]
        h = np.where(changed[:, None], np.where(before[:, None] > 0.0, h * scale, flat), h)
        mean, least = h.mean(axis=1, keepdims=True), h.min(axis=1, keepdims=True)
        factor = np.divide(mean, mean - least, out=np.ones_like(mean), where=least < 0.0)
        h = np.where(least < 0.0, mean + factor * (h - mean), h)
        result[self._nodes[cells], 0] = np.maximum(0.0, h)
        # What had no water, or has given all, has nothing that flows. What is left of it may be rounding: not compared
        # with zero, which would make of that rounding a choice.
        empty = np.flatnonzero((water <= 0.0) | (filled <= _NOTHING * water))
        result[self._nodes[empty], 1:] = 0.0
        return result
