"""Volume and minimum width of triangles and tetrahedra, and volumes of moving ones, on arrays."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

# Directions in which the range of a tetrahedron can be smallest, as pairs of its edges: the normals of its faces, and
# the common normals of its opposite edges.
_TETRAHEDRON_NORMALS = (
    ((0, 1), (0, 2)),
    ((0, 1), (0, 3)),
    ((0, 2), (0, 3)),
    ((1, 2), (1, 3)),
    ((0, 1), (2, 3)),
    ((0, 2), (1, 3)),
    ((0, 3), (1, 2)),
)


def simplex_corners(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the corners of each simplex.

    Parameters
    ----------
    points
        Vertices, shape (N, d), d = 2 or 3 [m].
    cells
        Vertex numbers of each simplex, shape (K, d + 1), integers.

    Returns
    -------
    numpy.ndarray
        Corners, shape (K, d + 1, d) [m].

    Raises
    ------
    ValueError
        For anything but triangles in the plane and tetrahedra in space.
    """
    dimension = points.shape[-1]
    if points.ndim != 2 or cells.ndim != 2 or dimension not in (2, 3) or cells.shape[1] != dimension + 1:
        raise ValueError(
            f"simplices: got points of shape {points.shape} and cells of shape {cells.shape}, "
            "expected (N, 2) and (K, 3), or (N, 3) and (K, 4)"
        )
    return points[cells]


def simplex_volumes(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    r"""Return the signed volume of each simplex.

    .. math:: V_K = \frac{1}{d!} \det\,(x_1 - x_0, \dots, x_d - x_0)

    Positive for corners in counter-clockwise order in 2D and for a right-handed first three edges in 3D. A cell
    has been inverted when its sign has changed.

    Parameters
    ----------
    points
        Vertices, shape (N, d), d = 2 or 3 [m].
    cells
        Vertex numbers of each simplex, shape (K, d + 1), integers.

    Returns
    -------
    numpy.ndarray
        Signed volumes (2D: areas), shape (K,) [m^d].

    Raises
    ------
    ValueError
        For anything but triangles in the plane and tetrahedra in space.
    """
    return _volumes(simplex_corners(points, cells))


def simplex_widths(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    r"""Return the minimum width of each simplex: the least distance of two parallel hyperplanes that enclose it.

    .. math:: w_K = \min_{|n| = 1} \big(\max_{i \in K} n \cdot x_i - \min_{i \in K} n \cdot x_i\big)

    The width is the least distance from the origin to a facet of the difference body K - K. Triangle: the smallest
    altitude, twice the area over the longest edge. Tetrahedron: the smallest of the four altitudes and of the
    three distances between opposite edges, 6 V over the greatest of the seven cross products of two edges that
    span a face or are opposite.

    Parameters
    ----------
    points
        Vertices, shape (N, d), d = 2 or 3 [m].
    cells
        Vertex numbers of each simplex, shape (K, d + 1), integers.

    Returns
    -------
    numpy.ndarray
        Widths, shape (K,), zero for a degenerate simplex [m].

    Raises
    ------
    ValueError
        For anything but triangles in the plane and tetrahedra in space.
    """
    corners = simplex_corners(points, cells)
    dimension = points.shape[1]
    if dimension == 2:
        volume, largest = 2.0 * np.abs(_volumes(corners)), edge_lengths(corners).max(axis=1)
    else:
        volume = 6.0 * np.abs(_volumes(corners))
        largest = np.zeros(len(cells))
        for (a, b), (c, d) in _TETRAHEDRON_NORMALS:
            normal = np.cross(corners[:, b] - corners[:, a], corners[:, d] - corners[:, c])
            np.maximum(largest, vector_lengths(normal), out=largest)
    return np.divide(volume, largest, out=np.zeros_like(volume), where=largest > 0)


def path_volume_ratios(points: np.ndarray, displacement: np.ndarray, cells: np.ndarray) -> np.ndarray:
    r"""Return the least volume that each simplex has on the way of its vertices along straight lines.

    .. math:: \min_{0 \le t \le 1} \frac{V_K(x + t\,\delta)}{V_K(x)}

    The signed volume is a polynomial of degree d in t, so that its minimum is known exactly.

    Parameters
    ----------
    points
        x, vertices, shape (N, d), d = 2 or 3 [m].
    displacement
        delta, shape (N, d) [m].
    cells
        Vertex numbers of each simplex, shape (K, d + 1), integers; none degenerate.

    Returns
    -------
    numpy.ndarray
        Shape (K,), at most 1; zero or less if the simplex is degenerate or inverted on the way; NaN if the
        displacement is so long that volumes overflow.

    Raises
    ------
    ValueError
        For anything but triangles in the plane and tetrahedra in space.
    """
    corners = simplex_corners(points, cells)
    edges, rates = corners[:, 1:] - corners[:, :1], displacement[cells[:, 1:]] - displacement[cells[:, :1]]
    power = np.zeros((4, len(cells)))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        # The determinant is linear in every row: the power of t counts the rows that are rates.
        for rows in product((0, 1), repeat=edges.shape[1]):
            power[sum(rows)] += _determinants(np.where(np.array(rows)[:, None], rates, edges))
        power /= power[0].copy()
        # Both roots of the derivative c + b t + a t^2 without cancellation.
        a, b, c = 3.0 * power[3], 2.0 * power[2], power[1]
        half = -0.5 * (b + np.copysign(np.sqrt(np.maximum(b * b - 4.0 * a * c, 0.0)), b))
        extrema = [np.nan_to_num(np.clip(root, 0.0, 1.0)) for root in (half / a, c / half)]
        times = np.stack([np.zeros(len(cells)), np.ones(len(cells)), *extrema])
        return (power[0] + times * (power[1] + times * (power[2] + times * power[3]))).min(axis=0)


def edge_lengths(corners: np.ndarray) -> np.ndarray:
    """Return the distances between all pairs of corners of each simplex.

    Parameters
    ----------
    corners
        Shape (K, d + 1, d): places, or any vectors at the corners.

    Returns
    -------
    numpy.ndarray
        Shape (K, d (d + 1) / 2), pairs in the order (0, 1), (0, 2), ..., (d - 1, d); unit of the corners.
    """
    pairs = combinations(range(corners.shape[1]), 2)
    return np.stack([vector_lengths(corners[:, j] - corners[:, i]) for i, j in pairs], axis=1)


def vector_lengths(vectors: np.ndarray) -> np.ndarray:
    """Return the Euclidean lengths of vectors along the last axis; free of overflow where the length is finite."""
    length = np.abs(vectors[..., 0])
    for component in range(1, vectors.shape[-1]):
        length = np.hypot(length, vectors[..., component])
    return length


def _volumes(corners: np.ndarray) -> np.ndarray:
    return _determinants(corners[:, 1:] - corners[:, :1]) / {2: 2.0, 3: 6.0}[corners.shape[2]]


def _determinants(rows: np.ndarray) -> np.ndarray:
    if rows.shape[1] == 2:
        return rows[:, 0, 0] * rows[:, 1, 1] - rows[:, 0, 1] * rows[:, 1, 0]
    return np.einsum("ki,ki->k", rows[:, 0], np.cross(rows[:, 1], rows[:, 2]))
