"""Volumes, widths and barycentric gradients of triangles and tetrahedra, on tensors with components first."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import torch
from torch import Tensor

# Directions in which a tetrahedron can be narrowest, as pairs of edges: normals of its faces, and common normals of its
# opposite edges; see meshing.simplex, which explains them.
_NORMALS = (
    ((0, 1), (0, 2)),
    ((0, 1), (0, 3)),
    ((0, 2), (0, 3)),
    ((1, 2), (1, 3)),
    ((0, 1), (2, 3)),
    ((0, 2), (1, 3)),
    ((0, 3), (1, 2)),
)


def edges_from_first(corners: Tensor) -> Tensor:
    """Return the edges from the first corner of each cell to the others: (d, d + 1, K) to (d, d, K) [m]."""
    return corners[:, 1:] - corners[:, :1]


def cofactors(edges: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return the determinant of the edges and, for each edge, the vector of its cofactors.

    .. math:: D = \det(e_1, \dots, e_d),\qquad c_i = \partial D / \partial e_i,\qquad \nabla \lambda_i = c_i / D

    Parameters
    ----------
    edges
        Edges from the first corner, shape (d, d, K): component, edge, cell [m].

    Returns
    -------
    tuple
        D = d! times the signed volume, shape (K,), and the cofactors, shape (d, d, K): component, edge, cell.
    """
    if edges.shape[0] == 2:
        (ax, bx), (ay, by) = edges
        return ax * by - bx * ay, torch.stack([torch.stack([by, -ay]), torch.stack([-bx, ax])])
    a, b, c = edges.unbind(1)
    vectors = torch.stack([_cross(b, c), _cross(c, a), _cross(a, b)], dim=1)
    return (a * vectors[:, 0]).sum(0), vectors


def volumes(corners: Tensor) -> Tensor:
    """Return the signed volume of each simplex, (d, d + 1, K) to (K,) [m^d]; sign as in ``meshing.simplex``."""
    determinants, _ = cofactors(edges_from_first(corners))
    return determinants / factorial(corners.shape[0])


def barycentric_gradients(determinants: Tensor, vectors: Tensor) -> Tensor:
    """Return the gradients of the barycentric coordinates of what ``cofactors`` gave: shape (d, d + 1, K) [1/m]."""
    rest = vectors / determinants
    return torch.cat([-rest.sum(1, keepdim=True), rest], dim=1)


def widths(corners: Tensor) -> Tensor:
    r"""Return the minimum width of each simplex: the least distance of two parallel planes that enclose it.

    .. math:: w = \frac{|D|}{\max_{ij} |x_i - x_j|} \text{ in 2D},\qquad
              w = \frac{|D|}{\max |(x_i - x_j) \times (x_k - x_l)|} \text{ in 3D}

    over the seven pairs of edges that span a face or are opposite; see ``meshing.simplex.simplex_widths``.

    Parameters
    ----------
    corners
        Shape (d, d + 1, K) [m].

    Returns
    -------
    Tensor
        Shape (K,), zero for a degenerate simplex [m].
    """
    edges = edges_from_first(corners)
    if corners.shape[0] == 2:
        determinants = edges[0, 0] * edges[1, 1] - edges[0, 1] * edges[1, 0]
        greatest = differences(corners).square().sum(0).amax(0)
    else:
        determinants, _ = cofactors(edges)
        normals = [_cross(corners[:, b] - corners[:, a], corners[:, d] - corners[:, c]) for (a, b), (c, d) in _NORMALS]
        greatest = torch.stack(normals, dim=1).square().sum(0).amax(0)
    tiny = torch.finfo(corners.dtype).tiny
    return determinants.abs() * greatest.clamp_min(tiny).rsqrt()


def differences(corners: Tensor) -> Tensor:
    """Return the differences of all pairs of corners of each cell: (d, d + 1, K) to (d, d (d + 1) / 2, K)."""
    return torch.stack([corners[:, j] - corners[:, i] for i, j in combinations(range(corners.shape[1]), 2)], dim=1)


def lengths(vectors: Tensor, axis: int = 0) -> Tensor:
    """Return the Euclidean lengths along an axis, with the derivative zero, not NaN, where the length is zero."""
    return vectors.square().sum(axis).clamp_min(torch.finfo(vectors.dtype).tiny).sqrt()


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return torch.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
