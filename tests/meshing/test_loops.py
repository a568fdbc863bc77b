"""Outlines that bound a domain are taken, others refused with one clear line."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import Constant, assemble, ds, dx
from hypothesis import given, settings
from hypothesis import strategies as st

from meshing.generation import polygon
from meshing.loops import checked_loops

UNIT = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]


def star(seed: int, corners: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a polygon of any size anywhere, and a place inside from which all of its sides are seen."""
    rng = np.random.default_rng(seed)
    angles = (np.arange(corners) + rng.uniform(0.0, 0.9, corners)) * 2 * np.pi / corners
    radii = rng.uniform(0.2, 1.0, corners)
    scale, middle = 10.0 ** rng.uniform(-3, 3), rng.uniform(-5, 5, 2)
    loop = (radii * [np.cos(angles), np.sin(angles)]).T
    return scale * (loop + middle), scale * middle


@given(st.integers(0, 10**6), st.integers(4, 30), st.booleans())
def test_stars_with_a_star_inside_are_taken(seed: int, corners: int, clockwise: bool) -> None:
    loop, middle = star(seed, corners)
    loop = loop[:: -1 if clockwise else 1]
    hole = middle + 0.5 * (loop - middle)
    taken = checked_loops("polygon", loop, [hole])
    np.testing.assert_array_equal(taken[0], loop)
    np.testing.assert_array_equal(taken[1], hole)
    with pytest.raises(ValueError, match=r"hole 0 at .* outside the outline, expected it inside$"):
        checked_loops("polygon", hole, [loop])
    with pytest.raises(ValueError, match=r"hole 1 inside hole 0|hole 0 inside hole 1"):
        checked_loops("polygon", middle + 2.0 * (loop - middle), [loop, hole])


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(4, 30))
def test_stars_around_a_star_are_filled(seed: int, corners: int) -> None:
    """Area and length of the mesh are those of the corners, wherever and however large the star is."""
    loop, middle = star(seed, corners)
    hole = middle + 0.5 * (loop - middle)
    mesh = polygon(loop, [hole], size=0.1 * float(np.ptp(loop)))
    one, following = Constant(1.0), np.roll(loop, -1, axis=0)
    (x, y), (next_x, next_y) = (loop - middle).T, (following - middle).T
    assert assemble(one * dx(domain=mesh)) == pytest.approx(0.375 * (x * next_y - next_x * y).sum(), rel=1e-9)
    length = np.linalg.norm(following - loop, axis=1).sum()
    for marker, share in ((1, 1.0), (2, 0.5)):
        assert assemble(one * ds(marker, domain=mesh)) == pytest.approx(share * length, rel=1e-9)


@given(st.integers(0, 10**6), st.integers(4, 30), st.data())
def test_corners_out_of_order_are_refused(seed: int, corners: int, data) -> None:
    """Two corners of a polygon on a circle exchanged, but for reflections: its sides cross."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.permutation(1000)[:corners]) * 2 * np.pi / 1000
    loop = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    first, second = sorted(data.draw(st.permutations(range(corners)))[:2])
    if corners == 4 and second - first == 2:
        second = first + 1  # opposite corners of four exchanged give the same polygon
    loop[[first, second]] = loop[[second, first]]
    with pytest.raises(ValueError, match=r"^polygon: got outline whose sides from .* and .* meet, expected no side"):
        checked_loops("polygon", loop, [])


@pytest.mark.parametrize(
    ("outline", "holes", "message"),
    [
        (
            UNIT[:2],
            [],
            r"polygon: got outline of shape \(2, 2\), expected three corners or more of two coordinates",
        ),
        (
            UNIT,
            [[[0.2, 0.2, 0.0]] * 3],
            r"polygon: got hole 0 of shape \(3, 3\), expected three corners or more of two coordinates",
        ),
        (
            [[0, 0], [np.nan, 0], [1, 1]],
            [],
            "polygon: got outline with a coordinate that is not finite, expected numbers",
        ),
        (
            [*UNIT, UNIT[0]],
            [],
            r"polygon: got outline with the corner \(0, 0\) twice in a row, expected it once; a closed outline does "
            "not repeat its first corner",
        ),
        (
            [[0, 0], [2, 0], [1, 0], [1, 1]],
            [],
            r"polygon: got outline that folds back in \(2, 0\), expected no spike",
        ),
        (
            [[0, 0], [1, 1], [1, 0], [0, 1]],
            [],
            r"polygon: got outline whose sides from \(0, 0\) and \(1, 0\) meet, expected no side to meet another; give "
            "the corners in order",
        ),
        (
            [[0, 0], [2, 0], [2, 2], [1, 0], [0, 2]],  # a corner on a side
            [],
            r"polygon: got outline whose sides from \(0, 0\) and \(2, 2\) meet, expected no side to meet another; give "
            "the corners in order",
        ),
        (
            UNIT,
            [[[0.5, 0.0], [0.6, 0.5], [0.4, 0.5]]],  # touches
            r"polygon: got hole 0 that meets outline in its side from \(0.5, 0\), expected space between them",
        ),
        (
            UNIT,
            [[[0.2, 0.2], [0.4, 0.2], [0.3, 0.4]], [[0.3, 0.1], [0.3, 0.3], [0.25, 0.1]]],
            r"polygon: got hole 1 that meets hole 0 in its side from \(0.3, 0.1\), expected space between them",
        ),
        (
            UNIT,
            [[[2.2, 0.2], [2.4, 0.2], [2.3, 0.4]]],
            r"polygon: got hole 0 at \(2.2, 0.2\) outside the outline, expected it inside",
        ),
        (
            UNIT,
            [[[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]], [[0.4, 0.3], [0.6, 0.3], [0.5, 0.5]]],
            "polygon: got hole 1 inside hole 0, expected it outside; leave it out",
        ),
    ],
)
def test_what_bounds_no_domain_is_refused(outline, holes, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        checked_loops("polygon", outline, holes)
