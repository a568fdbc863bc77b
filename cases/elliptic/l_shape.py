"""Poisson's equation in an L, whose solution is singular in the corner that points inwards."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from firedrake import Function
from mpi4py import MPI
from pydantic import Field

from cases.elliptic.solutions import elliptic_solution
from cases.elliptic.square import check_in_unit_square
from cases.options import CaseOptions
from cases.steady_case import SteadyCase, SteadyOptions
from cases.units import Unit
from fem.analytic.corner import l_shape_corner
from fem.problems.elliptic import Poisson
from fem.steady import SteadySolution
from meshing.generation import l_shape


class LShapeOptions(SteadyOptions):
    """Options of the L."""

    resolution: Annotated[float, Unit("m")] = Field(
        1 / 12, gt=0.002, le=0.5, description="length of edges; the long sides of the L are 1, the others 0.5 [m]"
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
    smallest: ClassVar[dict[str, Any]] = {"rounds": 1}

    def mesh(self, options: LShapeOptions):
        """Return an even mesh of triangles."""
        return l_shape(size=options.resolution)

    def check_mesh(self, options: LShapeOptions, mesh) -> None:
        """See :meth:`cases.case.Case.check_mesh`; the solution is known in the L, on any part of it."""
        check_in_unit_square(self.name, mesh)
        deepest = mesh.comm.allreduce(float(mesh.coordinates.dat.data_ro.min(axis=1).max(initial=0.0)), MPI.MAX)
        if deepest > 0.5 + 1e-9:
            raise ValueError(
                f"option mesh: got a vertex with x and y from {deepest:.4g} on, expected none where both are more than "
                "0.5, which is cut out of the L"
            )

    def solve(self, options: LShapeOptions, mesh, start: Function | None) -> SteadySolution:
        """See :meth:`cases.steady_case.SteadyCase.solve`."""
        return elliptic_solution(Poisson(exact=l_shape_corner()), options, mesh)
