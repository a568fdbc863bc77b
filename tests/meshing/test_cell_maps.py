"""Maps of cells against numpy's linear algebra."""

from __future__ import annotations

import numpy as np
import pytest

from meshing.cell_maps import CellMaps, determinants_and_adjugates


@pytest.mark.parametrize("dimension", [2, 3])
def test_determinants_and_adjugates(dimension: int) -> None:
    matrices = np.random.default_rng(0).standard_normal((100, dimension, dimension))
    determinants, adjugates = determinants_and_adjugates(matrices)
    np.testing.assert_allclose(determinants, np.linalg.det(matrices), rtol=1e-12)
    np.testing.assert_allclose(adjugates, np.linalg.inv(matrices) * determinants[:, None, None], rtol=1e-9)
    determinants, adjugates = determinants_and_adjugates(np.ones((1, dimension, dimension)))
    assert determinants == 0.0 and np.isfinite(adjugates).all()


@pytest.mark.parametrize("dimension", [2, 3])
def test_an_affine_map_is_its_matrix_in_every_cell(delaunay, dimension: int) -> None:
    points, cells = delaunay(3, dimension, 60)
    matrix = np.random.default_rng(1).standard_normal((dimension, dimension))
    maps = CellMaps(points, cells)
    jacobians = maps.jacobians(points @ matrix.T + 7.0)
    np.testing.assert_allclose(jacobians, np.broadcast_to(matrix, jacobians.shape), rtol=0, atol=1e-9)
    np.testing.assert_allclose(maps.gradients.sum(axis=1), 0.0, atol=1e-10 * np.abs(maps.gradients).max())


def test_a_cell_without_volume_is_refused() -> None:
    with pytest.raises(ValueError, match="mesh: got a cell without volume, expected cells that are not degenerate"):
        CellMaps(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]), np.array([[0, 1, 2]]))
