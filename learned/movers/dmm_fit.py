"""The last layer of DMM, fitted to one mesh and monitor function when it is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from learned.geometry import volumes
from learned.movers.trial import Monitor
from learned.networks.dmm import Jet
from learned.prepared import PreparedMesh

# Weight of the boundary term, as published; those of the equation and of convexity are 1.
BOUNDARY = 1000.0
# Added to the diagonal of the preconditioner, in units of its mean: for functions that hardly differ on this mesh.
_RIDGE = 1e-7


@dataclass(frozen=True)
class FitProblem:
    r"""The losses of DMM as a function of the weights b of the functions t_k, in double precision.

    .. math:: L(b) = \sum_i w_i r_i^2 + 1000\,\text{mean}_s (n \cdot \nabla\phi)^2
              + \sum_i w_i \big(\min(0, 1 + \phi_{xx})^2 + \min(0, 1 + \phi_{yy})^2\big)_i,\qquad
              r_i = \frac{m(x_i)}{\theta} \det(I + \nabla\nabla\phi)_i - 1

    at the vertices i, x = xi + grad phi, with weights in proportion to m times the volume around a vertex as the
    places of training are drawn, sum 1; s: boundary vertices, with both components of the gradient where one is fixed.

    Attributes
    ----------
    places
        xi, shape (2, N).
    gradient, second
        Derivatives of the functions as in ``Jet``, shapes (2, N, p) and (3, N, p).
    sides
        Derivatives across the boundary, shape (S, p).
    weights
        w, shape (N,).
    theta
        Mean of m over the domain.
    monitor
        m and its gradient at places, shape (2, N), all of them arrays.
    """

    places: np.ndarray
    gradient: np.ndarray
    second: np.ndarray
    sides: np.ndarray
    weights: np.ndarray
    theta: float
    monitor: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

    def __call__(self, b: np.ndarray) -> tuple[float, np.ndarray]:
        """Return L and its gradient, shape (p,)."""
        value, slopes = self.monitor(self.places + self.gradient @ b)
        xx, xy, yy = self.second @ b
        xx, yy = 1.0 + xx, 1.0 + yy
        determinant = xx * yy - xy * xy
        residual = value * determinant / self.theta - 1.0
        across = self.sides @ b
        concave = np.minimum(0.0, np.stack([xx, yy]))
        loss = self.weights @ (residual**2 + (concave**2).sum(axis=0)) + BOUNDARY * (across**2).mean()
        # Of m at the moved place, and of the determinant, which the cofactors give.
        by_place = np.einsum("n,an->an", self.weights * residual * determinant / self.theta, slopes)
        by_second = self.weights * residual * value / self.theta * np.stack([yy, -2.0 * xy, xx])
        by_second[[0, 2]] += self.weights * concave
        slope = np.einsum("an,anp->p", by_place, self.gradient) + np.einsum("an,anp->p", by_second, self.second)
        return float(loss), 2.0 * slope + 2.0 * BOUNDARY * across @ self.sides / len(across)

    def preconditioner(self) -> np.ndarray:
        """Return a matrix S, shape (p, p), with S^T H S = 2 I for the second derivatives H of L if m is constant."""
        laplacian = self.second[0] + self.second[2]
        matrix = laplacian.T @ (self.weights[:, None] * laplacian)
        matrix += BOUNDARY * self.sides.T @ self.sides / len(self.sides)
        matrix += _RIDGE * np.trace(matrix) / len(matrix) * np.eye(len(matrix))
        return np.linalg.inv(np.linalg.cholesky(matrix)).T


def fit_problem(mesh: PreparedMesh, jet: Jet, values: Tensor, monitor: Monitor) -> FitProblem:
    """Return the problem of a mesh.

    Parameters
    ----------
    mesh
        What does not change with the vertices; in 2D.
    jet
        The functions at the vertices of the computational mesh.
    values
        m there, shape (N,).
    monitor
        m and its gradient at points.
    """
    topology, boundary = mesh.topology, mesh.boundary
    volume = topology.cell_sums(volumes(topology.corners(mesh.reference))).double()
    held = volume * values.double()
    gradient = jet.gradient.double()
    own, normals = gradient[:, boundary.vertices], boundary.normals(mesh.reference).double()
    across = (normals[:, :, None] * own).sum(0)[~boundary.fixed]
    sides = torch.cat([across, *own[:, boundary.fixed]])

    def at(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, slopes = monitor(torch.from_numpy(points).to(mesh.reference))
        return value.double().numpy(force=True), slopes.double().numpy(force=True)

    return FitProblem(
        places=mesh.reference.double().numpy(force=True),
        gradient=gradient.numpy(force=True),
        second=jet.second.double().numpy(force=True),
        sides=sides.numpy(force=True),
        weights=(held / held.sum()).numpy(force=True),
        theta=float(held.sum() / volume.sum()),
        monitor=at,
    )


def fitted(problem: FitProblem, start: Tensor, *, iterations: int) -> Tensor:
    """Return weights of less loss, shape (p,), by a quasi-Newton method from those at the start.

    Parameters
    ----------
    problem
        What to minimise.
    start
        Shape (p,).
    iterations
        Most iterations of L-BFGS.

    Returns
    -------
    Tensor
        Those of least loss of all that were looked at; the start if it was the best.
    """
    scale = problem.preconditioner()
    first = start.double().numpy(force=True)
    least, best = problem(first)[0], first

    def loss(c: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal least, best
        b = first + scale @ c
        value, slope = problem(b)
        if value < least:
            least, best = value, b
        return value, slope @ scale

    minimize(loss, np.zeros(len(first)), jac=True, method="L-BFGS-B", options={"maxiter": iterations, "maxcor": 20})
    return torch.from_numpy(best).to(start)
