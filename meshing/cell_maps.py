"""Affine maps from the cells of a computational mesh to those of a physical one."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from meshing.simplex import simplex_corners, simplex_volumes


class CellMaps:
    r"""Maps from computational cells to physical cells, x = x_0 + F (xi - xi_0).

    .. math:: F_K = \sum_{i \in K} x_i \otimes \nabla_\xi \lambda_i

    lambda_i are the barycentric coordinates of the computational cell. det F > 0 for a cell that is not inverted,
    whatever the order of its vertices.

    Parameters
    ----------
    points
        Vertices of the computational mesh xi, shape (N, d), d = 2 or 3 [m].
    cells
        Vertex numbers of each simplex, shape (K, d + 1), integers; none degenerate.

    Attributes
    ----------
    cells
        As given.
    volumes
        Volumes of the computational cells, positive, shape (K,) [m^d].
    gradients
        Gradients of the barycentric coordinates, shape (K, d + 1, d) [1/m].

    Raises
    ------
    ValueError
        For anything but triangles in the plane and tetrahedra in space, or a cell without volume.
    """

    def __init__(self, points: np.ndarray, cells: np.ndarray):
        corners = simplex_corners(points, cells)
        self.cells = cells
        self.volumes = np.abs(simplex_volumes(points, cells))
        if not (self.volumes > 0.0).all():
            raise ValueError("mesh: got a cell without volume, expected cells that are not degenerate; mend it first")
        self.gradients = barycentric_gradients(corners)

    def jacobians(self, points: np.ndarray) -> np.ndarray:
        """Return F for the vertices x, shape (N, d): shape (K, d, d), rows are components of x."""
        return np.swapaxes(points[self.cells], 1, 2) @ self.gradients


def barycentric_gradients(corners: np.ndarray) -> np.ndarray:
    """Return the gradients of the barycentric coordinates of simplices.

    Parameters
    ----------
    corners
        Shape (K, d + 1, d) [m]; no simplex degenerate.

    Returns
    -------
    numpy.ndarray
        Shape (K, d + 1, d) [1/m].
    """
    determinants, inverse = determinants_and_adjugates(np.swapaxes(corners[:, 1:] - corners[:, :1], 1, 2))
    inverse /= determinants[:, None, None]
    return np.concatenate([-inverse.sum(axis=1, keepdims=True), inverse], axis=1)


def corner_angles(gradients: np.ndarray) -> np.ndarray:
    r"""Return the angle of each simplex at each of its corners, in 3D the solid angle.

    .. math:: \Omega_i = \sum_{j < k;\ j, k \ne i} \beta_{jk} - (d - 2)\,\pi,\qquad
              \cos \beta_{jk} = -\frac{\nabla\lambda_j \cdot \nabla\lambda_k}{|\nabla\lambda_j||\nabla\lambda_k|}

    beta_jk is the angle between the facets opposite to the corners j and k.

    Parameters
    ----------
    gradients
        Gradients of the barycentric coordinates, shape (K, d + 1, d) [1/m].

    Returns
    -------
    numpy.ndarray
        Shape (K, d + 1) [rad, sr].
    """
    units = gradients / np.linalg.norm(gradients, axis=2, keepdims=True)
    corners = units.shape[1]
    angles = np.full(units.shape[:2], -(corners - 3) * np.pi)
    for j, k in combinations(range(corners), 2):
        between = np.arccos(np.clip(-np.einsum("ka,ka->k", units[:, j], units[:, k]), -1.0, 1.0))
        for corner in set(range(corners)) - {j, k}:
            angles[:, corner] += between
    return angles


def determinants_and_adjugates(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return determinants and adjugates, det(A) times the inverse, of matrices of size 2 or 3.

    Parameters
    ----------
    matrices
        Shape (K, d, d), d = 2 or 3; singular ones may be among them.

    Returns
    -------
    tuple
        Shapes (K,) and (K, d, d). The transpose of the adjugate is the cofactor matrix, the derivative of the
        determinant.
    """
    # Written out: LAPACK, called matrix by matrix, takes several times as long.
    a = np.ascontiguousarray(np.moveaxis(matrices, 0, -1))
    if len(a) == 2:
        adjugate = np.array([[a[1, 1], -a[0, 1]], [-a[1, 0], a[0, 0]]])
    else:
        rows = [a[(i + 1) % 3] for i in range(3)], [a[(i + 2) % 3] for i in range(3)]
        columns = [np.cross(one, other, axis=0) for one, other in zip(*rows, strict=True)]
        adjugate = np.array(columns).swapaxes(0, 1)
    determinants = (a[0] * adjugate[:, 0]).sum(axis=0)
    return determinants, np.ascontiguousarray(np.moveaxis(adjugate, -1, 0))
