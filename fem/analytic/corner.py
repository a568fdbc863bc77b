"""The harmonic function that is singular in a corner: of all solutions on a domain with it, their worst part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fem.analytic.features import Derivatives


@dataclass(frozen=True, kw_only=True)
class CornerSingularity:
    r"""The function :math:`u = r^\alpha \sin \alpha\theta`, :math:`\alpha = \pi/\omega`, of a corner of angle omega.

    It is harmonic, and 0 on both sides of the corner. Of a corner that points inwards (omega > pi) the gradient is
    infinite in it, and u in H^{1 + alpha - e} for all e > 0 only: on uniform meshes the energy norm of the error goes
    like h^alpha whatever the degree.

    Parameters
    ----------
    corner
        Where r = 0, (x, y) [m].
    start
        Direction of the side theta = 0, counterclockwise from the x axis [rad].
    opening
        omega, from that side counterclockwise to the other, more than 0 and at most 2 pi [rad].

    Raises
    ------
    ValueError
        For another opening.

    Notes
    -----
    Grisvard (1985), Elliptic Problems in Nonsmooth Domains, chapter 4; Strang and Fix (1973), An Analysis of the Finite
    Element Method, chapter 8 (meshes graded like r^(1 - alpha) give back the order).
    """

    corner: tuple[float, float]
    start: float
    opening: float

    def __post_init__(self) -> None:
        if not 0.0 < self.opening <= 2.0 * np.pi:
            raise ValueError(f"opening: got {self.opening}, expected more than 0 and at most 2 pi rad")

    @property
    def exponent(self) -> float:
        """alpha, dimensionless."""
        return np.pi / self.opening

    def __call__(self, points: ArrayLike) -> Derivatives:
        """See ``ExactField``; in the corner itself the gradient is NaN."""
        turn = np.exp(-1j * self.start)
        place = (np.asarray(points, dtype=float) - self.corner) @ np.array([1.0, 1j]) * turn
        # The cut is in the middle of what is not domain, so that rounding on the sides does not matter.
        outside = 0.5 * (2.0 * np.pi - self.opening)
        angle = np.mod(np.angle(place) + outside, 2.0 * np.pi) - outside
        radius = np.abs(place)
        power = radius**self.exponent * np.exp(1j * self.exponent * angle)
        with np.errstate(divide="ignore", invalid="ignore"):
            # The derivative of Im w(z) is (Im w', Re w'); turned back, w' is that of z times the turn.
            slope = np.where(radius > 0.0, self.exponent * power / place * turn, complex(np.nan, np.nan))
        return Derivatives(power.imag, np.stack([slope.imag, slope.real], axis=1), np.zeros(len(radius)))


def l_shape_corner(side: float = 1.0) -> CornerSingularity:
    """Return that of the re-entrant corner of ``meshing.generation.l_shape`` of this side [m]."""
    return CornerSingularity(corner=(0.5 * side, 0.5 * side), start=0.5 * np.pi, opening=1.5 * np.pi)
