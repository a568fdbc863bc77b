"""Every steady case with every mover, at its smallest: it ends, no cell is inverted, the folder is complete."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cases.moving import run_movers
from cases.registry import CASES, get_case
from cases.run import RunRequest, execute
from cases.steady_case import SteadyCase

STEADY = [name for name in CASES if isinstance(get_case(name), SteadyCase)]


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, which take longer than the runs do."""
    monkeypatch.setattr("cases.steady_figures.write_steady_figures", lambda *_, **__: [])


@pytest.mark.filterwarnings("ignore:mover. :RuntimeWarning")
@pytest.mark.parametrize("mover", run_movers())
@pytest.mark.parametrize("name", STEADY)
def test_contract(name: str, mover: str, tmp_path: Path) -> None:
    smallest = {"rounds": 1, **get_case(name).smallest}
    options = tuple(f"{key}={json.dumps(value)}" for key, value in smallest.items())
    assert execute(RunRequest(name, mover=mover, assignments=options, out=tmp_path), quiet=True) == "done"
    run = json.loads((tmp_path / "run.json").read_text())
    metrics = run["metrics"]
    assert (run["case"], run["mover"], run["status"]) == (name, mover, "done")
    assert run["cells"] > 0 and run["dofs"] > 0
    assert metrics["tangled_moves"] == 0 and 0.0 < metrics["min_jacobian_ratio"] <= 1.0
    # A mover that fails is said to have; the others have moved once, unless the error is small enough already.
    assert metrics["stopped"] in ("rounds", "mover", "estimate", "tolerance")
    assert run["moves"] == (mover != "none" and metrics["stopped"] != "mover") * smallest["rounds"]
    assert len(metrics["rounds"]) == run["moves"] + 1 and 0 <= metrics["best_round"] <= run["moves"]
    assert metrics["error"] is None or metrics["error"] >= 0.0
    assert all(np.isfinite(one["value"]) for one in metrics["quantities"].values())
    page = (tmp_path / "report.html").read_text()
    assert get_case(name).title in page.replace("&#39;", "'")
    assert all(written in page for written in metrics["quantities"])
    for file in ("config.toml", "fields.pvd", "checkpoint.h5", "maps/mesh.npz", "maps/0000.npz"):
        assert (tmp_path / file).stat().st_size > 0
