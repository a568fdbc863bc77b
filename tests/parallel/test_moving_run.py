"""On two ranks a moving mesh goes where it goes on one, and a run on it goes on after a stop, also on one."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from run_files import run_json

from cases.run import RunRequest, execute

pytestmark = pytest.mark.parallel

INTERFERE = Path(__file__).with_name("interfere.py")
# Flooding and drying; the mesh is moved some twenty times.
WAVE = ("--set", "resolution=0.4", "--set", "t_end=18", "--set", "output_interval=6")
MOVERS = ("mmpde", "monge-ampere")
# Measured 3e-12: sums over cells and ranks are taken in another order, and no switch of the limiters, which compare
# what is not equal but for rounding, is turned by that.
ACROSS_RANKS = 1e-9
SAME_RANKS = 1e-13


def _command(*arguments: object) -> list[object]:
    return [sys.executable, INTERFERE, *arguments]


@pytest.fixture(scope="module")
def parallel(mpiexec, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folders of the runs on two ranks by mover."""
    folder = tmp_path_factory.mktemp("parallel")
    for mover in MOVERS:
        command = _command("none", 0, 0, "run", "monai", "--mover", mover, *WAVE, "--out", folder / mover)
        outcome = mpiexec(2, command)
        assert (outcome.code, outcome.err) == (0, "")
    return {mover: folder / mover for mover in MOVERS}


def _by_place(shot: dict[str, np.ndarray]) -> np.ndarray:
    """Return x, y, elevation, depth and bed at the corners of all cells, sorted by place and cell."""
    centre = shot["points"].reshape(-1, 3, 2).mean(axis=1).repeat(3, axis=0)
    order = np.lexsort(np.hstack([centre, shot["points"]]).round(7).T)
    return np.column_stack([shot[name] for name in ("points", "elevation", "depth", "bathymetry")])[order]


@pytest.mark.parametrize("mover", MOVERS)
def test_two_ranks_compute_what_one_computes(
    mover: str, parallel: dict[str, Path], no_figures, same_gauges, tmp_path: Path
) -> None:
    request = RunRequest("monai", mover=mover, assignments=WAVE[1::2], out=tmp_path)
    assert execute(request, quiet=True) == "done"
    same_gauges(tmp_path, parallel[mover], ACROSS_RANKS)
    one, two = run_json(tmp_path), run_json(parallel[mover])
    assert (one["ranks"], two["ranks"]) == (1, 2)
    assert (one["steps"], one["moves"]) == (two["steps"], two["moves"]) and one["moves"] > 15
    assert two["metrics"]["mass_drift_rel"] <= 1e-12
    for name in ("min_jacobian_ratio", "bed_offset"):
        assert two["metrics"][name] == pytest.approx(one["metrics"][name], rel=1e-6)
    for number in range(4):
        shots = [dict(np.load(out / "maps" / f"{number:04d}.npz")) for out in (tmp_path, parallel[mover])]
        np.testing.assert_allclose(_by_place(shots[1]), _by_place(shots[0]), rtol=0, atol=ACROSS_RANKS)


@pytest.mark.parametrize("ranks", [2, 1])
def test_a_stopped_run_goes_on(
    ranks: int, parallel: dict[str, Path], stopped: Path, mpiexec, same_gauges, tmp_path: Path
) -> None:
    out = shutil.copytree(stopped, tmp_path / "run")
    outcome = mpiexec(ranks, _command("none", 0, 0, "run", "monai", "--resume", "--out", out))
    assert (outcome.code, outcome.err) == (0, "")
    whole = parallel["mmpde"]
    same_gauges(whole, out, SAME_RANKS if ranks == 2 else ACROSS_RANKS)
    one, two = run_json(whole), run_json(out)
    assert (one["steps"], one["moves"]) == (two["steps"], two["moves"])
    # Maps of before and after the stop, each with the mesh it was written on.
    for number in range(4):
        shots = [dict(np.load(folder / "maps" / f"{number:04d}.npz")) for folder in (whole, out)]
        np.testing.assert_allclose(_by_place(shots[1]), _by_place(shots[0]), rtol=0, atol=ACROSS_RANKS)


@pytest.fixture(scope="module")
def stopped(mpiexec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run on two ranks of which the second was told to stop."""
    out = tmp_path_factory.mktemp("stopped") / "run"
    outcome = mpiexec(2, _command("terminate", 210, 1, "run", "monai", "--mover", "mmpde", *WAVE, "--out", out))
    assert outcome.code == 130
    assert run_json(out)["moves"] > 5
    return out


def test_a_comparison_on_two_ranks(mpiexec, tmp_path: Path) -> None:
    arguments = ("--movers", "mmpde", "--set", "resolution=0.5", "--set", "t_end=2", "--out", tmp_path / "here")
    outcome = mpiexec(2, _command("none", 0, 0, "compare", "monai", *arguments))
    assert (outcome.code, outcome.err) == (0, "")
    content = json.loads((tmp_path / "here" / "compare.json").read_text())
    assert {mover: run["ranks"] for mover, run in content["runs"].items()} == {"none": 2, "mmpde": 2}
    assert outcome.out.count("| mmpde |") == 1, "one rank speaks"
