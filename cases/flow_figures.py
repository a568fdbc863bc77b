"""Figures of a finished run of incompressible flow, drawn from the files in its folder."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import xarray
from matplotlib.figure import Figure

from cases.animation import load_maps
from cases.figures import COMPUTED, STYLE
from cases.mesh_figures import save_figure
from cases.moving_figures import moving_mesh_figure

_MOST_MESHES = 4


def write_flow_figures(out: Path) -> list[tuple[Path, str]]:
    """Write ``out/figures/meshes.png`` and, if there is ``out/forces.nc``, ``out/figures/forces.png``.

    Parameters
    ----------
    out
        Run folder, with maps.

    Returns
    -------
    list of (Path, str)
        Files and their captions: the gallery of the report.
    """
    maps = load_maps(out)
    chosen = np.unique(np.linspace(0, len(maps) - 1, _MOST_MESHES).round().astype(int))
    file = out / "figures" / "meshes.png"
    file.parent.mkdir(exist_ok=True)
    save_figure(file, moving_mesh_figure([maps[k] for k in chosen], dry_depth=0.0))
    gallery = [(file, "Speed of the flow with the mesh, from the start to the end.")]
    if (out / "forces.nc").is_file():
        file = out / "figures" / "forces.png"
        with xarray.open_dataset(out / "forces.nc", engine="h5netcdf") as record:
            save_figure(file, force_figure(record))
        gallery.append((file, "Coefficients of drag and lift and the pressure difference over time."))
    return gallery


def force_figure(record: xarray.Dataset) -> Figure:
    """Draw each variable of a record of forces over time.

    Parameters
    ----------
    record
        As :func:`cases.force_record.force_dataset` makes it.
    """
    times = record["time"].values
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 1.7 * len(record.data_vars) + 0.5), layout="constrained")
        panels = figure.subplots(len(record.data_vars), 1, sharex=True)
        for axes, (name, series) in zip(panels, record.data_vars.items(), strict=True):
            axes.plot(times, series.values, color=COMPUTED, linewidth=1.4)
            # The jump of the first steps, from a flow that does not meet the equations, would flatten the rest.
            settled = series.values[len(times) // 4 :]
            if settled.size and np.ptp(settled) > 0.0:
                room = 0.25 * np.ptp(settled)
                axes.set_ylim(settled.min() - room, settled.max() + room)
            unit = series.attrs.get("units", "1")
            label = str(name).replace("_", " ")
            axes.set_ylabel(label if unit == "1" else f"{label}\n[m²/s²]")
            axes.spines[["top", "right"]].set_visible(False)
        panels[-1].set_xlabel("time [s]")
    return figure
