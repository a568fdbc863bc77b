"""The two codes of the Monai comparison as commands: how to install, run and read each."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmark_document import ROOT
from monai_analysis import Record, read_anuga, read_driftmesh

ANUGA_VERSION = "4.1.0"
GAUGE_INTERVAL = 0.05  # s, of both codes
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
SOLVER_SOURCES = ("fem/*.py", "cases/monai.py", "cases/monai_data.py", "cases/data/monai.nc")


@dataclass(frozen=True)
class Cost:
    """What a command took, measured from outside: seconds, processor seconds, peak memory [MiB]."""

    wall: float
    cpu: float
    memory: float


@dataclass(frozen=True)
class Outcome:
    """What a run left: gauge record, size, seconds of the time loop and of the time steps in it."""

    record: Record
    cells: int
    steps: int
    loop: float
    solver: float


def call(command: list[str], log: Path, extra: dict[str, str] | None = None) -> Cost:
    """Run a command on one thread, its output in a log; a failure ends the benchmark and names the log."""
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
        log = work / "anuga-install.log"
        if not self.python.exists():
            print(f"ANUGA: making an environment for it, {venv}", flush=True)
            call([sys.executable, "-m", "venv", str(venv)], log)
        if not self._installed():
            print(f"ANUGA: installing anuga=={ANUGA_VERSION} into it (a minute or two)", flush=True)
            call([str(self.python), "-m", "pip", "install", f"anuga=={ANUGA_VERSION}"], log)
        found = self._installed()
        if found.get("anuga") != ANUGA_VERSION:
            got = found.get("anuga", "none")
            sys.exit(f"ANUGA: got version {got} in {venv}, expected {ANUGA_VERSION}; remove that folder")
        self.versions = found
        print(f"ANUGA {ANUGA_VERSION} in {venv}", flush=True)

    def _installed(self) -> dict[str, str]:
        """Return the versions of anuga and numpy in its environment; empty when anuga is not there."""
        ask = "from importlib.metadata import version as v; print(v('anuga'), v('numpy'))"
        answer = subprocess.run([str(self.python), "-c", ask], capture_output=True, text=True)
        return dict(zip(("anuga", "numpy"), answer.stdout.split(), strict=False))

    def key(self, size: str) -> str:
        """Return what a stored run of this size depends on."""
        return f"anuga-{ANUGA_VERSION}-{size}"

    def run(self, size: str, out: Path, t_end: float, extra: dict[str, str] | None = None) -> Cost:
        """Run one size into a folder."""
        nx, ny = size.split("x")
        script = Path(__file__).with_name("anuga_monai.py")
        command = [str(self.python), str(script), "--nx", nx, "--ny", ny, "--final-time", str(t_end)]
        return call([*command, "--data", str(self.data), "--out", str(out / "run.npz")], out / "log.txt", extra)

    def read(self, out: Path) -> Outcome:
        """Read a run folder or npz; steps and gauges are not told apart in time."""
        record, summary = read_anuga(out if out.is_file() else out / "run.npz")
        seconds = summary["wall_seconds"]
        return Outcome(record, summary["triangles"], summary["steps"], seconds, seconds)


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

    def read(self, out: Path) -> Outcome:
        """Read a run folder."""
        record, run = read_driftmesh(out)
        self.versions = {**run["versions"], "commit": str(run["commit"])}
        return Outcome(record, run["cells"], run["steps"], run["metrics"]["loop_s"], run["solver_s"])


def fresh(folder: Path) -> Path:
    """Return a folder of the benchmark's own, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
