"""The loop that every run goes through: steps, moves of the mesh, outputs, checkpoints, and its numbers at the end."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from firedrake import Function
from mpi4py import MPI
from rich.console import Console

from cases.case import Case, ScalarSetup, Setup
from cases.case_run import CaseRun
from cases.checkpoint import Checkpoint, save_checkpoint
from cases.flow_setup import FlowSetup
from cases.moving import MeshMotion
from cases.progress import RunProgress
from coupling.driver import MovingRecord
from fem.timestep import StepResult, StepStatus

# Steps between two looks at whether somebody wants the run to stop; a look is a message to all ranks.
STEPS_BETWEEN_LOOKS = 20
# Two times are the same if they differ by less than this share of the time between outputs.
_SAME_TIME = 1e-12


class _Stepper(Protocol):
    inflow: float

    @property
    def is_moving(self) -> bool: ...

    def step(self, t: float, dt_max: float) -> StepResult: ...


class _Maps(Protocol):
    def write(self, t: float) -> None: ...


class _Ticks:
    """Multiples of an interval [s], from the first after a time on."""

    def __init__(self, interval: float, t: float):
        self.interval = interval
        self.number = int(np.floor(t / interval * (1 + _SAME_TIME))) + 1

    def next(self, marks: Sequence[float]) -> float:
        """Return the next one, which is the mark from which it differs by rounding only, if there is such a mark."""
        time = self.number * self.interval
        return next((mark for mark in marks if abs(time - mark) < _SAME_TIME * max(abs(mark), self.interval)), time)


class TimeLoop(CaseRun):
    """One run in time: what all equations share. A subclass makes stepper, maps and, if the mesh moves, the motion.

    Parameters
    ----------
    case
        Case the run belongs to.
    setup
        What to simulate.
    out
        Folder to write into; it exists.
    mover
        Name of the mover.
    t
        Time of the state that the run starts from [s].
    checkpoint
        State to go on from, on the mesh of ``setup``.
    """

    # Times at which a step ends exactly and a map is written, besides those of the output [s].
    stops: Sequence[float] = ()
    _motionless: ClassVar[dict[str, Any]] = {"min_jacobian_ratio": 1.0, "tangled_moves": 0}

    stepper: _Stepper
    maps: _Maps

    def __init__(
        self,
        case: Case,
        setup: Setup | ScalarSetup | FlowSetup,
        out: Path,
        *,
        mover: str,
        t: float = 0.0,
        checkpoint: Checkpoint | None = None,
    ):
        super().__init__(case, setup.problem.mesh, out, mover=mover)
        self.setup = setup
        self.state = setup.initial
        self.motion: MeshMotion | None = None
        self.t, self.steps, self.retries = t, 0, 0
        self.initial_mass = 0.0
        self.resumed = checkpoint is not None

    # -- what an equation adds ------------------------------------------------------------------------------

    @abstractmethod
    def mass_drift(self) -> float:
        """Return how much of the mass has been lost or gained, as a share; collective."""

    @abstractmethod
    def _observe(self) -> None:
        """Record what has to be recorded after a step, before the mesh moves."""

    @abstractmethod
    def _kept(self) -> tuple[dict[str, float], dict[str, Function], dict[str, np.ndarray]]:
        """Return scalars, fields and arrays of the equation that a checkpoint has to keep."""

    @abstractmethod
    def _equation_metrics(self) -> dict[str, Any]:
        """Return the metrics of the equation; collective."""

    @abstractmethod
    def _say_equation(self, metrics: Mapping[str, Any], console: Console) -> None:
        """Say in some lines what has come out of the equation."""

    # -- the loop -------------------------------------------------------------------------------------------

    def _work(self, console: Console) -> str:
        """Step to the end."""
        with RunProgress(console, self.case.name, self.setup.t_end) as progress:
            return self._loop(progress)

    def _loop(self, progress: RunProgress) -> str:
        setup = self.setup
        if not self.resumed:
            self._write_maps()
            self.save()  # from here on there is a checkpoint of this run to go back to
        maps, saves = _Ticks(setup.output_interval, self.t), _Ticks(setup.checkpoint_interval, self.t)
        stopping = False
        while self.t < setup.t_end:
            began = time.perf_counter()
            ends = [setup.t_end, *(stop for stop in self.stops if stop > self.t)]
            next_map = maps.next(ends)
            until = min([*ends, next_map] if setup.exact_output else ends)
            remaining = until - self.t
            result = self.stepper.step(self.t, remaining)
            self.wall["solver"] += time.perf_counter() - began
            if result.status is StepStatus.FAILED:
                return "failed"
            # The last step ends exactly where it is to end, whatever the sum of the steps rounds to.
            self.t = until if result.dt == remaining else self.t + result.dt
            self.steps += 1
            self.retries += result.retries
            self._observe()
            due = self.t >= saves.next(ends)
            if self.motion is not None:
                # A checkpoint holds a mesh that rests: where one is due, the mesh does not set out.
                self.motion.after_step(hold=(due or stopping) and setup.movement.transfer == "ale")
            if self.t >= next_map or self.t in ends:
                self._write_maps()
            maps.number += self.t >= next_map
            if due and not self.stepper.is_moving:
                if not self.save():
                    return "failed"
                saves.number += 1
            if self.steps % STEPS_BETWEEN_LOOKS == 0:
                progress.update(self.t, self.steps, result.dt, self.mass_drift)
                stopping |= self._is_to_stop()
            if stopping and not self.stepper.is_moving:
                return "interrupted" if self.save() else "failed"
        return "done" if self.save() else "failed"

    # -- going on -------------------------------------------------------------------------------------------

    def save(self) -> bool:
        """Write a checkpoint, unless the state is not finite: then keep the last one and return False; collective."""
        finite = all(np.isfinite(part.dat.data_ro).all() for part in self.state.subfunctions)
        if not self.comm.allreduce(finite, op=MPI.LAND):
            return False
        began = time.perf_counter()
        own, fields, arrays = self._kept()
        scalars = {
            "t": self.t,
            "steps": self.steps,
            "retries": self.retries,
            "initial_mass": self.initial_mass,
            "inflow": self.stepper.inflow,
            "solver_s": self.wall["solver"],
            "io_s": self.wall["io"],
            "loop_s": self._elapsed(),
            **own,
        }
        if self.motion is not None:
            scalars |= self.motion.saved_scalars
            fields |= self.motion.saved_fields
        save_checkpoint(self.out, Checkpoint(self.state, fields, scalars, arrays))
        self.wall["io"] += time.perf_counter() - began
        return True

    def _restore(self, checkpoint: Checkpoint) -> None:
        saved = checkpoint.scalars
        for part, kept in zip(self.state.subfunctions, checkpoint.state.subfunctions, strict=True):
            part.dat.data_wo[:] = kept.dat.data_ro
        self.t, self.steps, self.retries = saved["t"], int(saved["steps"]), int(saved["retries"])
        self.initial_mass, self.stepper.inflow = saved["initial_mass"], saved["inflow"]
        self.wall = {"solver": saved["solver_s"], "io": saved["io_s"]}
        self.elapsed_before = saved["loop_s"]

    # -- outputs --------------------------------------------------------------------------------------------

    def _write_maps(self) -> None:
        began = time.perf_counter()
        self.maps.write(self.t)
        self.wall["io"] += time.perf_counter() - began

    def _counts(self) -> dict[str, Any]:
        record = MovingRecord() if self.motion is None else self.motion.record
        times = {"mover_s": record.mover_s, "monitor_s": record.monitor_s, "transfer_s": record.transfer_s}
        return {"steps": self.steps, "moves": record.moves, **times}

    def _metrics(self) -> dict[str, Any]:
        return {
            "t_end": self.t,
            "mass_drift_rel": self.mass_drift(),
            "retried_steps": self.retries,
            "loop_s": self.elapsed_before,
            **self._moving_metrics(),
            **self._equation_metrics(),
        }

    def _moving_metrics(self) -> dict[str, Any]:
        if self.motion is None:
            return dict(self._motionless)
        return self.motion.metrics(self.wall["solver"] / self.steps if self.steps else 0.0)

    def _say_results(self, summary: Mapping[str, Any], console: Console) -> None:
        metrics = summary["metrics"]
        console.print(
            f"{summary['case']}: {summary['status']} at t = {metrics['t_end']:g} s, {summary['cells']} cells, "
            f"{summary['steps']} steps, {summary['wall_s']:.1f} s, mass drift {metrics['mass_drift_rel']:.1e}"
        )
        if self.motion is not None:
            console.print("  " + self.motion.in_words(metrics["overhead_steps"]))
        self._say_equation(metrics, console)
