"""Fixtures that give the command line: in this process, in a process of its own, under mpiexec."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray
from hypothesis import settings

# The same examples every time: a test that fails here fails everywhere.
settings.register_profile("driftmesh", derandomize=True, deadline=None)
settings.load_profile("driftmesh")

# PETSc reads pytest's arguments too and would say at the end which of them it has no use for.
os.environ["PETSC_OPTIONS"] = "-options_left no " + os.environ.get("PETSC_OPTIONS", "")

# As our commands do, see cases.cli.
os.environ["SCOTCH_PTHREAD_NUMBER"] = "1"

BIN = Path(sys.executable).parent
# Set by MPI in any process that has started it, this one included; they would confuse a new mpiexec.
MPI_PREFIXES = ("OMPI_", "PMIX_", "PMI_", "ORTE_", "OPAL_", "PRTE_")
# Only for what hangs: a machine may be busy.
PROCESS_SECONDS = 300
# The smallest Monai run: some hundred cells, through the wave's way but not up the shore.
SMALL = ("--set", "resolution=0.4", "--set", "t_end=4", "--set", "output_interval=1")


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error_line(self) -> str:
        """The one line on standard error; fails if there are more, or none."""
        lines = self.err.splitlines()
        assert len(lines) == 1, f"expected one line on standard error, got:\n{self.err}"
        assert lines[0].startswith("driftmesh: ")
        return lines[0]


def clean_environment() -> dict[str, str]:
    """Return the environment without what MPI has put into it, one thread a process, a plain terminal."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(MPI_PREFIXES)}
    for name in ("FORCE_COLOR", "PETSC_OPTIONS"):
        kept.pop(name, None)
    return kept | {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMP_NUM_THREADS": "1",
        # A rank that waits leaves its core to others: tests run beside each other.
        "OMPI_MCA_mpi_yield_when_idle": "1",
        "COLUMNS": "80",
    }


def start(arguments: list[str | Path], cwd: Path, seconds: float = PROCESS_SECONDS) -> Outcome:
    """Run a command to its end; one that hangs fails the test."""
    done = subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def driftmesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Call the command line in this process, in an empty folder: ``driftmesh("run", "monai") -> Outcome``."""
    from cases.cli import main

    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["driftmesh", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as exit:
            main()
        written = capfd.readouterr()
        assert isinstance(exit.value.code, int)
        return Outcome(exit.value.code, written.out, written.err)

    return call


@pytest.fixture
def driftmesh_process(tmp_path: Path) -> Callable[..., Outcome]:
    """Start the installed command: ``driftmesh_process("run", "monai") -> Outcome``."""

    def call(*arguments: str | Path) -> Outcome:
        return start([BIN / "driftmesh", *arguments], tmp_path)

    return call


@pytest.fixture(scope="session")
def mpiexec() -> Callable[..., Outcome]:
    """Start a command on several ranks: ``mpiexec(2, ["driftmesh", "run", "monai"]) -> Outcome``."""
    launcher = shutil.which("mpiexec")
    assert launcher, "got no mpiexec in PATH, expected the MPI of the environment; run `make env`"

    def call(ranks: int, arguments: list[str | Path], seconds: float = PROCESS_SECONDS) -> Outcome:
        program, *rest = arguments
        if str(program) == sys.executable and str(rest[0]).endswith(".py"):
            rest = [Path(__file__).with_name("ranks.py"), *rest]
        found = BIN / str(program)
        command = [launcher, "--oversubscribe", "--bind-to", "none", "-n", str(ranks)]
        return start([*command, found if found.is_file() else program, *rest], Path.cwd(), seconds)

    return call


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out of runs, which take longer than the runs do."""
    monkeypatch.setattr("cases.figures.write_figures", lambda *_, **__: [])


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished small Monai run; to be read only."""
    from cases.run import RunRequest, execute

    out = tmp_path_factory.mktemp("small") / "run"
    assert execute(RunRequest("monai", assignments=SMALL[1::2], out=out), quiet=True) == "done"
    return out


@pytest.fixture
def small_run_copy(small_run: Path, tmp_path: Path) -> Path:
    """Return a copy of the small run, to be spoilt."""
    return shutil.copytree(small_run, tmp_path / "copy")


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """Return the arguments of the small Monai run."""
    return SMALL


@pytest.fixture(scope="session")
def files() -> Callable[[Path], dict[str, bytes]]:
    """Return the function that reads every file below a folder: ``files(folder) -> {name: content}``."""

    def read(folder: Path) -> dict[str, bytes]:
        return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}

    return read


@pytest.fixture(scope="session")
def same_gauges() -> Callable[..., None]:
    """Return the comparison of two runs' gauges: ``same_gauges(folder, folder, tolerance)``, bit-equal by default."""

    def compare(one: Path, other: Path, tolerance: float = 0.0) -> None:
        first, second = (
            xarray.load_dataset(out / "gauges.nc", engine="h5netcdf", decode_times=False) for out in (one, other)
        )
        np.testing.assert_array_equal(first["time"].values, second["time"].values)
        for name in ("elevation", "discharge_x", "discharge_y"):
            assert np.abs(first[name].values).max() > 0
            np.testing.assert_allclose(second[name].values, first[name].values, rtol=0, atol=tolerance)

    return compare
