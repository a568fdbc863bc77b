"""What is found of a boundary or given for it, what of it slides and what is fixed, and how vertices are projected."""

from __future__ import annotations

import numpy as np
import pytest
from bounded import DOMAINS, Prescribed, disc, domain, function, grid, l_shape, made_of, places, ring, round_slab, slab
from firedrake import COMM_SELF, Mesh, PeriodicUnitSquareMesh, UnitBallMesh, UnitCubeMesh, UnitSquareMesh

from meshing.boundary import attach_boundary, boundary_of
from meshing.curves import Circle, Line, SplineCurve
from meshing.mover import MoveStatus
from meshing.patches import MeshPatches
from meshing.surfaces import Plane, Sphere

# -- what is found -----------------------------------------------------------------------------------------------


def test_of_a_box_corners_stay_and_the_rest_slides() -> None:
    for mesh in (UnitSquareMesh(5, 4), UnitCubeMesh(4, 3, 3)):
        points = places(mesh)
        boundary = boundary_of(mesh)
        sides = (points == 0) | (points == 1)
        dimension = points.shape[1]
        np.testing.assert_array_equal(boundary.fixed, sides.all(axis=1))
        np.testing.assert_array_equal(boundary.sliding, sides.any(axis=1) & ~sides.all(axis=1))
        # In the interior, sides, edges and corners alike: free in what is no coordinate of a side.
        expected = np.where(sides[:, :, None], 0.0, np.eye(dimension))
        np.testing.assert_array_equal(boundary.tangents(points), expected)
        vectors = np.random.default_rng(0).standard_normal(points.shape)
        np.testing.assert_array_equal(boundary.tangential(points, vectors), np.where(sides, 0.0, vectors))
        moved = points + 0.3 * vectors
        projected = boundary.project(moved)
        np.testing.assert_array_equal(projected[sides], points[sides])
        inside = ~sides.any(axis=1)
        np.testing.assert_array_equal(projected[inside], moved[inside])
        # Edges end at the corners.
        edge = sides.sum(axis=1) == dimension - 1
        assert projected[edge].min() >= 0 and projected[edge].max() <= 1
        np.testing.assert_array_equal(boundary.project(points), points)


def test_markers_divide_a_side() -> None:
    points, cells = grid(8, 4)
    mesh = made_of(points, cells, lambda middle: 1 if middle[1] == 0 and middle[0] < 0.5 else 2)
    boundary, at = boundary_of(mesh), places(mesh)
    fixed = {tuple(point) for point in at[boundary.fixed]}
    assert fixed == {(0, 0), (0.5, 0), (1, 0), (1, 1), (0, 1)}


def test_markers_divide_a_face_in_space() -> None:
    """Along a straight line: its vertices slide on it. Along a bent one: they are fixed."""
    cube = UnitCubeMesh(4, 4, 4, comm=COMM_SELF)
    points, cells = places(cube), cube.coordinates.function_space().cell_node_map().values

    def slid(marker) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        mesh = made_of(points, cells, marker)
        boundary, at = boundary_of(mesh), places(mesh)
        return boundary.fixed, boundary.tangents(at), at

    fixed, tangents, at = slid(lambda m: 1 if m[2] == 0 and m[0] < 0.5 else 2)
    on_line = (at[:, 2] == 0) & (at[:, 0] == 0.5) & (at[:, 1] > 0) & (at[:, 1] < 1)
    assert on_line.sum() == 3 and not fixed[on_line].any()
    np.testing.assert_array_equal(tangents[on_line], np.tile(np.diag([0.0, 1.0, 0.0]), (3, 1, 1)))
    end = (at == [0.5, 0.0, 0.0]).all(axis=1)
    assert fixed[end].all()
    fixed, _, at = slid(lambda m: 1 if m[2] == 0 and m[0] < 0.5 and m[1] < 0.5 else 2)
    assert fixed[(at == [0.5, 0.5, 0.0]).all(axis=1)].all()
    assert not fixed[(at == [0.5, 0.25, 0.0]).all(axis=1)].any()


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_disc_without_description_becomes_a_spline(level: int) -> None:
    mesh = disc(level)
    boundary, points = boundary_of(mesh), places(mesh)
    assert not boundary.fixed.any()
    np.testing.assert_array_equal(boundary.sliding, MeshPatches(mesh).boundary())
    outward = points[boundary.sliding]
    expected = np.eye(2) - outward[:, :, None] * outward[:, None, :]
    # The derivative of a cubic spline is accurate to third order.
    spacing = 2 * np.pi / len(outward)
    np.testing.assert_allclose(boundary.tangents(points)[boundary.sliding], expected, rtol=0, atol=0.05 * spacing**3)
    np.testing.assert_array_equal(boundary.project(points), points)


def test_corners_are_told_by_their_angle() -> None:
    """A disc of eight vertices, which turns by 45 degrees in each of them, and a regular polygon of ten."""
    mesh = disc(0)
    assert boundary_of(mesh).fixed.sum() == 8
    assert attach_boundary(mesh, corner_angle=np.deg2rad(46)).fixed.sum() == 0
    assert attach_boundary(mesh, {1: Circle([0, 0], 1.0)}).fixed.sum() == 0
    turn = 2 * np.pi * np.arange(10) / 10
    points = np.vstack([np.zeros((1, 2)), np.stack([np.cos(turn), np.sin(turn)], axis=1)])
    cells = np.array([[0, 1 + k, 1 + (k + 1) % 10] for k in range(10)])
    mesh = made_of(points, cells)
    assert boundary_of(mesh).fixed.sum() == 0
    assert attach_boundary(mesh, corner_angle=np.deg2rad(36)).fixed.sum() == 0
    assert attach_boundary(mesh, corner_angle=np.deg2rad(35)).fixed.sum() == 10


def test_straight_pieces_that_join_a_curve_smoothly_stay_straight() -> None:
    """A stadium: two half discs and what is between them. Nothing turns by much, the sides are exact all the same."""
    mesh = ring(40, 2, 0.6)
    points = places(mesh)
    right = points[:, 0] > 0.1
    # Two quarters of the ring become straight, the other two half rings.
    angle = np.arctan2(points[:, 1], points[:, 0])
    radius = np.round(np.linalg.norm(points, axis=1), 9)
    along = np.clip(np.abs(np.cos(angle)) / np.cos(np.pi / 4), 0, 1)
    flat = np.abs(np.cos(angle)) < np.cos(np.pi / 4) + 1e-9
    straight = np.stack([np.sign(points[:, 0]) * along, np.sign(points[:, 1]) * radius], axis=1)
    bow = (np.abs(angle) - np.where(right, 0, np.pi)) / (np.pi / 4) * np.pi / 2
    bow = np.abs(bow)
    curved = np.stack(
        [np.sign(points[:, 0]) * (1 + radius * np.cos(bow)), np.sign(points[:, 1]) * radius * np.sin(bow)], axis=1
    )
    mesh.coordinates.dat.data_wo[:] = np.where(flat[:, None], straight, curved)
    at = places(mesh)
    boundary = boundary_of(mesh)
    moved = boundary.project(at + 0.02 * np.random.default_rng(0).standard_normal(at.shape))
    for height in (1.0, 0.6):
        side = (np.abs(at[:, 1]) == height) & (np.abs(at[:, 0]) < 1 - 1e-9)
        assert side.sum() == 18
        assert boundary.sliding[side].all()
        np.testing.assert_array_equal(moved[side, 1], at[side, 1])
        ends = np.isclose(np.abs(at[:, 1]), height, rtol=0, atol=1e-14) & np.isclose(np.abs(at[:, 0]), 1.0)
        assert boundary.fixed[ends].sum() == 4
    assert boundary.fixed.sum() == 8


def test_an_l_shape_has_six_corners() -> None:
    mesh = l_shape()
    boundary, points = boundary_of(mesh), places(mesh)
    assert boundary.fixed.sum() == 6
    assert boundary.fixed[(points == 0.5).all(axis=1)].all()


def test_surfaces_that_nobody_described_are_fixed() -> None:
    mesh = UnitBallMesh(refinement_level=1, comm=COMM_SELF)
    boundary = boundary_of(mesh)
    np.testing.assert_array_equal(boundary.fixed, MeshPatches(mesh).boundary())


def test_where_a_cylinder_meets_its_ends() -> None:
    mesh = round_slab()
    boundary, points = boundary_of(mesh), places(mesh)
    assert not boundary.fixed.any()
    radius, turn = np.hypot(points[:, 0], points[:, 1]), np.arctan2(points[:, 1], points[:, 0])
    on_rim = (radius > 1 - 1e-9) & ((points[:, 2] == 0) | (points[:, 2] == 0.5))
    assert on_rim.sum() == 2 * 32
    along = np.stack([-np.sin(turn), np.cos(turn), 0 * turn], axis=1)[on_rim]
    tangents = boundary.tangents(points)[on_rim]
    np.testing.assert_allclose(tangents, along[:, :, None] * along[:, None], rtol=0, atol=1e-13)
    moved = boundary.project(points + 0.1 * np.random.default_rng(0).standard_normal(points.shape))[on_rim]
    np.testing.assert_allclose(np.hypot(moved[:, 0], moved[:, 1]), 1.0, rtol=1e-14)
    np.testing.assert_allclose(moved[:, 2], points[on_rim, 2], rtol=0, atol=1e-15)
    # Not described, the wall is thirty-two plane strips, and vertices slide along the edges between them.
    boundary = boundary_of(slab())
    assert boundary.fixed.sum() == 2 * 32 and boundary.sliding.sum() == MeshPatches(mesh).boundary().sum() - 2 * 32


# -- projection --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DOMAINS)
def test_to_project_twice_is_to_project_once(name: str) -> None:
    mesh = domain(name)
    boundary, points = boundary_of(mesh), places(mesh)
    for size in (1e-9, 0.03, 1.0, 1e9, 1e300):
        moved = points + size * np.random.default_rng(1).standard_normal(points.shape)
        projected = boundary.project(moved)
        np.testing.assert_array_equal(boundary.project(projected), projected)
        np.testing.assert_array_equal(projected[boundary.fixed], points[boundary.fixed])
        free = ~(boundary.fixed | boundary.sliding)
        np.testing.assert_array_equal(projected[free], moved[free])
        assert np.isfinite(projected[~free]).all()


@pytest.mark.parametrize("name", DOMAINS)
def test_what_is_projected_follows_the_tangents(name: str) -> None:
    """To first order: P(x + e v) = x + e T v + O(e^2)."""
    mesh = domain(name)
    boundary, points = boundary_of(mesh), places(mesh)
    vectors = np.random.default_rng(1).standard_normal(points.shape)
    expected = boundary.tangential(points, vectors)
    np.testing.assert_allclose(expected, np.einsum("nij,nj->ni", boundary.tangents(points), vectors), atol=1e-15)
    found = (boundary.project(points + 1e-6 * vectors) - points) / 1e-6
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


# -- given geometries --------------------------------------------------------------------------------------------


def test_what_is_attached_is_kept_with_the_topology() -> None:
    mesh = disc()
    attached = attach_boundary(mesh, {1: Circle([0, 0], 1.0)})
    assert boundary_of(mesh) is attached
    turned = attached.project(places(mesh) @ np.array([[0.9, 0.1], [-0.1, 0.9]]))
    assert boundary_of(Mesh(function(mesh, turned))) is attached
    assert boundary_of(disc()) is not attached


def test_a_boundary_that_was_moved_on_purpose_is_found_anew() -> None:
    mesh = UnitSquareMesh(6, 6)
    attached = boundary_of(mesh)
    points = places(mesh)
    result = Prescribed(0.5 * points, slides=False).move(mesh, None)
    assert result.status is MoveStatus.DONE
    np.testing.assert_array_equal(result.coordinates.dat.data_ro, 1.5 * points)
    larger = Mesh(result.coordinates)
    boundary = boundary_of(larger)
    assert boundary is not attached and boundary is boundary_of(larger)
    np.testing.assert_array_equal(boundary.project(places(larger)), places(larger))
    np.testing.assert_array_equal(boundary.fixed, attached.fixed)
    # The mesh it was made from has its own as before.
    assert boundary_of(mesh) is attached


def test_what_is_given_has_to_fit() -> None:
    mesh, ball = disc(), UnitBallMesh(refinement_level=0)
    cases = [
        (mesh, {7: Circle([0, 0], 1)}, "geometries: got marker 7, expected one of those of the boundary: 1"),
        (mesh, {1: Circle([0.1, 0], 1)}, r"got Circle for marker 1 at a distance of 0\.\d+ from a vertex near \["),
        (mesh, {1: Sphere([0, 0, 0], 1)}, "got Sphere for marker 1 of a mesh in 2D, expected a curve in the plane"),
        (mesh, {1: Line([0, 0, 0], [1, 1, 1])}, "got Line for marker 1 of a mesh in 2D, expected a curve in the plane"),
        (ball, {1: Circle([0, 0], 1)}, "got Circle for marker 1 of a mesh in 3D, expected a surface"),
        (ball, {1: SplineCurve(np.eye(3))}, "got SplineCurve for marker 1 of a mesh in 3D, expected a surface"),
        (ball, {1: Plane([0, 0, 0], [0, 0, 1])}, "got Plane for marker 1 at a distance of .* correct the geometry"),
    ]
    for on, geometries, message in cases:
        with pytest.raises(ValueError, match=message):
            attach_boundary(on, geometries)
    with pytest.raises(ValueError, match=r"corner_angle: got 4.0, expected more than 0 and less than pi"):
        attach_boundary(mesh, corner_angle=4.0)
    with pytest.raises(ValueError, match=r"mesh: got .* curved and periodic meshes cannot be moved"):
        boundary_of(PeriodicUnitSquareMesh(3, 3))


def test_vertices_a_little_off_what_is_given_are_brought_onto_it() -> None:
    mesh = disc()
    points = places(mesh)
    mesh.coordinates.dat.data_wo[:] = np.round(points, 6)
    boundary = attach_boundary(mesh, {1: Circle([0, 0], 1.0)})
    result = Prescribed(1e-3 * points[:, ::-1]).move(mesh, None)
    at = result.coordinates.dat.data_ro[boundary.sliding]
    np.testing.assert_allclose(np.linalg.norm(at, axis=1), 1.0, rtol=1e-15)
    assert boundary_of(Mesh(result.coordinates)) is boundary
