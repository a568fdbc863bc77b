"""Draw a plane mesh, or a solid one cut open, in the colours of a field."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Colormap, Normalize, to_rgba
from numpy.typing import NDArray

from cases.figures import INK, MUTED
from cases.raster import rasterise
from meshing.quality import scaled_jacobians
from meshing.simplex import simplex_volumes, simplex_widths

Array = NDArray[np.float64]

# Thinnest line that is drawn [pt]: that of cells of two pixels.
_FINEST = 0.04
# Where the reader of a solid mesh stands, and where the light: unit vectors to right, up, and the eye.
_AZIMUTH, _ELEVATION = np.radians([-55.0, 22.0])
_RIGHT = np.array([-np.sin(_AZIMUTH), np.cos(_AZIMUTH), 0.0])
_EYE = np.array([np.cos(_AZIMUTH) * np.cos(_ELEVATION), np.sin(_AZIMUTH) * np.cos(_ELEVATION), np.sin(_ELEVATION)])
_UP = np.cross(_EYE, _RIGHT)
_LIGHT = (_EYE + 0.6 * _UP - 0.4 * _RIGHT) / np.linalg.norm(_EYE + 0.6 * _UP - 0.4 * _RIGHT)


@dataclass(frozen=True)
class MeshPicture:
    """A whole mesh, on one rank, and what is drawn of it.

    Attributes
    ----------
    points
        Vertices, shape (N, d), d = 2 or 3, in the unit of the mesh.
    cells
        Vertex numbers of each simplex, shape (K, d + 1), integers.
    field
        Value in each vertex, shape (N,), that colours the mesh.
    monitor
        Monitor function m in each vertex, shape (N,); 1 if not given.
    """

    points: Array
    cells: NDArray[np.integer]
    field: Array
    monitor: Array | None = None

    def jacobians(self) -> Array:
        """Return the scaled Jacobian of each cell, shape (K,)."""
        return scaled_jacobians(self.points, self.cells)

    def shares(self) -> Array:
        """Return each cell's share of the integral of m over the mean share, shape (K,): 1 if equidistributed."""
        integrals = np.abs(simplex_volumes(self.points, self.cells))
        if self.monitor is not None:
            integrals *= self.monitor[self.cells].mean(axis=1)
        return integrals / integrals.mean()


def drawn_box(*pictures: MeshPicture) -> Array:
    """Return left, right, bottom and top, as drawn, of the box around meshes, in their unit of length."""
    seen = np.concatenate([_seen(picture.points)[:, :2] for picture in pictures])
    return np.column_stack([seen.min(axis=0), seen.max(axis=0)]).ravel()


def _seen(points: Array) -> Array:
    """Return points as they are drawn: right, up and, of solid meshes, towards the eye."""
    return points if points.shape[1] == 2 else points @ np.column_stack([_RIGHT, _UP, _EYE])


def draw_mesh(
    axes: Axes,
    picture: MeshPicture,
    colours: Colormap,
    norm: Normalize,
    *,
    box: Array,
    paper: float,
    by_cell: Array | None = None,
) -> None:
    """Draw a mesh in the colours of its field.

    Parameters
    ----------
    axes
        Where to.
    picture
        The mesh; a solid one is cut open across its middle.
    colours, norm
        Colours of values.
    box
        Left, right, bottom, top of what the axes show, see ``drawn_box``.
    paper
        Points of the page (1/72 inch) to a unit of length.
    by_cell
        Value of each cell, shape (K,), to be shown instead of the field.
    """
    if picture.points.shape[1] == 2:
        _draw_plane(axes, picture, colours, norm, paper, by_cell)
        axes.set_xlabel("x")
        axes.set_ylabel("y")
    else:
        _draw_solid(axes, picture, colours, norm, box, paper, by_cell)
        axes.set_axis_off()
    margin = 0.015 * max(box[1] - box[0], box[3] - box[2])
    axes.set_xlim(box[0] - margin, box[1] + margin)
    axes.set_ylim(box[2] - margin, box[3] + margin)
    axes.set_aspect("equal")


def _draw_plane(
    axes: Axes, picture: MeshPicture, colours: Colormap, norm: Normalize, paper: float, by_cell: Array | None
) -> None:
    points, cells = picture.points, picture.cells
    if by_cell is None:
        raster = rasterise(points, np.asarray(cells, dtype=np.int64))
        image = raster.sample(picture.field)
    else:
        apart = np.arange(cells.size, dtype=np.int64).reshape(cells.shape)
        raster = rasterise(points[cells].reshape(-1, 2), apart)
        image = raster.sample(np.repeat(by_cell, 3))
    axes.imshow(image, extent=raster.extent, origin="lower", cmap=colours, norm=norm, interpolation="antialiased")
    pairs = np.concatenate([cells[:, list(pair)] for pair in combinations(range(3), 2)])
    edges, which = np.unique(np.sort(pairs, axis=1), axis=0, return_inverse=True)
    widths = np.full(len(edges), np.inf)
    np.minimum.at(widths, which, np.tile(_line_widths(points[cells], paper), 3))
    # What is finer than print can show is left to its colour: a million lines would take a minute, for a grey.
    edges, widths = edges[widths > _FINEST], widths[widths > _FINEST]
    axes.add_collection(LineCollection(points[edges], colors=INK, linewidths=widths, alpha=0.75))


def _line_widths(triangles: Array, paper: float) -> Array:
    """Return how wide to draw the lines of triangles, shape (n, 3, 2) [pt]: where they are narrow, colour remains."""
    apart = np.arange(3 * len(triangles)).reshape(-1, 3)
    return np.clip(0.06 * paper * simplex_widths(triangles.reshape(-1, 2), apart), 0.0, 0.6)


def _draw_solid(
    axes: Axes,
    picture: MeshPicture,
    colours: Colormap,
    norm: Normalize,
    box: Array,
    paper: float,
    by_cell: Array | None,
) -> None:
    """Draw the surface of the half behind the middle plane, so that the cells inside are seen."""
    points, cells = picture.points, picture.cells
    # The axis that looks most towards the eye is cut across.
    across = int(np.argmax(np.abs(_EYE[:2])))
    sign = np.sign(_EYE[across])
    middle = 0.5 * (points[:, across].min() + points[:, across].max())
    behind = sign * (points[cells, across].mean(axis=1) - middle) <= 0
    if not behind.any():
        behind[:] = True  # a few cells, none of which lies behind the plane
    kept = np.flatnonzero(behind)
    facets, owner = _surface(cells[kept])
    corners = points[facets]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    outward = corners.mean(axis=1) - points[cells[kept][owner]].mean(axis=1)
    normal *= np.sign((normal * outward).sum(axis=1, keepdims=True))
    front = normal @ _EYE > 0
    facets, owner, normal, corners = facets[front], owner[front], normal[front], _seen(corners[front])
    order = np.argsort(corners[:, :, 2].mean(axis=1))
    values = picture.field[facets].mean(axis=1) if by_cell is None else by_cell[kept[owner]]
    shade = np.clip(0.7 + 0.4 * normal @ _LIGHT, 0.0, 1.0)
    paint = colours(norm(values))
    paint[:, :3] *= shade[:, None]
    widths = _line_widths(corners[:, :, :2], paper)[:, None]
    # Without any line, the background would shine through between the triangles.
    lines, widths = np.where(widths > _FINEST, to_rgba(INK), paint), np.where(widths > _FINEST, widths, 0.2)
    axes.add_collection(
        PolyCollection(
            list(corners[order, :, :2]),
            facecolors=paint[order],
            edgecolors=lines[order],
            linewidths=widths[order, 0],
        )
    )
    if not behind.all():
        cut = f"cut at {'xyz'[across]} = {middle:.3g}"
        axes.text(0.99, 0.01, cut, transform=axes.transAxes, ha="right", size=8, color=MUTED)
    size = 0.07 * max(box[1] - box[0], box[3] - box[2])
    origin = box[::2] + size * np.array([0.3, 0.5])
    for name, (right, up) in zip("xyz", np.column_stack([_RIGHT, _UP]), strict=True):
        axes.plot(*(origin + np.outer([0.0, size], [right, up])).T, color=MUTED, linewidth=0.9)
        x, y = origin + 1.25 * size * np.array([right, up])
        axes.text(x, y, name, color=MUTED, size=8, ha="center", va="center")


def _surface(cells: NDArray[np.integer]) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Return the facets, shape (F, 3), that only one tetrahedron has, and which one that is, shape (F,)."""
    facets = np.concatenate([cells[:, list(facet)] for facet in combinations(range(4), 3)])
    _, first, count = np.unique(np.sort(facets, axis=1), axis=0, return_index=True, return_counts=True)
    once = first[count == 1]
    return facets[once], once % len(cells)
