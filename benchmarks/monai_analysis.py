"""Errors of gauge records, and the time that two codes take for the same error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

GAUGE_NAMES = ("ch5", "ch7", "ch9")


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
    loop, whole, cpu
        Seconds of each repeat: time loop; command from start to end; processor time of the command.
    memory
        Peak resident memory of the command [MiB], of each repeat.
    """

    code: str
    label: str
    cells: int
    steps: int
    record: Record
    loop: list[float] = field(default_factory=list)
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
    import json

    import xarray

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
