"""A thin ring in a swirling flow that turns back: advection against an exact solution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from cases.options import CaseOptions
from cases.scalar_case import ScalarCase
from cases.scalar_options import ThinFeatureOptions
from cases.units import Unit
from fem.analytic.swirl import Swirl
from fem.problems.advection import Advection, swirling_flow


class SwirlOptions(ThinFeatureOptions):
    """Options of the swirl case; lengths in the side of the square, times in the period of the flow."""

    t_end: Annotated[float, Unit("s")] = Field(
        1.0, gt=0, le=100, description="simulated time; the flow has period 1 [s]"
    )


class SwirlCase(ScalarCase):
    """LeVeque's flow with the ring of Zhang et al. (2024), see :class:`fem.analytic.swirl.Swirl`."""

    name: ClassVar[str] = "swirl"
    summary: ClassVar[str] = "thin ring in a swirling flow that turns back: advection against the exact solution"
    title: ClassVar[str] = "Ring in a swirling flow"
    description: ClassVar[str] = (
        "A thin ring in the unit square is drawn out by a swirling flow until half time and is back at time 1. "
        "The solution is exact at all times."
    )
    Options: ClassVar[type[CaseOptions]] = SwirlOptions
    t_half: ClassVar[float] = 0.5 * Swirl().period
    smallest: ClassVar[Mapping[str, Any]] = {"resolution": 8, "t_end": 0.1}

    def problem(self, options: SwirlOptions, mesh) -> Advection:
        """See :class:`cases.scalar_case.ScalarCase`."""
        swirl = Swirl()
        return Advection(mesh=mesh, potential=swirling_flow(speed=swirl.speed, period=swirl.period))

    def exact(self, options: SwirlOptions) -> Callable[[np.ndarray, float], np.ndarray]:
        """See :class:`cases.scalar_case.ScalarCase`."""
        return Swirl().exact
