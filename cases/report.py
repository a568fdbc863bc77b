"""The report of a finished run: one self-contained HTML page made from its run.json and figures."""

import base64
import json
import shlex
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, Undefined
from markupsafe import Markup, escape

# The table's columns: key of a gauge's entry, heading, factor into its unit, unit, number format.
GAUGE_COLUMNS = (
    ("rmse", "rms difference", 100, "cm", ".3f"),
    ("peak", "computed peak", 100, "cm", ".3f"),
    ("reference_peak", "reference peak", 100, "cm", ".3f"),
    ("peak_error_pct", "peak error", 1, "%", "+.1f"),
    ("peak_time", "computed peak at", 1, "s", ".2f"),
    ("reference_peak_time", "reference peak at", 1, "s", ".2f"),
    ("arrival_error_s", "arrival error", 1, "s", "+.2f"),
    ("takacs_dissipation", "dissipation", 1e4, "cm²", ".4f"),
    ("takacs_dispersion", "dispersion", 1e4, "cm²", ".4f"),
)
TIMINGS = (
    ("solver_s", "solver"),
    ("mover_s", "mesh mover"),
    ("monitor_s", "monitor function"),
    ("transfer_s", "transfer"),
    ("network_s", "networks"),
    ("io_s", "files"),
)
# Metrics with a place of their own on the page; the others are listed under their names.
PLACED = ("mass_drift_rel", "min_jacobian_ratio", "tangled_moves", "gauges", "quantities", "rounds")
ABSENT = "–"


def write_report(out: Path, *, title: str, description: str, gallery: Sequence[tuple[Path, str]]) -> Path:
    """Write ``out/report.html`` from ``out/run.json``.

    Parameters
    ----------
    out : Path
        Run folder.
    title, description : str
        Plain text: what was computed.
    gallery : sequence of (Path, str)
        PNG files and their captions, in order, as :func:`cases.figures.write_figures` returns them.

    Returns
    -------
    Path
        The page. It loads nothing: images and style are inside. Every figure of ``run.json`` shown rounded
        also stands unrounded, in its own unit, in the ``value`` attribute of its ``data`` element.

    Raises
    ------
    ValueError
        If ``run.json`` is absent or is no JSON object.
    """
    run = _read(out / "run.json")
    metrics = run.get("metrics") or {}
    gauges = metrics.get("gauges") or {}
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = resources.files("cases").joinpath("templates", "report.html.j2").read_text("utf-8")
    page = environment.from_string(template).render(
        title=title,
        description=description,
        run=run,
        metrics=metrics,
        gauges=gauges,
        quantities=metrics.get("quantities") or {},
        rounds=metrics.get("rounds") or [],
        networks=metrics.get("networks") or {},
        columns=[c for c in GAUGE_COLUMNS if any(g.get(c[0]) is not None for g in gauges.values())],
        summary=summary(run),
        timings=timings(run),
        further={k: v for k, v in metrics.items() if k not in PLACED and not isinstance(v, dict | list)},
        configuration=flatten(run.get("config") or {}),
        command=command(run),
        gallery=[(base64.b64encode(file.read_bytes()).decode("ascii"), caption) for file, caption in gallery],
        number=number,
        plain=plain,
    )
    report = out / "report.html"
    report.write_text(page, encoding="utf-8")
    return report


def number(value: Any, form: str = ",", factor: float = 1) -> Markup:
    """Return `value` times `factor` in the format `form`, in a data element that holds it unrounded."""
    if value is None or isinstance(value, Undefined):
        return Markup(ABSENT)  # a failed run's file need not have every entry
    if isinstance(value, bool | str):
        return escape(str(value))
    text = format(factor * value, form)
    if "e" in text:
        mantissa, exponent = text.split("e")
        text = f"{mantissa} × 10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
    text = text.replace("-", "−").replace(",", "\u202f")  # a true minus, a thin space
    return Markup('<data value="{}">{}</data>').format(repr(value), text)


def plain(value: Any) -> Markup:
    """Return a number of unknown meaning in a format that suits its size; anything else as it is."""
    if isinstance(value, int) or value == 0:
        return number(value)
    return number(value, ".4g" if isinstance(value, float) and 1e-3 <= abs(value) < 1e5 else ".2e")


def summary(run: dict[str, Any]) -> Markup:
    """Return one sentence of the numbers that matter: accuracy, conservation, size, time."""
    metrics = run.get("metrics") or {}
    errors = [g["rmse"] for g in (metrics.get("gauges") or {}).values() if g.get("rmse") is not None]
    parts = [Markup("{} cells").format(number(run.get("cells")))]
    if metrics.get("networks"):
        parts = [Markup("{} geometries").format(number(run.get("steps")))]
        parts.append(Markup("{} right-hand sides").format(number(metrics.get("right_sides"))))
    elif not metrics.get("rounds"):
        parts.append(Markup("{} steps").format(number(run.get("steps"))))
    if run.get("moves"):
        parts.append(Markup("{} mesh moves by {}").format(number(run["moves"]), run.get("mover")))
    if run.get("wall_s") is not None:
        ranks = run.get("ranks") or 1
        on = "one core" if ranks == 1 else Markup("{} cores").format(number(ranks))
        parts.append(Markup("{} s on {}").format(number(run["wall_s"], ".1f"), on))
    text = Markup(", ").join(parts)
    if errors:
        low, high = number(min(errors), ".3f", 100), number(max(errors), ".3f", 100)
        spread = low if len(errors) == 1 else Markup("{} to {}").format(low, high)
        where = "the gauge" if len(errors) == 1 else f"{len(errors)} gauges"
        text += Markup("; the surface lies within {} cm rms of the reference at {}").format(spread, where)
    elif metrics.get("error") is not None:
        text += Markup("; error {}").format(plain(metrics["error"]))
    for name, one in list((metrics.get("quantities") or {}).items())[:1]:
        unit = f" {one['unit']}" if one.get("unit") else ""
        text += Markup("; {} {}{}").format(name, number(one.get("value"), ".6g"), unit)
    if metrics.get("mass_drift_rel") is not None:
        text += Markup("; mass drifts by {} of the whole").format(number(metrics["mass_drift_rel"], ".1e"))
    return text + "."


def timings(run: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Return (name, seconds, percent of the wall time) of each part, what no part claims as the last."""
    wall = run.get("wall_s") or 0.0
    parts = [(name, run[key]) for key, name in TIMINGS if run.get(key) is not None]
    # Clocks of the parts may overlap by rounding: the whole is never less than their sum.
    whole = max(wall, sum(seconds for _, seconds in parts))
    if not whole:
        return []
    parts.append(("set-up and other", whole - sum(seconds for _, seconds in parts)))
    return [(name, seconds, 100 * seconds / whole) for name, seconds in parts]


def flatten(config: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return the configuration as (dotted key, JSON value), every leaf of it."""
    rows: list[tuple[str, str]] = []
    for key, value in config.items():
        if isinstance(value, dict) and value:
            rows += flatten(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", json.dumps(value, ensure_ascii=False)))
    return rows


def command(run: dict[str, Any]) -> str:
    """Return the command that reruns the run from its folder."""
    ranks = run.get("ranks") or 1
    start = f"mpiexec -n {ranks} " if ranks > 1 else ""
    case = run.get("case_file") or run.get("case")
    return f"{start}driftmesh run {shlex.quote(str(case))} --config config.toml"


def _read(file: Path) -> dict[str, Any]:
    remedy = "run `driftmesh run CASE` to the end first"
    if not file.is_file():
        raise ValueError(f"got no file {file}; expected the run.json of a finished run; {remedy}")
    try:
        run = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"got {file}, which is no JSON ({error}); expected an object; {remedy}") from error
    if not isinstance(run, dict):
        raise ValueError(f"got a {type(run).__name__} in {file}; expected an object; {remedy}")
    return run
