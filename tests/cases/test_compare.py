"""Runs with several movers beside each other: files, errors that are known, and bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray

from cases.compare import CompareRequest, compare, comparison_table, write_comparison
from cases.run_errors import read_reference, reference_errors

# The wave is under way; nothing has reached the gauges.
SHORT = ("resolution=0.5", "t_end=5", "output_interval=1", "move_every=10")


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a comparison of which only the moving mesh was asked for."""
    out = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cases.figures.write_figures", lambda *_, **__: [])
        assert compare(CompareRequest("monai", ("mmpde",), SHORT, out=out), quiet=True) == "done"
    return out


def test_what_is_written(compared: Path) -> None:
    assert {path.name for path in compared.iterdir()} == {"none", "mmpde", "compare.json", "compare.md", "compare.png"}
    content = json.loads((compared / "compare.json").read_text())
    assert (content["case"], content["reference"]) == ("monai", None)
    assert list(content["runs"]) == ["none", "mmpde"], "the fixed mesh belongs to every comparison, and comes first"
    for mover, run in content["runs"].items():
        own = json.loads((compared / mover / "run.json").read_text())
        added = {name: run["metrics"].pop(name) for name in ("error", "error_reduction_pct")}
        assert run == own
        rms = [gauge["rmse"] for gauge in own["metrics"]["gauges"].values()]
        assert added["error"] == pytest.approx(sum(rms) / 3, rel=1e-12)
        assert run["config"]["exact_output"] is True
    assert content["runs"]["none"]["cells"] == content["runs"]["mmpde"]["cells"]
    assert content["runs"]["mmpde"]["moves"] > 3 and content["runs"]["none"]["moves"] == 0
    assert (compared / "compare.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_maps_are_of_the_same_times(compared: Path) -> None:
    times = [
        [float(np.load(file)["time"]) for file in sorted((compared / mover / "maps").glob("[0-9]*.npz"))]
        for mover in ("none", "mmpde")
    ]
    np.testing.assert_allclose(times[0], [0, 1, 2, 3, 4, 5], rtol=1e-15)
    np.testing.assert_array_equal(times[0], times[1])


def test_against_a_reference(compared: Path) -> None:
    """The fixed mesh is its own reference: no error. So there is nothing of which the other's would be a share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cases.compare_figure.comparison_figure", lambda *_: None)
        patch.setattr("cases.mesh_figures.save_figure", lambda *_: None)
        content = write_comparison("monai", ["none", "mmpde"], compared, read_reference(compared / "none", "monai"))
        fixed, moved = (content["runs"][mover]["metrics"] for mover in ("none", "mmpde"))
        assert (fixed["error"], fixed["elevation_error"]) == (0.0, 0.0)
        assert fixed["elevation_error_maps"] == moved["elevation_error_maps"] == 5
        # The wave stands a centimetre high.
        assert 1e-6 < moved["elevation_error"] < 3e-3
        assert moved["error_reduction_pct"] is None and moved["elevation_error_reduction_pct"] is None
        page = (compared / "compare.md").read_text()
        assert "elevation L2 [cm]" in page and str(compared / "none") in page
        # The other way round, all is gained by not moving, or nothing is left to be gained.
        content = write_comparison("monai", ["none", "mmpde"], compared, read_reference(compared / "mmpde", "monai"))
        fixed, moved = (content["runs"][mover]["metrics"] for mover in ("none", "mmpde"))
        assert (moved["elevation_error"], moved["elevation_error_reduction_pct"]) == (0.0, 100.0)
        assert fixed["elevation_error_reduction_pct"] == 0.0
        write_comparison("monai", ["none", "mmpde"], compared, None)


def test_the_table() -> None:
    metrics = {"gauges": {"ch5": {"rmse": 0.002}}, "error": 0.002, "mass_drift_rel": 3e-14}
    fixed = {"status": "done", "cells": 100, "steps": 7, "moves": 0, "wall_s": 1.25, "solver_s": 1.0, "mover_s": 0.0}
    moved = {**fixed, "moves": 3, "mover_s": 0.5, "monitor_s": 0.25, "transfer_s": 0.125, "status": "failed"}
    runs = {
        "none": {**fixed, "monitor_s": 0.0, "transfer_s": 0.0, "metrics": {**metrics, "error_reduction_pct": 0.0}},
        "mmpde": {**moved, "metrics": {**metrics, "error": 0.001, "error_reduction_pct": 50.0}},
    }
    rows = comparison_table({"case": "monai", "reference": None, "runs": runs}).splitlines()
    assert rows[2].startswith(
        "| mover | gauge rms [cm] | reduction [%] | cells | steps | moves | wall [s] | solver [s] |"
    )
    assert rows[4] == "| none | 0.2 | +0.0 | 100 | 7 | 0 | 1.25 | 1.00 | 0.00 | 0.00 | 0.00 | 3.0e-14 |"
    assert rows[5] == "| mmpde (failed) | 0.1 | +50.0 | 100 | 7 | 3 | 1.25 | 1.00 | 0.50 | 0.25 | 0.12 | 3.0e-14 |"
    assert len({row.count("|") for row in rows[2:6]}) == 1


# -- errors ---------------------------------------------------------------------------------------------------


def _write_run(folder: Path, points: np.ndarray, maps: dict[float, tuple[np.ndarray, ...]], records) -> Path:
    """Write what a run leaves: triangles of points (3 K, 2), elevation and depth by time, records at two gauges."""
    (folder / "maps").mkdir(parents=True)
    cells = np.arange(len(points)).reshape(-1, 3)
    np.savez(folder / "maps" / "mesh.npz", points=points, cells=cells, bathymetry=0 * points[:, 0], still_level=0.0)
    for number, (time, (elevation, depth)) in enumerate(maps.items()):
        np.savez(folder / "maps" / f"{number:04d}.npz", time=time, elevation=elevation, depth=depth)
    xarray.Dataset(
        {"elevation": (("time", "gauge"), records)}, coords={"time": np.arange(len(records)) * 0.5}
    ).to_netcdf(folder / "gauges.nc", engine="h5netcdf")
    (folder / "run.json").write_text(json.dumps({"case": "monai", "status": "done"}))
    return folder


def _square(cut: bool) -> np.ndarray:
    """Return two triangles of the square of 2 m, cut along one diagonal or the other."""
    corners = np.array([[0, 0], [2, 0], [2, 2], [0, 2]], dtype=float)
    return corners[[0, 1, 2, 0, 2, 3] if cut else [0, 1, 3, 1, 2, 3]]


def test_errors_of_fields_that_are_known(tmp_path: Path) -> None:
    """Over a bed of -1 m: elevations 0.01 x and 0.01 x + 0.02 on meshes of other cells; root mean square 0.02."""
    times, runs = (0.0, 1.0, 2.0), []
    for name, cut, more, gauges in (("one", True, 0.0, [0.0, 0.0]), ("other", False, 0.02, [0.01, -0.03])):
        points = _square(cut)
        maps = {}
        for time in times:
            elevation = time * (0.01 * points[:, 0] + more)
            maps[time] = (elevation, 1.0 + elevation)
        runs.append(_write_run(tmp_path / name, points, maps, np.tile(gauges, (5, 1))))
    errors = reference_errors(runs[1], read_reference(runs[0], "monai"))
    assert errors["gauge_error"] == pytest.approx(0.02, rel=1e-12)
    # 0.02 m at 1 s, 0.04 m at 2 s.
    assert errors["elevation_error"] == pytest.approx(0.02 * np.sqrt((1 + 4) / 2), rel=1e-9)
    assert errors["elevation_error_maps"] == 2


def test_a_coarser_bed_under_dry_land_and_still_water_is_no_error(tmp_path: Path) -> None:
    """What counts is what the wave has done, which is nothing here; a metre of bed is no error of the elevation."""
    points, runs = _square(True), []
    for name, bed in (("one", points[:, 0] - 1.0), ("other", 2.0 * (points[:, 0] - 1.0))):
        depth = np.maximum(0.0, -bed)
        shot = (bed + depth, depth)
        runs.append(_write_run(tmp_path / name, points, {0.0: shot, 1.0: shot}, np.zeros((3, 2))))
    errors = reference_errors(runs[1], read_reference(runs[0], "monai"))
    assert (errors["gauge_error"], errors["elevation_error"]) == (0.0, 0.0)


def test_maps_of_other_times_are_not_compared(tmp_path: Path) -> None:
    points = _square(True)
    still = (0 * points[:, 0], 1 + 0 * points[:, 0])
    one = _write_run(tmp_path / "one", points, {0.0: still, 1.0: still}, np.zeros((3, 2)))
    other = _write_run(tmp_path / "other", points, {0.0: still, 1.1: still}, np.zeros((3, 2)))
    errors = reference_errors(other, read_reference(one, "monai"))
    assert (errors["elevation_error"], errors["elevation_error_maps"]) == (None, 0)


# -- the command ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("monai --movers none,m2n", "mover: got 'm2n', expected one of none, monge-ampere, mmpde, .*; .*"),
        ("monai --movers none,laplacian", "mover: got 'laplacian', expected one of none, .*; see `driftmesh move`"),
        ("monai --movers none --set resolutoin=1", "option: got unknown key 'resolutoin', expected one of .*"),
        ("monei --movers none", "case: got 'monei', expected one of .*"),
        ("monai --movers none --reference nowhere", "--reference: got nowhere, expected a finished run; .*"),
        ("monai --movers none --reference swirl", "--reference: got a run of 'swirl', done, in swirl, expected .*"),
    ],
)
def test_bad_input_is_one_line(arguments: str, message: str, driftmesh, tmp_path: Path) -> None:
    points = _square(True)
    swirl = _write_run(tmp_path / "swirl", points, {}, np.zeros((3, 2)))
    (swirl / "run.json").write_text(json.dumps({"case": "swirl", "status": "done"}))
    outcome = driftmesh("compare", *arguments.split(), "--out", "new")
    assert outcome.code == 2 and not (tmp_path / "new").exists()
    assert re.fullmatch(f"driftmesh: {message}", outcome.error_line), outcome.error_line


def test_the_command_says_what_it_has_found(driftmesh, no_figures, tmp_path: Path) -> None:
    arguments = ("--movers", "none", "--set", "resolution=0.5", "--set", "t_end=1", "--out", "here")
    outcome = driftmesh("compare", "monai", *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert "| mover | gauge rms [cm] | reduction [%] | cells |" in outcome.out
    assert outcome.out.splitlines()[-1] == "comparison: here/compare.md, here/compare.json, here/compare.png"
