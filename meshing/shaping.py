"""What is done to the values of a monitor function before movers see them: smoothed, capped, divided by the mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from firedrake import Function, FunctionSpace

from meshing.patches import MeshPatches
from meshing.simplex import simplex_volumes
from meshing.vertex_system import VertexSystem

# The matrix has a condition number of some times the square of the length, however fine or graded the mesh is. The
# tolerance keeps what the partition changes below 1e-10.
_FILTER = {"ksp_type": "cg", "pc_type": "jacobi", "ksp_rtol": 1e-12, "ksp_max_it": 10_000}
# Under which the system of the filter is kept with the topology: its pattern takes longer than its solution.
_SYSTEM = "driftmesh_filter"
# Square or cube of the regular simplex's edge over its volume.
_EDGE_POWER = {2: 4.0 / np.sqrt(3.0), 3: 6.0 * np.sqrt(2.0)}


@dataclass(frozen=True)
class Shaping:
    r"""How raw values r > 0 of a monitor function become m: smoothed, then capped, then divided by the mean.

    .. math:: s - \nabla \cdot (\ell^2 h_K^2 \nabla s) = r,\qquad
              c = \min(s,\ \rho^d \min s),\qquad
              m = c \Big/ \frac{1}{|\Omega|}\int_\Omega c

    h_K is the edge of the regular simplex of the cell's volume, d the dimension. The filter is discretised with P1
    and the lumped mass matrix. Cells that equidistribute m have sizes (edge lengths) like m^{-1/d}.

    Attributes
    ----------
    smoothing
        l, length of the filter [cells]; 0 for no filter; None for what suits the monitor function, which is no filter
        for those that are given as they are, and what their class says for those made of a field.
    max_size_ratio
        rho, greatest ratio of cell sizes that the monitor function may ask for; None for any.

    Raises
    ------
    ValueError
        For a negative length, a ratio below 1, or either not finite.

    Notes
    -----
    The filter keeps constants and the integral, and on meshes without obtuse angles (in 3D between facets) its solution
    is between the least and the greatest of r. On other meshes values beyond are put back there, at the cost of the
    integral, which the division by the mean restores. Lazarov and Sigmund (2011), Int. J. Numer. Meth. Engng 86, 765
    (Helmholtz filter); Huang and Russell (2011), Adaptive Moving Mesh Methods (smoothing of mesh density functions by
    such an equation).
    """

    smoothing: float | None = None
    max_size_ratio: float | None = None

    def __post_init__(self) -> None:
        if self.smoothing is not None and not 0.0 <= self.smoothing < np.inf:
            raise ValueError(f"smoothing: got {self.smoothing}, expected a length of 0 or more cells, such as 1")
        if self.max_size_ratio is not None and not 1.0 <= self.max_size_ratio < np.inf:
            raise ValueError(f"max_size_ratio: got {self.max_size_ratio}, expected a ratio of 1 or more, such as 10")

    def monitor_function(
        self,
        mesh,
        values: np.ndarray,
        *,
        name: str = "monitor",
        suitable_smoothing: float = 0.0,
        patches: MeshPatches | None = None,
    ) -> Function:
        """Return the monitor function m that raw values make; collective.

        Parameters
        ----------
        mesh
            Mesh of triangles in 2D or tetrahedra in 3D; inverted cells count as their mirror images.
        values
            r, in the vertices this rank knows, shape (N,), any unit.
        name
            What the values are, for the message.
        suitable_smoothing
            Length of the filter if none is asked for [cells].
        patches
            Those of the mesh as it is, if there are any.

        Returns
        -------
        Function
            Continuous P1, dimensionless, positive, finite, its mean over the domain 1 to 1e-12.

        Raises
        ------
        ValueError
            On all ranks, if a value is not positive or not finite.
        """
        least, most = extremes(mesh.comm, values)
        # Nor may one be lost in the division by the greatest, which keeps the sum from overflowing.
        if not (least > 0.0 and least / most > 0.0):
            got = "values that are not finite" if np.isnan(least) else f"values from {least:.6g} to {most:.6g}"
            raise ValueError(
                f"{name}: got {got}, expected positive values everywhere; add a positive constant or mend the field"
            )
        length = suitable_smoothing if self.smoothing is None else self.smoothing
        values = values / most
        if length > 0.0:
            least, most = extremes(mesh.comm, values)
            values = np.clip(helmholtz_filter(mesh, values, length, patches), least, most)
        if self.max_size_ratio is not None:
            least, _ = extremes(mesh.comm, values)
            values = np.minimum(values, least * self.max_size_ratio**mesh.geometric_dimension)
        function = Function(FunctionSpace(mesh, "CG", 1), name="monitor")
        function.dat.data_wo_with_halos[:] = values / mean_of_vertices(mesh, values, patches)
        return function


def helmholtz_filter(mesh, values: np.ndarray, length: float, patches: MeshPatches | None = None) -> np.ndarray:
    """Smooth values in the vertices by the filter of ``Shaping``; collective.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D, without degenerate cells.
    values
        Values in the vertices this rank knows, shape (N,) or, component by component, (N, ...), any unit.
    length
        l, length of the filter [cells].
    patches
        Those of the mesh as it is, if there are any.

    Returns
    -------
    numpy.ndarray
        The same shape and integral; constants unchanged; the same whatever the partition to 1e-10 of the greatest
        value. Not put back between the least and the greatest value.
    """
    patches = patches or MeshPatches(mesh)
    dimension, volumes = mesh.geometric_dimension, patches.volumes
    squares = (_EDGE_POWER[dimension] * volumes) ** (2.0 / dimension)
    # The gradient of a barycentric coordinate is the opposite facet's area vector over d |K|.
    vectors = _area_vectors(patches.points.T[:, patches.cells.T])
    products = np.einsum("iak,jak->ijk", vectors, vectors) * (length**2 * squares / (dimension**2 * volumes))
    cells = np.ascontiguousarray(np.moveaxis(products, 2, 0))
    mass = patches.sum(np.repeat(volumes[:, None] / (dimension + 1), dimension + 1, axis=1))
    smooth = np.empty_like(values)
    columns, results = values.reshape(len(values), -1).T, smooth.reshape(len(values), -1).T
    system = patches.kept(_SYSTEM, lambda: VertexSystem(mesh, patches, 1, _FILTER))
    for column, result in zip(columns, results, strict=True):
        # Solved for the difference from the least value, so that a constant comes out as it is.
        least, _ = extremes(mesh.comm, column)
        right = (mass * (column - least))[:, None]
        result[:] = least + system.solve(cells, mass[:, None, None], right)[:, 0]
    return smooth


def extremes(comm, values: np.ndarray) -> tuple[float, float]:
    """Return the least and the greatest value of all ranks, on all ranks the same; NaN if one is not finite."""
    local = (np.nan, np.nan)
    if np.isfinite(values).all():
        local = (float(values.min(initial=np.inf)), float(values.max(initial=-np.inf)))
    # A reduction by MPI may lose a NaN.
    least, most = np.array(comm.allgather(local)).T
    return float(least.min()), float(most.max())


def mean_of_vertices(mesh, values: np.ndarray, patches: MeshPatches | None = None) -> float:
    """Return the mean over the domain of the P1 function with values in the vertices, shape (N,); collective.

    If patches of the mesh as it is are given, their volumes are used.
    """
    cells = mesh.coordinates.cell_node_map().values
    if patches is None:
        volumes = np.abs(simplex_volumes(mesh.coordinates.dat.data_ro_with_halos, cells))
    else:
        volumes = patches.volumes
    # Corner by corner: means over so short an axis take several times as long.
    of_cells = sum(values[corner] for corner in cells.T)
    sums = mesh.comm.allgather((float(volumes @ of_cells) / cells.shape[1], float(volumes.sum())))
    return sum(integral for integral, _ in sums) / sum(volume for _, volume in sums)


def _area_vectors(corners: np.ndarray) -> np.ndarray:
    """Return the area vectors of the facets opposite to each corner, in 2D turned by a quarter, which products forgive.

    Corners of shape (d, d + 1, K), result (d + 1, d, K); all outward or all inward.
    """
    edges = np.moveaxis(corners[:, 1:] - corners[:, :1], 1, 0)
    if len(edges) == 2:
        return np.stack([edges[1] - edges[0], -edges[1], edges[0]])
    others = 0.5 * np.stack([np.cross(edges[i - 2], edges[i - 1], axis=0) for i in range(3)])
    return np.concatenate([-others.sum(axis=0, keepdims=True), others])
