"""A run of a scalar law whose solution is known: what it adds to the loop of all runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from firedrake import Constant, Function, SpatialCoordinate, VectorFunctionSpace, assemble, dx, interpolate
from mpi4py import MPI
from rich.console import Console

from cases.case import Case, ScalarSetup
from cases.checkpoint import Checkpoint
from cases.exact_error import error_norm, l2_error
from cases.maps import ScalarMapWriter
from cases.moving import FIXED, MeshMotion
from cases.time_loop import TimeLoop
from fem.remap import RemapTransfer
from fem.scalar_stepper import ScalarStepper

# The mesh is moved to the initial condition, sampled anew each time, until vertices move by less than this share of the
# mean size of the cells, in the mean, or as often as this.
_STAYS = 0.1
_MOST_STARTS = 8


class ScalarSimulation(TimeLoop):
    """One run: stepper, transfer, error and outputs.

    Before the first step the mesh is moved to the initial condition, which is sampled on the moved mesh, not carried
    there: the error of the beginning is that of interpolation.

    Parameters
    ----------
    case
        Case the run belongs to.
    setup
        What to simulate.
    out
        Folder to write into; it exists.
    checkpoint
        State to go on from, on the mesh of ``setup``.
    mover
        Name of the mover; with ``none`` the mesh is fixed.
    """

    setup: ScalarSetup
    stepper: ScalarStepper
    maps: ScalarMapWriter

    def __init__(
        self, case: Case, setup: ScalarSetup, out: Path, checkpoint: Checkpoint | None = None, *, mover: str = FIXED
    ):
        super().__init__(case, setup, out, mover=mover, t=setup.t_start, checkpoint=checkpoint)
        self.stops = (setup.t_half,)
        self.error_half = np.nan
        self.transfer = RemapTransfer()
        problem = setup.problem
        problem.set_time(self.t)
        self.state.dat.data_wo_with_halos[:] = self._sampled(problem.mesh).dat.data_ro_with_halos
        self.stepper = ScalarStepper(problem, self.state, tableau=setup.tableau, courant=setup.courant)
        if mover != FIXED:
            refresh = self.stepper.mesh_changed
            self.motion = MeshMotion(problem.mesh, mover, setup.movement, self._carry, refresh, checkpoint)
        if checkpoint is not None:
            self._restore(checkpoint)
        else:
            began = time.perf_counter()
            self._move_to_start()
            self.elapsed_before += time.perf_counter() - began
            self.initial_mass = self.stepper.mass()
        self.maps = ScalarMapWriter(
            out, self.state, after=self.t if self.resumed else None, moves=self.motion is not None
        )

    # -- the mesh -------------------------------------------------------------------------------------------

    def _sampled(self, mesh) -> Function:
        """Return the solution of the beginning, sampled in the nodes on a mesh."""
        space = self.setup.problem.space(mesh)
        vector = VectorFunctionSpace(mesh, space.ufl_element())
        nodes = assemble(interpolate(SpatialCoordinate(mesh), vector)).dat.data_ro
        result = Function(space)
        result.dat.data_wo[:] = self.setup.exact(nodes, self.setup.t_start)
        return result

    def _carry(self, moved_mesh) -> list[tuple[Function, Function]] | Callable[[], bool]:
        """Return the state, with its values on the moved mesh, or set the solver out for it."""
        if self.steps == 0:
            return [(self.state, self._sampled(moved_mesh))]
        if self.setup.movement.transfer != "ale":
            return [(self.state, self.transfer(self.state, moved_mesh))]
        target = Function(self.setup.problem.mesh.coordinates.function_space())
        target.dat.data_wo_with_halos[:] = moved_mesh.coordinates.dat.data_ro_with_halos
        self.stepper.begin_motion(target)
        return lambda: self.stepper.is_moving

    def _move_to_start(self) -> None:
        """Move the mesh to the initial condition until it stays."""
        if self.motion is None:
            return
        mesh = self.setup.problem.mesh
        coordinates, area = mesh.coordinates, assemble(Constant(1.0) * dx(domain=mesh))
        size = np.sqrt(area / self.comm.allreduce(mesh.cell_set.size))
        for _ in range(_MOST_STARTS):
            before = coordinates.dat.data_ro.copy()
            if not self.motion.move():
                break
            way = float(np.linalg.norm(coordinates.dat.data_ro - before, axis=1).sum())
            if self.comm.allreduce(way) <= _STAYS * size * self.comm.allreduce(len(before)):
                break

    # -- see TimeLoop ---------------------------------------------------------------------------------------

    def mass_drift(self) -> float:
        """Return |mass - mass at the beginning - inflow| over the larger of the two masses."""
        mass = self.stepper.mass()
        return abs(mass - self.initial_mass - self.stepper.inflow) / max(abs(mass), abs(self.initial_mass))

    def _observe(self) -> None:
        """Nothing: the error is taken on the mesh as it is drawn."""

    def _write_maps(self) -> None:
        super()._write_maps()
        if self.t == self.setup.t_half:
            self.error_half = l2_error(self.state, self.setup.exact, self.t)

    def _kept(self) -> tuple[dict[str, float], dict[str, Function], dict[str, np.ndarray]]:
        return {"error_half": self.error_half}, {}, {}

    def _restore(self, checkpoint: Checkpoint) -> None:
        super()._restore(checkpoint)
        self.error_half = checkpoint.scalars["error_half"]
        self.setup.problem.set_time(self.t)
        self.stepper.state_changed()

    # -- outputs --------------------------------------------------------------------------------------------

    def _write_results(self) -> None:
        """Nothing besides."""

    def _equation_metrics(self) -> dict[str, Any]:
        half = float(self.error_half) if np.isfinite(self.error_half) else None
        values = self.state.dat.data_ro
        return {
            "error": l2_error(self.state, self.setup.exact, self.t),
            "error_half": half,
            "error_l1": error_norm(self.state, self.setup.exact, self.t, power=1),
            "least": self.comm.allreduce(float(values.min(initial=np.inf)), MPI.MIN),
            "greatest": self.comm.allreduce(float(values.max(initial=-np.inf)), MPI.MAX),
        }

    def _draw(self, metrics: Mapping[str, Any]) -> Sequence[tuple[Path, str]]:
        from cases.scalar_figures import write_scalar_figures

        return write_scalar_figures(self.out, t_half=self.setup.t_half)

    def _say_equation(self, metrics: Mapping[str, Any], console: Console) -> None:
        half = metrics["error_half"]
        at_half = "" if half is None else f", {half:.4g} at t = {self.setup.t_half:g} s"
        console.print(f"  error in L2 {metrics['error']:.4g}{at_half}; in L1 {metrics['error_l1']:.4g}")
        console.print(f"  values from {metrics['least']:.6g} to {metrics['greatest']:.6g}")
