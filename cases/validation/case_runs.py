"""Runs of cases for the validation, as users run them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from cases.moving import FIXED


def run_case(case: str, mover: str, *assignments: str) -> dict[str, Any]:
    """Return the ``run.json`` of a run of a case, in a folder that is gone then.

    Parameters
    ----------
    case, mover
        Their names.
    assignments
        Options, ``key=value``.
    """
    from cases.run import RunRequest, execute

    with tempfile.TemporaryDirectory() as name:
        execute(RunRequest(case, mover=mover, assignments=assignments, out=Path(name)), quiet=True)
        return json.loads((Path(name) / "run.json").read_text())


def mesh_of(run: dict[str, Any]) -> str:
    """Return in words what a run was on: cells, unknowns, and who moved it."""
    moves = run["metrics"].get("best_round", run["moves"])
    moved = "fixed" if run["mover"] == FIXED else f"{moves} moves by {run['mover']}"
    return f"{run['cells']:,} cells, {run['dofs']:,} unknowns, {moved}"
