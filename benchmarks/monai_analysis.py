"""Errors of gauge records, and the time that two codes take for the same error."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray

GAUGE_NAMES = ("ch5", "ch7", "ch9")
CODES = ("ANUGA", "driftmesh")
CLOCKS = {"loop_s": "time loop", "whole_s": "whole command"}


@dataclass(frozen=True)
class Record:
    """Elevations at the three gauges: times (n,) [s], elevation (n, 3) [m]."""

    times: np.ndarray
    elevation: np.ndarray

    def at(self, times: np.ndarray) -> np.ndarray:
        """Return the elevation at other times, linear between samples, shape (len(times), 3) [m]."""
        return np.column_stack([np.interp(times, self.times, channel) for channel in self.elevation.T])

    def rms_to(self, reference: Record, t_end: float) -> np.ndarray:
        """Return the rms difference to another record over [0, t_end] for each gauge, shape (3,) [m]."""
        times = self.times[self.times <= t_end * (1 + 1e-12)]
        return np.sqrt(((self.at(times) - reference.at(times)) ** 2).mean(axis=0))

    def peaks(self, t_end: float) -> np.ndarray:
        """Return the highest elevation in [0, t_end] of each gauge, shape (3,) [m]."""
        return self.elevation[self.times <= t_end * (1 + 1e-12)].max(axis=0)


@dataclass
class Run:
    """One code at one size: its record, and every timing taken.

    Attributes
    ----------
    loop, solver, whole, cpu
        Seconds of each repeat: time loop; time steps in it; command from start to end; its processor time.
    memory
        Peak resident memory of the command [MiB], of each repeat.
    """

    code: str
    label: str
    cells: int
    steps: int
    record: Record
    loop: list[float] = field(default_factory=list)
    solver: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def read_anuga(path: Path) -> tuple[Record, dict]:
    """Return gauge record and summary of an npz of anuga_monai.py."""
    with np.load(path) as stored:
        summary = {name: stored[name].tolist() for name in stored.files if stored[name].ndim == 0}
        return Record(stored["time"], stored["elevation"]), summary


def read_driftmesh(folder: Path) -> tuple[Record, dict]:
    """Return gauge record and run.json of a run folder of driftmesh."""
    with xarray.open_dataset(folder / "gauges.nc", engine="h5netcdf", decode_times=False) as stored:
        elevation = stored["elevation"].sel(gauge=list(GAUGE_NAMES)).values
        record = Record(stored["time"].values, elevation)
    return record, json.loads((folder / "run.json").read_text())


def cheapest(errors: Sequence[float], times: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return errors and times of the runs that no other run beats in both, by rising time."""
    kept: list[tuple[float, float]] = []
    for time, error in sorted(zip(times, errors, strict=True)):
        if not kept or error < kept[-1][0]:
            kept.append((error, time))
    return np.array([e for e, _ in kept]), np.array([t for _, t in kept])


def time_at_error(error: float, errors: Sequence[float], times: Sequence[float]) -> float | str:
    """Return the time at which a code reaches an error, log-log linear between its runs; never extrapolated.

    Returns
    -------
    float or str
        Seconds; ``"coarser"`` where its cheapest run is already more accurate, ``"finer"`` where no run is as
        accurate.
    """
    known, taken = cheapest(errors, times)
    if error > known[0]:
        return "coarser"
    if error < known[-1]:
        return "finer"
    return float(np.exp(np.interp(-np.log(error), -np.log(known), np.log(taken))))


def results(runs: list[Run], references: dict[str, Run], laboratory: Record, t_end: float) -> dict[str, Any]:
    """Return all numbers of the comparison, ready for JSON; lengths in cm, times in s.

    Raises
    ------
    ValueError
        If a reference is not finer than the runs it judges.
    """
    for run in runs:
        if references[run.code].cells <= run.cells:
            raise ValueError(
                f"reference of {run.code}: got {references[run.code].cells} cells, expected more than "
                f"{run.cells}, as in the run {run.label}; give another with --reference-{run.code.lower()}"
            )
    peaks = laboratory.peaks(t_end)

    def entry(run: Run) -> dict[str, Any]:
        own, other = references[run.code], references[CODES[1 - CODES.index(run.code)]]
        errors = 100 * run.record.rms_to(own.record, t_end)
        return {
            "code": run.code,
            "size": run.label,
            "cells": run.cells,
            "steps": run.steps,
            "loop_s": min(run.loop),
            "solver_s": run.solver[int(np.argmin(run.loop))],
            "whole_s": min(run.whole, default=None),
            "peak_rss_mib": max(run.memory, default=None),
            "repeats": {
                "loop_s": run.loop,
                "solver_s": run.solver,
                "whole_s": run.whole,
                "cpu_s": run.cpu,
                "peak_rss_mib": run.memory,
            },
            "error_cm": errors.tolist(),
            "error_mean_cm": errors.mean(),
            "error_seen_if_first_order": 1 - np.sqrt(run.cells / own.cells),
            "difference_to_other_reference_mean_cm": 100 * run.record.rms_to(other.record, t_end).mean(),
            "laboratory_rms_cm": (100 * run.record.rms_to(laboratory, t_end)).tolist(),
            "peak_cm": (100 * run.record.peaks(t_end)).tolist(),
            "peak_error_pct": (100 * (run.record.peaks(t_end) / peaks - 1)).tolist(),
        }

    entries = [entry(run) for run in runs]
    return {
        "t_end": t_end,
        "runs": entries,
        "references": {code: entry(run) for code, run in references.items()},
        "laboratory_peak_cm": (100 * peaks).tolist(),
        "equal_error": {clock: _equal_error(entries, clock) for clock in CLOCKS},
    }


def _equal_error(entries: list[dict[str, Any]], clock: str) -> list[dict[str, Any]]:
    """Return each run beside the time that the other code takes for its error."""
    rows = []
    for run in entries:
        other = [e for e in entries if e["code"] != run["code"]]
        taken = time_at_error(run["error_mean_cm"], [e["error_mean_cm"] for e in other], [e[clock] for e in other])
        row = {"run": f"{run['code']}, {run['cells']:,} cells", "error_mean_cm": run["error_mean_cm"]}
        row |= {run["code"]: run[clock], other[0]["code"]: taken, "ratio": None}
        if not isinstance(taken, str):
            row["ratio"] = row["driftmesh"] / row["ANUGA"]
        elif taken == "coarser":
            row["cheapest_other_s"] = min(e[clock] for e in other)
        rows.append(row)
    return rows
