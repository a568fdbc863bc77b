"""The command line when a run goes on or fails: checkpoints that cannot be used, numerical failure."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from firedrake import COMM_WORLD

from cases.checkpoint import load_checkpoint
from fem.shallow_water_stepper import ShallowWaterStepper
from fem.timestep import StepResult, StepStatus

# -- going on -------------------------------------------------------------------------------------------------


def test_resume_with_another_resolution(driftmesh, files, small_run_copy: Path) -> None:
    before = files(small_run_copy)
    outcome = driftmesh("run", "monai", "--resume", "--out", small_run_copy, "--set", "resolution=0.3")
    assert outcome.code == 2
    message = (
        "driftmesh: --resume: got another resolution, expected 0.4 as in the run; start a new run in another folder"
    )
    assert outcome.error_line == message
    assert files(small_run_copy) == before


def test_resume_of_another_case(driftmesh, files, small_run_copy: Path) -> None:
    config = small_run_copy / "config.toml"
    config.write_text(config.read_text().replace('case = "monai"', 'case = "thacker"'))
    before = files(small_run_copy)
    outcome = driftmesh("run", "monai", "--resume", "--out", small_run_copy)
    assert outcome.code == 2
    assert "--resume: got case 'monai', expected 'thacker', the case in " in outcome.error_line
    assert files(small_run_copy) == before


def _removed(checkpoint: Path) -> None:
    checkpoint.unlink()


def _garbage(checkpoint: Path) -> None:
    checkpoint.write_bytes(b"garbage" * 1000)


def _empty(checkpoint: Path) -> None:
    checkpoint.write_bytes(b"")


def _half(checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[: checkpoint.stat().st_size // 2])


def _all_but_a_byte(checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])


def _other_hdf5(checkpoint: Path) -> None:
    with h5py.File(checkpoint, "w") as file:
        file["x"] = np.arange(3)


def _other_format(checkpoint: Path) -> None:
    with h5py.File(checkpoint, "a") as file:
        file["driftmesh"].attrs["format"] = 999


def _without_state(checkpoint: Path) -> None:
    with h5py.File(checkpoint, "a") as file:
        del file["topologies"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_removed, "got no .*checkpoint.h5, expected one written by an earlier run; leave out --resume .*"),
        (
            _garbage,
            "got .*checkpoint.h5, expected a complete checkpoint .*; it cannot be read .*; start a new run .*",
        ),
        (
            _empty,
            "got .*checkpoint.h5, expected a complete checkpoint .*; it cannot be read .*; start a new run .*",
        ),
        (_half, "got .*checkpoint.h5, expected a complete checkpoint .*truncated.*; start a new run .*"),
        (
            _all_but_a_byte,
            "got .*checkpoint.h5, expected a complete checkpoint .*truncated.*; start a new run .*",
        ),
        (_other_hdf5, "got .*, expected a complete checkpoint .*no group 'driftmesh'.*; start a new run .*"),
        (
            _other_format,
            "got .*, expected a complete checkpoint .*format 999 instead of .*; start a new run .*",
        ),
        (
            _without_state,
            "got .*, expected a complete checkpoint .*; it cannot be read .*; start a new run .*",
        ),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_resume_from_an_unusable_checkpoint(spoil, message: str, driftmesh, files, small_run_copy: Path) -> None:
    spoil(small_run_copy / "checkpoint.h5")
    before = files(small_run_copy)
    outcome = driftmesh("run", "monai", "--resume", "--out", small_run_copy)
    assert outcome.code == 2
    assert re.fullmatch(f"driftmesh: checkpoint: {message}", outcome.error_line), outcome.error_line
    assert outcome.out == "" and files(small_run_copy) == before


def test_truncated_checkpoint_with_the_installed_command(driftmesh_process, small_run_copy: Path) -> None:
    """PETSc writes its complaints past Python, and at the end of the process."""
    _half(small_run_copy / "checkpoint.h5")
    outcome = driftmesh_process("run", "monai", "--resume", "--out", small_run_copy)
    assert (outcome.code, outcome.out) == (2, "")
    assert "truncated" in outcome.error_line


# -- numerical failure ----------------------------------------------------------------------------------------


def _after(steps: int, then, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `then` take the place of the steps after the first ones."""
    taken, step = 0, ShallowWaterStepper.step

    def counted(self: ShallowWaterStepper, t: float, dt_max: float) -> StepResult:
        nonlocal taken
        taken += 1
        return step(self, t, dt_max) if taken <= steps else then(self, step, t, dt_max)

    monkeypatch.setattr(ShallowWaterStepper, "step", counted)


def _fails(stepper, step, t, dt_max) -> StepResult:
    return StepResult(StepStatus.FAILED, 0.0, 12)


def _makes_nan_unnoticed(stepper, step, t, dt_max) -> StepResult:
    result = step(stepper, t, dt_max)
    stepper.state.dat.data[0, 1] = np.nan
    return result


@pytest.mark.parametrize(
    ("then", "steps", "expected_t"),
    [(_fails, 40, 2.0), (_fails, 0, 0.0), (_makes_nan_unnoticed, 40, 2.0), (_makes_nan_unnoticed, 0, 0.0)],
)
def test_numerical_failure(
    then, steps: int, expected_t: float, driftmesh, small, no_figures, monkeypatch, tmp_path: Path
) -> None:
    _after(steps, then, monkeypatch)
    outcome = driftmesh("run", "monai", *small, "--set", "checkpoint_interval=1", "--out", "failing")
    assert outcome.code == 3
    out = tmp_path / "failing"
    assert f"last good checkpoint: {Path('failing') / 'checkpoint.h5'}\n" in outcome.out
    checkpoint = load_checkpoint(out, COMM_WORLD)
    assert expected_t <= checkpoint.scalars["t"] < expected_t + 0.2
    assert np.isfinite(checkpoint.state.dat.data_ro).all()
    run = (out / "run.json").read_text()
    assert '"status": "failed"' in run and "NaN" not in run
    assert (out / "report.html").is_file()


def test_failure_names_no_other_runs_checkpoint(
    driftmesh, small, no_figures, monkeypatch, small_run_copy: Path
) -> None:
    """A run into the folder of an earlier one that fails at once must not offer that one's checkpoint as its own."""
    _after(0, _fails, monkeypatch)
    assert driftmesh("run", "monai", *small, "--set", "resolution=0.5", "--out", small_run_copy).code == 3
    assert load_checkpoint(small_run_copy, COMM_WORLD).scalars["t"] == 0.0
