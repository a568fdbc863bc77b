"""Steady convection with very little diffusion: two layers at the outflow, far thinner than cells."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from firedrake import Function
from mpi4py import MPI
from pydantic import Field

from cases.elliptic.solutions import L2_ERROR, layer_solution
from cases.elliptic.square import LagrangeOptions, SquareCase
from cases.options import CaseOptions
from fem.analytic.layers import outflow_layers, outflow_peak
from fem.problems.convection_diffusion import ConvectionDiffusion
from fem.steady import Quantity, SteadySolution

VELOCITY = (2.0, 1.0)
# Of what is exact: layers are thinner than cells.
QUADRATURE_DEGREE = 20


class ConvectionDiffusionOptions(LagrangeOptions):
    """Options of convection and diffusion."""

    peclet: float = Field(1e4, ge=1, le=1e6, description="speed times the side of the square over the diffusivity")


class ConvectionDiffusionCase(SquareCase):
    """Flow by (2, 1) m/s over the square, u = 0 on its sides, see :func:`fem.analytic.layers.outflow_layers`.

    Of layers thinner than a quarter of a cell the gradient is nowhere as great as it should be, and the estimate grows
    with every move for the better. It says where cells are wanted, but not whether another mesh has been better: all
    rounds are done, and the last mesh is kept.
    """

    name: ClassVar[str] = "convection-diffusion"
    summary: ClassVar[str] = "steady convection at a Peclet number of 1e4: layers at the outflow, overshoot"
    title: ClassVar[str] = "Convection and diffusion"
    description: ClassVar[str] = (
        "What springs all over the square is carried to two of its sides, where it has to vanish: layers of some "
        "ten-thousandth of the square. Stabilised elements (SUPG) beside the exact solution. The error is in L2: the "
        "energy of such layers is beyond the quadrature on these cells."
    )
    Options: ClassVar[type[CaseOptions]] = ConvectionDiffusionOptions

    def solve(self, options: ConvectionDiffusionOptions, mesh, start: Function | None) -> SteadySolution:
        """See :meth:`cases.steady_case.SteadyCase.solve`."""
        diffusivity = float(np.hypot(*VELOCITY)) / options.peclet
        problem = ConvectionDiffusion(
            exact=outflow_layers(diffusivity, VELOCITY),
            diffusivity=diffusivity,
            velocity=VELOCITY,
            degree=options.degree,
            quadrature_degree=QUADRATURE_DEGREE,
        )
        found = layer_solution(problem, options, mesh)
        # To 2 % the thicker layer is that thick.
        seen = 4.0 * diffusivity / min(VELOCITY) * options.resolution >= 1.0
        values, (least, most) = found.state.dat.data_ro, (0.0, outflow_peak(diffusivity, VELOCITY))
        beyond = max(least - values.min(initial=least), values.max(initial=most) - most)
        return replace(
            found,
            estimate=found.estimate if seen else np.nan,
            error=found.quantities[L2_ERROR].value,
            quantities={
                "overshoot": Quantity(
                    mesh.comm.allreduce(float(beyond), MPI.MAX), "", 0.0, "u is between 0 and its exact peak"
                ),
                "estimated error, energy norm": Quantity(found.estimate),
            },
        )
