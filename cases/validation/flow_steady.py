"""Steady incompressible flows beside published values, on fixed and on moved meshes, as `driftmesh run` makes them."""

from __future__ import annotations

from collections.abc import Iterator

from cases.flow.cylinder import SOURCE as CYLINDER_SOURCE
from cases.flow.lid_cavity import EXTREMES, GHIA, LATER, LATER_SOURCE
from cases.validation.case_runs import mesh_of, run_case
from cases.validation.row import Row

MOVERS = ("none", "mmpde", "drift")


def cylinder() -> Iterator[Row]:
    """DFG 2D-1: drag and lift within 0.1 % of Nabh's values, the pressure difference in the published interval."""
    suite = "cylinder, DFG 2D-1"
    for mover in MOVERS:
        summary = run_case("cylinder", mover)
        mesh, found = mesh_of(summary), summary["metrics"]["quantities"]
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
            summary = run_case("lid-cavity", mover, f"reynolds={reynolds}")
            mesh, found = mesh_of(summary), summary["metrics"]["quantities"]
            seconds = summary["wall_s"]
            for name, known in zip(EXTREMES, later, strict=True):
                source = LATER_SOURCE[reynolds]
                value = found[name]["value"]
                yield Row(suite, name, "within", known, value, 0.01 * abs(known), seconds, mesh, source)
                seconds = 0.0
            for name, known in zip(EXTREMES, GHIA[reynolds], strict=True):
                value = found[name]["value"]
                source = "Ghia, Ghia and Shin (1982), up to 2.2 % off the later ones"
                yield Row(suite, name, "within", known, value, 0.035 * abs(known), 0.0, mesh, source)


def backward_step() -> Iterator[Row]:
    """Reattachments and separation on moved meshes within 1 % of Gartling's, and nearer than on the fixed one."""
    suite = "backward-facing step, Re 800"
    fixed = run_case("backward-step", "none")["metrics"]["error"]
    for mover in MOVERS[1:]:
        summary = run_case("backward-step", mover)
        mesh, metrics = mesh_of(summary), summary["metrics"]
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
