"""How well elements have the shape that a metric tensor asks for."""

from __future__ import annotations

import numpy as np
from firedrake import Function

from meshing.simplex import simplex_corners, simplex_volumes

# Edges of the regular simplex with edges of length 1, a row each.
_REGULAR_EDGES = {
    2: np.array([[1.0, 0.0], [0.5, np.sqrt(3.0) / 2.0]]),
    3: np.array([[1.0, 0.0, 0.0], [0.5, np.sqrt(3.0) / 2.0, 0.0], [0.5, np.sqrt(3.0) / 6.0, np.sqrt(2.0 / 3.0)]]),
}
# Difference of a tensor from its transpose that still counts as rounding.
_ASYMMETRY = 1e-10


def alignments(
    points: np.ndarray, cells: np.ndarray, *, metric: np.ndarray | None = None, reference: np.ndarray | None = None
) -> np.ndarray:
    r"""Return the alignment of each simplex with a metric tensor: 1 where its shape is the one wanted, else more.

    .. math:: Q = \left[\frac{\operatorname{tr} A}{d\,(\det A)^{1/d}}\right]^{\frac{d}{2(d-1)}},\qquad
              A = (F')^T M_K F'

    F' is the Jacobian of the affine map from the reference cell, M_K the mean of the metric tensor over the
    vertices. Q = 1 says that F' maps spheres to the ellipsoids of M_K; size plays no part, neither the element's nor
    the metric's. In 2D, Q is (r + 1/r)/2 for semi-axes in the ratio r, both measured in M_K.

    Parameters
    ----------
    points
        Vertices, shape (N, d), d = 2 or 3 [m].
    cells
        Vertex numbers of each simplex, shape (K, d + 1), integers.
    metric
        M, symmetric positive definite tensor in each vertex, shape (N, d, d), in any unit; the identity if not given.
    reference
        Vertices of the computational mesh, whose cells, none degenerate, are the reference cells, shape (N, d)
        [m]; if not given, the reference cell is the regular simplex.

    Returns
    -------
    numpy.ndarray
        Shape (K,), 1 or more, inf for a degenerate simplex, dimensionless. Inverted cells count as their mirror
        images. Rotations, reflections and scalings of the whole, and factors of the metric, change nothing.

    Raises
    ------
    ValueError
        For anything but triangles in the plane and tetrahedra in space.

    Notes
    -----
    Huang (2005), Metric tensors for anisotropic mesh generation, J. Comput. Phys. 204, 633-665; Huang and Russell
    (2011), Adaptive Moving Mesh Methods, section 4.1.
    """
    edges, dimension = _edges(points, cells), points.shape[1]
    if reference is None:
        before = _REGULAR_EDGES[dimension][None]
        volume = np.abs(np.linalg.det(before))
    else:
        before = _edges(reference, cells)
        volume = _factorial(dimension) * np.abs(simplex_volumes(reference, cells))
    # Rows are edges: the transpose of F' maps those of the reference cell to those of the simplex.
    jacobian = np.linalg.solve(before, edges)
    determinant = _factorial(dimension) * np.abs(simplex_volumes(points, cells)) / volume
    if metric is None:
        trace, root = np.einsum("kij,kij->k", jacobian, jacobian), determinant ** (2.0 / dimension)
    else:
        tensor = metric[cells].mean(axis=1)
        trace = np.einsum("kij,kjl,kil->k", jacobian, tensor, jacobian)
        # Not the determinant of A: of long thin cells, F' and M are far from singular together only.
        root = determinant ** (2.0 / dimension) * np.maximum(np.linalg.det(tensor), 0.0) ** (1.0 / dimension)
    ratio = np.divide(trace, dimension * root, out=np.full(len(cells), np.inf), where=root > 0)
    # Of an ideal cell, rounding may leave less than 1.
    return np.maximum(ratio, 1.0) ** (dimension / (2.0 * (dimension - 1.0)))


def metric_values(mesh, metric: Function) -> np.ndarray:
    """Return a metric tensor's values in the vertices this rank knows, shape (N, d, d), to be read only.

    Raises
    ------
    ValueError
        If it is no continuous P1 tensor on the mesh with all d x d components.
    """
    space, dimension = metric.function_space(), mesh.geometric_dimension
    scalar = mesh.coordinates.ufl_element().sub_elements[0]
    values = metric.dat.data_ro_with_halos
    whole = values.shape[1:] == space.value_shape == (dimension, dimension)
    if space.mesh() is not mesh or not whole or set(space.ufl_element().sub_elements) != {scalar}:
        raise ValueError(
            f"metric: got {space.ufl_element()} on {space.mesh().name}, expected a continuous P1 tensor of "
            f'{dimension} x {dimension} on {mesh.name}; make it in TensorFunctionSpace(mesh, "CG", 1)'
        )
    return values


def positive_definite(tensors: np.ndarray) -> np.ndarray:
    """Return which tensors, shape (N, d, d), are finite, symmetric and positive definite, shape (N,), bool."""
    largest = np.abs(tensors).max(axis=(1, 2), initial=0.0)
    good = np.isfinite(tensors).all(axis=(1, 2)) & (largest > 0)
    scaled = np.zeros_like(tensors)
    scaled[good] = tensors[good] / largest[good, None, None]
    symmetric = np.abs(scaled - scaled.swapaxes(1, 2)).max(axis=(1, 2), initial=0.0) <= _ASYMMETRY
    return good & symmetric & (np.linalg.eigvalsh(scaled)[:, 0] > 0)


def _edges(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    corners = simplex_corners(points, cells)
    return corners[:, 1:] - corners[:, :1]


def _factorial(dimension: int) -> float:
    return {2: 2.0, 3: 6.0}[dimension]
