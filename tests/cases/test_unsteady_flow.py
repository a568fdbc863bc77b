"""Runs of incompressible flow in time: order, forces, restarts, every mover, records."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray
from firedrake import COMM_WORLD
from run_files import run_json

from cases.checkpoint import load_checkpoint
from cases.compare import CompareRequest, compare
from cases.flow.cylinder_wake import CylinderWake, CylinderWakeOptions, on_the_cylinder, wake_quantities
from cases.run import RunRequest, execute
from cases.validation.flow_unsteady import taylor_green_order
from fem.vortex_shedding import shedding

WAKE = ("resolution=0.1", "cylinder_resolution=0.025", "dt=0.02", "t_end=0.32", "move_every=3", "motion_steps=2")
EVEN = (*WAKE, "checkpoint_interval=0.16", "output_interval=0.16")


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, which take longer than the runs do."""
    monkeypatch.setattr("cases.flow_figures.write_flow_figures", lambda *_, **__: [])


# -- Taylor-Green -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mover", ["none", "mmpde"])
def test_the_velocity_is_of_order_three(mover: str) -> None:
    rate, errors = taylor_green_order(mover, "taylor-hood", sizes=(4, 8))
    print(f"{mover}: errors {errors}, rate {rate:.2f}")
    assert rate > 3 - 0.1


def test_the_divergence_free_pair_runs(tmp_path: Path) -> None:
    options = ("resolution=4", "pair=scott-vogelius", "dt=0.05", "t_end=0.1", "move_every=1", "motion_steps=1")
    request = RunRequest("taylor-green", mover="mmpde", assignments=options, out=tmp_path / "run")
    assert execute(request, quiet=True) == "done"
    run = run_json(tmp_path / "run")
    assert run["metrics"]["mass_drift_rel"] < 1e-12 and run["moves"] > 0
    assert 0.0 < run["metrics"]["error"] < 0.02


def test_steps_are_as_long_as_each_other(tmp_path: Path) -> None:
    """No sliver is left before an output, over which forces and mesh velocities would be divided."""
    options = ("resolution=2", "dt=0.03", "t_end=0.2", "output_interval=0.1")
    assert execute(RunRequest("taylor-green", assignments=options, out=tmp_path / "run"), quiet=True) == "done"
    run = run_json(tmp_path / "run")
    assert (run["steps"], run["metrics"]["t_end"]) == (8, 0.2)


# -- the wake ---------------------------------------------------------------------------------------------------


def test_the_polygon_has_the_area_of_the_circle() -> None:
    options = CylinderWakeOptions(resolution=0.1, cylinder_resolution=0.02)
    mesh = CylinderWake().mesh(options)
    ends = mesh.coordinates.dat.data_ro[mesh.coordinates.function_space().boundary_nodes(5)] - 0.2
    radii, angles = np.hypot(*ends.T), np.sort(np.arctan2(*ends.T))
    assert radii == pytest.approx(on_the_cylinder(options), rel=1e-12)
    turns = np.diff(np.append(angles, angles[0] + 2 * np.pi))
    assert 0.5 * radii[0] ** 2 * np.sin(turns).sum() == pytest.approx(np.pi * 0.05**2, rel=1e-6)


@pytest.fixture(scope="module")
def wake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run whose mesh has moved, to be read only."""
    out = tmp_path_factory.mktemp("wake") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cases.flow_figures.write_flow_figures", lambda *_, **__: [])
        assert execute(RunRequest("cylinder-wake", mover="mmpde", assignments=EVEN, out=out), quiet=True) == "done"
    return out


def test_what_a_run_leaves(wake: Path) -> None:
    run = run_json(wake)
    assert (run["steps"], run["metrics"]["t_end"]) == (16, 0.32)
    assert run["moves"] > 3 and run["metrics"]["failed_moves"] == run["metrics"]["tangled_moves"] == 0
    # 0.41 m^2 flow in each second; what of them has not flowed out.
    assert run["metrics"]["mass_drift_rel"] < 1e-7
    with xarray.open_dataset(wake / "forces.nc", engine="h5netcdf") as record:
        assert record.attrs["Conventions"].startswith("CF-")
        assert record["drag"].attrs["units"] == "1" and record["time"].attrs["units"] == "s"
        # In the middle of each step but the first.
        np.testing.assert_allclose(record["time"], 0.02 * (np.arange(1, 16) + 0.5), rtol=1e-12)
        assert (record["drag"] > 2.0).all() and (np.abs(record["drag"]) < 6.0).all()
    maps = [dict(np.load(file)) for file in sorted((wake / "maps").glob("[0-9]*.npz"))]
    assert [float(shot["time"]) for shot in maps] == pytest.approx([0.0, 0.16, 0.32], abs=1e-12)
    assert np.abs(maps[0]["points"] - maps[2]["points"]).max() > 1e-3


def test_a_run_stopped_and_gone_on_with_is_the_whole_one(wake: Path, driftmesh, monkeypatch, tmp_path: Path) -> None:
    from cases.flow_simulation import FlowSimulation

    observe = FlowSimulation._observe

    def stop(self) -> None:
        observe(self)
        if self.steps == 12:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FlowSimulation, "_observe", stop)
        execute(RunRequest("cylinder-wake", mover="mmpde", assignments=EVEN, out=tmp_path / "parts"), quiet=True)
    assert load_checkpoint(tmp_path / "parts", COMM_WORLD).scalars["t"] < 0.2
    outcome = driftmesh("run", "cylinder-wake", "--resume", "--out", "parts")
    assert (outcome.code, outcome.err) == (0, "")
    whole, parts = run_json(wake), run_json(tmp_path / "parts")
    assert (whole["steps"], whole["moves"]) == (parts["steps"], parts["moves"])
    assert whole["metrics"]["mass_drift_rel"] == parts["metrics"]["mass_drift_rel"]
    with (
        xarray.open_dataset(wake / "forces.nc", engine="h5netcdf") as one,
        xarray.open_dataset(tmp_path / "parts" / "forces.nc", engine="h5netcdf") as other,
    ):
        xarray.testing.assert_identical(one, other)


def test_a_mesh_that_cannot_go_straight_stays(monkeypatch, tmp_path: Path) -> None:
    def refuse(self, target) -> None:
        raise ValueError("target: got a cell with -0.1 of its volume on the straight way there")

    monkeypatch.setattr("fem.navier_stokes_stepper.NavierStokesStepper.begin_motion", refuse)
    options = (*WAKE[:3], "t_end=0.06", "move_every=1")
    request = RunRequest("cylinder-wake", mover="mmpde", assignments=options, out=tmp_path / "run")
    assert execute(request, quiet=True) == "done"
    run = run_json(tmp_path / "run")
    assert (run["moves"], run["metrics"]["failed_moves"]) == (0, 3)


def test_every_mover(tmp_path: Path) -> None:
    movers = ("mmpde", "monge-ampere", "um2n", "dmm", "drift")
    options = (*WAKE[:3], "t_end=0.06", "move_every=1", "motion_steps=1", "output_interval=0.06")
    assert compare(CompareRequest("cylinder-wake", movers, options, out=tmp_path / "all"), quiet=True) == "done"
    runs = json.loads((tmp_path / "all" / "compare.json").read_text())["runs"]
    assert set(runs) == {"none", *movers}
    for mover, run in runs.items():
        metrics = run["metrics"]
        assert metrics["tangled_moves"] == 0, mover
        assert mover == "none" or run["moves"] + metrics["failed_moves"] > 0


# -- periods ----------------------------------------------------------------------------------------------------


def test_periods_of_a_known_record() -> None:
    """Lift of amplitude 1 about -0.02 with the period 1/3 s, drag of twice the frequency, pressure by its phase."""
    times = 0.0025 + 0.005 * np.arange(400)
    phase = 2 * np.pi * 3 * times
    values = np.column_stack([3.2 + 0.03 * np.cos(2 * phase), np.cos(phase) - 0.02, 2.4 - 0.08 * np.cos(phase)])
    found = shedding(times, values)
    assert found is not None
    assert found.period == pytest.approx(1 / 3, rel=1e-4)
    assert (found.drag, found.lift) == (pytest.approx(3.23, rel=1e-5), pytest.approx(0.98, rel=1e-5))
    assert found.lift_amplitude == pytest.approx(1.0, rel=1e-5)
    assert found.pressure_difference == pytest.approx(2.48, rel=1e-5) and found.spread < 1e-5
    quantities = wake_quantities(times, values, 2)
    assert quantities["Strouhal number"].value == pytest.approx(0.3, rel=1e-4)
    assert quantities["greatest lift coefficient"].published == pytest.approx(1.0)
    assert shedding(times[:60], values[:60]) is None and wake_quantities(times[:60], values[:60], 2) == {}
