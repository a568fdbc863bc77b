"""Animation of a finished run: its mesh and the field on it, map by map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.figure import Figure

from cases.figures import STYLE
from cases.moving_figures import colour_bar, colour_scale, draw_snapshot, mesh_picture

FRAMES_A_SECOND = 8
# More maps than this are thinned out: a minute is enough.
MOST_FRAMES = 480
_WIDTH, _DOTS_PER_INCH = 8.0, 90


def write_animation(out: Path, *, dry_depth: float) -> Path:
    """Write ``out/animation.mp4`` from ``out/maps``; without ffmpeg on this machine, ``out/animation.gif``.

    Parameters
    ----------
    out
        Folder of a run.
    dry_depth
        Shallower cells show as land [m].

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If there are fewer than two maps.
    """
    maps = load_maps(out)
    if len(maps) < 2:
        raise ValueError(f"animation: got {len(maps)} maps in {out / 'maps'}, expected two or more; output more often")
    frames = maps[:: -(-len(maps) // MOST_FRAMES)]
    pictures = [mesh_picture(snapshot, dry_depth) for snapshot in frames]
    scale = colour_scale(frames[0], [field for _, field in pictures])
    writer: AbstractMovieWriter
    if FFMpegWriter.isAvailable():
        file, writer = out / "animation.mp4", FFMpegWriter(FRAMES_A_SECOND, codec="h264")
    else:
        file, writer = out / "animation.gif", PillowWriter(FRAMES_A_SECOND)
    with mpl.rc_context(STYLE):
        width, height = np.ptp(pictures[0][0].points, axis=0)
        inches = _WIDTH - 1.3
        figure = Figure(figsize=(_WIDTH, max(inches * height / width + 0.75, 2.5)), layout="constrained")
        axes = figure.subplots()
        colour_bar(figure, axes, scale)
        with writer.saving(figure, str(file), _DOTS_PER_INCH):
            for snapshot, (picture, field) in zip(frames, pictures, strict=True):
                axes.clear()
                draw_snapshot(axes, picture, field, scale, inches=inches)
                axes.set_title(f"t = {float(snapshot['time']):.2f} s", loc="left", size=10, weight="bold")
                writer.grab_frame()
    return file


def load_maps(out: Path) -> list[dict[str, Any]]:
    """Return the maps of a run in the order of time, each with its mesh."""
    with np.load(out / "maps" / "mesh.npz") as archive:
        mesh = dict(archive)
    maps = []
    for file in sorted((out / "maps").glob("[0-9]*.npz")):
        with np.load(file) as archive:
            maps.append(mesh | dict(archive))
    return maps
