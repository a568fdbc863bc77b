"""Mesh files in and out: everything kept, and what cannot be moved refused with one clear line."""

from __future__ import annotations

import sys
from pathlib import Path

import meshio
import numpy as np
import pytest
from firedrake import Constant, assemble, ds, dx, exp

from meshing.boundary import boundary_of
from meshing.mesh_file import read_mesh, write_mesh
from meshing.mmpde import MMPDE
from meshing.monitor import ExpressionMonitor


def square(size: int = 4) -> meshio.Mesh:
    """A square of triangles in shuffled order, sides marked 11 to 14, a scalar and a vector."""
    rng = np.random.default_rng(5)
    x = np.linspace(0.0, 1.0, size + 1)
    grid = np.arange((size + 1) ** 2).reshape(size + 1, size + 1)
    a, b, c, d = (part.ravel() for part in (grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]))
    cells = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    points = np.stack([*(part.ravel() for part in np.meshgrid(x, x, indexing="ij")), np.full(grid.size, 0.25)], axis=1)
    sides = [grid[0], grid[-1], grid[:, 0], grid[:, -1]]
    lines = np.concatenate([np.stack([side[:-1], side[1:]], axis=1) for side in sides])
    place = rng.permutation(grid.size)
    shuffled = np.empty_like(points)
    shuffled[place] = points
    cells = rng.permutation(cells)
    return meshio.Mesh(
        shuffled,
        [("line", place[lines]), ("triangle", place[cells])],
        point_data={"u": shuffled[:, 0] ** 2, "v": shuffled[:, :2] * [1.0, -2.0]},
        cell_data={
            "gmsh:physical": [np.repeat([11, 12, 13, 14], size), np.full(len(cells), 3)],
            "gmsh:geometrical": [np.repeat([1, 2, 3, 4], size), np.ones(len(cells), dtype=int)],
        },
    )


def tetrahedra() -> meshio.Mesh:
    """A cube of six tetrahedra, its bottom marked 7."""
    points = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
    paths = [(1, 3), (1, 5), (2, 3), (2, 6), (4, 5), (4, 6)]
    cells = np.array([[0, one, two, 7] for one, two in paths])
    bottom = np.array([[0, 2, 6], [0, 4, 6]])
    return meshio.Mesh(
        points,
        [("triangle", bottom), ("tetra", cells)],
        point_data={"u": points[:, 2]},
        cell_data={"medit:ref": [np.array([7, 7]), np.ones(6, dtype=int)]},
    )


def same(one: meshio.Mesh, other: meshio.Mesh) -> None:
    np.testing.assert_array_equal(one.points, other.points)
    for kind, cells in one.cells_dict.items():
        np.testing.assert_array_equal(cells, other.cells_dict[kind])
    for name in one.point_data:
        values, others = one.point_data[name], other.point_data[name]
        np.testing.assert_array_equal(values, others[:, : values.shape[1]] if values.ndim == 2 else others)


def copy(source: Path, target: Path) -> meshio.Mesh:
    """Read by us, write by us, read by meshio."""
    file = read_mesh(source)
    write_mesh(target, file, file.mesh.coordinates, file.point_fields)
    return meshio.read(target)


def test_a_mesh_of_the_plane_keeps_everything_through_all_formats(tmp_path: Path) -> None:
    original = square()
    meshio.write(tmp_path / "a.xdmf", original)
    source = tmp_path / "a.xdmf"
    for name in ("b.msh", "c.vtu", "d.vtk", "e.med", "f.xdmf", "g.xmf", "h.msh"):
        copied = copy(source, tmp_path / name)
        same(original, copied)
        tags = copied.cell_data_dict["gmsh:physical"]
        np.testing.assert_array_equal(tags["line"], original.cell_data_dict["gmsh:physical"]["line"])
        np.testing.assert_array_equal(tags["triangle"], original.cell_data_dict["gmsh:physical"]["triangle"])
        source = tmp_path / name


def test_a_mesh_of_space_keeps_everything(tmp_path: Path) -> None:
    original = tetrahedra()
    meshio.write(tmp_path / "a.mesh", original)
    original.point_data = {}  # the format has none
    copied = copy(tmp_path / "a.mesh", tmp_path / "b.vtu")
    same(original, copied)
    np.testing.assert_array_equal(copied.cell_data_dict["medit:ref"]["triangle"], [7, 7])
    for name in ("c.meshb", "d.mesh"):
        same(original, copy(tmp_path / "b.vtu", tmp_path / name))
    mesh = read_mesh(tmp_path / "b.vtu").mesh
    assert assemble(Constant(1.0) * ds(7, domain=mesh)) == pytest.approx(1.0, rel=1e-14)
    assert assemble(Constant(1.0) * dx(domain=mesh)) == pytest.approx(1.0, rel=1e-14)


def test_markers_and_fields_are_those_of_the_file(tmp_path: Path) -> None:
    meshio.write(tmp_path / "a.vtu", square())
    file = read_mesh(tmp_path / "a.vtu")
    mesh = file.mesh
    assert set(mesh.exterior_facets.unique_markers) == {11, 12, 13, 14}
    assert mesh.geometric_dimension == 2
    x = mesh.coordinates.dat.data_ro
    np.testing.assert_array_equal(file.point_fields["u"].dat.data_ro, x[:, 0] ** 2)
    np.testing.assert_array_equal(file.point_fields["v"].dat.data_ro[:, :2], x * [1.0, -2.0])
    for marker, weight in ((11, 0.0), (12, 1.0)):  # the sides x = 0 and x = 1
        assert assemble(file.point_fields["u"] * ds(marker, domain=mesh)) == pytest.approx(weight, abs=1e-14)


def test_moved_vertices_are_written_in_the_files_order(tmp_path: Path) -> None:
    original = square()
    meshio.write(tmp_path / "a.vtu", original)
    file = read_mesh(tmp_path / "a.vtu")
    coordinates = file.mesh.coordinates.copy(deepcopy=True)
    coordinates.dat.data_wo[:] = coordinates.dat.data_ro**2
    write_mesh(tmp_path / "b.vtu", file, coordinates, {})
    moved = meshio.read(tmp_path / "b.vtu")
    np.testing.assert_array_equal(moved.points[:, :2], original.points[:, :2] ** 2)
    np.testing.assert_array_equal(moved.points[:, 2], 0.25)


def test_a_cell_in_two_groups_is_one_cell(tmp_path: Path) -> None:
    original = square()
    twice = meshio.Mesh(
        original.points, [("triangle", np.concatenate([original.cells_dict["triangle"]] * 2))], original.point_data
    )
    meshio.write(tmp_path / "a.vtu", twice)
    file = read_mesh(tmp_path / "a.vtu")
    assert assemble(Constant(1.0) * dx(domain=file.mesh)) == pytest.approx(1.0, rel=1e-14)
    write_mesh(tmp_path / "b.vtu", file, file.mesh.coordinates, file.point_fields)
    same(twice, meshio.read(tmp_path / "b.vtu"))


def test_numbers_of_the_facets_are_no_markers(tmp_path: Path) -> None:
    original = square()
    original.cell_data = {"number": [np.arange(1, 17), np.arange(1, 33)]}
    meshio.write(tmp_path / "a.vtu", original)
    assert list(read_mesh(tmp_path / "a.vtu").mesh.exterior_facets.unique_markers) == [1]


def test_facets_of_marker_zero_have_none_and_the_others_keep_theirs(tmp_path: Path) -> None:
    original = square()
    original.cell_data = {"gmsh:physical": [np.repeat([0, 7, 0, 8], 4), np.full(32, 3)]}
    meshio.write(tmp_path / "a.vtu", original)
    mesh = read_mesh(tmp_path / "a.vtu").mesh
    assert {7, 8} <= set(mesh.exterior_facets.unique_markers)
    assert assemble(Constant(1.0) * ds(7, domain=mesh)) == pytest.approx(1.0, rel=1e-14)
    assert assemble(Constant(1.0) * ds(domain=mesh)) == pytest.approx(4.0, rel=1e-14)


def test_vertices_slide_along_the_interface_of_two_materials(tmp_path: Path) -> None:
    original = square(8)
    x = original.points[original.cells_dict["triangle"], 0].mean(axis=1)
    original.cell_data["gmsh:physical"][1] = np.where(x < 0.5, 3, 4)
    meshio.write(tmp_path / "a.vtu", original)
    mesh = read_mesh(tmp_path / "a.vtu").mesh
    peak = ExpressionMonitor(lambda x: 1 + 10 * exp(-20 * ((x[0] - 0.4) ** 2 + (x[1] - 0.3) ** 2)))
    moved = MMPDE().move(mesh, peak).coordinates.dat.data_ro
    before = mesh.coordinates.dat.data_ro
    interface = before[:, 0] == 0.5
    np.testing.assert_array_equal(moved[interface, 0], 0.5)
    inside = interface & (before[:, 1] > 0) & (before[:, 1] < 1)
    assert (np.abs(moved[inside, 1] - before[inside, 1]) > 1e-3).all()


def test_a_tensor_field_comes_back_as_it_was(tmp_path: Path) -> None:
    original = square()
    original.point_data["t"] = np.arange(4.0 * len(original.points)).reshape(-1, 2, 2)
    meshio.write(tmp_path / "a.xdmf", original)
    copied = copy(tmp_path / "a.xdmf", tmp_path / "b.xdmf")
    np.testing.assert_array_equal(copied.point_data["t"], original.point_data["t"])


def test_a_mesh_without_markers_has_a_boundary_all_the_same(tmp_path: Path) -> None:
    original = square()
    meshio.write(tmp_path / "a.vtu", meshio.Mesh(original.points, [original.cells[1]]))
    mesh = read_mesh(tmp_path / "a.vtu").mesh
    assert assemble(Constant(1.0) * ds(1, domain=mesh)) == pytest.approx(4.0, rel=1e-14)
    assert boundary_of(mesh).fixed.sum() == 4


def test_vertices_at_the_same_place_stay_apart(tmp_path: Path) -> None:
    # A slit: the middle line of a strip has its vertices twice, with different values.
    points = np.array([[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1], [0, 2], [1, 2], [2, 2], [1, 1], [2, 1]], float)
    cells = np.array([[0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4], [3, 9, 7], [3, 7, 6], [9, 10, 8], [9, 8, 7]])
    cells[4:6][cells[4:6] == 9] = 4  # the tip of the slit is one vertex
    cells[6:][cells[6:] == 9] = 4
    points = np.delete(points, 9, axis=0)
    cells[cells == 10] = 9
    u = np.arange(10.0)
    meshio.write(tmp_path / "a.vtu", meshio.Mesh(points, [("triangle", cells)], point_data={"u": u}))
    copied = copy(tmp_path / "a.vtu", tmp_path / "b.vtu")
    np.testing.assert_array_equal(copied.point_data["u"], u)
    np.testing.assert_array_equal(copied.cells_dict["triangle"], cells)


def overlapping(triangles: np.ndarray) -> np.ndarray:
    """Add a triangle to an edge that two have already."""
    everything = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [0, 2]]]), axis=1)
    edges, counts = np.unique(everything, axis=0, return_counts=True)
    return np.concatenate([triangles, [[*edges[counts == 2][0], triangles.max() + 1]]])


def broken(kind: str) -> meshio.Mesh:
    """A mesh that cannot be moved."""
    mesh = square()
    points, triangles = mesh.points, mesh.cells_dict["triangle"]
    if kind == "dangling":
        return meshio.Mesh(np.concatenate([points, [[5.0, 6.0, 0.25]]]), [("triangle", triangles)])
    if kind == "quadrilaterals":
        return meshio.Mesh(points, [("quad", np.array([[0, 1, 2, 3]]))])
    if kind == "mixed":
        return meshio.Mesh(points, [("triangle", triangles), ("quad", np.array([[0, 1, 2, 3]]))])
    if kind == "higher order":
        return meshio.Mesh(points, [("triangle6", np.array([[0, 1, 2, 3, 4, 5]]))])
    if kind == "lines only":
        return meshio.Mesh(points, [("line", np.array([[0, 1]]))])
    if kind == "surface":
        return meshio.Mesh(points + np.arange(len(points))[:, None], [("triangle", triangles)])
    if kind == "overlapping":
        return meshio.Mesh(np.concatenate([points, [[9.0, 9.0, 0.25]]]), [("triangle", overlapping(triangles))])
    if kind == "flat":
        return meshio.Mesh(points, [("triangle", np.concatenate([triangles, [[3, 3, 4]]]))])
    points = points.copy()
    points[2, 0] = np.nan
    return meshio.Mesh(points, [("triangle", triangles)])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("dangling", r"got 1 vertices that no cell has, the first number 25 at \(5, 6\), expected none; in gmsh"),
        ("quadrilaterals", r"got 1 quadrilaterals, expected triangles only .*; split the other cells into simplices"),
        ("mixed", r"got 32 triangle, 1 quadrilaterals, expected triangles only .*; split the other cells"),
        ("higher order", r"got 1 triangle6, expected .*; write the mesh with straight cells of first order"),
        ("lines only", r"got no cells, expected .*; mesh the domain first"),
        ("surface", r"got triangles that do not lie in a plane of constant z, expected a mesh of the plane"),
        ("flat", r"got 1 cells without volume, the first number 32 with vertices \[3, 3, 4\], expected none"),
        ("overlapping", r"got 1 facets that more than two cells share, expected cells that do not overlap; mesh again"),
        ("not finite", r"got coordinates that are not finite, expected numbers"),
    ],
)
def test_what_cannot_be_moved_is_refused(tmp_path: Path, kind: str, message: str) -> None:
    path = tmp_path / "a.vtu"
    meshio.write(path, broken(kind))
    with pytest.raises(ValueError, match=rf"^{path}: {message}") as error:
        read_mesh(path)
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_read_or_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got no such file, expected a mesh file; check the path"):
        read_mesh(tmp_path / "absent.msh")
    (tmp_path / "broken.msh").write_text("nothing of gmsh")
    with pytest.raises(ValueError, match=r"got a file that meshio cannot read as \.msh"):
        read_mesh(tmp_path / "broken.msh")
    (tmp_path / "a.png").write_text("")
    with pytest.raises(ValueError, match="got no suffix of a mesh format that meshio reads, expected one such as"):
        read_mesh(tmp_path / "a.png")
    meshio.write(tmp_path / "a.vtu", square())
    file = read_mesh(tmp_path / "a.vtu")
    with pytest.raises(
        ValueError, match=r"got suffix '\.png', expected one of \.msh, \.vtu, .*, the formats that keep points"
    ):
        write_mesh(tmp_path / "b.png", file, file.mesh.coordinates, {})
    with pytest.raises(ValueError, match="got a mesh that meshio cannot write there"):
        write_mesh(tmp_path / "absent" / "b.vtu", file, file.mesh.coordinates, {})


COPY = """
import sys
from meshing.mesh_file import read_mesh, write_mesh

folder = sys.argv[1]
file = read_mesh(f"{folder}/a.vtu")
mesh, u = file.mesh, file.point_fields["u"]
assert sorted(mesh.exterior_facets.unique_markers) == [11, 12, 13, 14]
assert (u.dat.data_ro_with_halos == mesh.coordinates.dat.data_ro_with_halos[:, 0] ** 2).all()
moved = mesh.coordinates.copy(deepcopy=True)
moved.dat.data_wo[:] = moved.dat.data_ro ** 2
write_mesh(f"{folder}/{mesh.comm.size}.vtu", file, moved, file.point_fields)
"""


@pytest.mark.parallel
def test_two_ranks_read_and_write_what_one_does(mpiexec, tmp_path: Path) -> None:
    meshio.write(tmp_path / "a.vtu", square(9))
    script = tmp_path / "through.py"
    script.write_text(COPY)
    for ranks in (1, 2):
        outcome = mpiexec(ranks, [sys.executable, script, tmp_path])
        assert (outcome.code, outcome.err) == (0, "")
    one, two = (meshio.read(tmp_path / f"{ranks}.vtu") for ranks in (1, 2))
    same(one, two)
    np.testing.assert_array_equal(one.points[:, :2], square(9).points[:, :2] ** 2)
