"""One solution by finite elements and by networks, with their errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.tri import Triangulation
from numpy.typing import NDArray

from cases.figures import INK, MUTED, STYLE
from cases.operators.operator_case import Look
from cases.operators.shown import REFERENCE
from cases.raster import rasterise

Array = NDArray[np.float64]

_VALUES, _ERRORS = "YlGnBu", "magma_r"
# Of the largest error, what the scale of errors begins with.
_DECADES = 1e-4
# Height over width of domains so long that panels stand in three rows; largest displacement drawn, of the size.
_LONG, _DISPLACED = 0.55, 0.2
_LINES = 160


def field_figure(shown: Mapping[str, Any], look: Look, labels: Mapping[str, str]) -> Figure:
    """Draw solutions on one scale of colours, and on another how far the networks' are from that of finite elements.

    Parameters
    ----------
    shown
        ``points``, ``cells``, and nodal values (n, c) by name, see :func:`cases.operators.shown.write_shown`.
    look
        How values are drawn.
    labels
        Names of networks in full.
    """
    points, cells, reference = shown["points"], shown["cells"], shown[REFERENCE]
    networks = {name: shown[name] for name in labels if name in shown}
    fields = {"finite elements": reference, **{labels[name]: values for name, values in networks.items()}}
    size = np.abs(_drawn(reference)).max() or 1.0
    errors = {labels[name]: np.linalg.norm(values - reference, axis=1) / size for name, values in networks.items()}
    places = {label: _places(points, values, reference, look) for label, values in fields.items()}
    norms = _value_norm([_drawn(values) for values in fields.values()]), _error_norm(list(errors.values()))
    # Not of the networks' shapes, which may lie anywhere.
    box = np.concatenate([points, places["finite elements"]])
    extent = np.column_stack([box.min(axis=0), box.max(axis=0)])
    width, height = np.diff(extent, axis=1).ravel()
    across = height < _LONG * width
    # Wide enough for two or three panels and a bar beside them, or high enough for one below.
    inches, bar_inches = (5.4, 1.5) if across else (4.0, 0.9)
    with mpl.rc_context(STYLE):
        count = len(fields)
        shape = (count, 2) if across else (2, count)
        row = inches * height / width + 0.35
        figure = Figure(figsize=(inches * shape[1] + 1.3, row * shape[0] + bar_inches), layout="constrained")
        panels = figure.subplots(*shape, sharex=True, sharey=True, squeeze=False)
        above, below = panels.T if across else panels
        for axes, (label, values) in zip(above, fields.items(), strict=True):
            _colour(axes, places[label], cells, _drawn(values), _VALUES, norms[0])
            if look.streamlines:
                _streamlines(axes, points, cells, values)
            if look.deformed:
                _outline(axes, points, cells)
            axes.set_title(label, loc="left", size=9.5, weight="bold")
        below[0].triplot(*points.T, cells, color=INK, linewidth=0.35)
        below[0].set_title(f"{len(points)} nodes", loc="left", size=9.5, weight="bold")
        for axes, (label, error) in zip(below[1:], errors.items(), strict=True):
            _colour(axes, points, cells, error, _ERRORS, norms[1])
            axes.set_title(f"error of {label}: at most {100 * error.max():.3g} %", loc="left", size=9.5)
        margin = 0.03 * max(width, height)
        for axes in panels.ravel():
            axes.set_aspect("equal")
            axes.set_xlim(extent[0, 0] - margin, extent[0, 1] + margin)
            axes.set_ylim(extent[1, 0] - margin, extent[1, 1] + margin)
            axes.set_xlabel("x [m]")
            axes.set_ylabel("y [m]")
            axes.label_outer()
        side: dict[str, Any] = {"location": "bottom", "aspect": 40} if across else {"location": "right", "aspect": 22}
        for group, colours, norm, label, extend in (
            (above, _VALUES, norms[0], look.label, "neither"),
            (below, _ERRORS, norms[1], "error over the largest value", "min"),
        ):
            bar = figure.colorbar(
                mpl.cm.ScalarMappable(norm, colours), ax=list(group), extend=extend, shrink=0.9, pad=0.02, **side
            )
            bar.set_label(label)
            bar.outline.set_linewidth(0.5)
    return figure


def _drawn(values: Array) -> Array:
    """Return what the colours say of values (n, c): these, or the lengths of vectors."""
    return values[:, 0] if values.shape[1] == 1 else np.linalg.norm(values, axis=1)


def _places(points: Array, values: Array, reference: Array, look: Look) -> Array:
    if not look.deformed:
        return points
    largest = float(np.linalg.norm(reference, axis=1).max()) or 1.0
    return points + _DISPLACED * float(np.ptp(points, axis=0).max()) / largest * np.nan_to_num(values)


def _value_norm(fields: list[Array]) -> Normalize:
    """Return limits of the first field, which the others do not stretch."""
    low, high = float(fields[0].min()), float(fields[0].max())
    return Normalize(low, high if high > low else low + 1.0)


def _error_norm(errors: list[Array]) -> LogNorm:
    largest = max((float(np.nanmax(error)) for error in errors if np.isfinite(error).any()), default=0.0)
    largest = largest if largest > 0.0 else 1.0
    return LogNorm(_DECADES * largest, largest)


def _colour(axes: Axes, places: Array, cells: NDArray[np.int64], values: Array, colours: str, norm: Normalize) -> None:
    low, high = float(norm.vmin or 0.0), float(norm.vmax or 0.0)
    # There is no logarithm of nothing: exact values have the colour of the smallest.
    shown = np.clip(np.nan_to_num(values, nan=high), low, high)
    axes.tripcolor(Triangulation(places[:, 0], places[:, 1], cells), shown, shading="gouraud", cmap=colours, norm=norm)


def _streamlines(axes: Axes, points: Array, cells: NDArray[np.int64], values: Array) -> None:
    raster = rasterise(points, cells, pixels=_LINES)
    x, y = (
        np.linspace(low, high, 2 * count + 1)[1::2]
        for low, high, count in zip(raster.extent[::2], raster.extent[1::2], raster.shape[::-1], strict=True)
    )
    u, v = (np.ma.masked_invalid(raster.sample(part)) for part in values.T)
    axes.streamplot(x, y, u, v, color=INK, linewidth=0.45, density=1.1, arrowsize=0.5)


def _outline(axes: Axes, points: Array, cells: NDArray[np.int64]) -> None:
    """Draw the sides that only one triangle has: the shape without load."""
    sides = np.sort(cells[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    found, count = np.unique(sides, axis=0, return_counts=True)
    for side in points[found[count == 1]]:
        axes.plot(*side.T, color=MUTED, linewidth=0.6)
