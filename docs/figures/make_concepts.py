"""Draw the pictures of the pages about concepts and movers.

python docs/figures/make_concepts.py                  # all, in about a minute
python docs/figures/make_concepts.py limiter steady   # some
"""

# ruff: noqa: E402
from __future__ import annotations

import os
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

# PETSc would read the names of the pictures.
PICTURES_ASKED_FOR, sys.argv = sys.argv[1:], sys.argv[:1]
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib as mpl
import numpy as np
from firedrake import Function, FunctionSpace, Mesh, UnitSquareMesh, cosh, tanh
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from cases.figures import INK, MUTED, STYLE
from cases.mesh_drawing import MeshPicture, draw_mesh
from cases.mesh_figures import FIELD
from cases.moving import run_movers
from coupling.registry import get_mover
from coupling.steady import SteadyAdaptation
from meshing.field_monitors import HessianMonitor
from meshing.generation import channel_with_cylinder
from meshing.laplacian import Laplacian
from meshing.limiter import limit_displacement
from meshing.monitor import ExpressionMonitor

HERE = Path(__file__).parent
RED, BLUE = "#b3362b", "#1769aa"


def save(figure: Figure, name: str) -> None:
    """Write a figure as WebP, which takes a fifth of a PNG's bytes."""
    buffer = BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, dpi=150, facecolor="white", format="png")
    file = HERE / f"{name}.webp"
    file.parent.mkdir(exist_ok=True)
    Image.open(buffer).convert("RGB").save(file, quality=82, method=6)
    print(f"{file.relative_to(HERE.parents[1])}: {file.stat().st_size // 1024} kB")


def ring_monitor() -> ExpressionMonitor:
    """Return m = 1 + 10 sech²(50 (r² - 0.09)), large on a ring."""
    return ExpressionMonitor(lambda x: 1 + 10 / cosh(50 * ((x[0] - 0.5) ** 2 + (x[1] - 0.5) ** 2 - 0.09)) ** 2)


def places(mesh) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices and cells."""
    space = mesh.coordinates.function_space()
    return mesh.coordinates.dat.data_ro.copy(), space.cell_node_map().values.copy()


def panel(axes, mesh, field: Function, title: str, note: str = "", *, inches: float, box=None) -> None:
    """Draw a mesh in the colours of a P1 field, with a title and a note under it."""
    points, cells = places(mesh)
    values = np.asarray(field.dat.data_ro)
    frame = np.array([0.0, 1.0, 0.0, 1.0]) if box is None else np.asarray(box, dtype=float)
    norm = Normalize(values.min(), max(values.max(), values.min() + 1e-12))
    paper = 72 * inches / (frame[1] - frame[0])
    draw_mesh(axes, MeshPicture(points, cells, values), FIELD, norm, box=frame, paper=paper)
    axes.set_axis_off()
    axes.set_title(title, loc="left", size=11, weight="bold", color=INK)
    axes.text(0.0, -0.03, note, transform=axes.transAxes, size=9, color=MUTED, va="top")


def movers() -> None:
    """Draw a lattice moved to a ring: a panel for each mover, and a picture of its own for each."""
    names = run_movers()
    with mpl.rc_context(STYLE):
        whole = Figure(figsize=(10.5, 7.4), layout="constrained")
        for axes, name in zip(whole.subplots(2, 3).ravel(), names, strict=True):
            mesh, monitor = UnitSquareMesh(24, 24), ring_monitor()
            result = get_mover(name).move(mesh, monitor)
            moved = Mesh(result.coordinates)
            panel(axes, moved, monitor(moved), name, inches=3.3)
            single = Figure(figsize=(4.2, 4.2), layout="constrained")
            panel(single.subplots(), moved, monitor(moved), "", inches=4.1)
            save(single, f"movers/{name}")
        save(whole, "concepts/movers")
    cylinder()


def cylinder() -> None:
    """Draw what ``laplacian`` is for: a body that has moved."""
    mesh = channel_with_cylinder(size=0.045)
    x, y = mesh.coordinates
    near = 1.0 / cosh(60 * ((x - 0.2) ** 2 + (y - 0.2) ** 2 - 0.0025))
    motion = Function(mesh.coordinates.function_space())
    points = mesh.coordinates.dat.data_ro
    on_body = np.hypot(points[:, 0] - 0.2, points[:, 1] - 0.2) < 0.051
    motion.dat.data_wo[:] = np.where(on_body[:, None], [0.12, 0.05], 0.0)
    moved = Mesh(Laplacian(lambda _: motion).move(mesh, ring_monitor()).coordinates)
    field = Function(FunctionSpace(mesh, "CG", 1)).interpolate(near)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 4.0), layout="constrained")
        for axes, one, title in zip(figure.subplots(1, 2), (mesh, moved), ("before", "after"), strict=True):
            panel(axes, one, field, title, inches=4.3, box=[0.0, 0.6, 0.0, 0.41])
        save(figure, "movers/laplacian")


def monitor() -> None:
    """Draw a field, the monitor function made of it, and the mesh that follows."""
    mesh = UnitSquareMesh(32, 32)
    x, y = mesh.coordinates
    u = Function(FunctionSpace(mesh, "CG", 1)).interpolate(tanh(20 * (y - 0.5 - 0.22 * (x - 0.1) * (3 - 4 * x))))
    wanted = HessianMonitor(u)
    moved = Mesh(get_mover("mmpde").move(mesh, wanted).coordinates)
    u_moved = Function(FunctionSpace(moved, "CG", 1))
    x, y = moved.coordinates
    u_moved.interpolate(tanh(20 * (y - 0.5 - 0.22 * (x - 0.1) * (3 - 4 * x))))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 4.0), layout="constrained")
        first, second, third = figure.subplots(1, 3)
        panel(first, mesh, u, "u", "a front", inches=3.4)
        panel(second, mesh, wanted(mesh), "m(u)", "large where u is curved", inches=3.4)
        panel(third, moved, u_moved, "x(ξ)", "as much of m in every cell", inches=3.4)
        save(figure, "concepts/monitor")


def limiter() -> None:
    """Draw a displacement that would invert cells, and what is left of it."""
    mesh = UnitSquareMesh(7, 7)
    points, cells = places(mesh)
    generator = np.random.default_rng(3)
    wild = Function(mesh.coordinates.function_space())
    inside = ((points > 1e-9) & (points < 1 - 1e-9)).all(axis=1)
    wild.dat.data_wo[:] = np.where(inside[:, None], generator.normal(0.0, 0.13, points.shape), 0.0)
    asked = points + wild.dat.data_ro
    taken = points + limit_displacement(mesh, wild).dat.data_ro
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 4.0), layout="constrained")
        for axes, places_now, title, note in zip(
            figure.subplots(1, 3),
            (points, asked, taken),
            ("before, and what is asked for", "followed blindly", "limited"),
            ("", "inverted cells in red", "no cell inverted, on the way either"),
            strict=True,
        ):
            corners = places_now[cells]
            edges = corners[:, 1:] - corners[:, :1]
            before = points[cells][:, 1:] - points[cells][:, :1]
            inverted = np.linalg.det(edges) * np.linalg.det(before) <= 0.0
            for chosen, colour in ((~inverted, "#dce7f0"), (inverted, RED)):
                axes.add_collection(
                    PolyCollection(corners[chosen], facecolors=colour, edgecolors=INK, linewidths=0.7, alpha=0.7)
                )
            if title.startswith("before"):
                axes.add_collection(LineCollection(np.stack([points, asked], axis=1), colors=BLUE, linewidths=1.3))
                axes.plot(*asked[inside].T, "o", color=BLUE, markersize=3)
            axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
            axes.set_axis_off()
            axes.set_title(title, loc="left", size=11, weight="bold", color=INK)
            axes.text(0.0, -0.03, note, transform=axes.transAxes, size=9, color=MUTED, va="top")
        save(figure, "concepts/limiter")


def transfer() -> None:
    """Draw a cell that moves, and what its facets sweep over."""
    old = np.array([[0.1, 0.15], [0.85, 0.05], [0.45, 0.85]])
    new = np.array([[0.32, 0.28], [1.02, 0.30], [0.55, 1.02]])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.2, 4.6), layout="constrained")
        axes = figure.subplots()
        for number in range(3):
            one, two = number, (number + 1) % 3
            swept = np.array([old[one], old[two], new[two], new[one]])
            axes.add_patch(mpl.patches.Polygon(swept, facecolor="#f0c451", alpha=0.35, edgecolor="none"))
        axes.add_patch(mpl.patches.Polygon(old, facecolor="none", edgecolor=MUTED, linewidth=1.6, linestyle="--"))
        axes.add_patch(mpl.patches.Polygon(new, facecolor="none", edgecolor=BLUE, linewidth=2.2))
        for start, end in zip(old, new, strict=True):
            axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.2})
        axes.text(0.3, 0.1, "before", size=11, color=MUTED, va="top")
        axes.text(0.98, 0.42, "after", size=11, color=BLUE)
        axes.text(0.72, 0.86, "swept by a facet: what\nis in there comes along", size=10, color="#8a6512", va="bottom")
        axes.text(0.15, 0.24, "w", size=13, color=INK, style="italic", weight="bold")
        axes.set(xlim=(0.0, 1.25), ylim=(0.0, 1.08), aspect="equal")
        axes.set_axis_off()
        save(figure, "concepts/transfer")


def learned() -> None:
    """Draw how a learned mover works: mesh, graph, what the network wants, the mesh that results."""
    mesh, wanted = UnitSquareMesh(8, 8), ring_monitor()
    moved = Mesh(get_mover("drift").move(mesh, wanted).coordinates)
    points, cells = places(mesh)
    after = places(moved)[0]
    values = wanted(mesh).dat.data_ro
    edges = np.unique(np.sort(np.concatenate([cells[:, [0, 1]], cells[:, [1, 2]], cells[:, [2, 0]]]), axis=1), axis=0)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12.0, 3.4), layout="constrained")
        first, second, third, last = figure.subplots(1, 4)
        panel(first, mesh, wanted(mesh), "mesh and m", inches=2.8)
        second.add_collection(LineCollection(points[edges], colors=MUTED, linewidths=0.8))
        second.scatter(*points.T, c=values, cmap=FIELD, s=60, edgecolors=INK, linewidths=0.6, zorder=3)
        third.add_collection(LineCollection(points[edges], colors="#dde2e7", linewidths=0.7))
        third.quiver(*points.T, *(after - points).T, angles="xy", scale_units="xy", scale=1, color=BLUE, width=0.008)
        for axes, title in ((second, "graph"), (third, "displacement")):
            axes.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), aspect="equal")
            axes.set_axis_off()
            axes.set_title(title, loc="left", size=11, weight="bold", color=INK)
        panel(last, moved, wanted(moved), "limited, moved", inches=2.8)
        save(figure, "concepts/learned")


def steady() -> None:
    """Draw the rounds of a steady run: mesh, and estimated and true error."""
    from cases.registry import get_case

    case = get_case("l-shape")
    options = case.Options()
    mesh = case.mesh(options)
    setup = case.build(options, mesh)
    loop = SteadyAdaptation(mesh, setup.solve, get_mover("mmpde"), rounds=5, least_gain=0.0)
    shots = [(places(mesh)[0], solution.drawn.copy(deepcopy=True)) for solution in loop.run()]
    cells = places(mesh)[1]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 4.0), layout="constrained")
        *meshes, curve = figure.subplots(1, 3)
        for axes, number, title in zip(meshes, (0, len(shots) - 1), ("solved first", "the best mesh"), strict=True):
            points, field = shots[number]
            box = np.column_stack([points.min(axis=0), points.max(axis=0)]).ravel()
            values = np.asarray(field.dat.data_ro)
            norm, paper = Normalize(values.min(), values.max()), 72 * 3.4 / (box[1] - box[0])
            draw_mesh(axes, MeshPicture(points, cells, values), FIELD, norm, box=box, paper=paper)
            axes.set_axis_off()
            axes.set_title(title, loc="left", size=11, weight="bold", color=INK)
        for values, label, colour in (
            ([done.estimate for done in loop.rounds_done], "estimated", BLUE),
            ([done.error for done in loop.rounds_done], "true", RED),
        ):
            curve.plot(values, "o-", color=colour, label=label)
        curve.set(xlabel="moves", ylabel="error in the energy norm", ylim=(0.0, None))
        curve.legend(frameon=False)
        save(figure, "concepts/steady")


PICTURES: dict[str, Callable[[], None]] = {
    "movers": movers,
    "monitor": monitor,
    "limiter": limiter,
    "transfer": transfer,
    "learned": learned,
    "steady": steady,
}

if __name__ == "__main__":
    for name in PICTURES_ASKED_FOR or PICTURES:
        PICTURES[name]()
