"""What a run of incompressible flow is made of, and the options that all such cases have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from firedrake import Function
from pydantic import Field

from cases.moving import Movement
from cases.options import MESH, FilePath, MovingOptions
from cases.units import Unit
from fem.navier_stokes_stepper import IMPLICIT_TABLEAUX
from fem.problems.navier_stokes import BoundaryVelocity, NavierStokes
from fem.steady import Quantity
from fem.vorticity import vorticity_monitor
from meshing.shaping import Shaping


class FlowOptions(MovingOptions):
    """Options of every case of incompressible flow; the mesh moves while the flow steps."""

    mesh: Annotated[str, FilePath()] = Field("", description=MESH)
    dt: Annotated[float, Unit("s")] = Field(0.01, gt=0, le=10, description="time step [s]")
    tableau: Literal[tuple(IMPLICIT_TABLEAUX)] = Field(  # type: ignore[valid-type]
        "sdirk2", description="implicit Runge-Kutta scheme"
    )
    output_interval: Annotated[float, Unit("s")] = Field(
        0.1, gt=0, description="simulated time between field outputs [s]"
    )
    exact_output: bool = Field(True, description="shorten steps so that field outputs fall on their times exactly")
    checkpoint_interval: Annotated[float, Unit("s")] = Field(
        0.5, gt=0, description="simulated time between checkpoints [s]"
    )
    motion_steps: int = Field(4, ge=1, le=1000, description="time steps that the mesh takes to where it is to go")
    move_every: int = Field(4, ge=1, le=1_000_000, description="time steps between two looks at the mesh")
    max_size_ratio: float = Field(
        3.0, ge=1, le=1000, description="greatest ratio of cell sizes that the monitor function asks for"
    )
    monitor_regularisation: float = Field(
        1.0, gt=0, le=100, description="the smaller, the more cells go where the vorticity changes; times its mean"
    )
    transfer: Literal["ale"] = Field(
        "ale", description="how fields come to the moved mesh: taken along by the flow's next steps"
    )


@dataclass(frozen=True)
class Obstacle:
    """A part of the boundary on which forces are observed.

    Attributes
    ----------
    marker
        Of the boundary.
    coefficient
        From a force over the density and the width to its coefficient, :math:`2 / (U^2 D)` [s^2/m^3].
    points
        Two points, the second downstream, whose pressures are compared, shape (2, 2) [m].
    quantities
        Makes numbers by name of times (n,) [s] and drag coefficient, lift coefficient and pressure difference (n, 3).
    """

    marker: int
    coefficient: float
    points: np.ndarray
    quantities: Callable[[np.ndarray, np.ndarray], Mapping[str, Quantity]]


@dataclass(frozen=True)
class FlowSetup:
    """All that a run of incompressible flow needs.

    Attributes
    ----------
    problem
        Equations, on the mesh as it is at the beginning.
    initial
        (u, p).
    begin
        Sets ``initial`` to the flow of the beginning; not called where a run goes on.
    dt
        Time step [s].
    tableau, solver, motion_steps
        See :class:`fem.navier_stokes_stepper.NavierStokesStepper`.
    t_end, output_interval, checkpoint_interval
        End, time between field outputs and between checkpoints [s].
    movement
        How the mesh is to be moved.
    exact
        The velocity, where it is known.
    obstacle
        On what forces are observed, if on anything.
    exact_output
        Whether steps are shortened so that field outputs fall on their times exactly.
    """

    problem: NavierStokes
    initial: Function
    begin: Callable[[], None]
    dt: float
    tableau: str
    solver: str
    motion_steps: int
    t_end: float
    output_interval: float
    checkpoint_interval: float
    movement: Movement
    exact: BoundaryVelocity | None = None
    obstacle: Obstacle | None = None
    exact_output: bool = True


def flow_movement(state: Function, options: FlowOptions) -> Movement:
    """Return how the mesh is to be moved: small cells where the vorticity changes over a cell."""
    shaping = Shaping(smoothing=options.monitor_smoothing, max_size_ratio=options.max_size_ratio)
    return Movement(
        monitor=lambda: vorticity_monitor(state, shaping, options.monitor_regularisation),
        every=options.move_every,
        threshold=options.move_threshold,
        transfer=options.transfer,
    )


def flow_setup(
    problem: NavierStokes,
    state: Function,
    begin: Callable[[], None],
    options: Any,
    *,
    exact: BoundaryVelocity | None = None,
    obstacle: Obstacle | None = None,
) -> FlowSetup:
    """Return the setup of a flow with the options that all have, ``t_end`` among them."""
    return FlowSetup(
        problem=problem,
        initial=state,
        begin=begin,
        dt=options.dt,
        tableau=options.tableau,
        solver="lu-kept",
        motion_steps=options.motion_steps,
        t_end=options.t_end,
        output_interval=options.output_interval,
        checkpoint_interval=options.checkpoint_interval,
        movement=flow_movement(state, options),
        exact=exact,
        obstacle=obstacle,
        exact_output=options.exact_output,
    )
