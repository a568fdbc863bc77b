"""Quality of a mesh: shape of its elements, equidistribution of a monitor function, alignment, tangled cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from firedrake import Function
from mpi4py import MPI

from meshing.alignment import alignments, metric_values, positive_definite
from meshing.patches import MeshPatches
from meshing.simplex import edge_lengths, simplex_corners, simplex_volumes, vector_lengths


@dataclass(frozen=True)
class MeshQuality:
    r"""Quality of a mesh, the same on all ranks.

    Equidistribution is that of the cell integrals of the monitor function m; of m \|K\| and, given a computational
    mesh with cells K_c, of m \|K\| / \|K_c\|. Both are 0 (spread) and 1 (largest over mean) when m is equidistributed.

    Attributes
    ----------
    cells
        Number of cells.
    tangled
        Number of cells that are inverted with respect to the reference, or have no volume; None without reference, as
        the order of a cell's vertices says nothing about its orientation.
    min_scaled_jacobian, percentile_1_scaled_jacobian
        Least value and 1 % quantile of ``scaled_jacobians``; negative for inverted cells if there is a reference.
    percentile_99_aspect_ratio, max_aspect_ratio
        99 % quantile and greatest value of ``aspect_ratios``.
    spread, max_over_mean
        Standard deviation over mean, and greatest value over mean, of the integrals of m over the cells.
    relative_spread, relative_max_over_mean
        The same of the integrals over the volume of the reference's cells; None without reference.
    mean_alignment, percentile_99_alignment, max_alignment
        Mean, 99 % quantile and greatest value of ``meshing.alignment.alignments`` with the metric tensor: 1 if all
        cells have the shape that it asks for.
    """

    cells: int
    tangled: int | None
    min_scaled_jacobian: float
    percentile_1_scaled_jacobian: float
    percentile_99_aspect_ratio: float
    max_aspect_ratio: float
    spread: float
    max_over_mean: float
    relative_spread: float | None
    relative_max_over_mean: float | None
    mean_alignment: float
    percentile_99_alignment: float
    max_alignment: float


def mesh_quality(
    mesh, reference=None, monitor: Function | None = None, *, metric: Function | None = None
) -> MeshQuality:
    """Measure the quality of a mesh.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D.
    reference
        Computational mesh: the same cells and vertices, untangled, the vertices elsewhere; for instance the mesh
        before it was moved.
    monitor
        Monitor function m on the mesh, continuous P1; 1 if not given.
    metric
        Metric tensor on the mesh, continuous P1, symmetric positive definite; the identity if not given, so that
        alignment is that with the regular simplex, or with the cells of the reference if there is one.

    Returns
    -------
    MeshQuality
        From all cells of all ranks: the partition does not matter but to rounding.

    Raises
    ------
    ValueError
        For other meshes, a reference with other or degenerate cells, a monitor function or a metric tensor in
        another space, a metric tensor that is not symmetric positive definite.
    """
    patches = MeshPatches(mesh)
    points, cells = patches.points, patches.cells
    tensors = None if metric is None else metric_values(mesh, metric)
    # Decided by all ranks together: one that raised alone would leave the others waiting.
    if tensors is not None and patches.smallest(positive_definite(tensors).astype(float)) < 1.0:
        raise ValueError(
            "metric: got a tensor that is not symmetric positive definite, expected one in every vertex; add a small "
            "multiple of the identity"
        )
    volumes = simplex_volumes(points, cells)
    integrals = np.abs(volumes) * _cell_means(mesh, monitor, cells)
    orientation = np.abs(np.sign(volumes))
    relative = tangled = before_points = None
    if reference is not None:
        before = MeshPatches(reference)
        same = before.cells.shape == cells.shape and bool((before.cells == cells).all())
        if patches.smallest(np.array([float(same)])) < 1.0:
            raise ValueError("reference: got a mesh of other cells, expected the computational mesh of the same cells")
        before_points = before.points
        reference_volumes = simplex_volumes(before_points, cells)
        if not patches.smallest(np.abs(reference_volumes)) > 0.0:
            raise ValueError("reference: got a cell without volume, expected a mesh that is not degenerate")
        orientation = np.sign(volumes * np.sign(reference_volumes))
        tangled = mesh.comm.allreduce(int(np.count_nonzero(orientation <= 0)))
        relative = _equidistribution(integrals / np.abs(reference_volumes), mesh.comm)
    absolute = _equidistribution(integrals, mesh.comm)
    jacobians = _gathered(orientation * scaled_jacobians(points, cells), mesh.comm)
    ratios = _gathered(aspect_ratios(points, cells), mesh.comm)
    alignment = _gathered(alignments(points, cells, metric=tensors, reference=before_points), mesh.comm)
    return MeshQuality(
        cells=mesh.comm.allreduce(len(cells)),
        tangled=tangled,
        min_scaled_jacobian=float(jacobians.min()),
        percentile_1_scaled_jacobian=float(np.quantile(jacobians, 0.01)),
        # Interpolation would turn a neighbouring inf into NaN.
        percentile_99_aspect_ratio=float(np.quantile(ratios, 0.99, method="higher")),
        max_aspect_ratio=float(ratios.max()),
        spread=absolute[0],
        max_over_mean=absolute[1],
        relative_spread=relative[0] if relative else None,
        relative_max_over_mean=relative[1] if relative else None,
        mean_alignment=float(alignment.mean()),
        percentile_99_alignment=float(np.quantile(alignment, 0.99, method="higher")),
        max_alignment=float(alignment.max()),
    )


def scaled_jacobians(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    r"""Return the scaled Jacobian of each simplex, without its sign.

    .. math:: q = c_d \min_i \frac{|J|}{\prod_{j \ne i} |x_j - x_i|},\qquad c_2 = 2/\sqrt3,\ c_3 = \sqrt2

    J is d! times the volume. 1 for the regular simplex, 0 for a degenerate one.

    Parameters
    ----------
    points
        Vertices, shape (N, d), d = 2 or 3 [m].
    cells
        Vertex numbers of each simplex, shape (K, d + 1), integers.

    Returns
    -------
    numpy.ndarray
        Shape (K,), between 0 and 1, dimensionless.

    Raises
    ------
    ValueError
        For anything but triangles in the plane and tetrahedra in space.

    Notes
    -----
    Stimpson, Ernst, Knupp, Pebay and Thompson (2007), The Verdict Geometric Quality Library, SAND2007-1751: "scaled
    Jacobian" of triangles and tetrahedra.
    """
    corners = simplex_corners(points, cells)
    dimension = points.shape[1]
    jacobian = {2: 2.0, 3: 6.0}[dimension] * np.abs(simplex_volumes(points, cells))
    largest = np.zeros(len(cells))
    for corner in range(dimension + 1):
        edges = np.delete(corners, corner, axis=1) - corners[:, [corner]]
        np.maximum(largest, vector_lengths(edges).prod(axis=1), out=largest)
    regular = {2: 2.0 / np.sqrt(3.0), 3: np.sqrt(2.0)}[dimension]
    return regular * np.divide(jacobian, largest, out=np.zeros_like(jacobian), where=largest > 0)


def aspect_ratios(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    r"""Return the aspect ratio of each simplex: longest edge over inradius, 1 for the regular one.

    .. math:: q = \frac{L_{\max}}{c_d\, \rho},\qquad \rho = \frac{d\,|K|}{|\partial K|},\qquad
              c_2 = 2\sqrt3,\ c_3 = 2\sqrt6

    Parameters
    ----------
    points
        Vertices, shape (N, d), d = 2 or 3 [m].
    cells
        Vertex numbers of each simplex, shape (K, d + 1), integers.

    Returns
    -------
    numpy.ndarray
        Shape (K,), 1 or more, inf for a degenerate simplex, dimensionless.

    Raises
    ------
    ValueError
        For anything but triangles in the plane and tetrahedra in space.

    Notes
    -----
    Stimpson, Ernst, Knupp, Pebay and Thompson (2007), The Verdict Geometric Quality Library, SAND2007-1751: "aspect
    ratio" of triangles and tetrahedra.
    """
    corners = simplex_corners(points, cells)
    dimension = points.shape[1]
    lengths = edge_lengths(corners)
    if dimension == 2:
        boundary, regular = lengths.sum(axis=1), 2.0 * np.sqrt(3.0)
    else:
        boundary, regular = np.zeros(len(cells)), 2.0 * np.sqrt(6.0)
        for corner in range(4):
            a, b, c = np.moveaxis(np.delete(corners, corner, axis=1), 1, 0)
            boundary += 0.5 * vector_lengths(np.cross(b - a, c - a))
    radius = dimension * np.abs(simplex_volumes(points, cells))
    infinite = np.full(len(cells), np.inf)
    return np.divide(lengths.max(axis=1) * boundary, regular * radius, out=infinite, where=radius > 0)


def _cell_means(mesh, monitor: Function | None, cells: np.ndarray) -> np.ndarray:
    """Return the mean of a P1 field in each cell this rank owns."""
    if monitor is None:
        return np.ones(len(cells))
    space, expected = monitor.function_space(), mesh.coordinates.ufl_element()
    if space.mesh() is not mesh or space.ufl_element() not in expected.sub_elements:
        raise ValueError(
            f"monitor: got {space.ufl_element()} on {space.mesh().name}, expected a continuous P1 field on {mesh.name}"
        )
    return monitor.dat.data_ro_with_halos[cells].mean(axis=1)


def _equidistribution(values: np.ndarray, comm) -> tuple[float, float]:
    """Return standard deviation over mean, and greatest value over mean."""
    count = comm.allreduce(len(values))
    mean = comm.allreduce(float(values.sum())) / count
    variance = comm.allreduce(float(((values - mean) ** 2).sum())) / count
    return float(np.sqrt(variance) / mean), comm.allreduce(float(values.max(initial=-np.inf)), MPI.MAX) / mean


def _gathered(values: np.ndarray, comm) -> np.ndarray:
    """Return the values of all ranks on all ranks: quantiles do not follow from those of the parts."""
    return np.concatenate(comm.allgather(values))
