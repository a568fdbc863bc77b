"""The moving-mesh driver: the only place that applies coordinates to a running solve, or sends its solver there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from warnings import warn

import numpy as np
from firedrake import Function, Mesh
from firedrake.exceptions import ConvergenceError
from mpi4py import MPI

from meshing.computational import computational_points
from meshing.mover import Mover, MoveResult, MoveStatus
from meshing.quality import mesh_quality

# Failures that may be over at the next move; PETSc's are runtime errors. Other ValueErrors mean bad input.
NUMERICAL_FAILURES = (ConvergenceError, RuntimeError, ArithmeticError, np.linalg.LinAlgError)

Ride = Callable[[], bool]
"""Tells whether a solver that takes its mesh along as it steps is still on its way; on all ranks the same."""


def try_move(mover: Mover, mesh, monitor: Callable[..., Function]) -> MoveResult | None:
    """Return what a mover did, or None, with a warning, if its numerics failed on a rank; collective.

    Raises
    ------
    ValueError, TypeError, ...
        Errors of input and code go on.
    """
    result = None
    try:
        result = mover.move(mesh, monitor)
    except (NotImplementedError, RecursionError):
        raise  # runtime errors, but of the code
    except NUMERICAL_FAILURES as error:
        warn(f"mover: {type(error).__name__}: {error}; the mesh stays as it is", RuntimeWarning, stacklevel=3)
    return None if mesh.comm.allreduce(result is None, MPI.LOR) else result


@dataclass
class MovingRecord:
    """What the driver has done so far.

    Attributes
    ----------
    moves
        Moves applied.
    skipped
        Times the mesh was still good enough.
    limited, not_converged, failed
        Moves that ended so; those that failed have left the mesh as it was.
    tangled
        Moves after which a cell was inverted; what ``Mover.move`` guarantees there are none of, counted.
    min_jacobian_ratio
        Least ratio of a cell's volume after a move to that before.
    mover_s, monitor_s, transfer_s
        Wall time [s]; that of the monitor function is the time to make it, the mover's includes evaluations.
    """

    moves: int = 0
    skipped: int = 0
    limited: int = 0
    not_converged: int = 0
    failed: int = 0
    tangled: int = 0
    min_jacobian_ratio: float = 1.0
    mover_s: float = 0.0
    monitor_s: float = 0.0
    transfer_s: float = 0.0


class MovingMesh:
    """Move the mesh of a running solve when it pays, and carry its fields over.

    Parameters
    ----------
    mesh
        Mesh of the solve; its coordinates are changed in place. As it is, it becomes the computational mesh, unless
        one is set already.
    mover
        Where the vertices go.
    monitor
        Makes the monitor function of the present state.
    carry
        Given the moved mesh, gives each field of the solve that changes with the mesh, with its values there: pairs of
        a function of the solve and one in the same element on the moved mesh. That mesh is the same object each time,
        with its coordinates changed in place. Or, if the solver takes its mesh there itself while it steps (ALE,
        ``begin_motion`` of the steppers in ``fem``), tells whether it is still on its way, see :data:`Ride`: until it
        has arrived, the mesh is not looked at.
    refresh
        Called after coordinates and fields have been changed, for whatever else depends on them.
    every
        Steps between two looks at the mesh.
    threshold
        The mesh is moved if the standard deviation over mean of the integrals of m over the cells, over their
        computational volumes, exceeds this; 0 for always.

    Raises
    ------
    ValueError
        For a number of steps below 1 or a negative threshold.

    Attributes
    ----------
    mover
        Where the vertices go; may be replaced.
    record
        What has been done. To be restored on going on from a checkpoint, with :attr:`steps`.
    steps
        Time steps counted.
    """

    def __init__(
        self,
        mesh,
        mover: Mover,
        monitor: Callable[[], Callable[..., Function]],
        carry: Callable[..., Sequence[tuple[Function, Function]] | Ride],
        refresh: Callable[[], None],
        *,
        every: int = 1,
        threshold: float = 0.0,
    ):
        if every < 1:
            raise ValueError(f"every: got {every}, expected 1 step or more between moves")
        if not threshold >= 0.0:
            raise ValueError(f"threshold: got {threshold}, expected 0 (always) or more, such as 0.3")
        self._mesh, self.mover, self._monitor = mesh, mover, monitor
        self._carry, self._refresh = carry, refresh
        self._every, self._threshold = every, threshold
        self.steps = 0
        self._ride: Ride | None = None
        # Both made once: a mesh for each move would cost as much as a time step.
        self._reference, self._moved = (Mesh(mesh.coordinates.copy(deepcopy=True)) for _ in range(2))
        self._reference.coordinates.dat.data_wo_with_halos[:] = computational_points(mesh)
        self.record = MovingRecord()

    def after_step(self, *, hold: bool = False) -> bool:
        """Count a step, and move the mesh if it is time, it pays, and it is not to be held; collective.

        Returns
        -------
        bool
            Whether the mesh has moved, or has set out.
        """
        self.steps += 1
        if self._ride is not None and not self._ride():
            self._ride = None
        return not hold and self._ride is None and self.steps % self._every == 0 and self.move()

    def move(self) -> bool:
        """Move the mesh now if it pays; return whether it has moved. Collective.

        A mover whose numerics fail, or a transfer that cannot follow, leaves the solve as it was; this is counted.

        Raises
        ------
        ValueError, TypeError, ...
            What monitor function and mover raise for bad input, such as a mesh that cannot be moved, and for errors in
            the code. Only failures of numerics are counted: those that movers report themselves, singular matrices,
            arithmetic, and runtime errors, as of PETSc.
        """
        record = self.record
        began = perf_counter()
        monitor = self._monitor()
        if self._threshold > 0.0:
            quality = mesh_quality(self._mesh, self._reference, monitor(self._mesh))
            if quality.relative_spread is not None and quality.relative_spread <= self._threshold:
                record.skipped += 1
                record.monitor_s += perf_counter() - began
                return False
        record.monitor_s += perf_counter() - began
        began = perf_counter()
        result = try_move(self.mover, self._mesh, monitor)
        record.mover_s += perf_counter() - began
        if result is None:
            record.failed += 1
            return False
        record.limited += result.status is MoveStatus.LIMITED
        record.not_converged += result.status is MoveStatus.NOT_CONVERGED
        if result.status is MoveStatus.FAILED:
            record.failed += 1
            return False
        began = perf_counter()
        applied = self._apply(result)
        record.transfer_s += perf_counter() - began
        return applied

    def _apply(self, result: MoveResult) -> bool:
        """Put coordinates and fields in place, or nothing of it."""
        self._moved.coordinates.dat.data_wo_with_halos[:] = result.coordinates.dat.data_ro_with_halos
        try:
            carried = self._carry(self._moved)
        except RuntimeError:
            self.record.failed += 1
            return False
        self.record.moves += 1
        self.record.tangled += not result.min_jacobian_ratio > 0.0
        self.record.min_jacobian_ratio = float(np.minimum(self.record.min_jacobian_ratio, result.min_jacobian_ratio))
        if callable(carried):
            self._ride = carried
            return True
        self._mesh.coordinates.dat.data_wo_with_halos[:] = result.coordinates.dat.data_ro_with_halos
        for function, values in carried:
            function.dat.data_wo_with_halos[:] = values.dat.data_ro_with_halos
        self._refresh()
        return True
