"""The validation suites by name; a new suite is one function and one line in :data:`SUITES`."""

from __future__ import annotations

import difflib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from firedrake import RectangleMesh

from cases.errors import InputError
from cases.run_folder import commit, prepare_folder, versions, write_atomically, write_json
from cases.validation.experiments import (
    Outcome,
    basin,
    dam_break,
    distorted_square,
    fitted_rate,
    lake_at_rest,
    manufactured,
)
from cases.validation.row import Row, markdown_table
from fem.analytic.thacker import AxisymmetricOscillation, PlanarOscillation

MASS = 1e-12


class Stopwatch:
    """Seconds since the last row."""

    def __init__(self):
        self._began = time.perf_counter()

    def lap(self) -> float:
        """Return the seconds since the last lap."""
        now = time.perf_counter()
        seconds, self._began = now - self._began, now
        return seconds


def still_water() -> Iterator[Row]:
    """Lake at rest around an emerged bump, on a distorted mesh, with friction and an open side."""
    watch = Stopwatch()
    for degree in (1, 0):
        found = lake_at_rest(distorted_square(24), degree=degree)
        seconds = watch.lap()
        name = f"emerged bump, P{degree}, 1 s: "
        yield Row("lake at rest", name + "greatest speed [m/s]", 1e-12, found.speed, None, seconds, at_most=True)
        yield Row("lake at rest", name + "elevation error [m]", 1e-12, found.elevation, None, 0.0, at_most=True)
        yield Row("lake at rest", name + "mass drift", MASS, found.mass_drift, None, 0.0, at_most=True)


def _study(
    suite: str, name: str, cells: tuple[int, ...], experiment: Callable[[int], Outcome], rate: float, unit: str
) -> Iterator[Row]:
    watch = Stopwatch()
    found = [experiment(n) for n in cells]
    seconds = watch.lap()
    errors = [outcome.error for outcome in found]
    sizes = f"{cells[0]}..{cells[-1]} cells"
    measured = fitted_rate([1.0 / n for n in cells], errors)
    yield Row(suite, f"{name}: rate of the {unit} error, {sizes}", rate, measured, None, seconds, at_least=True)
    # The bound on the finest error is the coarsest one brought down at the expected rate: it catches a stall.
    bound = errors[0] * (cells[0] / cells[-1]) ** rate
    yield Row(suite, f"{name}: {unit} error at {cells[-1]} cells", bound, errors[-1], None, 0.0, at_most=True)
    drift = max(outcome.mass_drift for outcome in found)
    yield Row(suite, f"{name}: mass drift", MASS, drift, None, 0.0, at_most=True)


def dam_breaks() -> Iterator[Row]:
    """Stoker's and Ritter's dam breaks: first order in L1, as for any discontinuity or dry front."""
    watch = Stopwatch()
    depth, discharge = dam_break(200, wet=True).probe or (float("nan"), float("nan"))
    yield Row("dam break", "Stoker, P1, 200 cells: depth behind the shock [m]", 3.96175, depth, 0.01, watch.lap())
    yield Row("dam break", "Stoker, P1, 200 cells: velocity there [m/s]", 7.34077, discharge / depth, 0.02, 0.0)
    for degree, rate in ((1, 0.9), (0, 0.65)):
        for wet, name, t_end in ((True, "Stoker", 3.0), (False, "Ritter", 2.0)):

            def experiment(n, wet=wet, degree=degree, t_end=t_end):
                return dam_break(n, wet=wet, degree=degree, t_end=t_end)

            yield from _study("dam break", f"{name}, P{degree}", (50, 100, 200, 400), experiment, rate, "L1")


def thacker() -> Iterator[Row]:
    """Thacker's oscillations in a paraboloid after one period: a moving shore all around."""
    for exact, name in ((PlanarOscillation(), "planar"), (AxisymmetricOscillation(), "axisymmetric")):

        def experiment(n, exact=exact):
            return basin(exact, n)

        yield from _study("Thacker", name, (20, 40, 80), experiment, 1.4, "L1")


def smooth() -> Iterator[Row]:
    """Manufactured smooth solution over topography."""
    for degree, rate in ((1, 1.9), (0, 0.9)):

        def experiment(n, degree=degree):
            return manufactured(n, degree=degree)

        yield from _study("manufactured", f"P{degree}", (8, 16, 32, 64), experiment, rate, "L2")


def monai() -> Iterator[Row]:
    """Monai Valley against the laboratory at the default resolution, the figures of NOAA's benchmark 7."""
    from cases.run import RunRequest, execute

    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        execute(RunRequest(case="monai", out=Path(folder)), quiet=True)
        summary = json.loads((Path(folder) / "run.json").read_text())
    seconds = watch.lap()
    metrics = summary["metrics"]
    for name, gauge in metrics["gauges"].items():
        yield Row(
            "Monai",
            f"{name}: rms to the laboratory [cm]",
            0.40,
            100 * gauge["rmse"],
            None,
            seconds,
            at_most=True,
        )
        yield Row("Monai", f"{name}: peak [cm]", 100 * gauge["reference_peak"], 100 * gauge["peak"],
                  10 * gauge["reference_peak"], 0.0)  # fmt: skip
        seconds = 0.0
    yield Row("Monai", "mass drift", MASS, metrics["mass_drift_rel"], None, 0.0, at_most=True)
    yield Row("Monai", "peak memory [MiB]", 1024, summary["peak_rss_mb"], None, 0.0, at_most=True)


def symmetry() -> Iterator[Row]:
    """A lake at rest on the mesh family of the cases, where nothing is distorted."""
    watch = Stopwatch()
    found = lake_at_rest(RectangleMesh(24, 24, 1.0, 1.0, diagonal="crossed"), open_boundary=False)
    yield Row(
        "lake at rest",
        "crossed mesh, walls: greatest speed [m/s]",
        1e-12,
        found.speed,
        None,
        watch.lap(),
        at_most=True,
    )


SUITES: dict[str, tuple[Callable[[], Iterator[Row]], ...]] = {
    "lake-at-rest": (still_water, symmetry),
    "dam-break": (dam_breaks,),
    "thacker": (thacker,),
    "manufactured": (smooth,),
    "monai": (monai,),
}


def run_suites(name: str | None, out: Path, table: Path | None, echo: Callable[[str], None]) -> bool:
    """Run one suite or all; write validation.json and validation.md; return whether every row passes.

    Raises
    ------
    InputError
        For an unknown suite or a folder that cannot be written.
    """
    if name is not None and name not in SUITES:
        close = difflib.get_close_matches(name, SUITES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "leave it out to run all"
        raise InputError(f"suite: got {name!r}, expected one of {', '.join(SUITES)}; {hint}")
    prepare_folder(out)
    rows: list[Row] = []
    for key in [name] if name else list(SUITES):
        for suite in SUITES[key]:
            for row in suite():
                rows.append(row)
                echo(f"{'pass' if row.passed else 'FAIL'}  {row.suite}: {row.quantity}: {row.measured:.4g} "
                     f"(expected {row.expectation})")  # fmt: skip
    found = versions()
    head = f"Measured on {date.today()} with Firedrake {found.get('firedrake', '?')}, commit {commit() or '?'}.\n\n"
    write_json(out / "validation.json", {"versions": found, "rows": [row.as_dict() for row in rows]})
    write_atomically(out / "validation.md", head + markdown_table(rows))
    if table is not None:
        write_atomically(table, "# Validation\n\nMade by `driftmesh validate`.\n\n" + head + markdown_table(rows))
    return all(row.passed for row in rows)
