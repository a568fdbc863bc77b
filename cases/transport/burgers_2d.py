"""Shocks and a fan that meet in a corner: Burgers' inviscid equation in two dimensions, with its exact solution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from cases.options import CaseOptions
from cases.scalar_case import ScalarCase
from cases.scalar_options import ScalarOptions
from cases.units import Unit
from fem.analytic.four_states import T_LAST, FourStates
from fem.problems.burgers import Burgers, four_states


class Burgers2dOptions(ScalarOptions):
    """Options of Burgers' equation in two dimensions."""

    t_end: Annotated[float, Unit("s")] = Field(
        T_LAST, gt=0, le=T_LAST, description=f"simulated time; the solution is known until {T_LAST:g} s [s]"
    )
    resolution: int = Field(
        32, ge=2, le=1000, description="squares a side, each cut into four triangles; n give 2 n (n + 1) + 1 vertices"
    )
    move_every: int = Field(10, ge=1, le=1_000_000, description="time steps between two looks at the mesh")


class Burgers2dCase(ScalarCase):
    """Four states in four quadrants, see :class:`fem.analytic.four_states.FourStates`."""

    name: ClassVar[str] = "burgers-2d"
    summary: ClassVar[str] = "Burgers without viscosity in 2D: shocks and a fan that meet, against the exact solution"
    title: ClassVar[str] = "Burgers' equation in two dimensions"
    description: ClassVar[str] = (
        "Four states of Burgers' inviscid equation meet in the middle of the unit square. Shocks of different strength "
        "leave it, one of them bent by a fan. The entropy solution is known exactly and gives what comes in."
    )
    Options: ClassVar[type[CaseOptions]] = Burgers2dOptions
    t_half: ClassVar[float] = 0.5 * T_LAST
    smallest: ClassVar[Mapping[str, Any]] = {"resolution": 8, "t_end": 0.1}

    def problem(self, options: Burgers2dOptions, mesh) -> Burgers:
        """See :class:`cases.scalar_case.ScalarCase`."""
        return Burgers(mesh=mesh, viscosity=0.0, boundary=four_states)

    def exact(self, options: Burgers2dOptions) -> Callable[[np.ndarray, float], np.ndarray]:
        """See :class:`cases.scalar_case.ScalarCase`."""
        return FourStates().exact
