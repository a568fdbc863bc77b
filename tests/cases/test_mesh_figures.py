"""Figures of meshes: the numbers are those of the quality measures, texts do not overlap, solids are cut open."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from firedrake import Function, FunctionSpace, Mesh, UnitCubeMesh, UnitSquareMesh
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from cases.mesh_drawing import MeshPicture
from cases.mesh_figures import before_after_figure, quality_figure, save_figure
from meshing.quality import mesh_quality


def ring(points: np.ndarray) -> np.ndarray:
    return 1 + 10 / np.cosh(50 * (((points - 0.5) ** 2).sum(axis=1) - 0.09)) ** 2


def pictures(mesh, stretch: float = 1.0, size: float = 1e-2):
    """Return the mesh before and after a smooth motion, both stretched along x, with the meshes themselves."""
    cells = mesh.coordinates.cell_node_map().values
    shown, meshes = [], []
    for amount in (0.0, size):
        points = mesh.coordinates.dat.data_ro.copy()
        points += amount * np.sin(2 * np.pi * points).prod(axis=1, keepdims=True)
        values = ring(points)
        points[:, 0] *= stretch
        moved = Function(mesh.coordinates.function_space())
        moved.dat.data_wo[:] = points
        meshes.append(Mesh(moved))
        shown.append(MeshPicture(points, cells, values, values))
    return shown, meshes


def texts(figure: Figure) -> list[Text]:
    """Return what is to be read, without the labels of ticks that lie beyond the axes."""
    FigureCanvasAgg(figure).draw()
    beyond = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not (axis.axes.axison and low <= tick.get_loc() <= high):
                beyond |= {tick.label1, tick.label2}
    found = figure.findobj(lambda artist: isinstance(artist, Text) and artist not in beyond)
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Return the pairs of texts whose boxes share more than the blank around the letters."""
    shown, pairs = texts(figure), []
    renderer = figure.canvas.get_renderer()
    for one, other in combinations(shown, 2):
        a, b = (text.get_window_extent(renderer) for text in (one, other))
        width, height = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        if width > 1 and height > 1:
            pairs.append((one.get_text(), other.get_text()))
    return pairs


MESHES = {
    "square": (lambda: UnitSquareMesh(12, 12), 1.0),
    "long": (lambda: UnitSquareMesh(12, 12), 6.0),
    "tall": (lambda: UnitSquareMesh(12, 12), 0.2),
    "cube": (lambda: UnitCubeMesh(4, 4, 4), 1.0),
    "beam": (lambda: UnitCubeMesh(4, 4, 4), 5.0),
}


@pytest.mark.parametrize("name", MESHES)
def test_before_and_after(name: str, tmp_path: Path) -> None:
    make, stretch = MESHES[name]
    mesh = make()
    (before, after), meshes = pictures(mesh, stretch)
    figure = before_after_figure(before, after, field_name="elevation", title="mesh.msh, elevation: mmpde")
    assert overlapping(figure) == []
    shown = [text.get_text() for text in texts(figure)]
    for moved, picture in zip(meshes, (before, after), strict=True):
        monitor = Function(FunctionSpace(moved, "CG", 1))
        monitor.dat.data_wo[:] = picture.monitor
        quality = mesh_quality(moved, mesh, monitor)
        numbers = f"equidistribution {quality.spread:.3g}, least scaled Jacobian {quality.min_scaled_jacobian:.3g}"
        assert numbers in shown
    assert {"before", "after", "elevation", "mesh.msh, elevation: mmpde"} <= set(shown)
    maps = [axes for axes in figure.axes if axes.get_aspect() == 1.0]
    assert len(maps) == 2
    # The same scale, and nothing of the two meshes left out.
    assert maps[0].get_xlim() == maps[1].get_xlim() and maps[0].get_ylim() == maps[1].get_ylim()
    save_figure(tmp_path / "figure.png", figure)
    assert imread(tmp_path / "figure.png").shape[2] == 4


@pytest.mark.parametrize(("name", "field_name"), [("square", None), ("long", "elevation"), ("cube", None)])
def test_quality(name: str, field_name: str | None) -> None:
    make, stretch = MESHES[name]
    (_, after), _ = pictures(make(), stretch)
    figure = quality_figure(after, field_name=field_name, title="mesh.msh")
    assert overlapping(figure) == []
    shown = [text.get_text() for text in texts(figure)]
    assert (field_name or "scaled Jacobian") in shown
    assert f"least {after.jacobians().min():.3g}" in shown and f"std/mean {after.shares().std():.3g}" in shown


def test_overlaps_would_be_seen() -> None:
    figure = Figure()
    figure.text(0.5, 0.5, "one")
    figure.text(0.505, 0.5, "other")
    assert overlapping(figure) == [("one", "other")]


@pytest.mark.parametrize("scale", [1e6, 1e-6])
def test_extremes_are_drawn(scale: float) -> None:
    """A constant field, cells of very different sizes, lengths in any unit: no warning and no overlap."""
    (before, _), _ = pictures(UnitSquareMesh(8, 8))
    graded = before.points**6
    calm = MeshPicture(scale * graded, before.cells, np.zeros(len(graded)))
    assert overlapping(before_after_figure(calm, calm, field_name="u")) == []


def test_every_edge_is_drawn_once() -> None:
    """Euler: V - E + F = 1 for a plane mesh without holes."""
    mesh = UnitSquareMesh(5, 4)
    (before, _), _ = pictures(mesh)
    figure = quality_figure(before)
    (lines,) = figure.findobj(LineCollection, include_self=False)[:1]
    assert len(lines.get_segments()) == len(before.points) + len(before.cells) - 1


def test_lines_leave_fine_parts_their_colour() -> None:
    """Lines around a cell are less than a tenth of it wide, and not drawn at all where it is finer than pixels."""
    mesh = UnitSquareMesh(6, 6)
    points, cells = mesh.coordinates.dat.data_ro, mesh.coordinates.cell_node_map().values
    widths = []
    for height in (1.0, 0.03, 1e-3):
        figure = quality_figure(MeshPicture(points * [1.0, height], cells, np.ones(len(points))))
        (lines,) = figure.findobj(LineCollection, include_self=False)[:1]
        widths.append(lines.get_linewidths() if lines.get_segments() else [])
    across = 72 * 5.2 / 6  # points of the page, at most, to the side of a square cell
    assert len(widths[0]) == len(widths[1]) == 6 * 7 * 2 + 36 and len(widths[2]) == 0
    assert 0 < np.max(widths[1]) < 0.1 * 0.03 * across < np.min(widths[0]) <= np.max(widths[0]) < 1


def test_a_solid_is_cut_open() -> None:
    """Seen of the half of a cube of 4 x 4 x 4 boxes: 4 x 4 squares of the cut, 4 x 2 of the side, 4 x 2 of the top."""
    mesh = UnitCubeMesh(4, 4, 4)
    (before, _), _ = pictures(mesh)
    inside = ((before.points - 0.5) ** 2).sum(axis=1) < 1e-12
    assert inside.sum() == 1
    picture = MeshPicture(before.points, before.cells, inside.astype(float))
    figure = before_after_figure(picture, picture, field_name="u")
    assert "cut at y = 0.5" in [text.get_text() for text in texts(figure)]
    for surface in figure.findobj(PolyCollection, include_self=False)[:2]:
        assert len(surface.get_paths()) == 2 * (16 + 8 + 8)
        # The vertex in the middle is seen, with the six triangles of the cut around it.
        facecolors = surface.get_facecolor()[:, :3]
        hue = facecolors / facecolors.max(axis=1, keepdims=True)
        background = np.median(hue, axis=0)
        assert (np.abs(hue - background).max(axis=1) > 0.05).sum() == 6


def test_a_solid_of_few_cells_is_drawn_whole() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    figure = quality_figure(MeshPicture(points, np.array([[0, 1, 2, 3]]), np.zeros(4)))
    assert not any(text.get_text().startswith("cut") for text in texts(figure))
    assert len(figure.findobj(PolyCollection, include_self=False)[0].get_paths()) > 0
