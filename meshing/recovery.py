"""Gradient and Hessian of a field recovered in the vertices, by quadratic fits."""

from __future__ import annotations

import numpy as np
from firedrake import Function, FunctionSpace, TensorFunctionSpace, VectorFunctionSpace
from mpi4py import MPI

from meshing.cell_maps import barycentric_gradients
from meshing.patches import MeshPatches
from meshing.simplex import simplex_volumes

# Least eigenvalue of a fit's normal matrix over its greatest. In units in which the patch is as long as wide, those of
# good meshes have 1e-2, and those that lack a neighbour have rounding.
_LEAST_EIGENVALUE = 1e-4


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


def recovered_derivatives(field: Function) -> tuple[np.ndarray, np.ndarray]:
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
    patches = MeshPatches(mesh)
    volumes = np.abs(simplex_volumes(patches.points, patches.cells))
    if not patches.smallest(volumes) > 0.0:
        raise ValueError("mesh: got a cell without volume, expected cells that are not degenerate; mend it first")
    values = vertex_values(field, patches)
    if patches.smallest(np.isfinite(values).astype(float)) < 1.0:
        raise ValueError(f"{field.name()}: got values that are not finite, expected a finite field; mend it")
    # Differences do not change, products of values come nowhere near overflow or underflow.
    size = mesh.comm.allreduce(float(np.abs(values).max(initial=0.0)), MPI.MAX) or 1.0
    gradient, hessian, good = _fits(patches, values / size)
    missing = _fill_from_neighbours(mesh, patches, gradient, hessian, good)
    if mesh.comm.allreduce(bool(missing.any()), MPI.LOR):
        gradient[missing] = _mean_gradients(patches, volumes, values / size)[missing]
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
    volumes = np.repeat(np.abs(simplex_volumes(patches.points, patches.cells))[:, None], corners.shape[1], axis=1)
    return patches.sum(volumes * corners) / patches.sum(volumes)


def _corner_values(field: Function, corners: int) -> np.ndarray:
    """Return a scalar field's values in the corners of the cells this rank owns, shape (K, d + 1)."""
    element = field.function_space().ufl_element()
    if element.family() in ("Discontinuous Lagrange", "DQ") and element.degree() == 0:
        return np.repeat(field.dat.data_ro_with_halos[field.function_space().cell_node_map().values], corners, axis=1)
    # Nodes in the vertices, which those of the default variant are not.
    space = FunctionSpace(field.function_space().mesh(), "DG", 1, variant="equispaced")
    if element != space.ufl_element():
        field = Function(space).interpolate(field)
    return field.dat.data_ro_with_halos[field.function_space().cell_node_map().values]


def _fits(patches: MeshPatches, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return gradient and Hessian of each vertex's fit, and which of them are good: (N, d), (N, d, d), (N,)."""
    points, cells = patches.points, patches.cells
    dimension = points.shape[1]
    others = np.array([np.delete(np.arange(dimension + 1), corner) for corner in range(dimension + 1)])

    def differences(of_vertices: np.ndarray) -> np.ndarray:
        """By other corner, cell and corner: sums over a last axis so short would take several times as long."""
        corners = of_vertices[cells]
        return np.stack([corners[:, other] - corners for other in others.T])

    away, rise = [differences(component) for component in points.T], differences(values)
    # Units of length in which the patch is as long as wide: slender cells would spoil the condition of the fit.
    number = patches.sum(np.full(cells.shape, float(dimension)))
    lengths, axes = np.linalg.eigh(_sums(patches, away) / number[:, None, None])
    unit = axes / np.sqrt(np.maximum(lengths, 1e-14 * lengths[:, -1:]))[:, None, :]
    scaled = [sum(away[a] * unit[:, a, b][cells] for a in range(dimension)) for b in range(dimension)]
    first, second = np.triu_indices(dimension)
    products = [scaled[a] * scaled[b] * (0.5 if a == b else 1.0) for a, b in zip(first, second, strict=True)]
    terms = scaled + products
    normal = _sums(patches, terms)
    right = np.stack([patches.sum((term * rise).sum(axis=0)) for term in terms], axis=1)[:, :, None]
    eigenvalues = np.linalg.eigvalsh(normal)
    # Fits to one side are left out: in space their errors are up to four times those of the neighbours' (measured).
    good = ~patches.boundary() & (eigenvalues[:, 0] > _LEAST_EIGENVALUE * eigenvalues[:, -1])
    gradient, hessian = np.zeros_like(points), np.zeros((len(points), dimension, dimension))
    solution = np.linalg.solve(normal[good], right[good])[:, :, 0]
    in_units = np.zeros((len(solution), dimension, dimension))
    in_units[:, first, second] = in_units[:, second, first] = solution[:, dimension:]
    gradient[good] = np.einsum("nab,nb->na", unit[good], solution[:, :dimension])
    curvature = unit[good] @ in_units @ np.swapaxes(unit[good], 1, 2)
    hessian[good] = 0.5 * (curvature + np.swapaxes(curvature, 1, 2))
    return gradient, hessian, good


def _sums(patches: MeshPatches, parts: list[np.ndarray]) -> np.ndarray:
    """Return for each vertex the sum over its cells and their other corners of the products of two parts, (N, a, a)."""
    total = np.empty((patches.vertices, len(parts), len(parts)))
    for a, one in enumerate(parts):
        for b, other in enumerate(parts[: a + 1]):
            total[:, a, b] = total[:, b, a] = patches.sum((one * other).sum(axis=0))
    return total


def _fill_from_neighbours(
    mesh, patches: MeshPatches, gradient: np.ndarray, hessian: np.ndarray, good: np.ndarray
) -> np.ndarray:
    """Set gradient and Hessian where they are not good to the means of good neighbours' quadratics, in place.

    What has been set is good for neighbours in turn, ring by ring. Return where no good one can be reached, (N,).
    """
    known = good.copy()
    # Of the other cells, nothing is asked; and what they add up to, in the vertices that are known, is not used.
    asked = ~known[patches.cells].all(axis=1)
    cells = patches.cells[asked]
    # Component by component, as for the fits.
    away = [(x := component[cells]) - x.mean(axis=1, keepdims=True) for component in patches.points.T]

    def sums(of_corners: np.ndarray) -> np.ndarray:
        everywhere = np.zeros(patches.cells.shape)
        everywhere[asked] = of_corners
        return patches.sum(everywhere)

    filled_gradient, filled_hessian = np.empty_like(gradient), np.empty_like(hessian)
    while True:
        weight = known[cells].astype(float)
        count = sums(weight.sum(axis=1, keepdims=True))
        new = ~known & (count > 0.0)
        if not mesh.comm.allreduce(bool(new.any()), MPI.LOR):
            return ~known
        # The gradient of the quadratic of j is g_j + H_j (x - x_j); where it is not known, both are still zero.
        for a, axis in enumerate(gradient.T):
            slope, slopes = axis[cells], np.zeros(cells.shape)
            for b, distance in enumerate(away):
                curvatures = hessian[:, a, b][cells]
                slope = slope - curvatures * distance
                slopes += curvatures.sum(axis=1, keepdims=True) * distance
            filled_gradient[:, a] = sums(slopes + slope.sum(axis=1, keepdims=True))
            for b in range(a, len(away)):
                of_cells = hessian[:, a, b][cells].sum(axis=1, keepdims=True)
                filled_hessian[:, a, b] = filled_hessian[:, b, a] = sums(of_cells)
        gradient[new] = filled_gradient[new] / count[new, None]
        hessian[new] = filled_hessian[new] / count[new, None, None]
        known |= new


def _mean_gradients(patches: MeshPatches, volumes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return for each vertex the mean of the gradients in its cells, weighted by volume, shape (N, d)."""
    slopes = np.einsum("kc,kca->ka", values[patches.cells], barycentric_gradients(patches.points[patches.cells]))
    whole = _sum_of_cells(patches, volumes)
    return np.stack([_sum_of_cells(patches, volumes * slope) / whole for slope in slopes.T], axis=1)


def _sum_of_cells(patches: MeshPatches, values: np.ndarray) -> np.ndarray:
    """Return for each vertex the sum of its cells' values, shape (N,), of one value a cell, shape (K,)."""
    return patches.sum(np.repeat(values[:, None], patches.cells.shape[1], axis=1))
