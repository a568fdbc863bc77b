"""Moves along boundaries: they keep the shape and invert nothing, whatever they are, on any number of ranks."""

from __future__ import annotations

import sys
from pathlib import Path

import gmsh
import numpy as np
import pytest
from bounded import DOMAINS, Prescribed, disc, domain, places, round_disc
from firedrake import COMM_SELF, Mesh, UnitBallMesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from meshing.boundary import attach_boundary, boundary_of
from meshing.cad import CADCurve, CADSurface
from meshing.curves import Circle
from meshing.mover import MoveStatus
from meshing.patches import MeshPatches
from meshing.travel import TravelLimits

SLIDES = Path(__file__).with_name("slides.py")


def boundary_edges(mesh) -> np.ndarray:
    cells = mesh.coordinates.function_space().cell_node_map().values
    edges = np.sort(np.concatenate([cells[:, [0, 1]], cells[:, [1, 2]], cells[:, [0, 2]]]), axis=1)
    edges, count = np.unique(edges, axis=0, return_counts=True)
    return edges[count == 1]


def area_and_length(mesh) -> tuple[float, float]:
    points, cells = places(mesh), mesh.coordinates.function_space().cell_node_map().values
    edges = points[cells[:, 1:]] - points[cells[:, :1]]
    sides = np.linalg.norm(np.diff(points[boundary_edges(mesh)], axis=1), axis=2)
    return float(0.5 * np.abs(np.linalg.det(edges)).sum()), float(sides.sum())


# -- moves -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DOMAINS)
def test_no_move_inverts_an_element_or_leaves_the_boundary(name: str, adversary, worst_ratio) -> None:
    """Three adversarial moves one after the other, whatever they do to the boundary."""
    start = domain(name)
    boundary = boundary_of(start)
    cells = start.coordinates.function_space().cell_node_map().values
    limited = []

    @settings(max_examples=8 if name == "slab" else 20)
    @given(
        st.integers(0, 10**6),
        st.sampled_from(
            ("random", "towards a vertex", "alternating", "narrowest", "all widths", "huge", "translation")
        ),
        st.booleans(),
        st.sampled_from([0.0, 0.01, 0.3]),
    )
    def check(seed: int, kind: str, relative: bool, narrowest: float) -> None:
        mesh = start
        for turn in range(3):
            points = places(mesh)
            mover = Prescribed(adversary(kind, seed + turn, points, cells))
            mover.limits = TravelLimits(relative=relative, narrowest=narrowest)
            result = mover.move(mesh, None)
            moved = result.coordinates.dat.data_ro.copy()
            assert result.min_jacobian_ratio > 0
            # Without a bound widths can come near to the rounding of the coordinates, with no digits to compare.
            for time in (0.25, 0.5, 0.75, 1.0) if narrowest else ():
                assert worst_ratio(points, cells, time * (moved - points)) > 0
            assert boundary_of(mesh) is boundary
            off = np.linalg.norm(boundary.project(moved) - moved, axis=1)
            assert off.max() <= 1e-12 * boundary.size
            np.testing.assert_array_equal(moved[boundary.fixed], places(start)[boundary.fixed])
            limited.append(result.status is MoveStatus.LIMITED)
            mesh = Mesh(result.coordinates)

    check()
    assert np.mean(limited) > 0.3


@pytest.mark.parametrize("name", ["disc, circle", "ring, given", "ball", "slab"])
def test_limited_moves_stay_on_the_exact_shape(name: str, adversary) -> None:
    """By the shape's own equation, not by what projects on it."""
    mesh = domain(name)
    cells = mesh.coordinates.function_space().cell_node_map().values
    on_boundary = MeshPatches(mesh).boundary()
    away = []
    for seed in range(8):
        result = Prescribed(adversary("random", seed, places(mesh), cells)).move(mesh, None)
        points = result.coordinates.dat.data_ro[on_boundary]
        away.append(float(np.abs(places(mesh)[on_boundary] - points).max()))
        radius = np.linalg.norm(points[:, :2] if name == "slab" else points, axis=1)
        gap = np.abs(radius - 1.0)
        if name == "ring, given":
            gap = np.minimum(gap, np.abs(radius - 0.5))
        if name == "slab":
            gap = np.minimum(gap, np.abs(points[:, 2] * (points[:, 2] - 0.5)))
        assert gap.max() < 1e-14
    assert max(away) > 0.02


def test_a_long_slide_is_taken_whole() -> None:
    """Half a turn of a disc's rim in twenty moves, all taken whole, though their chords lead out of the circle."""
    mesh = round_disc()
    points = places(mesh)
    quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])
    for _ in range(20):
        result = Prescribed(places(mesh) @ quarter * np.tan(np.pi / 20)).move(mesh, None)
        assert result.status is MoveStatus.DONE
        mesh = Mesh(result.coordinates)
    # Inside, nothing projects, and every move is longer than its arc: only the rim is half a turn on.
    rim = boundary_of(mesh).sliding
    np.testing.assert_allclose(places(mesh)[rim], -points[rim], rtol=0, atol=1e-13)


# -- shape -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cad_disc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the CAD file of the unit disc and of the unit ball, written by gmsh."""
    folder = tmp_path_factory.mktemp("cad")
    gmsh.initialize(readConfigFiles=False, interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    try:
        gmsh.model.occ.addDisk(0, 0, 0, 1, 1)
        gmsh.model.occ.synchronize()
        gmsh.write(str(folder / "disc.brep"))
        gmsh.model.add("ball")
        gmsh.model.occ.addSphere(0, 0, 0, 1)
        gmsh.model.occ.synchronize()
        gmsh.write(str(folder / "ball.brep"))
    finally:
        gmsh.finalize()
    return folder


def slide(
    rng: np.random.Generator, start: np.ndarray, points: np.ndarray, rim: np.ndarray, spacing: float
) -> np.ndarray:
    """Displacement towards a random spacing of the rim, tangential; inside it follows the common turn.

    Neighbours that were h apart become between 0.2 h and 1.8 h apart, after a common turn of up to 3 h.
    """
    turn = spacing * rng.uniform(-3, 3)
    at, first = (np.arctan2(place[:, 1], place[:, 0]) for place in (points, start))
    wanted = first + turn + np.where(rim, spacing * rng.uniform(-0.4, 0.4, len(points)), 0.0)
    change = np.remainder(wanted - at + np.pi, 2 * np.pi) - np.pi
    # The rim keeps to its tangent, the tangent of the angle of the circle long.
    change = np.where(rim, np.tan(np.clip(change, -1.0, 1.0)), change)
    tangential = change[:, None] * np.stack([-points[:, 1], points[:, 0]], axis=1)
    inside = np.linalg.norm(start, axis=1)[:, None] * np.stack([np.cos(wanted), np.sin(wanted)], axis=1) - points
    return np.where(rim[:, None], tangential, inside)


@pytest.mark.parametrize("geometry", ["circle", "spline", "CAD"])
@pytest.mark.parametrize("level", [2, 3, 4])
def test_twenty_strong_moves_keep_the_shape_of_a_disc(geometry: str, level: int, cad_disc: Path) -> None:
    """Area and length change by less than the first polygon's difference from the circle."""
    mesh = disc(level)
    if geometry == "circle":
        attach_boundary(mesh, {1: Circle([0, 0], 1.0)})
    elif geometry == "CAD":
        attach_boundary(mesh, {1: CADCurve(cad_disc / "disc.brep", 1)})
    boundary, start = boundary_of(mesh), places(mesh)
    rng, spacing = np.random.default_rng(level), 2 * np.pi / boundary.sliding.sum()
    area, length = area_and_length(mesh)
    chordal = np.array([np.pi - area, 2 * np.pi - length])
    changes, travelled = [], np.zeros(len(start))
    for _ in range(20):
        before = places(mesh)
        result = Prescribed(slide(rng, start, before, boundary.sliding, spacing)).move(mesh, None)
        mesh = Mesh(result.coordinates)
        travelled += np.linalg.norm(places(mesh) - before, axis=1)
        changes.append(np.abs(np.array(area_and_length(mesh)) - [area, length]) / chordal)
    print(f"{geometry}, level {level}: change over chordal error, area and length: {np.max(changes, axis=0).round(3)}")
    assert travelled[boundary.sliding].mean() > 10 * spacing
    assert np.max(changes) < 1.0
    radius = np.linalg.norm(places(mesh)[boundary.sliding], axis=1)
    assert np.abs(radius - 1).max() < (1e-2 * spacing**4 if geometry == "spline" else 2e-15)


def test_the_area_lost_to_unequal_spacing_is_known() -> None:
    """Polygon in a circle: the sum of the cubes of its angles over 12, so that no mover can spread them at will."""
    mesh = round_disc()
    points, rim = places(mesh), boundary_of(mesh).sliding
    turn = np.arctan2(points[:, 1], points[:, 0])
    wanted = turn + 0.45 * np.sin(turn)
    target = np.linalg.norm(points, axis=1)[:, None] * np.stack([np.cos(wanted), np.sin(wanted)], axis=1)
    result = Prescribed(target - points).move(mesh, None)
    assert result.status is MoveStatus.DONE
    angles = np.diff(np.sort(wanted[rim]), append=np.sort(wanted[rim])[0] + 2 * np.pi)
    lost = np.pi - area_and_length(Mesh(result.coordinates))[0]
    assert lost == pytest.approx(np.sum(angles**3) / 12, rel=0.02)
    # Equal angles h would lose 2 pi h^2 / 12; the mean of (1 + a cos)^3 is 1 + 1.5 a^2.
    assert lost / (np.pi - area_and_length(mesh)[0]) == pytest.approx(1 + 1.5 * 0.45**2, rel=0.05)


def test_a_ball_of_a_cad_file_stays_round(cad_disc: Path) -> None:
    mesh = UnitBallMesh(refinement_level=1, comm=COMM_SELF)
    boundary = attach_boundary(mesh, {1: CADSurface(cad_disc / "ball.brep", 1)}, corner_angle=1.5)
    assert boundary.sliding.sum() == MeshPatches(mesh).boundary().sum()
    for seed in range(5):
        values = 0.2 * np.random.default_rng(seed).standard_normal(places(mesh).shape)
        mesh = Mesh(Prescribed(values).move(mesh, None).coordinates)
    at = places(mesh)[boundary.sliding]
    np.testing.assert_allclose(np.linalg.norm(at, axis=1), 1.0, rtol=0, atol=1e-14)
    assert ConvexHull(at).volume > 0.5 * ConvexHull(places(domain("ball"))).volume


# -- over ranks --------------------------------------------------------------------------------------------------


@pytest.mark.parallel
def test_two_ranks_find_and_keep_the_same_boundary(mpiexec, tmp_path: Path) -> None:
    written = {}
    for ranks in (1, 2):
        out = tmp_path / f"{ranks}.npz"
        outcome = mpiexec(ranks, [sys.executable, SLIDES, out])
        assert (outcome.code, outcome.err) == (0, "")
        written[ranks] = np.load(out)
    names = {key.split(":")[0] for key in written[1]}
    assert names == {"disc", "spline disc", "dealt disc", "cube", "ball"}
    for name in names:
        order = [np.lexsort(written[ranks][f"{name}:place"].round(9).T) for ranks in (1, 2)]
        for key, tolerance in (
            ("place", 1e-15),
            ("kind", 0),
            ("project", 1e-13),
            ("tangents", 1e-13),
            ("moved", 1e-11),
        ):
            one, two = (written[ranks][f"{name}:{key}"][order[ranks - 1]] for ranks in (1, 2))
            assert np.ptp(one) > 0.01
            np.testing.assert_allclose(two, one, rtol=0, atol=tolerance, err_msg=f"{name}, {key}")
