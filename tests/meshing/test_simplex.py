"""Volume and width of simplices, against hand-made values and against the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial import ConvexHull

from meshing.simplex import edge_lengths, path_volume_ratios, simplex_volumes, simplex_widths, vector_lengths

REGULAR = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])  # edges of 2 sqrt(2)


def corners(dimension: int):
    """Corners of a simplex that is not too flat for the hull to be sure."""
    coordinate = st.floats(-1.0, 1.0, allow_subnormal=False)
    return arrays(float, (dimension + 1, dimension), elements=coordinate).filter(
        lambda points: abs(np.linalg.det(points[1:] - points[0])) > 1e-4
    )


def width(points: np.ndarray) -> float:
    return float(simplex_widths(points, np.arange(len(points))[None])[0])


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[0, 0], [3, 0], [0, 4]], 12 / 5),  # right triangle: altitude on the hypotenuse
        ([[0, 0], [2, 0], [1, np.sqrt(3)]], np.sqrt(3)),
        ([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], 1 / np.sqrt(3)),  # corner of a cube: altitude on the long face
        (REGULAR, 2.0),  # opposite edges of a regular tetrahedron lie on opposite faces of a cube of side 2
        ([[0, 0], [1, 1], [2, 2]], 0.0),
        ([[0, 0], [0, 0], [0, 0]], 0.0),
    ],
)
def test_widths_known(points, expected) -> None:
    assert width(np.array(points, dtype=float)) == pytest.approx(expected, rel=1e-14, abs=1e-14)


@pytest.mark.parametrize("dimension", [2, 3])
def test_width_is_the_least_range(dimension: int) -> None:
    """The width is the distance of the origin to the hull of all differences of points, and no range is less."""
    directions = np.random.default_rng(0).standard_normal((2000, dimension))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)

    @given(corners(dimension))
    def check(points: np.ndarray) -> None:
        found = width(points)
        ranges = np.ptp(points @ directions.T, axis=0)
        assert ranges.min() >= found * (1 - 1e-12)
        differences = (points[:, None] - points[None]).reshape(-1, dimension)
        assert found == pytest.approx(-ConvexHull(differences).equations[:, -1].max(), rel=1e-8)

    check()


@pytest.mark.parametrize("dimension", [2, 3])
def test_volumes_have_a_sign(dimension: int) -> None:
    simplex = np.vstack([np.zeros(dimension), np.eye(dimension)])
    cells = np.array([np.arange(dimension + 1), [1, 0, *range(2, dimension + 1)]])
    expected = {2: 0.5, 3: 1 / 6}[dimension]
    np.testing.assert_allclose(simplex_volumes(simplex, cells), [expected, -expected], rtol=1e-15)

    @given(corners(dimension))
    def check(points: np.ndarray) -> None:
        found = simplex_volumes(points, cells[:1])[0]
        assert found == pytest.approx(expected * np.linalg.det(points[1:] - points[0]), rel=1e-9)

    check()


@pytest.mark.parametrize("dimension", [2, 3])
def test_least_volume_on_the_way(dimension: int) -> None:
    """Against the volumes at many times: never more than the least of these, and hardly less."""
    times = np.linspace(0.0, 1.0, 1001)
    cell = np.arange(dimension + 1)[None]

    @given(corners(dimension), st.integers(0, 10**6), st.floats(0.01, 100.0, allow_subnormal=False))
    def check(points: np.ndarray, seed: int, size: float) -> None:
        displacement = size * np.random.default_rng(seed).standard_normal(points.shape)
        found = path_volume_ratios(points, displacement, cell)[0]
        moving = points + times[:, None, None] * displacement
        volumes = np.linalg.det(moving[:, 1:] - moving[:, :1])
        sampled, largest = (volumes / volumes[0]).min(), np.abs(volumes / volumes[0]).max()
        assert found <= sampled + 1e-9 * largest
        # Between two samples a polynomial of degree 3 falls by no more than about (degree * step)^2 of its range.
        assert found >= sampled - 1e-4 * largest

    check()


def test_a_turn_passes_through_a_point() -> None:
    """Half a turn: V(t) = (1 - 2 t)^2; a quarter: V(t) = 1 - 2 t + 2 t^2; growth: least at the start."""
    points, cells = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([[0, 1, 2]])
    assert path_volume_ratios(points, -2 * points, cells)[0] == pytest.approx(0.0, abs=1e-15)
    quarter = points @ np.array([[0.0, 1.0], [-1.0, 0.0]]) - points
    assert path_volume_ratios(points, quarter, cells)[0] == pytest.approx(0.5, rel=1e-14)
    assert path_volume_ratios(points, 3 * points, cells)[0] == 1.0
    assert path_volume_ratios(points, 0 * points, cells)[0] == 1.0
    assert not path_volume_ratios(points, 1e300 * np.sin([[1, 2], [3, 4], [5, 6]]), cells)[0] > 0


@given(st.floats(1e-6, 1e6, allow_subnormal=False), st.integers(0, 1000))
def test_width_scales_and_turns(scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((4, 3))
    assume(width(points) > 1e-3)
    rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    assert width(scale * points @ rotation.T) == pytest.approx(scale * width(points), rel=1e-10)


def test_edges_of_a_tetrahedron_come_in_pairs_order() -> None:
    points = np.array([[[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]]], dtype=float)
    np.testing.assert_allclose(edge_lengths(points)[0] ** 2, [1, 4, 9, 5, 10, 13])


def test_lengths_do_not_overflow() -> None:
    np.testing.assert_allclose(vector_lengths(np.array([[3e200, 4e200], [3e-200, 4e-200]])), [5e200, 5e-200])


@pytest.mark.parametrize(("dimension", "corners_of_cell"), [(3, 3), (2, 4), (1, 2)])
def test_other_cells_are_refused(dimension: int, corners_of_cell: int) -> None:
    points, cells = np.zeros((5, dimension)), np.zeros((1, corners_of_cell), dtype=int)
    for function in (simplex_volumes, simplex_widths):
        with pytest.raises(
            ValueError, match=rf"got points of shape \(5, {dimension}\).*expected \(N, 2\) and \(K, 3\)"
        ):
            function(points, cells)
