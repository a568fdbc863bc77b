"""Alignment: values by hand, cells that are ideal by construction, invariance, tensors that are no metric."""

from __future__ import annotations

import numpy as np
import pytest
from firedrake import (
    Function,
    FunctionSpace,
    SpatialCoordinate,
    TensorFunctionSpace,
    UnitCubeMesh,
    UnitSquareMesh,
    VectorFunctionSpace,
    as_matrix,
)
from hypothesis import given
from hypothesis import strategies as st

from meshing.alignment import alignments, positive_definite
from meshing.quality import mesh_quality

EQUILATERAL = [[0, 0], [2, 0], [1, np.sqrt(3)]]
RIGHT = [[0, 0], [3, 0], [0, 3]]
REGULAR = [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
CUBE_CORNER = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (EQUILATERAL, 1.0),
        # sum of squared edges over 4 sqrt(3) times the area: (1 + 1 + 2) / (2 sqrt(3))
        (RIGHT, 2 / np.sqrt(3)),
        (REGULAR, 1.0),
        # tr = (sum of squared edges) / 2 = 9/2, det F' = 12 V / sqrt(2) = sqrt(2)
        (CUBE_CORNER, (1.5 / 2 ** (1 / 3)) ** 0.75),
        ([[0, 0], [1, 1], [3, 3]], np.inf),
        ([[1, 1, 1]] * 4, np.inf),
    ],
    ids=["equilateral", "right", "regular", "cube corner", "flat", "point"],
)
def test_shapes_known(points, expected: float) -> None:
    points = np.array(points, dtype=float)
    for order in (np.arange(len(points)), np.arange(len(points))[::-1]):
        assert alignments(points, order[None])[0] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    ("points", "stretch", "expected"),
    [
        # (r + 1/r)/2 in 2D
        (RIGHT, [4.0, 1.0], (4 + 1 / 4) / 2),
        # tr / (3 det^(1/3)) = (16 + 1 + 1) / (3 * 16^(1/3)), to the power 3/4
        (CUBE_CORNER, [4.0, 1.0, 1.0], (6 / 16 ** (1 / 3)) ** 0.75),
    ],
)
@pytest.mark.parametrize("by", ["points", "metric"])
def test_stretched_computational_cells(points, stretch, expected: float, by: str) -> None:
    """Stretching the cell and measuring its directions with a longer ruler are the same."""
    points, cells = np.array(points, dtype=float), np.arange(len(points))[None]
    if by == "points":
        found = alignments(points * stretch, cells, reference=points)
    else:
        metric = np.broadcast_to(np.diag(np.square(stretch)), (len(points), len(stretch), len(stretch)))
        found = alignments(points, cells, metric=metric, reference=points)
    assert found[0] == pytest.approx(expected, rel=1e-13)


def test_the_metric_of_a_cell_is_the_mean_over_its_vertices() -> None:
    metric = np.array([np.diag(values) for values in ([1.0, 1.0], [5.0, 1.0], [42.0, 1.0])])
    found = alignments(np.array(RIGHT, dtype=float), np.array([[0, 1, 2]]), metric=metric, reference=np.array(RIGHT))
    assert found[0] == pytest.approx((4 + 1 / 4) / 2, rel=1e-13)


def _affine(rng, dimension: int) -> np.ndarray:
    """Return a matrix of singular values from 0.01 to 100, of either orientation."""
    left, right = (np.linalg.qr(rng.standard_normal((dimension, dimension)))[0] for _ in range(2))
    return left @ np.diag(10.0 ** rng.uniform(-2, 2, dimension)) @ right


@pytest.mark.parametrize("dimension", [2, 3])
@given(seed=seeds)
def test_affine_images_are_ideal_in_their_own_metric(dimension: int, seed: int) -> None:
    r"""M = F^-T F^-1 asks for the image of the reference cell under F."""
    rng = np.random.default_rng(seed)
    matrix = _affine(rng, dimension)
    metric = np.broadcast_to(np.linalg.inv(matrix @ matrix.T), (dimension + 1, dimension, dimension))
    cell, regular = np.arange(dimension + 1)[None], np.array({2: EQUILATERAL, 3: REGULAR}[dimension], dtype=float)
    found = alignments(regular @ matrix.T, cell, metric=metric)
    assert found[0] == pytest.approx(1.0, abs=1e-7)
    reference = np.eye(dimension + 1)[:, :dimension] + 0.2 * rng.random((dimension + 1, dimension))
    found = alignments(reference @ matrix.T, cell, metric=metric, reference=reference)
    assert found[0] == pytest.approx(1.0, abs=1e-7)
    # The formula again, by singular values: Q of the image in the identity is that of F.
    values = np.linalg.svd(matrix, compute_uv=False)
    expected = ((values**2).mean() / values.prod() ** (2 / dimension)) ** (dimension / (2 * (dimension - 1)))
    found = alignments(reference @ matrix.T, cell, reference=reference)
    assert found[0] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_invariance(dimension: int, seed: int, delaunay) -> None:
    """Rotated, scaled and shifted with its metric, a mesh keeps its alignment; so it does in a multiple of it."""
    points, cells = delaunay(seed, dimension, 40)
    rng = np.random.default_rng(seed)
    roots = rng.standard_normal((len(points), dimension, dimension))
    metric = roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(dimension)
    expected = alignments(points, cells, metric=metric)
    assert np.ptp(expected) > 1.0 and expected.min() >= 1.0
    rotation = np.linalg.qr(rng.standard_normal((dimension, dimension)))[0]
    turned = alignments(
        30.0 * points @ rotation.T + 7.0, rng.permuted(cells, axis=1), metric=1e-6 * rotation @ metric @ rotation.T
    )
    np.testing.assert_allclose(turned, expected, rtol=1e-7)
    multiple = rng.uniform(0.1, 10.0) * np.broadcast_to(np.eye(dimension), metric.shape)
    np.testing.assert_allclose(
        alignments(points, cells, metric=multiple), alignments(points, cells), rtol=1e-11, err_msg="shape only"
    )


def test_very_long_cells_in_their_metric() -> None:
    """Boundary layers: a cell 1e8 times as long as wide, in a metric of condition 1e16."""
    points, cells = np.array(EQUILATERAL) * [1.0, 1e-8], np.array([[0, 1, 2]])
    metric = np.broadcast_to(np.diag([1.0, 1e16]), (3, 2, 2))
    assert alignments(points, cells, metric=metric)[0] == pytest.approx(1.0, rel=1e-7)
    assert alignments(points, cells)[0] == pytest.approx(0.5e8, rel=1e-7)


@pytest.mark.parametrize(
    ("tensor", "good"),
    [
        ([[2, 1], [1, 2]], True),
        ([[1e-150, 0], [0, 1e-148]], True),
        ([[1, 2], [2, 1]], False),  # eigenvalues 3 and -1
        ([[1, 1], [1, 1]], False),
        ([[-1, 0], [0, -2]], False),
        ([[0, 0], [0, 0]], False),
        ([[2, 1], [0.5, 2]], False),
        ([[np.nan, 0], [0, 1]], False),
        ([[np.inf, 0], [0, 1]], False),
    ],
)
def test_positive_definite(tensor, good: bool) -> None:
    tensors = np.array([np.eye(2), tensor])
    assert positive_definite(tensors).tolist() == [True, good]


@pytest.mark.parametrize("mesh", [UnitSquareMesh(4, 3), UnitCubeMesh(2, 3, 2)], ids=["2D", "3D"])
def test_quality_of_meshes(mesh) -> None:
    """Cells that are right at a corner, all alike, in the metric of their own box are like those of a cube."""
    dimension = mesh.geometric_dimension
    sizes = {2: (4, 3), 3: (2, 3, 2)}[dimension]
    alike = {2: UnitSquareMesh(2, 2), 3: UnitCubeMesh(2, 2, 2)}[dimension]
    metric = Function(TensorFunctionSpace(mesh, "CG", 1))
    metric.dat.data_wo[:] = np.diag(np.square(sizes, dtype=float))
    found, expected = mesh_quality(mesh, metric=metric), mesh_quality(alike)
    for name in ("mean_alignment", "percentile_99_alignment", "max_alignment"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-12)
    # Half a square; a sixth of a cube, three of whose edges follow each other: squares of all edges 3 + 2 * 2 + 3.
    by_hand = {2: 2 / np.sqrt(3), 3: (5 / 3 / 2 ** (1 / 3)) ** 0.75}[dimension]
    assert expected.mean_alignment == pytest.approx(by_hand, rel=1e-12)
    # Against its own cells every mesh is aligned with the identity, but not with this metric.
    assert mesh_quality(mesh, mesh).max_alignment == pytest.approx(1.0, rel=1e-12)
    assert mesh_quality(mesh, mesh, metric=metric).mean_alignment > 1.01


def test_alignment_knows_the_place() -> None:
    """Half of the square asks for long cells: those there are badly aligned, all others are not."""
    mesh = UnitSquareMesh(8, 8)
    x = SpatialCoordinate(mesh)[0]
    metric = Function(TensorFunctionSpace(mesh, "CG", 1)).interpolate(
        as_matrix([[1 + 0 * x, 0], [0, 1 + 99 * (x > 0.5)]])
    )
    quality = mesh_quality(mesh, mesh, metric=metric)
    assert quality.max_alignment == pytest.approx((10 + 1 / 10) / 2, rel=1e-12)
    # Columns of cells: 4 at 1; one from 1 to 100, mean 34 and 67 in its triangles; 3 at 100.
    between = [(np.sqrt(m) + 1 / np.sqrt(m)) / 2 for m in (34, 67)]
    assert quality.mean_alignment == pytest.approx((4 * 1 + np.mean(between) + 3 * 5.05) / 8, rel=1e-12)
    assert quality.percentile_99_alignment == pytest.approx(5.05, rel=1e-12)


def test_other_metrics_are_refused() -> None:
    mesh = UnitSquareMesh(2, 2)
    spaces = [
        FunctionSpace(mesh, "CG", 1),
        VectorFunctionSpace(mesh, "CG", 1),
        TensorFunctionSpace(mesh, "CG", 2),
        TensorFunctionSpace(mesh, "DG", 1),
        TensorFunctionSpace(mesh, "CG", 1, symmetry=True),
        TensorFunctionSpace(UnitSquareMesh(2, 2), "CG", 1),
    ]
    for space in spaces:
        with pytest.raises(
            ValueError, match=r"metric: got .*, expected a continuous P1 tensor of 2 x 2 on .*; make it"
        ):
            mesh_quality(mesh, metric=Function(space))
    with pytest.raises(ValueError, match="metric: got a tensor that is not symmetric positive definite, expected one"):
        mesh_quality(mesh, metric=Function(TensorFunctionSpace(mesh, "CG", 1)))
