"""The report shows run.json's numbers on one page that loads nothing; figures draw what the run left."""

import base64
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from cases.figures import write_figures
from cases.report import command, flatten, summary, timings, write_report

RUN: dict[str, Any] = {
    "case": "basin", "mover": "monge-ampere", "status": "done",
    "config": {"end_time": 2.5, "solver": {"cfl": 0.4, "limiter": "vertex"}, "gauges": ["east", "west"]},
    "seed": 7, "ranks": 2, "versions": {"firedrake": "2026.10.0"}, "commit": "abc123", "cells": 12345,
    "dofs": 111105, "steps": 678, "moves": 33, "wall_s": 10.0, "solver_s": 6.0, "mover_s": 2.0,
    "transfer_s": 1.0, "io_s": 0.5, "peak_rss_mb": 512.25,
    "metrics": {
        "mass_drift_rel": 1.31e-14, "min_jacobian_ratio": 0.4375, "tangled_moves": 0, "error": 0.00321,
        "gauges": {
            "east": {
                "rmse": 0.00372, "peak": 0.03711, "peak_time": 1.875, "reference_peak": 0.03652,
                "reference_peak_time": 1.75, "peak_error_pct": 1.6155, "arrival_error_s": -0.05,
                "takacs_dissipation": 2.5e-06, "takacs_dispersion": 1.1e-05,
            },
            "west": {
                "rmse": 0.00411, "peak": 0.0412, "peak_time": 2.25, "reference_peak": None,
                "reference_peak_time": None, "peak_error_pct": None, "arrival_error_s": None,
                "takacs_dissipation": None, "takacs_dispersion": None,
            },
        },
    },
}  # fmt: skip


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return a run folder: a sloping beach, cells that share no node, one snapshot on a moved mesh."""
    (tmp_path / "maps").mkdir()
    x, y = np.meshgrid(np.linspace(0, 4, 9), np.linspace(0, 2, 5))
    node = np.arange(x.size).reshape(x.shape)
    a, b, c, d = (part.ravel() for part in (node[:-1, :-1], node[:-1, 1:], node[1:, :-1], node[1:, 1:]))
    corners = np.concatenate([np.column_stack([a, b, d]), np.column_stack([a, d, c])]).ravel()
    points = np.column_stack([x.ravel(), y.ravel()])[corners]
    bed = 0.1 * points[:, 0] - 0.3
    np.savez(
        tmp_path / "maps" / "mesh.npz",
        points=points,
        cells=np.arange(len(points)).reshape(-1, 3),
        bathymetry=bed,
    )
    for number in range(8):
        surface = np.maximum(0.05 * np.sin(points[:, 0] - number), bed)
        moved = {"points": points + np.array([0.0, 0.01]), "bathymetry": bed} if number == 7 else {}
        np.savez(
            tmp_path / "maps" / f"{number:04d}.npz",
            time=0.3 * number,
            elevation=surface,
            depth=surface - bed,
            **moved,
        )
    np.savez(tmp_path / "maps" / "maximum.npz", elevation=np.maximum(0.05, bed), depth=np.maximum(0.05 - bed, 0))
    time, reference_time = np.linspace(0, 2.5, 26), np.linspace(0, 9, 46)
    xarray.Dataset(
        {
            "elevation": (
                ("time", "gauge"),
                np.column_stack([np.sin(time), np.cos(time)]) / 30,
                {"units": "m"},
            ),
            "reference_elevation": (("reference_time", "gauge"), np.full((46, 2), 0.01), {"units": "m"}),
        },
        coords={
            "time": ("time", time, {"units": "s"}),
            "reference_time": ("reference_time", reference_time, {"units": "s"}),
            "gauge": ["east", "west"],
            "gauge_x": ("gauge", [2.5, 0.5]),
            "gauge_y": ("gauge", [1.0, 1.0]),
        },
    ).to_netcdf(tmp_path / "gauges.nc", engine="h5netcdf")
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    return tmp_path


def _page(out: Path, gallery: list[tuple[Path, str]], **text: str) -> ElementTree.Element:
    """Write the report and parse it as XML, which refuses any tag left open and any bare ampersand."""
    given = {"title": "Basin", "description": "A basin."} | text
    report = write_report(out, title=given["title"], description=given["description"], gallery=gallery)
    assert report == out / "report.html"
    return ElementTree.fromstring(report.read_text(encoding="utf-8"))


def _text(element: ElementTree.Element) -> str:
    return "".join(element.itertext())


def test_page_is_self_contained(out: Path) -> None:
    page = _page(out, write_figures(out, dry_depth=1e-4))
    assert not {element.tag for element in page.iter()} & {"script", "link", "iframe", "object", "base"}
    for element in page.iter():
        for name, value in element.attrib.items():
            assert "//" not in value or value.startswith("data:"), (element.tag, name)
    style = _text(page.find("head/style"))
    assert "url(" not in style and "@import" not in style
    images = [image.get("src") for image in page.iter("img")]
    assert len(images) == 3
    for image in images:
        head, _, data = image.partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(data, validate=True).startswith(b"\x89PNG")


def test_every_number_of_the_run_is_on_the_page(out: Path) -> None:
    page = _page(out, [])
    shown = {element.get("value") for element in page.iter("data")}
    numbers = [RUN[key] for key in ("cells", "dofs", "steps", "moves", "ranks", "seed", "wall_s", "peak_rss_mb")]
    numbers += [RUN[key] for key in ("solver_s", "mover_s", "transfer_s", "io_s")]
    numbers += [value for value in RUN["metrics"].values() if not isinstance(value, dict)]
    numbers += [v for gauge in RUN["metrics"]["gauges"].values() for v in gauge.values() if v is not None]
    assert {repr(number) for number in numbers} <= shown
    text = _text(page)
    for word in ("abc123", "2026.10.0", "solver.limiter", '"vertex"', '["east", "west"]', "monge-ampere"):
        assert word in text


def test_gauge_table_shows_the_rounded_numbers_in_their_units(out: Path) -> None:
    rows = [[_text(cell) for cell in row] for row in _page(out, []).iter("tr")]
    assert [heading.split()[-1] for heading in rows[0][1:]] == [
        "[cm]", "[cm]", "[cm]", "[%]", "[s]", "[s]", "[s]", "[cm²]", "[cm²]"
    ]  # fmt: skip
    assert rows[1] == ["east", "0.372", "3.711", "3.652", "+1.6", "1.88", "1.75", "−0.05", "0.0250", "0.1100"]
    assert rows[2] == ["west", "0.411", "4.120", "–", "–", "2.25", "–", "–", "–", "–"]


def test_summary_names_accuracy_conservation_size_and_time() -> None:
    text = re.sub("<[^>]+>", "", summary(RUN))
    assert text == (
        "12\u202f345 cells, 678 steps, 33 mesh moves by monge-ampere, 10.0 s on 2 cores; the surface lies "
        "within 0.372 to 0.411 cm rms of the reference at 2 gauges; mass drifts by 1.3 × 10⁻¹⁴ of the whole."
    )


def test_run_without_gauges_maps_or_optional_entries(tmp_path: Path) -> None:
    run = {
        "case": "square",
        "mover": "none",
        "status": "failed",
        "metrics": {"mass_drift_rel": None, "error": 0.02},
    }
    (tmp_path / "run.json").write_text(json.dumps(run))
    gallery = write_figures(tmp_path, dry_depth=1e-4)
    page = _page(tmp_path, gallery)
    assert gallery == []
    assert [_text(heading) for heading in page.iter("h2")] == [
        "Mesh and conservation", "Time", "Run it again", "Configuration", "Versions"
    ]  # fmt: skip
    assert "0.02" in {element.get("value") for element in page.iter("data")}


def test_text_is_escaped(out: Path) -> None:
    title = "<script>alert('a & b')</script>"
    page = _page(out, [], title=title)
    assert _text(page.find("body/main/header/h1")) == title
    assert page.find(".//script") is None


def test_timings_add_up_to_the_whole() -> None:
    assert timings(RUN) == [
        ("solver", 6.0, 60.0), ("mesh mover", 2.0, 20.0), ("transfer", 1.0, 10.0), ("files", 0.5, 5.0),
        ("set-up and other", 0.5, 5.0),
    ]  # fmt: skip
    assert timings({"wall_s": None}) == []


def test_configuration_is_complete() -> None:
    assert flatten(RUN["config"]) == [
        ("end_time", "2.5"), ("solver.cfl", "0.4"), ("solver.limiter", '"vertex"'),
        ("gauges", '["east", "west"]'),
    ]  # fmt: skip


def test_command_reruns_on_as_many_ranks() -> None:
    assert command(RUN) == "mpiexec -n 2 driftmesh run basin --config config.toml"
    assert command({"case": "basin", "ranks": 1}) == "driftmesh run basin --config config.toml"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "got no file .*run.json; expected the run.json of a finished run; run "),
        ("{", "got .*run.json, which is no JSON .*; expected an object; run "),
        ("[]", "got a list in .*run.json; expected an object; run "),
    ],
)
def test_unusable_run_is_refused_in_one_line(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=message) as refusal:
        write_report(tmp_path, title="", description="", gallery=[])
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "report.html").exists()


def test_figures_draw_what_is_there(out: Path) -> None:
    names = [file.name for file, _ in write_figures(out, dry_depth=1e-4, rmse={"east": 0.00372, "west": None})]
    assert names == ["gauges.png", "snapshots.png", "maximum.png"]
    (out / "gauges.nc").unlink()
    (out / "maps" / "maximum.npz").unlink()
    gallery = write_figures(out, dry_depth=1e-4)
    assert [file.name for file, _ in gallery] == ["snapshots.png"]
    assert gallery[0][0].read_bytes().startswith(b"\x89PNG")


def test_all_dry_and_flat_fields_can_be_drawn(out: Path) -> None:
    mesh = dict(np.load(out / "maps" / "mesh.npz"))
    zero = np.zeros(len(mesh["points"]))
    np.savez(out / "maps" / "mesh.npz", **(mesh | {"bathymetry": zero}))
    for file in (out / "maps").glob("[0-9]*.npz"):
        np.savez(file, time=0.0, elevation=zero, depth=zero)
    np.savez(out / "maps" / "maximum.npz", elevation=zero, depth=zero)
    assert len(write_figures(out, dry_depth=1e-4)) == 3


def test_neither_firedrake_nor_pyplot_is_loaded() -> None:
    code = "import sys, cases.figures, cases.report\n"
    code += "print({'firedrake', 'matplotlib.pyplot'} & {*sys.modules})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
