"""Advection by a flow that keeps the volume."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from firedrake import FunctionSpace, SpatialCoordinate, VectorFunctionSpace, cos, curl, pi, sin
from ufl.core.expr import Expr

from fem.analytic.rotation import CENTRE
from fem.scalar_law import PreparedInterpolation, ScalarLaw, SpaceTimeField


@dataclass(frozen=True, kw_only=True)
class Advection(ScalarLaw):
    r"""Advection :math:`\partial_t u + \nabla\cdot(a u) = 0` by a given velocity without divergence, upwind.

    The velocity is given by its potential, :math:`a = \nabla\times\psi`: in 2D the stream function,
    :math:`a = (\partial_y \psi, -\partial_x \psi)`, in 3D a vector. Interpolated in P2, its curl has no divergence
    in any cell and one normal component on any facet, on whatever mesh. So a constant stays constant to round-off
    and cell means obey the maximum principle, which a velocity taken from quadrature points gives only up to the
    error of quadrature. The error of the velocity is of second order, that of the method.

    Parameters
    ----------
    potential
        psi [m^2/s] as function of position and time. On a closed boundary the flow must run along it: psi constant
        in 2D.

    Others as :class:`~fem.scalar_law.ScalarLaw`.
    """

    potential: SpaceTimeField

    @cached_property
    def discrete_potential(self) -> PreparedInterpolation:
        """Return psi in P2."""
        mesh = self.mesh
        space = FunctionSpace if mesh.geometric_dimension == 2 else VectorFunctionSpace
        return PreparedInterpolation(self.potential(SpatialCoordinate(mesh), self.time), space(mesh, "CG", 2))

    @property
    def velocity(self) -> Expr:
        """Velocity a [m/s] of the time last set."""
        return curl(self.discrete_potential.function)

    @property
    def interpolations(self) -> list[PreparedInterpolation]:
        """Return what depends on time or on the place of the vertices."""
        return [*super().interpolations, self.discrete_potential]

    def flux(self, u: Expr) -> Expr:
        """See :class:`~fem.scalar_law.ScalarLaw`."""
        return u * self.velocity

    def characteristic_velocity(self, u: Expr) -> Expr:
        """See :class:`~fem.scalar_law.ScalarLaw`."""
        return self.velocity


def swirling_flow(*, speed: float, period: float) -> SpaceTimeField:
    r"""Return the stream function of :class:`fem.analytic.swirl.Swirl`.

    .. math:: \psi = \frac c\pi \sin^2(\pi x) \sin^2(\pi y) \cos(\pi t / T)
    """

    def potential(x, t):
        return speed / pi * sin(pi * x[0]) ** 2 * sin(pi * x[1]) ** 2 * cos(pi * t / period)

    return potential


def turning_flow(*, period: float) -> SpaceTimeField:
    r"""Return the stream function of :class:`fem.analytic.rotation.Rotation`, which P2 has exactly.

    .. math:: \psi = -\frac\pi T \big((x - \tfrac12)^2 + (y - \tfrac12)^2\big)
    """

    def potential(x, t):
        return -pi / period * ((x[0] - CENTRE[0]) ** 2 + (x[1] - CENTRE[1]) ** 2)

    return potential
