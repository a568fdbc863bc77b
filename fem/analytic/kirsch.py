"""An infinite plate with a circular hole under tension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class KirschPlate:
    r"""Stress and displacement around a hole of radius a in an infinite plate, tension S along x far away.

    .. math::

        \sigma_{xx} &= S\left[1 - q\left(\tfrac32 c_2 + c_4\right) + \tfrac32 q^2 c_4\right] \\
        \sigma_{yy} &= S\left[-q\left(\tfrac12 c_2 - c_4\right) - \tfrac32 q^2 c_4\right] \\
        \sigma_{xy} &= S\left[-q\left(\tfrac12 s_2 + s_4\right) + \tfrac32 q^2 s_4\right]

    with :math:`q = a^2/r^2`, :math:`c_n = \cos n\theta`, :math:`s_n = \sin n\theta`. The hole is free of traction. The
    greatest stress is 3 S, along x, at the hole in (0, +-a): K_t = 3. The displacement is 0 in x on the y axis and in y
    on the x axis.

    Methods take coordinates as numbers, arrays or UFL expressions, r >= a, and give the same.

    Parameters
    ----------
    tension
        S [Pa].
    radius
        a, more than 0 [m].
    shear
        Shear modulus [Pa].
    kolosov
        Kolosov's constant kappa: 3 - 4 nu in plane strain, (3 - nu) / (1 + nu) in plane stress.

    Notes
    -----
    Kirsch (1898), Z. Ver. dt. Ing. 42, 797; Timoshenko and Goodier (1951), Theory of Elasticity, article 32; the
    displacement as in Muskhelishvili (1953), Some Basic Problems of the Mathematical Theory of Elasticity, section 56a.
    """

    tension: float
    radius: float
    shear: float
    kolosov: float

    def stress(self, x: Any, y: Any) -> tuple[Any, Any, Any]:
        """Return sigma_xx, sigma_yy and sigma_xy [Pa] at places [m]."""
        square = x * x + y * y
        q = self.radius**2 / square
        c2, s2 = (x * x - y * y) / square, 2.0 * x * y / square
        c4, s4 = c2 * c2 - s2 * s2, 2.0 * c2 * s2
        xx = 1.0 - q * (1.5 * c2 + c4) + 1.5 * q * q * c4
        yy = -q * (0.5 * c2 - c4) - 1.5 * q * q * c4
        xy = -q * (0.5 * s2 + s4) + 1.5 * q * q * s4
        return self.tension * xx, self.tension * yy, self.tension * xy

    def displacement(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Return u_x and u_y [m] at places [m]."""
        a, k = self.radius, self.kolosov
        square = x * x + y * y
        q = a * a / square
        # cos 3 theta and sin 3 theta over cos theta and sin theta.
        c3, s3 = 4.0 * x * x / square - 3.0, 3.0 - 4.0 * y * y / square
        scale = self.tension / (8.0 * self.shear)
        u_x = scale * x * (k + 1.0 + 2.0 * q * (k + 1.0 + c3) - 2.0 * q * q * c3)
        u_y = scale * y * (k - 3.0 + 2.0 * q * (1.0 - k + s3) - 2.0 * q * q * s3)
        return u_x, u_y
