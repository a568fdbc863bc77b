"""Compare driftmesh with ANUGA on the Monai Valley tsunami: time at equal error, on one thread.

    python benchmarks/monai.py            # `make benchmark` sets up driftmesh first; 20 to 30 minutes

Both codes run one after another as commands of their own, each size several times in turn; the fastest
counts. The error of a run is the rms difference, over 0 to 22.5 s at the gauges ch5, ch7, ch9, to a finer
run of the same code: the rms to the laboratory saturates at the error of the equations and tells no mesh
from another.

ANUGA gets an environment of its own, made once (``--anuga-venv``). The fine runs are kept in ``--work`` and
used again: ANUGA's for its version, driftmesh's as long as its solver's sources are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from benchmark_document import DOCUMENT, ROOT, machine, replace_section, warn_if_busy
from monai_analysis import Record, Run, results
from monai_codes import Anuga, Driftmesh, fresh

from cases.monai_data import load_monai

SHORT = 0.05  # s of simulated time, for runs that only fill or measure caches


def reference(code: Anuga | Driftmesh, given: str, work: Path, t_end: float) -> Run:
    """Return the fine run of a code: a path to one that exists, or a size, run once and kept."""
    out = Path(given)
    if not out.exists():
        out = work / "references" / f"{code.key(given)}-{t_end:g}s"
        if (out / "complete").exists():
            print(f"{code.name} reference {given}: {out} is there", flush=True)
        else:
            print(f"{code.name} reference {given}: running into {out}", flush=True)
            cost = code.run(given, fresh(out), t_end)
            (out / "complete").write_text(f"{cost.wall}\n")
            print(f"{code.name} reference {given}: {cost.wall:.1f} s", flush=True)
    found = code.read(out)
    if found.record.times[-1] < t_end * (1 - 1e-9):
        end = f"{found.record.times[-1]:g} s"
        raise SystemExit(f"reference: got {out}, which ends at {end}, expected {t_end:g} s; name another one")
    label = given if out != Path(given) else out.stem
    return Run(code.name, label, found.cells, found.steps, found.record, [found.loop], [found.solver])


def start_up(code: Driftmesh, size: str, work: Path) -> dict[str, float]:
    """Return the seconds of a very short run with empty caches of compiled code, and of the same again."""
    caches = fresh(work / "cold-caches")
    names = ("PYOP2_CACHE_DIR", "FIREDRAKE_TSFC_KERNEL_CACHE_DIR", "XDG_CACHE_HOME")
    places = {name: str(caches / name.lower()) for name in names}
    print("driftmesh: a very short run with empty compile caches, and again", flush=True)
    cold, warm = (code.run(size, fresh(work / "runs" / "start-up"), SHORT, places).wall for _ in range(2))
    shutil.rmtree(caches)
    return {"simulated_s": SHORT, "cold_s": cold, "warm_s": warm}


def measure(jobs: Iterable[tuple[Anuga | Driftmesh, str]], repeats: int, work: Path, t_end: float) -> list[Run]:
    """Run all sizes in turn, ``repeats`` times over, so that a slow spell of the machine meets every size."""
    runs: dict[tuple[str, str], Run] = {}
    for repeat in range(repeats):
        for code, size in jobs:
            out = fresh(work / "runs" / f"{code.name}-{size}")
            cost = code.run(size, out, t_end)
            found = code.read(out)
            new = Run(code.name, size, found.cells, found.steps, found.record)
            run = runs.setdefault((code.name, size), new)
            run.loop.append(found.loop)
            run.solver.append(found.solver)
            run.whole.append(cost.wall)
            run.cpu.append(cost.cpu)
            run.memory.append(cost.memory)
            what = f"{repeat + 1}/{repeats} {code.name:9} {size:>7}: {run.cells:6} cells {run.steps:5} steps"
            took = f"time loop {found.loop:7.2f} s  command {cost.wall:7.2f} s (cpu {cost.cpu:7.2f} s)"
            print(f"{what}  {took}  {cost.memory:4.0f} MiB", flush=True)
    return list(runs.values())


def main() -> None:
    """Parse the arguments, run everything, write the results and the document."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add, venv, runs = parser.add_argument, cache / "driftmesh" / "anuga", ROOT / "results/benchmarks/monai"
    add(
        "--anuga",
        default="30x19,55x34,78x48,110x68",
        help="ANUGA's sizes, rectangles [%(default)s]",
    )
    add("--driftmesh", default="0.28,0.2,0.14,0.1,0.07,0.05", help="driftmesh's resolutions, m [%(default)s]")
    add("--reference-anuga", default="220x136", metavar="SIZE|NPZ", help="ANUGA's fine run [%(default)s]")
    add("--reference-driftmesh", default="0.025", metavar="SIZE|FOLDER", help="driftmesh's [%(default)s]")
    add("--repeats", type=int, default=3, help="timings of each size; the fastest counts [%(default)s]")
    add("--t-end", type=float, default=22.5, help="simulated time, s [%(default)s]")
    add("--work", type=Path, default=runs, help="folder for runs and results [%(default)s]")
    add("--anuga-venv", type=Path, default=venv, help="ANUGA's environment [%(default)s]")
    add("--document", type=Path, default=DOCUMENT, help="Markdown file to write into [%(default)s]")
    arguments = parser.parse_args()
    work, t_end = arguments.work.resolve(), arguments.t_end
    work.mkdir(parents=True, exist_ok=True)
    found = machine()
    warn_if_busy(found)

    data = load_monai()
    np.savez(work / "monai.npz", **{k: v for k, v in vars(data).items() if isinstance(v, np.ndarray)})
    anuga, driftmesh = Anuga(arguments.anuga_venv.expanduser().absolute(), work), Driftmesh()
    sizes = {anuga: arguments.anuga.split(","), driftmesh: arguments.driftmesh.split(",")}

    references = {
        "ANUGA": reference(anuga, arguments.reference_anuga, work, t_end),
        "driftmesh": reference(driftmesh, arguments.reference_driftmesh, work, t_end),
    }
    cold = start_up(driftmesh, sizes[driftmesh][0], work)
    for code, chosen in sizes.items():  # files and compiled code come from caches in all that is timed
        code.run(chosen[0], fresh(work / "runs" / "warm-up"), SHORT)
    runs = measure([(code, size) for code in sizes for size in sizes[code]], arguments.repeats, work, t_end)

    if Driftmesh().sources != driftmesh.sources:
        raise SystemExit("driftmesh's sources changed during the runs: these are not of one code; run it again")

    # matplotlib only now: a command's peak memory is never less than that of the process that starts it
    from monai_report import draw, section

    versions = {"ANUGA": anuga.versions, "driftmesh": driftmesh.versions}
    content = results(runs, references, Record(data.laboratory_time, data.laboratory_elevation), t_end)
    content |= {"machine": found, "versions": versions, "start_up": cold, "repeats": arguments.repeats}
    (work / "monai.json").write_text(json.dumps(content, indent=2) + "\n")
    figure = arguments.document.parent / "figures" / "monai_benchmark.png"
    draw(content, figure)
    replace_section(arguments.document, "monai", section(content, figure.relative_to(arguments.document.parent)))
    print(f"results: {work / 'monai.json'}\ntables: {arguments.document}\nfigure: {figure}")


if __name__ == "__main__":
    main()
