"""Figures of a steady run: the mesh of the first and of the best round, and how the errors fell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from cases.animation import load_maps
from cases.figures import COMPUTED, INK, STYLE
from cases.mesh_figures import save_figure
from cases.moving_figures import moving_mesh_figure


def write_steady_figures(
    out: Path, *, rounds: Sequence[Mapping[str, float | None]], best: int
) -> list[tuple[Path, str]]:
    """Write ``out/figures/meshes.png`` and, of more rounds than one, ``out/figures/rounds.png``.

    Parameters
    ----------
    out
        Run folder, with a map of each round.
    rounds
        Estimated and true error of each, None where there is none.
    best
        Number of the best round.

    Returns
    -------
    list of (Path, str)
        Files and their captions: the gallery of the report.
    """
    maps = {int(shot["time"]): shot for shot in load_maps(out)}
    chosen = [maps[number] for number in sorted({0, best}) if number in maps]
    file = out / "figures" / "meshes.png"
    file.parent.mkdir(exist_ok=True)
    titles = ["as it was made" if shot["time"] == 0 else f"after {int(shot['time'])} moves" for shot in chosen]
    save_figure(file, moving_mesh_figure(chosen, dry_depth=0.0, titles=titles))
    label = str(chosen[0].get("label", "u"))
    words = "before the first move and in the best round" if len(chosen) > 1 else "as it was solved on"
    gallery = [(file, f"{label if len(label) == 1 else label[:1].upper() + label[1:]} with the mesh, {words}.")]
    if len(rounds) > 1:
        file = out / "figures" / "rounds.png"
        save_figure(file, rounds_figure(rounds, best))
        gallery.append((file, "Errors by round: solve, estimate, move. The mesh of the marked round is kept."))
    return gallery


def rounds_figure(rounds: Sequence[Mapping[str, float | None]], best: int) -> Figure:
    """Draw estimated and true errors over the rounds, see ``write_steady_figures``."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.0, 3.2), layout="constrained")
        axes = figure.subplots()
        for key, label, colour in (("estimate", "estimated error", COMPUTED), ("error", "error", INK)):
            points = [(number, one[key]) for number, one in enumerate(rounds)]
            known = [(number, float(value)) for number, value in points if value is not None and value == value]
            if known:
                axes.plot(*zip(*known, strict=True), color=colour, marker="o", markersize=4, label=label)
        axes.axvline(best, color="#9aa3ad", linewidth=0.7, linestyle=(0, (4, 3)))
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("moves")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        if axes.lines[:-1]:
            axes.legend(frameon=False)
    return figure
