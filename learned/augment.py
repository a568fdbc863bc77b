r"""Random maps of the coordinates: a mesh and its monitor function seen through other coordinates, to train on too.

.. math:: x = \psi(y) = y + E y + \sum_k a_k d_k \sin(k \cdot y + p_k),\qquad
          m'(y) = m(\psi(y)) \det \frac{\partial\psi}{\partial y}

The mesh in the new coordinates y has the vertices :math:`y_i = \psi^{-1}(x_i)` and the same cells; the monitor function
is pulled back as the density that it is: :math:`m'\,dy = m\,dx`.

What is invariant: the integral of m over each cell, hence the shares z of the cells and the first term of drift's
energy for the target ``integral``, but for the difference between a cell with curved sides and the simplex of its
corners, of first order in the cell size; exactly for linear maps. What is not: the shapes of cells, the second term of
the energy; the target ``relative``, as volumes of computational cells become others; the limiter and the preconditioned
gradient, which are Euclidean. So the best mesh in y is not the image of the best one in x, and a label of Monge-Ampère
is none there: training for the energy needs no labels. To rotations, reflections, translations and scalings drift is
equivariant without any of this.

Augmentation by general covariance is of Fanaskov, Yu, Rudikov and Oseledets (arXiv 2301.12730), for equations; here the
equation is :math:`m\,dx` = constant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from learned.geometry import volumes
from learned.graph import MeshGraph
from learned.monitors import MonitorFunction

_WAVES = 3
# Waves are at least this long, in units of the domain: straight sides become curves that the mesh resolves.
_SHORTEST, _LONGEST = 0.8, 2.5
# Largest share of a cell's volume that the simplex of its mapped corners may lose beyond what the map takes.
_LOST = 0.5


@dataclass(frozen=True)
class CoordinateMap:
    r"""A map psi of the whole plane or space to itself that has an inverse.

    Attributes
    ----------
    linear
        E, shape (d, d).
    waves, phases, shifts
        k, shape (n, d); p, shape (n,); a d, shape (n, d).
    slope
        :math:`|E| + \sum_k |a_k d_k| |k|`, less than 1: psi minus the identity contracts, so psi has one inverse, and
        its Jacobian determinant is at least :math:`(1 - slope)^d`.
    """

    linear: np.ndarray
    waves: np.ndarray
    phases: np.ndarray
    shifts: np.ndarray

    @property
    def slope(self) -> float:
        """Largest slope of psi minus the identity."""
        lengths = np.linalg.norm(self.shifts, axis=1) * np.linalg.norm(self.waves, axis=1)
        return float(np.linalg.norm(self.linear, 2) + lengths.sum())

    def __call__(self, points: Tensor) -> Tensor:
        """Return psi(y) at points y, shape (d, n)."""
        linear, waves, phases, shifts = self._tensors(points)
        return points + linear @ points + shifts.T @ torch.sin(waves @ points + phases[:, None])

    def determinant(self, points: Tensor) -> Tensor:
        """Return the Jacobian determinant of psi at points, shape (d, n), as shape (n,); positive."""
        linear, waves, phases, shifts = self._tensors(points)
        steep = torch.cos(waves @ points + phases[:, None])
        outer = shifts[:, :, None] * waves[:, None, :]
        jacobian = torch.eye(len(points), dtype=points.dtype, device=points.device) + linear
        return torch.linalg.det(jacobian + torch.einsum("kn,kij->nij", steep, outer))

    def inverse(self, points: Tensor) -> Tensor:
        """Return psi^-1(x) at points x, shape (d, n), to rounding."""
        # The iteration y <- x - (psi - identity)(y) contracts by the slope.
        result = points
        for _ in range(int(np.ceil(np.log(torch.finfo(points.dtype).eps) / np.log(max(self.slope, 1e-3)))) + 1):
            result = points - (self(result) - result)
        return result

    def _tensors(self, points: Tensor) -> list[Tensor]:
        parts = (self.linear, self.waves, self.phases, self.shifts)
        return [torch.as_tensor(part, dtype=points.dtype, device=points.device) for part in parts]


@dataclass(frozen=True)
class MappedMonitor:
    """A monitor function pulled back: m'(y) = m(psi(y)) det(dpsi/dy)."""

    function: MonitorFunction
    map: CoordinateMap

    def __call__(self, points: Tensor) -> Tensor:
        """Return m' at points y, shape (d, n), as shape (n,)."""
        return self.function(self.map(points)) * self.map.determinant(points)


def random_map(rng: np.random.Generator, dimension: int, *, strength: float = 0.4) -> CoordinateMap:
    """Return a random map for domains of size 1.

    Parameters
    ----------
    rng
        Source of randomness.
    dimension
        2 or 3. In 3D the map is linear: boundary vertices slide in planes only, and stay where these become curved.
    strength
        Largest slope, less than 1; half of it is the linear part's in 2D.

    Returns
    -------
    CoordinateMap

    Raises
    ------
    ValueError
        For a strength that is negative, or 1 or more.
    """
    if not 0.0 <= strength < 1.0:
        raise ValueError(f"strength: got {strength:g}, expected at least 0 and less than 1")
    count = _WAVES if dimension == 2 else 0
    reach = strength * rng.random()
    linear = rng.normal(size=(dimension, dimension))
    linear *= (0.5 if count else 1.0) * reach / np.linalg.norm(linear, 2)
    waves = rng.normal(size=(count, dimension))
    lengths = np.exp(rng.uniform(np.log(_SHORTEST), np.log(_LONGEST), count))
    waves *= (2.0 * np.pi / lengths / np.linalg.norm(waves, axis=1))[:, None]
    shifts = rng.normal(size=(count, dimension))
    shifts *= (0.5 * reach / max(count, 1) / np.linalg.norm(waves, axis=1) / np.linalg.norm(shifts, axis=1))[:, None]
    return CoordinateMap(linear, waves, rng.uniform(0.0, 2.0 * np.pi, count), shifts)


def mapped_graph(graph: MeshGraph, map: CoordinateMap) -> MeshGraph | None:
    """Return a mesh in the new coordinates, to be prepared: its normals are those of the old ones.

    None if a simplex of mapped corners is inverted or much smaller than its cell: the mesh is too coarse for the map.
    """
    pos = map.inverse(graph.pos.T)
    corners = pos[:, graph.cells.T]
    # The linear part of the map at the middle of a cell says how large it should be.
    expected = volumes(graph.pos.T[:, graph.cells.T]) / map.determinant(corners.mean(1))
    if not bool((volumes(corners) > (1.0 - _LOST) * expected).all()):
        return None
    return replace(graph, pos=pos.T.contiguous())
