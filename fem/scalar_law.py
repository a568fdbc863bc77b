"""Scalar conservation laws on discontinuous P0 or P1: what advection and Burgers' equation share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from firedrake import (
    Constant,
    FacetNormal,
    Function,
    FunctionSpace,
    JacobianInverse,
    SpatialCoordinate,
    TestFunction,
    dot,
    dS,
    ds,
    dx,
    grad,
    interpolate,
    max_value,
)
from firedrake.interpolation import get_interpolator
from ufl.core.expr import Expr
from ufl.form import Form

from fem.problem import Problem
from fem.problems.shallow_water import nodal_space

# Exact for the terms of P1: u, flux and mesh velocity have degree 1 or 2, grad v none in cells, v one on facets.
CELL_DEGREE, FACET_DEGREE = 2, 3

SpaceTimeField = Callable[[Expr, Constant], Expr]
"""Function of the position (UFL vector [m]) and the time (``Constant`` [s]) to a UFL expression."""


class PreparedInterpolation:
    """Interpolate the same expression into the same function again and again, on the mesh as it is then."""

    def __init__(self, expression: Expr, space: FunctionSpace):
        self.function = Function(space)
        # The loops made once: a call costs a tenth of one through the interpolator.
        self._fill = get_interpolator(interpolate(expression, space))._get_callable(tensor=self.function)

    def __call__(self) -> None:
        """Interpolate."""
        self._fill()


@dataclass(frozen=True, kw_only=True)
class ScalarLaw(Problem):
    r"""A conservation law :math:`\partial_t u + \nabla\cdot F(u) = \nu \Delta u`.

    The numerical flux is the local Lax-Friedrichs one, that of viscosity the symmetric interior penalty one, with a
    penalty that makes it both coercive and monotone (see :meth:`penalty`).

    Parameters
    ----------
    mesh
        Mesh of triangles or tetrahedra. Its coordinates may be changed in place between two calls.
    degree
        Polynomial degree of the method, 0 or 1.
    boundary
        Values on the boundary as function of position and time; they are taken where the flow goes in, and, with
        viscosity, everywhere. None for a closed boundary: nothing flows through it.

    Raises
    ------
    ValueError
        For another degree.
    """

    mesh: Any
    degree: int = 1
    boundary: SpaceTimeField | None = None
    time: Constant = field(default_factory=lambda: Constant(0.0))

    def __post_init__(self):
        nodal_space(self.mesh, self.degree)

    # -- what a law is made of ----------------------------------------------------------------------------------

    @abstractmethod
    def flux(self, u: Expr) -> Expr:
        """Return F(u), a UFL vector."""

    @abstractmethod
    def characteristic_velocity(self, u: Expr) -> Expr:
        """Return F'(u) [m/s], a UFL vector; its normal component must be monotone in u."""

    @property
    def kinematic_viscosity(self) -> float:
        """Return nu [m^2/s]."""
        return 0.0

    @property
    def interpolations(self) -> list[PreparedInterpolation]:
        """Return what depends on time or on the place of the vertices."""
        return [] if self.boundary_values is None else [self.boundary_values]

    @cached_property
    def boundary_values(self) -> PreparedInterpolation | None:
        """Return the boundary values as a P1 function, whose values on a facet lie between those in its vertices."""
        if self.boundary is None:
            return None
        expression = self.boundary(SpatialCoordinate(self.mesh), self.time)
        return PreparedInterpolation(expression, FunctionSpace(self.mesh, "CG", 1))

    @property
    def _outside(self) -> Function:
        assert self.boundary_values is not None, "a closed boundary has no values"
        return self.boundary_values.function

    # -- forms --------------------------------------------------------------------------------------------------

    def space(self, mesh=None) -> FunctionSpace:
        """Return the space of u: discontinuous, nodes in the vertices (degree 1) or the centroid (0)."""
        return nodal_space(mesh or self.mesh, self.degree)

    def set_time(self, t: float) -> None:
        """Set the time [s] of boundary values and coefficients, on the mesh as it is; before forms are assembled."""
        self.time.assign(t)
        for interpolation in self.interpolations:
            interpolation()

    def residual(self, u: Function, v, *, mesh_velocity: Expr | None = None) -> Form:
        r"""Return R with :math:`(\partial_t u, v) = R(u; v)`.

        .. math::
            R = \int_K (F - w u - \nu \nabla u)\cdot\nabla v - \int_{\partial K} \hat F v
              + \int_{\partial K} \nu\,\{\nabla u\}\cdot n\, v - \eta [u] v + \tfrac\nu2 [u]\, n\cdot\nabla v

        with the jump [u] = inside - outside. Integrals are exact but for the kinks of the flux, so that a constant
        gives 0 to round-off, and with a mesh velocity just the dilation of the cells. In viscous P0 the gradients
        vanish, and the penalty alone would not be consistent: :class:`ScalarLaw` with viscosity needs degree 1.

        Parameters
        ----------
        u
            State of :meth:`space`.
        v
            Test function of the same space.
        mesh_velocity
            Velocity of the mesh w [m/s], UFL vector; its normal component must be continuous, and zero on a closed
            boundary.
        """
        form = -self._facet_terms(u, v, mesh_velocity)
        through = self._boundary_term(u, v, mesh_velocity)
        if through is not None:
            form -= through
        if self.degree > 0:
            flux = self.flux(u) if mesh_velocity is None else self.flux(u) - u * mesh_velocity
            if self.kinematic_viscosity > 0:
                flux -= self.kinematic_viscosity * grad(u)
            form += dot(flux, grad(v)) * dx(domain=self.mesh, degree=CELL_DEGREE)
        return form

    def _sides(self, u, mesh_velocity) -> tuple[tuple[Expr, Expr, Expr], ...]:
        """Return state, flux and speed through an inner facet, relative to it, in either cell; along n("-")."""
        n = FacetNormal(self.mesh)("-")
        w_n = 0.0 if mesh_velocity is None else dot(mesh_velocity("-"), n)
        flux, velocity = self.flux(u), self.characteristic_velocity(u)
        return tuple((u(s), dot(flux(s), n) - w_n * u(s), abs(dot(velocity(s), n) - w_n)) for s in ("-", "+"))

    def _boundary_sides(self, u, mesh_velocity) -> tuple[tuple[Expr, Expr, Expr], ...]:
        """Return the same at the boundary, along the outer normal."""
        n, g = FacetNormal(self.mesh), self._outside
        w_n = 0.0 if mesh_velocity is None else dot(mesh_velocity, n)
        return tuple(
            (s, dot(self.flux(s), n) - w_n * s, abs(dot(self.characteristic_velocity(s), n) - w_n)) for s in (u, g)
        )

    def _facet_terms(self, u, v, mesh_velocity) -> Form:
        sides = self._sides(u, mesh_velocity)
        term = _lax_friedrichs(*sides) * (v("-") - v("+"))
        nu = self.kinematic_viscosity
        if nu > 0:
            n_m, jump = FacetNormal(self.mesh)("-"), u("-") - u("+")
            mean_slope = 0.5 * dot(grad(u)("-") + grad(u)("+"), n_m)
            mean_test = 0.5 * dot(grad(v)("-") + grad(v)("+"), n_m)
            eta = max_value(self.penalty("-"), self.penalty("+"))
            term += (eta * jump - nu * mean_slope) * (v("-") - v("+")) - nu * jump * mean_test
        return term * dS(domain=self.mesh, degree=FACET_DEGREE)

    def _boundary_flux(self, u, mesh_velocity) -> Expr:
        """Return the flux out through the boundary per unit length."""
        n, nu = FacetNormal(self.mesh), self.kinematic_viscosity
        flux, g = _lax_friedrichs(*self._boundary_sides(u, mesh_velocity)), self._outside
        return flux + 2 * self.penalty() * (u - g) - nu * dot(grad(u), n) if nu > 0 else flux

    def _boundary_term(self, u, v, mesh_velocity) -> Form | None:
        if self.boundary_values is None:
            return None
        term = self._boundary_flux(u, mesh_velocity) * v
        if self.kinematic_viscosity > 0:
            jump = u - self._outside
            term -= self.kinematic_viscosity * jump * dot(grad(v), FacetNormal(self.mesh))
        return term * ds(domain=self.mesh, degree=FACET_DEGREE)

    def boundary_outflow(self, u: Function, *, mesh_velocity: Expr | None = None) -> Form | None:
        """Return what flows out through the boundary per second, the very flux of :meth:`residual`; None if closed."""
        if self.boundary_values is None:
            return None
        return self._boundary_flux(u, mesh_velocity) * ds(domain=self.mesh, degree=FACET_DEGREE)

    def penalty(self, side: str | None = None) -> Expr:
        r"""Return the penalty :math:`\eta` that one side of a facet asks for [m/s].

        .. math:: \eta = \nu\, \frac{d (d + 1)}2 \max_i |\nabla\lambda_i\cdot n|

        over the barycentric coordinates :math:`\lambda_i` of the cell. The one of the vertex opposite the facet is
        one over its altitude: the form is coercive, as :math:`|\nabla v\cdot n|^2` on a facet is d over altitude
        times that in the cell and a cell has d + 1 facets (twice as much on the boundary, where the other side does
        not share it). And :math:`\eta \ge \nu |\nabla\lambda_i\cdot n|` makes the flux grow with every nodal value
        outside, whatever the shape of the cell: with a small enough time step means obey the maximum principle.
        """
        K, n = JacobianInverse(self.mesh), FacetNormal(self.mesh)
        if side is not None:
            K, n = K(side), n(side)
        rows = [sum(K[i, j] * n[j] for j in range(n.ufl_shape[0])) for i in range(n.ufl_shape[0])]
        steepest = abs(sum(rows))
        for row in rows:
            steepest = max_value(steepest, abs(row))
        dimension = len(rows)
        return self.kinematic_viscosity * (0.5 * dimension * (dimension + 1)) * steepest

    def rate(self, u: Function, v=None, *, mesh_velocity: Expr | None = None) -> Form:
        r"""Return the form whose value for a cell, over its volume, is one over the time in which it is emptied.

        .. math:: \int_{\partial K} \tfrac12 \sigma + \eta, \qquad \sigma \text{ the speed of the numerical flux.}

        A forward Euler step of less than a third of that time keeps the means of P1 on triangles between the values
        in and around the cell, for the mean of P1 is the mean over the facets' quadrature points.

        References
        ----------
        X. Zhang, Y. Xia, C.-W. Shu, J. Sci. Comput. 50, 2012, 29, for means of P1 on triangles.
        """
        v = TestFunction(FunctionSpace(self.mesh, "DG", 0)) if v is None else v
        viscous = self.kinematic_viscosity > 0
        inside = 0.5 * _greater_speed(*self._sides(u, mesh_velocity))
        if viscous:
            inside += max_value(self.penalty("-"), self.penalty("+"))
        form = inside * (v("-") + v("+")) * dS(domain=self.mesh, degree=FACET_DEGREE)
        if self.boundary_values is not None:
            outer = 0.5 * _greater_speed(*self._boundary_sides(u, mesh_velocity))
            form += (outer + 2 * self.penalty() if viscous else outer) * v * ds(domain=self.mesh, degree=FACET_DEGREE)
        return form


def _greater_speed(inside: tuple[Expr, Expr, Expr], outside: tuple[Expr, Expr, Expr]) -> Expr:
    return max_value(inside[2], outside[2])


def _lax_friedrichs(inside: tuple[Expr, Expr, Expr], outside: tuple[Expr, Expr, Expr]) -> Expr:
    """Return the mean of the fluxes and the dissipation of the greater speed; for a linear flux the upwind one."""
    return 0.5 * (inside[1] + outside[1] + _greater_speed(inside, outside) * (inside[0] - outside[0]))
