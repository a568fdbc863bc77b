"""Figures of runs whose mesh moves: the mesh itself, in the colours of the field, at the times of the maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cases.figures import STYLE, elevation_unit
from cases.mesh_drawing import MeshPicture, draw_mesh, drawn_box

Array = NDArray[np.float64]
LAND = "#c9c3b8"
# Height over width of domains so slender that their panels stand one above the other, over the bar of colours.
SLENDER = 0.1


@dataclass(frozen=True)
class Scale:
    """Colours of a field.

    Attributes
    ----------
    norm
        Limits, in the unit of the label.
    factor
        From the field's values to that unit.
    label
        What the colours mean.
    colours
        Name of the colour map.
    extend
        Which ends of the bar are pointed, as values lie beyond the limits.
    """

    norm: Normalize
    factor: float
    label: str
    colours: str
    extend: str


def mesh_picture(snapshot: Mapping[str, Any], dry_depth: float) -> tuple[MeshPicture, Array]:
    """Return the mesh of a snapshot, its vertices joined, and the mean of the field in each cell, NaN where dry.

    Parameters
    ----------
    snapshot
        ``points`` (3 K, 2) m, three for each cell; ``elevation`` and ``depth`` (3 K,) m, or a scalar ``u`` (3 K,).
    dry_depth
        Depth from which on a cell's corner counts as wet [m].
    """
    points = np.asarray(snapshot["points"])
    # Ranks may disagree about a vertex by rounding; and minus zero is another number to `unique`.
    size = np.abs(points).max()
    vertices, cells = np.unique((points / size).round(12) + 0.0, axis=0, return_inverse=True)
    picture = MeshPicture(vertices * size, cells.reshape(-1, 3), np.zeros(len(vertices)))
    if "u" in snapshot:
        return picture, np.asarray(snapshot["u"]).reshape(-1, 3).mean(axis=1)
    wet = np.asarray(snapshot["depth"]).reshape(-1, 3) >= dry_depth
    elevation = np.where(wet, np.asarray(snapshot["elevation"]).reshape(-1, 3), 0.0)
    count = wet.sum(axis=1)
    return picture, np.divide(elevation.sum(axis=1), count, out=np.full(len(count), np.nan), where=count > 0)


def colour_scale(snapshot: Mapping[str, Any], fields: Sequence[Array]) -> Scale:
    """Return the colours of fields, in cells as :func:`mesh_picture` gives them; a snapshot tells what they are."""
    values = np.concatenate(list(fields))
    values = values[np.isfinite(values)]
    if "u" in snapshot:
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
        label = str(snapshot.get("label", "u"))
        return Scale(Normalize(low, high if high > low else low + 1.0), 1.0, label, "YlGnBu", "neither")
    # The last few of a hundred are films of water high up the shore, which would leave no colour to the waves.
    bound = float(np.percentile(np.abs(values), 98.5)) if values.size else 0.0
    factor, unit = elevation_unit(bound := max(bound, 1e-3))
    return Scale(Normalize(-factor * bound, factor * bound), factor, f"elevation [{unit}]", "RdBu_r", "both")


def draw_snapshot(axes: Axes, picture: MeshPicture, field: Array, scale: Scale, *, inches: float) -> None:
    """Draw a mesh in the colours of the field in its cells; dry land in grey.

    Parameters
    ----------
    axes
        Where to.
    picture, field
        As :func:`mesh_picture` gives them.
    scale
        Colours.
    inches
        Width of the axes.
    """
    box = drawn_box(picture)
    land = picture.points[picture.cells[np.isnan(field)]]
    axes.add_collection(PolyCollection(list(land), facecolors=LAND, edgecolors="none", zorder=-1))
    paper = 72 * inches / (box[1] - box[0])
    colours = mpl.colormaps[scale.colours]
    draw_mesh(axes, picture, colours, scale.norm, box=box, paper=paper, by_cell=scale.factor * field)
    axes.set_xlabel("x [m]")
    axes.set_ylabel("y [m]")


def moving_mesh_figure(
    snapshots: Sequence[Mapping[str, Any]], *, dry_depth: float, titles: Sequence[str] | None = None
) -> Figure:
    """Draw the mesh at up to six times.

    Parameters
    ----------
    snapshots
        Not empty, each with ``time`` [s] and what ``mesh_picture`` takes.
    dry_depth
        Shallower cells show as land [m].
    titles
        One for each; by default their times.
    """
    titles = titles or [f"t = {float(snapshot['time']):.2f} s" for snapshot in snapshots]
    pictures = [mesh_picture(snapshot, dry_depth) for snapshot in snapshots]
    scale = colour_scale(snapshots[0], [field for _, field in pictures])
    box = drawn_box(*[picture for picture, _ in pictures])
    ratio = (box[3] - box[2]) / (box[1] - box[0])
    slender = ratio < SLENDER
    columns = 1 if slender else min(len(pictures), 2 if ratio < 0.53 else 3)
    rows = -(-len(pictures) // columns)
    width = 12.5 if columns > 1 or slender else 6.5
    inches = (width - 1.4) / columns
    with mpl.rc_context(STYLE):
        figure = Figure(
            figsize=(width, (inches * ratio + (0.75 if slender else 0.35)) * rows + (1.1 if slender else 0.45)),
            layout="constrained",
        )
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, title, (picture, field) in zip(panels, titles, pictures, strict=False):
            draw_snapshot(axes, picture, field, scale, inches=inches)
            axes.label_outer()
            axes.set_title(title, loc="left", size=9.5, weight="bold")
        for axes in panels[len(pictures) :]:
            axes.set_axis_off()
        colour_bar(figure, panels, scale, below=slender)
    return figure


def colour_bar(figure: Any, panels: Any, scale: Scale, *, below: bool = False) -> None:
    """Add one bar of colours; pointed ends say that the limits leave out the extremes."""
    mappable = mpl.cm.ScalarMappable(scale.norm, mpl.colormaps[scale.colours])
    place: dict[str, Any] = {"location": "bottom", "aspect": 60} if below else {"pad": 0.015, "aspect": 28}
    bar = figure.colorbar(mappable, ax=panels, extend=scale.extend, shrink=0.92, **place)
    bar.set_label(scale.label)
    bar.outline.set_linewidth(0.5)
