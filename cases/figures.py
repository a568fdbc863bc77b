"""Figures of a finished run, drawn from the files in its folder: gauges, snapshots, maximum elevation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LightSource, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cases.raster import PIXELS, Raster, rasterise

Array = NDArray[np.float64]

INK, MUTED, COMPUTED, REFERENCE = "#1d2530", "#6b7480", "#1769aa", "#2b2b2b"
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9aa3ad",
    "axes.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
}
RESOLUTION = 180  # dots per inch of the PNG
# Stone greys: neither end of the diverging map, nor its white middle.
LAND = LinearSegmentedColormap.from_list("land", ["#8d877d", "#b9b3a8", "#dcd8d0"])
RISE = LinearSegmentedColormap.from_list("rise", ["#eaf4f4", "#a9d6d5", "#4fa3b5", "#2a6597", "#3a2f6b", "#2a0f3a"])


def elevation_unit(largest: float) -> tuple[float, str]:
    """Return the factor from m and the name of the unit in which elevations up to `largest` m read well."""
    return (100.0, "cm") if largest < 1 else (1.0, "m")


def gauge_figure(gauges: xarray.Dataset, *, rmse: Mapping[str, float | None] | None = None) -> Figure:
    """Draw the computed elevation at each gauge over the reference, with the two peaks marked.

    Parameters
    ----------
    gauges : xarray.Dataset
        ``elevation(time, gauge)`` in m and s, optionally ``reference_elevation(reference_time, gauge)``,
        whose ``long_name`` is its label.
    rmse : mapping, optional
        Root mean square difference [m] to print beside a gauge's name.

    Returns
    -------
    Figure
        One panel per gauge, over the computed span of time.
    """
    names = [str(name) for name in gauges["gauge"].values]
    time, elevation = gauges["time"].values, gauges["elevation"].transpose("time", "gauge").values
    series = [(time, elevation, COMPUTED, 1.7, "computed", "o")]
    if "reference_elevation" in gauges:
        reference = gauges["reference_elevation"].transpose("reference_time", "gauge").values
        reference_time = gauges["reference_time"].values
        label = gauges["reference_elevation"].attrs.get("long_name", "reference")
        span = (reference_time >= time[0]) & (reference_time <= time[-1])
        series.insert(0, (reference_time[span], reference[span], REFERENCE, 0.9, label, "D"))
    factor, unit = elevation_unit(max(_largest(values) for _, values, *_ in series))
    with mpl.rc_context(STYLE):
        columns = 1 if len(names) <= 4 else 2
        rows = -(-len(names) // columns)
        figure = Figure(figsize=(7.6 if columns == 1 else 11, 0.7 + 1.75 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for panel, name, gauge in zip(panels, names, range(len(names)), strict=False):
            panel.axhline(0, color="#c3c9d0", linewidth=0.7, zorder=0)
            for times, values, colour, width, label, marker in series:
                line = factor * values[:, gauge]
                panel.plot(times, line, color=colour, linewidth=width, label=label)
                if np.isfinite(line).any():
                    peak = np.nanargmax(line)
                    panel.plot(
                        times[peak], line[peak], marker, color=colour, markersize=5,
                        markeredgecolor="white", markeredgewidth=0.9, zorder=5,
                    )  # fmt: skip
            place = f"x = {float(gauges['gauge_x'][gauge]):g} m, y = {float(gauges['gauge_y'][gauge]):g} m"
            panel.text(0.012, 0.93, name, transform=panel.transAxes, va="top", weight="bold", size=11)
            panel.text(0.012, 0.76, place, transform=panel.transAxes, va="top", color=MUTED, size=8)
            error = None if rmse is None else rmse.get(name)
            if error is not None:
                text = f"rms {factor * error:.3g} {unit}"
                panel.text(0.012, 0.64, text, transform=panel.transAxes, va="top", color=MUTED, size=8)
            if time[-1] > time[0]:
                panel.set_xlim(time[0], time[-1])
            panel.margins(y=0.12)
            panel.spines[["top", "right"]].set_visible(False)
            panel.set_ylabel(f"elevation [{unit}]")
        for panel in panels[len(names) :]:
            panel.set_axis_off()
        for panel in panels[len(names) - columns : len(names)]:
            panel.tick_params(labelbottom=True)
            panel.set_xlabel("time [s]")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False)
    return figure


def maximum_figure(
    mesh: Mapping[str, Any],
    maximum: Mapping[str, Any],
    *,
    dry_depth: float,
    gauges: xarray.Dataset | None = None,
) -> Figure:
    """Draw the largest elevation of every place over the shaded bed.

    Parameters
    ----------
    mesh : mapping
        ``points`` (P, 2) m, ``cells`` (K, 3), ``bathymetry`` (P,) m, positive up.
    maximum : mapping
        ``elevation`` (P,) and ``depth`` (P,), both the largest in time, in m.
    dry_depth : float, m
        A place that was never this deep shows as land.
    gauges : xarray.Dataset, optional
        Gauges to mark, by ``gauge_x`` and ``gauge_y``.

    Returns
    -------
    Figure
        One map, the still-water shoreline and depth contours drawn in.
    """
    raster, bed, elevation = _fields(mesh, maximum, dry_depth)
    low, high = _limits(elevation)
    signed = low < -0.25 * high
    factor, unit = elevation_unit(max(abs(low), abs(high)))
    norm = Normalize(-factor * high, factor * high) if signed else Normalize(factor * low, factor * high)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=_size(raster, width=8.2, extra=(1.15, 0.45)), layout="constrained")
        axes = figure.subplots()
        colours = mpl.colormaps["RdBu_r"] if signed else RISE
        _map(axes, raster, bed, factor * elevation, colours, norm)
        _contours(axes, raster, bed, levels=9)
        _mark(axes, raster, gauges)
        _label(axes, raster)
        _colour_bar(figure, [axes], colours, norm, f"maximum elevation [{unit}]")
    return figure


def snapshot_figure(
    mesh: Mapping[str, Any],
    snapshots: Sequence[Mapping[str, Any]],
    *,
    dry_depth: float,
    gauges: xarray.Dataset | None = None,
) -> Figure:
    """Draw the elevation at up to six times, evenly spread over the action, on one colour scale.

    Parameters
    ----------
    mesh : mapping
        ``points`` (P, 2) m, ``cells`` (K, 3), ``bathymetry`` (P,) m, positive up.
    snapshots : sequence of mappings, not empty
        Each with ``time`` [s], ``elevation`` (P,) and ``depth`` (P,) in m; ``points`` and ``bathymetry`` of
        its own, if it has them, stand in for the mesh's.
    dry_depth : float, m
        Shallower places show as land.
    gauges : xarray.Dataset, optional
        Gauges to mark, by ``gauge_x`` and ``gauge_y``.

    Returns
    -------
    Figure
        A panel of maps with one colour bar.
    """
    chosen = [snapshots[i] for i in _spread(snapshots, dry_depth)]
    pictures = [_fields(mesh, snapshot, dry_depth, pixels=PIXELS // 2) for snapshot in chosen]
    low, high = _limits(np.concatenate([elevation.ravel() for *_, elevation in pictures]))
    bound = max(abs(low), abs(high))
    factor, unit = elevation_unit(bound)
    norm = Normalize(-factor * bound, factor * bound)
    raster = pictures[0][0]
    columns = min(len(chosen), 2 if raster.shape[1] > 1.9 * raster.shape[0] else 3)
    rows = -(-len(chosen) // columns)
    with mpl.rc_context(STYLE):
        width = 10.5 if columns > 1 else 6.5
        one = _size(raster, width=(width - 1.1) / columns, extra=(0.1, 0.3))
        figure = Figure(figsize=(width, one[1] * rows + 0.45), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, snapshot, picture in zip(panels.ravel(), chosen, pictures, strict=False):
            raster, bed, elevation = picture
            _map(axes, raster, bed, factor * elevation, mpl.colormaps["RdBu_r"], norm)
            _contours(axes, raster, bed, levels=0)
            _mark(axes, raster, gauges, named=False)
            _label(axes, raster)
            axes.label_outer()
            axes.set_title(f"t = {float(snapshot['time']):.2f} s", loc="left", size=9.5, weight="bold")
        for axes in panels.ravel()[len(chosen) :]:
            axes.set_axis_off()
        _colour_bar(figure, panels.ravel(), mpl.colormaps["RdBu_r"], norm, f"elevation [{unit}]")
    return figure


def write_figures(
    out: Path, *, dry_depth: float, rmse: Mapping[str, float | None] | None = None, moves: bool = False
) -> list[tuple[Path, str]]:
    """Write ``out/figures/*.png`` for whatever the run left: gauges, snapshots, maximum.

    Parameters
    ----------
    out : Path
        Run folder; ``gauges.nc``, ``maps/mesh.npz``, ``maps/NNNN.npz``, ``maps/maximum.npz`` may be absent.
    dry_depth : float, m
        Shallower places show as land.
    rmse : mapping, optional
        Root mean square difference [m] by gauge name, printed in the gauge figure.
    moves : bool
        Whether the mesh moves, which is a figure more.

    Returns
    -------
    list of (Path, str)
        The files written, each with its caption: the gallery of the report.
    """
    figures: list[tuple[str, Figure, str]] = []
    maps, gauges = out / "maps", None
    if (out / "gauges.nc").is_file():
        gauges = xarray.load_dataset(out / "gauges.nc", engine="h5netcdf", decode_times=False)
        against = ", over the reference; markers show the two peaks"
        caption = "Surface elevation at the gauges" + against * ("reference_elevation" in gauges)
        figures.append(("gauges", gauge_figure(gauges, rmse=rmse), caption + "."))
    if (maps / "mesh.npz").is_file():
        mesh = _load(maps / "mesh.npz")
        snapshots: list[dict[str, Any]] = [_load(file) for file in sorted(maps.glob("[0-9]*.npz"))]
        if snapshots:
            caption = "Surface elevation; dry land in grey, the still-water shoreline in black."
            figure = snapshot_figure(mesh, snapshots, dry_depth=dry_depth, gauges=gauges)
            figures.append(("snapshots", figure, caption))
        if snapshots and moves:
            from cases.moving_figures import moving_mesh_figure  # which is drawn in the style of these figures

            chosen = [mesh | snapshots[i] for i in _spread(snapshots, dry_depth)]
            caption = "The mesh, which moves, in the colours of the elevation; dry land in grey."
            figures.append(("meshes", moving_mesh_figure(chosen, dry_depth=dry_depth), caption))
        if (maps / "maximum.npz").is_file():
            caption = "Largest surface elevation of the run over the shaded bed; the black line is the "
            caption += "still-water shoreline, fine lines are depth contours."
            figure = maximum_figure(mesh, _load(maps / "maximum.npz"), dry_depth=dry_depth, gauges=gauges)
            figures.append(("maximum", figure, caption))
    (out / "figures").mkdir(exist_ok=True)
    gallery = [(out / "figures" / f"{name}.png", caption) for name, _, caption in figures]
    for (file, _), (_, figure, _) in zip(gallery, figures, strict=True):
        figure.savefig(file, dpi=RESOLUTION, facecolor="white")
    return gallery


def _load(file: Path) -> dict[str, Any]:
    with np.load(file) as archive:
        return dict(archive)


def _largest(values: Array) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0


def _fields(
    mesh: Mapping[str, Any], fields: Mapping[str, Any], dry_depth: float, *, pixels: int = PIXELS
) -> tuple[Raster, Array, Array]:
    """Return the raster, the bed and the elevation at its pixels, NaN where dry."""
    raster = rasterise(fields.get("points", mesh["points"]), mesh["cells"], pixels=pixels)
    bed = raster.sample(fields.get("bathymetry", mesh["bathymetry"]))
    wet = raster.sample(fields["depth"]) >= dry_depth
    return raster, bed, np.where(wet, raster.sample(fields["elevation"]), np.nan)


def _limits(elevation: Array) -> tuple[float, float]:
    """Return limits that a few extreme pixels do not stretch, never empty."""
    finite = elevation[np.isfinite(elevation)]
    low, high = np.percentile(finite, [0.2, 99.8]) if finite.size else (0.0, 0.0)
    return (float(low), float(high)) if high - low > 1e-12 else (float(low) - 1e-3, float(high) + 1e-3)


def _spread(snapshots: Sequence[Mapping[str, Any]], dry_depth: float, at_most: int = 6) -> list[int]:
    """Return evenly spread numbers, from the first snapshot in which something is to be seen."""
    if len(snapshots) <= at_most:
        return list(range(len(snapshots)))
    height = [_largest(shot["elevation"][shot["depth"] >= dry_depth]) for shot in snapshots]
    first = next(i for i, value in enumerate(height) if value >= 0.1 * max(height))
    first = min(first, len(snapshots) - at_most)
    return [int(i) for i in np.rint(np.linspace(first, len(snapshots) - 1, at_most))]


def _size(raster: Raster, *, width: float, extra: tuple[float, float]) -> tuple[float, float]:
    """Return the size, in inches, of a figure whose map fills `width` less what bar and labels need."""
    height = (width - extra[0]) * raster.shape[0] / raster.shape[1] + extra[1]
    return width, float(np.clip(height, 1.6, 1.6 * width))


def _map(axes: Axes, raster: Raster, bed: Array, values: Array, colours: Colormap, norm: Normalize) -> None:
    """Draw `values` where finite and land elsewhere, both lit by the relief of the bed."""
    step = (raster.extent[1] - raster.extent[0]) / raster.shape[1]
    filled = np.where(np.isfinite(bed), bed, np.nanmean(bed))
    slope = np.hypot(*np.gradient(filled, step))
    # Exaggerated until the steeper slopes of this bed, whatever its scale, stand at about 45 degrees.
    steep = float(np.percentile(slope, 95))
    light = LightSource(azdeg=315, altdeg=45)
    shade = light.hillshade(filled, vert_exag=0.9 / steep, dx=step, dy=step) if steep > 0 else 0.7 + 0 * bed
    wet = np.isfinite(values)
    land_bed = bed[~wet & np.isfinite(bed)]
    span = Normalize(land_bed.min(), land_bed.max() + 1e-12) if land_bed.size else Normalize(0, 1)
    picture = np.where(wet[..., None], colours(norm(values)), LAND(span(bed)))
    # Water only hints at the bed below, land shows it.
    strength = np.where(wet, 0.13, 0.5)[..., None]
    picture[..., :3] = np.clip(picture[..., :3] * (1 + strength * (shade[..., None] - 0.7)), 0, 1)
    picture[~np.isfinite(bed), 3] = 0
    axes.imshow(picture, extent=raster.extent, origin="lower", interpolation="antialiased")


def _contours(axes: Axes, raster: Raster, bed: Array, *, levels: int) -> None:
    """Draw the still-water shoreline and about `levels` further contours of the bed."""
    low, high = np.nanmin(bed), np.nanmax(bed)
    if high - low <= 1e-12:
        return
    x, y = (
        np.linspace(start, stop, 2 * n + 1)[1::2]
        for start, stop, n in zip(raster.extent[::2], raster.extent[1::2], raster.shape[::-1], strict=True)
    )
    if levels:
        heights = [z for z in MaxNLocator(levels).tick_values(low, high) if low < z < high and z != 0]
        axes.contour(x, y, bed, heights, colors=INK, linewidths=0.4, linestyles="solid", alpha=0.4)
    if low < 0 < high:
        axes.contour(x, y, bed, [0], colors="#111111", linewidths=1.1 if levels else 0.7)


def _mark(axes: Axes, raster: Raster, gauges: xarray.Dataset | None, *, named: bool = True) -> None:
    """Mark the gauges; names go to the side that has more room."""
    if gauges is None:
        return
    middle = (raster.extent[0] + raster.extent[1]) / 2
    for name, x, y in zip(gauges["gauge"].values, gauges["gauge_x"].values, gauges["gauge_y"].values, strict=True):
        size = 5.5 if named else 2.6
        axes.plot(x, y, "o", color="white", markersize=size, markeredgecolor="#111111", markeredgewidth=0.9)
        if named:
            side = -1 if x > middle else 1
            text = axes.annotate(
                str(name), (x, y), xytext=(7 * side, 0), textcoords="offset points", va="center",
                ha="right" if side < 0 else "left", size=8.5, weight="bold",
            )  # fmt: skip
            text.set_path_effects([withStroke(linewidth=2.4, foreground="white")])


def _label(axes: Axes, raster: Raster) -> None:
    """Label the axes, in km where metres would run long."""
    long = raster.extent[1] - raster.extent[0] > 2e4
    if long:
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value / 1000:g}")
    axes.set_aspect("equal")
    axes.set_xlabel("x [km]" if long else "x [m]")
    axes.set_ylabel("y [km]" if long else "y [m]")


def _colour_bar(figure: Figure, panels: Any, colours: Colormap, norm: Normalize, label: str) -> None:
    """Add one bar; its pointed ends say that the limits leave out the extremes."""
    mappable = mpl.cm.ScalarMappable(norm, colours)
    bar = figure.colorbar(mappable, ax=panels, extend="both", pad=0.015, aspect=28, shrink=0.92)
    bar.set_label(label)
    bar.outline.set_linewidth(0.5)
