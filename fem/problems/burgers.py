"""Burgers' equation, viscous or not."""

from __future__ import annotations

from dataclasses import dataclass

from firedrake import Constant, conditional, tanh
from ufl.core.expr import Expr

from fem.analytic.four_states import solution
from fem.scalar_law import ScalarLaw, SpaceTimeField


@dataclass(frozen=True, kw_only=True)
class Burgers(ScalarLaw):
    r"""Burgers' scalar equation :math:`\partial_t u + u\,(\partial_x u + \partial_y u) = \nu \Delta u`.

    In conservation form the flux is :math:`\tfrac12 u^2` along every axis.

    Parameters
    ----------
    viscosity
        nu [m^2/s], 0 for none.

    Others as :class:`~fem.scalar_law.ScalarLaw`.

    Raises
    ------
    ValueError
        For a negative viscosity, or one with degree 0, for which the flux would not be consistent.
    """

    viscosity: float = 0.005

    def __post_init__(self):
        super().__post_init__()
        if not self.viscosity >= 0:
            raise ValueError(f"viscosity: got {self.viscosity}, expected nu >= 0 m^2/s; check the sign")
        if self.viscosity > 0 and self.degree == 0:
            raise ValueError(
                f"degree: got 0 with viscosity {self.viscosity}, expected 1; P0 has no gradient, leave viscosity out"
            )

    @property
    def kinematic_viscosity(self) -> float:
        """Return nu [m^2/s]."""
        return self.viscosity

    def flux(self, u: Expr) -> Expr:
        """See :class:`~fem.scalar_law.ScalarLaw`."""
        return 0.5 * u * u * self._diagonal()

    def characteristic_velocity(self, u: Expr) -> Expr:
        """See :class:`~fem.scalar_law.ScalarLaw`."""
        return u * self._diagonal()

    def _diagonal(self) -> Constant:
        return Constant([1.0] * self.mesh.geometric_dimension)


def travelling_front(*, viscosity: float) -> SpaceTimeField:
    """Return the boundary values of :class:`fem.analytic.burgers.TravellingFront`."""

    def values(x, t):
        return 0.5 * (1 - tanh((x[0] + x[1] - t) / (4 * viscosity)))

    return values


def four_states(x: Expr, t: Constant) -> Expr:
    """Return the boundary values of :class:`fem.analytic.four_states.FourStates`."""
    return solution(x[0], x[1], t, where=conditional)
