"""Every pixel takes the value of the triangle it lies in."""

import numpy as np
import pytest

from cases.raster import rasterise

SQUARE = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0]])
HALVES = np.array([[0, 1, 2], [0, 2, 3]])


def _centres(raster) -> tuple[np.ndarray, np.ndarray]:
    left, right, bottom, top = raster.extent
    rows, columns = raster.shape
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    y = bottom + (np.arange(rows) + 0.5) * (top - bottom) / rows
    return np.meshgrid(x, y)


@pytest.mark.parametrize("cells", [HALVES, HALVES[:, ::-1]], ids=["anticlockwise", "clockwise"])
def test_linear_field_is_exact_and_the_square_is_covered(cells: np.ndarray) -> None:
    raster = rasterise(SQUARE, cells, pixels=64)
    x, y = _centres(raster)
    assert raster.shape == (32, 64)
    np.testing.assert_allclose(raster.sample(3 * SQUARE[:, 0] - 2 * SQUARE[:, 1] + 1), 3 * x - 2 * y + 1, atol=1e-12)


def test_discontinuous_field_keeps_its_jump() -> None:
    raster = rasterise(SQUARE[HALVES].reshape(-1, 2), np.arange(6).reshape(2, 3), pixels=50)
    x, y = _centres(raster)
    picture = raster.sample(np.array([1.0, 1, 1, 5, 5, 5]))
    away = np.abs(y - x / 2) > 1e-6
    np.testing.assert_allclose(picture[away], np.where(y < x / 2, 1.0, 5.0)[away], atol=1e-12)


def test_outside_and_collapsed_cells_are_left_out() -> None:
    raster = rasterise(SQUARE, np.array([[0, 1, 2], [0, 2, 2]]), pixels=100)
    x, y = _centres(raster)
    picture = raster.sample(np.ones(4))
    away = np.abs(y - x / 2) > 1e-6
    np.testing.assert_array_equal(np.isfinite(picture)[away], (y < x / 2)[away])
