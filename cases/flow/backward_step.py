"""Flow behind a step at Reynolds number 800: where it comes back to the walls, and leaves them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from firedrake import Function, SpatialCoordinate
from firedrake.assemble import get_assembler
from pydantic import Field

from cases.flow.steady_flow import SteadyFlowOptions, estimate_for_goals, further_fields, solve_flow, speed, still
from cases.options import CaseOptions
from cases.steady_case import SteadyCase, density_monitor
from cases.units import Unit
from fem.error_estimate import wanted_density
from fem.flow_adjoint import adjoint_flow
from fem.problems.navier_stokes import NavierStokes, SteadyFlow
from fem.steady import Quantity, SteadySolution
from meshing.backward_step import backward_step

INFLOW, BOTTOM, TOP, STEP = 1, 3, 4, 5
VISCOSITY, LENGTH, HEIGHT = 1.0 / 800.0, 30.0, 1.0
PUBLISHED = {"reattachment below": 6.10, "separation above": 4.85, "reattachment above": 10.48}
SOURCE = "Gartling (1990)"


class BackwardStepOptions(SteadyFlowOptions):
    """Options of the step."""

    resolution: Annotated[float, Unit("m")] = Field(
        0.22, ge=0.02, le=0.3, description="length of edges; the channel is 1 m high and 30 m long"
    )
    goal: Literal["energy", "friction"] = Field(
        "friction", description="whose error the mesh is moved to make small: of gradients, or of the bottom's friction"
    )
    degree: int = Field(3, ge=2, le=6, description="of the velocity's polynomials; those of the pressure have one less")
    rounds: int = Field(3, ge=0, le=100, description="most moves; each is followed by a solve")
    monitor_smoothing: float = Field(3.0, ge=0, le=50, description="length of the monitor function's filter [cells]")
    max_size_ratio: float = Field(
        3.0, ge=1, le=1000, description="greatest ratio of cell sizes that the monitor function asks for"
    )


class BackwardStepCase(SteadyCase):
    """The channel of Gartling (1990) behind a step of half its height, Reynolds number 800."""

    name: ClassVar[str] = "backward-step"
    summary: ClassVar[str] = "flow behind a step: where it comes back to the wall, published"
    title: ClassVar[str] = "Backward-facing step"
    description: ClassVar[str] = (
        "A parabola flows in over the step, at Reynolds number 800 of the mean velocity and the height of the channel. "
        "Behind the step the flow turns back as far as the reattachment, and at the upper wall between a separation "
        "and another reattachment. The error is the greatest relative one of these three places."
    )
    Options: ClassVar[type[CaseOptions]] = BackwardStepOptions
    markers: ClassVar[Mapping[int, str]] = {INFLOW: "inflow", BOTTOM: "bottom", TOP: "top", STEP: "step"}
    smallest: ClassVar[dict[str, Any]] = {"resolution": 0.28, "rounds": 1}

    def mesh(self, options: BackwardStepOptions):
        """Return an even mesh."""
        return backward_step(length=LENGTH, height=HEIGHT, size=options.resolution)

    def solve(self, options: BackwardStepOptions, mesh, start: Function | None) -> SteadySolution:
        """See :meth:`cases.steady_case.SteadyCase.solve`."""
        given = {INFLOW: inflow} | dict.fromkeys((BOTTOM, TOP, STEP), still)
        problem = NavierStokes(mesh=mesh, viscosity=VISCOSITY, velocity=given, pair=options.pair, degree=options.degree)
        flow = SteadyFlow(problem)
        solve_flow(flow, start, first=0.01)
        quantities = measured(flow)
        along = (1.0, 0.0)
        adjoints = [adjoint_flow(flow, velocity={BOTTOM: along})] if options.goal == "friction" else []
        estimate = estimate_for_goals(flow, adjoints)
        return SteadySolution(
            state=flow.state,
            drawn=speed(flow),
            monitor=density_monitor(wanted_density(estimate, options.degree), options),
            estimate=estimate.total**2 if adjoints else estimate.total,
            error=float(np.max([abs(one.difference or 0.0) for one in quantities.values()])),
            quantities=quantities,
            fields=further_fields(flow),
        )


def inflow(x, t):
    """Return the parabola above the step, of mean velocity 1 m/s."""
    return 24.0 * x[1] * (0.5 - x[1]), 0.0


def measured(flow: SteadyFlow) -> dict[str, Quantity]:
    """Return the places where the friction of the walls changes its sign; NaN where there is none; collective.

    The residual in the nodes of a wall is its friction, weighted by positive weights: where it turns, the flow does.
    """
    below, above = (turns(flow, y) for y in (-0.5 * HEIGHT, 0.5 * HEIGHT))
    places = [below[0] if below else np.nan, *longest(above)]
    return {
        name: Quantity(float(place), "m", known, SOURCE)
        for (name, known), place in zip(PUBLISHED.items(), places, strict=True)
    }


def longest(places: list[float]) -> tuple[float, float]:
    """Return the two places, one after another, that are furthest apart: others are of cells too wide for the flow."""
    if len(places) < 2:
        return np.nan, np.nan
    at = int(np.argmax(np.diff(places)))
    return places[at], places[at + 1]


def turns(flow: SteadyFlow, y: float) -> list[float]:
    """Return where the friction of the wall at y changes its sign, in order, the corners' surroundings left out [m]."""
    friction = get_assembler(flow.residual).assemble().dat[0].data_ro[:, 0]
    space = flow.state.subfunctions[0].function_space()
    nodes = Function(space).interpolate(SpatialCoordinate(flow.problem.mesh)).dat.data_ro
    wall = (np.abs(nodes[:, 1] - y) < 1e-9) & (nodes[:, 0] > 0.5) & (nodes[:, 0] < 25.0)
    parts = flow.problem.mesh.comm.allgather((nodes[wall, 0], friction[wall]))
    x, f = (np.concatenate(values) for values in zip(*parts, strict=True))
    order = np.argsort(x)
    x, f = x[order], f[order]
    change = np.flatnonzero(f[:-1] * f[1:] < 0.0)
    return (x[change] - f[change] * (x[change + 1] - x[change]) / (f[change + 1] - f[change])).tolist()
