"""`driftmesh compare`: one case with several movers, their errors and times beside each other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from firedrake import COMM_WORLD
from rich.console import Console

from cases.animation import load_maps
from cases.case_file import find_case, find_case_on_all_ranks
from cases.errors import InputError, abort_all_ranks_on_crash, on_rank_zero
from cases.moving import FIXED, check_mover
from cases.run import RunRequest, execute, plan
from cases.run_errors import Reference, read_reference, reference_errors
from cases.run_folder import check_folder, default_folder, prepare_folder, write_atomically, write_json

# Without it, maps are of the first steps past their times, which differ from run to run.
_EXACT = "exact_output=true"
_SECONDS = ("wall", "solver", "mover", "monitor", "transfer")


@dataclass(frozen=True)
class CompareRequest:
    """What `driftmesh compare` was asked for; ``case`` is a name or the path of a case file."""

    case: str
    movers: tuple[str, ...]
    assignments: tuple[str, ...] = ()
    config: Path | None = None
    out: Path | None = None
    reference: Path | None = None

    def run(self, mover: str, out: Path) -> RunRequest:
        """Return the request of one of the runs."""
        exact = (_EXACT,) if "exact_output" in find_case(self.case).case.Options.model_fields else ()
        return RunRequest(
            self.case, mover=mover, assignments=(*exact, *self.assignments), config=self.config, out=out / mover
        )


def compare(request: CompareRequest, *, quiet: bool = False) -> str:
    """Run the case with each mover, on all ranks; write ``compare.json``, ``compare.md`` and ``compare.png``.

    Returns
    -------
    str
        ``done``, ``failed`` if one of the runs has failed, or ``interrupted``: then there is no comparison.

    Raises
    ------
    InputError
        For bad input, before anything is computed or written.
    """
    comm = COMM_WORLD
    abort_all_ranks_on_crash(comm)
    name = find_case_on_all_ranks(request.case, comm).case.name
    movers, out, reference = on_rank_zero(comm, lambda: _check(request, name))
    console = Console(quiet=quiet or comm.rank != 0, highlight=False, soft_wrap=True)
    statuses = []
    for mover in movers:
        console.print(f"{mover}:")
        statuses.append(execute(request.run(mover, out), quiet=quiet))
        if statuses[-1] == "interrupted":
            return "interrupted"
    on_rank_zero(comm, lambda: write_comparison(name, movers, out, reference))
    if comm.rank == 0:
        console.print((out / "compare.md").read_text(), markup=False)
        console.print(f"comparison: {out / 'compare.md'}, {out / 'compare.json'}, {out / 'compare.png'}")
    return "failed" if "failed" in statuses else "done"


def _check(request: CompareRequest, case: str) -> tuple[list[str], Path, Reference | None]:
    """Check a request for a case, on one rank; return the movers, `none` first, the folder and the reference."""
    if not find_case(request.case).case.has_mesh:
        raise InputError(f"compare: got {case}, expected a case on a mesh that movers can move; `driftmesh run` it")
    names = [name.strip() for name in request.movers]
    movers = list(dict.fromkeys([FIXED, *map(check_mover, names)]))
    out = request.out or default_folder(case)
    check_folder(out)
    for mover in movers:
        plan(request.run(mover, out))
    return movers, out, None if request.reference is None else read_reference(request.reference, case)


def write_comparison(case: str, movers: Sequence[str], out: Path, reference: Reference | None) -> dict[str, Any]:
    """Write the comparison of finished runs in ``out/MOVER``; on one rank.

    Parameters
    ----------
    case
        Name of the case.
    movers
        Movers, ``none`` among them.
    out
        Folder of the runs' folders.
    reference
        Run to measure errors against, or None: against what the case itself has, an exact solution or measured gauges.

    Returns
    -------
    dict
        Content of ``compare.json``: ``case``, ``reference`` and ``runs`` by mover, each the run's ``run.json`` with
        ``error`` and ``error_reduction_pct`` among its metrics.
    """
    from cases.compare_figure import comparison_figure
    from cases.mesh_figures import save_figure

    runs = {mover: json.loads((out / mover / "run.json").read_text()) for mover in movers}
    for mover, run in runs.items():
        metrics = run["metrics"]
        if run["status"] != "done":
            metrics["error"] = None  # that of a part of the time is another quantity
        elif reference is not None:
            metrics |= reference_errors(out / mover, reference)
            metrics["error"] = metrics["gauge_error"]
        elif metrics.get("error") is None:
            metrics["error"] = _gauge_error(metrics)
    for quantity in ("error", "error_half", "elevation_error"):
        fixed = runs[FIXED]["metrics"].get(quantity)
        for run in runs.values():
            if quantity in run["metrics"]:
                run["metrics"][f"{quantity}_reduction_pct"] = _reduction(run["metrics"][quantity], fixed)
    content = {"case": case, "reference": None if reference is None else str(reference.folder), "runs": runs}
    prepare_folder(out)
    write_json(out / "compare.json", content)
    write_atomically(out / "compare.md", comparison_table(content))
    maps = {mover: load_maps(out / mover) for mover in movers}
    save_figure(out / "compare.png", comparison_figure(out, runs, maps))
    return content


def _gauge_error(metrics: dict[str, Any]) -> float | None:
    """Return the mean over the gauges of the root mean square difference from the measured elevation [m]."""
    errors = [gauge["rmse"] for gauge in metrics.get("gauges", {}).values() if gauge.get("rmse") is not None]
    return float(np.mean(errors)) if errors else None


def _reduction(error: float | None, fixed: float | None) -> float | None:
    """Return by how much an error is less than that on the fixed mesh [%]."""
    return None if error is None or not fixed else 100.0 * (1.0 - error / fixed)


def comparison_table(content: dict[str, Any]) -> str:
    """Return the comparison as a Markdown page: errors, sizes, and times by their parts."""
    runs, against = content["runs"], content["reference"]
    has_gauges = any(run["metrics"].get("gauges") for run in runs.values())
    error = "gauge rms [cm]" if has_gauges else "error"
    factor = 100.0 if has_gauges else 1.0
    columns = ["mover", error, "reduction [%]"]
    fields = any(run["metrics"].get("elevation_error") is not None for run in runs.values())
    columns += ["elevation L2 [cm]", "reduction [%]"] if fields else []
    halves = any(run["metrics"].get("error_half") is not None for run in runs.values())
    columns += ["error at half time", "reduction [%]"] if halves else []
    steady = any("best_round" in run["metrics"] for run in runs.values())
    seconds = _SECONDS[:3] if steady else _SECONDS
    columns += ["cells", "rounds" if steady else "steps", "moves", *(f"{name} [s]" for name in seconds)]
    columns += [] if steady else ["mass drift"]
    quantities = runs[FIXED]["metrics"].get("quantities") or {}
    columns += [name if not one["unit"] else f"{name} [{one['unit']}]" for name, one in quantities.items()]
    lines = [" | ".join(columns), " | ".join(["---"] + ["---:"] * (len(columns) - 1))]
    for mover, run in runs.items():
        metrics = run["metrics"]
        name = mover if run["status"] == "done" else f"{mover} ({run['status']})"
        cells = [
            name,
            _number(metrics.get("error"), ".4g", factor),
            _number(metrics.get("error_reduction_pct"), "+.1f"),
        ]
        if fields:
            cells.append(_number(metrics.get("elevation_error"), ".4g", 100.0))
            cells.append(_number(metrics.get("elevation_error_reduction_pct"), "+.1f"))
        if halves:
            cells.append(_number(metrics.get("error_half"), ".4g"))
            cells.append(_number(metrics.get("error_half_reduction_pct"), "+.1f"))
        cells += [str(run["cells"]), str(run["steps"]), str(run["moves"])]
        cells += [_number(run.get(f"{part}_s"), ".2f") for part in seconds]
        cells += [] if steady else [_number(metrics.get("mass_drift_rel"), ".1e")]
        found = metrics.get("quantities") or {}
        cells += [_number(found.get(name, {}).get("value"), ".6g") for name in quantities]
        lines.append(" | ".join(cells))
    table = "\n".join(f"| {line} |" for line in lines)
    source = f"the run in {against}" if against else "what the case has to compare with, measured or exact"
    note = f"Errors against {source}; reductions against the fixed mesh."
    if has_gauges:
        note += " Gauge rms is the mean over the gauges."
    if fields:
        note += " Elevation L2 is the root mean square over domain and map times of the depth less that of still water."
    note += " Monitor evaluations while a mover iterates count as the mover's."
    return f"# {content['case']}: movers compared\n\n{table}\n\n{note}\n"


def _number(value: float | None, form: str, factor: float = 1.0) -> str:
    return "–" if value is None else format(factor * value, form)
