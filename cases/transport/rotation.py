"""A slotted cylinder, a cone and a hump in a flow that turns: advection against an exact solution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from firedrake import Constant
from pydantic import Field

from cases.options import CaseOptions
from cases.scalar_case import ScalarCase
from cases.scalar_options import ThinFeatureOptions
from cases.units import Unit
from fem.analytic.rotation import Rotation
from fem.problems.advection import Advection, turning_flow


class RotationOptions(ThinFeatureOptions):
    """Options of the rotation; lengths in the side of the square, times in turns."""

    t_end: Annotated[float, Unit("s")] = Field(1.0, gt=0, le=100, description="simulated time; a turn takes 1 s [s]")


class RotationCase(ScalarCase):
    """LeVeque's three bodies, see :class:`fem.analytic.rotation.Rotation`."""

    name: ClassVar[str] = "rotation"
    summary: ClassVar[str] = "slotted cylinder, cone and hump that turn: advection against the exact solution"
    title: ClassVar[str] = "Turning cylinder, cone and hump"
    description: ClassVar[str] = (
        "Three bodies of heights 1, 1 and 1/2 turn about the middle of the unit square: edges that are jumps, a tip, "
        "and a smooth hill. After every turn all is as it was; the solution is exact at all times between."
    )
    Options: ClassVar[type[CaseOptions]] = RotationOptions
    t_half: ClassVar[float] = 0.5 * Rotation().period
    smallest: ClassVar[Mapping[str, Any]] = {"resolution": 8, "t_end": 0.05}

    def problem(self, options: RotationOptions, mesh) -> Advection:
        """See :class:`cases.scalar_case.ScalarCase`; what comes in from outside is 0."""
        flow = turning_flow(period=Rotation().period)
        return Advection(mesh=mesh, potential=flow, boundary=lambda x, t: Constant(0.0))

    def exact(self, options: RotationOptions) -> Callable[[np.ndarray, float], np.ndarray]:
        """See :class:`cases.scalar_case.ScalarCase`."""
        return Rotation().exact
