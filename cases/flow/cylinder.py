"""Steady flow around a cylinder in a channel: drag, lift and pressure difference, published to many digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from firedrake import Function, PointEvaluator
from pydantic import Field

from cases.flow.steady_flow import (
    SteadyFlowOptions,
    estimate_for_goals,
    further_fields,
    restrained_monitor,
    solve_flow,
    speed,
    still,
)
from cases.options import CaseOptions
from cases.steady_case import SteadyCase
from cases.units import Unit
from fem.curved_mesh import CurvedMesh
from fem.error_estimate import Estimate, wanted_density
from fem.flow_adjoint import adjoint_flow
from fem.navier_stokes_forces import BoundaryForce
from fem.problems.navier_stokes import NavierStokes, SteadyFlow
from fem.steady import Quantity, SteadySolution
from meshing.curves import Circle
from meshing.generation import channel_with_cylinder

HEIGHT, RADIUS, CENTRE, VISCOSITY, PEAK_VELOCITY = 0.41, 0.05, (0.2, 0.2), 1e-3, 0.3
# From forces over density to coefficients, 2 / (mean velocity^2 diameter) [s^2/m^3].
COEFFICIENT = 2.0 / ((2.0 / 3.0 * PEAK_VELOCITY) ** 2 * 2.0 * RADIUS)
CYLINDER = 5
FRONT_AND_BACK = np.array([[0.15, 0.2], [0.25, 0.2]])
DRAG, LIFT, PRESSURE = 5.57953523384, 0.010618948146, 0.11752016697
SOURCE = "Nabh (1998)"
GOALS: dict[str, tuple[tuple[float, float], ...]] = {
    "energy": (),
    "drag": ((1.0, 0.0),),
    "lift": ((0.0, 1.0),),
    "drag-and-lift": ((1.0, 0.0), (0.0, 1.0)),
}


class CylinderOptions(SteadyFlowOptions):
    """Options of the cylinder."""

    resolution: Annotated[float, Unit("m")] = Field(
        0.075, ge=0.005, le=0.2, description="length of edges in the channel, which is 0.41 m wide"
    )
    cylinder_resolution: Annotated[float, Unit("m")] = Field(
        0.009, ge=0.0005, le=0.05, description="length of edges at the cylinder, the radius of which is 0.05 m"
    )
    degree: int = Field(4, ge=2, le=6, description="of the velocity's polynomials; those of the pressure have one less")
    goal: Literal["energy", "drag", "lift", "drag-and-lift"] = Field(
        "drag-and-lift",
        description="whose error the mesh is moved to make small, that of forces by their adjoint flows",
    )
    rounds: int = Field(3, ge=0, le=100, description="most moves; each is followed by a solve")
    monitor_smoothing: float = Field(8.0, ge=0, le=50, description="length of the monitor function's filter [cells]")
    restraint: float = Field(
        3.0, ge=0.0, le=100.0, description="added to the monitor function, whose mean is 1, so that cells stay in shape"
    )


def inflow(x, t):
    """Return the parabola of the benchmark, of x [m] and the time."""
    return 4.0 * PEAK_VELOCITY * x[1] * (HEIGHT - x[1]) / HEIGHT**2, 0.0


class CylinderCase(SteadyCase):
    """Benchmark 2D-1 of Schäfer and Turek (1996) at Reynolds number 20, forces by volume, walls curved."""

    name: ClassVar[str] = "cylinder"
    summary: ClassVar[str] = "flow around a cylinder (DFG 2D-1): drag and lift, published to ten digits"
    title: ClassVar[str] = "Steady flow around a cylinder"
    description: ClassVar[str] = (
        "At Reynolds number 20 the flow is steady. The cylinder is a little below the middle of the channel: its lift "
        "is 500 times smaller than its drag, and the harder of the two. Cells at the cylinder are curved, forces are "
        "taken by volume, and the mesh is moved to where the error of the flow times that of the adjoint flows of drag "
        "and lift asks for cells. The error is the greater of the relative errors of drag and lift."
    )
    Options: ClassVar[type[CaseOptions]] = CylinderOptions
    markers: ClassVar[Mapping[int, str]] = {1: "inflow", 3: "bottom", 4: "top", CYLINDER: "cylinder"}
    smallest: ClassVar[dict[str, Any]] = {"resolution": 0.15, "cylinder_resolution": 0.025, "degree": 2, "rounds": 1}

    def mesh(self, options: CylinderOptions):
        """Return a mesh graded towards the cylinder, with straight sides: it is this one that is moved."""
        return channel_with_cylinder(size=options.resolution, cylinder_size=options.cylinder_resolution)

    def solve(self, options: CylinderOptions, mesh, start: Function | None) -> SteadySolution:
        """See :meth:`cases.steady_case.SteadyCase.solve`."""
        curved = CurvedMesh(mesh, {CYLINDER: Circle(CENTRE, RADIUS)}, options.degree)
        given = {1: inflow} | dict.fromkeys((3, 4, CYLINDER), still)
        problem = NavierStokes(
            mesh=curved.mesh, viscosity=VISCOSITY, velocity=given, pair=options.pair, degree=options.degree
        )
        flow = SteadyFlow(problem)
        solve_flow(flow, start, first=5.0 * VISCOSITY)
        quantities = measured(flow)
        goals = GOALS[options.goal]
        estimate = estimate_for_goals(flow, [adjoint_flow(flow, velocity={CYLINDER: goal}) for goal in goals])
        cells = curved.on_straight(estimate.cells)
        density = wanted_density(Estimate(cells, estimate.total, estimate.recovered), options.degree, floor=0.0)
        return SteadySolution(
            state=flow.state,
            drawn=speed(flow),
            monitor=restrained_monitor(
                density,
                restraint=options.restraint,
                smoothing=options.monitor_smoothing,
                max_size_ratio=options.max_size_ratio,
            ),
            estimate=COEFFICIENT * estimate.total**2 if goals else estimate.total,
            error=max(abs(quantities[name].difference or 0.0) for name in ("drag", "lift")),
            quantities=quantities,
            fields=tuple(curved.on_straight(one) for one in further_fields(flow)),
        )


def measured(flow: SteadyFlow) -> dict[str, Quantity]:
    """Return the coefficients of drag and lift, and the pressure in front of the cylinder less that behind; collective.

    The density is 1 kg/m^3.
    """
    force = COEFFICIENT * BoundaryForce(flow.problem, flow.state, flow.residual, CYLINDER).volume()
    front, back = PointEvaluator(flow.problem.mesh, FRONT_AND_BACK).evaluate(flow.state.subfunctions[1])
    return {
        "drag": Quantity(float(force[0]), "", DRAG, SOURCE),
        "lift": Quantity(float(force[1]), "", LIFT, SOURCE),
        "pressure difference": Quantity(float(front - back), "Pa", PRESSURE, SOURCE),
    }
