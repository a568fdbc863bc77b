"""Boundary conditions of the shallow-water equations, chosen by boundary marker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np
from firedrake import Constant, conditional, dot, max_value, sqrt
from ufl.core.expr import Expr

from fem.riemann import FacetState, hllc_flux, wall_flux


class BoundaryCondition(ABC):
    """What stands on the other side of a boundary facet."""

    def set_time(self, t: float) -> None:  # noqa: B027  (most conditions do not depend on time)
        """Prepare the condition for evaluation at time t [s]."""

    @abstractmethod
    def flux(self, inside: FacetState, bed: Expr, normal: Expr, gravity: Expr | float) -> Expr:
        """Return the flux of (h, hu, hv) out through the boundary, a UFL vector of three components."""


class Wall(BoundaryCondition):
    """Impermeable, frictionless wall: the mass flux is exactly 0."""

    def flux(self, inside: FacetState, bed: Expr, normal: Expr, gravity: Expr | float) -> Expr:
        """See :func:`fem.riemann.wall_flux`."""
        return wall_flux(inside, normal, gravity)


class Open(BoundaryCondition):
    """Let waves out: characteristic boundary towards still water.

    The outside is at rest at ``elevation``; the upwind flux takes the outgoing characteristic from inside and
    the incoming one from still water, so a plane wave at normal incidence leaves without reflection (to
    second order in its amplitude).

    Parameters
    ----------
    elevation
        Level of the still water outside [m].
    """

    def __init__(self, elevation: float = 0.0):
        self.elevation = float(elevation)

    def flux(self, inside: FacetState, bed: Expr, normal: Expr, gravity: Expr | float) -> Expr:
        """See :func:`fem.riemann.hllc_flux`, against still water."""
        still = FacetState(max_value(self.elevation - bed, 0.0), 0 * inside.velocity)
        return hllc_flux(inside, still, normal, gravity)


class PrescribedElevation(BoundaryCondition):
    r"""Prescribe the surface elevation from a record; optionally open after its end.

    Outside stands the depth :math:`h_* = \max(\eta(t) - b, 0)` with the velocity that keeps the outgoing
    Riemann invariant, :math:`u_n + 2\sqrt{g h} = u_{n*} + 2\sqrt{g h_*}`, and the tangential velocity of the
    inside. Between samples the record is linear.

    Parameters
    ----------
    times
        Sample times [s], increasing, shape (n,).
    elevations
        Elevation above the datum [m], shape (n,).
    after_end
        ``"hold"`` keeps the last value for ever; ``"open"`` turns the boundary into :class:`Open` when the
        record ends, with still water at ``open_elevation``.
    open_elevation
        Level of the still water outside once open [m].

    Raises
    ------
    ValueError
        If the record is empty, of unequal lengths, not increasing in time, or not finite.
    """

    def __init__(
        self,
        times: Sequence[float] | np.ndarray,
        elevations: Sequence[float] | np.ndarray,
        *,
        after_end: Literal["hold", "open"] = "hold",
        open_elevation: float = 0.0,
    ):
        self.times = np.asarray(times, dtype=float)
        self.elevations = np.asarray(elevations, dtype=float)
        if self.times.ndim != 1 or self.times.shape != self.elevations.shape or self.times.size == 0:
            raise ValueError(
                f"boundary record: got times of shape {self.times.shape} and elevations of shape "
                f"{self.elevations.shape}, expected two equal, nonempty lists; give one elevation for each time"
            )
        if not (np.isfinite(self.times).all() and np.isfinite(self.elevations).all()):
            raise ValueError("boundary record: got NaN or infinity, expected finite numbers; clean the record")
        if (np.diff(self.times) <= 0).any():
            raise ValueError("boundary record: got times that do not increase, expected t0 < t1 < ...; sort it")
        self.after_end = after_end
        self._open = Open(open_elevation)
        self._level = Constant(float(self.elevations[0]))
        self._is_open = Constant(0.0)

    def set_time(self, t: float) -> None:
        """Interpolate the record at time t [s], or open the boundary after its end."""
        self._level.assign(float(np.interp(t, self.times, self.elevations)))
        self._is_open.assign(float(self.after_end == "open" and t > self.times[-1]))

    def flux(self, inside: FacetState, bed: Expr, normal: Expr, gravity: Expr | float) -> Expr:
        """See :func:`fem.riemann.hllc_flux`, against the prescribed or the still state outside."""
        depth = max_value(self._level - bed, 0.0)
        u_n = dot(inside.velocity, normal)
        u_star = u_n + 2 * (sqrt(gravity * inside.depth) - sqrt(gravity * depth))
        velocity = inside.velocity + (u_star - u_n) * normal
        is_open = self._is_open > 0.5
        outside = FacetState(
            conditional(is_open, max_value(self._open.elevation - bed, 0.0), depth),
            conditional(is_open, 0 * inside.velocity, velocity),
        )
        return hllc_flux(inside, outside, normal, gravity)
