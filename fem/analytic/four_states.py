"""Four states of Burgers' inviscid equation that meet in a corner: shocks and a fan in two dimensions, exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# When the fan reaches the boundary of the unit square, and the formulas end with it [s].
T_LAST = 0.5


class FourStates:
    r"""Evaluate the entropy solution of Burgers' equation with one state in each quadrant about (1/2, 1/2).

    .. math::
        \partial_t u + \partial_x \tfrac12 u^2 + \partial_y \tfrac12 u^2 = 0, \qquad
        u(\cdot, 0) = \begin{cases}
            -0.2 & x < \tfrac12,\; y > \tfrac12 \\ -1 & x > \tfrac12,\; y > \tfrac12 \\
            0.5 & x < \tfrac12,\; y < \tfrac12 \\ 0.8 & x > \tfrac12,\; y < \tfrac12
        \end{cases}

    Along every line of the direction (1, 1) it is a problem of one dimension, another one for each line: shocks of
    different strength meet, and one bends as it runs into a fan.

    Guarantees
    ----------
    Exact in the unit square for 0 <= t <= 1/2; on the shocks it is one of the two states.

    References
    ----------
    J.-L. Guermond, R. Pasquetti, B. Popov, J. Comput. Phys. 230, 2011, 4248, section 5.1 (the problem and its
    solution).
    """

    def exact(self, points: ArrayLike, t: float) -> NDArray:
        """Return u [m/s], (N,), at points (N, 2) of the unit square [m] and time t in [0, 1/2] [s]."""
        x, y = np.asarray(points, dtype=float).T
        return solution(x, y, t, where=np.where)


def solution(x: Any, y: Any, t: Any, *, where: Callable[[Any, Any, Any], Any]) -> Any:
    """Return u at (x, y) [m] and t [s]: arrays with ``where=numpy.where``, UFL with ``where=ufl.conditional``."""
    # The fan is only between its edges, which at t = 0 coincide: no division by zero there.
    later = where(t > 0.0, t, 1.0)
    fan, bent = (x - 0.5) / later, x - 5.0 / (18.0 * later) * (x + t - 0.5) * (x + t - 0.5)
    return where(
        x < 0.5 - 0.6 * t,
        where(y > 0.5 + 0.15 * t, -0.2, 0.5),
        where(
            x < 0.5 - 0.25 * t,
            where(y > -8.0 / 7.0 * x + 15.0 / 14.0 - 15.0 / 28.0 * t, -1.0, 0.5),
            where(
                x < 0.5 + 0.5 * t,
                where(y > x / 6.0 + 5.0 / 12.0 - 5.0 / 24.0 * t, -1.0, 0.5),
                where(
                    x < 0.5 + 0.8 * t,
                    where(y > bent, -1.0, fan),
                    where(y > 0.5 - 0.1 * t, -1.0, 0.8),
                ),
            ),
        ),
    )
