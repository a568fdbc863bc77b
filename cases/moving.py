"""Meshes that move under a simulation: movers by name, the driver, what a checkpoint keeps of it, and its numbers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from time import perf_counter
from typing import Any

from firedrake import Function, Mesh

from cases.checkpoint import Checkpoint
from coupling.driver import MovingMesh, MovingRecord, Ride
from coupling.registry import LEARNED, MOVERS, get_mover
from meshing.computational import computational_points, set_computational_mesh

FIXED = "none"
# Movers that need to be told how the boundary moves, which no case does.
_OF_GIVEN_MOTION = frozenset({"laplacian"})
_POINTS = "computational_points"
# Before the names of what the mover remembers, in a checkpoint.
_OF_MOVER = "mover_"


def run_movers() -> tuple[str, ...]:
    """Return the names of the movers that a run can use."""
    return tuple(name for name in MOVERS if name not in _OF_GIVEN_MOTION)


def check_mover(name: Any) -> str:
    """Return the name of a mover that a run can use.

    Raises
    ------
    ValueError
        If it is none, or a learned one whose weights are missing or damaged.
    """
    known = run_movers()
    if name in known:
        if name in LEARNED:
            # Weights that are missing or damaged are bad input, and said before anything is written.
            get_mover(name)
        return name
    hint = "`driftmesh movers` lists them"
    if name in _OF_GIVEN_MOTION:
        hint = "it follows a given motion of the boundary, and no case has one; see `driftmesh move`"
    elif isinstance(name, str) and name:
        close = [full for full in known if full.startswith(name)] or difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else hint
    raise ValueError(f"mover: got {name!r}, expected one of {', '.join(known)}; {hint}")


@dataclass(frozen=True)
class Movement:
    """How the mesh of a case is to be moved; part of a setup.

    Attributes
    ----------
    monitor
        Makes the monitor function of the present state.
    every
        Time steps between two looks at the mesh.
    threshold
        Spread of the cells' integrals of the monitor function from which on it pays to move, see
        :class:`coupling.driver.MovingMesh`.
    transfer
        Name in :data:`cases.options.TRANSFERS`: how fields come to the moved mesh.
    """

    monitor: Callable[[], Callable[..., Function]]
    every: int
    threshold: float
    transfer: str


class MeshMotion:
    """The moving mesh of a simulation, which can be stopped and goes on as if it had not been.

    What the mover remembers of earlier moves is part of a checkpoint, so that a run that goes on from any step goes the
    way of one that was not stopped.

    Parameters
    ----------
    mesh
        Mesh of the simulation, moved in place.
    mover
        Name of the mover.
    movement
        When, and where to.
    carry, refresh
        See :class:`coupling.driver.MovingMesh`.
    checkpoint
        What the simulation goes on from, on the same mesh.
    """

    def __init__(
        self,
        mesh,
        mover: str,
        movement: Movement,
        carry: Callable[..., Sequence[tuple[Function, Function]] | Ride],
        refresh: Callable[[], None],
        checkpoint: Checkpoint | None = None,
    ):
        self._name, self._mesh = mover, mesh
        if checkpoint is not None:
            # The mesh comes from the file as it was moved: where it was before is told apart.
            set_computational_mesh(Mesh(checkpoint.fields[_POINTS]))
        self._driver = MovingMesh(
            mesh,
            get_mover(mover),
            movement.monitor,
            carry,
            refresh,
            every=movement.every,
            threshold=movement.threshold,
        )
        self._points = Function(mesh.coordinates.function_space(), name=_POINTS)
        self._points.dat.data_wo_with_halos[:] = computational_points(mesh)
        self._is_first = True
        # Wall time of all but the mover [s], and over how many moves: but for the first of a process, which prepares
        # what the others use.
        self._overhead_s, self._overhead_moves = 0.0, 0
        if checkpoint is not None:
            saved = checkpoint.scalars
            self._driver.steps = int(saved["moving_steps"])
            self._overhead_s, self._overhead_moves = saved["overhead_s"], int(saved["overhead_moves"])
            kinds = {field.name: type(getattr(MovingRecord(), field.name)) for field in fields(MovingRecord)}
            self._driver.record = MovingRecord(**{name: kind(saved[name]) for name, kind in kinds.items()})
            of_mover = {
                name.removeprefix(_OF_MOVER): function
                for name, function in checkpoint.fields.items()
                if name.startswith(_OF_MOVER)
            }
            self._driver.mover.remember(mesh, of_mover)

    def after_step(self, *, hold: bool = False) -> bool:
        """Count a step, and move the mesh if it is time and not on hold; return whether it moves. Collective."""
        began, mover_s = perf_counter(), self.record.mover_s
        moved = self._driver.after_step(hold=hold)
        if moved and not self._is_first:
            self._overhead_s += perf_counter() - began - (self.record.mover_s - mover_s)
            self._overhead_moves += 1
        self._is_first &= not moved
        return moved

    def move(self) -> bool:
        """Move the mesh now if it pays, apart from the steps; return whether it has moved. Collective."""
        return self._driver.move()

    @property
    def record(self) -> MovingRecord:
        """What has been done."""
        return self._driver.record

    @property
    def saved_scalars(self) -> dict[str, float]:
        """Numbers that a checkpoint has to keep."""
        overhead = {"overhead_s": self._overhead_s, "overhead_moves": self._overhead_moves}
        return {"moving_steps": self._driver.steps, **overhead, **asdict(self.record)}

    @property
    def saved_fields(self) -> dict[str, Function]:
        """Functions that a checkpoint has to keep: the vertices of the computational mesh [m], the mover's memory."""
        memory = self._driver.mover.memory(self._mesh)
        return {_POINTS: self._points, **{_OF_MOVER + name: function for name, function in memory.items()}}

    def metrics(self, step_s: float) -> dict[str, float | None]:
        """Return the numbers of the moves by their names in run.json.

        Parameters
        ----------
        step_s
            What a time step costs [s].
        """
        record = self.record
        # All but the mover: driver, monitor function, transfer, and refreshing what depends on the mesh.
        measured = self._overhead_moves > 0 and step_s > 0.0
        overhead = self._overhead_s / self._overhead_moves / step_s if measured else None
        return {
            "min_jacobian_ratio": record.min_jacobian_ratio,
            "tangled_moves": record.tangled,
            "limited_moves": record.limited,
            "not_converged_moves": record.not_converged,
            "failed_moves": record.failed,
            "skipped_moves": record.skipped,
            "overhead_steps": overhead,
        }

    def in_words(self, overhead: float | None) -> str:
        """Return a line about the moves; the overhead in time steps, as among the metrics."""
        record = self.record
        others = {"limited": record.limited, "not converged": record.not_converged, "failed": record.failed}
        parts = [f"{record.moves} moves by {self._name} in {record.mover_s:.1f} s"]
        parts += [f"{count} {name}" for name, count in others.items() if count]
        if overhead is not None:
            parts.append(f"the rest of a move costs {overhead:.1f} time steps")
        return ", ".join(parts)
