"""Flow in a square cavity under a lid that slides: velocities on the middle lines, published by many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from firedrake import Function, PointEvaluator, UnitSquareMesh
from pydantic import Field
from scipy.interpolate import CubicSpline

from cases.flow.steady_flow import SteadyFlowOptions, flow_estimate, further_fields, solve_flow, speed, still
from cases.options import CaseOptions
from cases.steady_case import SteadyCase, density_monitor
from fem.error_estimate import wanted_density
from fem.problems.navier_stokes import NavierStokes, SteadyFlow
from fem.steady import Quantity, SteadySolution

LID = 4
# Least u on the vertical middle line, greatest and least v on the horizontal one, by Reynolds number.
EXTREMES = ("least u", "greatest v", "least v")
GHIA = {
    100: (-0.21090, 0.17527, -0.24533),
    400: (-0.32726, 0.30203, -0.44993),
    1000: (-0.38289, 0.37095, -0.51550),
}
LATER = {100: (-0.2140417, 0.1795728, -0.2538030), 1000: (-0.3885698, 0.3769447, -0.5270771)}
LATER_SOURCE = {100: "Marchi, Suero and Araki (2009)", 1000: "Botella and Peyret (1998)"}
# Where lines are sampled, as shares of the side; closer to walls.
_SAMPLES = 0.5 - 0.5 * np.cos(np.pi * np.linspace(0.0, 1.0, 401)[1:-1])


class LidCavityOptions(SteadyFlowOptions):
    """Options of the cavity."""

    resolution: int = Field(24, ge=4, le=200, description="squares a side, each cut into two triangles")
    rounds: int = Field(3, ge=0, le=100, description="most moves; each is followed by a solve")
    reynolds: float = Field(
        1000.0, ge=1.0, le=5000.0, description="Reynolds number; published here are 100, 400 and 1000"
    )


class LidCavityCase(SteadyCase):
    """The cavity of Ghia, Ghia and Shin (1982), its lid at full speed up to its ends."""

    name: ClassVar[str] = "lid-cavity"
    summary: ClassVar[str] = "flow in a square under a sliding lid: velocities on the middle lines, published"
    title: ClassVar[str] = "Lid-driven cavity"
    description: ClassVar[str] = (
        "The lid drags the fluid around. The velocity jumps in the upper corners, where its gradient is infinite: "
        "there and to the walls the mesh is moved, by the estimated error of the gradient. The error of the case is "
        "the greatest relative one of three extreme velocities against spectral or extrapolated ones. Those of Ghia, "
        "Ghia and Shin are 1.5 to 3.4 % off them, and are shown beside."
    )
    Options: ClassVar[type[CaseOptions]] = LidCavityOptions
    markers: ClassVar[Mapping[int, str]] = {1: "left", 2: "right", 3: "bottom", LID: "lid"}
    smallest: ClassVar[dict[str, Any]] = {"resolution": 6, "reynolds": 100.0, "rounds": 1}

    def mesh(self, options: LidCavityOptions):
        """Return ``resolution`` squares a side, each cut into two triangles."""
        return UnitSquareMesh(options.resolution, options.resolution, diagonal="crossed")

    def solve(self, options: LidCavityOptions, mesh, start: Function | None) -> SteadySolution:
        """See :meth:`cases.steady_case.SteadyCase.solve`."""
        # Walls come last: the corners rest, and nothing flows through walls beside them.
        given = {LID: lambda x, t: (1.0, 0.0)} | dict.fromkeys((1, 2, 3), still)
        problem = NavierStokes(
            mesh=mesh, viscosity=1.0 / options.reynolds, velocity=given, pair=options.pair, degree=options.degree
        )
        flow = SteadyFlow(problem)
        solve_flow(flow, start, first=0.01)
        quantities = measured(flow, options.reynolds)
        estimate = flow_estimate(flow, flow.state.subfunctions[0])
        wrong = [abs(one.difference or 0.0) for name, one in quantities.items() if name in EXTREMES and one.published]
        return SteadySolution(
            state=flow.state,
            drawn=speed(flow),
            monitor=density_monitor(wanted_density(estimate, problem.degree), options),
            estimate=estimate.total,
            error=max(wrong, default=None),
            quantities=quantities,
            fields=further_fields(flow),
        )


def middle_lines(velocity: Function, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return u on the vertical and v on the horizontal middle line; collective.

    Parameters
    ----------
    velocity
        Of the unit square.
    places
        y on the vertical and x on the horizontal line, shape (n,).
    """
    middle = np.full_like(places, 0.5)
    points = np.concatenate([np.column_stack([middle, places]), np.column_stack([places, middle])])
    found = PointEvaluator(velocity.function_space().mesh(), points).evaluate(velocity)
    return found[: len(places), 0], found[len(places) :, 1]


def measured(flow: SteadyFlow, reynolds: float) -> dict[str, Quantity]:
    """Return the extremes of cubic splines through samples of the middle lines, beside published ones; collective."""
    u, v = (CubicSpline(_SAMPLES, values) for values in middle_lines(flow.state.subfunctions[0], _SAMPLES))
    fine = np.linspace(_SAMPLES[0], _SAMPLES[-1], 20001)
    found = (float(u(fine).min()), float(v(fine).max()), float(v(fine).min()))
    number = int(reynolds) if reynolds == int(reynolds) else 0
    quantities = {}
    for name, value, later in zip(EXTREMES, found, LATER.get(number, (None,) * 3), strict=True):
        quantities[name] = Quantity(value, "", later, LATER_SOURCE.get(number, ""))
    for name, value, old in zip(EXTREMES, found, GHIA.get(number, ()), strict=False):
        quantities[f"{name} (1982)"] = Quantity(value, "", old, "Ghia, Ghia and Shin (1982)")
    return quantities
