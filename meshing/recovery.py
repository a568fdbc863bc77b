"""Gradient and Hessian of a field recovered in the vertices, by quadratic fits."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
from firedrake import Function, FunctionSpace, TensorFunctionSpace, VectorFunctionSpace
from mpi4py import MPI

from meshing.cell_maps import barycentric_gradients
from meshing.patches import MeshPatches

# Least pivot of a fit's normal matrix over its greatest diagonal entry. In units in which the patch is as long as wide,
# those of good meshes have 1e-2, and those that lack a neighbour have rounding.
_LEAST_PIVOT = 1e-4


def recover_gradient(field: Function) -> Function:
    """Recover the gradient of a field in the vertices; collective.

    Parameters
    ----------
    field
        Scalar field, see ``recovered_derivatives``.

    Returns
    -------
    Function
        Continuous P1 vector field [unit of the field / m].

    Raises
    ------
    ValueError
        As ``recovered_derivatives``.
    """
    gradient = Function(VectorFunctionSpace(field.function_space().mesh(), "CG", 1), name="gradient")
    gradient.dat.data_wo_with_halos[:] = recovered_derivatives(field)[0]
    return gradient


def recover_hessian(field: Function) -> Function:
    """Recover the Hessian of a field in the vertices; collective.

    Parameters
    ----------
    field
        Scalar field, see ``recovered_derivatives``.

    Returns
    -------
    Function
        Continuous P1 field of symmetric tensors [unit of the field / m^2].

    Raises
    ------
    ValueError
        As ``recovered_derivatives``.
    """
    hessian = Function(TensorFunctionSpace(field.function_space().mesh(), "CG", 1), name="hessian")
    hessian.dat.data_wo_with_halos[:] = recovered_derivatives(field)[1]
    return hessian


def recovered_derivatives(
    field: Function, patches: MeshPatches | None = None, values: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return gradient and Hessian of a field in the vertices; collective.

    In vertex i of the interior those of the quadratic that fits the neighbours' values best,

    .. math:: \min_{g, H} \sum_{K \ni i} \sum_{j \in K}
              \Big(u_i + g \cdot \delta_j + \tfrac12 \delta_j \cdot H \delta_j - u_j\Big)^2,\qquad
              \delta_j = x_j - x_i

    In vertices of the boundary, and those with too few neighbours, the mean of what the fits of neighbours have there.

    Parameters
    ----------
    field
        Scalar field u of any degree, whose values in the vertices count; where it jumps, their mean over the cells,
        weighted by volume.
    patches, values
        Patches of its mesh as it is, and what :func:`vertex_values` gives, if there are any.

    Returns
    -------
    tuple
        Gradient, shape (N, d) [unit of the field / m], and Hessian, shape (N, d, d), symmetric [unit / m^2], in the
        vertices this rank knows. Exact for quadratics on any mesh; of smooth fields the errors go like h^2 and h, or
        better where neighbours lie symmetrically. The partition changes them by rounding only. Where no fit is
        near, as on a mesh of two cells, the mean of the cells' gradients, and zero.

    Raises
    ------
    ValueError
        On all ranks, for a field that is no scalar or has values that are not finite, meshes that are not of
        triangles in 2D or tetrahedra in 3D, or a cell without volume.

    Notes
    -----
    Zhang and Naga (2005), SIAM J. Sci. Comput. 26, 1192 (polynomial preserving recovery, and on boundaries from
    interior neighbours); Guo, Zhang and Zhao (2017), Math. Comp. 86, 1671 (Hessians).
    """
    mesh = field.function_space().mesh()
    patches = patches or MeshPatches(mesh)
    if not patches.smallest(patches.volumes) > 0.0:
        raise ValueError("mesh: got a cell without volume, expected cells that are not degenerate; mend it first")
    values = vertex_values(field, patches) if values is None else values
    if patches.smallest(np.isfinite(values).astype(float)) < 1.0:
        raise ValueError(f"{field.name()}: got values that are not finite, expected a finite field; mend it")
    # Differences do not change, products of values come nowhere near overflow or underflow.
    size = mesh.comm.allreduce(float(np.abs(values).max(initial=0.0)), MPI.MAX) or 1.0
    gradient, hessian, good = _fits(patches, values / size)
    missing = _fill_from_neighbours(mesh, patches, gradient, hessian, good)
    if mesh.comm.allreduce(bool(missing.any()), MPI.LOR):
        gradient[missing] = _mean_gradients(patches, values / size)[missing]
    return size * gradient, size * hessian


def vertex_values(field: Function, patches: MeshPatches | None = None) -> np.ndarray:
    """Return a scalar field's values in the vertices this rank knows, shape (N,); collective.

    Of a field that jumps, the mean over the cells around the vertex, weighted by volume.

    Parameters
    ----------
    field
        Scalar field of any degree.
    patches
        Those of its mesh as it is, if there are any.

    Raises
    ------
    ValueError
        If the field is no scalar.
    """
    space = field.function_space()
    mesh, shape = space.mesh(), space.value_shape
    if shape != ():
        raise ValueError(f"{field.name()}: got a field of shape {shape}, expected a scalar; take its length")
    if space.ufl_element() in mesh.coordinates.ufl_element().sub_elements:
        return field.dat.data_ro_with_halos.copy()
    patches = patches or MeshPatches(mesh)
    corners = _corner_values(field, patches.cells.shape[1])
    volumes = np.repeat(patches.volumes[:, None], corners.shape[1], axis=1)
    return patches.sum(volumes * corners) / patches.sum(volumes)


def _corner_values(field: Function, corners: int) -> np.ndarray:
    """Return a scalar field's values in the corners of the cells this rank owns, shape (K, d + 1)."""
    element = field.function_space().ufl_element()
    if element.family() in ("Discontinuous Lagrange", "DQ") and element.degree() == 0:
        return np.repeat(field.dat.data_ro_with_halos[field.function_space().cell_node_map().values], corners, axis=1)
    # Nodes in the vertices, which those of the default variant are not.
    if (element.family(), element.degree(), element.variant()) != ("Discontinuous Lagrange", 1, "equispaced"):
        space = FunctionSpace(field.function_space().mesh(), "DG", 1, variant="equispaced")
        field = Function(space).interpolate(field)
    return field.dat.data_ro_with_halos[field.function_space().cell_node_map().values]


def _fits(patches: MeshPatches, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return gradient and Hessian of each vertex's fit, and which of them are good: (N, d), (N, d, d), (N,)."""
    near, dimension = patches.neighbours, patches.points.shape[1]
    # Arrays of components by neighbours by vertices: sums over a last axis so short would take several times as long.
    away = [component[near.vertices] - component for component in patches.points.T]
    rise = (values[near.vertices] - values) * near.times
    # Units of length in which the patch is as long as wide: slender cells would spoil the condition of the fit.
    widths = patches.completed(_products([near.times * axis for axis in away], away))
    unit, _ = _cholesky(_symmetric(widths, dimension))
    scaled = _forward(unit, away)
    pairs = list(combinations_with_replacement(range(dimension), 2))
    terms = scaled + [scaled[a] * scaled[b] * (0.5 if a == b else 1.0) for a, b in pairs]
    weighted = [near.times * term for term in terms]
    against = [np.einsum("mn,mn->n", term, rise) for term in terms]
    sums = patches.completed(np.concatenate([_products(weighted, terms), against]))
    normal, right = _symmetric(sums[: -len(terms)], len(terms)), sums[-len(terms) :]
    lower, pivots = _cholesky(normal)
    # Fits to one side are left out: in space their errors are up to four times those of the neighbours' (measured).
    largest = np.einsum("iin->in", normal).max(axis=0)
    good = ~patches.boundary() & (pivots.min(axis=0) > _LEAST_PIVOT * largest)
    solution = _backward(lower, np.stack(_forward(lower, list(right))))
    in_units = np.zeros((dimension, dimension, len(values)))
    for (a, b), component in zip(pairs, solution[dimension:], strict=True):
        in_units[a, b] = in_units[b, a] = component
    gradient = np.where(good, _backward(unit, solution[:dimension]), 0.0)
    curvature = _backward(unit, _backward(unit, in_units).swapaxes(0, 1))
    hessian = np.where(good, 0.5 * (curvature + curvature.swapaxes(0, 1)), 0.0)
    return np.ascontiguousarray(gradient.T), np.ascontiguousarray(np.moveaxis(hessian, 2, 0)), good


def _products(weighted: list[np.ndarray], terms: list[np.ndarray]) -> np.ndarray:
    """Return for each vertex the sums over its neighbours of the products of two terms, row by row of a triangle."""
    return np.stack([np.einsum("mn,mn->n", weighted[a], term) for a in range(len(terms)) for term in terms[: a + 1]])


def _symmetric(rows: np.ndarray, size: int) -> np.ndarray:
    """Return the symmetric matrices (size, size, N) of which the rows of a triangle are given."""
    matrix = np.empty((size, size, rows.shape[1]))
    entries = ((a, b) for a in range(size) for b in range(a + 1))
    for (a, b), row in zip(entries, rows, strict=True):
        matrix[a, b] = matrix[b, a] = row
    return matrix


def _cholesky(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return lower factors (n, n, N) of positive definite matrices, and their pivots (n, N), which may be rounding.

    What is above the diagonal is not set.
    Written out for all matrices at once: LAPACK, called matrix by matrix, takes several times as long.
    """
    lower, pivots = np.empty_like(matrix), np.empty(matrix.shape[1:])
    for j in range(len(matrix)):
        column = matrix[j:, j] - np.einsum("ikn,kn->in", lower[j:, :j], lower[j, :j])
        pivots[j] = column[0]
        # Of what is singular, the factors are not used, but have to be finite.
        column[0] = np.maximum(column[0], 1e-14 * matrix[j, j] + 1e-300)
        lower[j:, j] = column / np.sqrt(column[0])
    return lower, pivots


def _forward(lower: np.ndarray, right: list[np.ndarray]) -> list[np.ndarray]:
    """Solve L y = b, component by component of shape (..., N)."""
    solution: list[np.ndarray] = []
    for i, component in enumerate(right):
        for k, known in enumerate(solution):
            component = component - lower[i, k] * known
        solution.append(component / lower[i, i])
    return solution


def _backward(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve L^T x = y, shape (n, ..., N)."""
    solution = np.empty_like(right)
    for i in reversed(range(len(right))):
        known = sum(lower[k, i] * solution[k] for k in range(i + 1, len(right)))
        solution[i] = (right[i] - known) / lower[i, i]
    return solution


def _fill_from_neighbours(
    mesh, patches: MeshPatches, gradient: np.ndarray, hessian: np.ndarray, good: np.ndarray
) -> np.ndarray:
    """Set gradient and Hessian where they are not good to the means of good neighbours' quadratics, in place.

    What has been set is good for neighbours in turn, ring by ring. Return where no good one can be reached, (N,).
    """
    known, dimension = good.copy(), gradient.shape[1]
    pairs = list(combinations_with_replacement(range(dimension), 2))
    asked = np.flatnonzero(~good)
    near, times = patches.neighbours.vertices[:, asked], patches.neighbours.times[:, asked]
    away = [component[asked] - component[near] for component in patches.points.T]
    while not mesh.comm.allreduce(bool(known.all()), MPI.LAND):
        weight = times * known[near]
        curvatures = {pair: hessian[:, *pair][near] for pair in pairs}
        # The gradient of the quadratic of j is g_j + H_j (x - x_j).
        slopes = [
            sum((curvatures[min(a, b), max(a, b)] * away[b] for b in range(dimension)), start=axis[near])
            for a, axis in enumerate(gradient.T)
        ]
        sums = np.zeros((1 + dimension + len(pairs), len(good)))
        sums[0, asked] = weight.sum(axis=0)
        for row, values in zip(sums[1:], slopes + list(curvatures.values()), strict=True):
            row[asked] = np.einsum("mn,mn->n", weight, values)
        sums = patches.completed(sums)
        new = ~known & (sums[0] > 0.0)
        if not mesh.comm.allreduce(bool(new.any()), MPI.LOR):
            break
        means = sums[1:, new] / sums[0, new]
        gradient[new] = means[:dimension].T
        for (a, b), values in zip(pairs, means[dimension:], strict=True):
            hessian[new, a, b] = hessian[new, b, a] = values
        known |= new
    return ~known


def _mean_gradients(patches: MeshPatches, values: np.ndarray) -> np.ndarray:
    """Return for each vertex the mean of the gradients in its cells, weighted by volume, shape (N, d)."""
    slopes = np.einsum("kc,kca->ka", values[patches.cells], barycentric_gradients(patches.points[patches.cells]))
    whole = _sum_of_cells(patches, patches.volumes)
    return np.stack([_sum_of_cells(patches, patches.volumes * slope) / whole for slope in slopes.T], axis=1)


def _sum_of_cells(patches: MeshPatches, values: np.ndarray) -> np.ndarray:
    """Return for each vertex the sum of its cells' values, shape (N,), of one value a cell, shape (K,)."""
    return patches.sum(np.repeat(values[:, None], patches.cells.shape[1], axis=1))
