"""Diffusion that is much slower in one direction: a boundary layer thinner than a cell."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from firedrake import Function
from pydantic import Field

from cases.elliptic.solutions import layer_solution
from cases.elliptic.square import LagrangeOptions, SquareCase
from cases.options import CaseOptions
from fem.analytic.layers import anisotropic_layer
from fem.problems.convection_diffusion import ConvectionDiffusion
from fem.steady import SteadySolution

# Of what is exact: the layer is thinner than cells.
QUADRATURE_DEGREE = 20


class AnisotropicDiffusionOptions(LagrangeOptions):
    """Options of anisotropic diffusion."""

    ratio: float = Field(1e-3, ge=1e-6, le=1, description="diffusivity across the layer over that along it")


class AnisotropicDiffusion(SquareCase):
    """u_xx + ratio u_yy = 0 with u = sin(pi x) on the side y = 0, see :func:`fem.analytic.layers.anisotropic_layer`."""

    name: ClassVar[str] = "anisotropic-diffusion"
    summary: ClassVar[str] = "diffusion 1000 times slower across a boundary layer than along it"
    title: ClassVar[str] = "Anisotropic diffusion"
    description: ClassVar[str] = (
        "Diffusion is slow in y, so that what is given at y = 0 reaches in by a hundredth of the square only. The "
        "solution is exact; the error is in the energy norm."
    )
    Options: ClassVar[type[CaseOptions]] = AnisotropicDiffusionOptions

    def solve(self, options: AnisotropicDiffusionOptions, mesh, start: Function | None) -> SteadySolution:
        """See :meth:`cases.steady_case.SteadyCase.solve`."""
        problem = ConvectionDiffusion(
            exact=anisotropic_layer(options.ratio),
            diffusivity=np.diag([1.0, options.ratio]),
            degree=options.degree,
            quadrature_degree=QUADRATURE_DEGREE,
        )
        return layer_solution(problem, options, mesh)
