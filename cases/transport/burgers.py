"""A steep front that travels along the diagonal: the viscous Burgers equation against an exact solution."""

from __future__ import annotations

from typing import Annotated, ClassVar

from firedrake import Function, UnitSquareMesh
from pydantic import Field

from cases.case import Case, ScalarSetup
from cases.options import CaseOptions
from cases.scalar_options import ScalarOptions, movement
from cases.units import Unit
from fem.analytic.burgers import TravellingFront
from fem.problems.burgers import Burgers, travelling_front

# The front x + y = t has left the corner then, and is on the diagonal about half time.
T_START, T_HALF = 0.3, 0.8


class BurgersOptions(ScalarOptions):
    """Options of the Burgers case."""

    t_end: Annotated[float, Unit("s")] = Field(
        1.3, gt=T_START, le=2.0, description=f"time of the end; the beginning is at {T_START:g} s [s]"
    )
    viscosity: float = Field(0.005, ge=5e-4, le=0.1, description="nu [m^2/s]; the front is some 10 nu wide")


class BurgersCase(Case):
    """Front of :class:`fem.analytic.burgers.TravellingFront`, exact on the boundary too."""

    name: ClassVar[str] = "burgers"
    summary: ClassVar[str] = "steep front of the viscous Burgers equation against the exact solution"
    title: ClassVar[str] = "Travelling front of Burgers' equation"
    description: ClassVar[str] = (
        "A front of the viscous Burgers equation, parallel to a diagonal of the unit square, travels across it. "
        "The solution is exact at all times and gives the values on the boundary."
    )
    Options: ClassVar[type[CaseOptions]] = BurgersOptions

    def mesh(self, options: BurgersOptions):
        """Return ``resolution`` squares a side, each cut into four triangles by its diagonals."""
        return UnitSquareMesh(options.resolution, options.resolution, diagonal="crossed")

    def build(self, options: BurgersOptions, mesh) -> ScalarSetup:
        """See :meth:`cases.case.Case.build`."""
        front = TravellingFront(viscosity=options.viscosity)
        problem = Burgers(
            mesh=mesh, viscosity=options.viscosity, boundary=travelling_front(viscosity=options.viscosity)
        )
        state = Function(problem.space(), name="u")
        return ScalarSetup(
            problem=problem,
            initial=state,
            exact=front.exact,
            t_start=T_START,
            t_end=options.t_end,
            t_half=T_HALF,
            tableau=options.scheme,
            courant=options.courant,
            output_interval=options.output_interval,
            checkpoint_interval=options.checkpoint_interval,
            movement=movement(state, options),
            exact_output=options.exact_output,
        )
