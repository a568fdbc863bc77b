"""Shallow water: still water, exact solutions, and Monai against the laboratory."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from firedrake import RectangleMesh

from cases.validation.experiments import (
    Outcome,
    StillWater,
    basin,
    dam_break,
    distorted_square,
    fitted_rate,
    lake_at_rest,
    manufactured,
)
from cases.validation.row import Row
from fem.analytic.thacker import AxisymmetricOscillation, PlanarOscillation

ROUND_OFF = 1e-12
# Where the laboratory saw the highest run-up at Monai, 0.08 to 0.10 m (NOAA PMEL-135, benchmark problem 7), and
# how far from it a wet node still counts [m].
RUN_UP_POINT, RUN_UP_RADIUS = (5.1575, 1.88), 0.1


def lakes_at_rest() -> Iterator[Row]:
    """Still water around an emerged bump: distorted mesh, friction, an open side; and the cases' kind of mesh."""
    crossed = RectangleMesh(24, 24, 1.0, 1.0, diagonal="crossed")
    for name, lake in (
        ("P1, distorted mesh, open side", partial(lake_at_rest, distorted_square(24), degree=1)),
        ("P0, distorted mesh, open side", partial(lake_at_rest, distorted_square(24), degree=0)),
        ("P1, crossed mesh, walls", partial(lake_at_rest, crossed, open_boundary=False)),
    ):
        began = time.perf_counter()
        found: StillWater = lake()
        seconds = time.perf_counter() - began
        row = partial(Row, "lake at rest, 1 s", relation="at most", published=ROUND_OFF)
        yield row(f"{name}: greatest speed [m/s]", measured=found.speed, seconds=seconds)
        yield row(f"{name}: elevation error [m]", measured=found.elevation)
        yield row(f"{name}: mass drift", measured=found.mass_drift)


def _study(
    suite: str, name: str, norm: str, rate: float, cells: tuple[int, ...], experiment: Callable[[int], Outcome]
) -> Iterator[Row]:
    """Rows of a convergence study: rate, error on the finest mesh, mass drift."""
    began = time.perf_counter()
    found = [experiment(n) for n in cells]
    seconds = time.perf_counter() - began
    errors = [outcome.error for outcome in found]
    measured = fitted_rate([1.0 / n for n in cells], errors)
    sizes = f"{cells[0]} to {cells[-1]} cells a side"
    yield Row(suite, f"{name}: rate of the {norm} error, {sizes}", "at least", rate, measured, seconds=seconds)
    # The coarsest error brought down at the expected rate bounds the finest one: it catches a stall at the end.
    bound = errors[0] * (cells[0] / cells[-1]) ** rate
    yield Row(suite, f"{name}: {norm} error at {cells[-1]}", "at most", bound, errors[-1])
    drift = max(outcome.mass_drift for outcome in found)
    yield Row(suite, f"{name}: mass drift", "at most", ROUND_OFF, drift)


def dam_breaks() -> Iterator[Row]:
    """Stoker's and Ritter's dam breaks: first order in L1, as for any discontinuity or dry front."""
    began = time.perf_counter()
    depth, discharge = dam_break(200, wet=True).probe or (float("nan"), float("nan"))
    seconds = time.perf_counter() - began
    name = "Stoker, P1, 200 cells: "
    yield Row("dam break", name + "depth behind the shock [m]", "within", 3.96175, depth, 0.01, seconds)
    yield Row("dam break", name + "velocity there [m/s]", "within", 7.34077, discharge / depth, 0.02)
    for degree, rate in ((1, 0.9), (0, 0.65)):
        for wet, name in ((True, "Stoker"), (False, "Ritter")):
            experiment = partial(dam_break, wet=wet, degree=degree)
            yield from _study("dam break", f"{name}, P{degree}", "L1", rate, (50, 100, 200, 400), experiment)


def thacker() -> Iterator[Row]:
    """Thacker's oscillations in a paraboloid after one period: a moving shore all around."""
    for exact, name in ((PlanarOscillation(), "planar"), (AxisymmetricOscillation(), "axisymmetric")):
        yield from _study("Thacker, P1", name, "L1", 1.4, (20, 40, 80), partial(basin, exact))


def smooth() -> Iterator[Row]:
    """Manufactured smooth solution over topography."""
    for degree, rate in ((1, 1.9), (0, 0.9)):
        yield from _study(
            "manufactured", f"P{degree}", "L2", rate, (8, 16, 32, 64), partial(manufactured, degree=degree)
        )


def monai() -> Iterator[Row]:
    """Monai Valley against the laboratory at the default resolution: benchmark 7 of NOAA PMEL-135."""
    yield from _monai("Monai")


def monai_fine() -> Iterator[Row]:
    """The same on 119,680 cells, which resolve the narrow valley of the highest run-up."""
    yield from _monai("Monai, 0.025 m", "resolution=0.025")


def _monai(suite: str, *assignments: str) -> Iterator[Row]:
    from cases.run import RunRequest, execute

    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        execute(RunRequest(case="monai", out=folder, assignments=assignments), quiet=True)
        summary = json.loads((folder / "run.json").read_text())
        run_up = _run_up(folder)
    seconds = time.perf_counter() - began
    metrics = summary["metrics"]
    yield Row(suite, "mass drift", "at most", ROUND_OFF, metrics["mass_drift_rel"], seconds=seconds)
    for name, gauge in metrics["gauges"].items():
        yield Row(suite, f"{name}: rms to the laboratory [cm]", "at most", 0.40, 100 * gauge["rmse"])
        peak = 100 * gauge["reference_peak"]
        yield Row(suite, f"{name}: peak [cm]", "within", peak, 100 * gauge["peak"], 0.1 * peak)
    if assignments:  # the default mesh is wider than the valley
        yield Row(suite, "highest run-up in the valley [m]", "within", 0.09, run_up, 0.01)
    yield Row(suite, "peak memory [MiB]", "at most", 1024, summary["peak_rss_mb"])


def _run_up(folder: Path) -> float:
    mesh, highest = np.load(folder / "maps" / "mesh.npz"), np.load(folder / "maps" / "maximum.npz")
    near = np.hypot(*(mesh["points"] - RUN_UP_POINT).T) < RUN_UP_RADIUS
    return float(highest["elevation"][near & (highest["depth"] > 1e-3)].max(initial=-np.inf))
