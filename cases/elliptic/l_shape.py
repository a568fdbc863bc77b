"""Poisson's equation in an L, whose solution is singular in the corner that points inwards."""

from __future__ import annotations

from typing import Annotated, ClassVar

from firedrake import Function, grad
from pydantic import Field

from cases.options import CaseOptions
from cases.steady_case import SteadyCase, SteadyOptions, density_monitor
from cases.units import Unit
from fem.analytic.corner import l_shape_corner
from fem.error_estimate import recovery_estimate, wanted_density
from fem.problems.elliptic import EllipticSolver, Poisson
from fem.steady import SteadySolution
from meshing.generation import l_shape


class LShapeOptions(SteadyOptions):
    """Options of the L."""

    resolution: Annotated[float, Unit("m")] = Field(
        1 / 12, gt=0.002, le=0.5, description="length of edges; the sides of the L are 2 and 1 [m]"
    )


class LShape(SteadyCase):
    """The solution r^(2/3) sin(2 theta / 3): the textbook of adaptivity, see :mod:`fem.analytic.corner`."""

    name: ClassVar[str] = "l-shape"
    summary: ClassVar[str] = "Poisson in an L: a corner singularity, where even meshes lose an order"
    title: ClassVar[str] = "Poisson's equation in an L"
    description: ClassVar[str] = (
        "The gradient is infinite in the re-entrant corner. On even meshes the error in the energy norm goes like "
        "h^(2/3); on meshes that are graded towards the corner like h."
    )
    Options: ClassVar[type[CaseOptions]] = LShapeOptions

    def mesh(self, options: LShapeOptions):
        """Return an even mesh of triangles."""
        return l_shape(size=options.resolution)

    def solve(self, options: LShapeOptions, mesh, start: Function | None) -> SteadySolution:
        """See :meth:`cases.steady_case.SteadyCase.solve`."""
        solver = EllipticSolver(Poisson(exact=l_shape_corner()), mesh)
        u = solver.solve()
        u.rename("u")
        estimate = recovery_estimate(mesh, grad(u), 1)
        return SteadySolution(
            state=u,
            drawn=u,
            monitor=density_monitor(wanted_density(estimate, 1), options),
            estimate=estimate.total,
            error=solver.errors(u).h1,
        )
