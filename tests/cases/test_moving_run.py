"""A run on a moving mesh: what it leaves, that it goes on exactly, and that a mover's failure never stops it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from firedrake import COMM_SELF, COMM_WORLD, Function
from firedrake.exceptions import ConvergenceError
from firedrake.petsc import PETSc
from run_files import run_json
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridReader

from cases.checkpoint import load_checkpoint
from cases.moving import run_movers
from cases.run import RunRequest, execute
from fem.remap import RemapTransfer
from meshing.mover import Displacement, Mover, NoMove
from meshing.simplex import simplex_volumes

# The wave reaches the islet and begins to flood it.
WAVE = ("resolution=0.4", "t_end=13", "output_interval=3", "checkpoint_interval=5", "move_every=15")
MOVERS = ("mmpde", "monge-ampere")
# What of a checkpoint measures the run, and is not what it computes.
TIMES = {"solver_s", "io_s", "loop_s", "mover_s", "monitor_s", "transfer_s", "overhead_s", "overhead_moves"}


def _maps(out: Path) -> list[dict[str, np.ndarray]]:
    return [dict(np.load(file)) for file in sorted((out / "maps").glob("[0-9]*.npz"))]


def _sorted_rows(rows: np.ndarray) -> np.ndarray:
    return rows[np.lexsort(rows.T)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folders of finished runs by mover, the first one with its figures and a film."""
    folder = tmp_path_factory.mktemp("moving")
    for mover in MOVERS:
        with pytest.MonkeyPatch.context() as patch:
            if mover != MOVERS[0]:
                patch.setattr("cases.figures.write_figures", lambda *_, **__: [])
            request = RunRequest(
                "monai", mover=mover, assignments=WAVE, out=folder / mover, animation=mover == MOVERS[0]
            )
            assert execute(request, quiet=True) == "done"
    return {mover: folder / mover for mover in MOVERS}


# -- what a run leaves ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mover", MOVERS)
def test_numbers_of_the_moves(mover: str, runs: dict[str, Path]) -> None:
    run = run_json(runs[mover])
    metrics = run["metrics"]
    assert run["mover"] == mover
    assert run["moves"] == run["steps"] // 15 > 10
    assert metrics["mass_drift_rel"] <= 1e-12
    assert (metrics["tangled_moves"], metrics["failed_moves"], metrics["skipped_moves"]) == (0, 0, 0)
    assert 0.0 < metrics["min_jacobian_ratio"] < 1.0
    assert 0.0 < abs(metrics["bed_offset"]) < 1e-3
    assert metrics["overhead_steps"] > 0.0
    parts = [run[f"{part}_s"] for part in ("solver", "mover", "monitor", "transfer", "io")]
    assert min(parts) > 0.0 and sum(parts) <= run["wall_s"]


@pytest.mark.parametrize("mover", MOVERS)
def test_maps_have_their_own_meshes(mover: str, runs: dict[str, Path]) -> None:
    maps, cells = _maps(runs[mover]), np.load(runs[mover] / "maps" / "mesh.npz")["cells"]
    signs = [np.sign(simplex_volumes(shot["points"], cells)) for shot in maps]
    for shot, other, sign in zip(maps, maps[1:], signs, strict=False):
        assert np.abs(shot["points"] - other["points"]).max() > 0.01
        assert (sign == signs[0]).all() and (sign != 0).all()
        np.testing.assert_allclose(simplex_volumes(other["points"], cells) @ signs[0], 5.488 * 3.402, rtol=1e-13)
        # The bed of a map is that of its mesh: no shift of cells against values.
        deep = other["points"][:, 0] < 0.3
        np.testing.assert_allclose(other["elevation"] - other["depth"], other["bathymetry"], rtol=0, atol=1e-15)
        assert (other["bathymetry"][deep] < -0.12).all()


def test_paraview_files_have_the_moved_mesh(runs: dict[str, Path]) -> None:
    for number, shot in enumerate(_maps(runs["mmpde"])):
        reader = vtkXMLUnstructuredGridReader()
        reader.SetFileName(str(runs["mmpde"] / "fields" / f"fields_{number}.vtu"))
        reader.Update()
        points = vtk_to_numpy(reader.GetOutput().GetPoints().GetData())[:, :2]
        np.testing.assert_allclose(_sorted_rows(points), _sorted_rows(shot["points"]), rtol=0, atol=1e-7)


@pytest.mark.parametrize("mover", MOVERS)
def test_the_maximum_goes_with_the_mesh(mover: str, runs: dict[str, Path]) -> None:
    maps, maximum = _maps(runs[mover]), dict(np.load(runs[mover] / "maps" / "maximum.npz"))
    wet = maps[-1]["depth"] > 1e-4
    np.testing.assert_array_equal(maximum["points"], maps[-1]["points"])
    assert (maximum["elevation"][wet] >= maps[-1]["elevation"][wet]).all()
    assert (maximum["elevation"] >= maximum["bathymetry"] - 1e-15).all()
    # High on the shore, which no wave has reached, it is the ground, however often that has been sampled anew.
    land = maximum["bathymetry"] > 0.08
    assert land.any()
    np.testing.assert_allclose(maximum["elevation"][land], maximum["bathymetry"][land], rtol=0, atol=1e-15)
    # What maps have shown in deep water is in it, less what some twenty transfers have smeared, which is little.
    for place in ((0.4, 3.0), (1.0, 1.7), (2.2, 0.9)):
        seen = max(_at(shot, np.array(place)) for shot in maps)
        assert seen > 0.004
        assert _at(maximum, np.array(place)) > 0.97 * seen


def _at(shot: dict[str, np.ndarray], place: np.ndarray) -> float:
    """Return the elevation at a place."""
    corners = shot["points"].reshape(-1, 3, 2)
    edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=2)
    inner = np.linalg.solve(edges, (place - corners[:, 0])[:, :, None])[:, :, 0]
    weights = np.column_stack([1.0 - inner.sum(axis=1), inner])
    cell = int(weights.min(axis=1).argmax())
    return float(weights[cell] @ shot["elevation"].reshape(-1, 3)[cell])


def test_figures_report_and_film(runs: dict[str, Path]) -> None:
    out = runs["mmpde"]
    assert {file.name for file in (out / "figures").iterdir()} == {
        "gauges.png", "snapshots.png", "maximum.png", "meshes.png",
    }  # fmt: skip
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    for words in ("mover mmpde", "mesh moves by mmpde", "failed moves", "bed offset"):
        assert words in page
    films = [out / "animation.mp4", out / "animation.gif"]
    (film,) = [file for file in films if file.is_file()]
    assert film.read_bytes()[:4] == b"GIF8" or film.read_bytes()[4:8] == b"ftyp"


def test_outputs_fall_on_their_times_if_asked(driftmesh, no_figures, tmp_path: Path) -> None:
    asked = ("--set", "exact_output=true", "--set", "t_end=1.7", "--set", "output_interval=0.3")
    assert driftmesh("run", "monai", "--set", "resolution=0.5", *asked, "--out", "exact").code == 0
    times = [float(shot["time"]) for shot in _maps(tmp_path / "exact")]
    np.testing.assert_allclose(times, [0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.7], rtol=1e-15)


# -- going on -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mover", MOVERS)
def test_a_crashed_run_goes_on_exactly(
    mover: str, runs: dict[str, Path], same_gauges, driftmesh, no_figures, monkeypatch, tmp_path: Path
) -> None:
    """From the checkpoint at 5 s, on a mesh that has been moved already, with what the mover remembered."""
    from cases.simulation import Simulation

    save, saved = Simulation.save, 0

    def crash(self) -> bool:
        nonlocal saved
        saved += 1
        if saved == 3:
            raise RuntimeError("the machine is gone")
        return save(self)

    with monkeypatch.context() as patch:
        patch.setattr(Simulation, "save", crash)
        request = RunRequest("monai", mover=mover, assignments=WAVE, out=tmp_path / "parts")
        with pytest.raises(RuntimeError, match="the machine is gone"):
            execute(request, quiet=True)
    stopped = load_checkpoint(tmp_path / "parts", COMM_WORLD)
    assert 5 <= stopped.scalars["t"] < 5.5 and stopped.scalars["moves"] >= 4
    start = stopped.fields["computational_points"].dat.data_ro
    assert np.abs(start - stopped.mesh.coordinates.dat.data_ro).max() > 0.05
    sides = start / (np.array([5.488, 3.402]) / [14, 9]) * 2
    np.testing.assert_allclose(sides, sides.round(), rtol=0, atol=1e-12)

    outcome = driftmesh("run", "monai", "--resume", "--out", "parts")
    assert (outcome.code, outcome.err) == (0, "")
    _assert_same_run(runs[mover], tmp_path / "parts", same_gauges)


@pytest.mark.parametrize("mover", MOVERS)
def test_a_run_stopped_anywhere_goes_on_exactly(
    mover: str, runs: dict[str, Path], same_gauges, driftmesh, no_figures, monkeypatch, tmp_path: Path
) -> None:
    """Between two checkpoints of the whole run, with what Monge-Ampère remembers, without which it would differ."""
    from cases.simulation import Simulation

    observe = Simulation._observe

    def stop(self) -> None:
        observe(self)
        self._stop_requested = self.steps > 130

    with monkeypatch.context() as patch:
        patch.setattr(Simulation, "_observe", stop)
        request = RunRequest("monai", mover=mover, assignments=WAVE, out=tmp_path / "parts")
        assert execute(request, quiet=True) == "interrupted"
    stopped = load_checkpoint(tmp_path / "parts", COMM_WORLD)
    assert stopped.scalars["steps"] == 140 and stopped.scalars["moves"] == 9
    assert ("mover_potential" in stopped.fields) == (mover == "monge-ampere")
    outcome = driftmesh("run", "monai", "--resume", "--out", "parts")
    assert (outcome.code, outcome.err) == (0, "")
    _assert_same_run(runs[mover], tmp_path / "parts", same_gauges)


def _assert_same_run(whole: Path, parts: Path, same_gauges) -> None:
    """Assert that two folders hold the same gauges, maps and end."""
    same_gauges(whole, parts, 1e-13)
    for one, other in zip(_maps(whole), _maps(parts), strict=True):
        for fields in (("points", "bathymetry"), ("points", "elevation", "depth")):
            tables = [np.column_stack([shot[name] for name in fields]) for shot in (one, other)]
            np.testing.assert_allclose(_sorted_rows(tables[1]), _sorted_rows(tables[0]), rtol=0, atol=1e-13)
    ends = [load_checkpoint(out, COMM_WORLD).scalars for out in (whole, parts)]
    assert ends[0].keys() == ends[1].keys() >= {"moves", "moving_steps", "bed_offset", "min_jacobian_ratio"}
    for name in ends[0].keys() - TIMES:
        assert ends[1][name] == pytest.approx(ends[0][name], rel=0, abs=1e-13), name


def test_another_mover_is_another_run(runs: dict[str, Path], driftmesh, tmp_path: Path) -> None:
    shutil.copytree(runs["mmpde"], tmp_path / "run")
    outcome = driftmesh("run", "monai", "--resume", "--mover", "none", "--out", "run")
    assert outcome.code == 2
    assert outcome.error_line.startswith("driftmesh: --resume: got mover 'none', expected 'mmpde' as in the run; ")


# -- movers ---------------------------------------------------------------------------------------------------


def test_a_mover_that_needs_more_is_refused(driftmesh, tmp_path: Path) -> None:
    outcome = driftmesh("run", "monai", "--mover", "laplacian", "--out", "new")
    assert outcome.code == 2 and not (tmp_path / "new").exists()
    assert outcome.error_line == (
        f"driftmesh: mover: got 'laplacian', expected one of {', '.join(run_movers())}; it follows a given motion of "
        "the boundary, and no case has one; see `driftmesh move`"
    )


def test_a_misspelt_mover(driftmesh) -> None:
    assert driftmesh("run", "monai", "--mover", "monge").error_line.endswith("; did you mean 'monge-ampere'?")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("move_every=0", "got 0, expected greater than or equal to 1; time steps between two looks at the mesh"),
        ("move_threshold=-0.1", "got -0.1, expected greater than or equal to 0; move if std/mean of "),
        ("monitor_smoothing=51.0", "got 51.0, expected less than or equal to 50; length of the monitor function's "),
        ("max_size_ratio=0.9", "got 0.9, expected greater than or equal to 1; greatest ratio of cell sizes "),
    ],
)
def test_options_out_of_bounds(assignment: str, message: str, driftmesh, tmp_path: Path) -> None:
    outcome = driftmesh("run", "monai", "--mover", "mmpde", "--set", assignment, "--out", "new")
    assert outcome.code == 2 and not (tmp_path / "new").exists()
    assert outcome.error_line.startswith(f"driftmesh: option {assignment.partition('=')[0]}: {message}")


def test_options_of_the_case_come_first(driftmesh) -> None:
    names = [line.split()[0] for line in driftmesh("options", "monai").out.splitlines()]
    assert names[0] == "resolution"
    assert names[-5:] == ["move_every", "move_threshold", "monitor_smoothing", "max_size_ratio", "transfer"]


class Swaying(Mover):
    """Move inner vertices to and fro by 1 cm; every second time do something else."""

    def __init__(self, otherwise: Callable[[Function], None]):
        self.otherwise, self.times = otherwise, 0

    def displacement(self, mesh, monitor) -> Displacement:
        function = Function(mesh.coordinates.function_space())
        self.times += 1
        x, y = mesh.coordinates.dat.data_ro.T
        inside = (x > 1e-9) & (x < 5.488 - 1e-9) & (y > 1e-9) & (y < 3.402 - 1e-9)
        function.dat.data_wo[:, 0] = np.where(inside, 0.01 * (-1.0) ** (self.times // 2), 0.0)
        if self.times % 2 == 0:
            self.otherwise(function)
        return Displacement(function)


def _diverge(function: Function) -> None:
    raise ConvergenceError("the solver of the mover has diverged")


def _singular(function: Function) -> None:
    np.linalg.inv(np.zeros((2, 2)))


def _fail_in_petsc(function: Function) -> None:
    PETSc.KSP().create(COMM_SELF).solve(*(PETSc.Vec().createSeq(1) for _ in range(2)))  # without a matrix


def _turn_nan(function: Function) -> None:
    function.dat.data_wo[0] = np.nan


def _nothing(function: Function) -> None:
    pass


SHORT = ("resolution=0.4", "t_end=4", "move_every=5", "checkpoint_interval=10")


@pytest.mark.filterwarnings("ignore:mover. :RuntimeWarning")
@pytest.mark.parametrize("otherwise", [_diverge, _turn_nan, _singular, _fail_in_petsc])
def test_a_mover_that_fails_every_second_time(otherwise, monkeypatch, no_figures, tmp_path: Path) -> None:
    made: list[Swaying] = []
    monkeypatch.setattr("cases.moving.get_mover", lambda _: made.append(Swaying(otherwise)) or made[-1])
    assert execute(RunRequest("monai", mover="mmpde", assignments=SHORT, out=tmp_path), quiet=True) == "done"
    run = run_json(tmp_path)
    looks = run["steps"] // 5
    assert (run["moves"], run["metrics"]["failed_moves"]) == (looks - looks // 2, looks // 2)
    assert looks > 6 and run["metrics"]["mass_drift_rel"] <= 1e-12
    assert [mover.times for mover in made] == [looks]


def test_a_transfer_that_cannot_follow(monkeypatch, no_figures, tmp_path: Path) -> None:
    """Two of five remaps, each of state and maximum together, fail: mesh, state, maximum and bed stay as they were."""
    remap, calls = RemapTransfer.__call__, []

    def sometimes(self, source: Function, moved_mesh) -> Function:
        calls.append(source.function_space().value_size)
        if len(calls) % 5 in (0, 3):
            raise RuntimeError("no number of steps keeps the bounds")
        return remap(self, source, moved_mesh)

    monkeypatch.setattr(RemapTransfer, "__call__", sometimes)
    monkeypatch.setattr("cases.moving.get_mover", lambda _: Swaying(_nothing))
    assert execute(RunRequest("monai", mover="mmpde", assignments=SHORT, out=tmp_path), quiet=True) == "done"
    run = run_json(tmp_path)
    failed = run["metrics"]["failed_moves"]
    assert failed > 2 and run["moves"] > 2 and run["moves"] + failed == run["steps"] // 5
    assert set(calls) == {4}
    assert run["metrics"]["mass_drift_rel"] <= 1e-12


def test_a_mesh_that_stays_changes_nothing(monkeypatch, no_figures, same_gauges, tmp_path: Path) -> None:
    """A run whose mover leaves the mesh as it is computes what a run without one does, but for rounding."""
    monkeypatch.setattr("cases.moving.get_mover", lambda _: NoMove())
    for mover in ("none", "mmpde"):
        request = RunRequest("monai", mover=mover, assignments=SHORT, out=tmp_path / mover)
        assert execute(request, quiet=True) == "done"
    assert run_json(tmp_path / "mmpde")["moves"] == run_json(tmp_path / "none")["steps"] // 5
    same_gauges(tmp_path / "none", tmp_path / "mmpde", 1e-12)
