"""Closest points on curves and surfaces: the shape's own equations, distances against dense samples, directions."""

from __future__ import annotations

from pathlib import Path

import gmsh
import numpy as np
import pytest
from scipy.spatial import cKDTree

from meshing.cad import CADCurve, CADSurface, cad_tags
from meshing.curves import Circle, ClosestPoint, CurvePiece, Line, SplineCurve
from meshing.surfaces import Cylinder, Intersection, Plane, Sphere

ANGLES = np.linspace(0.0, 2 * np.pi, 40, endpoint=False)


def wavy(angle: np.ndarray) -> np.ndarray:
    radius = 1.0 + 0.2 * np.sin(5 * angle)
    return radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def helix(parameter: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(parameter), np.sin(parameter), 0.3 * parameter], axis=-1)


def on_circle(angle: np.ndarray) -> np.ndarray:
    return np.array([0.1, 0.2]) + 0.7 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def on_sphere(turn: np.ndarray, height: np.ndarray) -> np.ndarray:
    across = np.sqrt(1 - height**2)
    return np.array([0.1, 0.2, 0.3]) + 0.7 * np.stack([across * np.cos(turn), across * np.sin(turn), height], axis=-1)


def on_cylinder(turn: np.ndarray, height: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(turn), np.sin(turn), 2 * height], axis=-1)


def on_torus(turn: np.ndarray, other: np.ndarray) -> np.ndarray:
    other = np.pi * other
    radius = 2 + 0.5 * np.cos(other)
    return np.stack([9 + radius * np.cos(turn), radius * np.sin(turn), 0.5 * np.sin(other)], axis=-1)


def written(path: Path, draw) -> Path:
    gmsh.initialize(readConfigFiles=False, interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    try:
        draw(gmsh.model.occ)
        gmsh.model.occ.synchronize()
        gmsh.write(str(path))
    finally:
        gmsh.finalize()
    return path


@pytest.fixture(scope="module")
def cad(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return two CAD files: the circle above and an open spline; a torus about (9, 0, 0) and the sphere above."""

    def draw_curves(occ) -> None:
        occ.addCircle(0.1, 0.2, 0, 0.7)
        occ.addSpline([occ.addPoint(2 * np.cos(t) - 9, np.sin(3 * t), 0) for t in np.linspace(0, 2, 8)])

    def draw_surfaces(occ) -> None:
        occ.addTorus(9, 0, 0, 2, 0.5)
        occ.addSphere(0.1, 0.2, 0.3, 0.7)

    folder = tmp_path_factory.mktemp("cad")
    return written(folder / "curves.brep", draw_curves), written(folder / "surfaces.brep", draw_surfaces)


# A shape, made when asked for as some need the CAD file; and points of it, dense, from a formula of its own.
TURNS, HEIGHTS = (grid.ravel() for grid in np.meshgrid(np.linspace(0, 2 * np.pi, 400), np.linspace(-1, 1, 400)))
SHAPES = {
    "line": (lambda _: Line([0.2, -0.3], [1.0, 0.8]), np.linspace([0.2, -0.3], [1.0, 0.8], 20001)),
    "level line": (lambda _: Line([1.0, 0.3], [0.2, 0.3]), np.linspace([0.2, 0.3], [1.0, 0.3], 20001)),
    "circle": (lambda _: Circle([0.1, 0.2], 0.7), on_circle(np.linspace(0, 2 * np.pi, 20001))),
    "closed spline": (lambda _: SplineCurve(wavy(ANGLES), closed=True), None),
    "open spline": (lambda _: SplineCurve(wavy(ANGLES[:-9])), None),
    "spline of three": (lambda _: SplineCurve([[0.0, 0.0], [0.5, 0.3], [1.0, 0.0]]), None),
    "spline in space": (lambda _: SplineCurve(helix(np.linspace(0, 9, 50))), None),
    "closest point": (
        lambda _: ClosestPoint(Circle([0.1, 0.2], 0.7).closest),
        on_circle(np.linspace(0, 2 * np.pi, 20001)),
    ),
    "CAD circle": (lambda cad: CADCurve(cad[0], 1), on_circle(np.linspace(0, 2 * np.pi, 20001))),
    "CAD spline": (lambda cad: CADCurve(cad[0], 2), None),
    "CAD curves": (lambda cad: CADCurve(cad[0], [1, 2]), None),
    "plane": (
        lambda _: Plane([0.1, 0.2, 0.3], [1.0, 2.0, -1.0]),
        np.array([0.1, 0.2, 0.3]) + np.stack([5 * TURNS - 15, 5 * HEIGHTS, 5 * TURNS - 15 + 10 * HEIGHTS], axis=1),
    ),
    "level plane": (
        lambda _: Plane([0.1, 0.2, 0.3], [0.0, 0.0, -2.0]),
        np.stack([TURNS - 3, 3 * HEIGHTS, 0.3 + 0 * TURNS], axis=1),
    ),
    "sphere": (lambda _: Sphere([0.1, 0.2, 0.3], 0.7), on_sphere(TURNS, HEIGHTS)),
    "cylinder": (lambda _: Cylinder([0.0, 0.0, 9.0], [0.0, 0.0, -2.0], 1.0), on_cylinder(TURNS, 2 * HEIGHTS)),
    "closest point in space": (lambda _: ClosestPoint(Sphere([0.1, 0.2, 0.3], 0.7).closest), on_sphere(TURNS, HEIGHTS)),
    "CAD torus": (lambda cad: CADSurface(cad[1], 1), on_torus(TURNS, HEIGHTS)),
    "CAD sphere": (lambda cad: CADSurface(cad[1], 2), on_sphere(TURNS, HEIGHTS)),
}
# What is zero on the surface and nowhere else near to it.
EQUATIONS = {
    "plane": lambda x: (x - [0.1, 0.2, 0.3]) @ [1.0, 2.0, -1.0],
    "level plane": lambda x: x[:, 2] - 0.3,
    "sphere": lambda x: np.linalg.norm(x - [0.1, 0.2, 0.3], axis=1) - 0.7,
    "cylinder": lambda x: np.hypot(x[:, 0], x[:, 1]) - 1.0,
    "closest point in space": lambda x: np.linalg.norm(x - [0.1, 0.2, 0.3], axis=1) - 0.7,
    "CAD torus": lambda x: np.hypot(np.hypot(x[:, 0] - 9.0, x[:, 1]) - 2.0, x[:, 2]) - 0.5,
    "CAD sphere": lambda x: np.linalg.norm(x - [0.1, 0.2, 0.3], axis=1) - 0.7,
}


def dense(name: str, cad: tuple[Path, Path]) -> tuple:
    """Return a shape, points of it, and points around it."""
    make, samples = SHAPES[name]
    shape = make(cad)
    if samples is None:
        samples = sampled(shape, name)
    rng = np.random.default_rng(0)
    points = rng.permutation(samples)[:200]
    return shape, samples, points + rng.standard_normal(points.shape) * rng.choice([0.0, 1e-6, 0.05, 0.3], (200, 1))


def sampled(shape, name: str) -> np.ndarray:
    if name.startswith("CAD"):
        curves = shape._curves
        return np.concatenate(
            [curve._at(np.linspace(curve._low, curve._low + curve._length, 20001), 0) for curve in curves]
        )
    spline = shape._derivatives[0]
    return spline(np.linspace(0, spline.x[-1], 20001))


@pytest.mark.parametrize("name", SHAPES)
def test_closest_points_are_on_the_shape_and_closest(name: str, cad: tuple[Path, Path]) -> None:
    shape, samples, points = dense(name, cad)
    found = shape.closest(points)
    tree = cKDTree(samples)
    if name in EQUATIONS:
        np.testing.assert_allclose(EQUATIONS[name](found), 0.0, atol=5e-15)
    else:
        assert tree.query(found)[0].max() < 1e-3
    # None of the samples is closer.
    assert (np.linalg.norm(found - points, axis=1) <= tree.query(points)[0] + 1e-14).all()
    np.testing.assert_allclose(shape.closest(found), found, rtol=0, atol=2e-14)


@pytest.mark.parametrize("name", SHAPES)
def test_projectors_are_those_of_the_tangent_space(name: str, cad: tuple[Path, Path]) -> None:
    """Orthogonal projectors of the right rank; the secant to a near point of the shape lies in the tangent space."""
    shape, samples, _ = dense(name, cad)
    at = samples[500:-500:7]
    projector = shape.projectors(at)
    np.testing.assert_allclose(projector, projector.swapaxes(1, 2), rtol=0, atol=1e-14)
    np.testing.assert_allclose(projector @ projector, projector, rtol=0, atol=1e-13)
    np.testing.assert_allclose(np.trace(projector, axis1=1, axis2=2), 2 if name in EQUATIONS else 1, rtol=1e-12)
    distance, near = cKDTree(samples).query(at, k=2)
    secant = (samples[near[:, 1]] - at) / distance[:, 1:]
    aside = np.linalg.norm(secant - np.einsum("nij,nj->ni", projector, secant), axis=1)
    assert aside.max() < 5 * distance[:, 1].max() + 1e-9


@pytest.mark.parametrize("name", SHAPES)
def test_no_points_have_no_closest_ones(name: str, cad: tuple[Path, Path]) -> None:
    shape, samples, _ = dense(name, cad)
    dimension = samples.shape[1]
    assert shape.closest(np.zeros((0, dimension))).shape == (0, dimension)
    assert shape.projectors(np.zeros((0, dimension))).shape == (0, dimension, dimension)


def test_a_spline_follows_its_curve_to_fourth_order() -> None:
    angle, errors = np.linspace(0, 2 * np.pi, 5000), []
    for count in (20, 40, 80, 160):
        nodes = np.linspace(0, 2 * np.pi, count, endpoint=False)
        found = SplineCurve(wavy(nodes + 0.3 * np.sin(nodes)), closed=True).closest(wavy(angle))
        errors.append(np.linalg.norm(found - wavy(angle), axis=1).max())
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    print("spline: errors", errors, "rates", rates)
    assert rates[-1] > 3.8


def test_newton_finds_the_foot_of_the_normal() -> None:
    """To rounding: the way from the closest point inside a curve to the point is at right angles to the curve."""
    spline = SplineCurve(wavy(ANGLES), closed=True)
    points = wavy(np.random.default_rng(1).uniform(0, 7, 500)) * np.random.default_rng(2).uniform(0.9, 1.1, (500, 1))
    away, direction = spline.closest(points) - points, spline.directions(points)
    assert np.abs(np.einsum("ni,ni->n", away, direction)).max() < 1e-13


def test_nothing_goes_beyond_the_ends() -> None:
    nodes = wavy(np.linspace(0.2, 1.4, 12))
    far = nodes[[0, -1]] + np.array([[3.0, -3.0], [-4.0, 1.0]])
    for curve in (
        Line(nodes[0], nodes[-1]),
        SplineCurve(nodes),
        CurvePiece(SplineCurve(wavy(ANGLES), closed=True), nodes),
    ):
        np.testing.assert_allclose(curve.closest(far), nodes[[0, -1]], rtol=0, atol=1e-15)
    arc = on_circle(np.linspace(0.2, 1.4, 5))
    piece = CurvePiece(Circle([0.1, 0.2], 0.7), arc)
    # The whole circle would have points nearer to these.
    beyond = on_circle(np.array([0.1, -0.5, 1.5, 2.4]))
    np.testing.assert_array_equal(piece.closest(beyond), arc[[0, 0, -1, -1]])
    within = on_circle(np.linspace(0.2001, 1.3999, 100))
    np.testing.assert_allclose(piece.closest(within), within, rtol=0, atol=1e-15)


@pytest.mark.parametrize("half_angle", [0.2, 1.0])
def test_at_the_corner_of_a_loop_both_sides_count(half_angle: float) -> None:
    """A drop: two straight sides from the origin, more or less far apart, joined by an arc."""
    straight = np.linspace(0.0, 1.0, 9)[:, None] * np.array([np.cos(half_angle), np.sin(half_angle)])
    turn = np.linspace(half_angle, -half_angle, 9)[1:-1]
    arc = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    nodes = np.concatenate([straight, arc, straight[::-1] * [1.0, -1.0]])
    spline = SplineCurve(nodes)
    near = np.array([0.003, 0.01, 0.05])[:, None] * straight[-1]
    sides = np.concatenate([near, near * [1.0, -1.0]])
    outside = np.array([[-0.1, 0.0], [-1e-3, 0.0]])
    for curve in (spline, CurvePiece(spline, nodes)):
        # The spline is straight there but for the faint wave that the arc sends.
        np.testing.assert_allclose(curve.closest(sides), sides, rtol=0, atol=2e-4)
        assert (np.linalg.norm(curve.closest(sides), axis=1) > 0.002).all()
        np.testing.assert_allclose(curve.closest(outside), 0.0, rtol=0, atol=1e-15)


def test_sides_parallel_to_an_axis_are_kept_bit_for_bit() -> None:
    points = np.random.default_rng(0).uniform(-1, 2, (1000, 3))
    third = 1.0 / 3.0
    line = Line([third, 0.1], [third, 0.9]).closest(points[:, :2])
    assert (line[:, 0] == third).all()
    np.testing.assert_array_equal(line[:, 1], np.clip(points[:, 1], 0.1, 0.9))
    plane = Plane([0.0, third, 0.0], [0.0, 5.0, 0.0]).closest(points)
    assert (plane[:, 1] == third).all()
    np.testing.assert_array_equal(plane[:, [0, 2]], points[:, [0, 2]])


def test_where_surfaces_meet() -> None:
    """Cylinder and oblique plane: on both, and near to the closest point of the ellipse; afar, a node of it."""
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    ellipse = np.stack([np.cos(turn), np.sin(turn), 0.5 * np.cos(turn)], axis=1)
    curve = Intersection(Cylinder([0, 0, 0], [0, 0, 1], 1.0), Plane([0, 0, 0], [0.5, 0, -1]), ellipse)
    rng = np.random.default_rng(0)
    points = ellipse + 0.1 * rng.standard_normal(ellipse.shape)
    found = curve.closest(points)
    np.testing.assert_allclose(np.linalg.norm(found[:, :2], axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(found[:, 2], 0.5 * found[:, 0], rtol=0, atol=1e-14)
    assert np.linalg.norm(found - points, axis=1).max() < 0.5
    np.testing.assert_allclose(curve.closest(ellipse), ellipse, rtol=0, atol=1e-15)
    tangent = np.stack([-np.sin(turn), np.cos(turn), -0.5 * np.sin(turn)], axis=1)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    np.testing.assert_allclose(curve.projectors(ellipse), tangent[:, :, None] * tangent[:, None], rtol=0, atol=1e-13)
    for point in ([0.0, 0.0, 0.0], [0.0, 0.0, 1e6], [1e6, 0.0, 0.0]):
        at = curve.closest(np.array([point]))[0]
        assert np.linalg.norm(at[:2]) == pytest.approx(1.0, rel=1e-12)
        assert at[2] == pytest.approx(0.5 * at[0], abs=1e-12)


def test_centres_have_a_closest_point() -> None:
    assert np.linalg.norm(Circle([1, 2], 0.5).closest(np.array([[1.0, 2.0]])) - [1, 2]) == pytest.approx(0.5)
    assert np.linalg.norm(Sphere([1, 2, 3], 0.5).closest(np.array([[1.0, 2.0, 3.0]])) - [1, 2, 3]) == pytest.approx(0.5)
    cylinder = Cylinder([0, 0, 0], [1, 1, 1], 0.5)
    assert np.linalg.norm(cylinder.closest(np.full((1, 3), 7.0)) - 7.0) == pytest.approx(0.5)


def test_who_else_uses_gmsh_is_left_alone(cad: tuple[Path, Path]) -> None:
    curve = CADCurve(cad[0], 1)
    point = np.array([[3.0, 0.2]])
    for finish in (gmsh.clear, gmsh.finalize):
        gmsh.isInitialized() or gmsh.initialize(readConfigFiles=False, interruptible=False)
        gmsh.model.add("another's")
        np.testing.assert_allclose(curve.closest(point), [[0.8, 0.2]], rtol=1e-15)
        assert gmsh.model.getCurrent() == "another's"
        assert gmsh.model.getEntities() == []
        finish()
        np.testing.assert_allclose(curve.closest(point), [[0.8, 0.2]], rtol=1e-15)


def test_what_is_no_longer_used_leaves_gmsh(cad: tuple[Path, Path]) -> None:
    curve, surface = CADCurve(cad[0], 1), CADSurface(cad[1], 1)
    before = len(gmsh.model.list())
    del curve
    assert len(gmsh.model.list()) == before - 1
    assert surface.closest(np.zeros((1, 3))).shape == (1, 3)


def test_the_entities_of_a_file(cad: tuple[Path, Path]) -> None:
    assert cad_tags(cad[0], 1) == [1, 2]
    assert cad_tags(cad[1], 2) == [1, 2]
    with pytest.raises(ValueError, match=r"CAD: got no surface in .*curves.brep, expected a CAD file that gmsh reads"):
        cad_tags(cad[0], 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Line([0, 0], [0, 0]), r"Line: got ends \[0, 0\] and \[0, 0\], expected two different points"),
        (lambda: Line([0, 0], [0, 0, 1]), "Line: got ends .* expected two points of the plane or of space"),
        (lambda: Circle([0, 0], 0.0), "Circle: got radius 0.0, expected more than 0"),
        (lambda: Circle([0, 0, 0], 1.0), r"Circle: got centre \[0, 0, 0\], expected a point of the plane"),
        (lambda: SplineCurve(np.zeros((1, 2))), r"SplineCurve: got nodes of shape \(1, 2\), expected \(n, 2\)"),
        (lambda: SplineCurve(np.zeros((4, 2))), "SplineCurve: got two neighbours at one place"),
        (lambda: Plane([0, 0, 0], [0, 0, 0]), r"Plane: got normal .* expected a vector that is not zero"),
        (lambda: Sphere([0, 0], 1.0), r"Sphere: got centre \[0, 0\], expected three finite numbers"),
        (lambda: Cylinder([0, 0, 0], [0, 0, 1], np.nan), "Cylinder: got radius nan, expected more than 0"),
        (lambda: CADCurve("nowhere.brep", 1), "CAD: got no file nowhere.brep, expected a .brep"),
    ],
)
def test_shapes_without_sense_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_cad_files_without_the_entity_are_refused(cad: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"CAD: got curve 99, expected one of those in .*: 1, 2"):
        CADCurve(cad[0], [1, 99])
    with pytest.raises(ValueError, match=r"CAD: got surface 9, expected one of those in .*: 1, 2"):
        CADSurface(cad[1], 9)
    with pytest.raises(ValueError, match=r"CADCurve: got curve .* outside of z = 0, expected one in the plane"):
        CADCurve(cad[1], 2)
    broken = tmp_path / "broken.brep"
    broken.write_text("no CAD")
    with pytest.raises(ValueError, match=r"CAD: got no curve in .*broken.brep, expected a CAD file that gmsh reads"):
        CADCurve(broken, 1)


def test_closest_point_functions_that_fail_are_refused() -> None:
    with pytest.raises(ValueError, match=r"ClosestPoint: got values of shape \(2,\) or not finite, expected finite"):
        ClosestPoint(lambda points: points[0]).closest(np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"ClosestPoint: got values .* not finite"):
        ClosestPoint(lambda points: points * np.nan).closest(np.zeros((3, 2)))
