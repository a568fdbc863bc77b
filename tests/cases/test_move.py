"""`driftmesh move`: what it writes, that fields go along, how it ends, and that two ranks do the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import gmsh
import meshio
import numpy as np
import pytest
from firedrake import Function
from matplotlib.image import imread
from matplotlib.tri import LinearTriInterpolator, Triangulation
from move_meshes import cube, square_in

from meshing.mover import Displacement, NoMove

KEYS = ["mover", "status", "seconds", "nodes", "cells", "equidistribution", "min_jacobian_ratio", "tangled"]


@pytest.fixture
def mesh(tmp_path: Path) -> meshio.Mesh:
    """Return a mesh that also lies in the folder of the test as ``mesh.vtu``."""
    return square_in(tmp_path)


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
