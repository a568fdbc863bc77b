"""Time all movers on the ring of Monge-Ampère benchmarks, 441 to 100,489 vertices, and in space.

    python benchmarks/movers.py                # about ten minutes; writes docs/benchmarks.md

Every row is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
# PETSc reads this script's arguments too: it must not tell that it knew none, nor catch signals.
os.environ["PETSC_OPTIONS"] = "-options_left no -no_signal_handler " + os.environ.get("PETSC_OPTIONS", "")

import numpy as np
from benchmark_document import DOCUMENT, machine, replace_section, table, warn_if_busy
from firedrake import Mesh, UnitCubeMesh, UnitSquareMesh, cosh

from cases.run_folder import commit, versions
from coupling.registry import get_mover
from meshing.mmpde import MMPDE
from meshing.monge_ampere import MongeAmpere
from meshing.monitor import ExpressionMonitor
from meshing.mover import Mover
from meshing.quality import mesh_quality

# Time [s] and std/mean of m|K| of the usual quasi-Newton implementation with Firedrake, by the cells a side.
USUAL = {20: (0.64, 0.153), 40: (1.18, 0.070), 80: (2.79, 0.039)}
PLANE, SPACE = (20, 40, 80, 160, 316), (10, 20, 40)


def _drift_close() -> Mover:
    """Return drift with less weight of the cells' shape: closer to equidistribution."""
    from coupling.movers import Drift

    return Drift(shape=0.1)


# Each begins with the uniform mesh; what a learned one keeps of a topology, it has after the first move.
MOVERS = {
    "monge-ampere": lambda: MongeAmpere(warm_start=False),
    "mmpde": MMPDE,
    "drift": lambda: get_mover("drift"),
    "drift, shape 0.1": _drift_close,
}
REPEATS = 5


def ring(x):
    """1 + 10 / cosh(50 (|x - (.5, .5)|^2 - .09))^2, in space a sphere of the same radius, less steep."""
    steepness = 50.0 if len(x) == 2 else 20.0
    return 1.0 + 10.0 / cosh(steepness * (sum((xi - 0.5) ** 2 for xi in x) - 0.09)) ** 2


def measure(dimension: int, size: int, name: str) -> dict[str, float | str]:
    """Move once to warm up and then again and again; return medians and the quality reached."""
    mesh = UnitSquareMesh(size, size) if dimension == 2 else UnitCubeMesh(size, size, size)
    monitor = ExpressionMonitor(ring)
    monitor(mesh)
    mover = MOVERS[name]()  # which loads its libraries
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results = [mover.move(mesh, monitor) for _ in range(REPEATS + 1)]
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    moved = Mesh(results[0].coordinates)
    quality = mesh_quality(moved, mesh, monitor(moved))
    return {
        "vertices": mesh.num_vertices(),
        "cells": quality.cells,
        "seconds": statistics.median(result.seconds for result in results[1:]),
        "slowest": max(result.seconds for result in results[1:]),
        "iterations": results[0].iterations,
        "status": results[0].status.value,
        "initial": mesh_quality(mesh, mesh, monitor(mesh)).spread,
        "spread": quality.spread,
        "largest": quality.max_over_mean,
        "jacobian": quality.percentile_1_scaled_jacobian,
        "aspect": quality.percentile_99_aspect_ratio,
        "tangled": quality.tangled,
        "memory": (after - before) / 1024.0,
    }


def report(rows: dict[tuple[int, int, str], dict], found: dict) -> str:
    """Return the section of the document."""
    header = ["mover", "vertices", "time [s]", "steps", "std/mean", "max/mean", "scaled Jacobian, 1 %", "aspect, 99 %"]
    header += ["inverted", "memory [MiB]"]
    sections = [
        f"Measured by `benchmarks/movers.py` on {found['date']}: {found['cpu']}, {found['cores']} cores, one thread, "
        f"load {found['load']} at the start; driftmesh {versions()['driftmesh']}, commit {commit()}. "
        f"Median of {REPEATS} moves from the uniform mesh after one to warm up, monitor and limiter included; "
        f"memory is what the moves add to the peak of the process.",
        "The ring `1 + 10/cosh(50 (|x - (.5, .5)|² - .09))²` on the unit square, std/mean and max/mean of m|K|:",
    ]
    for dimension in (2, 3):
        lines = []
        for (d, _, name), row in rows.items():
            if d == dimension:
                cells = [name, f"{row['vertices']:,}", f"{row['seconds']:.3f}", str(row["iterations"])]
                cells += [f"{row['spread']:.3f}", f"{row['largest']:.2f}", f"{row['jacobian']:.2f}"]
                cells += [f"{row['aspect']:.1f}", str(row["tangled"]), f"{row['memory']:.0f}"]
                lines.append(cells if row["status"] == "done" else [f"{name} ({row['status']})", *cells[1:]])
        sections.append(table(header, lines))
        if dimension == 2:
            sections += [*usual(rows), "The same in the unit cube with 20 in place of 50:"]
    for name in MOVERS:
        exponents = []
        for dimension in (2, 3):
            chosen = [row for (d, _, n), row in rows.items() if n == name and d == dimension][-3:]
            logs = np.log([[row["vertices"], row["seconds"]] for row in chosen])
            exponents.append(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])
        sections.append(
            f"Growth of the time of {name} with the vertices N over the last three sizes: "
            f"N^{exponents[0]:.2f} in the plane, N^{exponents[1]:.2f} in space."
        )
    return "\n\n".join(sections)


def usual(rows: dict[tuple[int, int, str], dict]) -> list[str]:
    """Return the comparison with the usual implementation."""
    header = ["cells a side", "usual [s]", "std/mean", "monge-ampere [s]", "std/mean", "share of the time"]
    lines = []
    for size, (seconds, spread) in USUAL.items():
        row = rows[2, size, "monge-ampere"]
        line = [str(size), f"{seconds:.2f}", f"{spread:.3f}", f"{row['seconds']:.3f}", f"{row['spread']:.3f}"]
        lines.append([*line, f"1/{seconds / row['seconds']:.1f}"])
    return [
        "Beside the usual quasi-Newton implementation of the Monge-Ampère equation with Firedrake at rtol 1e-3 (times "
        "taken earlier on a machine of the same kind but another processor, Intel Xeon, one thread):",
        table(header, lines),
    ]


def main() -> None:
    """Measure all rows, or with ``--one`` a single one, printed as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=3, metavar=("DIMENSION", "SIZE", "MOVER"))
    chosen = parser.parse_args().one
    if chosen:
        print(json.dumps(measure(int(chosen[0]), int(chosen[1]), chosen[2])))
        return
    found = machine()
    warn_if_busy(found)
    rows = {}
    for dimension, sizes in ((2, PLANE), (3, SPACE)):
        for name in MOVERS:
            for size in sizes:
                command = [sys.executable, __file__, "--one", str(dimension), str(size), name]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                row = rows[dimension, size, name] = json.loads(output)
                print(f"{name} {dimension}D {size}: {row['seconds']:.3f} s, std/mean {row['spread']:.3f}", flush=True)
    replace_section(DOCUMENT, "movers", report(rows, found))


if __name__ == "__main__":
    main()
