"""`driftmesh move`: bad input is one line before anything is written, on two ranks as well."""

from __future__ import annotations

import re
from pathlib import Path

import meshio
import numpy as np
import pytest
from move_meshes import square_in

FIELDS = "front, ring, five rings, linear, flow, shift, out of plane, spoilt, negative, constant"
GOOD = "mesh.vtu --field ring -o new.vtu"
BAD_INPUT = {
    "no mesh": (
        "absent.vtu --field ring -o new.vtu",
        "mesh: got no file absent.vtu, expected a mesh .*; check the path",
    ),
    "a folder": (". --field ring -o new.vtu", "mesh: got no file .*"),
    "unreadable": ("text.vtu --field ring -o new.vtu", ".*text.vtu.*expected.*"),
    "unknown input format": ("text.doc --field ring -o new.vtu", ".*text.doc.*expected.*"),
    "squares": ("quads.vtu --field u -o new.vtu", ".*quad.*expected.*tri.*"),
    "no field": ("mesh.vtu -o new.vtu", "--field: got none, expected the name of a point field; add --field NAME"),
    "unknown field": (
        "mesh.vtu --field rings -o new.vtu",
        rf"--field: got 'rings', expected one of the mesh's point fields, {FIELDS}; did you mean 'ring'\?",
    ),
    "unknown monitor field": (
        "mesh.vtu --monitor-field zzz -o new.vtu",
        f"--monitor-field: got 'zzz', expected one of the mesh's point fields, {FIELDS}",
    ),
    "no point fields": (
        "bare.vtu --field u -o new.vtu",
        "--field: got 'u', expected a point field of the mesh, which has none; add it to the file",
    ),
    "spoilt field": (
        "mesh.vtu --field spoilt -o new.vtu",
        "--field: got 2 values of 'spoilt' that are not finite, expected none; mend the field",
    ),
    "vector as monitor": (
        "mesh.vtu --monitor-field flow -o new.vtu",
        "--monitor-field: got 'flow' with 3 components, expected a scalar",
    ),
    "negative monitor": ("mesh.vtu --monitor-field negative -o new.vtu", ".*negative.*positive.*"),
    "unknown mover": (
        f"{GOOD} --mover mmpd",
        r"mover: got 'mmpd', expected one of none, laplacian, .*; did you mean 'mmpde'\?",
    ),
    "unknown monitor": (
        f"{GOOD} --monitor curvature",
        "monitor: got 'curvature', expected one of .*hessian.*; `driftmesh move --help` explains them",
    ),
    "two monitors": (
        f"{GOOD} --monitor hessian --monitor-field ring",
        "--monitor-field: got --monitor too, expected one of them; leave out the other",
    ),
    "monitor of nothing": (
        "mesh.vtu --boundary-motion shift --mover laplacian --monitor hessian -o new.vtu",
        "--monitor: got no --field, expected the field to make it of; add --field NAME",
    ),
    "laplacian without motion": (
        f"{GOOD} --mover laplacian",
        "--mover laplacian: got no --boundary-motion, expected a point vector field; add --boundary-motion NAME",
    ),
    "motion for another": (
        f"{GOOD} --boundary-motion shift --mover none",
        "--boundary-motion: got mover 'none', expected 'laplacian', .*; add --mover laplacian",
    ),
    "scalar motion": (
        "mesh.vtu --boundary-motion ring --mover laplacian -o new.vtu",
        "--boundary-motion: got 'ring' with 1 components, expected a vector of 2",
    ),
    "motion out of the plane": (
        "mesh.vtu --boundary-motion out_of_plane --mover laplacian -o new.vtu",
        "--boundary-motion: got 'out of plane', which leads out of the plane, expected a vector of 2",
    ),
    "smoothing": (f"{GOOD} --smoothing -1", r"--smoothing: got -1.0, expected a finite number from 0 on"),
    "size ratio": (f"{GOOD} --max-size-ratio 0.5", "--max-size-ratio: got 0.5, expected a finite number from 1 on"),
    "not finite": (f"{GOOD} --max-size-ratio nan", "--max-size-ratio: got nan, expected a finite number from 1 on"),
    "no geometry": (f"{GOOD} --cad absent.brep", "--cad: got no file absent.brep, expected .*; check the path"),
    "other geometry": (f"{GOOD} --cad text.doc", "CAD: got .*text.doc, expected a CAD file .*"),
    "unknown format": ("mesh.vtu --field ring -o new.doc", ".*new.doc.*expected.*"),
    "no folder": (
        "mesh.vtu --field ring -o absent/new.vtu",
        "--out: got absent/new.vtu, expected a file in a folder that exists; make the folder first",
    ),
    "onto the mesh": (
        "mesh.vtu --field ring -o ./mesh.vtu",
        "--out: got mesh.vtu, expected another name than that of the mesh; it would be lost",
    ),
    "onto a folder": (
        "mesh.vtu --field ring -o folder.vtu",
        "--out: got folder.vtu, expected a name whose folder.vtu is no folder; use another name",
    ),
}


@pytest.fixture
def mesh(tmp_path: Path) -> meshio.Mesh:
    """Return a mesh that also lies in the folder of the test as ``mesh.vtu``."""
    return square_in(tmp_path)


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_one_line(name: str, driftmesh, files, mesh: meshio.Mesh, tmp_path: Path) -> None:
    meshio.Mesh(mesh.points, {"triangle": mesh.cells_dict["triangle"]}).write(tmp_path / "bare.vtu")
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    meshio.Mesh(corners, {"quad": [[0, 1, 2, 3]]}, point_data={"u": np.arange(4.0)}).write(tmp_path / "quads.vtu")
    for file in ("text.vtu", "text.doc"):
        (tmp_path / file).write_text("no mesh")
    (tmp_path / "folder.vtu").mkdir()
    arguments, message = BAD_INPUT[name]
    before = files(tmp_path)
    outcome = driftmesh("move", *(argument.replace("out_of_plane", "out of plane") for argument in arguments.split()))
    assert outcome.code == 2
    assert re.fullmatch(f"driftmesh: {message}", outcome.error_line), outcome.error_line
    assert outcome.out == "" and files(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("mesh.vtu --field ring", "Missing option .*-o.*; see `driftmesh move --help`"),
        ("--field ring -o new.vtu", "Missing argument 'mesh'; see `driftmesh move --help`"),
        (f"{GOOD} --smoothing much", "Invalid value for '--smoothing': .*; see `driftmesh move --help`"),
    ],
)
def test_usage_errors(arguments: str, message: str, driftmesh, tmp_path: Path) -> None:
    outcome = driftmesh("move", *arguments.split())
    assert outcome.code == 2
    assert re.fullmatch(f"driftmesh: {message}", outcome.error_line), outcome.error_line


@pytest.mark.parallel
def test_bad_input_on_two_ranks_is_one_line(mpiexec, mesh, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = mpiexec(2, ["driftmesh", "move", "mesh.vtu", "--field", "rings", "-o", "moved.vtu"])
    assert outcome.err.count("driftmesh: ") == 1 and "--field: got 'rings'" in outcome.err
    assert outcome.out == "" and not list(tmp_path.glob("moved*"))
