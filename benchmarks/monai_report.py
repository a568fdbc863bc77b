"""Numbers, tables and figure of the Monai comparison, from its runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from benchmark_document import table
from monai_analysis import GAUGE_NAMES, Record, Run, time_at_error

CODES = ("ANUGA", "driftmesh")
COLOURS = {"ANUGA": "#b3541e", "driftmesh": "#1769aa"}
CLOCKS = {"loop_s": "time loop", "whole_s": "whole command"}


def results(runs: list[Run], references: dict[str, Run], laboratory: Record, t_end: float) -> dict[str, Any]:
    """Return all numbers of the comparison, ready for JSON; lengths in cm, times in s.

    Raises
    ------
    ValueError
        If a reference is not finer than the runs it judges.
    """
    for run in runs:
        if references[run.code].cells <= run.cells:
            raise ValueError(
                f"reference of {run.code}: got {references[run.code].cells} cells, expected more than the {run.cells} "
                f"of the run {run.label}; give a finer one with --reference-{run.code.lower()}"
            )
    peaks = laboratory.peaks(t_end)

    def entry(run: Run) -> dict[str, Any]:
        own, other = references[run.code], references[CODES[1 - CODES.index(run.code)]]
        errors = 100 * run.record.rms_to(own.record, t_end)
        return {
            "code": run.code,
            "size": run.label,
            "cells": run.cells,
            "steps": run.steps,
            "loop_s": min(run.loop),
            "whole_s": min(run.whole, default=None),
            "peak_rss_mib": max(run.memory, default=None),
            "repeats": {"loop_s": run.loop, "whole_s": run.whole, "cpu_s": run.cpu},
            "error_cm": errors.tolist(),
            "error_mean_cm": errors.mean(),
            "error_seen_if_first_order": 1 - np.sqrt(run.cells / own.cells),
            "difference_to_other_reference_mean_cm": 100 * run.record.rms_to(other.record, t_end).mean(),
            "laboratory_rms_cm": (100 * run.record.rms_to(laboratory, t_end)).tolist(),
            "peak_cm": (100 * run.record.peaks(t_end)).tolist(),
            "peak_error_pct": (100 * (run.record.peaks(t_end) / peaks - 1)).tolist(),
        }

    entries = [entry(run) for run in runs]
    return {
        "t_end": t_end,
        "runs": entries,
        "references": {code: entry(run) for code, run in references.items()},
        "laboratory_peak_cm": (100 * peaks).tolist(),
        "equal_error": {clock: _equal_error(entries, clock) for clock in CLOCKS},
    }


def _equal_error(entries: list[dict[str, Any]], clock: str) -> list[dict[str, Any]]:
    """Return each run beside the time that the other code takes for its error."""
    rows = []
    for run in entries:
        other = [e for e in entries if e["code"] != run["code"]]
        taken = time_at_error(
            run["error_mean_cm"], [e["error_mean_cm"] for e in other], [e[clock] for e in other]
        )
        row = {"run": f"{run['code']}, {run['cells']:,} cells", "error_mean_cm": run["error_mean_cm"]}
        row |= {run["code"]: run[clock], other[0]["code"]: taken, "ratio": None}
        if not isinstance(taken, str):
            row["ratio"] = row["driftmesh"] / row["ANUGA"]
        elif taken == "coarser":
            row["cheapest_other_s"] = min(e[clock] for e in other)
        rows.append(row)
    return rows


def section(content: dict[str, Any], figure: Path) -> str:
    """Return the Markdown of the comparison."""
    machine, versions, start = content["machine"], content["versions"], content["start_up"]
    runs, references = content["runs"], content["references"]
    slower = max(max(r["repeats"]["whole_s"]) / min(r["repeats"]["whole_s"]) for r in runs) - 1
    waiting = max(min(np.divide(r["repeats"]["whole_s"], r["repeats"]["cpu_s"])) for r in runs)
    between = references["ANUGA"]["difference_to_other_reference_mean_cm"]
    fine = ", ".join(f"{code} {references[code]['cells']:,} cells" for code in CODES)
    software = ", ".join(f"{name} {versions['driftmesh'][name]}" for name in ("firedrake", "petsc", "numpy"))
    parts = [
        f"Measured by `benchmarks/monai.py` on {machine['date']}: {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['system']}, one thread, one code at a time, load {machine['load']} at the start. "
        f"ANUGA {versions['ANUGA']['anuga']} (DE1, numpy {versions['ANUGA']['numpy']}); driftmesh commit "
        f"{versions['driftmesh']['commit']} ({software}).",
        f"Simulated: 0 to {content['t_end']:g} s, both codes on squares cut into four triangles, Manning coefficient "
        f"0.0025, gauges every 0.05 s. Times are the fastest of {content['repeats']}; the slowest repeat took "
        f"{100 * slower:.0f} % longer, and wall time was at most {waiting:.2f} times processor time. *Time loop*: "
        "ANUGA's evolve loop with gauges and no output file; driftmesh's loop with gauges, maximum elevation, maps "
        "and checkpoints. *Whole command*: from start to end, seen from outside, with start of Python, imports, mesh "
        "and output; driftmesh's includes its figures and report, to which ANUGA's has no counterpart. *Memory*: peak "
        "resident memory of the command.",
        f"*Error*: rms difference at the gauges to a finer run of the same code ({fine}). *Seen*: the share of a "
        "first-order error that such a reference lets one see, as it has an error of its own; a smaller share "
        "flatters the run. *Cross*: mean rms difference to the other code's fine run; the two fine runs differ by "
        f"{between:.4f} cm, below which the codes do not confirm each other.",
        _cost_table(runs),
        f"![Error at the gauges over time]({figure.as_posix()})",
        "### Time at equal error",
        "Each run beside the time that the other code takes for the same mean error, log-log between its runs and "
        "never beyond them; the ratio is driftmesh's time over ANUGA's, so below 1 driftmesh is faster.",
        _equal_error_table(content),
        "### Against the laboratory",
        "rms over the same time in cm, and the highest elevation with its deviation from the measured one "
        f"({', '.join(f'{n} {p:.2f} cm' for n, p in zip(GAUGE_NAMES, content['laboratory_peak_cm'], strict=True))}).",
        _laboratory_table([*runs, *references.values()]),
        "### Start",
        "A very short run of driftmesh at its coarsest size takes "
        f"{start['cold_s']:.1f} s with empty caches of compiled code and {start['warm_s']:.1f} s from then on; "
        "the times above are with filled caches.",
    ]
    return "\n\n".join(parts)


def _cost_table(runs: list[dict[str, Any]]) -> str:
    header = ["code, size", "cells", "steps", "time loop [s]", "per cell and step [ns]", "whole command [s]"]
    header += [
        "memory [MiB]",
        *(f"error {name} [cm]" for name in GAUGE_NAMES),
        "mean [cm]",
        "seen",
        "cross [cm]",
    ]
    rows = []
    for run in runs:
        each = 1e9 * run["loop_s"] / (run["cells"] * run["steps"])
        row = [
            f"{run['code']}, {run['size']}",
            f"{run['cells']:,}",
            f"{run['steps']:,}",
            f"{run['loop_s']:.2f}",
        ]
        row += [f"{each:.0f}", f"{run['whole_s']:.2f}", f"{run['peak_rss_mib']:.0f}"]
        row += [f"{error:.4f}" for error in (*run["error_cm"], run["error_mean_cm"])]
        row += [
            f"{100 * run['error_seen_if_first_order']:.0f} %",
            f"{run['difference_to_other_reference_mean_cm']:.4f}",
        ]
        rows.append(row)
    return table(header, rows)


def _equal_error_table(content: dict[str, Any]) -> str:
    header = ["run", "mean error [cm]"]
    header += [f"{clock}, {code} [s]" for clock in CLOCKS.values() for code in CODES]
    header[4:4] = ["ratio"]
    header += ["ratio"]
    rows = []
    for loop, whole in zip(content["equal_error"]["loop_s"], content["equal_error"]["whole_s"], strict=True):
        row = [loop["run"], f"{loop['error_mean_cm']:.4f}"]
        for found in (loop, whole):
            for code in CODES:
                if found[code] == "coarser":
                    row.append(
                        f"not measured: its cheapest run ({found['cheapest_other_s']:.2f} s) errs less"
                    )
                elif found[code] == "finer":
                    row.append("not measured: no run errs as little")
                else:
                    row.append(f"{found[code]:.2f}")
            row.append("-" if found["ratio"] is None else f"{found['ratio']:.2f}")
        rows.append(row)
    return table(header, rows)


def _laboratory_table(runs: list[dict[str, Any]]) -> str:
    header = [
        "code, size",
        "cells",
        *(f"rms {name}" for name in GAUGE_NAMES),
        *(f"peak {name}" for name in GAUGE_NAMES),
    ]
    rows = []
    for run in runs:
        peaks = zip(run["peak_cm"], run["peak_error_pct"], strict=True)
        row = [
            f"{run['code']}, {run['size']}",
            f"{run['cells']:,}",
            *(f"{rms:.3f}" for rms in run["laboratory_rms_cm"]),
        ]
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
            for clock, line in (("loop_s", "o-"), ("whole_s", "o--")):
                whole = clock == "whole_s"
                axes.loglog(
                    [r[clock] for r in runs], errors, line, color=COLOURS[code], label=f"{code}, {CLOCKS[clock]}",
                    markersize=3 if whole else 5, linewidth=1.0 if whole else 1.8, alpha=0.55 if whole else 1.0,
                )  # fmt: skip
            for run in runs:
                axes.annotate(
                    f"{run['cells']:,}", (run["loop_s"], run["error_mean_cm"]), (-4, -4), textcoords="offset points",
                    ha="right", va="top", size=7, color=COLOURS[code],
                )  # fmt: skip
        axes.set_xlabel("time [s], one thread")
        axes.set_ylabel("mean rms error at ch5, ch7, ch9 [cm]")
        axes.set_title("Monai Valley: error to the code's own fine run; labels are cells", size=9, loc="left")
        axes.grid(True, which="both", color="#e3e7eb", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.legend(frameon=False, fontsize=8)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150, facecolor="white")
        plt.close(figure)
