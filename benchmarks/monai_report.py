"""Tables and figure of the Monai comparison, from its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from benchmark_document import table
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from monai_analysis import CLOCKS, CODES, GAUGE_NAMES
from monai_codes import GAUGE_INTERVAL

COLOURS = {"ANUGA": "#b3541e", "driftmesh": "#1769aa"}


def section(content: dict[str, Any], figure: Path) -> str:
    """Return the Markdown of the comparison."""
    start, peaks = content["start_up"], content["laboratory_peak_cm"]
    measured = ", ".join(f"{name} {peak:.2f} cm" for name, peak in zip(GAUGE_NAMES, peaks, strict=True))
    parts = [
        _conditions(content),
        _definitions(content),
        _cost_table(content["runs"]),
        "### Error",
        _error_definitions(content),
        _error_table(content["runs"]),
        f"![Error at the gauges over time]({figure.as_posix()})",
        "### Time at equal error",
        "Each run beside the time that the other code takes for the same mean error: log-log linear between "
        "those of its runs that no other run beats in both time and error, never beyond them. The ratio is "
        "driftmesh's time over ANUGA's; below 1 driftmesh is faster.",
        _equal_error_table(content),
        "### Against the laboratory",
        "rms over the same time, and the highest elevation with its deviation from the measured one "
        f"({measured}); in cm. The last two lines are the fine runs.",
        _laboratory_table([*content["runs"], *content["references"].values()]),
        "### Cold start",
        f"A run of driftmesh over {start['simulated_s']:g} s of simulated time at its coarsest size takes "
        f"{start['cold_s']:.1f} s with empty caches of compiled code, once, and {start['warm_s']:.1f} s from "
        "then on. All times above are with filled caches.",
    ]
    return "\n\n".join(parts)


def _conditions(content: dict[str, Any]) -> str:
    """Say where, when and with what the numbers were measured, and how steady the machine was."""
    found, versions, runs = content["machine"], content["versions"], content["runs"]
    whole = [np.array(run["repeats"]["whole_s"]) for run in runs]
    slower = 100 * (max(times.max() / times.min() for times in whole) - 1)
    waiting = max((t / run["repeats"]["cpu_s"]).min() for t, run in zip(whole, runs, strict=True))
    used = ", ".join(f"{name} {versions['driftmesh'][name]}" for name in ("firedrake", "petsc", "numpy"))
    return (
        f"Measured by `benchmarks/monai.py` on {found['date']}: {found['cpu']}, {found['cores']} cores, "
        f"{found['system']}, one thread, one command at a time, load {found['load']} at the start. "
        f"ANUGA {versions['ANUGA']['anuga']} (numpy {versions['ANUGA']['numpy']}), flow algorithm DE1; "
        f"driftmesh {versions['driftmesh']['driftmesh']}, commit {versions['driftmesh']['commit']} ({used}). "
        f"Times are the fastest of {content['repeats']}; the slowest repeat of a command took {slower:.0f} % "
        f"longer than its fastest, and wall time was up to {waiting:.2f} times processor time."
    )


def _definitions(content: dict[str, Any]) -> str:
    """Say what was run and what the columns of the costs are."""
    return f"""Both codes: 0 to {content["t_end"]:g} s, squares cut into four triangles, the same bathymetry
and wave, Manning coefficient 0.0025, gauges every {GAUGE_INTERVAL} s and linear in the triangle.

- *Time loop*: ANUGA's evolve loop with gauges and no output file; driftmesh's loop with gauges, maximum
  elevation, maps and checkpoints. *Steps* are driftmesh's time steps alone.
- *Whole command*: from start to end as seen from outside, with start of Python, imports, mesh and output;
  driftmesh's includes its figures and report, to which ANUGA's has no counterpart.
- *Memory*: peak resident memory of the whole command, the largest of the repeats.
- *Error*: the mean over the gauges of the error below."""


def _error_definitions(content: dict[str, Any]) -> str:
    """Say what the errors are, and how far they can be believed."""
    references = content["references"]
    fine = " and ".join(f"{code} {references[code]['cells']:,} cells" for code in CODES)
    between = references["ANUGA"]["difference_to_other_reference_mean_cm"]
    return f"""rms difference at a gauge to a finer run of the same code ({fine}), in cm.

- *Seen*: that finer run has an error too, which hides a part of the error of the run it judges. This is the
  share that remains visible if errors fall in proportion to the mesh width; the smaller, the more flattered.
- *Cross*: mean rms difference to the other code's fine run. The two fine runs differ by {between:.4f} cm."""


def _name(run: dict[str, Any]) -> list[str]:
    return [f"{run['code']}, {run['size']}", f"{run['cells']:,}"]


def _cost_table(runs: list[dict[str, Any]]) -> str:
    header = ["code, size", "cells", "steps", "time loop [s]", "steps [s]", "loop per cell and step [ns]"]
    header += ["whole command [s]", "memory [MiB]", "error [cm]"]
    rows = []
    for run in runs:
        each = 1e9 * run["loop_s"] / (run["cells"] * run["steps"])
        steps = "" if run["code"] == "ANUGA" else f"{run['solver_s']:.2f}"
        row = [*_name(run), f"{run['steps']:,}", f"{run['loop_s']:.2f}", steps, f"{each:.0f}"]
        rows.append([*row, f"{run['whole_s']:.2f}", f"{run['peak_rss_mib']:.0f}", f"{run['error_mean_cm']:.4f}"])
    return table(header, rows)


def _error_table(runs: list[dict[str, Any]]) -> str:
    header = ["code, size", "cells", *GAUGE_NAMES, "mean", "seen", "cross"]
    rows = []
    for run in runs:
        errors = [*run["error_cm"], run["error_mean_cm"], run["difference_to_other_reference_mean_cm"]]
        row = [*_name(run), *(f"{error:.4f}" for error in errors)]
        row.insert(-1, f"{100 * run['error_seen_if_first_order']:.0f} %")
        rows.append(row)
    return table(header, rows)


def _equal_error_table(content: dict[str, Any]) -> str:
    header = ["run", "error [cm]"]
    for clock in CLOCKS.values():
        header += [*(f"{clock}, {code} [s]" for code in CODES), "ratio"]
    rows = []
    for loop, whole in zip(content["equal_error"]["loop_s"], content["equal_error"]["whole_s"], strict=True):
        row = [loop["run"], f"{loop['error_mean_cm']:.4f}"]
        for found in (loop, whole):
            row += [_time(found[code], found) for code in CODES]
            row.append("-" if found["ratio"] is None else f"{found['ratio']:.2f}")
        rows.append(row)
    return table(header, rows)


def _time(seconds: float | str, found: dict[str, Any]) -> str:
    """Return seconds, or why there are none."""
    if seconds == "coarser":
        return f"not measured: its cheapest run ({found['cheapest_other_s']:.2f} s) errs less"
    if seconds == "finer":
        return "not measured: no run errs as little"
    return f"{seconds:.2f}"


def _laboratory_table(runs: list[dict[str, Any]]) -> str:
    header = ["code, size", "cells", *(f"{what} {name}" for what in ("rms", "peak") for name in GAUGE_NAMES)]
    rows = []
    for run in runs:
        peaks = zip(run["peak_cm"], run["peak_error_pct"], strict=True)
        row = [*_name(run), *(f"{rms:.3f}" for rms in run["laboratory_rms_cm"])]
        rows.append([*row, *(f"{peak:.2f} ({deviation:+.1f} %)" for peak, deviation in peaks)])
    return table(header, rows)


def draw(content: dict[str, Any], path: Path) -> None:
    """Draw mean error over time, log-log: time loop solid, whole command dashed."""
    style = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "text.color": "#1d2530"}
    with plt.rc_context(style):
        figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
        for code in CODES:
            runs = sorted((r for r in content["runs"] if r["code"] == code), key=lambda r: r["cells"])
            errors = [r["error_mean_cm"] for r in runs]
            loop, whole = ([run[clock] for run in runs] for clock in CLOCKS)
            colour = COLOURS[code]
            axes.loglog(loop, errors, "o-", color=colour, linewidth=1.8, label=f"{code}, time loop")
            faint = {"color": colour, "linewidth": 1, "markersize": 3, "alpha": 0.55}
            axes.loglog(whole, errors, "o--", **faint, label=f"{code}, whole command")
            above = code == "ANUGA"
            side = {"ha": "left" if above else "right", "va": "bottom" if above else "top", "color": colour}
            shift = {"xytext": (4, 4) if above else (-4, -4), "textcoords": "offset points"}
            for run, time in zip(runs, loop, strict=True):
                axes.annotate(f"{run['cells']:,}", (time, run["error_mean_cm"]), **shift, **side, size=7)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("time [s], one thread")
        axes.set_ylabel("mean rms error at ch5, ch7, ch9 [cm]")
        axes.set_title("Monai Valley: error to the code's own fine run; labels are cells", size=9, loc="left")
        axes.grid(True, which="both", color="#e3e7eb", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.legend(frameon=False, fontsize=8)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150, facecolor="white")
        plt.close(figure)
