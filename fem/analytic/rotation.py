"""Three bodies in a flow that turns as a whole: the test of advection that shows every kind of edge at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Centre of the rotation, radius of the bodies, and where they are at the beginning [m].
CENTRE = (0.5, 0.5)
RADIUS = 0.15
CYLINDER, CONE, HUMP = (0.5, 0.75), (0.5, 0.25), (0.25, 0.5)
# The slot is cut into the cylinder from below: its width, and where it ends [m].
SLOT_WIDTH, SLOT_END = 0.05, 0.85


@dataclass(frozen=True, kw_only=True)
class Rotation:
    r"""Hold a slotted cylinder, a cone and a hump that turn about the middle of the unit square.

    .. math::
        \partial_t u + \nabla\cdot(a u) = 0, \qquad a = \frac{2\pi}{T}\,(\tfrac12 - y,\; x - \tfrac12)

    With :math:`r = |x - x_k| / 0.15` the bodies are, within r < 1, the cylinder u = 1 but for its slot, the cone
    :math:`u = 1 - r` and the hump :math:`u = \tfrac14 (1 + \cos \pi r)`; elsewhere u = 0. After every period all is
    as it was.

    Parameters
    ----------
    period : float
        T [s].

    Raises
    ------
    ValueError
        If the period is not positive.

    References
    ----------
    S. T. Zalesak, J. Comput. Phys. 31, 1979, 335, the slotted cylinder; R. J. LeVeque, SIAM J. Numer. Anal. 33, 1996,
    627, the three bodies.
    """

    period: float = 1.0

    def __post_init__(self) -> None:
        if not self.period > 0:
            raise ValueError(f"period: got {self.period}, expected a positive number; give it in s")

    def initial(self, points: ArrayLike) -> NDArray:
        """Return the bodies, (N,), at points (N, 2) [m]."""
        points = np.asarray(points, dtype=float)
        cylinder, cone, hump = (np.linalg.norm(points - body, axis=1) / RADIUS for body in (CYLINDER, CONE, HUMP))
        slot = (np.abs(points[:, 0] - CYLINDER[0]) < 0.5 * SLOT_WIDTH) & (points[:, 1] < SLOT_END)
        values = np.where((cylinder < 1.0) & ~slot, 1.0, 0.0)
        values += np.maximum(1.0 - cone, 0.0)
        return values + 0.25 * (1.0 + np.cos(np.pi * np.minimum(hump, 1.0)))

    def departure(self, points: ArrayLike, t: float) -> NDArray:
        """Return where what is at points (N, 2) [m] at time t [s] was at time 0."""
        # The remainder first: after whole periods all is where it was to the last bit.
        angle = 2.0 * np.pi * ((t / self.period) % 1.0)
        cosine, sine = np.cos(angle), np.sin(angle)
        x, y = (np.asarray(points, dtype=float) - CENTRE).T
        return np.column_stack([cosine * x + sine * y, cosine * y - sine * x]) + CENTRE

    def exact(self, points: ArrayLike, t: float) -> NDArray:
        """Return the solution, (N,), at points (N, 2) [m] and time t [s]."""
        return self.initial(self.departure(points, t))
