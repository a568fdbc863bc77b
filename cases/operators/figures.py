"""Figures of a run of operator networks: a solution, the errors of all, and the structure they keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullLocator, PercentFormatter

from cases.figures import COMPUTED, INK, MUTED, STYLE
from cases.mesh_figures import save_figure
from cases.operators.field_figure import field_figure
from cases.operators.operator_case import Look
from cases.operators.records import GeometryRecord, errors_of
from cases.operators.shown import FILE

# Colour of each network and its name in full.
SHOWN = {
    "spon": ("#5cb5c6", "SPON"),
    "spon-mg": (COMPUTED, "SPON-MG"),
    "spon-twin": ("#c8553d", "unconstrained twin"),
    "untrained": ("#9aa3ad", "SPON-MG, untrained"),
}
# Where bars of structure begin, below any rounding; and from where on a property counts as kept.
_FLOOR, _KEPT = 1e-18, 1e-12


def write_operator_figures(
    out: Path, records: Sequence[GeometryRecord], metrics: Mapping[str, Any], look: Look
) -> list[tuple[Path, str]]:
    """Write ``fields.png``, ``errors.png`` and ``structure.png`` into ``out/figures``.

    Parameters
    ----------
    out
        Run folder, with ``shown.npz``.
    records
        Of all geometries.
    metrics
        Of ``run.json``.
    look
        How solutions are drawn.

    Returns
    -------
    list of (Path, str)
        Files and their captions: the gallery of the report.
    """
    folder = out / "figures"
    folder.mkdir(exist_ok=True)
    with np.load(out / FILE) as archive:
        shown = dict(archive)
    geometry, side = (int(shown[key]) + 1 for key in ("geometry", "right_side"))
    networks = {name: one for name, one in metrics["networks"].items() if name in SHOWN}
    values = "Displacements are drawn smaller than they are; errors" if look.deformed else "Errors"
    gallery = [
        (
            "fields.png",
            field_figure(shown, look, {name: label for name, (_, label) in SHOWN.items()}),
            f"Geometry {geometry}, right-hand side {side}: the one on which SPON-MG has the median of its errors. "
            f"Solutions are on one scale of colours. {values} are differences from finite elements over the largest "
            "value, on one logarithmic scale; lines join the nodes.",
        ),
        (
            "errors.png",
            errors_figure({name: errors_of(name, records) for name in networks}),
            f"Relative errors in L2 against finite elements on all {metrics['right_sides']} right-hand sides: the "
            "share with at most so large an error. Further left is better; medians are marked.",
        ),
        (
            "structure.png",
            structure_figure({name: one["residuals"] for name, one in networks.items()}),
            "Largest residual of each structure over all geometries; no bar where it has no meaning for what a network "
            "predicts, 0 where nothing is left to the last bit. What is built in is rounding, about the line at 1e-12 "
            "or below it, before training as after it.",
        ),
    ]
    for name, figure, _ in gallery:
        save_figure(folder / name, figure)
    return [(folder / name, caption) for name, _, caption in gallery]


def errors_figure(errors: Mapping[str, np.ndarray]) -> Figure:
    """Draw the cumulative distribution of the errors of each network, shape (right-hand sides,) each."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 3.6), layout="constrained")
        axes = figure.subplots()
        for name, of_network in errors.items():
            colour, label = SHOWN[name]
            found = np.sort(of_network[np.isfinite(of_network) & (of_network > 0.0)])
            # What is not finite never comes: the curve ends below one.
            shares = np.arange(1, len(found) + 1) / max(len(of_network), 1)
            axes.step(found, shares, where="post", color=colour, linewidth=1.6, label=label)
            if len(found):
                middle = float(np.median(found))
                axes.plot(middle, 0.5 * shares[-1], "o", color=colour, markersize=5, markeredgecolor="white")
        axes.set_xscale("log")
        axes.set_ylim(0.0, 1.02)
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel("relative error in L2")
        axes.set_ylabel("right-hand sides")
        axes.grid(color="#e6e8eb", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside upper center", ncols=4, frameon=False)
    return figure


def structure_figure(residuals: Mapping[str, Mapping[str, float | None]]) -> Figure:
    """Draw the residuals of each network, by name, as bars beside each other."""
    names = list(dict.fromkeys(key for of_network in residuals.values() for key in of_network))
    width = 0.8 / max(len(residuals), 1)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 3.4), layout="constrained")
        axes = figure.subplots()
        for place, (network, of_network) in enumerate(residuals.items()):
            colour, label = SHOWN[network]
            known = {key: value for key, value in of_network.items() if value is not None and np.isfinite(value)}
            at = [names.index(key) + (place - 0.5 * (len(residuals) - 1)) * width for key in known]
            tops = [max(value, _FLOOR) for value in known.values()]
            axes.bar(at, [top - _FLOOR for top in tops], 0.92 * width, bottom=_FLOOR, color=colour, label=label)
            for x, value, top in zip(at, known.values(), tops, strict=True):
                text = "0" if value == 0.0 else f"{value:.0e}".replace("e-0", "e-")
                written = axes.annotate(
                    text, (x, top), xytext=(0, 2), textcoords="offset points", ha="center", size=7, color=MUTED
                )
                written.set_path_effects([withStroke(linewidth=2.0, foreground="white")])
        axes.axhline(_KEPT, color=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0)
        axes.set_yscale("log")
        axes.set_ylim(_FLOOR, 1e2)
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_xticks(range(len(names)), names)
        axes.set_ylabel("largest residual")
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside upper center", ncols=4, frameon=False)
    return figure
