"""Solids, heat and steady flow beside published and exact values, on a fixed mesh and on moved ones of as many cells.

    python benchmarks/engineering.py                     # all, some minutes; prints a table
    python benchmarks/engineering.py plate cook          # some
    python benchmarks/engineering.py --movers mmpde,monge-ampere

Rounds of solve, estimate the error by recovery, move to the density of cells wanted: until the estimate falls no more,
and the mesh of the least estimate is taken.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

os.environ.setdefault("OMP_NUM_THREADS", "1")
# PETSc reads this script's arguments too: it must not tell that it knew none, nor catch signals.
os.environ["PETSC_OPTIONS"] = "-options_left no -no_signal_handler " + os.environ.get("PETSC_OPTIONS", "")

import numpy as np
from benchmark_document import machine, table, warn_if_busy
from firedrake import Constant, Function, Mesh, RectangleMesh, SpatialCoordinate, as_vector, grad, inner, split, tanh

from coupling.registry import get_mover
from fem.analytic.corner import l_shape_corner
from fem.analytic.layers import anisotropic_layer, outflow_layers
from fem.error_estimate import Estimate, recovery_estimate, wanted_density
from fem.problems.boussinesq import PUBLISHED, HeatedCavity
from fem.problems.convection_diffusion import ConvectionDiffusion
from fem.problems.cook_membrane import PUBLISHED as COOK
from fem.problems.cook_membrane import cook_mesh, deflection, solve_cook
from fem.problems.darcy import flux_error, imbalance, solve_darcy
from fem.problems.elasticity import Material, stress_estimate, value_at
from fem.problems.elliptic import EllipticSolver, Poisson
from fem.problems.hyperelasticity import solve_hyperelastic
from fem.problems.plate_with_hole import PlateWithHole
from meshing.generation import l_shape
from meshing.monitor import FieldMonitor, Monitor, SumMonitor
from meshing.shaping import Shaping

# Most rounds, and the share by which the estimate has to fall for another one.
ROUNDS, LEAST_GAIN = 6, 0.02
# Half a cell: as monitor functions made of derivatives have it.
SHAPING = Shaping(smoothing=0.5)
# Layers are thinner than cells.
QUADRATURE = 20
CORNER = "L-shape"


@dataclass(frozen=True)
class Found:
    """What a solve on a mesh gave: quantities by name, unknowns, the error estimated, and where cells are wanted."""

    quantities: Mapping[str, float]
    unknowns: int
    estimated: float = 0.0
    monitor: Monitor | None = None


@dataclass(frozen=True)
class Study:
    """A problem: its mesh, its solution there, what is known of its quantities, whether it is moved, and stops.

    Where layers are thinner than cells, the estimate cannot see the error, and all rounds are done.
    """

    mesh: Callable[[], Mesh]
    solve: Callable[[Mesh], Found]
    known: Mapping[str, str]
    moves: bool = True
    stops: bool = True


def wanted(estimate: Estimate, degree: int) -> Monitor:
    """Return the monitor function that asks for the density wanted."""
    return FieldMonitor(wanted_density(estimate, degree), SHAPING)


def plate(degree: int, size: float) -> Study:
    problem = PlateWithHole()

    def solve(mesh: Mesh) -> Found:
        u = problem.solve(mesh, degree)
        quantities = {
            "K_t": problem.stress_concentration(u),
            "error, energy norm": problem.errors(u)[1],
        }
        estimate = stress_estimate(u, problem.material)
        return Found(quantities, u.function_space().dim(), estimate.total, wanted(estimate, degree))

    return Study(lambda: problem.mesh(size=size), solve, {"K_t": "3 (Kirsch 1898)", "error, energy norm": "0"})


def cook(degree: int, size: float) -> Study:
    def solve(mesh: Mesh) -> Found:
        u = solve_cook(mesh, degree=degree)
        estimate = stress_estimate(u, Material(young=1.0, poisson=1.0 / 3.0, plane="stress"))
        quantities = {"deflection": deflection(u)}
        return Found(quantities, u.function_space().dim(), estimate.total, wanted(estimate, degree))

    return Study(lambda: cook_mesh(size=size), solve, {"deflection": f"{COOK} at (48, 52)"})


def corner(size: float) -> Study:
    problem = Poisson(exact=l_shape_corner())

    def solve(mesh: Mesh) -> Found:
        solver = EllipticSolver(problem, mesh)
        u = solver.solve()
        estimate = recovery_estimate(mesh, grad(u), 1)
        quantities = {"error, H1 norm": solver.errors(u).h1}
        return Found(quantities, u.function_space().dim(), estimate.total, wanted(estimate, 1))

    return Study(lambda: l_shape(size=size), solve, {"error, H1 norm": "0"})


def convection(cells: int, peclet: float = 1e4) -> Study:
    velocity = (2.0, 1.0)
    diffusivity = float(np.hypot(*velocity)) / peclet
    exact = outflow_layers(diffusivity, velocity)
    problem = ConvectionDiffusion(exact=exact, diffusivity=diffusivity, velocity=velocity, quadrature_degree=QUADRATURE)
    found = layer(problem, cells)
    return replace(found, known={"error, L2": "0", "greatest u": "less than 1"}, stops=False)


def anisotropic(cells: int, ratio: float = 1e-3) -> Study:
    exact = anisotropic_layer(ratio)
    tensor = np.diag([1.0, ratio])
    return layer(ConvectionDiffusion(exact=exact, diffusivity=tensor, quadrature_degree=QUADRATURE), cells)


def layer(problem: ConvectionDiffusion, cells: int) -> Study:
    def solve(mesh: Mesh) -> Found:
        u = problem.solve(mesh)
        tensor = Constant(problem.tensor)
        estimate = recovery_estimate(mesh, grad(u), 1, energy=lambda wrong: inner(tensor * wrong, wrong))
        errors = problem.errors(u)
        quantities = {"error, L2": errors.l2, "error, energy norm": errors.h1, "greatest u": float(u.dat.data_ro.max())}
        return Found(quantities, u.function_space().dim(), estimate.total, wanted(estimate, 1))

    known = {"error, L2": "0", "error, energy norm": "0", "greatest u": "less than 1"}
    return Study(lambda: RectangleMesh(cells, cells, 1.0, 1.0), solve, known)


def darcy(cells: int) -> Study:
    def head(x):
        return tanh(20.0 * ((x[0] - 0.3) ** 2 + (x[1] - 0.4) ** 2 - 0.16))

    def solve(mesh: Mesh) -> Found:
        x = SpatialCoordinate(mesh)
        conductivity = 1.0 + x[0] * x[1]
        flux = -conductivity * grad(head(x))
        source = sum(flux[axis].dx(axis) for axis in (0, 1))
        flow = solve_darcy(mesh, conductivity, source, head={side: head(x) for side in (1, 2, 3, 4)})
        estimate = recovery_estimate(mesh, flow.flux, 1)
        lost = float(np.abs(imbalance(flow, source).dat.data_ro).max())
        quantities = {"error of the flux, L2": flux_error(flow, flux), "lost in a cell, most": lost}
        unknowns = flow.flux.function_space().dim() + flow.head.function_space().dim()
        return Found(quantities, unknowns, estimate.total, wanted(estimate, 1))

    known = {"error of the flux, L2": "0", "lost in a cell, most": "0"}
    return Study(lambda: RectangleMesh(cells, cells, 1.0, 1.0), solve, known)


def cavity(cells: int, rayleigh: float) -> Study:
    problem = HeatedCavity()
    before: list[Function] = []

    def solve(mesh: Mesh) -> Found:
        start = before[0] if before else None
        w = problem.solve(mesh, rayleigh, start=start)
        before[:] = [w]
        u, _, temperature = split(w)
        heat, flow = (recovery_estimate(mesh, flux, 2) for flux in (grad(temperature), grad(u)))
        quantities = {"Nusselt number": problem.nusselt(w), "at the hot wall": -problem.wall_nusselt(w, problem.hot)}
        monitor = SumMonitor([wanted(heat, 2), wanted(flow, 2)])
        # Speeds go like the square root of the Rayleigh number.
        return Found(
            quantities, w.function_space().dim(), float(np.hypot(heat.total, flow.total / rayleigh**0.5)), monitor
        )

    def mesh() -> Mesh:
        before.clear()
        return RectangleMesh(cells, cells, 1.0, 1.0)

    published = f"{PUBLISHED[rayleigh]:.3f} (de Vahl Davis 1983)"
    return Study(mesh, solve, {"Nusselt number": published, "at the hot wall": published})


def beam(slenderness: int, load: float, published: tuple[float, float]) -> Study:
    height = 1.0 / slenderness
    # E I = 1.
    material = Material(young=12.0 / height**3, poisson=0.0)

    def solve(mesh: Mesh) -> Found:
        force = as_vector([0.0, Constant(load / height)])
        u = solve_hyperelastic(mesh, material, degree=2, fixed={1: (0.0, 0.0)}, tractions={2: force}, steps=10)
        back, up = value_at(u, (1.0, 0.5 * height))
        return Found({"tip up": up, "tip back": -back}, u.function_space().dim())

    known = {"tip up": f"{published[0]} (Mattiasson 1981)", "tip back": f"{published[1]} (Mattiasson 1981)"}
    return Study(lambda: RectangleMesh(slenderness, 1, 1.0, height, diagonal="crossed"), solve, known, moves=False)


STUDIES: dict[str, Study] = {
    "plate P1": plate(1, 0.2),
    "plate P2": plate(2, 0.2),
    "cook P1": cook(1, 2.0),
    "cook P2": cook(2, 4.0),
    "L-shape h=1/12": corner(1 / 12),
    "L-shape h=1/24": corner(1 / 24),
    "L-shape h=1/48": corner(1 / 48),
    "convection Pe=1e4": convection(32),
    "anisotropic diffusion 1e-3": anisotropic(32),
    "darcy": darcy(24),
    "cavity Ra=1e3": cavity(16, 1e3),
    "cavity Ra=1e4": cavity(16, 1e4),
    "cavity Ra=1e5": cavity(16, 1e5),
    "cavity Ra=1e6": cavity(24, 1e6),
    "beam PL2/EI=1": beam(100, 1.0, (0.30172, 0.05643)),
    "beam PL2/EI=10": beam(100, 10.0, (0.81061, 0.55500)),
}


def run(study: Study, mover: str, rounds: int) -> tuple[Found, float, str]:
    """Return what was found on the mesh of the least estimate, the seconds of all, and how the moves ended."""
    start, mesh, ends = perf_counter(), study.mesh(), []
    best = found = study.solve(mesh)
    if mover != "none":
        moves = get_mover(mover)
        for _ in range(rounds):
            assert found.monitor is not None, "only what says where cells are wanted is moved"
            result = moves.move(mesh, found.monitor)
            ends.append(result.status.value)
            mesh = Mesh(result.coordinates)
            found = study.solve(mesh)
            gain = 1.0 - found.estimated / best.estimated
            if gain > 0.0 or not study.stops:
                best = found
            if gain < LEAST_GAIN and study.stops:
                break
    return best, perf_counter() - start, ", ".join(ends)


Results = dict[str, tuple[Found, float, str]]


def results(name: str, study: Study, movers: Sequence[str], rounds: int) -> Results:
    """Return what was found by mover, "none" for the fixed mesh; without those that failed."""
    found: Results = {}
    for mover in ("none", *movers) if study.moves else ("none",):
        try:
            # Once before, so that code generated for it does not count.
            run(study, mover, 1)
            found[mover] = run(study, mover, rounds)
        except Exception as error:  # one mover's failure is a figure of it
            print(f"{name}, {mover}: {type(error).__name__}: {error}", flush=True)
            continue
        print(f"{name}, {mover}: {found[mover][2]}", flush=True)
    return found


def rows(name: str, study: Study, found: Results, movers: Sequence[str]) -> list[list[str]]:
    """Return a row of the table for each quantity that is known."""
    lines = []
    for quantity, known in study.known.items():
        values = [
            f"{found[mover][0].quantities[quantity]:.5g}" if mover in found else "-" for mover in ("none", *movers)
        ]
        unknowns = next((str(one.unknowns) for one, _, _ in found.values()), "-")
        seconds = " / ".join(f"{found[mover][1]:.1f}" if mover in found else "-" for mover in ("none", *movers))
        lines.append([f"{name}: {quantity}", known, *values, unknowns, seconds])
    return lines


def corner_rates(found: Mapping[str, Results], movers: Sequence[str]) -> list[str]:
    """Return the row of the L-shape's rates: the error goes like the unknowns to the power -rate / 2."""
    line = ["L-shape: rate of the error, H1 norm", "1 (2/3 on even meshes)"]
    for mover in ("none", *movers):
        ones = [of_name[mover][0] for name, of_name in found.items() if name.startswith(CORNER) and mover in of_name]
        sizes = np.log([one.unknowns for one in ones])
        errors = np.log([one.quantities["error, H1 norm"] for one in ones])
        line.append(f"{-2.0 * np.polyfit(sizes, errors, 1)[0]:.3f}" if len(ones) > 1 else "-")
    return [*line, "", ""]


def main() -> None:
    """Run the studies asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="*", help="beginnings of their names; all if none")
    parser.add_argument("--movers", default="mmpde,monge-ampere,drift")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    about, movers = machine(), options.movers.split(",")
    warn_if_busy(about)
    chosen = {name: one for name, one in STUDIES.items() if name.startswith(tuple(options.studies or [""]))}
    found = {name: results(name, study, movers, options.rounds) for name, study in chosen.items()}
    lines = [line for name, study in chosen.items() for line in rows(name, study, found[name], movers)]
    if any(name.startswith(CORNER) for name in chosen):
        lines.append(corner_rates(found, movers))
    print(f"\n{about['cpu']}, one thread, {about['date']}; at most {options.rounds} rounds\n")
    print(table(["quantity", "published or exact", "fixed", *movers, "unknowns", "seconds"], lines))


if __name__ == "__main__":
    main()
