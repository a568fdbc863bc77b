"""The limiter on arrays: not one inverted element, whatever the displacement; and no more clipping than needed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshing.limiter import clip_differences, clip_lengths, largest_differences
from meshing.patches import VertexPatches
from meshing.simplex import edge_lengths, simplex_volumes, simplex_widths

FORMS = ("absolute", "relative")
ADVERSARIES = ("random", "towards a vertex", "alternating", "narrowest", "all widths", "huge", "translation")
FRACTIONS = st.sampled_from([0.05, 0.25, 0.45, 0.49, 0.4999])
SEEDS = st.integers(0, 10**6)
PATH = (0.25, 0.5, 0.75, 1.0)


def limit(form, points, cells, displacement, room, *, sweeps=4, held=None):
    patches = VertexPatches(cells, len(points))
    if form == "absolute":
        return clip_lengths(patches, displacement, room)
    held = patches.boundary() if held is None else held
    return clip_differences(patches, displacement, room, sweeps=sweeps, held=held)


# 2 forms x (500 + 300) meshes, each with a displacement of its own.
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("dimension", "examples"), [(2, 500), (3, 300)])
def test_no_element_is_inverted(form, dimension, examples, delaunay, adversary, worst_ratio) -> None:
    """Along the whole path the volumes stay above (1 - 2 f t)^d of what they were, the widths above 1 - 2 f t."""
    seen = set()

    @settings(max_examples=examples)
    @given(SEEDS, st.integers(dimension + 4, 60), st.sampled_from(ADVERSARIES), FRACTIONS, st.integers(0, 6))
    def check(seed, vertices, kind, fraction, sweeps) -> None:
        points, cells = delaunay(seed, dimension, vertices)
        wanted = adversary(kind, seed, points, cells)
        room = largest_differences(points, cells, fraction)
        limited = limit(form, points, cells, wanted, room, sweeps=sweeps)
        assert np.isfinite(limited).all()
        assert (edge_lengths(limited[cells]).max(axis=1) <= room * (1 + 1e-9) + 1e-12 * np.abs(limited).max()).all()
        for time in PATH:
            least = 1 - 2 * fraction * time
            assert worst_ratio(points, cells, time * limited) >= least**dimension * (1 - 1e-3)
            widths = simplex_widths(points + time * limited, cells) / simplex_widths(points, cells)
            assert widths.min() >= least * (1 - 1e-3)
        seen.add((seed, vertices, kind, fraction, sweeps))

    check()
    assert len(seen) >= 0.9 * examples


@pytest.mark.parametrize("fraction", [0.51, 0.8])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dimension", [2, 3])
def test_the_bound_is_sharp(form, dimension, fraction, delaunay, adversary, worst_ratio) -> None:
    """Just beyond one half the narrowest element is inverted, so that the test above is able to fail."""
    for seed in range(20):
        points, cells = delaunay(seed, dimension, 40)
        wanted = adversary("narrowest", seed, points, cells)
        beyond = limit(form, points, cells, wanted, 2 * fraction * simplex_widths(points, cells), sweeps=0)
        assert worst_ratio(points, cells, beyond) < 0
        within = limit(form, points, cells, wanted, 2 * 0.49 * simplex_widths(points, cells), sweeps=0)
        assert 0 < worst_ratio(points, cells, within) < 0.1


@pytest.mark.parametrize("kind", ADVERSARIES)
def test_the_displacements_are_adversarial(kind, delaunay, adversary, worst_ratio) -> None:
    inverted = 0
    for seed in range(10):
        points, cells = delaunay(seed, 2, 40)
        inverted += worst_ratio(points, cells, adversary(kind, seed, points, cells)) < 0
    assert inverted >= 3


@pytest.mark.parametrize("form", FORMS)
def test_the_longest_displacements_do_not_overflow(form, delaunay, worst_ratio) -> None:
    points, cells = delaunay(0, 2, 40)
    wanted = np.zeros_like(points)
    wanted[:, 0] = np.finfo(float).max * np.where(np.arange(len(points)) % 2, 1.0, -1.0)
    limited = limit(form, points, cells, wanted, largest_differences(points, cells, 0.45))
    assert 0 < np.abs(limited).max() < np.inf
    assert worst_ratio(points, cells, limited) >= 0.01 * (1 - 1e-9)


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_absolute_form_is_the_stated_bound(dimension, delaunay, adversary) -> None:
    """Vertex by vertex, by the definition: as long as allowed or as given, in the direction given."""
    points, cells = delaunay(3, dimension, 30)
    wanted = 0.05 * adversary("random", 3, points, cells)
    limited = limit("absolute", points, cells, wanted, largest_differences(points, cells, 0.3))
    widths = simplex_widths(points, cells)
    for vertex in range(len(points)):
        around = widths[(cells == vertex).any(axis=1)]
        allowed = 0.3 * around.min() if len(around) else np.inf
        length = np.linalg.norm(wanted[vertex])
        np.testing.assert_allclose(limited[vertex], wanted[vertex] * min(1, allowed / length), rtol=1e-13)


@settings(max_examples=50)
@given(SEEDS, st.sampled_from([2, 3]), st.floats(1.0, 1e6, allow_subnormal=False))
def test_a_common_translation_passes_unclipped(delaunay, adversary, seed, dimension, distance) -> None:
    points, cells = delaunay(seed, dimension, 40)
    room = largest_differences(points, cells, 0.45)
    # The deviations satisfy the bound by a margin above the rounding of the sum.
    small = limit("absolute", points, cells, adversary("random", seed, points, cells), 0.9 * room)
    wanted = small + distance
    limited = limit("relative", points, cells, wanted, room)
    np.testing.assert_array_equal(limited, wanted)
    assert np.abs(limit("absolute", points, cells, wanted, room)).max() < 0.5


@settings(max_examples=50)
@given(SEEDS, st.sampled_from([2, 3]), st.sampled_from(ADVERSARIES))
def test_the_relative_form_passes_what_the_absolute_form_passes(delaunay, adversary, seed, dimension, kind) -> None:
    points, cells = delaunay(seed, dimension, 40)
    room = largest_differences(points, cells, 0.45)
    passed = limit("absolute", points, cells, adversary(kind, seed, points, cells), room * (1 - 1e-12))
    np.testing.assert_array_equal(limit("absolute", points, cells, passed, room), passed)
    np.testing.assert_array_equal(limit("relative", points, cells, passed, room), passed)


def test_one_bad_vertex_throttles_its_neighbourhood_only(delaunay) -> None:
    points, cells = delaunay(5, 2, 400)
    room = largest_differences(points, cells, 0.45)
    held = np.zeros(len(points), dtype=bool)
    wanted = np.full_like(points, 0.3 * room.min())
    bad = int(np.argmin(np.linalg.norm(points - 0.5, axis=1)))
    wanted[bad] = -100.0
    limited = limit("relative", points, cells, wanted, room, held=held)
    far = np.linalg.norm(points - points[bad], axis=1) > 0.4
    assert far.sum() > 100
    np.testing.assert_allclose(limited[far], wanted[far], rtol=1e-9)


def test_averaging_lets_more_of_a_shared_motion_pass(delaunay) -> None:
    """Noise on a long way that all vertices share is smoothed away, not scaled down together with the way."""
    points, cells = delaunay(1, 2, 200)
    held = np.zeros(len(points), dtype=bool)
    room = largest_differences(points, cells, 0.45)
    noise = np.random.default_rng(0).standard_normal(points.shape) * VertexPatches(cells, 200).minimum(room)[:, None]
    progress = [
        limit("relative", points, cells, noise + 100.0, room, sweeps=sweeps, held=held).mean() for sweeps in (0, 4, 16)
    ]
    assert 0 < progress[0] < progress[1] < progress[2]
    assert progress[1] > 2 * progress[0] and progress[2] > 95


@settings(max_examples=50)
@given(SEEDS, st.sampled_from([2, 3]), st.sampled_from(FORMS), st.sampled_from(("random", "towards a vertex")))
def test_rigid_motions_and_scale_make_no_difference(delaunay, adversary, seed, dimension, form, kind) -> None:
    points, cells = delaunay(seed, dimension, 40)
    wanted = adversary(kind, seed, points, cells)
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.standard_normal((dimension, dimension)))
    shift, scale = rng.standard_normal(dimension), 10.0 ** rng.uniform(-3, 3)
    moved = scale * (points @ rotation.T + shift)
    one = limit(form, points, cells, wanted, largest_differences(points, cells, 0.45))
    two = limit(form, moved, cells, scale * wanted @ rotation.T, largest_differences(moved, cells, 0.45))
    np.testing.assert_allclose(two, scale * one @ rotation.T, rtol=0, atol=1e-9 * scale * np.abs(one).max())


@settings(max_examples=50)
@given(SEEDS, st.sampled_from([2, 3]), st.sampled_from(ADVERSARIES))
def test_held_vertices_are_only_shortened(delaunay, adversary, seed, dimension, kind) -> None:
    points, cells = delaunay(seed, dimension, 40)
    patches = VertexPatches(cells, len(points))
    held = patches.boundary()
    assert held.any()
    wanted = adversary(kind, seed, points, cells)
    wanted[held, 0] = 0.0
    limited = limit("relative", points, cells, wanted, largest_differences(points, cells, 0.45))
    assert (limited[held, 0] == 0.0).all()
    length = np.linalg.norm(wanted[held] / max(1.0, np.abs(wanted).max()), axis=1) * max(1.0, np.abs(wanted).max())
    share = np.linalg.norm(limited[held], axis=1) / np.where(length > 0, length, 1.0)
    assert share.max() <= 1 + 1e-12
    np.testing.assert_allclose(limited[held], share[:, None] * wanted[held], rtol=0, atol=1e-12)


@pytest.mark.parametrize("fraction", [0.0, -0.1, 0.5, 0.8, np.nan])
def test_other_fractions_are_refused(fraction) -> None:
    points, cells = np.eye(3)[:, :2], np.array([[0, 1, 2]])
    with pytest.raises(ValueError, match=f"fraction: got {fraction}, expected more than 0 and less than 0.5"):
        largest_differences(points, cells, fraction)


def test_negative_sweeps_are_refused(delaunay) -> None:
    points, cells = delaunay(0, 2, 10)
    with pytest.raises(ValueError, match="sweeps: got -1, expected 0 or more"):
        limit("relative", points, cells, points, largest_differences(points, cells, 0.45), sweeps=-1)


def test_patches_by_hand() -> None:
    """Two triangles on four vertices, and a vertex without cells."""
    patches = VertexPatches(np.array([[0, 1, 2], [1, 3, 2]]), 5)
    np.testing.assert_array_equal(patches.minimum(np.array([2.0, 1.0])), [2, 1, 1, 1, np.inf])
    np.testing.assert_array_equal(patches.sum(np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])), [1, 12, 33, 20, 0])
    np.testing.assert_array_equal(patches.boundary(), [True, True, True, True, False])
    assert patches.smallest(np.array([3.0, 2.0])) == 2.0
    assert patches.smallest(np.array([3.0, np.nan])) == -np.inf
    assert patches.smallest(np.array([])) == np.inf


def test_the_meshes_have_no_slivers(delaunay) -> None:
    for dimension in (2, 3):
        points, cells = delaunay(0, dimension, 60)
        assert len(cells) > 60
        assert np.abs(simplex_volumes(points, cells)).min() > 0
