"""Built-in domains have the size, the sides and the shape they are said to have, and are the same each time."""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import gmsh
import meshio
import numpy as np
import pytest
from firedrake import Constant, assemble, ds, dx

from meshing.boundary import boundary_of
from meshing.cad_boundary import attach_cad
from meshing.generation import ball, box, channel_with_cylinder, disc, l_shape, polygon, rectangle
from meshing.mesh_file import read_mesh
from meshing.outline import mesh_outline
from meshing.patches import MeshPatches
from meshing.quality import mesh_quality

PENTAGON = np.array([[0.0, 0.0], [4.0, -1.0], [5.0, 3.0], [2.0, 1.5], [-1.0, 4.0]])
HOLES = [[[0.5, 0.5], [1.0, 0.5], [0.5, 1.5]], [[3.5, 0.0], [4.2, 1.0], [3.0, 1.0]]]


def measures(mesh) -> tuple[float, dict[int, float]]:
    """Return area or volume, and length or area of the sides by marker."""
    one = Constant(1.0)
    markers = (int(marker) for marker in mesh.exterior_facets.unique_markers)
    return assemble(one * dx(domain=mesh)), {marker: assemble(one * ds(marker, domain=mesh)) for marker in markers}


def edges(corners: np.ndarray) -> np.ndarray:
    """Return the lengths of all edges of simplices, shape (K, k, d)."""
    pairs = combinations(range(corners.shape[1]), 2)
    return np.concatenate([np.linalg.norm(corners[:, i] - corners[:, j], axis=1) for i, j in pairs])


def area(loop) -> float:
    x, y = np.array(loop).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def lengths(loop) -> np.ndarray:
    return np.linalg.norm(np.roll(loop, -1, axis=0) - loop, axis=1)


STRAIGHT = {
    "rectangle": (lambda: rectangle(width=1.7, height=0.3, size=0.1), 0.51, {1: 0.3, 2: 0.3, 3: 1.7, 4: 1.7}),
    "box": (
        lambda: box(width=0.5, depth=0.7, height=1.1, size=0.2),
        0.385,
        {1: 0.77, 2: 0.77, 3: 0.55, 4: 0.55, 5: 0.35, 6: 0.35},
    ),
    "L-shape": (lambda: l_shape(side=3.0, size=0.3), 6.75, {1: 3.0, 2: 1.5, 3: 3.0, 4: 1.5, 5: 1.5, 6: 1.5}),
    "polygon": (
        lambda: polygon(PENTAGON, HOLES, size=0.3),
        area(PENTAGON) - sum(map(area, HOLES)),
        {1: lengths(PENTAGON).sum(), 2: lengths(HOLES[0]).sum(), 3: lengths(HOLES[1]).sum()},
    ),
    "marked polygon": (
        lambda: polygon(PENTAGON[::-1], size=0.5, markers=[7, 3, 7, 2, 9]),
        area(PENTAGON),
        {7: lengths(PENTAGON[::-1])[[0, 2]].sum()}
        | dict(zip((3, 2, 9), lengths(PENTAGON[::-1])[[1, 3, 4]], strict=True)),
    ),
}


@pytest.mark.parametrize(("make", "measure", "sides"), STRAIGHT.values(), ids=STRAIGHT)
def test_straight_domains_are_filled(make, measure: float, sides: dict[int, float]) -> None:
    mesh = make()
    volume, found = measures(mesh)
    assert volume == pytest.approx(measure, rel=1e-12)
    assert found == pytest.approx(sides, rel=1e-12)
    assert assemble(Constant(1.0) * ds(domain=mesh)) == pytest.approx(sum(sides.values()), rel=1e-12)
    dimension = mesh.geometric_dimension
    assert mesh_quality(mesh).min_scaled_jacobian > {2: 0.4, 3: 0.05}[dimension]


def test_sides_are_where_they_should_be() -> None:
    """Each marker is on its side, bit for bit, and on the whole of it."""
    lengths = np.array([0.3, 0.7, 1.1])
    meshes = (
        rectangle(width=lengths[0], height=lengths[1], size=0.1),
        box(width=lengths[0], depth=lengths[1], height=lengths[2], size=0.2),
    )
    for mesh in meshes:
        space, points = mesh.coordinates.function_space(), mesh.coordinates.dat.data_ro
        extent = lengths[: mesh.geometric_dimension]
        for axis in range(len(extent)):
            for marker, place in ((2 * axis + 1, 0.0), (2 * axis + 2, extent[axis])):
                side = points[space.boundary_nodes(marker)]
                np.testing.assert_array_equal(side[:, axis], place)
                np.testing.assert_array_equal(np.ptp(side, axis=0), np.where(np.arange(len(extent)) == axis, 0, extent))
    inner = l_shape(side=2.0, size=0.2)
    space, points = inner.coordinates.function_space(), inner.coordinates.dat.data_ro
    for marker, axis, place in ((1, 0, 0.0), (2, 0, 2.0), (3, 1, 0.0), (4, 1, 2.0), (5, 1, 1.0), (6, 0, 1.0)):
        np.testing.assert_array_equal(points[space.boundary_nodes(marker), axis], place)


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (lambda size: rectangle(width=2.0, height=1.0, size=size), 0.1),
        (lambda size: disc(radius=2.0, size=size), 0.3),
        (lambda size: polygon(PENTAGON, HOLES, size=size), 0.2),
        (lambda size: box(width=2.0, size=size), 0.25),
        (lambda size: ball(size=size), 0.25),
    ],
    ids=["rectangle", "disc", "polygon", "box", "ball"],
)
def test_edges_are_about_as_long_as_wanted(make, size: float) -> None:
    for wanted in (size, size / 2):
        mesh = make(wanted)
        outline = mesh_outline(mesh)
        inside = edges(mesh.coordinates.dat.data_ro[mesh.coordinates.cell_node_map().values]) / wanted
        around = edges(outline.points[outline.facets]) / wanted
        assert 0.85 < around.mean() < 1.15
        assert inside.min() > 0.4 and inside.max() < {2: 1.5, 3: 2.5}[mesh.geometric_dimension]
        # Tetrahedra of gmsh are larger inside.
        assert inside.mean() == pytest.approx({2: 1.0, 3: 1.3}[mesh.geometric_dimension], rel=0.1)


def test_the_channel_is_fine_at_the_cylinder() -> None:
    mesh = channel_with_cylinder(size=0.05, cylinder_size=0.005)
    points, patches = mesh.coordinates.dat.data_ro, MeshPatches(mesh)
    corners = points[patches.cells]
    size = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).mean(axis=1)
    away = np.linalg.norm(corners.mean(axis=1) - [0.2, 0.2], axis=1) - 0.05
    assert size[away < 0.005].max() < 0.0075
    assert size[away > 1.0].mean() == pytest.approx(0.05, rel=0.2)


ROUND = {
    "disc": (lambda h: disc(radius=3.0, size=3.0 * h), np.pi * 9, {1: 6 * np.pi}, (0.0, 0.0), 3.0, 0),
    "ball": (lambda h: ball(radius=3.0, size=3.0 * h), 36 * np.pi, {1: 36 * np.pi}, (0.0, 0.0, 0.0), 3.0, 0),
    "channel": (
        lambda h: channel_with_cylinder(size=0.1, cylinder_size=0.05 * h),
        2.2 * 0.41 - np.pi * 0.05**2,
        {1: 0.41, 2: 0.41, 3: 2.2, 4: 2.2, 5: 0.1 * np.pi},
        (0.2, 0.2),
        0.05,
        4,
    ),
}


@pytest.mark.parametrize(("make", "measure", "sides", "centre", "radius", "corners"), ROUND.values(), ids=ROUND)
def test_round_domains_are_round(make, measure, sides, centre, radius, corners) -> None:
    """Domain and sides fall short of the round ones by the chordal error, of second order; vertices are on them."""
    errors = []
    for h in (0.4, 0.2):
        mesh = make(h)
        volume, found = measures(mesh)
        round_marker = max(sides)
        assert {k: v for k, v in found.items() if k != round_marker} == pytest.approx(
            {k: v for k, v in sides.items() if k != round_marker}, rel=1e-12
        )
        errors.append([abs(volume - measure), sides[round_marker] - found[round_marker]])
        nodes = mesh.coordinates.function_space().boundary_nodes(round_marker)
        away = np.linalg.norm(mesh.coordinates.dat.data_ro[nodes] - centre, axis=1)
        np.testing.assert_allclose(away, radius, rtol=1e-13)
        assert mesh_quality(mesh).min_scaled_jacobian > {2: 0.4, 3: 0.05}[len(centre)]
    rates = np.log2(np.array(errors[0]) / errors[1])
    print(f"orders of domain and boundary: {rates}")
    assert (rates > 1.6).all()


@pytest.mark.parametrize(("make", "centre", "radius", "corners"), [(r[0], *r[3:]) for r in ROUND.values()], ids=ROUND)
def test_vertices_slide_on_round_boundaries(make, centre, radius: float, corners: int) -> None:
    """What leaves the round boundary comes back to it exactly, as no line or spline through the vertices could do."""
    mesh = make(0.4)
    boundary, patches = boundary_of(mesh), MeshPatches(mesh)
    assert boundary.fixed.sum() == corners
    np.testing.assert_array_equal(boundary.fixed | boundary.sliding, patches.boundary())
    nodes = mesh.coordinates.function_space().boundary_nodes(max(mesh.exterior_facets.unique_markers))
    shift = 0.05 * radius * np.random.default_rng(0).standard_normal(patches.points.shape)
    away = patches.points + boundary.tangential(patches.points, shift)
    assert np.ptp(np.linalg.norm(away[nodes] - centre, axis=1)) > 1e-4 * radius
    back = np.linalg.norm(boundary.project(away)[nodes] - centre, axis=1)
    np.testing.assert_allclose(back, radius, rtol=1e-13)


def test_meshes_are_the_same_each_time_and_gmsh_is_left_alone() -> None:
    """Even if gmsh is in use by someone who wants other meshes."""
    if gmsh.isInitialized():  # by a CAD file of another test
        gmsh.finalize()
    makers = (lambda: disc(size=0.1), lambda: box(size=0.3), channel_with_cylinder)
    alone = [make().coordinates.dat.data_ro.copy() for make in makers]
    assert not gmsh.isInitialized()
    wanted = {"Mesh.MeshSizeFactor": 0.3, "Mesh.Algorithm": 1, "Mesh.RandomSeed": 7, "Mesh.ElementOrder": 2}
    gmsh.initialize(readConfigFiles=False, interruptible=False)
    try:
        for name, value in wanted.items():
            gmsh.option.setNumber(name, value)
        gmsh.model.add("another's")
        gmsh.model.occ.addPoint(1, 2, 3)
        beside = [make().coordinates.dat.data_ro.copy() for make in makers]
        assert gmsh.model.getCurrent() == "another's"
        assert gmsh.model.occ.getEntities() == [(0, 1)]
        assert gmsh.model.list() == ["", "another's"]
        assert {name: gmsh.option.getNumber(name) for name in wanted} == wanted
    finally:
        gmsh.finalize()
    for first, second in zip(alone, beside, strict=True):
        np.testing.assert_array_equal(first, second)


def test_meshes_are_saved_with_names_and_cad(tmp_path: Path) -> None:
    mesh = channel_with_cylinder(save=tmp_path / "channel.msh")
    names = {name: tuple(tag) for name, tag in meshio.read(tmp_path / "channel.msh").field_data.items()}
    assert names == {
        "inflow": (1, 1),
        "outflow": (2, 1),
        "bottom": (3, 1),
        "top": (4, 1),
        "cylinder": (5, 1),
        "domain": (1, 2),
    }
    again = read_mesh(tmp_path / "channel.msh").mesh
    assert measures(again)[0] == pytest.approx(measures(mesh)[0], rel=1e-12)
    assert measures(again)[1] == pytest.approx(measures(mesh)[1], rel=1e-12)
    boundary, points = attach_cad(again, tmp_path / "channel.brep"), again.coordinates.dat.data_ro
    nodes = again.coordinates.function_space().boundary_nodes(5)
    assert boundary.sliding[nodes].sum() >= len(nodes) - 1
    back = boundary.project(points + boundary.tangential(points, np.full_like(points, 0.003)))[nodes]
    np.testing.assert_allclose(np.linalg.norm(back - [0.2, 0.2], axis=1), 0.05, rtol=1e-9)
    for path in (tmp_path / "channel.vtu", tmp_path / "none" / "channel.msh"):
        with pytest.raises(ValueError, match=r"^disc: got .*/channel\.\w+ to save to, expected a file \.msh in a fold"):
            disc(size=0.5, save=path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rectangle(width=-1.0, size=0.1), "rectangle: got width -1.0, expected a positive length in m"),
        (lambda: rectangle(size=0.0), "rectangle: got size 0.0, expected a positive length in m"),
        (lambda: box(depth=np.inf, size=0.1), "box: got depth inf, expected a positive length in m"),
        (lambda: disc(radius=np.nan, size=0.1), "disc: got radius nan, expected a positive length in m"),
        (lambda: ball(radius=0, size=0.1), "ball: got radius 0, expected a positive length in m"),
        (lambda: l_shape(side=-2, size=0.1), "l_shape: got side -2, expected a positive length in m"),
        (lambda: polygon(PENTAGON, size=-1), "polygon: got size -1, expected a positive length in m"),
        (
            lambda: polygon(PENTAGON[:2], size=1),
            r"polygon: got outline of shape \(2, 2\), expected three corners or .*",
        ),
        (
            lambda: polygon(PENTAGON, size=1, markers=[1, 2]),
            r"polygon: got markers \[1, 2\], expected 5 positive ones, one for each side",
        ),
        (
            lambda: polygon(PENTAGON, size=1, markers=[0, 1, 2, 3, 4]),
            r"polygon: got markers \[0, 1, 2, 3, 4\], expected 5 positive ones, one for each side",
        ),
        (
            lambda: channel_with_cylinder(cylinder_size=0),
            "channel_with_cylinder: got cylinder_size 0, expected a positive length in m",
        ),
        (
            lambda: channel_with_cylinder(radius=0.2),
            r"channel_with_cylinder: got a cylinder of radius 0.2 around \(0.2, 0.2\), expected it inside the channel "
            "of 2.2 by 0.41 with space around it",
        ),
        (
            lambda: box(width=1e-9, depth=1e-9, height=1e-9, size=1e-9),
            r"box: got no mesh from gmsh \(.*\), expected one; try another size, and lengths from 1e-6 to 1e6",
        ),
    ],
)
def test_other_domains_are_refused(make, message: str) -> None:
    before = gmsh.isInitialized() and gmsh.model.list()
    with pytest.raises(ValueError, match=f"^{message}$"):
        make()
    assert (gmsh.isInitialized() and gmsh.model.list()) == before


@pytest.mark.parallel
def test_two_ranks_have_the_mesh_that_one_has(mpiexec, tmp_path: Path) -> None:
    script, runs = Path(__file__).with_name("generated.py"), []
    for ranks in (1, 2):
        outcome = mpiexec(ranks, [sys.executable, script, tmp_path / f"{ranks}.npz"])
        assert (outcome.code, outcome.err) == (0, "")
        runs.append(dict(np.load(tmp_path / f"{ranks}.npz")))
    one, two = runs
    assert [int(run.pop("ranks")) for run in runs] == [1, 2]
    assert len(set(two["refused"])) == 1
    assert two.pop("refused")[1] == one.pop("refused")[0]
    assert one.keys() == two.keys() and len(one) == 5 * 5
    for name, values in one.items():
        if name.endswith("measures"):
            np.testing.assert_allclose(two[name], values, rtol=1e-12, err_msg=name)
        else:
            np.testing.assert_array_equal(two[name], values, err_msg=name)
    assert one["airfoil fixed"].sum() == 1 and one["channel fixed"].sum() == 4 and one["ball sliding"].any()
