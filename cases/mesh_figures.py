"""Figures of meshes: the mesh with a field, histograms of its quality, and the same before and after a move."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from cases.figures import COMPUTED, INK, MUTED, RESOLUTION, STYLE
from cases.mesh_drawing import MeshPicture, draw_mesh, drawn_box

Array = NDArray[np.float64]

# Light throughout, so that the lines of the mesh show on any value.
FIELD = LinearSegmentedColormap.from_list("field", ["#f3f6f9", "#a9d3e2", "#62b3b0", "#f0c451", "#e2683c"])
SHAPE = LinearSegmentedColormap.from_list("shape", ["#b3202c", "#f08a4b", "#f6e3a1", "#b5d8e6", "#5b9bc8"])
BEFORE = "#8d96a0"


def save_figure(path: Path, figure: Figure) -> None:
    """Write a figure as PNG."""
    with mpl.rc_context(STYLE):
        figure.savefig(path, dpi=RESOLUTION, facecolor="white", format="png")


def quality_figure(picture: MeshPicture, *, field_name: str | None = None, title: str = "mesh") -> Figure:
    """Draw a mesh beside histograms of the scaled Jacobian and of m|K| over its mean.

    Parameters
    ----------
    picture
        The mesh. A solid one is cut open across its middle.
    field_name
        Name of the field, whose colours the mesh then has; without it, its cells have the colour of their
        scaled Jacobian.
    title
        What mesh it is.

    Returns
    -------
    Figure
        Texts that overlap nothing, equal scales in all directions; drawn in seconds for 100,000 cells.
    """
    jacobians, shares = picture.jacobians(), picture.shares()
    colours, norm, label = FIELD, _range(picture.field), field_name
    if field_name is None:
        colours, norm, label = SHAPE, Normalize(0.0, 1.0), "scaled Jacobian"
    box = drawn_box(picture)
    width, height = box[1] - box[0], box[3] - box[2]
    with mpl.rc_context(STYLE):
        inches = min(5.2, 6.6 * width / height)
        figure = Figure(figsize=(10.4, max(inches * height / width + 0.8, 3.8)), layout="constrained")
        maps, plots = figure.subfigures(1, 2, width_ratios=[1.75, 1], squeeze=False).ravel()
        axes = maps.subplots()
        by_cell = jacobians if field_name is None else None
        draw_mesh(axes, picture, colours, norm, box=box, paper=72 * inches / width, by_cell=by_cell)
        axes.set_title(title, loc="left", size=10.5, weight="bold")
        _colour_bar(maps, [axes], colours, norm, label or "")
        shape, share = plots.subplots(2, 1)
        _shape_histogram(shape, [(f"least {jacobians.min():.3g}", jacobians, COMPUTED)])
        _share_histogram(share, [(f"std/mean {shares.std():.3g}", shares, COMPUTED)], picture.monitor is not None)
    return figure


def before_after_figure(before: MeshPicture, after: MeshPicture, *, field_name: str, title: str = "") -> Figure:
    """Draw a mesh before and after a move with the field on it, above histograms of both.

    Parameters
    ----------
    before, after
        The mesh before and after, with the same cells. A solid mesh is cut open across its middle.
    field_name
        Name of the field.
    title
        What was moved, and how.

    Returns
    -------
    Figure
        The two meshes on one colour scale and at one scale of length, side by side; long ones one above the other.
        Equidistribution in the titles is std/mean of m|K|.
    """
    pictures = {"before": before, "after": after}
    norm = _range(np.concatenate([before.field, after.field]))
    box = drawn_box(before, after)
    width, height = box[1] - box[0], box[3] - box[2]
    # Long domains stand one above the other.
    rows, columns = (2, 1) if width > 2.2 * height else (1, 2)
    inches = min(8.6 / columns, 7.0 * width / height)
    above = rows * (max(inches * height / width, 1.0) + 0.65) + 0.3
    with mpl.rc_context(STYLE):
        layout = ConstrainedLayoutEngine(h_pad=0.08, wspace=0.03)
        figure = Figure(figsize=(10.4, above + 2.6), layout=layout)
        if title:
            figure.suptitle(title, x=0.01, ha="left", size=11, weight="bold")
        maps, plots = figure.subfigures(2, 1, height_ratios=[above, 2.3], hspace=0.02, squeeze=False).ravel()
        panels = maps.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        shapes: list[tuple[str, Array, str]] = []
        shares: list[tuple[str, Array, str]] = []
        for axes, (name, picture), colour in zip(panels, pictures.items(), (BEFORE, COMPUTED), strict=True):
            jacobians, share = picture.jacobians(), picture.shares()
            draw_mesh(axes, picture, FIELD, norm, box=box, paper=72 * inches / width)
            axes.label_outer()
            numbers = f"equidistribution {share.std():.3g}, least scaled Jacobian {jacobians.min():.3g}"
            _head(axes, name, numbers, beside=inches > 4.0)
            shapes.append((f"{name}, least {jacobians.min():.3g}", jacobians, colour))
            shares.append((f"{name}, std/mean {share.std():.3g}", share, colour))
        _colour_bar(maps, panels, FIELD, norm, field_name)
        left, right = plots.subplots(1, 2)
        _share_histogram(left, shares, before.monitor is not None)
        _shape_histogram(right, shapes)
    return figure


def _head(axes: Axes, name: str, numbers: str, *, beside: bool) -> None:
    """Write a name over a map, and numbers beside it or, of a map narrower than they are, below."""
    if beside:
        axes.set_title(name, loc="left", size=10.5, weight="bold")
        axes.set_title(numbers, loc="right", size=8.5, color=MUTED)
    else:
        axes.set_title(name, size=10.5, weight="bold", pad=18)
        axes.annotate(
            numbers, (0.5, 1.0), xycoords="axes fraction", xytext=(0, 5), textcoords="offset points", ha="center",
            size=8.5, color=MUTED, annotation_clip=False,
        )  # fmt: skip


def _range(values: Array) -> Normalize:
    """Return limits that hold all values, never empty."""
    low, high = float(values.min()), float(values.max())
    room = 1e-12 + 1e-9 * max(abs(low), abs(high))
    return Normalize(low, high) if high - low > room else Normalize(low - room, high + room)


def _shape_histogram(axes: Axes, sets: Sequence[tuple[str, Array, str]]) -> None:
    _histogram(axes, sets, np.linspace(0.0, 1.0, 51))
    axes.set_xlim(0.0, 1.0)
    axes.set_xlabel("scaled Jacobian: 1 for regular cells")


def _share_histogram(axes: Axes, sets: Sequence[tuple[str, Array, str]], monitored: bool) -> None:
    # Never so narrow that rounding fills it, nor so wide for a few cells that the others are one bar.
    low, high = np.quantile(np.concatenate([entry for _, entry, _ in sets]), [0.001, 0.999])
    low, high = float(np.clip(low / 1.05, 1e-3, 0.5)), float(np.clip(1.05 * high, 2.0, 1e3))
    _histogram(axes, sets, np.geomspace(low, high, 61))
    axes.axvline(1.0, color=INK, linewidth=0.7, linestyle=(0, (4, 3)))
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    marks = [0.001, 0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 100, 1000]
    if high / low > 300:
        marks = [mark for mark in marks if np.log10(mark) % 1 == 0]
    axes.xaxis.set_major_locator(FixedLocator([mark for mark in marks if low <= mark <= high]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    what = "m |K| over its mean" if monitored else "|K| over its mean"
    axes.set_xlabel(f"{what}: 1 where equidistributed")


def _histogram(axes: Axes, sets: Sequence[tuple[str, Array, str]], bins: Array) -> None:
    """Draw histograms over each other; what lies beyond the bins counts in the outermost."""
    for label, values, colour in sets:
        weights = np.full(len(values), 1.0 / len(values))
        shown = np.clip(values, bins[0], bins[-1])
        axes.hist(shown, list(bins), weights=weights, color=colour, alpha=0.35, histtype="stepfilled")
        axes.hist(shown, list(bins), weights=weights, color=colour, linewidth=1.3, histtype="step", label=label)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
    axes.set_ylabel("share of cells")
    axes.spines[["top", "right"]].set_visible(False)
    if len(sets) > 1:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(sets), frameon=False, borderaxespad=0.1)
    else:
        axes.set_title(sets[0][0], loc="right", size=8.5, color=MUTED)


def _colour_bar(figure: SubFigure, panels: Any, colours: Colormap, norm: Normalize, label: str) -> None:
    """Add one bar, over the whole range."""
    bar = figure.colorbar(mpl.cm.ScalarMappable(norm, colours), ax=panels, pad=0.015, aspect=28, shrink=0.92)
    bar.set_label(label)
    bar.outline.set_linewidth(0.5)
