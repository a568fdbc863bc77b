"""Unsteady incompressible flow against exact and published values."""

from __future__ import annotations

import time
from collections.abc import Iterator

from cases.flow.cylinder_wake import PUBLISHED
from cases.validation.case_runs import run_case
from cases.validation.experiments import fitted_rate
from cases.validation.row import Row

# Sizes of the study in space, and what keeps the error in time far below that in space.
_SIZES = (6, 9, 12)
_IN_TIME = ("dt=0.05", "t_end=0.2", "tableau=sdirk3", "move_every=1", "motion_steps=1", "output_interval=0.2")
# Intervals are given with their digits: a bound belongs to them, whatever its rounding.
_ROUNDING = 1e-9


def taylor_green_order(mover: str, pair: str, *, sizes: tuple[int, ...] = _SIZES) -> tuple[float, list[float]]:
    """Return the fitted order in space of the velocity's error in L2, and the errors.

    Parameters
    ----------
    mover, pair
        Of the case ``taylor-green``.
    sizes
        Squares a side.
    """
    runs = [run_case("taylor-green", mover, f"pair={pair}", f"resolution={n}", *_IN_TIME) for n in sizes]
    errors = [run["metrics"]["error"] for run in runs]
    return fitted_rate([1.0 / n for n in sizes], errors), errors


def taylor_green() -> Iterator[Row]:
    """Order 3 of the velocity, of both pairs, on fixed meshes and on those that move while the flow steps."""
    for pair in ("taylor-hood", "scott-vogelius"):
        for mover in ("none", "mmpde"):
            began = time.perf_counter()
            rate, errors = taylor_green_order(mover, pair)
            yield Row(
                "Taylor-Green",
                f"{pair}, {mover}: order of the velocity in L2",
                "at least",
                2.9,
                rate,
                seconds=time.perf_counter() - began,
                mesh=f"{4 * _SIZES[0] ** 2} to {4 * _SIZES[-1] ** 2} cells, error {errors[-1]:.2g} on the finest",
                source="exact solution, order 3",
            )


def cylinder_wake() -> Iterator[Row]:
    """DFG 2D-2 on the fixed mesh and on one that follows the wake, at the defaults of the case."""
    for mover in ("none", "mmpde", "drift"):
        began = time.perf_counter()
        run = run_case("cylinder-wake", mover)
        seconds = time.perf_counter() - began
        metrics = run["metrics"]
        for name, (low, high) in PUBLISHED.items():
            yield Row(
                "DFG 2D-2",
                f"{mover}: {name}",
                "within",
                0.5 * (low + high),
                metrics["quantities"].get(name, {}).get("value", float("nan")),
                tolerance=0.5 * (high - low) + _ROUNDING,
                seconds=seconds,
                mesh=f"{run['dofs']:,} unknowns, {run['moves']} moves",
                source=f"Schäfer, Turek 1996: {low:g} to {high:g}",
            )
            seconds = 0.0
        yield Row("DFG 2D-2", f"{mover}: volume lost of what flows in", "at most", 1e-7, metrics["mass_drift_rel"])
