"""A run of the shallow-water equations: what it adds to the loop of all runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from firedrake import Function, Mesh
from rich.console import Console

from cases.case import Case, Setup
from cases.checkpoint import Checkpoint
from cases.errors import on_rank_zero
from cases.maps import MapWriter
from cases.moving import FIXED, MeshMotion
from cases.output_gauges import gauge_dataset
from cases.time_loop import TimeLoop
from fem.gauge_metrics import compare_gauge
from fem.gauges import GaugeRecorder, GaugeStencil
from fem.maximum import MaximumElevation, over_bed
from fem.remap import RemapTransfer
from fem.shallow_water_stepper import ShallowWaterStepper
from fem.shallow_water_transfer import ShallowWaterTransfer
from fem.transfer import same_space


class Simulation(TimeLoop):
    """One run: stepper, observations and outputs.

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

    setup: Setup
    stepper: ShallowWaterStepper
    maps: MapWriter

    def __init__(
        self, case: Case, setup: Setup, out: Path, checkpoint: Checkpoint | None = None, *, mover: str = FIXED
    ):
        super().__init__(case, setup, out, mover=mover, checkpoint=checkpoint)
        problem = setup.problem
        self.dry_depth = problem.dry_depth
        self.transfer = ShallowWaterTransfer(setup.sample_bed, setup.still_level, RemapTransfer())
        if checkpoint is not None and mover != FIXED:
            self.transfer.offset = checkpoint.scalars["bed_offset"]
            problem.bathymetry.dat.data_wo[:] = checkpoint.fields["bathymetry"].dat.data_ro
        self.stepper = ShallowWaterStepper(problem, self.state, tableau=setup.tableau, courant=setup.courant)
        self.initial_mass = self.stepper.mass()
        self.maximum = MaximumElevation(problem, self.state)
        self.stencil = GaugeStencil(problem.mesh, setup.gauges.points)
        self.recorder = GaugeRecorder(self.stencil, self.state, problem.bathymetry, setup.gauge_interval)
        # While the mesh is taken along: the rise of the maximum on the mesh that it has left.
        self._left: Function | None = None
        if mover != FIXED:
            self.motion = MeshMotion(problem.mesh, mover, setup.movement, self._carry, self._mesh_changed, checkpoint)
        if checkpoint is not None:
            self._restore(checkpoint)
        else:
            self.recorder.record(0.0)
        self.maps = MapWriter(
            out,
            problem.bathymetry,
            self.state,
            problem.dry_depth,
            after=self.t if self.resumed else None,
            moves=self.motion is not None,
            still_level=setup.still_level,
        )

    # -- the mesh -------------------------------------------------------------------------------------------

    def _carry(self, moved_mesh) -> list[tuple[Function, Function]] | Callable[[], bool]:
        """Return the fields that go with the mesh, each with its values on the moved one, or set the solver out."""
        problem, level = self.setup.problem, self.setup.still_level
        bed = problem.bathymetry
        if self.setup.movement.transfer == "ale":
            self._set_out(moved_mesh)
            return lambda: self.stepper.is_moving
        moved_state, moved_bed, rise = self.transfer.carry_with(self.state, bed, self.maximum.rise(level), moved_mesh)
        maximum = over_bed(rise, moved_bed, level, problem.dry_depth)
        return [(self.state, moved_state), (bed, moved_bed), (self.maximum.elevation, maximum)]

    def _set_out(self, moved_mesh) -> None:
        """Let the next steps take the mesh to where another one is."""
        mesh, level = self.setup.problem.mesh, self.setup.still_level
        target = Function(mesh.coordinates.function_space())
        target.dat.data_wo_with_halos[:] = moved_mesh.coordinates.dat.data_ro_with_halos
        rise = self.maximum.rise(level)
        self._left = Function(same_space(rise, Mesh(mesh.coordinates.copy(deepcopy=True))), val=rise.dat.data_ro)
        self.stepper.begin_motion(target, self.setup.sample_bed(moved_mesh), level)

    def _follow(self) -> None:
        """Bring in line, after a step that has taken the mesh along, what is at fixed places.

        The maximum elevation is that of the mesh the motion began on, remapped when it has arrived: what the few steps
        on the way would add to it is not known.
        """
        problem, level = self.setup.problem, self.setup.still_level
        self.stencil.locate()
        self.recorder.refresh()
        self.transfer.offset = self.stepper.bed_offset
        if self._left is not None and not self.stepper.is_moving:
            rise = self.transfer.transfer(self._left, problem.mesh)
            self._left = None
            self.maximum.elevation.assign(over_bed(rise, problem.bathymetry, level, problem.dry_depth))

    def _mesh_changed(self) -> None:
        """Bring in line all that depends on the mesh and keeps something of it; the one place for it."""
        self.stepper.mesh_changed()
        self.stencil.locate()
        self.recorder.refresh()
        self.maximum.update()

    # -- see TimeLoop ---------------------------------------------------------------------------------------

    def mass_drift(self) -> float:
        """Return |mass(t) - mass(0) - inflow| / mass(0)."""
        return abs(self.stepper.mass() - self.initial_mass - self.stepper.inflow) / self.initial_mass

    def _observe(self) -> None:
        if self._left is not None:
            self._follow()
        self.recorder.record(self.t)
        if self._left is None:
            self.maximum.update()

    def _kept(self) -> tuple[dict[str, float], dict[str, Function], dict[str, np.ndarray]]:
        scalars = {"time_scale": self.stepper.time_scale, "owed_friction": self.stepper.owed_friction}
        fields = {"maximum_elevation": self.maximum.elevation, "shore_bed": self.stepper.shore_bed}
        if self.motion is not None:
            scalars["bed_offset"] = self.transfer.offset
            fields["bathymetry"] = self.setup.problem.bathymetry
        return scalars, fields, self.recorder.snapshot()

    def _restore(self, checkpoint: Checkpoint) -> None:
        super()._restore(checkpoint)
        saved = checkpoint.scalars
        self.maximum.elevation.dat.data_wo[:] = checkpoint.fields["maximum_elevation"].dat.data_ro
        self.stepper.state_changed()
        self.stepper.shore_bed.dat.data_wo[:] = checkpoint.fields["shore_bed"].dat.data_ro
        self.stepper.time_scale, self.stepper.owed_friction = saved["time_scale"], saved["owed_friction"]
        self.recorder.restore(self.t, checkpoint.arrays)

    # -- outputs --------------------------------------------------------------------------------------------

    def _write_results(self) -> None:
        self._times, self._values = self.recorder.gather()
        self.maps.write_maximum(self.maximum.elevation)

        def write() -> None:
            dataset = gauge_dataset(self.setup.gauges, self._times, self._values, self.case)
            dataset.to_netcdf(self.out / "gauges.nc", engine="h5netcdf")

        on_rank_zero(self.comm, write)

    def _equation_metrics(self) -> dict[str, Any]:
        stations, gauges = self.setup.gauges, {}
        for g, name in enumerate(stations.names):
            computed = self._values[:, g, 0]
            if stations.reference_time is None or stations.reference_elevation is None:
                gauges[name] = {"peak": float(computed.max()), "peak_time": float(self._times[computed.argmax()])}
            else:
                reference = stations.reference_elevation[:, g]
                gauges[name] = compare_gauge(self._times, computed, stations.reference_time, reference)
        moving = {} if self.motion is None else {"bed_offset": self.transfer.offset}
        return {**moving, "gauges": gauges}

    def _draw(self, metrics: Mapping[str, Any]) -> Sequence[tuple[Path, str]]:
        from cases.figures import write_figures

        rmse = {name: gauge.get("rmse") for name, gauge in metrics["gauges"].items()}
        return write_figures(self.out, dry_depth=self.dry_depth, rmse=rmse, moves=self.motion is not None)

    def _say_equation(self, metrics: Mapping[str, Any], console: Console) -> None:
        for name, gauge in metrics["gauges"].items():
            if "rmse" in gauge:
                console.print(
                    f"  {name}: rms {100 * gauge['rmse']:.3f} cm, peak {100 * gauge['peak']:.2f} cm at "
                    f"{gauge['peak_time']:.2f} s ({gauge['peak_error_pct']:+.1f} % of the measured)"
                )
