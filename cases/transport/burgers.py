"""A steep front that travels along the diagonal: the viscous Burgers equation against an exact solution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from cases.options import CaseOptions
from cases.scalar_case import ScalarCase
from cases.scalar_options import ScalarOptions
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


class BurgersCase(ScalarCase):
    """Front of :class:`fem.analytic.burgers.TravellingFront`, exact on the boundary too."""

    name: ClassVar[str] = "burgers"
    summary: ClassVar[str] = "steep front of the viscous Burgers equation against the exact solution"
    title: ClassVar[str] = "Travelling front of Burgers' equation"
    description: ClassVar[str] = (
        "A front of the viscous Burgers equation, parallel to a diagonal of the unit square, travels across it. "
        "The solution is exact at all times and gives the values on the boundary."
    )
    Options: ClassVar[type[CaseOptions]] = BurgersOptions
    t_start: ClassVar[float] = T_START
    t_half: ClassVar[float] = T_HALF
    smallest: ClassVar[Mapping[str, Any]] = {"resolution": 8, "t_end": 0.4}

    def problem(self, options: BurgersOptions, mesh) -> Burgers:
        """See :class:`cases.scalar_case.ScalarCase`."""
        front = travelling_front(viscosity=options.viscosity)
        return Burgers(mesh=mesh, viscosity=options.viscosity, boundary=front)

    def exact(self, options: BurgersOptions) -> Callable[[np.ndarray, float], np.ndarray]:
        """See :class:`cases.scalar_case.ScalarCase`."""
        return TravellingFront(viscosity=options.viscosity).exact
