"""Transport of a scalar against exact solutions: orders, bounds and mass, on fixed and on moving meshes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from cases.validation.case_runs import run_case
from cases.validation.experiments import fitted_rate
from cases.validation.row import Row

# Squares a side of the studies, each cut into four triangles.
SIZES = (10, 20, 40)
MOVERS = ("none", "mmpde", "drift")
ROUND_OFF = 1e-12
_SMOOTH = ("viscosity=0.05", "t_end=0.9")
_LAX_WENDROFF = "Brenner, Thomée and Wahlbin 1975: order p / (p + 1) at jumps that are carried"


def orders() -> Iterator[Row]:
    """Orders on fixed meshes: two where the solution is smooth, what jumps leave of it elsewhere."""
    for case, norm, rate, source, options in (
        ("burgers", "error", 1.9, "order 2 of the method; exact solution of Cole 1951", _SMOOTH),
        ("rotation", "error_l1", 2 / 3, _LAX_WENDROFF, ()),
        ("burgers-2d", "error_l1", 0.9, "order 1 at shocks; exact solution of Guermond, Pasquetti and Popov 2011", ()),
    ):
        began = time.perf_counter()
        runs = [run_case(case, "none", f"resolution={n}", *options) for n in SIZES]
        measured = fitted_rate([1.0 / n for n in SIZES], [run["metrics"][norm] for run in runs])
        seconds = time.perf_counter() - began
        mesh = f"{runs[0]['cells']:,} to {runs[-1]['cells']:,} cells, error {runs[-1]['metrics'][norm]:.3g}"
        quantity = f"{case}: order in {'L1' if norm == 'error_l1' else 'L2'}"
        yield Row("transport", quantity, "at least", rate, measured, seconds=seconds, mesh=mesh, source=source)


def kept() -> Iterator[Row]:
    """Bounds and mass on moving meshes: a whole turn, and all of the time for which the four states are known."""
    for case, least, greatest in (("rotation", 0.0, 1.0), ("burgers-2d", -1.0, 0.8)):
        fixed = None
        for mover in MOVERS:
            began = time.perf_counter()
            run = run_case(case, mover, f"resolution={SIZES[1]}")
            seconds = time.perf_counter() - began
            metrics = run["metrics"]
            row = partial(Row, "transport", mesh=f"{run['cells']:,} cells, {run['moves']} moves")
            beyond = max(least - metrics["least"], metrics["greatest"] - greatest, 0.0)
            source = "maximum principle"
            yield row(
                f"{case}, {mover}: beyond the bounds", "at most", ROUND_OFF, beyond, seconds=seconds, source=source
            )
            drift = metrics["mass_drift_rel"]
            yield row(f"{case}, {mover}: mass drift", "at most", ROUND_OFF, drift, source="conservation")
            if fixed is None:
                fixed = metrics["error"]
            else:
                less = 100.0 * (1.0 - metrics["error"] / fixed)
                yield row(f"{case}, {mover}: error less than on the fixed mesh [%]", "at least", 0.0, less)


def transport() -> Iterator[Row]:
    """All of them."""
    yield from orders()
    yield from kept()
