"""Displacements followed in limited steps: far targets are reached, impossible ones end in a valid mesh."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshing.patches import VertexPatches
from meshing.simplex import simplex_widths
from meshing.travel import TravelLimits, follow_displacement

ADVERSARIES = ("random", "towards a vertex", "alternating", "narrowest", "all widths", "huge", "translation")


def follow(points, cells, displacement, **limits):
    patches = VertexPatches(cells, len(points))
    return follow_displacement(patches, points, displacement, TravelLimits(**limits), patches.boundary())


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_valid_target_is_reached_however_far(dimension, delaunay, worst_ratio) -> None:
    """An affine map with positive eigenvalues: its path to the identity never degenerates."""
    points, cells = delaunay(2, dimension, 100)
    matrix = np.diag([0.05, 4.0, 1.0][:dimension])
    matrix[0, 1] = 0.5
    target = points @ matrix.T - points + 7.0
    travel = follow(points, cells, target)
    assert travel.arrived
    np.testing.assert_array_equal(travel.points, points + target)
    assert travel.min_jacobian_ratio == pytest.approx(0.2, rel=1e-9)
    # The same is refused where the limits say so: the narrowest cells have become 20 times narrower.
    assert not follow(points, cells, target, narrowest=0.5).arrived


def test_a_valid_target_with_an_invalid_path_is_not_taken(delaunay, worst_ratio) -> None:
    """Half a turn leaves every cell as it is but takes all of them through one point."""
    points, cells = delaunay(2, 2, 40)
    turned = 2 * (0.5 - points)
    assert worst_ratio(points, cells, turned) == pytest.approx(1.0)
    travel = follow(points, cells, turned)
    assert not travel.arrived
    assert worst_ratio(points, cells, travel.points - points) > 0
    # A turn of 60 degrees is valid all the way.
    cosine, sine = 0.5, np.sqrt(0.75)
    turned = (points - 0.5) @ np.array([[cosine, sine], [-sine, cosine]]) + 0.5 - points
    assert follow(points, cells, turned).arrived


@pytest.mark.parametrize(("kind", "seed"), [("all widths", 334), ("translation", 413)])
def test_steps_end_before_the_straight_way_is_invalid(kind, seed, delaunay, adversary, worst_ratio) -> None:
    """Each of the steps is valid here, but not the short cut from the start to where twenty of them would lead."""
    points, cells = delaunay(seed, 2, 30)
    travel = follow(points, cells, adversary(kind, seed, points, cells), steps=20)
    assert np.abs(travel.points - points).max() > 0.01
    for time in np.linspace(0.0, 1.0, 1001):
        assert worst_ratio(points, cells, time * (travel.points - points)) > 0


def test_steps_lead_on_where_a_target_is_out_of_reach(delaunay) -> None:
    """A target valid but for one cell: more steps come nearer, the relative form faster."""
    points, cells = delaunay(4, 2, 300)
    inside = ~VertexPatches(cells, 300).boundary()
    target = np.where(inside[:, None], 0.4 * np.sin(np.pi * points).prod(axis=1, keepdims=True) * [1.0, 0.5], 0.0)
    target[np.argmax(inside)] = -1.0

    def missing(**limits) -> float:
        travel = follow(points, cells, target, **limits)
        assert not travel.arrived and travel.min_jacobian_ratio > 0
        return float(np.linalg.norm(points + target - travel.points) / np.linalg.norm(target))

    relative = [missing(steps=steps) for steps in (1, 3, 10)]
    absolute = [missing(steps=steps, relative=False) for steps in (1, 3, 10)]
    assert relative[0] > relative[1] > relative[2]
    assert all(one < other for one, other in zip(relative, absolute, strict=True))


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.sampled_from([2, 3]),
    st.sampled_from(ADVERSARIES),
    st.booleans(),
    st.sampled_from([0.0, 0.01, 0.3]),
)
def test_an_impossible_target_ends_in_a_valid_mesh(
    delaunay, adversary, worst_ratio, seed, dimension, kind, relative, narrowest
) -> None:
    points, cells = delaunay(seed, dimension, 30)
    wanted = adversary(kind, seed, points, cells)
    travel = follow(points, cells, wanted, relative=relative, narrowest=narrowest)
    ratio = worst_ratio(points, cells, travel.points - points)
    assert travel.min_jacobian_ratio > 0
    for time in (0.25, 0.5, 0.75):
        assert worst_ratio(points, cells, time * (travel.points - points)) > 0
    if narrowest:
        # Without a bound ratios can come near to the rounding of the coordinates, with no digits to compare.
        assert ratio == pytest.approx(travel.min_jacobian_ratio, rel=1e-2)
        widths = simplex_widths(travel.points, cells) / simplex_widths(points, cells)
        assert widths.min() >= narrowest * (1 - 1e-3)


def onto_circle(points: np.ndarray, rim: np.ndarray):
    """Bring the vertices of a rim back onto the unit circle, wherever they have been."""

    def project(moved: np.ndarray) -> np.ndarray:
        result = moved.copy()
        length = np.hypot(*moved[rim].T)[:, None]
        result[rim] = np.where(length > 0, moved[rim] / np.where(length > 0, length, 1.0), points[rim])
        return result

    return project


def fan(spokes: int) -> tuple[np.ndarray, np.ndarray]:
    """A disc of few cells around its middle."""
    turn = 2 * np.pi * np.arange(spokes) / spokes
    points = np.vstack([np.zeros((1, 2)), np.stack([np.cos(turn), np.sin(turn)], axis=1)])
    return points, np.array([[0, 1 + k, 1 + (k + 1) % spokes] for k in range(spokes)])


def test_the_target_is_projected_before_anything_else() -> None:
    points, cells = fan(12)
    patches = VertexPatches(cells, len(points))
    rim = patches.boundary()
    project = onto_circle(points, rim)
    displacement = 0.3 * points @ np.array([[0.0, 1.0], [-1.0, 0.0]]) + 0.2 * points
    travel = follow_displacement(patches, points, displacement, TravelLimits(), rim, project)
    assert travel.arrived
    np.testing.assert_array_equal(travel.points, project(points + displacement))


@settings(max_examples=100)
@given(
    st.integers(0, 10**6),
    st.sampled_from([4, 5, 7, 12]),
    st.sampled_from(ADVERSARIES),
    st.booleans(),
    st.sampled_from([0.01, 0.3]),
    st.sampled_from([0.1, 0.45, 0.4999]),
)
def test_a_projection_inverts_nothing(
    adversary, worst_ratio, seed, spokes, kind, relative, narrowest, fraction
) -> None:
    """On a rim of few vertices the projection moves as much as the limited steps do."""
    points, cells = fan(spokes)
    patches = VertexPatches(cells, len(points))
    rim, limits = patches.boundary(), TravelLimits(relative=relative, narrowest=narrowest, fraction=fraction)
    wanted = adversary(kind, seed, points, cells)
    travel = follow_displacement(patches, points, wanted, limits, rim, onto_circle(points, rim))
    for time in (0.25, 0.5, 0.75, 1.0):
        assert worst_ratio(points, cells, time * (travel.points - points)) > 0
    widths = simplex_widths(travel.points, cells) / simplex_widths(points, cells)
    assert widths.min() >= narrowest * (1 - 1e-3)
    np.testing.assert_allclose(np.linalg.norm(travel.points[rim], axis=1), 1.0, rtol=1e-15)


def test_only_what_would_be_inverted_stays(worst_ratio) -> None:
    """A projection that throws one vertex of the rim across its neighbour: it and its cells stop, the others go on."""
    points, cells = fan(12)
    patches = VertexPatches(cells, len(points))
    rim, thrown, far = patches.boundary(), 1, 7

    def project(moved: np.ndarray) -> np.ndarray:
        result = onto_circle(points, rim)(moved)
        if (moved[thrown] != points[thrown]).any():
            result[thrown] = -points[thrown]
        return result

    displacement = 0.2 * points @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    travel = follow_displacement(patches, points, displacement, TravelLimits(), rim, project)
    assert not travel.arrived and travel.min_jacobian_ratio > 0
    assert worst_ratio(points, cells, travel.points - points) > 0
    np.testing.assert_array_equal(travel.points[thrown], points[thrown])
    assert np.linalg.norm(travel.points[far] - points[far]) > 0.19


def test_the_input_stays() -> None:
    points, cells = np.eye(3)[:, :2].copy(), np.array([[0, 1, 2]])
    kept = points.copy()
    travel = follow(points, cells, np.ones_like(points))
    np.testing.assert_array_equal(points, kept)
    np.testing.assert_array_equal(travel.points, kept + 1.0)
    assert (travel.arrived, travel.min_jacobian_ratio) == (True, 1.0)


def test_what_rounding_inverts_is_not_taken() -> None:
    """Beside coordinates of 1e16 an element of width 2 is as narrow as their rounding."""
    points, cells = np.array([[1e16, 0.0], [1e16 + 2.0, 0.0], [1e16, 2.0]]), np.array([[0, 1, 2]])
    travel = follow(points, cells, np.array([[0.0, 0.0], [-1.2, 0.0], [0.0, 0.0]]), relative=False)
    assert not travel.arrived and travel.min_jacobian_ratio > 0


def test_nothing_goes_where_rounding_would_merge_its_vertices() -> None:
    points, cells = np.eye(3)[:, :2] + 0.25, np.array([[0, 1, 2]])
    travel = follow(points, cells, np.full_like(points, 1e17), narrowest=0.0)
    assert not travel.arrived
    np.testing.assert_array_equal(travel.points, points)


def test_degenerate_cells_are_refused() -> None:
    points = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    with pytest.raises(ValueError, match="got a cell without volume, expected cells that are not degenerate"):
        follow(points, np.array([[0, 1, 2]]), np.zeros_like(points))


@pytest.mark.parametrize(
    ("name", "value"),
    [("fraction", 0.5), ("fraction", 0.0), ("sweeps", -1), ("steps", 0), ("narrowest", 1.0), ("narrowest", -0.1)],
)
def test_limits_out_of_bounds_are_refused(name, value) -> None:
    with pytest.raises(ValueError, match=f"{name}: got {value}, expected"):
        TravelLimits(**{name: value})
