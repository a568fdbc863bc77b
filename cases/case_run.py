"""What every run of a case does, in time or not: begin, can be stopped, leaves its numbers, figures and a report."""

from __future__ import annotations

import json
import resource
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from firedrake import COMM_WORLD, Function
from mpi4py import MPI
from rich.console import Console

from cases.case import Case
from cases.errors import on_rank_zero
from cases.options import CaseOptions
from cases.run_folder import commit, versions, write_json


class CaseRun(ABC):
    """One run: what all kinds of simulations share.

    Parameters
    ----------
    case
        Case the run belongs to.
    mesh
        Mesh of the run; None for cases without one.
    out
        Folder to write into; it exists.
    mover
        Name of the mover.

    Attributes
    ----------
    seed
        Of everything random, once :meth:`run` has begun.
    resume
        Whether it goes on with what is in the folder, for those that are not given a checkpoint; likewise.
    """

    # Cells shallower are drawn as land [m].
    dry_depth: float = 0.0
    state: Function

    def __init__(self, case: Case, mesh, out: Path, *, mover: str):
        self.case, self.mesh, self.out, self.mover = case, mesh, out, mover
        self.comm = COMM_WORLD if mesh is None else mesh.comm
        self.seed, self.resume = 0, False
        self.wall = {"solver": 0.0, "io": 0.0}
        self.elapsed_before = 0.0
        self._began = time.perf_counter()
        self._stop_requested = False

    # -- what a kind of simulation adds -----------------------------------------------------------------------

    @abstractmethod
    def _work(self, console: Console) -> str:
        """Do what there is to do; return ``done``, ``interrupted`` or ``failed``."""

    @abstractmethod
    def _counts(self) -> dict[str, Any]:
        """Return steps, moves, mover_s, monitor_s and transfer_s of ``run.json``."""

    @abstractmethod
    def _metrics(self) -> dict[str, Any]:
        """Return the metrics of ``run.json``; collective."""

    @abstractmethod
    def _write_results(self) -> None:
        """Write what there is besides maps and run.json; collective."""

    @abstractmethod
    def _draw(self, metrics: Mapping[str, Any]) -> Sequence[tuple[Path, str]]:
        """Draw the figures from the files of the run, on rank 0, and return them with their captions."""

    @abstractmethod
    def _say_results(self, summary: Mapping[str, Any], console: Console) -> None:
        """Say in some lines what has come out."""

    # -- the way of a run --------------------------------------------------------------------------------------

    def run(self, console: Console, *, seed: int = 0, resume: bool = False) -> str:
        """Go to the end; return ``done``, ``interrupted`` or ``failed``."""
        self._began, self.seed, self.resume = time.perf_counter(), seed, resume
        handlers = {s: signal.signal(s, self._request_stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            return self._work(console)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            self.elapsed_before += time.perf_counter() - self._began

    def _request_stop(self, number, frame) -> None:
        self._stop_requested = True

    def _is_to_stop(self) -> bool:
        """Tell whether somebody wants the run to stop; collective."""
        return self.comm.allreduce(self._stop_requested, op=MPI.LOR)

    def _elapsed(self) -> float:
        """Return the seconds since the beginning, those before an interruption included."""
        return self.elapsed_before + time.perf_counter() - self._began

    def finish(self, status: str, options: CaseOptions, console: Console) -> None:
        """Write results, figures, report and run.json, and say where they are."""
        from cases.report import write_report

        began = time.perf_counter()
        self._write_results()
        summary = self._summary(status, options)
        on_rank_zero(self.comm, lambda: write_json(self.out / "run.json", summary))
        if self.comm.rank == 0:
            gallery = self._draw(summary["metrics"])
            write_report(self.out, title=self.case.title, description=self.case.description, gallery=gallery)
        summary["io_s"] += time.perf_counter() - began
        summary["wall_s"] += time.perf_counter() - began
        summary["peak_rss_mb"] = self._peak_memory()
        if self.comm.rank == 0:
            write_json(self.out / "run.json", summary)
        self._say_results(summary, console)
        if status == "failed":
            checkpoint = self.out / "checkpoint.h5"
            kept = f"; last good checkpoint: {checkpoint}" if checkpoint.is_file() else ""
            console.print(f"no valid solution could be found{kept}")
        if status == "interrupted":
            console.print(f"go on with: driftmesh run {self.case.reference} --resume --out {self.out}")
        console.print(f"report: {self.out / 'report.html'}")

    def _summary(self, status: str, options: CaseOptions) -> dict[str, Any]:
        return {
            "case": self.case.name,
            **({} if self.case.file is None else {"case_file": str(self.case.file)}),
            "mover": self.mover,
            "status": status,
            "config": json.loads(options.model_dump_json()),
            "seed": self.seed,
            "ranks": self.comm.size,
            "versions": versions(),
            "commit": self.comm.bcast(commit() if self.comm.rank == 0 else None),
            **self._sizes(),
            "wall_s": self.elapsed_before,
            "solver_s": self.wall["solver"],
            "io_s": self.wall["io"],
            **self._counts(),
            "peak_rss_mb": self._peak_memory(),
            "metrics": self._metrics(),
        }

    def _sizes(self) -> dict[str, int]:
        """Return cells and dofs of ``run.json``; collective."""
        return {
            "cells": int(self.comm.allreduce(self.mesh.cell_set.size)),
            "dofs": int(self.state.function_space().dim()),
        }

    def _peak_memory(self) -> float:
        """Return the sum over ranks of the most memory each has held [MiB]; collective."""
        return self.comm.allreduce(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, op=MPI.SUM)
