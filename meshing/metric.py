"""The metric tensor of a field: how small cells should be, and how long and thin in which direction."""

from __future__ import annotations

import numpy as np
from firedrake import Function, TensorFunctionSpace

from meshing.background import CarriedField
from meshing.cell_maps import determinants_and_adjugates
from meshing.field_monitors import Scale, derivative_scale
from meshing.monitor import Monitor
from meshing.recovery import recovered_derivatives
from meshing.shaping import Shaping, extremes, helmholtz_filter, mean_of_vertices


class MetricMonitor(Monitor):
    r"""Equidistribute and align cells for the least error in L2 of linear interpolation.

    .. math:: M \propto \det(A)^{-\frac{1}{d+4}} A,\qquad A = c\,s\,I + |H|,\qquad m = \sqrt{\det M}

    H is the recovered Hessian, |H| has its eigenvectors and the absolute values of its eigenvalues, s is the mean or
    a percentile of its Frobenius norm. The ideal cell has edges of the same length in M, and the error of linear
    interpolation is the same in all directions of M. M is made once, on the field's own mesh as it is now, and
    interpolated linearly at the vertices of others, where it is scaled anew.

    Parameters
    ----------
    field
        Scalar field u of any degree and unit, see ``meshing.recovery``; what becomes of it later does not count.
    shaping
        What to do with the tensor: A is smoothed, by default by a filter of half a cell; where m exceeds what the size
        ratio allows, M is scaled down.
    scale
        "mean", or a percentile, see ``meshing.field_monitors.DerivativeMonitor``. Without Hessian, M is the identity.
    regularisation
        c, positive: the smaller, the more cells go where the Hessian is great, and the thinner they are.
    max_anisotropy
        Greatest ratio of length to width that M may ask for, 1 or more; the smaller eigenvalues of A are raised to it.

    Raises
    ------
    ValueError
        On all ranks: for fields as in ``meshing.recovery.recovered_derivatives``, scale, regularisation or ratio out of
        bounds; when called, for a mesh with a vertex whose place is not finite.

    Notes
    -----
    Huang (2005), J. Comput. Phys. 204, 633, and Huang and Russell (2011), Adaptive Moving Mesh Methods, chapter 5:
    anisotropic case, degree 1, error in L2; Loseille and Alauzet (2011), SIAM J. Numer. Anal. 49, 38, with p = 2.
    """

    # Length of the filter that suits [cells].
    _smoothing = 0.5

    def __init__(
        self,
        field: Function,
        *,
        shaping: Shaping | None = None,
        scale: Scale = "mean",
        regularisation: float = 0.3,
        max_anisotropy: float = 10.0,
    ):
        if not 1.0 <= max_anisotropy < np.inf:
            raise ValueError(f"max_anisotropy: got {max_anisotropy}, expected a ratio of 1 or more, such as 10")
        self._shaping = shaping or Shaping()
        mesh, hessian = field.function_space().mesh(), recovered_derivatives(field)[1]
        sizes = np.linalg.norm(hessian, axis=(1, 2))
        much = derivative_scale(field, sizes, 2, scale, regularisation)
        dimension = mesh.geometric_dimension
        tensors = np.broadcast_to(np.eye(dimension), hessian.shape)
        if much > 0.0:
            values, vectors = np.linalg.eigh(hessian)
            tensors = _composed(regularisation + np.abs(values) / much, vectors)
        length = self._smoothing if self._shaping.smoothing is None else self._shaping.smoothing
        values, vectors = np.linalg.eigh(helmholtz_filter(mesh, tensors, length) if length > 0.0 else tensors)
        # On meshes with obtuse angles the filter may leave the range of what it smooths.
        values = np.clip(values, *extremes(mesh.comm, np.linalg.eigvalsh(tensors)))
        values = np.maximum(values, values[:, -1:] / max_anisotropy**2)
        values *= values.prod(axis=1, keepdims=True) ** (-1.0 / (dimension + 4.0))
        metric = Function(TensorFunctionSpace(mesh, "CG", 1), name="metric")
        metric.dat.data_wo_with_halos[:] = self._scaled(mesh, _composed(values, vectors))[0]
        self._carried = CarriedField(metric)

    def __call__(self, mesh) -> Function:
        """Return m = sqrt(det M)."""
        return Shaping().monitor_function(mesh, self._scaled(mesh, self._carried.at_vertices(mesh))[1])

    def metric(self, mesh) -> Function:
        """Evaluate the metric tensor; collective.

        Parameters
        ----------
        mesh
            Mesh of triangles in 2D or tetrahedra in 3D.

        Returns
        -------
        Function
            M, continuous P1, d x d, symmetric positive definite, dimensionless; the P1 function with the values
            sqrt(det M) in the vertices has the mean 1 over the domain.
        """
        metric = Function(TensorFunctionSpace(mesh, "CG", 1), name="metric")
        metric.dat.data_wo_with_halos[:] = self._scaled(mesh, self._carried.at_vertices(mesh))[0]
        return metric

    def _scaled(self, mesh, tensors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return tensors, capped and with sqrt(det M) of mean 1, and sqrt(det M)."""
        dimension = tensors.shape[1]
        density = np.sqrt(determinants_and_adjugates(tensors)[0])
        wanted = density
        if self._shaping.max_size_ratio is not None:
            # Capped on every mesh: between different directions the determinant is greater than on either side.
            wanted = np.minimum(density, extremes(mesh.comm, density)[0] * self._shaping.max_size_ratio**dimension)
        wanted = wanted / mean_of_vertices(mesh, wanted)
        return tensors * ((wanted / density) ** (2.0 / dimension))[:, None, None], wanted


def _composed(values: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return tensors with the eigenvalues, shape (N, d), and the eigenvectors, columns of shape (N, d, d)."""
    tensors = (vectors * values[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    return 0.5 * (tensors + np.swapaxes(tensors, 1, 2))
