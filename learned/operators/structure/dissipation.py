"""What time steps that do not gain energy share: how the energy of successive states is told, and runs of steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from learned.operators.structure.base import Structure
from learned.operators.structure.data import largest, relative


class Dissipation(Structure):
    r"""A time step of a system whose energy does not grow.

    .. math:: M \frac{du}{dt} = (J - R)\,M^{-1} \nabla E(u),\qquad J = A - A^T,\quad R = L L^T

    Raw is the state before the step, u the one after it. Since J is antisymmetric and R positive semidefinite,
    :math:`dE/dt = -|L^T M^{-1} \nabla E|^2`, and the steps keep that sign whatever A and L are.

    The residual takes successive states as columns: the largest growth of E in a step over the largest size of E;
    without L, where E is kept, the largest change from the first state. For one state it is 0.

    Parameters
    ----------
    size
        Number of degrees of freedom.
    energy
        E: from states of shape (N, m), float64, to shape (m,).
    conservative
        Whether there is no L.
    """

    name = "dissipative"

    def __init__(self, *, size: int, energy: Callable[[Tensor], Tensor], conservative: bool):
        super().__init__(raw_size=size, size=size)
        self.energy, self.conservative = energy, conservative

    def rollout(self, start: Tensor, steps: int) -> Tensor:
        """Return successive states.

        Parameters
        ----------
        start
            First state, shape (N,), floating point.
        steps
            How many follow.

        Returns
        -------
        Tensor
            Shape (N, steps + 1), float64: fit for ``residual``.
        """
        states = [start.to(torch.float64)]
        for _ in range(steps):
            states.append(self(states[-1]))
        return torch.stack(states, dim=1)

    def _violation(self, u: Tensor) -> float:
        energies = self.energy(u)
        change = energies - energies[:1] if self.conservative else energies.diff().clamp_min(0.0)
        return relative(largest(change), largest(energies))
