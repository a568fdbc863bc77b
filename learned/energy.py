r"""What a good mesh is: a data-free energy of the cells, with its gradient by the vertices in closed form.

With cells K of volume V_K, weights w_K, and the monitor function's mean m_K over the corners, let

.. math:: z_K = \frac{m_K V_K / w_K}{\sum m V} \sum w,\qquad q_K = \Big(\frac{\|J_K\|^2}{d}\Big)^{d/2} \det J_K^{-1}
          \ \ge 1,\qquad J_K = \frac{\partial \xi}{\partial x}

z is 1 everywhere if m V / w is equidistributed, q is 1 where a cell has the shape of its computational cell. Then

.. math:: F = \frac{1}{\sum w} \sum_K w_K \Big[(z_K - 1) \log z_K
          + \epsilon \Big(\frac{\theta\,q_K^p + 1 - 2\theta}{1 - \theta}\,z_K^{1-p} - 1\Big)\Big]

The first term is the symmetric (Jeffreys) divergence between the shares w z of the monitor function's integral that the
cells hold and those w that they are asked to hold: the variance of z, or of log z, to second order. The second is
Huang's functional (``meshing.huang``) less 1, with M = m^{2/d} I: it keeps the shape of cells, and grows beyond bounds
as a cell degenerates, as the first does.

The weights say what is equidistributed: w = 1, m V; w = volumes of the computational cells, m V over those.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from learned.geometry import barycentric_gradients, cofactors, edges_from_first
from learned.topology import Topology

# Of theta and epsilon. With less, m is equidistributed better, which straight fronts like, but the least energy is
# where cells are sheared: with 0.1 the error of Poisson's equation rises on one of ten domains with holes. With more,
# fronts get fewer cells.
SHAPE = 0.2


@dataclass(frozen=True)
class EnergyState:
    """The energy at one mesh and what it is made of.

    Attributes
    ----------
    value
        F, shape (meshes,); inf if a cell is inverted or degenerate.
    huang
        Huang's functional, shape (meshes,); at least 1.
    terms
        What is in the brackets of F, shape (K,); inf for an inverted cell.
    ratios
        z, shape (K,).
    shapes
        q, shape (K,), at least 1.
    volumes
        d! V, shape (K,) [m^d].
    """

    value: Tensor
    huang: Tensor
    terms: Tensor
    ratios: Tensor
    shapes: Tensor
    volumes: Tensor
    gradients: Tensor  # barycentric, (d, d + 1, K)
    maps: Tensor  # J, (d, d, K)
    squares: Tensor  # |J|^2, (K,)
    held: Tensor  # m V / sum m V, (K,)
    density: Tensor  # m_K, (K,)


class MeshEnergy:
    """The energy F on the meshes of one topology.

    Parameters
    ----------
    topology
        Vertices and cells.
    reference
        Vertices of the computational mesh, shape (d, N) [m]; cells of positive volume.
    weights
        w, shape (K,), positive.
    theta
        Weight of alignment in Huang's functional, between 0 and 1/2.
    power
        p of Huang's functional, more than 1.
    huang
        epsilon, weight of Huang's functional.
    """

    def __init__(
        self,
        topology: Topology,
        reference: Tensor,
        weights: Tensor,
        *,
        theta: float = SHAPE,
        power: float = 1.5,
        huang: float = SHAPE,
    ):
        self.topology, self.theta, self.power, self.huang = topology, theta, power, huang
        self.shares = weights / topology.to_cells(topology.total(weights))
        # Scaled by the size of the cell: small numbers to the power 2 d do not underflow.
        edges = edges_from_first(topology.corners(reference))
        determinants, _ = cofactors(edges)
        self._root = determinants.abs() ** (1.0 / topology.dimension)
        self._edges = edges / self._root

    def with_shape(self, shape: float) -> MeshEnergy:
        """Return the energy with another theta and epsilon, both this number, more than 0 and less than 1/2."""
        other = copy(self)
        other.theta = other.huang = shape
        return other

    def __call__(self, points: Tensor, monitor: Tensor) -> EnergyState:
        """Return the energy of a mesh.

        Parameters
        ----------
        points
            Vertices, shape (d, N) [m].
        monitor
            m in the vertices, positive, of any scale, shape (N,).
        """
        d = self.topology.dimension
        determinants, vectors = cofactors(edges_from_first(self.topology.corners(points)))
        wrong = determinants <= 0
        inverted = bool(wrong.any())
        tiny = torch.finfo(points.dtype).tiny
        if inverted:
            determinants = determinants.clamp_min(tiny)
        density = self.topology.corners(monitor).mean(0)
        held = density * determinants
        held = held / self.topology.to_cells(self.topology.total(held))
        ratios = held / self.shares
        gradients = barycentric_gradients(determinants, vectors)
        # J^{ab} = sum over edges of xi_a grad_b; scaled by the size of the cell, so that |J|^d det J^{-1} = q.
        maps = (self._edges[:, None] * gradients[None, :, 1:]).sum(2)
        squares = maps.square().sum((0, 1))
        shapes = (squares / d) ** (0.5 * d) * determinants
        logs = ratios.log()
        bracket = (self.theta * shapes**self.power + (1.0 - 2.0 * self.theta)) / (1.0 - self.theta)
        bracket = bracket * torch.exp((1.0 - self.power) * logs)
        terms = (ratios - 1.0) * logs + self.huang * (bracket - 1.0)
        if inverted:
            terms = terms.masked_fill(wrong, torch.inf)
        value, huang = self.topology.total(self.shares * terms), self.topology.total(self.shares * bracket)
        return EnergyState(value, huang, terms, ratios, shapes, determinants, gradients, maps, squares, held, density)

    def derivatives(self, state: EnergyState, slopes: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return the gradient by the vertices and a positive diagonal that preconditions it.

        .. math:: \frac{\partial F}{\partial x_i} = \sum_{K \ni i} \Big[(c_K + s_K) I
                  - \frac{d\,s_K}{\|J\|^2} J^T J\Big] \nabla\lambda_i
                  + \frac{c_K}{m_K} \frac{\nabla m(x_i)}{d + 1}

        c = z dF/dz, less its part in the sum that scales z, and s = q dF/dq.

        Parameters
        ----------
        state
            What calling the energy gave.
        slopes
            Gradient of m at the vertices, shape (d, N) [1/m].

        Returns
        -------
        tuple
            The gradient, shape (d, N) [1/m], and the diagonal, shape (N,) [1/m^2], so that their quotient is a step.
        """
        d, p = self.topology.dimension, self.power
        logs = state.ratios.log()
        strength = self.shares * self.huang / (1.0 - self.theta) * torch.exp((1.0 - p) * logs)
        aligned = self.theta * state.shapes**p
        by_ratio = self.shares * (state.ratios * (logs + 1.0) - 1.0)
        by_ratio = by_ratio + (1.0 - p) * strength * (aligned + 1.0 - 2.0 * self.theta)
        by_ratio = by_ratio - self.topology.to_cells(self.topology.total(by_ratio)) * state.held
        by_shape = strength * p * aligned
        products = (state.maps[:, :, None] * state.maps[:, None]).sum(0)
        turned = (products[:, :, None] * state.gradients[None]).sum(1)
        forces = (by_ratio + by_shape) * state.gradients - (d * by_shape / state.squares) * turned
        weight = self.topology.cell_sums(by_ratio / state.density) / (d + 1)
        gradient = self.topology.sums(forces) + weight * slopes
        stiffness = self.shares * (1.0 + state.ratios) + p * by_shape
        diagonal = self.topology.sums(stiffness * state.gradients.square().sum(0))
        return gradient, diagonal
