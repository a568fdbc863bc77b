"""Incompressible flow against published values: python benchmarks/flow.py [taylor-green cylinder cavity step street].

Prints a table of each. The cylinder's steady flow is on the fixed mesh and on meshes moved to it; ``street`` is the
unsteady one, which takes minutes and goes on where it was stopped, from ``--out``; with ``--mover``, its mesh follows
the wake while it steps.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from firedrake import (
    Constant,
    Function,
    FunctionSpace,
    SpatialCoordinate,
    UnitSquareMesh,
    as_vector,
    assemble,
    cos,
    dx,
    exp,
    inner,
    pi,
    sin,
    split,
)
from firedrake.assemble import get_assembler
from scipy.interpolate import CubicSpline

from coupling.registry import get_mover
from fem.curved_mesh import CurvedMesh
from fem.navier_stokes_forces import BoundaryForce, pressures_at
from fem.navier_stokes_stepper import NavierStokesStepper
from fem.problems.navier_stokes import PAIRS, NavierStokes, SteadyFlow
from fem.timestep import StepStatus
from meshing.backward_step import backward_step
from meshing.curves import Circle
from meshing.field_monitors import GradientMonitor, HessianMonitor
from meshing.generation import channel_with_cylinder
from meshing.monitor import Monitor, SumMonitor

RADIUS, HEIGHT, FRONT_AND_BACK = 0.05, 0.41, np.array([[0.15, 0.2], [0.25, 0.2]])


class Row(NamedTuple):
    """A value beside the published one; an interval, where that is one."""

    case: str
    quantity: str
    published: str
    measured: float
    difference: str
    unknowns: int
    seconds: float


def row(case: str, quantity: str, published, measured: float, unknowns: int, seconds: float) -> Row:
    """Return a row of the table: published is a value, an interval or, for an order, a text."""
    if isinstance(published, tuple):
        low, high = published
        inside = low <= measured <= high
        return Row(case, quantity, f"{low:g} .. {high:g}", measured, "in" if inside else "OUT", unknowns, seconds)
    if isinstance(published, str):
        return Row(case, quantity, published, measured, "", unknowns, seconds)
    difference = f"{100 * (measured / published - 1):+.4f} %"
    return Row(case, quantity, f"{published:.8g}", measured, difference, unknowns, seconds)


def still(x, t):
    return 0.0, 0.0


# -- Taylor-Green ----------------------------------------------------------------------------------------------------


def taylor_green() -> Iterator[Row]:
    """Orders of velocity and pressure in space, on a fixed mesh and on one that moves with the flow."""
    for pair in PAIRS:
        for moving in (False, True):
            began, sizes, errors = time.perf_counter(), (8, 16, 32), []
            for cells in sizes:
                unknowns, found = vortices(cells, pair, moving)
                errors.append(found)
            slopes = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
            name = f"Taylor-Green, {pair}, {'moving' if moving else 'fixed'}"
            seconds = time.perf_counter() - began
            yield row(name, "order of u in L2", "3", -slopes[0], unknowns, seconds)
            yield row(name, "order of p in L2", "2", -slopes[1], unknowns, seconds)


def vortices(cells: int, pair: str, moving: bool, *, viscosity: float = 0.01, dt: float = 0.02, steps: int = 10):
    """Return unknowns and errors of vortices that decay on the unit square, its vertices in waves if moving."""

    def exact(x, t):
        decay = exp(-2 * pi**2 * viscosity * t)
        return as_vector([-cos(pi * x[0]) * sin(pi * x[1]) * decay, sin(pi * x[0]) * cos(pi * x[1]) * decay])

    mesh = UnitSquareMesh(cells, cells)
    problem = NavierStokes(mesh=mesh, viscosity=viscosity, velocity=dict.fromkeys((1, 2, 3, 4), exact), pair=pair)
    state, x = Function(problem.space()), SpatialCoordinate(mesh)
    state.subfunctions[0].interpolate(exact(x, Constant(0.0)))
    stepper = NavierStokesStepper(problem, state, dt=dt, tableau="sdirk3")
    first, target = mesh.coordinates.dat.data_ro.copy(), Function(mesh.coordinates.function_space())
    for step in range(steps):
        if moving:
            size = 0.04 * np.sin(7 * np.pi * (step + 1) * dt)
            target.dat.data_wo[:] = first + size * np.sin(np.pi * first) * np.cos(2 * np.pi * first[:, ::-1])
            stepper.begin_motion(target)
        assert stepper.step(step * dt, dt).status is StepStatus.DONE
    (u, p), t = split(state), Constant(steps * dt)
    pressure = -0.25 * (cos(2 * pi * x[0]) + cos(2 * pi * x[1])) * exp(-4 * pi**2 * viscosity * t)
    squares = (inner(u - exact(x, t), u - exact(x, t)), (p - pressure) ** 2)
    return state.function_space().dim(), [float(np.sqrt(assemble(e * dx(degree=8)))) for e in squares]


# -- the cylinder in a channel, steady -------------------------------------------------------------------------------


def inflow_of(peak: float):
    """Return the parabola of the benchmark with this greatest velocity [m/s]."""
    return lambda x, t: (4 * peak * x[1] * (HEIGHT - x[1]) / HEIGHT**2, 0.0)


# Of edges [m]: in the channel, and at the cylinder.
CYLINDER_MESHES = ((0.03, 0.01), (0.03, 0.007), (0.03, 0.005), (0.027, 0.005))


def cylinder(movers: tuple[str, ...] = ("mmpde", "drift"), rounds: int = 3) -> Iterator[Row]:
    """Drag, lift and pressure difference of 2D-1 on fixed meshes, and on them moved to the flow; walls are curved."""
    published = {"drag": 5.57953523384, "lift": 0.010618948146, "pressure difference": 0.11752016697}
    for size, near in CYLINDER_MESHES:
        for mover in ("none", *movers):
            began = time.perf_counter()
            straight = channel_with_cylinder(size=size, cylinder_size=near)
            curved = CurvedMesh(straight, {5: Circle((0.2, 0.2), RADIUS)})
            given = {1: inflow_of(0.3)} | dict.fromkeys((3, 4, 5), still)
            problem = NavierStokes(mesh=curved.mesh, viscosity=1e-3, velocity=given)
            flow = SteadyFlow(problem)
            force = BoundaryForce(problem, flow.state, flow.residual, 5)
            flow.solve()
            for _ in range(rounds if mover != "none" else 0):
                monitor = curvature_monitor(curved.on_straight(flow.state.subfunctions[0]))
                straight.coordinates.assign(get_mover(mover).move(straight, monitor).coordinates)
                curved.follow()
                flow.solve()
            front, back = pressures_at(problem, flow.state, FRONT_AND_BACK)
            measured = (*(500 * force.volume()), front - back)
            seconds, unknowns = time.perf_counter() - began, flow.state.function_space().dim()
            for (quantity, value), found in zip(published.items(), measured, strict=True):
                yield row(f"DFG 2D-1, {mover}", quantity, value, float(found), unknowns, seconds)
            drag, lift = 500 * force.surface()
            yield row(f"DFG 2D-1, {mover}", "drag by surface", published["drag"], float(drag), unknowns, seconds)
            yield row(f"DFG 2D-1, {mover}", "lift by surface", published["lift"], float(lift), unknowns, seconds)


def curvature_monitor(velocity: Function) -> Monitor:
    """Return the monitor of the second derivatives of both components, no stronger than MMPDE can follow."""
    space = FunctionSpace(velocity.function_space().mesh(), "CG", 2)
    parts = [Function(space).interpolate(component) for component in velocity]
    return SumMonitor([HessianMonitor(part, regularisation=1.0) for part in parts])


def vorticity_monitor(state: Function) -> Monitor:
    """Return the monitor of the gradient of the vorticity."""
    velocity = state.subfunctions[0]
    vorticity = velocity[1].dx(0) - velocity[0].dx(1)
    return GradientMonitor(Function(FunctionSpace(velocity.function_space().mesh(), "CG", 1)).project(vorticity))


# -- cavity and step -------------------------------------------------------------------------------------------------


# Least u on the vertical and greatest and least v on the horizontal middle line: Ghia, Ghia, Shin (1982), and more
# accurate ones: Marchi, Suero, Araki (2009) for 100, Botella and Peyret (1998) for 1000.
CAVITY = {
    100: ((-0.21090, 0.17527, -0.24533), (-0.2140417, 0.1795728, -0.2538030)),
    1000: ((-0.38289, 0.37095, -0.51550), (-0.3885698, 0.3769447, -0.5270771)),
}


def cavity(cells: int = 40) -> Iterator[Row]:
    """Extreme velocities on the middle lines, at Reynolds 100 and 1000."""
    for reynolds, (ghia, later) in CAVITY.items():
        began, mesh = time.perf_counter(), UnitSquareMesh(cells, cells)
        mesh.coordinates.dat.data[:] = 0.5 - 0.5 * np.cos(np.pi * mesh.coordinates.dat.data)
        # Walls come last: the corners rest, and nothing flows through walls beside them.
        lid = {4: lambda x, t: (1.0, 0.0)}
        problem = NavierStokes(mesh=mesh, viscosity=1 / reynolds, velocity=lid | dict.fromkeys((1, 2, 3), still))
        flow = SteadyFlow(problem)
        velocity = flow.solve(first=0.01).subfunctions[0]
        nodes = Function(velocity.function_space()).interpolate(SpatialCoordinate(mesh)).dat.data_ro
        found = []
        for axis, pick in ((0, min), (1, max), (1, min)):
            line = np.abs(nodes[:, axis] - 0.5) < 1e-9
            order = np.argsort(nodes[line, 1 - axis])
            along = CubicSpline(nodes[line, 1 - axis][order], velocity.dat.data_ro[line, axis][order])
            found.append(float(pick(along(np.linspace(0.01, 0.99, 20001)))))
        seconds, unknowns = time.perf_counter() - began, flow.state.function_space().dim()
        for name, published in (("Ghia 1982", ghia), ("later", later)):
            for quantity, value, measured in zip(("least u", "greatest v", "least v"), published, found, strict=True):
                yield row(f"cavity, Re {reynolds}, {name}", quantity, value, measured, unknowns, seconds)


def step(size: float = 0.08) -> Iterator[Row]:
    """Where the flow behind a step at Reynolds 800 comes back to the wall, and leaves the upper one (Gartling 1990)."""
    began, mesh = time.perf_counter(), backward_step(size=size)

    def inflow(x, t):
        return 24 * x[1] * (0.5 - x[1]), 0.0

    problem = NavierStokes(mesh=mesh, viscosity=1 / 800, velocity={1: inflow} | dict.fromkeys((3, 4, 5), still))
    flow = SteadyFlow(problem)
    flow.solve(first=0.01)
    # The residual in the nodes of a wall is its friction, weighted by positive weights: where it turns, u does.
    friction = get_assembler(flow.residual).assemble().dat[0].data_ro[:, 0]
    velocity = flow.state.subfunctions[0]
    nodes = Function(velocity.function_space()).interpolate(SpatialCoordinate(mesh)).dat.data_ro
    turns = []
    for y in (-0.5, 0.5):
        wall = np.flatnonzero((np.abs(nodes[:, 1] - y) < 1e-9) & (nodes[:, 0] > 0.5) & (nodes[:, 0] < 25.0))
        wall = wall[np.argsort(nodes[wall, 0])]
        x, f = nodes[wall, 0], friction[wall]
        place = np.flatnonzero(f[:-1] * f[1:] < 0)
        turns.append(x[place] - f[place] * (x[place + 1] - x[place]) / (f[place + 1] - f[place]))
    seconds, unknowns = time.perf_counter() - began, flow.state.function_space().dim()
    (lower, *_), (leaves, returns, *_) = turns
    yield row("step, Re 800", "reattachment below", 6.10, float(lower), unknowns, seconds)
    yield row("step, Re 800", "separation above", 4.85, float(leaves), unknowns, seconds)
    yield row("step, Re 800", "reattachment above", 10.48, float(returns), unknowns, seconds)


# -- the cylinder in a channel, unsteady -----------------------------------------------------------------------------


def street(out: Path, mover: str, size: float, near: float, dt: float, t_end: float, every: int) -> Iterator[Row]:
    """Drag, lift, frequency and pressure difference of 2D-2, from the steady flow disturbed; resumes from ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"street_{mover}_{size:g}_{near:g}_{dt:g}.npz"
    # The stepper's meshes are straight: vertices are a little outside of the circle, so that the polygon has its area.
    turn = 2 * np.pi / round(2 * np.pi * RADIUS / near)
    mesh = channel_with_cylinder(size=size, cylinder_size=near, radius=RADIUS * np.sqrt(turn / np.sin(turn)))
    given, x = {1: inflow_of(1.5)} | dict.fromkeys((3, 4, 5), still), SpatialCoordinate(mesh)
    problem = NavierStokes(mesh=mesh, viscosity=1e-3, velocity=given)
    flow = SteadyFlow(problem)
    state, points, forces = flow.state, FRONT_AND_BACK, []

    def observe() -> np.ndarray:
        return np.append(20 * forces[0].volume(), pressures_at(problem, state, points) @ [1.0, -1.0])

    stepper = NavierStokesStepper(problem, state, dt=dt, solver="lu-kept", observe=observe)
    forces.append(BoundaryForce(problem, state, stepper.residual, 5))
    if file.exists():
        saved = np.load(file)
        mesh.coordinates.dat.data_wo[:] = saved["points"]
        for function, values in zip(state.subfunctions, (saved["u"], saved["p"]), strict=True):
            function.dat.data_wo[:] = values
        rows, t, seconds = saved["rows"].tolist(), float(saved["t"]), float(saved["seconds"])
    else:
        flow.solve(first=5e-3)
        bump = 0.3 * exp(-((x[0] - 0.3) ** 2 + (x[1] - 0.2) ** 2) / RADIUS**2)
        velocity = state.subfunctions[0]
        change = Function(velocity.function_space()).interpolate(as_vector([0.0, bump]))
        velocity.dat.data[:] += change.dat.data_ro
        rows, t, seconds = [], 0.0, 0.0
    method, began = get_mover(mover), time.perf_counter()
    while t < t_end - 1e-9:
        if mover != "none" and len(rows) % every == 0:
            stepper.begin_motion(method.move(mesh, vorticity_monitor(state)).coordinates)
        result = stepper.step(t, t_end - t)
        assert result.status is StepStatus.DONE, f"no step at {t} s"
        t += result.dt
        rows.append([t - result.dt / 2, *stepper.observed])
        if len(rows) % 50 == 0 or t >= t_end - 1e-9:
            fields = dict(zip("up", (f.dat.data_ro for f in state.subfunctions), strict=True))
            spent = seconds + time.perf_counter() - began
            np.savez(file, rows=rows, t=t, seconds=spent, points=mesh.coordinates.dat.data_ro, **fields)
            print(f"t {t:.3f}: drag, lift, pressure {np.round(rows[-1][1:], 4)}, {spent:.0f} s", flush=True)
    unknowns = state.function_space().dim()
    yield from street_rows(np.array(rows), mover, unknowns, seconds + time.perf_counter() - began)


def street_rows(rows: np.ndarray, mover: str, unknowns: int, seconds: float) -> Iterator[Row]:
    """Return the rows of the last three periods, from greatest lift to greatest lift; none before there are so many."""
    smooth = CubicSpline(rows[:, 0], rows[:, 1:])
    fine = np.arange(rows[0, 0], rows[-1, 0], 1e-4)
    drag, lift, pressure = smooth(fine).T
    peaks = np.flatnonzero((lift[1:-1] > lift[:-2]) & (lift[1:-1] >= lift[2:]) & (lift[1:-1] > 0.5)) + 1
    if len(peaks) < 4:
        return
    first, last = peaks[-4], peaks[-1]
    period, part = (fine[last] - fine[first]) / 3, slice(first, last + 1)
    difference = pressure[np.argmin(np.abs(fine - fine[first] - 0.5 * period))]
    # Of greatest lifts, how far the last three are apart says how far the flow is periodic.
    spread = np.ptp(lift[peaks[-4:]])
    name = f"DFG 2D-2, {mover}"
    yield row(name, "greatest drag", (3.22, 3.24), float(drag[part].max()), unknowns, seconds)
    yield row(name, "greatest lift", (0.99, 1.01), float(lift[part].max()), unknowns, seconds)
    yield row(name, "Strouhal number", (0.295, 0.305), float(0.1 / period), unknowns, seconds)
    yield row(name, "pressure difference", (2.46, 2.50), float(difference), unknowns, seconds)
    yield row(name, "spread of lifts", "0", float(spread), unknowns, seconds)


def main() -> None:
    names = ("taylor-green", "cylinder", "cavity", "step", "street")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "cases", nargs="*", default=list(names[:-1]), help=f"of {', '.join(names)}; but for street, all"
    )
    parser.add_argument("--out", type=Path, default=Path("results/flow"))
    parser.add_argument("--mover", default="none", help="of the street")
    parser.add_argument("--size", type=float, default=0.03)
    parser.add_argument("--near", type=float, default=0.004)
    parser.add_argument("--dt", type=float, default=0.004)
    parser.add_argument("--end", type=float, default=6.0)
    parser.add_argument("--every", type=int, default=2, help="steps between moves of the street's mesh")
    given = parser.parse_args()
    print("| case | quantity | published | measured | difference | unknowns | s |\n|---|---|---|---|---|---|---|")
    runs = {
        "taylor-green": taylor_green,
        "cylinder": cylinder,
        "cavity": cavity,
        "step": step,
        "street": lambda: street(given.out, given.mover, given.size, given.near, given.dt, given.end, given.every),
    }
    for name in given.cases:
        for found in runs[name]():
            case, quantity, published, measured, difference, unknowns, seconds = found
            print(
                f"| {case} | {quantity} | {published} | {measured:.7g} | {difference} | {unknowns} | {seconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
