"""The shallow-water equations in conservative variables (h, hu, hv) on discontinuous P0 or P1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from firedrake import (
    Constant,
    FacetNormal,
    Function,
    FunctionSpace,
    VectorFunctionSpace,
    as_matrix,
    as_vector,
    div,
    dot,
    dS,
    ds,
    dx,
    grad,
    inner,
    min_value,
    outer,
)
from ufl.core.expr import Expr
from ufl.form import Form

from fem.boundary import BoundaryCondition, Wall
from fem.problem import Problem
from fem.riemann import FacetState, desingularised_velocity, hllc_flux, hydrostatic_depths

STANDARD_GRAVITY = 9.81


def nodal_space(mesh, degree: int) -> FunctionSpace:
    """Return the scalar discontinuous space whose nodes are the vertices (degree 1) or the centroid (0)."""
    if degree not in (0, 1):
        raise ValueError(f"order: got polynomial degree {degree}, expected 0 or 1; choose one of them")
    return FunctionSpace(mesh, "DG", degree, variant="equispaced")


@dataclass(frozen=True)
class ShallowWater(Problem):
    r"""Shallow-water equations with topography and Manning friction.

    .. math::
        \partial_t h + \nabla\cdot q = s_h, \qquad
        \partial_t q + \nabla\cdot\Big(\frac{q \otimes q}{h} + \tfrac12 g h^2 I\Big)
        = -g h \nabla b - \frac{g n^2 |q|}{h^{7/3}} q + s_q

    Friction is not part of :meth:`residual`: the time stepper integrates it exactly, node by node
    (:mod:`fem.shallow_water_kernels`).

    Parameters
    ----------
    bathymetry
        Bed elevation b [m], positive up, a Function of :func:`nodal_space`; its degree (0 or 1) is that of
        the method, its mesh that of the problem.
    boundaries
        Boundary condition by marker; a marker that is not named is a :class:`~fem.boundary.Wall`.
    gravity
        g [m/s^2].
    manning
        Manning coefficient n [s/m^(1/3)], a number or a Function of the bathymetry's space.
    dry_depth
        epsilon [m]: a film thinner than this counts as dry; its velocity is damped, its mass kept.
    source
        Function of the time (a ``Constant``, [s]) to a UFL vector (s_h, s_q); for manufactured solutions.

    Raises
    ------
    ValueError
        For a nonpositive gravity or dry depth, a negative friction, an unknown boundary marker.
    """

    bathymetry: Function
    boundaries: Mapping[int, BoundaryCondition] = field(default_factory=dict)
    gravity: float = STANDARD_GRAVITY
    manning: float | Function = 0.0
    dry_depth: float = 1e-4
    source: Callable[[Constant], Expr] | None = None
    time: Constant = field(default_factory=lambda: Constant(0.0))

    def __post_init__(self):
        for name in ("gravity", "dry_depth"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected a positive number; check the unit")
        least = self.manning.dat.data_ro.min(initial=0.0) if isinstance(self.manning, Function) else self.manning
        if not least >= 0:
            raise ValueError(f"manning: got {least}, expected n >= 0 s/m^(1/3); check the sign")
        unknown = sorted(set(self.boundaries) - set(self.markers))
        if unknown:
            raise ValueError(f"boundary markers: got {unknown}, expected among {self.markers}; check the mesh")

    @property
    def mesh(self):
        """Mesh of the bathymetry, hence of the problem."""
        return self.bathymetry.function_space().mesh()

    @property
    def degree(self) -> int:
        """Polynomial degree of the method, 0 or 1."""
        return self.bathymetry.function_space().ufl_element().degree()

    @property
    def markers(self) -> list[int]:
        """All boundary markers of the mesh."""
        return [int(m) for m in self.mesh.exterior_facets.unique_markers]

    def space(self, mesh=None) -> FunctionSpace:
        """Return the space of (h, hu, hv): three components in each node of :func:`nodal_space`."""
        return VectorFunctionSpace(mesh or self.mesh, "DG", self.degree, dim=3, variant="equispaced")

    def set_time(self, t: float) -> None:
        """Set the time [s] of boundary records and of the source."""
        self.time.assign(t)
        for condition in self.boundaries.values():
            condition.set_time(t)

    def _facet_state(self, h, q) -> FacetState:
        return FacetState(h, desingularised_velocity(h, q, self.dry_depth))

    def residual(
        self,
        u: Function,
        v,
        *,
        bed: Function | None = None,
        mesh_velocity: Expr | None = None,
        still_depth: Function | None = None,
    ) -> Form:
        r"""Return R with :math:`(\partial_t U, v) = R(U; v)`, well balanced by hydrostatic reconstruction.

        .. math::
            R = \int_K F(U) : \nabla v - g h \nabla b \cdot v_q
              - \int_{\partial K} \big(\hat F(U^*_-, U^*_+) + \tfrac g2 (h_-^2 - (h^*_-)^2)\, n\big) \cdot v

        All integrals of the pressure and the bed slope are exact (degree 2 in cells, 3 on facets), so that
        h + b constant and q = 0 give R = 0 to round-off.

        Parameters
        ----------
        u
            State of :meth:`space`.
        v
            Test function of the same space.
        bed
            Bed to use in place of :attr:`bathymetry`: the one the limiter lowers at the shore.
        mesh_velocity
            Velocity of the mesh w [m/s], UFL vector; its normal component must be continuous. On the boundary it
            is taken as zero: through a wall that bends nothing flows.
        still_depth
            Depth of still water s [m] that the mesh is not to carry along, in the bathymetry's space: R is then without

            .. math:: T = -\int_K s\, w\cdot\nabla v_h + \int_{\partial K} s^* w\cdot n\, v_h, \qquad
                      s^* = \min(s_-, s_+)

            which is what the mesh velocity contributes for still water: on a facet that is as deep as over the higher
            of the two beds; in P1 the depth is continuous.

        References
        ----------
        Xing, Zhang, Shu (2010), Positivity-preserving high order well-balanced discontinuous Galerkin methods
        for the shallow water equations, section 2; HLLC in place of their flux.
        """
        b = self.bathymetry if bed is None else bed
        g = self.gravity
        n = FacetNormal(self.mesh)
        h, q = u[0], as_vector([u[1], u[2]])
        v_h, v_q = v[0], as_vector([v[1], v[2]])
        form = self._facet_terms(u, v, b, n, mesh_velocity, still_depth)
        for condition, markers in self._by_condition():
            flux = condition.flux(self._facet_state(h, q), b, n, g)
            form -= inner(flux, v) * ds(markers, domain=self.mesh, degree=self._facet_degree)
        if self.degree > 0:
            velocity = desingularised_velocity(h, q, self.dry_depth)
            mass, momentum = q, outer(q, velocity) + 0.5 * g * h * h * as_matrix([[1, 0], [0, 1]])
            if mesh_velocity is not None:
                carried = h if still_depth is None else h - still_depth
                mass, momentum = mass - carried * mesh_velocity, momentum - outer(q, mesh_velocity)
            cells = dx(domain=self.mesh, degree=2)
            form += (dot(mass, grad(v_h)) + inner(momentum, grad(v_q)) - g * h * dot(grad(b), v_q)) * cells
        if self.source is not None:
            form += inner(self.source(self.time), v) * dx(domain=self.mesh, degree=4)
        return form

    @property
    def _facet_degree(self) -> int:
        return 3 if self.degree > 0 else 1

    def _facet_terms(self, u, v, b, n, mesh_velocity, still_depth) -> Form:
        g = self.gravity
        sides = []
        for side in ("-", "+"):
            h, q = u(side)[0], as_vector([u(side)[1], u(side)[2]])
            sides.append((h, desingularised_velocity(h, q, self.dry_depth), b(side)))
        (h_m, u_m, b_m), (h_p, u_p, b_p) = sides
        star_m, star_p = hydrostatic_depths(h_m, b_m, h_p, b_p)
        grid_speed = 0.0 if mesh_velocity is None else dot(mesh_velocity("-"), n("-"))
        flux = hllc_flux(FacetState(star_m, u_m), FacetState(star_p, u_p), n("-"), g, grid_speed)
        if mesh_velocity is not None and still_depth is not None:
            flux += as_vector([min_value(still_depth("-"), still_depth("+")) * grid_speed, 0.0, 0.0])
        lift_m, lift_p = 0.5 * g * (h_m * h_m - star_m * star_m), 0.5 * g * (h_p * h_p - star_p * star_p)

        def along(lift, normal):
            return as_vector([0.0, lift * normal[0], lift * normal[1]])

        facets = dS(domain=self.mesh, degree=self._facet_degree)
        return (
            -(
                inner(flux, v("-") - v("+"))
                + inner(along(lift_m, n("-")), v("-"))
                + inner(along(lift_p, -n("-")), v("+"))
            )
            * facets
        )

    def _by_condition(self):
        """Group the markers by condition, so that equal ones share a kernel."""
        wall = Wall()
        groups: dict[int, tuple[BoundaryCondition, list[int]]] = {}
        for marker in self.markers:
            condition = self.boundaries.get(marker, wall)
            key = 0 if isinstance(condition, Wall) else id(condition)
            groups.setdefault(key, (condition, []))[1].append(marker)
        return [(condition, tuple(markers)) for condition, markers in groups.values()]

    def boundary_outflow(self, u: Function, *, bed: Function | None = None) -> Form | None:
        """Return the volume flux out through the boundary [m^3/s], the very flux :meth:`residual` uses.

        None when every boundary is a wall: nothing flows out then.
        """
        b = self.bathymetry if bed is None else bed
        n = FacetNormal(self.mesh)
        state = self._facet_state(u[0], as_vector([u[1], u[2]]))
        terms = [
            condition.flux(state, b, n, self.gravity)[0] * ds(markers, domain=self.mesh, degree=self._facet_degree)
            for condition, markers in self._by_condition()
            if not isinstance(condition, Wall)
        ]
        return sum(terms[1:], terms[0]) if terms else None


def divergence_of_flux(h: Expr, velocity: Expr, bed: Expr, gravity: float) -> Expr:
    """Return the strong form, div F(U) - S_b, of smooth fields: the source of a manufactured solution."""
    q = h * velocity
    momentum = div(outer(q, velocity)) + gravity * h * grad(h + bed)
    return as_vector([div(q), momentum[0], momentum[1]])
