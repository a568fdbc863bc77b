"""On two ranks: the same numbers as on one, restarts across both, and bad input that ends all ranks at once."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from run_files import run_json

from cases.run import RunRequest, execute

pytestmark = pytest.mark.parallel

INTERFERE = Path(__file__).with_name("interfere.py")
# The whole wave: flooding, drying, reflection at the walls, outflow where it came in.
WAVE = ("--set", "resolution=0.3", "--set", "t_end=22.5")
STOP = 230
ACROSS_RANKS = 1e-10
SAME_RANKS = 1e-13


def _errors(err: str) -> list[str]:
    """Return what driftmesh itself wrote on standard error."""
    assert "Traceback" not in err, err
    return [line for line in err.splitlines() if line.startswith("driftmesh")]


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the run on one rank."""
    out = tmp_path_factory.mktemp("serial") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cases.figures.write_figures", lambda *_, **__: [])
        assert execute(RunRequest("monai", assignments=WAVE[1::2], out=out), quiet=True) == "done"
    return out


@pytest.fixture(scope="module")
def parallel(mpiexec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the run on two ranks."""
    out = tmp_path_factory.mktemp("parallel") / "run"
    outcome = mpiexec(2, ["driftmesh", "run", "monai", *WAVE, "--out", out])
    assert (outcome.code, outcome.err) == (0, "")
    # mpiexec gives its processes a terminal of their own; still nobody watches, and one rank speaks.
    assert "\x1b" not in outcome.out and len(outcome.out.splitlines()) == 5
    assert outcome.out.splitlines()[-1] == f"report: {out / 'report.html'}"
    return out


@pytest.fixture(scope="module")
def stopped(mpiexec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the run on two ranks of which the second was told to stop."""
    out = tmp_path_factory.mktemp("stopped") / "run"
    command = [sys.executable, INTERFERE, "terminate", STOP, 1, "run", "monai", *WAVE, "--out", out]
    outcome = mpiexec(2, command)
    assert (outcome.code, _errors(outcome.err)) == (130, [])
    assert f"go on with: driftmesh run monai --resume --out {out}" in outcome.out
    run = run_json(out)
    assert (run["status"], run["ranks"]) == ("interrupted", 2)
    assert STOP <= run["steps"] < STOP + 40
    return out


def test_two_ranks_compute_what_one_computes(serial: Path, parallel: Path, same_gauges) -> None:
    same_gauges(serial, parallel, ACROSS_RANKS)
    one, two = run_json(serial), run_json(parallel)
    assert (one["ranks"], two["ranks"]) == (1, 2)
    for key in ("case", "status", "config", "cells", "dofs", "steps"):
        assert one[key] == two[key], key
    for run in (one, two):
        assert run["metrics"]["mass_drift_rel"] <= 1e-12
    for name, gauge in one["metrics"]["gauges"].items():
        assert two["metrics"]["gauges"][name] == pytest.approx(gauge, rel=1e-8)


def test_two_ranks_write_the_same_maps(serial: Path, parallel: Path) -> None:
    names = sorted(file.name for file in (serial / "maps").iterdir())
    assert names == sorted(file.name for file in (parallel / "maps").iterdir())
    place = [_by_place(np.load(out / "maps" / "mesh.npz")["points"]) for out in (serial, parallel)]
    for name in names:
        one, two = (np.load(out / "maps" / name) for out in (serial, parallel))
        for field in ({"elevation", "depth", "bathymetry"}) & set(one.files):
            first, second = one[field][place[0]], two[field][place[1]]
            np.testing.assert_allclose(second, first, rtol=0, atol=ACROSS_RANKS, err_msg=f"{field} in {name}")
    files = re.findall(r'file="([^"]+)"', (parallel / "fields.pvd").read_text())
    assert len(files) == len(names) - 2 and all((parallel / file).is_file() for file in files)


def _by_place(points: np.ndarray) -> np.ndarray:
    """Return the order of the cells' corners by centre and place, whatever rank they come from."""
    centre = points.reshape(-1, 3, 2).mean(axis=1).repeat(3, axis=0)
    return np.lexsort(np.hstack([centre, points]).round(9).T)


def test_two_ranks_go_on_on_two(stopped: Path, parallel: Path, mpiexec, same_gauges, tmp_path: Path) -> None:
    out = shutil.copytree(stopped, tmp_path / "run")
    command = [sys.executable, INTERFERE, "none", 0, 0, "run", "monai", "--resume", "--out", out]
    outcome = mpiexec(2, command)
    assert (outcome.code, outcome.err) == (0, "")
    same_gauges(parallel, out, SAME_RANKS)
    _assert_same_run(parallel, out)


def test_two_ranks_go_on_on_one(
    stopped: Path, parallel: Path, driftmesh, no_figures, same_gauges, tmp_path: Path
) -> None:
    out = shutil.copytree(stopped, tmp_path / "run")
    outcome = driftmesh("run", "monai", "--resume", "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    same_gauges(parallel, out, ACROSS_RANKS)
    _assert_same_run(parallel, out)


def _assert_same_run(one: Path, other: Path) -> None:
    first, second = run_json(one), run_json(other)
    assert (second["status"], second["steps"], second["cells"]) == ("done", first["steps"], first["cells"])
    assert second["metrics"]["mass_drift_rel"] <= 1e-12
    highest = [np.sort(np.load(out / "maps" / "maximum.npz")["elevation"]) for out in (one, other)]
    np.testing.assert_allclose(highest[1], highest[0], rtol=0, atol=ACROSS_RANKS)


# -- bad input and crashes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("bogus", "No such command 'bogus'; see `driftmesh --help`"),
        ("run monai --set resolutoin=0.1 --out new", "option: got unknown key 'resolutoin', expected one of .*"),
        ("run monai --resume --out garbage", "checkpoint: got garbage/checkpoint.h5, expected a complete .*"),
    ],
    ids=["usage", "option", "checkpoint"],
)
def test_bad_input_is_one_line_and_ends_all_ranks(
    arguments: str, message: str, mpiexec, stopped: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "garbage").mkdir()
    shutil.copy(stopped / "config.toml", tmp_path / "garbage")
    (tmp_path / "garbage" / "checkpoint.h5").write_bytes(b"garbage" * 1000)
    outcome = mpiexec(2, ["driftmesh", *arguments.split()], seconds=60)
    assert outcome.code == 2
    (line,) = _errors(outcome.err)
    assert re.fullmatch(f"driftmesh: {message}", line), line
    assert "driftmesh" not in outcome.out and not (tmp_path / "new").exists()


def test_a_crash_on_one_rank_ends_all(mpiexec, tmp_path: Path) -> None:
    """The other rank waits for it in a message; without help it would wait for ever."""
    command = [sys.executable, INTERFERE, "crash", 10, 1, "run", "monai", *WAVE, "--out", tmp_path / "run"]
    try:
        outcome = mpiexec(2, command, seconds=60)
    except subprocess.TimeoutExpired:
        pytest.fail("the other rank hangs")
    assert outcome.code not in (0, 2, 3)
    assert "RuntimeError: a crash on one rank" in outcome.err
