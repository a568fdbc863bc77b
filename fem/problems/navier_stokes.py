"""The incompressible Navier-Stokes equations: element pairs, forms, boundary values, and the steady flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
from finat.ufl import FiniteElement, MixedElement, VectorElement
from firedrake import (
    Constant,
    DirichletBC,
    Function,
    FunctionSpace,
    MixedVectorSpaceBasis,
    NonlinearVariationalProblem,
    NonlinearVariationalSolver,
    SpatialCoordinate,
    TestFunctions,
    VectorSpaceBasis,
    as_vector,
    assemble,
    div,
    dot,
    dx,
    grad,
    inner,
    split,
)
from firedrake.exceptions import ConvergenceError
from ufl.core.expr import Expr
from ufl.form import Form

from fem.solver_parameters import flow_solver_parameters

# Elements of velocity and pressure by the name of the pair: (family, degree, variant) each.
PAIRS: dict[str, tuple[tuple[str, int, str | None], tuple[str, int, str | None]]] = {
    "taylor-hood": (("CG", 2, None), ("CG", 1, None)),
    "scott-vogelius": (("CG", 2, "alfeld"), ("DG", 1, "alfeld")),
}

# Least and greatest degree of the velocity.
_DEGREES = {"taylor-hood": (2, 6), "scott-vogelius": (2, 2)}

# By what the viscosity may fall from one steady flow to the next, and by what at least; it is the square root of the
# ratio before where Newton's method does not follow.
_LARGEST_RATIO, _LEAST_RATIO = 4.0, 1.05

BoundaryVelocity = Callable[[Expr, Constant], Any]
"""Makes the velocity [m/s] on a part of the boundary, a vector of UFL, of the place x [m] and the time t [s]."""


def check_degree(pair: str, degree: int) -> None:
    """Check that a pair of ``PAIRS`` is there with velocities of a degree.

    Raises
    ------
    ValueError
        If it is not.
    """
    least, most = _DEGREES[pair]
    if not least <= degree <= most:
        expected = f"{least}" if least == most else f"{least} to {most}"
        raise ValueError(f"degree: got {degree} for {pair}, expected {expected}, that of the velocity")


@dataclass(frozen=True, kw_only=True, eq=False)
class NavierStokes:
    r"""Flow of an incompressible fluid of constant density, arbitrary Lagrangian-Eulerian.

    .. math:: \partial_t u|_\xi + ((u - w)\cdot\nabla) u - \nu \Delta u + \nabla p = f,\qquad \nabla\cdot u = 0

    u is the velocity [m/s], p the pressure over the density [m^2/s^2], w the velocity of the mesh [m/s], and the first
    term the derivative in time of what a point of the moving mesh sees, that is, of nodal values. In this form a
    constant velocity stays constant however the mesh moves, whatever the scheme in time: its nodal values do not
    change and it has no gradient, so that there is no geometric conservation law left to be met.

    Two pairs of elements, both on triangles wherever their vertices go:

    - ``taylor-hood``: continuous P2 and P1, of order 3 for u in L2 and 2 for p; the divergence vanishes in the mean.
      With another ``degree`` k of the velocity Pk and P(k-1), of orders k + 1 and k.
    - ``scott-vogelius``: continuous P2 and discontinuous P1 on the three parts into which each triangle is split at its
      barycentre (Alfeld's split, within the element: the mesh is not refined). The divergence of the velocity is such a
      pressure, so that it vanishes at each point, and the velocity does not see gradients in f. The split is affine:
      where vertices move, it moves along and is that of the cell which has moved, so that the pair stays stable. A
      pair with discontinuous velocities (BDM and DG) would be divergence-free too, but its nodal values are fluxes
      through facets, which change when a facet turns in a constant flow, and it needs fluxes between cells.

    Parameters
    ----------
    mesh
        Triangle mesh. Its coordinates may be changed in place.
    viscosity
        Kinematic viscosity nu, more than 0 [m^2/s].
    velocity
        Of each boundary marker that has a given velocity, the velocity. Elsewhere no force but the viscous one of a
        flow that goes on as it is acts, :math:`\nu \partial_n u - p n = 0`, which lets a flow out.
    pair
        Name in ``PAIRS``.
    degree
        Of the velocity's polynomials; of ``taylor-hood`` 2 to 6, of ``scott-vogelius`` 2.
    force
        Makes f [m/s^2] as boundary velocities are made; None for no force.
    quadrature_degree
        Degree up to which integrals of the force are exact.

    Attributes
    ----------
    time
        Time at which velocities and force are taken [s].

    Raises
    ------
    ValueError
        For a pair or degree that there is not, a viscosity that is not positive, a marker that the boundary has not.

    References
    ----------
    C. Taylor, P. Hood (1973), Comput. Fluids 1, 73. D. Boffi (1994), Math. Models Methods Appl. Sci. 4, 223, for higher
    degrees. D. N. Arnold, J. Qin (1992), Advances in Computer Methods for PDEs
    7, 28, for the second pair. J. Donea, S. Giuliani, J. P. Halleux (1982), Comput. Methods Appl. Mech. Eng. 33, 689.
    """

    mesh: Any
    viscosity: float
    velocity: Mapping[int, BoundaryVelocity]
    pair: str = "taylor-hood"
    degree: int = 2
    force: BoundaryVelocity | None = None
    quadrature_degree: int = 6
    time: Constant = field(init=False, default_factory=lambda: Constant(0.0))
    nu: Constant = field(init=False, default_factory=lambda: Constant(1.0))

    def __post_init__(self) -> None:
        if self.pair not in PAIRS:
            raise ValueError(f"pair: got {self.pair!r}, expected one of {', '.join(PAIRS)}")
        check_degree(self.pair, self.degree)
        if not (self.viscosity > 0.0 and isfinite(self.viscosity)):
            raise ValueError(f"viscosity: got {self.viscosity}, expected more than 0 m^2/s; for slight friction, 1e-6")
        unknown = sorted(set(self.velocity) - self._markers())
        if unknown:
            raise ValueError(
                f"velocity: got markers {unknown}, expected some of {sorted(self._markers())}, those of the boundary"
            )
        self.nu.assign(self.viscosity)

    def _markers(self) -> set[int]:
        return {int(marker) for marker in self.mesh.exterior_facets.unique_markers}

    @property
    def enclosed(self) -> bool:
        """Whether the velocity is given on all of the boundary; the pressure is then free by a constant."""
        return set(self.velocity) == self._markers()

    @property
    def outflow(self) -> tuple[int, ...]:
        """Markers where the velocity is not given."""
        return tuple(sorted(self._markers() - set(self.velocity)))

    def space(self) -> FunctionSpace:
        """Return the space of (u, p)."""
        cell, dimension = self.mesh.ufl_cell(), self.mesh.geometric_dimension
        more = self.degree - PAIRS[self.pair][0][1]
        velocity, pressure = (FiniteElement(f, cell=cell, degree=k + more, variant=v) for f, k, v in PAIRS[self.pair])
        return FunctionSpace(self.mesh, MixedElement(VectorElement(velocity, dim=dimension), pressure))

    def residual(self, state: Function, *, mesh_velocity: Expr | None = None) -> Form:
        r"""Return the residual but for the derivative in time.

        .. math:: (((u - w)\cdot\nabla) u, v) + \nu (\nabla u, \nabla v) - (p, \nabla\cdot v) - (\nabla\cdot u, q)
                  - (f, v)
        """
        u, p = split(state)
        v, q = TestFunctions(state.function_space())
        carrier = u if mesh_velocity is None else u - mesh_velocity
        form = (inner(dot(grad(u), carrier), v) + self.nu * inner(grad(u), grad(v)) - p * div(v) - q * div(u)) * dx
        if self.force is not None:
            f = as_vector(self.force(SpatialCoordinate(self.mesh), self.time))
            form -= inner(f, v) * dx(degree=self.quadrature_degree)
        return form

    def conditions(self, space: FunctionSpace) -> list[DirichletBC]:
        """Return the given velocities; they are taken anew, at ``time`` and where the nodes are, by each solve."""
        x = SpatialCoordinate(self.mesh)
        return [
            DirichletBC(space.sub(0), as_vector(velocity(x, self.time)), marker)
            for marker, velocity in self.velocity.items()
        ]

    def nullspace(self, space: FunctionSpace) -> MixedVectorSpaceBasis | None:
        """Return what the residual does not see: a constant pressure, in an enclosed flow."""
        if not self.enclosed:
            return None
        return MixedVectorSpaceBasis(space, [space.sub(0), VectorSpaceBasis(constant=True, comm=self.mesh.comm)])

    def fix_pressure(self, state: Function) -> None:
        """Give the pressure of an enclosed flow the mean 0; collective."""
        if self.enclosed:
            pressure = state.subfunctions[1]
            volume = assemble(Constant(1.0) * dx(domain=self.mesh))
            pressure.dat.data_wo[:] = pressure.dat.data_ro - assemble(pressure * dx) / volume

    def context(self, reaction: Constant, mesh_velocity: Function | None) -> dict[str, Any]:
        """Return what ``fem.navier_stokes_preconditioner`` has to know, beside the state."""
        return {
            "navier_stokes": {
                "viscosity": self.nu,
                "reaction": reaction,
                "mesh_velocity": mesh_velocity,
                "outflow": self.outflow,
            }
        }


class SteadyFlow:
    """Find the steady flow on a mesh as it is, again and again when it has been moved in place.

    Newton's method, from the state as it is: from rest, the first step is Stokes' flow but for the convection of what
    is given on the boundary.

    Parameters
    ----------
    problem
        Equations; ``problem.time`` is the time of what is given.
    solver
        Name in ``fem.solver_parameters.FLOW_SOLVERS``.

    Attributes
    ----------
    state
        (u, p), in the beginning 0.
    residual
        See ``NavierStokes.residual``.

    Raises
    ------
    ValueError
        For an unknown solver, or one that is not for the pair.
    """

    def __init__(self, problem: NavierStokes, solver: str = "lu"):
        self.problem = problem
        space = problem.space()
        self.state = Function(space, name="flow")
        self.residual = problem.residual(self.state)
        nullspace = problem.nullspace(space)
        self._solver = NonlinearVariationalSolver(
            NonlinearVariationalProblem(self.residual, self.state, bcs=problem.conditions(space)),
            solver_parameters=flow_solver_parameters(solver, problem.pair),
            nullspace=nullspace,
            transpose_nullspace=nullspace,
            appctx=problem.context(Constant(0.0), None),
        )

    @property
    def iterations(self) -> tuple[int, int]:
        """Newton steps of the last solve, and iterations of linear solvers in all of them."""
        return self._solver.snes.getIterationNumber(), self._solver.snes.getLinearSolveIterations()

    def solve(self, first: float | None = None) -> Function:
        """Solve from ``state``, and return it; collective.

        Parameters
        ----------
        first
            A viscosity at which Newton's method is sure to converge [m^2/s], to begin with and go on from to that of
            the problem, by a factor of 4 each time, or where that is too much, of less. By default that of the problem.

        Raises
        ------
        firedrake.exceptions.ConvergenceError
            If Newton's method does not converge; the state is then as it was.
        """
        kept, last = self._values(), self.problem.viscosity
        present, ratio = max(last, last if first is None else first), _LARGEST_RATIO
        try:
            self._solve_at(present)
            while present > last:
                reached, following = self._values(), max(last, present / ratio)
                try:
                    self._solve_at(following)
                    present = following
                except ConvergenceError:
                    self._restore(reached)
                    ratio **= 0.5
                    if ratio < _LEAST_RATIO:
                        raise
        except ConvergenceError:
            self._restore(kept)
            raise
        finally:
            self.problem.nu.assign(last)
        self.problem.fix_pressure(self.state)
        return self.state

    def _solve_at(self, viscosity: float) -> None:
        self.problem.nu.assign(viscosity)
        self._solver.solve()

    def _values(self) -> list[np.ndarray]:
        return [function.dat.data_ro.copy() for function in self.state.subfunctions]

    def _restore(self, values: list[np.ndarray]) -> None:
        for function, those in zip(self.state.subfunctions, values, strict=True):
            function.dat.data_wo[:] = those
