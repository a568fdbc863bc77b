"""Helmholtz' equation of the coercive sign, with bumps: the benchmark of the learned mesh movers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from firedrake import Function
from pydantic import Field

from cases.elliptic.solutions import elliptic_solution
from cases.elliptic.square import LagrangeOptions, SquareCase
from cases.options import CaseOptions
from fem.analytic.features import Gaussian, Sum
from fem.problems.elliptic import Helmholtz
from fem.steady import SteadySolution

# Centres [m], widths [m] along two axes and the angle of the first to x [rad], and amplitudes.
_BUMPS = (
    ((0.30, 0.65), (0.04, 0.12), 0.6, 1.0),
    ((0.68, 0.36), (0.05, 0.05), 0.0, -0.8),
    ((0.75, 0.80), (0.03, 0.06), 2.2, 0.6),
)


class HelmholtzOptions(LagrangeOptions):
    """Options of Helmholtz' equation."""

    reaction: float = Field(1.0, ge=0, le=1e6, description="k of -Laplacian u + k u = f [1/m^2]")


class HelmholtzCase(SquareCase):
    """Three Gaussian bumps of either sign, see :class:`fem.problems.elliptic.Helmholtz`."""

    name: ClassVar[str] = "helmholtz"
    summary: ClassVar[str] = "Helmholtz' equation with Gaussian bumps: the benchmark of the learned movers"
    title: ClassVar[str] = "Helmholtz' equation"
    description: ClassVar[str] = (
        "Minus the Laplacian of u plus k u is f, made so that u is known: three Gaussian bumps at angles, of either "
        "sign, as in the benchmarks of learned mesh movers (Zhang et al., 2024). The error is in the H1 norm."
    )
    Options: ClassVar[type[CaseOptions]] = HelmholtzOptions

    def solve(self, options: HelmholtzOptions, mesh, start: Function | None) -> SteadySolution:
        """See :meth:`cases.steady_case.SteadyCase.solve`."""
        problem = Helmholtz(exact=bumps(), reaction=options.reaction, degree=options.degree)
        return elliptic_solution(problem, options, mesh)


def bumps() -> Sum:
    """Return the solution."""
    parts = []
    for centre, widths, angle, amplitude in _BUMPS:
        turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        parts.append(Gaussian(amplitude=amplitude, centre=np.array(centre), frame=turned / np.array(widths)[:, None]))
    return Sum(parts)
