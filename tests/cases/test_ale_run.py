"""Runs whose mesh is taken along by the flow's own steps: what they keep, and that they go on exactly."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from firedrake import COMM_WORLD
from run_files import run_json

from cases.checkpoint import load_checkpoint
from cases.run import RunRequest, execute

# The wave reaches the islet and begins to flood it.
WAVE = ("resolution=0.4", "t_end=13", "output_interval=3", "checkpoint_interval=5", "move_every=15", "transfer=ale")


@pytest.fixture(scope="module")
def wave(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run of Monai."""
    out = tmp_path_factory.mktemp("ale")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cases.figures.write_figures", lambda *_, **__: [])
        assert execute(RunRequest("monai", mover="mmpde", assignments=WAVE, out=out), quiet=True) == "done"
    return out


def test_water_is_kept_and_maps_are_of_meshes_on_their_way(wave: Path) -> None:
    run = run_json(wave)
    assert run["moves"] > 10 and run["metrics"]["mass_drift_rel"] <= 1e-12
    assert (run["metrics"]["tangled_moves"], run["metrics"]["failed_moves"]) == (0, 0)
    maps = [dict(np.load(file)) for file in sorted((wave / "maps").glob("[0-9]*.npz"))]
    for shot, other in pairwise(maps):
        assert np.abs(shot["points"] - other["points"]).max() > 0.01
        np.testing.assert_allclose(other["elevation"] - other["depth"], other["bathymetry"], rtol=0, atol=1e-15)
        assert (other["depth"] >= 0.0).all()
    # High on the shore, which no wave has reached, the maximum is the ground, however often that has been sampled.
    maximum = dict(np.load(wave / "maps" / "maximum.npz"))
    land = maximum["bathymetry"] > 0.08
    assert land.any()
    np.testing.assert_allclose(maximum["elevation"][land], maximum["bathymetry"][land], rtol=0, atol=1e-15)


@pytest.mark.parametrize("stop_after", [100, 140])
def test_a_run_stopped_anywhere_goes_on(
    stop_after: int, wave: Path, same_gauges, driftmesh, no_figures, monkeypatch, tmp_path: Path
) -> None:
    """It stops as soon as the mesh rests; the one that goes on is the whole one."""
    from cases.simulation import Simulation

    observe = Simulation._observe

    def stop(self) -> None:
        observe(self)
        self._stop_requested = self.steps > stop_after

    with monkeypatch.context() as patch:
        patch.setattr(Simulation, "_observe", stop)
        request = RunRequest("monai", mover="mmpde", assignments=WAVE, out=tmp_path / "parts")
        assert execute(request, quiet=True) == "interrupted"
    assert load_checkpoint(tmp_path / "parts", COMM_WORLD).scalars["t"] < 12
    outcome = driftmesh("run", "monai", "--resume", "--out", "parts")
    assert (outcome.code, outcome.err) == (0, "")
    same_gauges(wave, tmp_path / "parts", 1e-12)
    whole, parts = run_json(wave), run_json(tmp_path / "parts")
    assert (whole["steps"], whole["moves"]) == (parts["steps"], parts["moves"])


@pytest.mark.parametrize("case", ["swirl", "burgers"])
def test_scalar_laws(case: str, no_figures, tmp_path: Path) -> None:
    """With ale the error is that of the remap but for a fifth, and nothing is lost."""
    errors = {}
    for transfer in ("ale", "remap"):
        end = "t_end=0.3" if case == "swirl" else "t_end=0.6"
        assignments = ("resolution=12", end, "move_every=10", f"transfer={transfer}")
        request = RunRequest(case, mover="mmpde", assignments=assignments, out=tmp_path / transfer)
        assert execute(request, quiet=True) == "done"
        run = run_json(tmp_path / transfer)
        assert run["metrics"]["mass_drift_rel"] <= 1e-12 and run["moves"] > 5
        errors[transfer] = run["metrics"]["error"]
    print(case, errors)
    assert errors["ale"] < 1.2 * errors["remap"]


def test_a_scheme_of_first_order_is_refused(driftmesh, tmp_path: Path) -> None:
    outcome = driftmesh(
        "run", "monai", "--mover", "mmpde", "--set", "transfer=ale", "--set", "scheme=euler", "--out", "n"
    )
    assert outcome.code == 2 and not (tmp_path / "n").exists()
    assert "transfer: got 'ale' with a scheme of order 1, expected order 2 or more" in outcome.error_line
