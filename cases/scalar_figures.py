"""Figures of a finished run of a scalar law, drawn from the maps in its folder."""

from __future__ import annotations

from pathlib import Path

from cases.animation import load_maps
from cases.mesh_figures import save_figure
from cases.moving_figures import moving_mesh_figure


def write_scalar_figures(out: Path, *, t_half: float) -> list[tuple[Path, str]]:
    """Write ``out/figures/meshes.png``: the solution, with its mesh, at the start, at half time and at the end.

    Parameters
    ----------
    out
        Run folder, with maps.
    t_half
        Half time [s]; left out if the run has not come so far.

    Returns
    -------
    list of (Path, str)
        The file and its caption: the gallery of the report.
    """
    maps = load_maps(out)
    times = [float(shot["time"]) for shot in maps]
    chosen = sorted({0, len(maps) - 1, *([times.index(t_half)] if t_half in times else [])})
    file = out / "figures" / "meshes.png"
    file.parent.mkdir(exist_ok=True)
    save_figure(file, moving_mesh_figure([maps[k] for k in chosen], dry_depth=0.0))
    return [(file, "The solution u with its mesh, at the start, at half time and at the end.")]
