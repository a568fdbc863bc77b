"""Steady incompressible flows beside published values, on fixed and on moved meshes, as `driftmesh run` makes them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cases.flow.cylinder import SOURCE as CYLINDER_SOURCE
from cases.flow.lid_cavity import EXTREMES, GHIA, LATER, LATER_SOURCE
from cases.validation.row import Row

MOVERS = ("none", "mmpde", "drift")


def _run(case: str, mover: str, *assignments: str) -> dict[str, Any]:
    """Return ``run.json`` of a run, with ``mesh``, what it was on."""
    from cases.run import RunRequest, execute

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        execute(RunRequest(case=case, mover=mover, out=folder, assignments=assignments), quiet=True)
        summary = json.loads((folder / "run.json").read_text())
    moved = "fixed" if mover == "none" else f"{summary['metrics']['best_round']} moves by {mover}"
    return summary | {"mesh": f"{summary['cells']:,} cells, {summary['dofs']:,} unknowns, {moved}"}


def cylinder() -> Iterator[Row]:
    """DFG 2D-1: drag and lift within 0.1 % of Nabh's values, the pressure difference in the published interval."""
    suite = "cylinder, DFG 2D-1"
    for mover in MOVERS:
        summary = _run("cylinder", mover)
        mesh, found = summary["mesh"], summary["metrics"]["quantities"]
        seconds = summary["wall_s"]
        yield Row(suite, "unknowns", "at most", 20_000, summary["dofs"], 0.0, seconds, mesh)
        for name in ("drag", "lift"):
            value, known = found[name]["value"], found[name]["published"]
            yield Row(suite, name, "within", known, value, 1e-3 * abs(known), 0.0, mesh, CYLINDER_SOURCE)
        value = found["pressure difference"]["value"]
        interval = "Schäfer and Turek (1996), 0.1172 to 0.1176"
        yield Row(suite, "pressure difference [Pa]", "within", 0.1174, value, 2e-4, 0.0, mesh, interval)


def lid_cavity() -> Iterator[Row]:
    """Extreme velocities within 1 % of spectral and extrapolated ones; Ghia's, which are off those, within 3.5 %."""
    for reynolds, later in LATER.items():
        suite = f"lid-driven cavity, Re {reynolds}"
        for mover in MOVERS:
            summary = _run("lid-cavity", mover, f"reynolds={reynolds}")
            mesh, found = summary["mesh"], summary["metrics"]["quantities"]
            seconds = summary["wall_s"]
            for name, known in zip(EXTREMES, later, strict=True):
                source = LATER_SOURCE[reynolds]
                value = found[name]["value"]
                yield Row(suite, name, "within", known, value, 0.01 * abs(known), seconds, mesh, source)
                seconds = 0.0
            for name, known in zip(EXTREMES, GHIA[reynolds], strict=True):
                value = found[name]["value"]
                source = "Ghia, Ghia and Shin (1982)"
                yield Row(suite, name, "within", known, value, 0.035 * abs(known), 0.0, mesh, source)


def backward_step() -> Iterator[Row]:
    """Reattachments and separation on moved meshes within 1 % of Gartling's, and nearer than on the fixed one."""
    suite = "backward-facing step, Re 800"
    fixed = _run("backward-step", "none")["metrics"]["error"]
    for mover in MOVERS[1:]:
        summary = _run("backward-step", mover)
        mesh, metrics = summary["mesh"], summary["metrics"]
        greatest = "greatest relative error"
        yield Row(
            suite, greatest, "at most", fixed, metrics["error"], 0.0, summary["wall_s"], mesh, "that on the fixed mesh"
        )
        for name, one in metrics["quantities"].items():
            known, value = one["published"], one["value"]
            yield Row(suite, f"{name} [m]", "within", known, value, 0.01 * known, 0.0, mesh, one["source"])


def flow_steady() -> Iterator[Row]:
    """All of them."""
    yield from cylinder()
    yield from lid_cavity()
    yield from backward_step()
