"""The street of vortices behind a cylinder in a channel: the benchmark DFG 2D-2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from firedrake import Function, SpatialCoordinate, as_vector, exp
from pydantic import Field

from cases.case import Case
from cases.flow_setup import FlowOptions, FlowSetup, Obstacle, flow_setup
from cases.options import CaseOptions
from cases.units import Unit
from fem.problems.navier_stokes import NavierStokes, SteadyFlow
from fem.steady import Quantity
from fem.vortex_shedding import shedding
from meshing.boundary import attach_boundary
from meshing.curves import Circle
from meshing.generation import channel_with_cylinder

HEIGHT, RADIUS, CENTRE = 0.41, 0.05, (0.2, 0.2)
MEAN_SPEED, VISCOSITY = 1.0, 1e-3
INFLOW, CYLINDER, WALLS = 1, 5, (3, 4, 5)
# Intervals that the participants agreed on, by quantity.
PUBLISHED = {
    "greatest drag coefficient": (3.22, 3.24),
    "greatest lift coefficient": (0.99, 1.01),
    "Strouhal number": (0.295, 0.305),
    "pressure difference": (2.46, 2.50),
}
# Viscosity at which Newton's method finds the steady flow from rest [m^2/s].
_FIRST_VISCOSITY = 5e-3
# The eddy that turns the steady flow over: its greatest velocity [m/s], where it is and how wide [m].
_EDDY, _EDDY_CENTRE, _EDDY_RADIUS = 1.9, (0.35, 0.2), 0.07


class CylinderWakeOptions(FlowOptions):
    """Options of the wake."""

    resolution: Annotated[float, Unit("m")] = Field(
        0.026, gt=0.002, le=0.1, description="length of edges in the channel [m]"
    )
    cylinder_resolution: Annotated[float, Unit("m")] = Field(
        0.004, gt=0.0005, le=0.03, description="length of edges at the cylinder [m]"
    )
    t_end: Annotated[float, Unit("s")] = Field(
        1.6, gt=0, le=1000, description="simulated time; a period is a third of a second [s]"
    )
    dt: Annotated[float, Unit("s")] = Field(0.004, gt=0, le=1, description="time step [s]")
    output_interval: Annotated[float, Unit("s")] = Field(
        0.04, gt=0, description="simulated time between field outputs [s]"
    )
    checkpoint_interval: Annotated[float, Unit("s")] = Field(
        0.2, gt=0, description="simulated time between checkpoints [s]"
    )
    periods: int = Field(2, ge=1, le=100, description="last periods of which forces are evaluated")


def on_the_cylinder(options: CylinderWakeOptions) -> float:
    """Return the radius on which the cylinder's vertices lie [m]: the area of the polygon is that of the circle."""
    turn = 2 * np.pi / round(2 * np.pi * RADIUS / options.cylinder_resolution)
    return float(RADIUS * np.sqrt(turn / np.sin(turn)))


def wake_quantities(times: np.ndarray, values: np.ndarray, periods: int) -> Mapping[str, Quantity]:
    """Return the quantities of the benchmark, none before there are as many periods; see ``shedding``."""
    found = shedding(times, values, periods)
    if found is None:
        return {}
    measured = (found.drag, found.lift, 2 * RADIUS / (MEAN_SPEED * found.period), found.pressure_difference)
    units = ("", "", "", "m²/s²")
    quantities = {
        name: Quantity(value, unit, 0.5 * (low + high), f"Schäfer, Turek 1996, {low:g} to {high:g}")
        for (name, (low, high)), value, unit in zip(PUBLISHED.items(), measured, units, strict=True)
    }
    further = {"amplitude of the lift": found.lift_amplitude, "spread of greatest lifts": found.spread}
    return quantities | {name: Quantity(value) for name, value in further.items()}


class CylinderWake(Case):
    r"""DFG 2D-2: Re = 100, periodic shedding.

    The drag and lift coefficient are :math:`2 F / (\bar U^2 D)` with the forces by volume, see
    :class:`fem.navier_stokes_forces.BoundaryForce`, their means over each time step. The error is the mean over the
    four quantities of the distance from the middle of the published interval, as a share of that.

    The run begins with the steady flow and an eddy behind the cylinder, as strong as makes the flow periodic soon:
    greatest lifts differ by less than one per cent from the third period on.

    Notes
    -----
    M. Schäfer, S. Turek (1996), Benchmark computations of laminar flow around a cylinder, Notes on Numerical Fluid
    Mechanics 52, 547.
    """

    name: ClassVar[str] = "cylinder-wake"
    summary: ClassVar[str] = "vortices shed by a cylinder (DFG 2D-2): drag, lift, frequency as published"
    title: ClassVar[str] = "Wake of a cylinder in a channel (DFG 2D-2)"
    description: ClassVar[str] = (
        "Flow at Reynolds 100 sheds vortices from a cylinder in a channel. The forces on the cylinder and their "
        "frequency are known within intervals from the benchmark of Schäfer and Turek (1996)."
    )
    Options: ClassVar[type[CaseOptions]] = CylinderWakeOptions
    markers: ClassVar[Mapping[int, str]] = {INFLOW: "inflow", 3: "bottom", 4: "top", CYLINDER: "cylinder"}
    smallest: ClassVar[Mapping[str, Any]] = {
        "resolution": 0.1,
        "cylinder_resolution": 0.025,
        "dt": 0.02,
        "t_end": 0.12,
        "move_every": 1,
        "motion_steps": 1,
    }

    def mesh(self, options: CylinderWakeOptions):
        """Return a mesh of the channel, finer at the cylinder."""
        return channel_with_cylinder(
            size=options.resolution,
            cylinder_size=options.cylinder_resolution,
            centre=CENTRE,
            radius=on_the_cylinder(options),
        )

    def build(self, options: CylinderWakeOptions, mesh) -> FlowSetup:
        """See :meth:`cases.case.Case.build`."""
        # A mesh from a checkpoint does not know that its vertices slide along a circle.
        attach_boundary(mesh, {CYLINDER: Circle(CENTRE, on_the_cylinder(options))})

        def inflow(x, t):
            return 6.0 * MEAN_SPEED * x[1] * (HEIGHT - x[1]) / HEIGHT**2, 0.0

        def still(x, t):
            return 0.0, 0.0

        problem = NavierStokes(mesh=mesh, viscosity=VISCOSITY, velocity={INFLOW: inflow} | dict.fromkeys(WALLS, still))
        state = Function(problem.space(), name="flow")

        def begin() -> None:
            state.assign(SteadyFlow(problem).solve(first=_FIRST_VISCOSITY))
            x, velocity = SpatialCoordinate(mesh), state.subfunctions[0]
            square = (x[0] - _EDDY_CENTRE[0]) ** 2 + (x[1] - _EDDY_CENTRE[1]) ** 2
            across = as_vector([0.0, _EDDY * exp(-square / _EDDY_RADIUS**2)])
            eddy = Function(velocity.function_space()).interpolate(across)
            velocity.dat.data_wo[:] = velocity.dat.data_ro + eddy.dat.data_ro

        obstacle = Obstacle(
            marker=CYLINDER,
            coefficient=2.0 / (MEAN_SPEED**2 * 2 * RADIUS),
            points=np.array([[CENTRE[0] - RADIUS, CENTRE[1]], [CENTRE[0] + RADIUS, CENTRE[1]]]),
            quantities=lambda times, values: wake_quantities(times, values, options.periods),
        )
        return flow_setup(problem, state, begin, options, obstacle=obstacle)
