"""A thin ring in a swirling flow that turns back: advection against an exact solution."""

from __future__ import annotations

from typing import Annotated, ClassVar

from firedrake import Function, UnitSquareMesh
from pydantic import Field

from cases.case import Case, ScalarSetup
from cases.options import CaseOptions
from cases.scalar_options import ScalarOptions, movement
from cases.units import Unit
from fem.problems.advection import Advection, swirling_flow
from fem.analytic.swirl import Swirl


class SwirlOptions(ScalarOptions):
    """Options of the swirl case; lengths in the side of the square, times in the period of the flow."""

    t_end: Annotated[float, Unit("s")] = Field(
        1.0, gt=0, le=100, description="simulated time; the flow has period 1 [s]"
    )
    resolution: int = Field(
        40, ge=2, le=1000, description="squares a side, each cut into four triangles; n give 2 n (n + 1) + 1 vertices"
    )
    # The ring is thinner than a cell of the fixed mesh: more cells go to it, and follow it sooner.
    move_every: int = Field(10, ge=1, le=1_000_000, description="time steps between two looks at the mesh")
    monitor_smoothing: float = Field(0.5, ge=0, le=50, description="length of the monitor function's filter [cells]")
    max_size_ratio: float = Field(
        20.0, ge=1, le=1000, description="greatest ratio of cell sizes that the monitor function asks for"
    )
    monitor_regularisation: float = Field(
        0.1, gt=0, le=100, description="the smaller, the more cells go where u is curved; times its mean curvature"
    )


class SwirlCase(Case):
    """LeVeque's flow with the ring of Zhang et al. (2024), see :class:`fem.analytic.swirl.Swirl`."""

    name: ClassVar[str] = "swirl"
    summary: ClassVar[str] = "thin ring in a swirling flow that turns back: advection against the exact solution"
    title: ClassVar[str] = "Ring in a swirling flow"
    description: ClassVar[str] = (
        "A thin ring in the unit square is drawn out by a swirling flow until half time and is back at time 1. "
        "The solution is exact at all times."
    )
    Options: ClassVar[type[CaseOptions]] = SwirlOptions

    def mesh(self, options: SwirlOptions):
        """Return ``resolution`` squares a side, each cut into four triangles by its diagonals."""
        return UnitSquareMesh(options.resolution, options.resolution, diagonal="crossed")

    def build(self, options: SwirlOptions, mesh) -> ScalarSetup:
        """See :meth:`cases.case.Case.build`."""
        swirl = Swirl()
        problem = Advection(mesh=mesh, potential=swirling_flow(speed=swirl.speed, period=swirl.period))
        state = Function(problem.space(), name="u")
        return ScalarSetup(
            problem=problem,
            initial=state,
            exact=swirl.exact,
            t_start=0.0,
            t_end=options.t_end,
            t_half=0.5 * swirl.period,
            tableau=options.scheme,
            courant=options.courant,
            output_interval=options.output_interval,
            checkpoint_interval=options.checkpoint_interval,
            movement=movement(state, options),
            exact_output=options.exact_output,
        )
