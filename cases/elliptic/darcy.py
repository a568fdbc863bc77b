"""Flow through porous rock with a steep front of the head, in mixed form: no water is lost in any cell."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from firedrake import Constant, Function, SpatialCoordinate, div, grad, tanh
from mpi4py import MPI
from pydantic import Field
from ufl.core.expr import Expr

from cases.elliptic.square import SquareCase, SquareOptions
from cases.options import CaseOptions
from cases.steady_case import density_monitor
from fem.error_estimate import recovery_estimate, wanted_density
from fem.problems.darcy import flux_error, head_errors, imbalance, solve_darcy
from fem.steady import Quantity, SteadySolution


class DarcyOptions(SquareOptions):
    """Options of the flow."""

    steepness: float = Field(20.0, gt=0, le=200, description="s of the head tanh(s (r^2 - 0.16 m^2)) [1/m^2]")


class DarcyCase(SquareCase):
    """Darcy's law in RT0 and P0, see :mod:`fem.problems.darcy`; a front across a circle around (0.3, 0.4)."""

    name: ClassVar[str] = "darcy"
    summary: ClassVar[str] = "Darcy flow in mixed form: flux against the exact one, no water lost in any cell"
    title: ClassVar[str] = "Darcy flow"
    description: ClassVar[str] = (
        "Water flows through rock of conductivity 1 + x y. The source is made so that the head is known: a steep front "
        "across a circle. Flux and head are solved for together (Raviart-Thomas), so that what flows out of a cell is "
        "what springs in it. The error is that of the flux in L2."
    )
    Options: ClassVar[type[CaseOptions]] = DarcyOptions

    def solve(self, options: DarcyOptions, mesh, start: Function | None) -> SteadySolution:
        """See :meth:`cases.steady_case.SteadyCase.solve`."""
        x = SpatialCoordinate(mesh)
        conductivity, head = 1.0 + x[0] * x[1], exact_head(x, options.steepness)
        flux = -conductivity * grad(head)
        source, sides = div(flux), map(int, mesh.exterior_facets.unique_markers)
        flow = solve_darcy(mesh, conductivity, source, head=dict.fromkeys(sides, head))
        flow.head.rename("head [m]")
        flow.flux.rename("flux [m/s]")
        estimate = recovery_estimate(mesh, flow.flux, 1)
        lost = np.abs(imbalance(flow, source).dat.data_ro).max(initial=0.0)
        whole, means = head_errors(flow, head)
        return SteadySolution(
            state=flow.both,
            drawn=flow.head,
            monitor=density_monitor(wanted_density(estimate, 1), options),
            estimate=estimate.total,
            error=flux_error(flow, flux),
            quantities={
                "most water lost in a cell": Quantity(
                    mesh.comm.allreduce(float(lost), MPI.MAX), "m^2/s", 0.0, "exact in every cell, to rounding"
                ),
                "error of the head in L2": Quantity(whole, "m^2"),
                "error of its means over cells": Quantity(means, "m^2"),
            },
            fields=(flow.flux,),
        )


def exact_head(x: Expr, steepness: float) -> Expr:
    """Return the head [m] at a place [m]."""
    return tanh(Constant(steepness) * ((x[0] - 0.3) ** 2 + (x[1] - 0.4) ** 2 - 0.16))
