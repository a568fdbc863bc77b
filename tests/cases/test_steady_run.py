"""Runs without time: what they leave, what a comparison makes of them, going on, failures, two ranks."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from firedrake import COMM_WORLD, Function
from firedrake.exceptions import ConvergenceError
from run_files import by_place, maps, run_json

from cases.checkpoint import load_checkpoint
from cases.compare import CompareRequest, compare
from cases.elliptic.darcy import DarcyCase
from cases.run import RunRequest, execute
from cases.steady_simulation import SteadySimulation
from meshing.mover import Displacement, Mover

MOVERS = ("none", "mmpde", "monge-ampere")
DARCY = ("resolution=8", "steepness=5", "rounds=2", "least_gain=0")
RUN_KEYS = {
    "case", "mover", "status", "config", "seed", "ranks", "versions", "commit", "cells", "dofs", "steps", "moves",
    "wall_s", "solver_s", "mover_s", "monitor_s", "transfer_s", "io_s", "peak_rss_mb", "metrics",
}  # fmt: skip


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, which take longer than the runs do."""
    monkeypatch.setattr("cases.steady_figures.write_steady_figures", lambda *_, **__: [])


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a comparison of movers, to be read only."""
    out = tmp_path_factory.mktemp("steady") / "compare"
    assert compare(CompareRequest("darcy", MOVERS, DARCY, out=out), quiet=True) == "done"
    return out


# -- what a run leaves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mover", MOVERS)
def test_numbers(mover: str, compared: Path) -> None:
    run = run_json(compared / mover)
    metrics = run["metrics"]
    assert run.keys() >= RUN_KEYS
    # The head of each cell, and the flux through each edge.
    assert (run["cells"], run["dofs"]) == (2 * 8**2, 2 * 8**2 + 2 * 8 * 9 + 8**2)
    assert (run["moves"], run["steps"]) == ((0, 1) if mover == "none" else (2, 3))
    assert metrics["stopped"] == "rounds" and metrics["tangled_moves"] == 0
    estimates = [one["estimate"] for one in metrics["rounds"]]
    best = metrics["best_round"]
    assert best == int(np.argmin(estimates))
    assert (metrics["estimate"], metrics["error"]) == (estimates[best], metrics["rounds"][best]["error"])
    parts = [run[f"{part}_s"] for part in ("solver", "mover", "io")]
    assert sum(parts) <= run["wall_s"] and run["solver_s"] > 0.0 and (run["mover_s"] > 0.0) == (mover != "none")


@pytest.mark.parametrize("mover", MOVERS)
def test_every_file_is_there(mover: str, compared: Path) -> None:
    out = compared / mover
    for name in ("run.json", "config.toml", "fields.pvd", "report.html", "checkpoint.h5"):
        assert (out / name).stat().st_size > 0
    figures = {file.name for file in (out / "figures").iterdir()}
    assert figures == {"meshes.png"} | ({"rounds.png"} if mover != "none" else set())
    entries = ElementTree.parse(out / "fields.pvd").getroot().findall("./Collection/DataSet")
    times = [float(entry.attrib["timestep"]) for entry in entries]
    assert all((out / entry.attrib["file"]).stat().st_size > 0 for entry in entries)
    assert times == [float(shot["time"]) for shot in maps(out)]
    # Each round that was gone on from, and the best.
    run = run_json(out)
    assert times == sorted({*range(run["steps"] - 1), run["metrics"]["best_round"]})


def test_the_report_has_quantities_beside_what_is_known(compared: Path) -> None:
    page = (compared / "mmpde" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    for words in ("Quantities", "most water lost in a cell", "exact in every cell, to rounding", "published or exact"):
        assert words in page
    lost = run_json(compared / "mmpde")["metrics"]["quantities"]["most water lost in a cell"]
    assert f'value="{lost["value"]!r}"' in page and lost["published"] == 0.0


def test_maps_hold_what_was_solved_on_their_meshes(compared: Path) -> None:
    """A head of one value for each cell, on meshes that differ."""
    shots = maps(compared / "mmpde")
    assert str(shots[0]["label"]) == "head [m]"
    for shot, other in pairwise(shots):
        assert np.abs(shot["points"] - other["points"]).max() > 0.01
    for shot in shots:
        u = shot["u"].reshape(-1, 3)
        np.testing.assert_allclose(u, u[:, :1].repeat(3, axis=1), rtol=0, atol=1e-12)
        # The head of the front is between -1 and 1, and is near the exact one on the whole.
        centres = shot["points"].reshape(-1, 3, 2).mean(axis=1)
        exact = np.tanh(5.0 * (((centres - [0.3, 0.4]) ** 2).sum(axis=1) - 0.16))
        assert np.abs(u[:, 0] - exact).mean() < 0.1


def test_a_comparison(compared: Path) -> None:
    content = json.loads((compared / "compare.json").read_text())
    assert list(content["runs"]) == list(MOVERS)
    fixed = content["runs"]["none"]["metrics"]["error"]
    for mover, run in content["runs"].items():
        reduction = 100.0 * (1.0 - run["metrics"]["error"] / fixed)
        assert run["metrics"]["error_reduction_pct"] == pytest.approx(reduction)
        assert f"| {mover} |" in (compared / "compare.md").read_text()
    assert "most water lost in a cell" in (compared / "compare.md").read_text()
    assert (compared / "compare.png").read_bytes().startswith(b"\x89PNG\r\n")


# -- going on -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rounds", [1, 2])
@pytest.mark.parametrize("mover", MOVERS[1:])
def test_a_run_that_is_stopped_goes_on_exactly(
    mover: str, rounds: int, compared: Path, driftmesh, no_pictures, monkeypatch, tmp_path: Path
) -> None:
    save, saved = SteadySimulation._save, 0

    def stop(self) -> None:
        nonlocal saved
        save(self)
        saved += 1
        self._stop_requested = saved == rounds

    with monkeypatch.context() as patch:
        patch.setattr(SteadySimulation, "_save", stop)
        request = RunRequest("darcy", mover=mover, assignments=DARCY, out=tmp_path / "parts")
        assert execute(request, quiet=True) == "interrupted"
    stopped = run_json(tmp_path / "parts")
    assert (stopped["status"], stopped["moves"]) == ("interrupted", rounds - 1)
    outcome = driftmesh("run", "darcy", "--resume", "--out", "parts")
    assert (outcome.code, outcome.err) == (0, "")
    _assert_same_run(compared / mover, tmp_path / "parts")


def test_a_finished_run_that_goes_on_stays_as_it_is(compared: Path, driftmesh, no_pictures, tmp_path: Path) -> None:
    shutil.copytree(compared / "mmpde", tmp_path / "again")
    assert driftmesh("run", "darcy", "--resume", "--out", "again").code == 0
    _assert_same_run(compared / "mmpde", tmp_path / "again")


def _assert_same_run(whole: Path, parts: Path) -> None:
    """Assert that two folders hold the same rounds, maps and end."""
    one, other = run_json(whole), run_json(parts)
    for key in ("status", "mover", "config", "cells", "dofs", "steps", "moves"):
        assert one[key] == other[key], key
    assert other["metrics"] == one["metrics"]
    for first, second in zip(maps(whole), maps(parts), strict=True):
        assert float(first["time"]) == float(second["time"])
        np.testing.assert_allclose(by_place(second), by_place(first), rtol=0, atol=1e-13)
    ends = [load_checkpoint(out, COMM_WORLD) for out in (whole, parts)]
    np.testing.assert_array_equal(*(end.mesh.coordinates.dat.data_ro for end in ends))


# -- failures -------------------------------------------------------------------------------------------------------


class Failing(Mover):
    """Give places that are no numbers."""

    def displacement(self, mesh, monitor) -> Displacement:
        function = Function(mesh.coordinates.function_space())
        function.dat.data_wo[0] = np.nan
        return Displacement(function)


def test_a_mover_that_fails(monkeypatch, compared: Path, driftmesh, no_pictures, tmp_path: Path) -> None:
    """The run is that on the fixed mesh, and says why."""
    monkeypatch.setattr("cases.steady_simulation.get_mover", lambda _: Failing())
    words = [word for option in DARCY for word in ("--set", option)]
    outcome = driftmesh("run", "darcy", "--mover", "mmpde", *words, "--out", "run")
    assert outcome.code == 0 and "the mover has failed; the mesh is that of round 0" in outcome.out
    run, fixed = run_json(tmp_path / "run"), run_json(compared / "none")
    assert (run["moves"], run["metrics"]["stopped"]) == (0, "mover")
    assert run["metrics"]["error"] == fixed["metrics"]["error"]
    assert outcome.out.count("round 0:") == 1 and len(maps(tmp_path / "run")) == 1


def _fail_after(solves: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the solver diverge after so many solves."""
    solve, done = DarcyCase.solve, 0

    def sometimes(self, options, mesh, start):
        nonlocal done
        done += 1
        if done > solves:
            raise ConvergenceError("the solver has diverged")
        return solve(self, options, mesh, start)

    monkeypatch.setattr(DarcyCase, "solve", sometimes)


def test_a_solver_that_fails_at_once(monkeypatch, driftmesh, tmp_path: Path) -> None:
    _fail_after(0, monkeypatch)
    outcome = driftmesh("run", "darcy", "--set", "resolution=8", "--out", "run")
    assert outcome.code == 3 and "Traceback" not in outcome.err
    assert "the solver has failed: the solver has diverged" in outcome.out
    assert run_json(tmp_path / "run")["status"] == "failed"
    assert "failed" in (tmp_path / "run" / "report.html").read_text()


def test_a_solver_that_fails_on_a_moved_mesh(monkeypatch, compared: Path, driftmesh, tmp_path: Path) -> None:
    """The mesh before is put back, and the run is done: there is a solution."""
    _fail_after(2, monkeypatch)
    words = [word for option in DARCY for word in ("--set", option)]
    outcome = driftmesh("run", "darcy", "--mover", "mmpde", *words, "--out", "run")
    assert outcome.code == 0 and "the solver has failed on a moved mesh; the mesh is that of round 1" in outcome.out
    run, whole = run_json(tmp_path / "run"), run_json(compared / "mmpde")
    assert (run["moves"], run["metrics"]["stopped"]) == (1, "solver")
    assert run["metrics"]["rounds"] == whole["metrics"]["rounds"][:2]


# -- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("rounds=-1", "got -1, expected greater than or equal to 0; most moves; each is followed by a solve"),
        ("least_gain=2", "got 2, expected less than or equal to 1; share by which the estimated error has to fall "),
        ("tolerance=-0.5", "got -0.5, expected greater than or equal to 0; estimated error at which to stop; 0 for "),
    ],
)
def test_options_out_of_bounds(assignment: str, message: str, driftmesh, tmp_path: Path) -> None:
    outcome = driftmesh("run", "darcy", "--set", assignment, "--out", "new")
    assert outcome.code == 2 and not (tmp_path / "new").exists()
    assert outcome.error_line.startswith(f"driftmesh: option {assignment.partition('=')[0]}: {message}")


# -- in parallel ------------------------------------------------------------------------------------------------------


@pytest.mark.parallel
def test_two_ranks_compute_what_one_computes(compared: Path, mpiexec, tmp_path: Path) -> None:
    words = [word for option in DARCY for word in ("--set", option)]
    outcome = mpiexec(2, ["driftmesh", "run", "darcy", "--mover", "mmpde", *words, "--out", tmp_path])
    assert (outcome.code, outcome.err) == (0, "")
    one, two = run_json(compared / "mmpde"), run_json(tmp_path)
    assert (one["ranks"], two["ranks"]) == (1, 2)
    for key in ("status", "cells", "dofs", "steps", "moves"):
        assert one[key] == two[key], key
    for number, of_two in enumerate(two["metrics"]["rounds"]):
        assert of_two == pytest.approx(one["metrics"]["rounds"][number], rel=1e-8)
    assert two["metrics"]["quantities"]["most water lost in a cell"]["value"] < 1e-13
    for shots in zip(maps(compared / "mmpde"), maps(tmp_path), strict=True):
        np.testing.assert_allclose(by_place(shots[1]), by_place(shots[0]), rtol=0, atol=1e-7)
