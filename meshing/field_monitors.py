"""Monitor functions made of a field's derivatives: arc length, gradient, Hessian."""

from __future__ import annotations

from abc import abstractmethod
from numbers import Real
from typing import Literal

import numpy as np
from firedrake import Function
from mpi4py import MPI

from meshing.background import CarriedField
from meshing.monitor import Monitor
from meshing.patches import MeshPatches
from meshing.recovery import recovered_derivatives, vertex_values
from meshing.shaping import Shaping, mean_of_vertices

# Derivatives that change the field over a cell by less than this share of it are rounding.
_ROUNDING = 1e-12

Scale = Literal["mean"] | float


class DerivativeMonitor(Monitor):
    """Make a monitor function of the size of a field's derivatives, once, and carry it from then on.

    Subclasses say which derivative, and which function of it.

    Parameters
    ----------
    field
        Scalar field u of any degree and unit, see ``meshing.recovery``; what becomes of it later does not count.
    shaping
        What to do with the values; by default they are smoothed by a filter of half a cell.
    scale
        What size of the derivative counts as much, s in the formulas: "mean" for its mean over the domain, or a number
        for that percentile, more than 0, at most 100, by volume. If that is 0, the mean; without derivative, m = 1.
    regularisation
        c in the formulas, positive: the smaller, the more cells go where the derivative is great. By default as the
        class says.

    Raises
    ------
    ValueError
        On all ranks: for fields as in ``meshing.recovery.recovered_derivatives``, scales and regularisations out of
        bounds; when called, for a mesh with a vertex whose place is not finite.
    """

    # Order of the derivative, c unless given, and the length of the filter that suits [cells].
    _order: int
    _regularisation = 1.0
    _smoothing = 0.5

    def __init__(
        self,
        field: Function,
        *,
        shaping: Shaping | None = None,
        scale: Scale = "mean",
        regularisation: float | None = None,
    ):
        factor = self._regularisation if regularisation is None else regularisation
        mesh = field.function_space().mesh()
        patches = MeshPatches(mesh)
        of_vertices = vertex_values(field, patches)
        sizes = self._sizes(*recovered_derivatives(field, patches, of_vertices))
        much = factor * derivative_scale(field, sizes, self._order, scale, factor, patches, of_vertices)
        relative = sizes / much if much > 0.0 else np.zeros_like(sizes)
        values = self._values(relative, mesh.geometric_dimension)
        made = (shaping or Shaping()).monitor_function(
            mesh, values, suitable_smoothing=self._smoothing, patches=patches
        )
        self._carried = CarriedField(made, patches)

    def __call__(self, mesh) -> Function:
        """Interpolate the monitor function at the vertices; on the field's own unmoved mesh, it is as it was made."""
        return Shaping().monitor_function(mesh, self._carried.at_vertices(mesh))

    @staticmethod
    @abstractmethod
    def _sizes(gradient: np.ndarray, hessian: np.ndarray) -> np.ndarray:
        """Return the size of the derivative in each vertex, shape (N,)."""

    @staticmethod
    @abstractmethod
    def _values(relative: np.ndarray, dimension: int) -> np.ndarray:
        """Return the raw monitor function of the sizes over c s."""


class ArcLengthMonitor(DerivativeMonitor):
    r"""Equidistribute the length, area or volume of the field's graph.

    .. math:: m \propto \sqrt{1 + \Big(\frac{|\nabla u|}{c\,s}\Big)^2},\qquad c = 1

    See ``DerivativeMonitor`` for parameters and errors; s is the scale.

    Notes
    -----
    White (1979), SIAM J. Numer. Anal. 16, 472; Winslow (1981), report UCID-19062, Lawrence Livermore; Huang and Russell
    (2011), Adaptive Moving Mesh Methods.
    """

    _order = 1

    @staticmethod
    def _sizes(gradient: np.ndarray, hessian: np.ndarray) -> np.ndarray:
        return np.linalg.norm(gradient, axis=1)

    @staticmethod
    def _values(relative: np.ndarray, dimension: int) -> np.ndarray:
        return np.hypot(1.0, relative)


class GradientMonitor(DerivativeMonitor):
    r"""Put a share of the cells where the field is steep, in proportion to its slope.

    .. math:: m \propto 1 + \frac{|\nabla u|}{c\,s},\qquad c = 1

    With the mean as s, the share 1 / (1 + c) of the cells follows the slope, the others are even.
    See ``DerivativeMonitor`` for parameters and errors; s is the scale.

    Notes
    -----
    Beckett and Mackenzie (2000), Appl. Numer. Math. 35, 87 (scale and share); Budd, Huang and Russell (2009), Acta
    Numerica 18, 111.
    """

    _order = 1

    @staticmethod
    def _sizes(gradient: np.ndarray, hessian: np.ndarray) -> np.ndarray:
        return np.linalg.norm(gradient, axis=1)

    @staticmethod
    def _values(relative: np.ndarray, dimension: int) -> np.ndarray:
        return 1.0 + relative


class HessianMonitor(DerivativeMonitor):
    r"""Equidistribute the error in L2 of linear interpolation on cells of no special direction.

    .. math:: m \propto \Big(1 + \frac{\|H\|}{c\,s}\Big)^{\frac{2d}{d+4}},\qquad c = 0.3

    H is the recovered Hessian, its norm that of Frobenius. The squared error of a cell of size h goes like
    h^{4+d} \|H\|^2. Of a given number of cells the sum is least when all have the same, so that h^{-d}, which m is to
    be, goes like \|H\|^{2d/(d+4)}.
    See ``DerivativeMonitor`` for parameters and errors; s is the scale.

    Notes
    -----
    Huang and Sun (2003), J. Comput. Phys. 184, 619, and Huang and Russell (2011), Adaptive Moving Mesh Methods, chapter
    5: isotropic case, degree 1, error in L2.
    """

    _order = 2
    _regularisation = 0.3

    @staticmethod
    def _sizes(gradient: np.ndarray, hessian: np.ndarray) -> np.ndarray:
        return np.linalg.norm(hessian, axis=(1, 2))

    @staticmethod
    def _values(relative: np.ndarray, dimension: int) -> np.ndarray:
        return (1.0 + relative) ** (2.0 * dimension / (dimension + 4.0))


def derivative_scale(
    field: Function,
    sizes: np.ndarray,
    order: int,
    scale: Scale,
    regularisation: float,
    patches: MeshPatches | None = None,
    values: np.ndarray | None = None,
) -> float:
    """Return what size of a derivative counts as much, s of ``DerivativeMonitor``; collective.

    Parameters
    ----------
    field
        Scalar field.
    sizes
        Size of its derivative in the vertices this rank knows, shape (N,) [unit of the field / m^order].
    order
        Order of the derivative.
    scale, regularisation
        As for ``DerivativeMonitor``, checked here.
    patches, values
        Patches of the field's mesh as it is, and what ``meshing.recovery.vertex_values`` gives, if there are any.

    Returns
    -------
    float
        In the unit of the sizes, on all ranks the same; 0 if there is no derivative but rounding.

    Raises
    ------
    ValueError
        For a scale or a regularisation out of bounds.
    """
    if not 0.0 < regularisation < np.inf:
        raise ValueError(f"regularisation: got {regularisation}, expected a positive number, such as 0.3")
    if scale != "mean" and not (isinstance(scale, Real) and 0.0 < scale <= 100.0):
        raise ValueError(f"scale: got {scale!r}, expected 'mean' or a percentile, more than 0, at most 100, such as 90")
    mesh = field.function_space().mesh()
    patches = patches or MeshPatches(mesh)
    mean = mean_of_vertices(mesh, sizes, patches)
    values = vertex_values(field, patches) if values is None else values
    largest = mesh.comm.allreduce(float(np.abs(values).max(initial=0.0)), MPI.MAX)
    volume = mesh.comm.allreduce(float(patches.volumes.sum()))
    cell = (volume / mesh.comm.allreduce(len(patches.volumes))) ** (1.0 / mesh.geometric_dimension)
    if not mean * cell**order > _ROUNDING * largest:
        return 0.0
    if scale == "mean":
        return mean
    weights = _vertex_volumes(mesh, patches)
    owned = np.concatenate(mesh.comm.allgather(np.stack([sizes[: len(weights)], weights], axis=1)))
    ordered, weights = owned[np.argsort(owned[:, 0], kind="stable")].T
    below = np.cumsum(weights)
    # Of a sum, rounding may leave less than the whole.
    place = min(int(np.searchsorted(below, scale / 100.0 * below[-1])), len(ordered) - 1)
    return float(ordered[place]) or mean


def _vertex_volumes(mesh, patches: MeshPatches) -> np.ndarray:
    """Return the shares of the domain's volume of the vertices this rank owns."""
    corners = patches.cells.shape[1]
    shares = patches.sum(np.repeat(patches.volumes[:, None] / corners, corners, axis=1))
    return shares[: mesh.coordinates.dof_dset.size]
