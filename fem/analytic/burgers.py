"""A front that travels along the diagonal: an exact solution of the viscous Burgers equation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, kw_only=True)
class TravellingFront:
    r"""Evaluate the front of the scalar equation in two dimensions.

    .. math::
        \partial_t u + u\, \partial_x u + u\, \partial_y u = \nu \Delta u, \qquad
        u = \frac{1}{1 + \exp\big((x + y - t) / (2 \nu)\big)}

    It solves the equation: with :math:`u = f(x + y - t)` that is :math:`-f' + 2 f f' = 2 \nu f''`, whose first
    integral :math:`2 \nu f' = f^2 - f` is the logistic equation.

    Parameters
    ----------
    viscosity : float
        nu [m^2/s]; the front is some 10 nu wide.

    Raises
    ------
    ValueError
        If the viscosity is not positive.

    References
    ----------
    Of the family in J. D. Cole, Quart. Appl. Math. 9, 1951, 225, turned by 45 degrees.
    """

    viscosity: float = 0.005

    def __post_init__(self) -> None:
        if not self.viscosity > 0:
            raise ValueError(f"viscosity: got {self.viscosity}, expected a positive number; give it in m^2/s")

    def exact(self, points: ArrayLike, t: float) -> NDArray:
        """Return u [m/s], (N,), at points (N, 2) [m] and time t [s]."""
        phase = np.asarray(points, dtype=float).sum(axis=1) - t
        return 0.5 * (1.0 - np.tanh(phase / (4.0 * self.viscosity)))  # the same, and exp cannot overflow
