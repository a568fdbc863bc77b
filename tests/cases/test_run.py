"""A run leaves everything it promises, repeats bit for bit, and goes on after an interruption as if there were none."""

from __future__ import annotations

import io
import os
import re
import signal
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray
from firedrake import COMM_WORLD
from rich.console import Console
from run_files import run_json

from cases.checkpoint import Checkpoint, load_checkpoint
from cases.monai import MonaiOptions
from cases.progress import RunProgress
from cases.run import RunRequest, execute
from cases.time_loop import STEPS_BETWEEN_LOOKS
from fem.shallow_water_stepper import ShallowWaterStepper

# Until the wave has run up the shore and begun to go back.
SURGE = ("--set", "resolution=0.4", "--set", "t_end=18", "--set", "output_interval=3", "--set", "checkpoint_interval=3")
RUN_KEYS = {
    "case", "mover", "status", "config", "seed", "ranks", "versions", "commit", "cells", "dofs", "steps", "moves",
    "wall_s", "solver_s", "mover_s", "monitor_s", "transfer_s", "io_s", "peak_rss_mb", "metrics",
}  # fmt: skip
GAUGE_KEYS = {"rmse", "peak", "peak_time", "reference_peak", "peak_error_pct"}


def _map_times(out: Path) -> tuple[list[float], list[float]]:
    """Return the times of the maps in fields.pvd, whose files must exist, and in maps/."""
    entries = ElementTree.parse(out / "fields.pvd").getroot().findall("./Collection/DataSet")
    for entry in entries:
        assert (out / entry.attrib["file"]).stat().st_size > 0
    arrays = sorted((out / "maps").glob("[0-9]*.npz"))
    return [float(entry.attrib["timestep"]) for entry in entries], [float(np.load(file)["time"]) for file in arrays]


# -- what a run leaves ----------------------------------------------------------------------------------------


def test_every_file_is_there(small_run: Path, files) -> None:
    written = files(small_run)
    for name in ("run.json", "config.toml", "gauges.nc", "fields.pvd", "report.html", "checkpoint.h5"):
        assert written.get(name), f"no {name}"
    figures = [name for name in written if re.fullmatch(r"figures/\w+\.png", name)]
    assert len(figures) == 3
    assert all(written[name].startswith(b"\x89PNG\r\n") for name in figures)
    assert not [name for name in written if "tmp" in name or "write-test" in name]


def testrun_json(small_run: Path) -> None:
    run = run_json(small_run)
    assert run.keys() >= RUN_KEYS
    assert (run["case"], run["mover"], run["status"], run["seed"], run["ranks"]) == ("monai", "none", "done", 0, 1)
    assert (run["moves"], run["mover_s"], run["monitor_s"], run["transfer_s"]) == (0, 0.0, 0.0, 0.0)
    assert run["config"] == MonaiOptions(resolution=0.4, t_end=4, output_interval=1).model_dump()
    assert {"python", "firedrake", "petsc", "numpy", "driftmesh"} <= run["versions"].keys()
    assert run["cells"] == 4 * round(5.488 / 0.4) * round(3.402 / 0.4)
    assert run["dofs"] == 9 * run["cells"]
    assert 20 < run["steps"] < 1000
    assert 0 < run["solver_s"] < run["wall_s"] and 0 < run["io_s"] < run["wall_s"]
    assert 50 < run["peak_rss_mb"] < 8000


def test_metrics(small_run: Path) -> None:
    metrics = run_json(small_run)["metrics"]
    assert metrics.keys() >= {"mass_drift_rel", "min_jacobian_ratio", "tangled_moves", "gauges"}
    assert 0 <= metrics["mass_drift_rel"] <= 1e-12
    assert (metrics["min_jacobian_ratio"], metrics["tangled_moves"], metrics["t_end"]) == (1.0, 0, 4.0)
    assert metrics["gauges"].keys() == {"ch5", "ch7", "ch9"}
    for gauge in metrics["gauges"].values():
        assert gauge.keys() >= GAUGE_KEYS
        assert 0 < gauge["rmse"] < 0.01
        assert 0 <= gauge["peak_time"] <= 4


def test_gauges_follow_the_conventions(small_run: Path) -> None:
    with xarray.open_dataset(small_run / "gauges.nc", engine="h5netcdf", decode_times=False) as gauges:
        assert re.fullmatch(r"CF-1\.\d+", gauges.attrs["Conventions"])
        assert gauges.attrs["featureType"] == "timeSeries"
        assert gauges.attrs["title"] and gauges.attrs["source"]
        for name, variable in gauges.variables.items():
            if name == "gauge":
                assert variable.attrs["cf_role"] == "timeseries_id"
            else:
                assert variable.attrs["units"] in ("m", "m2 s-1", "s"), name
                assert np.isfinite(variable.values).all()
        assert gauges["elevation"].attrs["standard_name"]
        assert list(gauges["gauge"].values) == ["ch5", "ch7", "ch9"]
        assert {"gauge_x", "gauge_y"} <= set(gauges["elevation"].coords)
        np.testing.assert_allclose(gauges["time"].values, np.arange(81) * 0.05, atol=1e-12)
        assert gauges["elevation"].shape == (81, 3)
        assert gauges["reference_elevation"].dims == ("reference_time", "gauge")
    with xarray.open_dataset(small_run / "gauges.nc") as gauges:  # as anybody would open it
        assert gauges.sizes["gauge"] == 3


def test_fields_are_written_at_the_asked_times(small_run: Path) -> None:
    collection, arrays = _map_times(small_run)
    assert collection == arrays
    assert len(arrays) == 5 and arrays[0] == 0.0 and arrays[-1] == 4.0
    for asked, got in zip(range(5), arrays, strict=True):
        assert asked <= got < asked + 0.2
    maximum, last = np.load(small_run / "maps" / "maximum.npz"), np.load(small_run / "maps" / "0004.npz")
    wet = last["depth"] > 1e-4
    assert (maximum["elevation"][wet] >= last["elevation"][wet]).all()
    assert (maximum["elevation"][wet] > last["elevation"][wet]).any()


def test_report_is_one_file(small_run: Path) -> None:
    page = (small_run / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "Monai Valley tsunami" in page and "ch5" in page
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!data:)", page)
    assert not re.search(r"url\(|@import|<script|<link", page)


def test_the_checkpoint_is_the_end_of_the_run(small_run: Path) -> None:
    run, checkpoint = run_json(small_run), load_checkpoint(small_run, COMM_WORLD)
    assert (checkpoint.scalars["t"], checkpoint.scalars["steps"]) == (4.0, run["steps"])
    depth = checkpoint.state.dat.data_ro[:, 0]
    assert (depth >= 0).all() and (depth > 0.1).any()


def test_a_new_process_repeats_the_run_bit_for_bit(
    small_run: Path, small, same_gauges, driftmesh_process, tmp_path: Path
) -> None:
    outcome = driftmesh_process("run", "monai", *small, "--out", "again")
    assert (outcome.code, outcome.err) == (0, "")
    same_gauges(small_run, tmp_path / "again")
    _assert_same_end(small_run, tmp_path / "again")
    # Nobody watches: a few plain lines, the last one naming the report.
    assert "\x1b" not in outcome.out and "\r" not in outcome.out
    assert len(outcome.out.splitlines()) == 5
    assert outcome.out.splitlines()[-1] == "report: again/report.html"


def test_the_written_configuration_repeats_the_run(
    small_run: Path, same_gauges, driftmesh, no_figures, tmp_path: Path
) -> None:
    outcome = driftmesh("run", "monai", "--config", small_run / "config.toml", "--out", "again")
    assert outcome.code == 0
    assert (tmp_path / "again" / "config.toml").read_text() == (small_run / "config.toml").read_text()
    same_gauges(small_run, tmp_path / "again")


def test_a_shorter_run_into_the_same_folder_leaves_no_later_maps(driftmesh, no_figures, small, small_run_copy) -> None:
    assert driftmesh("run", "monai", *small, "--set", "t_end=1.5", "--out", small_run_copy).code == 0
    collection, arrays = _map_times(small_run_copy)
    assert collection == arrays
    assert len(arrays) == 3 and arrays[-1] == 1.5


def test_default_folder_and_parts_of_the_time(driftmesh, no_figures, tmp_path: Path) -> None:
    assert driftmesh("run", "monai", "--set", "resolution=0.5", "--set", "t_end=0.2").code == 0
    (out,) = (tmp_path / "results" / "monai").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", out.name)
    assert (out / "report.html").is_file()


# -- going on -------------------------------------------------------------------------------------------------


def _assert_same_end(one: Path, other: Path, tolerance: float = 0.0) -> None:
    """Compare two runs' last checkpoints: all fields, arrays and numbers but the times they took."""
    first, second = load_checkpoint(one, COMM_WORLD), load_checkpoint(other, COMM_WORLD)
    np.testing.assert_allclose(_everything(second), _everything(first), rtol=0, atol=tolerance)
    assert first.fields.keys() == second.fields.keys() == {"maximum_elevation", "shore_bed"}
    assert first.scalars.keys() == second.scalars.keys() >= {"t", "steps", "initial_mass", "inflow"}
    for name in first.scalars.keys() - {"solver_s", "io_s", "loop_s"}:
        assert second.scalars[name] == pytest.approx(first.scalars[name], rel=0, abs=tolerance), name
    for name in first.arrays:
        np.testing.assert_allclose(second.arrays[name], first.arrays[name], rtol=0, atol=tolerance)


def _everything(checkpoint: Checkpoint) -> np.ndarray:
    """Return state and fields at the nodes, sorted by place: the numbering depends on how the mesh was made."""
    mesh, state = checkpoint.mesh, checkpoint.state
    nodes, cells = state.cell_node_map().values, mesh.coordinates.cell_node_map().values
    corners = mesh.coordinates.dat.data_ro[cells]
    centre = np.repeat(corners.mean(axis=1), nodes.shape[1], axis=0)
    node = corners.reshape(-1, 2) if nodes.shape[1] == 3 else centre
    fields = [f.dat.data_ro[nodes.ravel()][:, None] for f in checkpoint.fields.values()]
    table = np.hstack([centre.round(9), node.round(9), state.dat.data_ro[nodes.ravel()], *fields])
    return table[np.lexsort(table[:, 3::-1].T)]


@pytest.fixture
def after_steps(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], None]:
    """Do something once, in the middle of a run: ``after_steps(number, action)``."""
    step = ShallowWaterStepper.step

    def arrange(number: int, action: Callable[[], None]) -> None:
        taken = 0

        def counted(self, t: float, dt_max: float):
            nonlocal taken
            taken += 1
            if taken == number:
                action()
            return step(self, t, dt_max)

        monkeypatch.setattr(ShallowWaterStepper, "step", counted)

    return arrange


def _terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def surges(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Return the folders of the uninterrupted runs by polynomial degree."""
    folder, runs = tmp_path_factory.mktemp("surges"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cases.figures.write_figures", lambda *_, **__: [])
        for order in (0, 1):
            runs[order] = folder / f"order{order}"
            request = RunRequest("monai", assignments=(*SURGE[1::2], f"order={order}"), out=runs[order])
            assert execute(request, quiet=True) == "done"
    return runs


def test_the_surge_wets_and_dries(surges: dict[int, Path]) -> None:
    """What the restarts below are about."""
    maps = [np.load(file) for file in sorted((surges[1] / "maps").glob("[0-9]*.npz"))]
    wet = [shot["depth"] > 1e-4 for shot in maps]
    assert (wet[-1] & ~wet[0]).any(), "no land was flooded"
    assert any((before & ~after).any() for before, after in pairwise(wet)), "nothing fell dry"
    assert run_json(surges[1])["metrics"]["mass_drift_rel"] <= 1e-12


@pytest.mark.parametrize("order", [1, 0])
def test_an_interrupted_run_goes_on_as_if_it_were_not(
    order: int, surges: dict[int, Path], after_steps, same_gauges, driftmesh, no_figures, tmp_path: Path
) -> None:
    whole, out = surges[order], tmp_path / "parts"
    all_steps = run_json(whole)["steps"]
    arguments = ("run", "monai", "--out", "parts")
    first = ("--set", f"order={order}", *SURGE)
    stops = [all_steps // 3, all_steps // 2]  # the second stop counts from the first
    for part, steps in enumerate(stops):
        after_steps(steps, _terminate)
        outcome = driftmesh(*arguments, *(first if part == 0 else ("--resume",)))
        assert (outcome.code, outcome.err) == (130, "")
        assert "go on with: driftmesh run monai --resume --out parts" in outcome.out
        run = run_json(out)
        assert run["status"] == "interrupted"
        stopped = load_checkpoint(out, COMM_WORLD).scalars
        assert (stopped["t"], stopped["steps"]) == (run["metrics"]["t_end"], run["steps"])
        assert sum(stops[: part + 1]) <= run["steps"] < sum(stops[: part + 1]) + 2 * STEPS_BETWEEN_LOOKS
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    after_steps(0, _terminate)
    outcome = driftmesh(*arguments, "--resume")
    assert (outcome.code, outcome.err) == (0, "")

    same_gauges(whole, out)
    _assert_same_end(whole, out)
    np.testing.assert_array_equal(_map_times(out), _map_times(whole))
    for name in ("0006.npz", "maximum.npz"):
        one, other = np.load(whole / "maps" / name), np.load(out / "maps" / name)
        np.testing.assert_array_equal(np.sort(other["elevation"]), np.sort(one["elevation"]))
    one, other = run_json(whole), run_json(out)
    assert other["status"] == "done"
    for name, gauge in one["metrics"]["gauges"].items():
        assert other["metrics"]["gauges"][name] == pytest.approx(gauge, rel=1e-9)
    assert other["metrics"]["mass_drift_rel"] <= 1e-12
    assert (one["steps"], one["config"]) == (other["steps"], other["config"])
    assert other["solver_s"] + other["io_s"] <= other["wall_s"] * (1 + 1e-9), "parts of the time were lost"


def test_a_crashed_run_goes_on_from_its_last_checkpoint(
    surges: dict[int, Path], after_steps, same_gauges, driftmesh, no_figures, monkeypatch, tmp_path: Path
) -> None:
    """Maps that the crashed run wrote after its checkpoint are written anew, not twice."""

    def crash() -> None:
        raise RuntimeError("the machine is gone")

    monkeypatch.chdir(tmp_path)
    after_steps(run_json(surges[1])["steps"] - 20, crash)
    request = RunRequest("monai", assignments=(*SURGE[1::2], "checkpoint_interval=8"), out=tmp_path / "parts")
    with pytest.raises(RuntimeError, match="the machine is gone"):
        execute(request, quiet=True)
    after_steps(0, crash)
    checkpoint = load_checkpoint(tmp_path / "parts", COMM_WORLD).scalars["t"]
    assert 16 <= checkpoint < 16.2 or 8 <= checkpoint < 8.2
    assert max(_map_times(tmp_path / "parts")[0]) > 8
    assert driftmesh("run", "monai", "--resume", "--out", "parts").code == 0
    same_gauges(surges[1], tmp_path / "parts")
    times, expected = _map_times(tmp_path / "parts"), _map_times(surges[1])
    np.testing.assert_array_equal(times, expected)


def test_a_finished_run_goes_on_to_a_later_end(small_run_copy: Path, driftmesh, no_figures) -> None:
    before = xarray.load_dataset(small_run_copy / "gauges.nc", decode_times=False)
    outcome = driftmesh("run", "monai", "--resume", "--out", small_run_copy, "--set", "t_end=5")
    assert outcome.code == 0
    assert tomllib.loads((small_run_copy / "config.toml").read_text())["options"]["t_end"] == 5.0
    after = xarray.load_dataset(small_run_copy / "gauges.nc", decode_times=False)
    assert (before.sizes["time"], after.sizes["time"]) == (81, 101)
    np.testing.assert_array_equal(before["elevation"].values, after["elevation"].values[:81])
    assert run_json(small_run_copy)["metrics"]["t_end"] == 5.0
    assert _map_times(small_run_copy)[0][-2:] == [4.0, 5.0]


# -- progress -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("watched", [True, False])
def test_progress_is_for_those_who_watch(watched: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMPI_COMM_WORLD_SIZE", raising=False)
    screen, asked = io.StringIO(), []
    console = Console(file=screen, force_terminal=watched, width=120)

    def mass_drift() -> float:
        asked.append(1)
        return 3e-15

    with RunProgress(console, "monai", 22.5) as progress:
        progress.update(5.0, 120, 0.01, mass_drift)
    assert asked == [1], "the mass is a sum over ranks: all ask, whoever draws"
    if not watched:
        assert screen.getvalue() == ""
    else:
        for words in ("monai", "5.000 s", "step 120", "dt 1.00e-02", "mass drift 3.0e-15"):
            assert words in screen.getvalue()
