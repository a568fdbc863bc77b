"""Pictures of fields on triangles: every pixel takes the value of the triangle it lies in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PIXELS = 1100  # across a map's longer side
ROUNDING = 1e-9  # a pixel centre on an edge belongs to both triangles; none may fall between them


@dataclass(frozen=True)
class Raster:
    """Hold which pixel lies in which triangle, so that fields of one mesh share the search.

    Attributes
    ----------
    extent : tuple of float, length 4, m
        Left, right, bottom, top of the picture.
    shape : tuple of int, length 2
        Rows (from the bottom) and columns.
    pixels : ndarray, shape (M,), int
        Flat numbers of the pixels inside the mesh.
    nodes : ndarray, shape (M, 3), int
        Nodes of the triangle around each.
    weights : ndarray, shape (M, 3), dimensionless
        Barycentric coordinates there.
    """

    extent: tuple[float, float, float, float]
    shape: tuple[int, int]
    pixels: NDArray[np.int64]
    nodes: NDArray[np.int64]
    weights: Array

    def sample(self, values: Array) -> Array:
        """Return the P1 (or DG-P1) field `values`, shape (P,), at the pixels: NaN outside the mesh."""
        picture = np.full(self.shape[0] * self.shape[1], np.nan)
        picture[self.pixels] = (self.weights * values[self.nodes]).sum(axis=1)
        return picture.reshape(self.shape)


def rasterise(points: Array, cells: NDArray[np.int64], *, pixels: int = PIXELS) -> Raster:
    """Find the triangle of every pixel.

    Parameters
    ----------
    points : ndarray, shape (P, 2), m
        Nodes; cells need not share any, so discontinuous fields keep their jumps.
    cells : ndarray, shape (K, 3), int
        Nodes of each triangle, in any orientation.
    pixels : int
        Pixels across the longer side.

    Returns
    -------
    Raster
        Pixels whose centre is in no triangle are left out.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    step = (high - low).max() / pixels
    columns, rows = (int(n) for n in np.maximum(np.rint((high - low) / step), 1))
    corners = (points[cells] - low) / step - 0.5  # (K, 3, 2) in pixels, whole numbers at pixel centres
    first = np.maximum(np.ceil(corners.min(axis=1) - ROUNDING).astype(np.int64), 0)
    last = np.minimum(np.floor(corners.max(axis=1) + ROUNDING).astype(np.int64), [columns - 1, rows - 1])
    box = np.maximum(last - first + 1, 0)
    # One entry per (triangle, pixel of its bounding box).
    count = box.prod(axis=1)
    cell = np.repeat(np.arange(len(cells)), count)
    local = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    column = first[cell, 0] + local % box[cell, 0]
    row = first[cell, 1] + local // box[cell, 0]
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    twice_area = _cross(b - a, c - a)
    twice_area[twice_area == 0] = np.nan  # a collapsed cell covers no pixel
    here = np.column_stack([column, row]) - a[cell]
    second = _cross(here, (c - a)[cell]) / twice_area[cell]
    third = _cross((b - a)[cell], here) / twice_area[cell]
    weights = np.column_stack([1 - second - third, second, third])
    inside = (weights >= -ROUNDING).all(axis=1)
    return Raster(
        extent=(low[0], low[0] + columns * step, low[1], low[1] + rows * step),
        shape=(rows, columns),
        pixels=(row * columns + column)[inside],
        nodes=cells[cell[inside]],
        weights=weights[inside],
    )


def _cross(a: Array, b: Array) -> Array:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
