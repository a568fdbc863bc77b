"""`driftmesh move`: what it writes, that fields go along, and that bad input is one line before anything is written."""

from __future__ import annotations

import json
import re
from itertools import permutations
from pathlib import Path

import gmsh
import meshio
import numpy as np
import pytest
from firedrake import Function
from matplotlib.image import imread
from matplotlib.tri import LinearTriInterpolator, Triangulation

from meshing.mover import Displacement, NoMove

KEYS = ["mover", "status", "seconds", "nodes", "cells", "equidistribution", "min_jacobian_ratio", "tangled"]


def ring(points: np.ndarray) -> np.ndarray:
    return 1 + 10 / np.cosh(50 * (((points - 0.5) ** 2).sum(axis=1) - 0.09)) ** 2


def square(n: int) -> meshio.Mesh:
    """Return the unit square in n x n squares halved, sides marked 1 to 4, all kinds of point fields."""
    x, y = (values.ravel() for values in np.meshgrid(np.linspace(0, 1, n + 1), np.linspace(0, 1, n + 1)))
    number = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    a, b, c, d = (part.ravel() for part in (number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]))
    triangles = np.concatenate([np.column_stack([a, b, d]), np.column_stack([a, d, c])])
    sides = [number[:, 0], number[:, -1], number[0], number[-1]]
    lines = np.concatenate([np.column_stack([side[:-1], side[1:]]) for side in sides])
    points = np.column_stack([x, y])
    flow = np.column_stack([3 * ring(points), 4 * ring(points), 0 * x])
    return meshio.Mesh(
        np.column_stack([points, 0 * x]),
        [("triangle", triangles), ("line", lines)],
        point_data={
            "front": np.tanh(20 * (x + y - 1)),
            "ring": ring(points),
            "five rings": 5 * ring(points),
            "linear": 2 * x - y + 1,
            "flow": flow,
            "shift": np.column_stack([0 * x + 0.25, 0 * x - 0.5, 0 * x]),
            "out of plane": np.column_stack([0 * x, 0 * x, 0 * x + 1]),
            "spoilt": np.where(np.arange(len(x)) < 2, np.nan, 1.0),
            "negative": x - 0.5,
            "constant": 0 * x + 3,
        },
        cell_data={
            "gmsh:physical": [np.full(len(triangles), 7), np.repeat([1, 2, 3, 4], n)],
            "gmsh:geometrical": [np.full(len(triangles), 1), np.repeat([1, 2, 3, 4], n)],
        },
    )


def cube(n: int) -> meshio.Mesh:
    """Return the unit cube in n x n x n cubes of six tetrahedra each."""
    points = np.stack(np.meshgrid(*[np.linspace(0, 1, n + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    steps, first = np.array([(n + 1) ** 2, n + 1, 1]), np.arange((n + 1) ** 3).reshape([n + 1] * 3)[:-1, :-1, :-1]
    ways = [np.cumsum([0, *steps[list(order)]]) for order in permutations(range(3))]
    cells = np.concatenate([first.reshape(-1, 1) + way for way in ways])
    return meshio.Mesh(points, [("tetra", cells)], point_data={"ring": ring(points), "linear": points @ [1.0, 2, 3]})


@pytest.fixture
def mesh(tmp_path: Path) -> meshio.Mesh:
    """Return a mesh that also lies in the folder of the test as ``mesh.vtu``."""
    square(10).write(tmp_path / "mesh.vtu")
    return square(10)


def spread(points: np.ndarray, cells: np.ndarray, values: np.ndarray) -> float:
    """Return std/mean of the integral of a linear function over each cell, by the shoelace formula."""
    (x0, y0), (x1, y1), (x2, y2) = (points[cells[:, k], :2].T for k in range(3))
    area = 0.5 * np.abs((x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0))
    integrals = area * values[cells].mean(axis=1)
    return float(integrals.std() / integrals.mean())


@pytest.mark.parametrize("suffix", ["vtu", "msh", "xdmf"])
def test_a_mesh_is_moved(suffix: str, driftmesh, mesh: meshio.Mesh, tmp_path: Path) -> None:
    outcome = driftmesh("move", "mesh.vtu", "--field", "ring", "--mover", "mmpde", "-o", f"moved.{suffix}")
    assert (outcome.code, outcome.err) == (0, "")
    numbers = json.loads((tmp_path / "moved.json").read_text())
    assert list(numbers)[: len(KEYS)] == KEYS
    assert (numbers["mover"], numbers["nodes"], numbers["cells"]) == ("mmpde", 121, 200)
    assert numbers["status"] in ("done", "limited", "not converged")
    assert numbers["equidistribution"]["after"] < 0.6 * numbers["equidistribution"]["before"]
    assert numbers["tangled"] == 0 and 0 < numbers["min_jacobian_ratio"] < 1
    assert imread(tmp_path / "moved.png").shape[0] > 500
    moved = meshio.read(tmp_path / f"moved.{suffix}")
    cells = {kind: moved.cells_dict[kind] for kind in ("triangle", "line")}
    np.testing.assert_array_equal(cells["triangle"], mesh.cells_dict["triangle"])
    np.testing.assert_array_equal(cells["line"], mesh.cells_dict["line"])
    markers = dict(zip([block.type for block in moved.cells], moved.cell_data["gmsh:physical"], strict=True))
    np.testing.assert_array_equal(markers["line"], np.repeat([1, 2, 3, 4], 10))
    assert set(mesh.point_data) <= set(moved.point_data)
    # It has moved, along the sides where it lay on them, and what is linear is so still.
    x, y = moved.points[:, :2].T
    assert np.abs(moved.points - mesh.points).max() > 0.02
    for old, new in zip(mesh.points[:, :2].T, (x, y), strict=True):
        np.testing.assert_array_equal(new[(old == 0) | (old == 1)], old[(old == 0) | (old == 1)])
    np.testing.assert_allclose(moved.point_data["linear"], 2 * x - y + 1, atol=1e-12)
    np.testing.assert_allclose(moved.point_data["flow"][:, 0], 0.6 * moved.point_data["five rings"], atol=1e-11)
    triangulation = Triangulation(*mesh.points[:, :2].T, mesh.cells_dict["triangle"])
    expected = LinearTriInterpolator(triangulation, mesh.point_data["ring"])(x, y)
    assert np.ma.count(expected) > 100  # rounding puts some of the vertices on the sides beyond them
    np.testing.assert_allclose(moved.point_data["ring"][~expected.mask], expected.compressed(), atol=1e-9)


def test_none_is_a_control(driftmesh, mesh: meshio.Mesh, tmp_path: Path) -> None:
    """Nothing moves; the equidistribution is worked out here again."""
    outcome = driftmesh("move", "mesh.vtu", "--monitor-field", "ring", "--mover", "none", "-o", "same.vtu")
    assert (outcome.code, outcome.err) == (0, "")
    same, numbers = meshio.read(tmp_path / "same.vtu"), json.loads((tmp_path / "same.json").read_text())
    np.testing.assert_array_equal(same.points, mesh.points)
    for name, values in mesh.point_data.items():
        np.testing.assert_array_equal(same.point_data[name], values, err_msg=name)
    expected = spread(mesh.points, mesh.cells_dict["triangle"], mesh.point_data["ring"])
    assert numbers["equidistribution"] == {"before": pytest.approx(expected), "after": pytest.approx(expected)}
    assert (numbers["status"], numbers["min_jacobian_ratio"], numbers["tangled"]) == ("done", 1.0, 0)
    assert f"equidistribution (std/mean of m|K|): {expected:.3g} -> {expected:.3g}" in outcome.out
    assert "written: same.vtu, same.json, same.png" in outcome.out


def _equidistribution(driftmesh, folder: Path, *arguments: str) -> float:
    outcome = driftmesh("move", "mesh.vtu", "--mover", "none", "-o", "same.vtu", *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    return json.loads((folder / "same.json").read_text())["equidistribution"]["before"]


def test_options_of_the_monitor(driftmesh, mesh: meshio.Mesh, no_picture, tmp_path: Path) -> None:
    """A size ratio of 1 asks for equal cells, as the mesh has, a long filter for more equal ones, a factor for none."""
    plain = _equidistribution(driftmesh, tmp_path, "--field", "ring", "--max-size-ratio", "100")
    assert plain > 0.2
    assert _equidistribution(driftmesh, tmp_path, "--field", "ring", "--max-size-ratio", "1") < 1e-10
    assert _equidistribution(driftmesh, tmp_path, "--field", "ring", "--smoothing", "5") < 0.8 * plain
    assert _equidistribution(driftmesh, tmp_path, "--field", "constant") < 1e-10
    hessian = _equidistribution(driftmesh, tmp_path, "--field", "five rings")
    assert hessian == pytest.approx(_equidistribution(driftmesh, tmp_path, "--field", "ring"), rel=1e-6)
    assert hessian == _equidistribution(driftmesh, tmp_path, "--field", "five rings", "--monitor", "hessian")
    others = {
        name: _equidistribution(driftmesh, tmp_path, "--field", "ring", "--monitor", name)
        for name in ("gradient", "arc-length", "metric")
    }
    assert len({hessian, *others.values()}) == 4


def test_what_has_been_moved_can_be_moved_again_and_is_not_adapted_twice(
    driftmesh, mesh: meshio.Mesh, no_picture, tmp_path: Path
) -> None:
    name, spreads, shapes, unmoved = "mesh.vtu", [], [], 0.0
    for number in range(5):
        assert driftmesh("move", name, "--field", "front", "-o", f"again{number}.vtu").code == 0
        quality = json.loads((tmp_path / f"again{number}.json").read_text())["quality"]
        numbers, unmoved = quality["after"], quality["before"]["relative_spread"] if number == 0 else unmoved
        spreads.append(numbers["relative_spread"])
        shapes.append(numbers["min_scaled_jacobian"])
        name = f"again{number}.vtu"
        again = meshio.read(tmp_path / name)
        again.point_data["front"] = np.tanh(20 * (again.points[:, 0] + again.points[:, 1] - 1))
        meshio.write(tmp_path / name, again)
    # The front that the second mesh resolves is steeper than that of the first; from then on nothing changes any more.
    assert spreads[4] == pytest.approx(spreads[3], rel=0.05) and max(spreads) < 0.5 * unmoved
    assert min(shapes) > 0.8 * shapes[0]


def test_of_a_vector_field_the_length_counts(driftmesh, mesh: meshio.Mesh, no_picture, tmp_path: Path) -> None:
    """|(3, 4) ring| = 5 ring."""
    vector = _equidistribution(driftmesh, tmp_path, "--field", "flow")
    assert vector == pytest.approx(_equidistribution(driftmesh, tmp_path, "--field", "five rings"), rel=1e-9)


def test_the_boundary_is_taken_along(driftmesh, mesh: meshio.Mesh, tmp_path: Path) -> None:
    arguments = ("--mover", "laplacian", "--boundary-motion", "shift", "-o", "moved.vtu")
    outcome = driftmesh("move", "mesh.vtu", *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    moved = meshio.read(tmp_path / "moved.vtu")
    np.testing.assert_allclose(moved.points, mesh.points + np.array([0.25, -0.5, 0.0]), atol=1e-9)
    assert json.loads((tmp_path / "moved.json").read_text())["min_jacobian_ratio"] == pytest.approx(1.0)


def test_a_solid_is_moved(driftmesh, tmp_path: Path) -> None:
    cube(4).write(tmp_path / "cube.vtu")
    outcome = driftmesh("move", "cube.vtu", "--field", "ring", "-o", "moved.vtu")
    assert (outcome.code, outcome.err) == (0, "")
    moved, numbers = meshio.read(tmp_path / "moved.vtu"), json.loads((tmp_path / "moved.json").read_text())
    assert (numbers["nodes"], numbers["cells"], numbers["tangled"]) == (125, 384, 0)
    assert np.abs(moved.points - cube(4).points).max() > 1e-3
    np.testing.assert_allclose(moved.point_data["linear"], moved.points @ [1.0, 2, 3], atol=1e-12)


def test_a_boundary_slides_along_its_geometry(driftmesh, no_picture, tmp_path: Path) -> None:
    """The exact circle, of which the spline through the vertices, taken otherwise, is an approximation."""
    gmsh.initialize(readConfigFiles=False, interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.model.occ.addDisk(0, 0, 0, 1, 1)
        gmsh.model.occ.synchronize()
        gmsh.write(str(tmp_path / "disc.brep"))
    finally:
        gmsh.finalize()
    angles = np.arange(16) * np.pi / 8
    circle = np.column_stack([np.cos(angles), np.sin(angles), 0 * angles])
    rim, next_one = np.arange(16), np.roll(np.arange(16), -1)
    cells = np.concatenate(
        [
            np.column_stack([rim, next_one, 16 + rim]),
            np.column_stack([next_one, 16 + next_one, 16 + rim]),
            np.column_stack([16 + rim, 16 + next_one, np.full(16, 32)]),
        ]
    )
    points = np.concatenate([circle, 0.5 * circle, np.zeros((1, 3))])
    disc = meshio.Mesh(
        points,
        [("triangle", cells), ("line", np.column_stack([rim, next_one]))],
        point_data={"u": 1 + 9 * np.exp(-8 * ((points - [0.7, 0.3, 0]) ** 2).sum(axis=1))},
        cell_data={"gmsh:physical": [np.ones(48, dtype=int), np.full(16, 5)]},
    )
    disc.write(tmp_path / "disc.vtu")
    off = {}
    for name, arguments in (("spline", ()), ("exact", ("--cad", "disc.brep"))):
        outcome = driftmesh("move", "disc.vtu", "--monitor-field", "u", "-o", f"{name}.vtu", *arguments)
        assert (outcome.code, outcome.err) == (0, "")
        moved = meshio.read(tmp_path / f"{name}.vtu").points[:16]
        assert np.abs(moved - circle).max() > 0.02
        off[name] = np.abs(np.linalg.norm(moved, axis=1) - 1).max()
    assert off["exact"] < 1e-9 < 1e-6 < off["spline"]


# -- how it ends ----------------------------------------------------------------------------------------------


@pytest.fixture
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures, which take longer than the moves."""
    monkeypatch.setattr("cases.move.save_figure", lambda *_: None)
    monkeypatch.setattr("cases.move.before_after_figure", lambda *_, **__: None)


class _Stub(NoMove):
    """A mover that ends in the way a test asks for."""

    def __init__(self, values: float, converged: bool):
        self.values, self.converged = values, converged

    def displacement(self, mesh, monitor) -> Displacement:
        function = Function(mesh.coordinates.function_space())
        inside = ((mesh.coordinates.dat.data_ro > 0) & (mesh.coordinates.dat.data_ro < 1)).all(axis=1)
        function.dat.data_wo[:] = np.where(inside[:, None], self.values, 0.0)
        return Displacement(function, converged=self.converged, iterations=50)


@pytest.mark.parametrize(
    ("values", "converged", "status", "code", "remark"),
    [
        (0.01, True, "done", 0, ""),
        (5.0, True, "limited", 0, "as far towards what the mover wanted as no cell is inverted"),
        (0.01, False, "not converged", 0, "the mover gave up"),
        (np.nan, False, "failed", 3, "the mover diverged: this is the mesh as it was"),
    ],
)
def test_endings(
    values, converged, status, code, remark, driftmesh, mesh, no_picture, monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("cases.move.get_mover", lambda _: _Stub(values, converged))
    outcome = driftmesh("move", "mesh.vtu", "--field", "ring", "-o", "moved.vtu")
    assert (outcome.code, outcome.err) == (code, "")
    assert f"mmpde: {status} in " in outcome.out and remark in outcome.out
    numbers = json.loads((tmp_path / "moved.json").read_text())
    assert (numbers["status"], numbers["iterations"], numbers["tangled"]) == (status, 50, 0)
    moved = np.abs(meshio.read(tmp_path / "moved.vtu").points - mesh.points).max()
    assert (moved > 0) == (status != "failed")


# -- bad input ------------------------------------------------------------------------------------------------

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


# -- the list of movers, several ranks ------------------------------------------------------------------------


def test_movers_are_listed(driftmesh) -> None:
    outcome = driftmesh("movers")
    assert (outcome.code, outcome.err) == (0, "")
    for name in ("none", "laplacian", "monge-ampere", "mmpde"):
        assert re.search(rf"^{name} +\w.{{20,}}$", outcome.out, re.MULTILINE), f"no line about {name}"


@pytest.mark.parallel
def test_two_ranks_move_as_one_does(driftmesh, mpiexec, mesh: meshio.Mesh, tmp_path: Path) -> None:
    serial = driftmesh("move", "mesh.vtu", "--field", "ring", "-o", "moved-1.vtu")
    parallel = mpiexec(2, ["driftmesh", "move", "mesh.vtu", "--field", "ring", "-o", "moved-2.vtu"])
    for outcome in (serial, parallel):
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.count("written: ") == 1
    one, two = (meshio.read(tmp_path / f"moved-{ranks}.vtu") for ranks in (1, 2))
    assert np.abs(one.points - mesh.points).max() > 0.02
    np.testing.assert_allclose(two.points, one.points, rtol=0, atol=1e-8)
    for name in set(one.point_data) - {"spoilt"}:
        np.testing.assert_allclose(two.point_data[name], one.point_data[name], rtol=0, atol=1e-6, err_msg=name)
    numbers = [json.loads((tmp_path / f"moved-{ranks}.json").read_text()) for ranks in (1, 2)]
    assert [entry["ranks"] for entry in numbers] == [1, 2]
    for name in ("mover", "status", "nodes", "cells", "tangled"):
        assert numbers[0][name] == numbers[1][name]
    assert numbers[1]["equidistribution"] == pytest.approx(numbers[0]["equidistribution"], rel=1e-6)


@pytest.mark.parallel
def test_bad_input_on_two_ranks_is_one_line(mpiexec, mesh, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = mpiexec(2, ["driftmesh", "move", "mesh.vtu", "--field", "rings", "-o", "moved.vtu"])
    assert outcome.err.count("driftmesh: ") == 1 and "--field: got 'rings'" in outcome.err
    assert outcome.out == "" and not list(tmp_path.glob("moved*"))
