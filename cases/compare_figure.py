"""The figure of a comparison: every mover's mesh at one time, and the records of the gauges under them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cases.figures import COMPUTED, INK, MUTED, STYLE, elevation_unit
from cases.moving_figures import SLENDER, colour_bar, colour_scale, draw_snapshot, mesh_picture

_COLOURS = ("#8d96a0", COMPUTED, "#d1622b", "#3c8d5a", "#8a4fa3", "#b58a00")
_DRY_DEPTH = 1e-4  # in case the runs' options have none [m]


def comparison_figure(
    out: Path, runs: Mapping[str, Mapping[str, Any]], maps: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Figure:
    """Draw the meshes of all movers at the time of most action, over the records of the gauges.

    Parameters
    ----------
    out
        Folder of the runs' folders, of which the gauges are read.
    runs
        What their ``run.json`` hold, by mover.
    maps
        Their maps, none empty.
    """
    chosen = _of_best_rounds(runs, maps) or _at_one_time(maps)
    dry_depth = next(iter(runs.values()))["config"].get("dry_depth", _DRY_DEPTH)
    pictures = {mover: mesh_picture(snapshot, dry_depth) for mover, snapshot in chosen.items()}
    scale = colour_scale(next(iter(chosen.values())), [field for _, field in pictures.values()])
    size = np.ptp(next(iter(pictures.values()))[0].points, axis=0)
    records = {mover: _record(out / mover / "gauges.nc") for mover in runs}
    gauges = _gauges_of(records)
    slender = size[1] < SLENDER * size[0]
    columns = 1 if slender else min(len(runs), 3)
    rows = -(-len(runs) // columns)
    width = 13.0 if columns > 1 or slender else 7.0
    inches = (width - 1.4) / columns
    above, below = rows * (inches * size[1] / size[0] + 0.75), 1.5 * len(gauges)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, above + below + 0.5), layout="constrained")
        heights = [above, below] if gauges else [above]
        parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).ravel()
        panels = parts[0].subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, (mover, (picture, field)) in zip(panels, pictures.items(), strict=False):
            draw_snapshot(axes, picture, field, scale, inches=inches)
            axes.label_outer()
            axes.set_title(mover, loc="left", size=10.5, weight="bold")
            axes.set_title(_words(runs[mover], float(chosen[mover]["time"])), loc="right", size=8, color=MUTED)
        for axes in panels[len(pictures) :]:
            axes.set_axis_off()
        colour_bar(parts[0], panels, scale, below=slender)
        if gauges:
            plots = parts[1].subplots(len(gauges), 1, sharex=True, squeeze=False).ravel()
            for number, (axes, name) in enumerate(zip(plots, gauges, strict=True)):
                _draw_gauge(axes, records, number, name)
            plots[-1].set_xlabel("time [s]")
            plots[0].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(runs) + 1, frameon=False)
    return figure


def _of_best_rounds(
    runs: Mapping[str, Mapping[str, Any]], maps: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, Mapping[str, Any]]:
    """Return the maps of steady runs on the meshes they have kept; nothing for runs in time."""
    best = {mover: run["metrics"].get("best_round") for mover, run in runs.items()}
    if None in best.values():
        return {}
    return {mover: next(s for s in shots if int(s["time"]) == best[mover]) for mover, shots in maps.items()}


def _at_one_time(maps: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Mapping[str, Any]]:
    """Return the maps of the time, common to all, at which the water moves most; of a scalar, of half time."""
    first = next(iter(maps.values()))
    last = min(float(shots[-1]["time"]) for shots in maps.values())
    among = [shot for shot in first if float(shot["time"]) <= last] or [first[0]]
    if "u" in first[0]:
        time = float(among[len(among) // 2]["time"])
    else:
        action = [float(np.std(shot["elevation"][shot["depth"] > _DRY_DEPTH])) for shot in among]
        time = float(among[int(np.argmax(action))]["time"])
    return {mover: min(shots, key=lambda shot: abs(float(shot["time"]) - time)) for mover, shots in maps.items()}


def _words(run: Mapping[str, Any], time: float) -> str:
    reduction = run["metrics"].get("error_reduction_pct")
    steady = "best_round" in run["metrics"]
    words = f"{run['metrics']['best_round']} moves" if steady else f"t = {time:.2f} s"
    words += f", {run['cells']} cells, {run['wall_s']:.1f} s"
    return words if not run["moves"] or reduction is None else f"{words}, error {-reduction:+.0f} %"


def _record(file: Path) -> xarray.Dataset | None:
    return xarray.load_dataset(file, engine="h5netcdf", decode_times=False) if file.is_file() else None


def _gauges_of(records: Mapping[str, xarray.Dataset | None]) -> list[str]:
    first = next(iter(records.values()))
    return [] if first is None else [str(name) for name in first["gauge"].values]


def _draw_gauge(axes: Axes, records: Mapping[str, xarray.Dataset | None], number: int, name: str) -> None:
    sets = [record for record in records.values() if record is not None]
    largest = max(float(np.abs(record["elevation"].values[:, number]).max()) for record in sets)
    factor, unit = elevation_unit(largest)
    measured = sets[0]
    if "reference_elevation" in measured:
        time, values = measured["reference_time"].values, measured["reference_elevation"].values[:, number]
        span = time <= measured["time"].values[-1]
        label = measured["reference_elevation"].attrs.get("long_name", "reference")
        axes.plot(time[span], factor * values[span], color=INK, linewidth=0.8, label=label)
    for (mover, record), colour in zip(records.items(), _cycle(len(records)), strict=True):
        if record is not None:
            line = factor * record["elevation"].values[:, number]
            axes.plot(record["time"].values, line, color=colour, linewidth=1.4, label=mover)
    axes.text(0.008, 0.93, name, transform=axes.transAxes, va="top", weight="bold", size=10)
    axes.set_ylabel(f"elevation [{unit}]")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.0, y=0.1)


def _cycle(count: int) -> list[str]:
    return [_COLOURS[k % len(_COLOURS)] for k in range(count)]
