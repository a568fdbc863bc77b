"""Run a shallow-water setup from start or checkpoint to its end, writing as it goes."""

from __future__ import annotations

import json
import resource
import signal
import time
from pathlib import Path

import numpy as np
from mpi4py import MPI
from rich.console import Console

from cases.case import Case, Setup
from cases.checkpoint import Checkpoint, save_checkpoint
from cases.errors import on_rank_zero
from cases.maps import MapWriter
from cases.options import CaseOptions
from cases.output_gauges import gauge_dataset
from cases.progress import RunProgress
from cases.run_folder import commit, versions, write_json
from fem.gauge_metrics import compare_gauge
from fem.gauges import GaugeRecorder, GaugeStencil
from fem.maximum import MaximumElevation
from fem.shallow_water_stepper import ShallowWaterStepper
from fem.timestep import StepStatus

# Steps between two looks at whether somebody wants the run to stop; a look is a message to all ranks.
STEPS_BETWEEN_LOOKS = 20


class Simulation:
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
    """

    def __init__(self, case: Case, setup: Setup, out: Path, checkpoint: Checkpoint | None = None):
        self.case, self.setup, self.out = case, setup, out
        self.comm = setup.problem.mesh.comm
        self.state = setup.initial
        self.t, self.steps, self.retries = 0.0, 0, 0
        self.wall = {"solver": 0.0, "io": 0.0}
        self.elapsed_before = 0.0
        self._began = time.perf_counter()
        problem = setup.problem
        self.stepper = ShallowWaterStepper(problem, self.state, tableau=setup.tableau, courant=setup.courant)
        self.initial_mass = self.stepper.mass()
        self.maximum = MaximumElevation(problem, self.state)
        stencil = GaugeStencil(problem.mesh, setup.gauges.points)
        self.recorder = GaugeRecorder(stencil, self.state, problem.bathymetry, setup.gauge_interval)
        self.resumed = checkpoint is not None
        if checkpoint is not None:
            self._restore(checkpoint)
        else:
            self.recorder.record(0.0)
        self.maps = MapWriter(
            out, problem.bathymetry, self.state, problem.dry_depth, after=self.t if self.resumed else None
        )
        self._stop_requested = False

    # -- the loop -------------------------------------------------------------------------------------------

    def run(self, console: Console) -> str:
        """Step to the end; return ``done``, ``interrupted`` or ``failed``."""
        self._began = time.perf_counter()
        handlers = {s: signal.signal(s, self._request_stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            with RunProgress(console, self.case.name, self.setup.t_end) as progress:
                status = self._loop(progress)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            self.elapsed_before += time.perf_counter() - self._began
        return status

    def _loop(self, progress: RunProgress) -> str:
        setup = self.setup
        if not self.resumed:
            self._write_maps()
            self.save()  # from here on there is a checkpoint of this run to go back to
        next_map = (np.floor(self.t / setup.output_interval * (1 + 1e-12)) + 1) * setup.output_interval
        next_save = (np.floor(self.t / setup.checkpoint_interval * (1 + 1e-12)) + 1) * setup.checkpoint_interval
        while self.t < setup.t_end:
            began = time.perf_counter()
            remaining = setup.t_end - self.t
            result = self.stepper.step(self.t, remaining)
            self.wall["solver"] += time.perf_counter() - began
            if result.status is StepStatus.FAILED:
                return "failed"
            # The last step ends exactly at t_end, whatever the sum of the steps rounds to.
            self.t = setup.t_end if result.dt == remaining else self.t + result.dt
            self.steps += 1
            self.retries += result.retries
            self.recorder.record(self.t)
            self.maximum.update()
            if self.t >= next_map or self.t >= setup.t_end:
                self._write_maps()
                next_map += setup.output_interval
            if self.t >= next_save:
                if not self.save():
                    return "failed"
                next_save += setup.checkpoint_interval
            if self.steps % STEPS_BETWEEN_LOOKS == 0:
                progress.update(self.t, self.steps, result.dt, self.mass_drift)
                if self.comm.allreduce(self._stop_requested, op=MPI.LOR):
                    return "interrupted" if self.save() else "failed"
        return "done" if self.save() else "failed"

    def _request_stop(self, number, frame) -> None:
        self._stop_requested = True

    def mass_drift(self) -> float:
        """Return |mass(t) - mass(0) - inflow| / mass(0)."""
        return abs(self.stepper.mass() - self.initial_mass - self.stepper.inflow) / self.initial_mass

    # -- going on -------------------------------------------------------------------------------------------

    def save(self) -> bool:
        """Write a checkpoint, unless the state is not finite: then keep the last one and return False; collective."""
        if not self.comm.allreduce(bool(np.isfinite(self.state.dat.data_ro).all()), op=MPI.LAND):
            return False
        began = time.perf_counter()
        scalars = {
            "t": self.t,
            "steps": self.steps,
            "retries": self.retries,
            "initial_mass": self.initial_mass,
            "inflow": self.stepper.inflow,
            "solver_s": self.wall["solver"],
            "io_s": self.wall["io"],
            "loop_s": self.elapsed_before + began - self._began,
            "time_scale": self.stepper.time_scale,
            "owed_friction": self.stepper.owed_friction,
        }
        fields = {"maximum_elevation": self.maximum.elevation, "shore_bed": self.stepper.shore_bed}
        save_checkpoint(self.out, Checkpoint(self.state, fields, scalars, self.recorder.snapshot()))
        self.wall["io"] += time.perf_counter() - began
        return True

    def _restore(self, checkpoint: Checkpoint) -> None:
        saved = checkpoint.scalars
        self.state.dat.data_wo[:] = checkpoint.state.dat.data_ro
        self.maximum.elevation.dat.data_wo[:] = checkpoint.fields["maximum_elevation"].dat.data_ro
        self.t, self.steps, self.retries = saved["t"], int(saved["steps"]), int(saved["retries"])
        self.initial_mass, self.stepper.inflow = saved["initial_mass"], saved["inflow"]
        self.wall = {"solver": saved["solver_s"], "io": saved["io_s"]}
        self.elapsed_before = saved["loop_s"]
        self.stepper.state_changed()
        self.stepper.shore_bed.dat.data_wo[:] = checkpoint.fields["shore_bed"].dat.data_ro
        self.stepper.time_scale, self.stepper.owed_friction = saved["time_scale"], saved["owed_friction"]
        self.recorder.restore(self.t, checkpoint.arrays)

    # -- outputs --------------------------------------------------------------------------------------------

    def _write_maps(self) -> None:
        began = time.perf_counter()
        self.maps.write(self.t)
        self.wall["io"] += time.perf_counter() - began

    def finish(self, status: str, options: CaseOptions, mover: str, seed: int, console: Console) -> None:
        """Write gauges, figures, report and run.json, and say where they are."""
        from cases.figures import write_figures
        from cases.report import write_report

        began = time.perf_counter()
        times, values = self.recorder.gather()
        self.maps.write_maximum(self.maximum.elevation)
        summary = self._summary(status, options, mover, seed, times, values)

        def write() -> None:
            gauge_dataset(self.setup.gauges, times, values, self.case).to_netcdf(
                self.out / "gauges.nc", engine="h5netcdf"
            )
            write_json(self.out / "run.json", summary)

        on_rank_zero(self.comm, write)
        if self.comm.rank == 0:
            rmse = {name: gauge.get("rmse") for name, gauge in summary["metrics"]["gauges"].items()}
            gallery = write_figures(self.out, dry_depth=self.setup.problem.dry_depth, rmse=rmse)
            write_report(self.out, title=self.case.title, description=self.case.description, gallery=gallery)
        summary["io_s"] += time.perf_counter() - began
        summary["wall_s"] += time.perf_counter() - began
        summary["peak_rss_mb"] = self._peak_memory()
        if self.comm.rank == 0:
            write_json(self.out / "run.json", summary)
        self._say(summary, console)

    def _summary(self, status, options, mover, seed, times, values) -> dict:
        setup, problem = self.setup, self.setup.problem
        gauges = {}
        for g, name in enumerate(setup.gauges.names):
            computed = values[:, g, 0]
            if setup.gauges.reference_time is None or setup.gauges.reference_elevation is None:
                gauges[name] = {"peak": float(computed.max()), "peak_time": float(times[computed.argmax()])}
            else:
                reference = setup.gauges.reference_elevation[:, g]
                gauges[name] = compare_gauge(times, computed, setup.gauges.reference_time, reference)
        return {
            "case": self.case.name,
            "mover": mover,
            "status": status,
            "config": json.loads(options.model_dump_json()),
            "seed": seed,
            "ranks": self.comm.size,
            "versions": versions(),
            "commit": self.comm.bcast(commit() if self.comm.rank == 0 else None),
            "cells": int(self.comm.allreduce(problem.mesh.cell_set.size)),
            "dofs": int(self.state.function_space().dim()),
            "steps": self.steps,
            "moves": 0,
            "wall_s": self.elapsed_before,
            "solver_s": self.wall["solver"],
            "mover_s": 0.0,
            "transfer_s": 0.0,
            "io_s": self.wall["io"],
            "peak_rss_mb": self._peak_memory(),
            "metrics": {
                "t_end": self.t,
                "mass_drift_rel": self.mass_drift(),
                "retried_steps": self.retries,
                "loop_s": self.elapsed_before,
                "min_jacobian_ratio": 1.0,
                "tangled_moves": 0,
                "gauges": gauges,
            },
        }

    def _peak_memory(self) -> float:
        """Return the sum over ranks of the most memory each has held [MiB]; collective."""
        return self.comm.allreduce(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, op=MPI.SUM)

    def _say(self, summary: dict, console: Console) -> None:
        metrics = summary["metrics"]
        console.print(
            f"{summary['case']}: {summary['status']} at t = {metrics['t_end']:g} s, {summary['cells']} cells, "
            f"{summary['steps']} steps, {summary['wall_s']:.1f} s, mass drift {metrics['mass_drift_rel']:.1e}"
        )
        for name, gauge in metrics["gauges"].items():
            if "rmse" in gauge:
                console.print(
                    f"  {name}: rms {100 * gauge['rmse']:.3f} cm, peak {100 * gauge['peak']:.2f} cm at "
                    f"{gauge['peak_time']:.2f} s ({gauge['peak_error_pct']:+.1f} % of the measured)"
                )
        if summary["status"] == "failed":
            console.print(f"no valid step could be found; last good checkpoint: {self.out / 'checkpoint.h5'}")
        if summary["status"] == "interrupted":
            console.print(f"go on with: driftmesh run {summary['case']} --resume --out {self.out}")
        console.print(f"report: {self.out / 'report.html'}")
