"""By how much each mover reduces the error of problems with exact solutions: on polygons, and in running solves.

    python benchmarks/error_reduction.py                       # about half an hour; writes docs/benchmarks.md
    python benchmarks/error_reduction.py --problems 20         # only look
    python benchmarks/error_reduction.py --again drift         # measure a mover again, with what is there of the others

A polygon is a line of results/error_reduction.jsonl, a comparison of running solves a folder beside it, as soon as it
is done; what is there is not done again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
# PETSc reads this script's arguments too: it must not tell that it knew none, nor catch signals.
os.environ["PETSC_OPTIONS"] = "-options_left no -no_signal_handler " + os.environ.get("PETSC_OPTIONS", "")

import numpy as np
from benchmark_document import DOCUMENT, ROOT, machine, replace_section, table
from firedrake import Mesh
from rich.progress import track

from cases.compare import write_comparison
from cases.run_folder import commit, versions
from coupling.movers import Drift
from coupling.registry import get_mover
from fem.analytic.features import random_field
from fem.problems.elliptic import EllipticSolver, Helmholtz, Poisson
from learned.domains import random_mesh
from meshing.field_monitors import HessianMonitor
from meshing.mover import Mover
from meshing.plex import mesh_from_cells
from meshing.quality import mesh_quality

RESULTS = ROOT / "results"
RECORDS, RUNS = RESULTS / "error_reduction.jsonl", RESULTS / "error_reduction"
# With the number of the polygon the seed of its mesh and its solutions; no seed of training or of held-out meshes.
SEED = 20_261_124
POLYGONS, NODES = 200, (300, 1500)
KINDS = {"polygon": "without holes", "holes": "with holes"}
PROBLEMS = {"poisson": Poisson, "helmholtz": Helmholtz}
IN_RUNS = ("mmpde", "monge-ampere", "um2n", "dmm", "drift")
NAMES = ("none", *IN_RUNS, "drift, integral")
RIVAL = "monge-ampere"
CASES = {
    "burgers": (
        "resolution=12",
        "resolution=16",
        "resolution=24",
        "resolution=16 viscosity=0.01",
        "resolution=16 viscosity=0.0025",
    ),
    "swirl": (
        "resolution=16",
        "resolution=24",
        "resolution=32 t_end=0.5",
        "resolution=24 t_end=0.5 monitor_regularisation=0.3",
    ),
}

Record = dict[str, Any]
Key = tuple[int, str]


# -- polygons -----------------------------------------------------------------------------------------------------


def make_mover(name: str) -> Mover:
    """Return a new mover, which remembers nothing."""
    return Drift(target="integral") if name == "drift, integral" else get_mover(name)


def measure(number: int, names: Sequence[str] = NAMES) -> list[Record]:
    """Solve, move and solve again on the polygon of a number, for each problem and mover; return a record of each."""
    rng = np.random.default_rng([SEED, number])
    kind = list(KINDS)[number % len(KINDS)]
    graph = random_mesh(rng, kind=kind, nodes=int(rng.integers(*NODES, endpoint=True)))
    places, cells = graph.pos.numpy(), graph.cells.numpy()
    mesh = mesh_from_cells(places, cells, graph.facets.numpy(), graph.facet_markers.numpy())
    moved = Mesh(mesh.coordinates.copy(deepcopy=True))
    size = float(np.linalg.norm(np.ptp(places, axis=0)))
    sides = places[cells[:, 1:]] - places[cells[:, :1]]
    # Side of the equilateral triangle of the mean area.
    spacing = float(np.sqrt(2.0 / np.sqrt(3.0) * np.abs(np.linalg.det(sides)).mean()))
    records = []
    for problem, make in PROBLEMS.items():
        exact = random_field(rng, places, size=size, spacing=spacing)
        # One on the mesh as it is, one on the mesh that takes the places of each mover's.
        fixed, solver = EllipticSolver(make(exact=exact), mesh), EllipticSolver(make(exact=exact), moved)
        monitor = HessianMonitor(fixed.solve())
        about = {"number": number, "kind": kind, "nodes": len(places), "problem": problem, "commit": commit()}
        about |= {"features": [type(part).__name__.lower() for part in exact.parts], "spacing": spacing / size}
        for name in names:
            records.append(about | {"mover": name} | _move(name, mesh, monitor, moved, solver))
    return records


def _move(name: str, mesh, monitor, moved, solver: EllipticSolver) -> Record:
    """Move with a mover, solve on the moved mesh; return what came out, or how it failed."""
    try:
        result = make_mover(name).move(mesh, monitor)
    except Exception as error:  # one mover's failure is a figure of it, and not the end of the benchmark
        return {"status": f"{type(error).__name__}: {error}"[:300]}
    moved.coordinates.dat.data_wo[:] = result.coordinates.dat.data_ro
    quality = mesh_quality(moved, mesh, monitor(moved))
    errors, best = solver.errors(solver.solve()), solver.errors(solver.interpolant())
    return {
        "status": result.status.value,
        "seconds": result.seconds,
        "iterations": result.iterations,
        "l2": errors.l2,
        "h1": errors.h1,
        "interpolation_l2": best.l2,
        "interpolation_h1": best.h1,
        "tangled": quality.tangled,
        "spread": quality.spread,
        "relative_spread": quality.relative_spread,
        "jacobian": quality.percentile_1_scaled_jacobian,
        "aspect": quality.percentile_99_aspect_ratio,
        "shape": quality.mean_alignment,
    }


def warm_up() -> None:
    """Let a process load and compile everything before times count."""
    measure(POLYGONS + 1_000_000)


def read_records(path: Path, problems: int) -> dict[str, dict[Key, Record]]:
    """Return the records of a file by mover and problem, the last if there are several; lines cut off are left out.

    Raises
    ------
    ValueError
        If the records of a problem are not all of the same mesh and solution.
    """
    found: dict[str, dict[Key, Record]] = {name: {} for name in NAMES}
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            records = json.loads(line)
        except json.JSONDecodeError:
            continue
        for record in records:
            if record["number"] < problems and record["mover"] in found:
                found[record["mover"]][record["number"], record["problem"]] = record
    for records in found.values():
        for key, record in records.items():
            fixed = found["none"][key]
            if any(record[name] != fixed[name] for name in ("nodes", "spacing", "features")):
                raise ValueError(f"{path}: got records of two meshes for problem {key}, expected one; remove the file")
    return found


def run_polygons(problems: int, path: Path, processes: int, again: Sequence[str]) -> None:
    """Measure what the file does not have, and some movers again."""
    found = read_records(path, problems)
    wanted = {}
    for number in range(problems):
        known = [name for name in NAMES if all((number, problem) in found[name] for problem in PROBLEMS)]
        names = [name for name in NAMES if name not in known or name in again]
        if names:
            wanted[number] = names
    if not wanted:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), warm_up)
    with pool, path.open("a") as file:
        waiting = [pool.submit(measure, number, names) for number, names in wanted.items()]
        for future in track(as_completed(waiting), "polygons", total=len(waiting)):
            file.write(json.dumps(future.result()) + "\n")
            file.flush()


def reductions(found: dict[str, dict[Key, Record]], name: str, quantity: str, keys: Sequence[Key]) -> np.ndarray:
    """Return the error reductions of a mover in problems [%]; -inf where it has no result."""
    pairs = [(found[name][key].get(quantity, np.inf), found["none"][key][quantity]) for key in keys]
    return np.array([100.0 * (1.0 - error / fixed) for error, fixed in pairs])


# -- running solves -----------------------------------------------------------------------------------------------


def run_cases(folder: Path, processes: int, again: Sequence[str]) -> list[tuple[str, str, Record]]:
    """Compare the movers in the variants of the cases that have not been, and some again; return what came out."""
    variants = [(case, variant) for case, of_case in CASES.items() for variant in of_case]

    def compare(case: str, variant: str) -> Record:
        out = folder / case / variant.replace(" ", ",")
        options = [part for assignment in variant.split() for part in ("--set", assignment)]
        if (out / "compare.json").is_file():
            for name in again:
                shutil.rmtree(out / name, ignore_errors=True)
                _driftmesh("run", case, "--mover", name, *options, out=out / name)
            write_comparison(case, ["none", *IN_RUNS], out, None)
        else:
            shutil.rmtree(out, ignore_errors=True)
            _driftmesh("compare", case, "--movers", ",".join(IN_RUNS), *options, out=out)
        return json.loads((out / "compare.json").read_text())

    with ThreadPoolExecutor(processes) as pool:
        waiting = [pool.submit(compare, *variant) for variant in variants]
        for future in track(as_completed(waiting), "running solves", total=len(waiting)):
            future.result()
    return [(*variant, future.result()) for variant, future in zip(variants, waiting, strict=True)]


def _driftmesh(*arguments: str, out: Path) -> None:
    """Run the command; a mover's run that has failed is a figure of it, as long as it has left its numbers."""
    command = [str(Path(sys.executable).parent / "driftmesh"), *arguments, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    if not any((out / name).is_file() for name in ("run.json", "compare.json")):
        raise RuntimeError(f"driftmesh {' '.join(arguments)}: {done.stderr[-500:]}")


# -- the section of the document ------------------------------------------------------------------------------------


def rows(found: dict[str, dict[Key, Record]], choose: Callable[[Record], bool]) -> list[list[str]]:
    """Return a row of the table for each mover, over the problems chosen."""
    keys = [key for key, record in found["none"].items() if choose(record)]
    lines = []
    for name in NAMES[1:]:
        line = [name]
        for quantity in ("l2", "h1"):
            values = reductions(found, name, quantity, keys)
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
            wins = np.mean(values >= reductions(found, RIVAL, quantity, keys))
            line += [f"{middle:.1f} ({low:.1f} to {high:.1f})", f"{100 * np.mean(values > 0):.1f}"]
            line += ["" if name == RIVAL else f"{100 * wins:.1f}"]
        lines.append(line)
    return lines


def meshes(found: dict[str, dict[Key, Record]]) -> list[list[str]]:
    """Return what the movers made of the meshes, a row for each."""
    lines = []
    for name, records in found.items():
        good = [record for record in records.values() if "l2" in record]
        statuses = [record["status"] for record in records.values()]
        ends = [sum(status == wanted for status in statuses) for wanted in ("done", "limited", "not converged")]
        ends.append(len(statuses) - sum(ends))
        middle = {key: np.median([record[key] for record in good]) for key in ("spread", "relative_spread", "shape")}
        middle |= {key: np.median([record[key] for record in good]) for key in ("jacobian", "seconds")}
        line = [name, *(str(count) for count in ends), str(sum(record["tangled"] for record in good))]
        line += [f"{middle[key]:.3f}" for key in ("spread", "relative_spread")]
        line += [f"{middle['jacobian']:.2f}", f"{middle['shape']:.2f}", f"{1e3 * middle['seconds']:.0f}"]
        lines.append(line)
    return lines


def report(found: dict[str, dict[Key, Record]], cases: list[tuple[str, str, Record]], about: dict) -> str:
    """Return the section of the document."""
    count = len(found["none"])
    commits = {record["commit"] for records in found.values() for record in records.values()}
    commits |= {run["commit"] for _, _, comparison in cases for run in comparison["runs"].values()}
    header = ["mover", "L2: median (quartiles)", "> 0", f"≥ {RIVAL}", "H1: median (quartiles)", "> 0", f"≥ {RIVAL}"]
    parts = [
        f"Measured by `benchmarks/error_reduction.py` on {about['date']}: {about['cpu']}, {about['cores']} cores, two "
        f"processes of one thread, load {about['load']} at the start; driftmesh {versions()['driftmesh']}, commit "
        f"{', '.join(sorted(map(str, commits)))}. "
        "Error reduction (ER) is 1 less the error over that without moving, in %.",
        f"### Polygons\n\n{count // len(PROBLEMS)} random polygons of {NODES[0]} to {NODES[1]:,} vertices, half of "
        "them with holes; on each Poisson's and Helmholtz' equation (−Δu + u = f), P1, each with another random exact "
        "solution of one to three Gaussians, rings of tanh, or fronts, 2 cells to a fifth of the domain thick. One "
        "solve, one move, one solve; the monitor function is the Hessian's with its defaults, of the solution on the "
        "unmoved mesh. All movers with their defaults, new for each move; *drift, integral* equidistributes m|K| "
        "instead of m|K|/|K_c|. None of the seeds is one of training. Most of the polygons are not convex, which "
        "Monge-Ampère asks for: see how its moves ended. *> 0* and *≥* are shares of the problems in %.",
        table(header, rows(found, lambda _: True)),
    ]
    for problem in PROBLEMS:
        for kind, title in KINDS.items():
            chosen = rows(found, lambda record, p=problem, k=kind: (record["problem"], record["kind"]) == (p, k))  # type: ignore[misc]
            parts += [f"{problem.capitalize()}, polygons {title}:", table(header, chosen)]
    header = ["mover", "done", "limited", "not converged", "failed", "inverted cells", "std/mean of m\\|K\\|"]
    header += ["of m\\|K\\|/\\|K_c\\|", "scaled Jacobian, 1 %", "shape", "time [ms]"]
    parts += [
        "How the moves ended, and medians of the moved meshes and of the time of a move, what has to be prepared for "
        "a new mesh included; *shape* is the mean over the cells of their deviation from that of the computational "
        "cell, 1 for none:",
        table(header, meshes(found)),
    ]
    header = ["case", *IN_RUNS, "inverted"]
    lines = []
    for case, variant, comparison in cases:
        runs = comparison["runs"]
        for quantity, when in (("error", "end"), ("error_half", "half")):
            values = [runs[name]["metrics"].get(f"{quantity}_reduction_pct") for name in IN_RUNS]
            tangled = sum(runs[name]["metrics"].get("tangled_moves") or 0 for name in IN_RUNS)
            # A run that ends at half time has one error.
            ended = quantity == "error_half" and "t_end" in variant
            if any(value is not None for value in values) and not ended:
                title = f"{case}, {variant.replace(' ', ', ')}: {when}"
                lines.append([title, *("failed" if v is None else f"{v:.1f}" for v in values), str(tangled)])
    seconds = []
    for name in ("none", *IN_RUNS):
        runs = [comparison["runs"][name] for _, _, comparison in cases]
        parts_of = [np.median([run.get(f"{part}_s", 0.0) for run in runs]) for part in ("wall", "solver", "mover")]
        moves = np.median([run["moves"] for run in runs])
        seconds.append([name, f"{moves:.0f}", *(f"{value:.1f}" for value in parts_of)])
    parts += [
        "### Running solves\n\nThe cases `burgers` and `swirl` as `driftmesh compare` runs them, against their exact "
        "solutions in L2: ER in % at the end and at half time; the mesh moves as the case's defaults have it.",
        table(header, lines),
        "Medians over these runs:",
        table(["mover", "moves", "wall [s]", "solver [s]", "mover [s]"], seconds),
    ]
    return "\n\n".join(parts)


def main() -> None:
    """Measure what has not been measured, and write the section when all is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=POLYGONS, help="first so many polygons; fewer than all: print")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--again", default="", help="movers to be measured again, separated by ;")
    options = parser.parse_args()
    again = [name.strip() for name in options.again.split(";") if name.strip()]
    about = machine()
    run_polygons(options.problems, RECORDS, options.processes, again)
    found = read_records(RECORDS, options.problems)
    if options.problems < POLYGONS:
        for line in (*rows(found, lambda _: True), *meshes(found)):
            print(" | ".join(line))
        return
    cases = run_cases(RUNS, options.processes, [name for name in again if name in IN_RUNS])
    replace_section(DOCUMENT, "error-reduction", report(found, cases, about))


if __name__ == "__main__":
    main()
