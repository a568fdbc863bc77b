"""`driftmesh dataset operators` and `driftmesh train` of operators: problems and trajectories, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from learned.dataset import read_arrays
from learned.operators.problem import SCHEMA as PROBLEM
from learned.operators.problem import problem_of
from learned.operators.trajectory import SCHEMA as TRAJECTORY
from learned.operators.trajectory import trajectory_of
from learned.weights import load_weights


def test_a_data_set_of_operators_holds_problems_or_trajectories(driftmesh, tmp_path: Path) -> None:
    for problem in ("poisson-grid", "dam-break"):
        outcome = driftmesh("dataset", "operators", "--problem", problem, "--count", 1, "--out", f"{problem}.h5")
        assert outcome.out == f"written: {problem}.h5, 1 samples made, 0 were there\n"
    (arrays,) = read_arrays(tmp_path / "poisson-grid.h5", PROBLEM)
    assert problem_of(arrays).loads.shape[1] == 8
    (arrays,) = read_arrays(tmp_path / "dam-break.h5", TRAJECTORY)
    assert trajectory_of(arrays).kind == "dam_break" and trajectory_of(arrays).steps == 12


@pytest.mark.parametrize(
    ("model", "problem", "file"),
    [
        ("rollout", "dam-break", "trajectories.h5"),
        ("rollout-twin", "hyperelastic", "trajectories.h5"),
        ("message-passing", "poisson", "operators.h5"),
    ],
)
def test_a_smoke_makes_its_data_and_leaves_weights(model, problem, file, driftmesh, tmp_path: Path) -> None:
    name = f"{model}-{problem}"
    outcome = driftmesh("train", model, "--problem", problem, "--smoke", "--updates", 2, "--out", "trained")
    assert outcome.out.splitlines()[-1] == f"written: trained/{name}.safetensors, trained/{name}.json"
    _, card = load_weights(tmp_path / "trained" / f"{name}.safetensors")
    assert card.epochs == 2 and card.data.startswith(f"{problem}: 4 ")
    assert len(list(read_arrays(tmp_path / "trained" / file, PROBLEM if file == "operators.h5" else TRAJECTORY))) == 6


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("dataset operators", "--problem: got None for operators, expected one of poisson, "),
        ("dataset movers --problem dam-break", "--problem: got 'dam-break' for movers, expected one of poisson, "),
        (
            "train rollout --problem poisson",
            "--problem: got 'poisson', expected one of hyperelastic, cylinder, dam-brea",
        ),
        ("train rollout --problem cylinder --stream", "--stream: got it for rollout, expected drift or um2n or spon"),
    ],
)
def test_problems_that_do_not_fit_are_bad_input(command: str, message: str, driftmesh, tmp_path: Path) -> None:
    outcome = driftmesh(*command.split())
    assert outcome.code == 2 and outcome.err.startswith(f"driftmesh: {message}") and not list(tmp_path.iterdir())
