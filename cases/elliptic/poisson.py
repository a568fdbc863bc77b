"""Poisson's equation with a smooth solution that has a sharp feature: a ring, a bump or a wave."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from firedrake import Function
from pydantic import Field

from cases.elliptic.solutions import elliptic_solution
from cases.elliptic.square import LagrangeOptions, SquareCase
from cases.options import CaseOptions
from cases.units import Unit
from fem.analytic.features import ExactField, Front, Gaussian, Ring
from fem.problems.elliptic import Poisson
from fem.steady import SteadySolution

_CENTRE = np.array([0.45, 0.55])
_TURNED = np.array([[np.cos(0.5), np.sin(0.5)], [-np.sin(0.5), np.cos(0.5)]])


class PoissonOptions(LagrangeOptions):
    """Options of Poisson's equation."""

    feature: Literal["ring", "bump", "wave"] = Field(
        "ring", description="the solution: a step across a circle, a long bump at an angle, a step across a wavy line"
    )
    width: Annotated[float, Unit("m")] = Field(
        0.03, ge=0.005, le=0.2, description="thickness of the feature; from 10 to 90 % of a step are 2.2 of it [m]"
    )


class PoissonCase(SquareCase):
    """Minus the Laplacian of u is f, made so that u is known, see :mod:`fem.analytic.features`."""

    name: ClassVar[str] = "poisson"
    summary: ClassVar[str] = "Poisson's equation with a sharp ring, bump or wave: order of elements, moved or not"
    title: ClassVar[str] = "Poisson's equation"
    description: ClassVar[str] = (
        "The right-hand side is made so that the solution is known: smooth, with a feature as thin as a cell. The "
        "error is that of value and gradient together, the H1 norm."
    )
    Options: ClassVar[type[CaseOptions]] = PoissonOptions

    def solve(self, options: PoissonOptions, mesh, start: Function | None) -> SteadySolution:
        """See :meth:`cases.steady_case.SteadyCase.solve`."""
        exact = exact_solution(options.feature, options.width)
        return elliptic_solution(Poisson(exact=exact, degree=options.degree), options, mesh)


def exact_solution(feature: str, width: float) -> ExactField:
    """Return the solution with a feature of the option's name, ``width`` thick [m]."""
    if feature == "ring":
        return Ring(amplitude=1.0, centre=_CENTRE, radius=0.3, width=width)
    if feature == "bump":
        return Gaussian(amplitude=1.0, centre=_CENTRE, frame=_TURNED / np.array([[width], [4.0 * width]]))
    return Front(amplitude=1.0, centre=_CENTRE, frame=_TURNED, width=width, wave=0.06, wave_number=4.0 * np.pi)
