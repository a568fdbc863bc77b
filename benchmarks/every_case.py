"""Error reduction of every mover in every case, as `driftmesh compare` gives it: a section of docs/benchmarks.md.

    python benchmarks/every_case.py               # all cases that have not been measured; then writes the section
    python benchmarks/every_case.py --cases l-shape    # some
    python benchmarks/every_case.py --again drift      # measure some movers again

All with their defaults. What has been measured stays in results/cases, so that it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmark_document import DOCUMENT, machine, replace_section, table, warn_if_busy

from cases.compare import write_comparison
from cases.moving import FIXED, run_movers
from cases.registry import CASES, get_case

RUNS = Path("results/cases")
# Those that movers can move.
MOVING = [name for name in CASES if get_case(name).has_mesh]
# Cases that take too long with six movers at their defaults: on fewer cells.
OPTIONS = {
    "rotation": ("resolution=20",),
    "burgers-2d": ("resolution=20",),
    "swirl": ("resolution=24",),
    "monai": ("resolution=0.2",),
}
# Longest time for one run [s]; what takes longer is a figure of the mover.
LONGEST = 3600.0


def measure(case: str, mover: str, again: bool) -> None:
    """Run a case with a mover, unless that is done."""
    out = RUNS / case / mover
    if (out / "run.json").is_file() and not again:
        return
    command = [str(Path(sys.executable).parent / "driftmesh"), "run", case, "--mover", mover, "--out", str(out)]
    command += [part for assignment in OPTIONS.get(case, ()) for part in ("--set", assignment)]
    out.mkdir(parents=True, exist_ok=True)
    with (out / "log.txt").open("w") as log:
        try:
            subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, timeout=LONGEST, check=False)
        except subprocess.TimeoutExpired:
            log.write(f"stopped after {LONGEST} s\n")


def compared(case: str, movers: list[str]) -> dict[str, Any]:
    """Return the comparison of the runs there are."""
    there = [mover for mover in movers if (RUNS / case / mover / "run.json").is_file()]
    return write_comparison(case, there, RUNS / case, None)["runs"] if FIXED in there else {}


def row(case: str, runs: dict[str, Any], movers: list[str]) -> list[str]:
    """Return the row of a case: error on the fixed mesh, the movers' error reductions, inverted cells, time."""
    fixed = runs[FIXED]
    cells = [", ".join((case, *OPTIONS.get(case, ()))), f"{fixed['cells']:,}", f"{fixed['metrics']['error']:.3g}"]
    for mover in movers[1:]:
        run = runs.get(mover)
        reduction = None if run is None else run["metrics"].get("error_reduction_pct")
        without = "not run" if run is None else "failed"
        cells.append(without if reduction is None else f"{reduction:+.1f}")
    tangled = sum(run["metrics"].get("tangled_moves") or 0 for run in runs.values())
    seconds = " / ".join(f"{runs[mover]['wall_s']:.0f}" if mover in runs else "–" for mover in movers)
    return [*cells, str(tangled), seconds]


def report(cases: list[str], movers: list[str], about: dict) -> str:
    """Return the section of the document."""
    found = {case: runs for case in cases if (runs := compared(case, movers))}
    commits = {run["commit"] for runs in found.values() for run in runs.values()}
    text = (
        f"Measured by `benchmarks/every_case.py` on {about['date']}: {about['cpu']}, {about['cores']} cores, other "
        f"work beside, one thread a run; commit {', '.join(sorted(map(str, commits)))}. Every case with its defaults, "
        "or the option named, as `driftmesh compare CASE` runs it. *error* is that of the case on the fixed mesh (the "
        "pages of the cases say in which norm), the movers' columns its reduction (ER = 1 less the error over that of "
        "`none`) in %, negative where moving made it worse; *inverted* counts moves after which a cell was inverted."
    )
    header = ["case", "cells", "error (none)", *(f"{mover} ER" for mover in movers[1:]), "inverted"]
    header.append(f"time [s]: {' / '.join(movers)}")
    return f"{text}\n\n{table(header, [row(case, runs, movers) for case, runs in found.items()])}"


def main() -> None:
    """Measure what has not been measured, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default=",".join(MOVING))
    parser.add_argument("--again", default="", help="movers to be measured again, or `all`")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only-table", action="store_true", help="measure nothing")
    options = parser.parse_args()
    cases, movers, again = options.cases.split(","), list(run_movers()), options.again.split(",")
    about = machine()
    warn_if_busy(about)
    if not options.only_table:
        with ThreadPoolExecutor(options.processes) as pool:
            for case in cases:
                for mover in movers:
                    pool.submit(measure, case, mover, mover in again or "all" in again)
    replace_section(DOCUMENT, "cases", report(MOVING, movers, about))


if __name__ == "__main__":
    main()
