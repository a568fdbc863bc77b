"""Compare driftmesh with ANUGA on the Monai Valley tsunami: time at equal error, on one thread.

    python benchmarks/monai.py            # about 25 minutes; `make benchmark` sets up driftmesh first

Both codes run one after another as commands of their own, each size several times in turn; the fastest counts.
The error of a run is the rms difference, over 0 to 22.5 s at the gauges ch5, ch7, ch9, to a finer run of the
same code: the rms to the laboratory saturates at the error of the equations and tells no mesh from another.

ANUGA gets an environment of its own, made once (``--anuga-venv``). The fine runs are kept in ``--work`` and used
again: ANUGA's for its version, driftmesh's as long as its solver's sources are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmark_document import DOCUMENT, ROOT, machine, warn_if_busy
from monai_analysis import Record, Run, read_anuga, read_driftmesh

from cases.monai_data import load_monai

ANUGA_VERSION = "4.1.0"
GAUGE_INTERVAL = 0.05  # s, of both codes
SHORT = 0.05  # s of simulated time, for runs that only fill or measure caches
THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
SOLVER_SOURCES = ("fem/*.py", "meshing/*.py", "cases/monai.py", "cases/monai_data.py", "cases/data/monai.nc")


@dataclass(frozen=True)
class Cost:
    """What a command took, measured from outside: seconds, processor seconds, peak memory [MiB]."""

    wall: float
    cpu: float
    memory: float


def call(command: list[str], log: Path, extra: dict[str, str] | None = None) -> Cost:
    """Run a command on one thread to its end, its output in a log; a failure ends the benchmark and names it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as sink:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, **THREADS, **(extra or {})},
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended with exit code {process.returncode}; see {log}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


class Anuga:
    """ANUGA in its own environment; a size is ``NXxNY`` rectangles of four triangles each."""

    name = "ANUGA"

    def __init__(self, venv: Path, work: Path):
        self.python, self.work = venv / "bin" / "python", work
        self.data = work / "monai.npz"
        if not self.python.exists():
            print(
                f"ANUGA: making {venv} and installing anuga=={ANUGA_VERSION} into it (a minute or two)",
                flush=True,
            )
            log = work / "anuga-install.log"
            call([sys.executable, "-m", "venv", str(venv)], log)
            call([str(self.python), "-m", "pip", "install", f"anuga=={ANUGA_VERSION}"], log)
        ask = "from importlib.metadata import version as v; print(v('anuga'), v('numpy'))"
        answer = subprocess.run([str(self.python), "-c", ask], capture_output=True, text=True)
        found = dict(zip(("anuga", "numpy"), answer.stdout.split(), strict=False))
        if found.get("anuga") != ANUGA_VERSION:
            got = found.get("anuga", "none that can be read")
            sys.exit(f"ANUGA: got version {got} in {venv}, expected {ANUGA_VERSION}; remove that folder")
        self.versions = found
        print(f"ANUGA {ANUGA_VERSION} in {venv}")

    def key(self, size: str) -> str:
        """Return what a stored run of this size depends on."""
        return f"anuga-{ANUGA_VERSION}-{size}"

    def run(self, size: str, out: Path, t_end: float, extra: dict[str, str] | None = None) -> Cost:
        """Run one size into a folder."""
        nx, ny = size.split("x")
        script = Path(__file__).with_name("anuga_monai.py")
        command = [str(self.python), str(script), "--nx", nx, "--ny", ny, "--final-time", str(t_end)]
        return call(
            [*command, "--data", str(self.data), "--out", str(out / "run.npz")], out / "log.txt", extra
        )

    def read(self, out: Path) -> tuple[Record, int, int, float]:
        """Return record, cells, steps and seconds of the time loop of a run folder or npz."""
        record, summary = read_anuga(out if out.is_file() else out / "run.npz")
        return record, summary["triangles"], summary["steps"], summary["wall_seconds"]


class Driftmesh:
    """driftmesh from this checkout; a size is a resolution in metres."""

    name = "driftmesh"

    def __init__(self):
        sources = sorted(path for pattern in SOLVER_SOURCES for path in ROOT.glob(pattern))
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources))
        self.sources = digest.hexdigest()[:10]
        self.versions: dict[str, str] = {}

    def key(self, size: str) -> str:
        """Return what a stored run of this size depends on."""
        return f"driftmesh-{self.sources}-{size}"

    def run(self, size: str, out: Path, t_end: float, extra: dict[str, str] | None = None) -> Cost:
        """Run one size into a folder."""
        command = [sys.executable, "-m", "cases.cli", "run", "monai", "--out", str(out)]
        for name, value in (("resolution", size), ("t_end", t_end), ("gauge_interval", GAUGE_INTERVAL)):
            command += ["--set", f"{name}={value}"]
        return call(command, out / "log.txt", extra)

    def read(self, out: Path) -> tuple[Record, int, int, float]:
        """Return record, cells, steps and seconds of the time loop of a run folder."""
        record, run = read_driftmesh(out)
        self.versions = {**run["versions"], "commit": str(run["commit"])}
        return record, run["cells"], run["steps"], run["metrics"]["loop_s"]


def fresh(folder: Path) -> Path:
    """Return a folder of the benchmark's own, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


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
    record, cells, steps, loop = code.read(out)
    if record.times[-1] < t_end * (1 - 1e-9):
        sys.exit(
            f"reference: got {out}, which ends at {record.times[-1]:g} s, expected {t_end:g} s; name another one"
        )
    return Run(code.name, given, cells, steps, record, [loop])


def start_up(code: Driftmesh, size: str, work: Path) -> dict[str, float]:
    """Return the seconds of a very short run with empty caches of compiled code, and of the same run again."""
    caches = fresh(work / "cold-caches")
    places = {"FIREDRAKE_CACHE_DIR": str(caches), "XDG_CACHE_HOME": str(caches)}
    print("driftmesh: a very short run with empty compile caches, and again", flush=True)
    cold, warm = (code.run(size, fresh(work / "runs" / "start-up"), SHORT, places).wall for _ in range(2))
    shutil.rmtree(caches)
    return {"simulated_s": SHORT, "cold_s": cold, "warm_s": warm}


def measure(
    jobs: Iterable[tuple[Anuga | Driftmesh, str]], repeats: int, work: Path, t_end: float
) -> list[Run]:
    """Run all sizes in turn, ``repeats`` times over, so that a slow spell of the machine meets every size."""
    runs: dict[tuple[str, str], Run] = {}
    for repeat in range(repeats):
        for code, size in jobs:
            out = fresh(work / "runs" / f"{code.name}-{size}")
            cost = code.run(size, out, t_end)
            record, cells, steps, loop = code.read(out)
            run = runs.setdefault((code.name, size), Run(code.name, size, cells, steps, record))
            for series, value in (
                (run.loop, loop), (run.whole, cost.wall), (run.cpu, cost.cpu), (run.memory, cost.memory)
            ):  # fmt: skip
                series.append(value)
            print(
                f"{repeat + 1}/{repeats} {code.name:9} {size:>7}: {cells:6} cells {steps:5} steps  time loop {loop:7.2f} s"
                f"  command {cost.wall:7.2f} s (cpu {cost.cpu:7.2f})  {cost.memory:4.0f} MiB", flush=True,
            )  # fmt: skip
    return list(runs.values())


def main() -> None:
    """Parse the arguments, run everything, write the results and the document."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add(
        "--anuga",
        default="30x19,55x34,78x48,110x68",
        help="ANUGA's sizes, rectangles along x and y [%(default)s]",
    )
    add(
        "--driftmesh",
        default="0.28,0.2,0.14,0.1,0.07,0.05",
        help="driftmesh's resolutions in m [%(default)s]",
    )
    add("--reference-anuga", default="220x136", metavar="SIZE|NPZ", help="ANUGA's fine run [%(default)s]")
    add(
        "--reference-driftmesh",
        default="0.035",
        metavar="SIZE|FOLDER",
        help="driftmesh's fine run [%(default)s]",
    )
    add("--repeats", type=int, default=3, help="timings of each size; the fastest counts [%(default)s]")
    add("--t-end", type=float, default=22.5, help="simulated time in s [%(default)s]")
    add(
        "--work",
        type=Path,
        default=ROOT / "results" / "benchmarks" / "monai",
        help="folder for runs [%(default)s]",
    )
    add(
        "--anuga-venv",
        type=Path,
        default=cache / "driftmesh" / "anuga",
        help="ANUGA's environment [%(default)s]",
    )
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

    cold = start_up(driftmesh, sizes[driftmesh][0], work)
    for code, chosen in sizes.items():  # files and compiled code come from caches in all that is timed
        code.run(chosen[0], fresh(work / "runs" / "warm-up"), SHORT)
    runs = measure([(code, size) for code in sizes for size in sizes[code]], arguments.repeats, work, t_end)
    references = {
        "ANUGA": reference(anuga, arguments.reference_anuga, work, t_end),
        "driftmesh": reference(driftmesh, arguments.reference_driftmesh, work, t_end),
    }

    from monai_report import (
        draw,
        results,
        section,
    )  # matplotlib after the runs: their memory counts from ours
    from benchmark_document import replace_section  # isort: skip

    versions = {"ANUGA": anuga.versions, "driftmesh": driftmesh.versions}
    content = results(runs, references, Record(data.laboratory_time, data.laboratory_elevation), t_end)
    content |= {"machine": found, "versions": versions, "start_up": cold, "repeats": arguments.repeats}
    (work / "monai.json").write_text(json.dumps(content, indent=2) + "\n")
    figure = arguments.document.parent / "figures" / "monai_benchmark.png"
    draw(content, figure)
    replace_section(
        arguments.document, "monai", section(content, figure.relative_to(arguments.document.parent))
    )
    print(f"results: {work / 'monai.json'}\ntables: {arguments.document}\nfigure: {figure}")


if __name__ == "__main__":
    main()
